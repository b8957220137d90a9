//! Which settings are tried: every combination, or some drawn at random.

use std::collections::BTreeSet;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value};

use super::MOST_TRIALS;

/// One parameter and what it may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Its key in the configuration, `strategies.signal_trader.min_edge`.
    pub key: String,
    /// Its values.
    pub choices: Choices,
}

/// What a parameter may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Choices {
    /// One of these.
    List(Vec<Value>),
    /// Any number between the two, both included: whole ones where both are. Only for random draws.
    Between(f64, f64),
}

/// Most values of one parameter.
const MOST_VALUES: usize = 10_000;

impl Axis {
    /// Reads `KEY=VALUE,VALUE…`. Errors: in words.
    pub fn list(text: &str) -> Result<Self, String> {
        let (key, values) = halves(text)?;
        let values: Vec<Value> = values.split(',').map(scalar).collect::<Result<_, _>>()?;
        Ok(Axis {
            key,
            choices: Choices::List(values),
        })
    }

    /// Reads `KEY=LOW:HIGH` (for random draws) or `KEY=LOW:HIGH:STEP`. Errors: in words.
    pub fn range(text: &str) -> Result<Self, String> {
        let (key, range) = halves(text)?;
        let numbers: Vec<f64> = range
            .split(':')
            .map(|part| {
                let number = part.trim().parse::<f64>().ok();
                let number = number.filter(|number| number.is_finite());
                number.ok_or_else(|| format!("`{part}` in `{text}` is not a number"))
            })
            .collect::<Result<_, _>>()?;
        let choices = match numbers.as_slice() {
            [low, high] if low <= high => Choices::Between(*low, *high),
            [low, high, step] if low <= high && *step > 0.0 => {
                let count = ((high - low) / step + 1e-9).floor();
                if count >= MOST_VALUES as f64 {
                    return Err(format!("`{text}` has more than {MOST_VALUES} values"));
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between 0 and 10,000"
                )]
                let count = count as usize;
                let value = |index: usize| number(low + step * index as f64);
                Choices::List((0..=count).map(value).collect())
            }
            _ => {
                return Err(format!(
                    "`{text}` is no range: KEY=LOW:HIGH or KEY=LOW:HIGH:STEP, LOW at most HIGH, STEP \
                     above 0"
                ));
            }
        };
        Ok(Axis { key, choices })
    }
}

/// A JSON number, a whole one where it is; the dust of binary fractions (beyond 1e-12) swept away.
fn number(value: f64) -> Value {
    let value = (value * 1e12).round() / 1e12;
    if value.fract() == 0.0 && value.abs() < 9e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        return Value::from(value as i64);
    }
    Value::from(value)
}

/// `KEY=REST`.
fn halves(text: &str) -> Result<(String, &str), String> {
    let halves = text.split_once('=');
    let halves = halves.filter(|(key, rest)| !key.trim().is_empty() && !rest.trim().is_empty());
    let (key, rest) = halves.ok_or_else(|| format!("`{text}` is not of the form KEY=VALUES"))?;
    Ok((key.trim().to_owned(), rest.trim()))
}

/// A value as JSON has it; what is no number, truth value or null is text.
fn scalar(text: &str) -> Result<Value, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a value is empty".to_owned());
    }
    Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)))
}

/// All parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    axes: Vec<Axis>,
}

impl Space {
    /// Errors: no parameter, or one twice.
    pub fn new(axes: Vec<Axis>) -> Result<Self, String> {
        if axes.is_empty() {
            return Err("there is no parameter to vary".to_owned());
        }
        let mut keys = BTreeSet::new();
        for axis in &axes {
            if !keys.insert(axis.key.as_str()) {
                return Err(format!("{} is varied twice", axis.key));
            }
        }
        Ok(Space { axes })
    }

    /// Every combination, the last parameter changing fastest. Errors: a range without steps, or too
    /// many combinations.
    pub fn grid(&self) -> Result<Vec<Map<String, Value>>, String> {
        let mut settings = vec![Map::new()];
        for axis in &self.axes {
            let Choices::List(values) = &axis.choices else {
                return Err(format!(
                    "{} has a range without steps, which only --random can draw from",
                    axis.key
                ));
            };
            let count = settings.len().saturating_mul(values.len());
            if count > MOST_TRIALS {
                return Err(format!(
                    "there are more than {MOST_TRIALS} combinations; draw some with --random"
                ));
            }
            let mut longer = Vec::with_capacity(count);
            for setting in &settings {
                for value in values {
                    let mut with: Map<String, Value> = setting.clone();
                    with.insert(axis.key.clone(), value.clone());
                    longer.push(with);
                }
            }
            settings = longer;
        }
        Ok(settings)
    }

