//! Pictures inside the page, as inline SVG. Shapes are stretched to the width of the page; what is
//! written beside them is text of the page, so that it stays readable on a phone.

use std::fmt::Write;

use maud::{Markup, html};

use crate::domain::Timestamp;

use super::series::{Bar, Class, Point, thinned};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 200.0;

/// What a line chart looks like.
pub(super) struct Look {
    /// For readers that see no picture.
    pub(super) label: String,
    /// Class of the line: `up`, `down`, `one` or `two`.
    pub(super) class: &'static str,
    /// A level that is drawn dashed, and always in the picture.
    pub(super) level: Option<f64>,
    /// Fills down (or up) to the level.
    pub(super) filled: bool,
    /// Each value stands until the next.
    pub(super) stepped: bool,
    /// Words for a value.
    pub(super) words: fn(f64) -> String,
}

/// A line through all points; nothing for fewer than two.
pub(super) fn line(curve: &[Point], look: &Look) -> Option<Markup> {
    let ((start, _), (end, _)) = (curve.first()?, curve.last()?);
    let span = end.since(*start) as f64;
    if curve.len() < 2 || span <= 0.0 {
        return None;
    }
    let values = || curve.iter().map(|(_, value)| *value).chain(look.level);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let range = high - low;
    let x = |at: Timestamp| at.since(*start) as f64 / span * WIDTH;
    // A level curve runs through the middle.
    let y = |value: f64| match range > 0.0 {
        true => HEIGHT - (value - low) / range * HEIGHT,
        false => HEIGHT / 2.0,
    };
    let mut points = String::new();
    let mut before: Option<f64> = None;
    for (at, value) in thinned(curve) {
        // Writing to a String cannot fail.
        if let Some(before) = before.filter(|_| look.stepped) {
            let _ = write!(points, "{:.1},{:.1} ", x(at), y(before));
        }
        let _ = write!(points, "{:.1},{:.1} ", x(at), y(value));
        before = Some(value);
    }
    let points = points.trim_end();
    let base = format!("{:.1}", y(look.level.unwrap_or(low)));
    let area = format!("0,{base} {points} {WIDTH},{base}");
    Some(html! {
        div.plot {
            div.y { span { ((look.words)(high)) } span { ((look.words)(low)) } }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img"
                aria-label=(look.label) {
                @if look.filled { polygon class=(format!("fill {}", look.class)) points=(area) {} }
                @if look.level.is_some() {
                    line.level x1="0" x2="800" y1=(base) y2=(base) {}
                }
                polyline class=(look.class) points=(points) {}
            }
            div.x { span { (day(*start)) } span { (day(*end)) } }
        }
    })
}

/// Bars of how often results of a size occur.
pub(super) fn bars(bars: &[Bar]) -> Option<Markup> {
    let most = bars
        .iter()
        .map(|bar| bar.count)
        .max()
        .filter(|most| *most > 0)?;
    let width = WIDTH / bars.len() as f64;
    let (low, high) = (bars.first()?.low, bars.last()?.high);
    let shapes = bars.iter().enumerate().map(|(place, bar)| {
        let height = bar.count as f64 / most as f64 * HEIGHT;
        let class = if bar.low < 0.0 { "bar down" } else { "bar up" };
        html! {
            rect class=(class) x=(format!("{:.1}", place as f64 * width + 1.0))
                y=(format!("{:.1}", HEIGHT - height)) width=(format!("{:.1}", width - 2.0))
                height=(format!("{height:.1}")) {
                title { (format!("{} to {}: {}", bar.low, bar.high, bar.count)) }
            }
        }
    });
    let label = format!("Distribution of the results of closed trades, {low} to {high} pUSD");
    Some(html! {
        div.plot {
            div.y { span { (most) } span { "0" } }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img"
                aria-label=(label) {
                @for shape in shapes { (shape) }
            }
            div.x { span { (rounded(low)) } span { "0" } span { (rounded(high)) " pUSD" } }
        }
    })
}