    /// So many combinations drawn at random, each parameter by itself; the same for the same seed. One
    /// that comes twice is kept once, so there may be fewer.
    ///
    /// Errors: too many.
    pub fn random(&self, count: usize, seed: u64) -> Result<Vec<Map<String, Value>>, String> {
        if count == 0 || count > MOST_TRIALS {
            return Err(format!(
                "{count} random settings; there must be between 1 and {MOST_TRIALS}"
            ));
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut seen = BTreeSet::new();
        let mut settings = Vec::new();
        for _ in 0..count {
            let mut setting = Map::new();
            for axis in &self.axes {
                setting.insert(axis.key.clone(), drawn(&axis.choices, &mut random));
            }
            if seen.insert(Value::Object(setting.clone()).to_string()) {
                settings.push(setting);
            }
        }
        Ok(settings)
    }
}

fn drawn(choices: &Choices, random: &mut ChaCha8Rng) -> Value {
    match choices {
        Choices::List(values) => {
            let index = random.random_range(0..values.len().max(1));
            values.get(index).cloned().unwrap_or(Value::Null)
        }
        Choices::Between(low, high) if low.fract() == 0.0 && high.fract() == 0.0 => number(
            (low + random.random::<f64>() * (high - low + 1.0))
                .floor()
                .min(*high),
        ),
        Choices::Between(low, high) => number(low + random.random::<f64>() * (high - low)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(settings: &[Map<String, Value>]) -> Vec<String> {
        let one = |setting: &Map<String, Value>| {
            let values: Vec<String> = setting.values().map(Value::to_string).collect();
            values.join(" ")
        };
        settings.iter().map(one).collect()
    }

    fn space(axes: &[Result<Axis, String>]) -> Space {
        Space::new(axes.iter().cloned().map(Result::unwrap).collect()).unwrap()
    }

    #[test]
    fn a_grid_is_every_combination() {
        let space = space(&[Axis::list("a=0.01, 2"), Axis::range("b=0.1:0.35:0.1")]);
        assert_eq!(
            shown(&space.grid().unwrap()),
            [
                "0.01 0.1", "0.01 0.2", "0.01 0.3", "2 0.1", "2 0.2", "2 0.3"
            ]
        );
        let words = self::space(&[Axis::list("m=fixed,true,null")]);
        assert_eq!(shown(&words.grid().unwrap()), ["\"fixed\"", "true", "null"]);
    }

    #[test]
    fn random_settings_follow_the_seed_and_stay_in_their_ranges() {
        let space = space(&[
            Axis::range("a=1:3"),
            Axis::range("b=0.5:0.75"),
            Axis::list("c=x,y"),
        ]);
        let drawn = space.random(200, 7).unwrap();
        assert_eq!(drawn, space.random(200, 7).unwrap());
        assert_ne!(drawn, space.random(200, 8).unwrap());
        let whole: BTreeSet<i64> = drawn.iter().map(|s| s["a"].as_i64().unwrap()).collect();
        assert_eq!(whole, BTreeSet::from([1, 2, 3]));
        assert!(
            drawn
                .iter()
                .all(|s| (0.5..=0.75).contains(&s["b"].as_f64().unwrap()))
        );
        // Six combinations at most: each stays once.
        let few = self::space(&[Axis::list("a=1,2,3"), Axis::list("c=x,y")]);
        assert_eq!(few.random(500, 1).unwrap().len(), 6);
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        for bad in ["a", "=1", "a=", "a=1,,2"] {
            assert!(Axis::list(bad).is_err(), "{bad}");
        }
        for bad in [
            "a=1",
            "a=2:1",
            "a=1:2:0",
            "a=1:x",
            "a=1:inf",
            "a=0:1:0.000001",
        ] {
            assert!(Axis::range(bad).is_err(), "{bad}");
        }
        assert!(Space::new(Vec::new()).is_err());
        let twice = vec![Axis::list("a=1").unwrap(), Axis::list("a=2").unwrap()];
        assert_eq!(Space::new(twice).unwrap_err(), "a is varied twice");
        let open = space(&[Axis::range("a=0:1")]);
        assert!(open.grid().unwrap_err().contains("--random"));
        let large = space(&[Axis::range("a=0:999:1"), Axis::range("b=0:999:1")]);
        assert!(large.grid().unwrap_err().contains("combinations"));
        assert!(large.random(0, 1).is_err());
    }
}