/// What tokens paid against what they were thought worth; on the diagonal is calibrated.
pub(super) fn calibration(classes: &[Class]) -> Option<Markup> {
    const SIDE: f64 = 200.0;
    let most = classes.iter().map(|class| class.count).max()? as f64;
    let dots = classes.iter().map(|class| {
        let radius = 3.0 + 7.0 * (class.count as f64 / most).sqrt();
        html! {
            circle.dot cx=(format!("{:.1}", class.fair * SIDE))
                cy=(format!("{:.1}", SIDE - class.paid * SIDE)) r=(format!("{radius:.1}")) {
                title {
                    (format!("{} fair prices of {:.3} on average paid {:.3}", class.count,
                        class.fair, class.paid))
                }
            }
        }
    });
    Some(html! {
        div.plot.square {
            div.y { span { "1" } span { "paid" } span { "0" } }
            svg viewBox="-8 -8 216 216" role="img"
                aria-label="Calibration: what tokens paid against their fair price" {
                rect.frame x="0" y="0" width="200" height="200" {}
                line.level x1="0" y1="200" x2="200" y2="0" {}
                @for dot in dots { (dot) }
            }
            div.x { span { "0" } span { "fair price" } span { "1" } }
        }
    })
}

/// `2026-01-31`.
fn day(at: Timestamp) -> String {
    at.to_rfc3339().get(..10).unwrap_or_default().to_owned()
}

/// Without the noise of binary fractions.
fn rounded(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(level: Option<f64>) -> Look {
        Look {
            label: "Equity".to_owned(),
            class: "up",
            level,
            filled: false,
            stepped: false,
            words: |value| format!("{value:.0}"),
        }
    }

    #[test]
    fn points_lie_where_they_should() {
        let at = Timestamp::from_secs;
        let curve = [(at(0), 100.0), (at(50), 150.0), (at(100), 125.0)];
        let svg = line(&curve, &look(None)).unwrap().into_string();
        assert!(
            svg.contains(r#"points="0.0,200.0 400.0,0.0 800.0,100.0""#),
            "{svg}"
        );
        assert!(line(&curve[..1], &look(None)).is_none());
        let level = line(&[(at(0), 1.0), (at(1), 1.0)], &look(None)).unwrap();
        assert!(level.into_string().contains("0.0,100.0 800.0,100.0"));
        // A level of 50 is in the picture: 100 lies in the middle.
        let svg = line(&curve, &look(Some(50.0))).unwrap().into_string();
        assert!(svg.contains(r#"points="0.0,100.0 400.0,0.0"#), "{svg}");
    }

    #[test]
    fn steps_stand_until_the_next() {
        let at = Timestamp::from_secs;
        let stepped = Look {
            stepped: true,
            ..look(None)
        };
        let svg = line(&[(at(0), 0.0), (at(10), 10.0)], &stepped).unwrap();
        assert!(
            svg.into_string()
                .contains("0.0,200.0 800.0,200.0 800.0,0.0")
        );
    }

    #[test]
    fn bars_are_as_high_as_they_are_frequent() {
        let bar = |low: f64, count| Bar {
            low,
            high: low + 1.0,
            count,
        };
        let svg = bars(&[bar(-1.0, 2), bar(0.0, 4)]).unwrap().into_string();
        assert!(svg.contains(r#"class="bar down" x="1.0" y="100.0" width="398.0" height="100.0""#));
        assert!(svg.contains(r#"class="bar up" x="401.0" y="0.0""#), "{svg}");
        assert!(bars(&[]).is_none() && bars(&[bar(0.0, 0)]).is_none());
    }

    #[test]
    fn a_class_lies_at_its_means() {
        let class = Class {
            count: 9,
            fair: 0.25,
            paid: 0.5,
        };
        let svg = calibration(&[class]).unwrap().into_string();
        assert!(svg.contains(r#"cx="50.0" cy="100.0" r="10.0""#), "{svg}");
        assert!(calibration(&[]).is_none());
    }
}
