//! The faults that are armed, their budgets, and what has become of them.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::spec::{Delay, Fault, FaultError, FaultSpec, Host};
use crate::sandbox::noise::{Stream, stream};

/// Most faults kept, ended ones included.
const MOST: usize = 1_000;
/// Longest delay of a log-normal draw, in milliseconds.
const LONGEST: f64 = 60_000.0;

/// Where something is about to happen.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct Place<'a> {
    pub host: Option<Host>,
    /// Behind the host's prefix.
    pub path: &'a str,
    pub method: &'a str,
    /// Texts in which a token id may stand: query and body of a request.
    pub texts: [&'a str; 2],
    /// Tokens that a socket is subscribed to or a match is about.
    pub tokens: &'a [&'a str],
}

impl Place<'_> {
    fn names(&self, token: &str) -> bool {
        self.tokens.contains(&token) || self.texts.iter().any(|text| whole_number(text, token))
    }

    /// Routes that the venue answers with 425 while its engine restarts (docs: matching engine
    /// restarts, "all order-related endpoints").
    fn is_order_route(&self) -> bool {
        self.host == Some(Host::Clob)
            && (matches!(
                self.path,
                "/order" | "/orders" | "/cancel-all" | "/cancel-market-orders" | "/v1/heartbeats"
            ) || self.path.starts_with("/data/order"))
    }

    fn places_orders(&self) -> bool {
        self.host == Some(Host::Clob)
            && self.method == "POST"
            && matches!(self.path, "/order" | "/orders")
    }

    /// Whether the body holds an order that may take liquidity.
    fn takes(&self) -> bool {
        let [_, body] = self.texts;
        let taking = |order: &serde_json::Value| order.get("postOnly") != Some(&true.into());
        match serde_json::from_str::<serde_json::Value>(body) {
            Ok(serde_json::Value::Array(orders)) => orders.iter().any(taking),
            Ok(order) => taking(&order),
            Err(_) => true,
        }
    }
}

/// Whether the digits of `token` stand in `text` with no digit on either side.
fn whole_number(text: &str, token: &str) -> bool {
    text.match_indices(token).any(|(start, _)| {
        let before = text.get(..start).and_then(|part| part.chars().next_back());
        let after = text
            .get(start + token.len()..)
            .and_then(|part| part.chars().next());
        ![before, after].iter().flatten().any(char::is_ascii_digit)
    })
}

/// One fault and what is left of its budget.
#[derive(Debug)]
pub(super) struct Armed {
    pub id: u64,
    pub spec: FaultSpec,
    pub fired: u64,
    ends: Option<Instant>,
    random: Stream,
    taken_back: bool,
}

/// A fault as `GET /sandbox/faults` lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedFault {
    /// Given when it was armed, from 1 on.
    pub id: u64,
    /// As it was asked for.
    #[serde(flatten)]
    pub spec: FaultSpec,
    /// How often it has struck.
    pub fired: u64,
    /// Whether it can still strike.
    pub armed: bool,
}

impl Armed {
    fn live(&self, now: Instant) -> bool {
        !self.taken_back
            && self.ends.is_none_or(|ends| now < ends)
            && self
                .spec
                .budget
                .next
                .is_none_or(|next| self.fired < u64::from(next))
    }

    /// Whether it could strike here, budget and luck aside.
    fn fits(&self, place: &Place<'_>) -> bool {
        let scope = &self.spec.scope;
        let by_kind = match &self.spec.fault {
            Fault::Restarting {} => scope.path.is_some() || place.is_order_route(),
            Fault::Disabled {} => place.is_order_route(),
            Fault::CancelOnly {} => place.places_orders(),
            Fault::PostOnly {} => place.places_orders() && place.takes(),
            Fault::LostAnswer {} => scope.path.is_some() || place.places_orders(),
            Fault::ClockSkew { .. } => {
                scope.host.is_some() || matches!(place.host, Some(Host::Clob | Host::Ws))
            }
            _ => true,
        };
        by_kind
            && scope.host.is_none_or(|host| place.host == Some(host))
            && scope
                .path
                .as_ref()
                .is_none_or(|path| place.path.starts_with(path.as_str()))
            && scope
                .method
                .as_ref()
                .is_none_or(|method| place.method.eq_ignore_ascii_case(method))
            && scope.token.as_ref().is_none_or(|token| place.names(token))
    }

    /// Draws and, if it strikes, counts.
    fn strike(&mut self) -> bool {
        let strikes = self
            .spec
            .budget
            .probability
            .is_none_or(|probability| self.random.unit() < probability);
        self.fired += u64::from(strikes);
        strikes
    }

    /// A delay, in real time.
    fn delay(&mut self) -> Duration {
        let Fault::Latency { ms } = self.spec.fault else {
            return Duration::ZERO;
        };
        match ms {
            Delay::Fixed(ms) => Duration::from_millis(ms),
            Delay::Uniform(low, high) => {
                let millis = self.random.between(low as f64, high as f64);
                Duration::from_secs_f64(millis / 1000.0)
            }
            Delay::Lognormal { median, sigma } => {
                let millis = median * (sigma * self.random.normal()).exp();
                Duration::from_secs_f64(millis.min(LONGEST) / 1000.0)
            }
        }
    }
}

/// Every fault armed so far, in order.
#[derive(Debug, Default)]
pub(super) struct List {
    faults: Vec<Armed>,
    last_id: u64,
}

impl List {
    /// Arms one. Errors: [`FaultError`].
    pub(super) fn arm(
        &mut self,
        spec: FaultSpec,
        seed: u64,
        now: Instant,
    ) -> Result<u64, FaultError> {
        spec.check()?;
        if self.faults.len() >= MOST {
            self.faults.retain(|fault| fault.live(now));
        }
        if self.faults.len() >= MOST {
            return Err(FaultError::Full(MOST));
        }
        self.last_id += 1;
        self.faults.push(Armed {
            id: self.last_id,
            ends: spec.budget.for_ms.map(|ms| now + Duration::from_millis(ms)),
            random: stream(&[seed, self.last_id, 0xFA17]),
            spec,
            fired: 0,
            taken_back: false,
        });
        Ok(self.last_id)
    }

    /// Takes one back, or all. Returns how many could still have struck.
    pub(super) fn disarm(&mut self, id: Option<u64>, now: Instant) -> usize {
        let mut count = 0;
        for fault in &mut self.faults {
            if id.is_none_or(|id| fault.id == id) && fault.live(now) {
                fault.taken_back = true;
                count += 1;
            }
        }
        count
    }

    pub(super) fn live(&self, now: Instant) -> usize {
        self.faults.iter().filter(|fault| fault.live(now)).count()
    }

    pub(super) fn listed(&self, now: Instant) -> Vec<ListedFault> {
        self.faults
            .iter()
            .map(|fault| ListedFault {
                id: fault.id,
                spec: fault.spec.clone(),
                fired: fault.fired,
                armed: fault.live(now),
            })
            .collect()
    }

    /// Whether one of the wanted kind could strike here.
    pub(super) fn any(
        &self,
        place: &Place<'_>,
        wanted: &dyn Fn(&Fault) -> bool,
        now: Instant,
    ) -> bool {
        self.faults
            .iter()
            .any(|fault| wanted(&fault.spec.fault) && fault.live(now) && fault.fits(place))
    }

    /// The first of the wanted kind that strikes here.
    pub(super) fn first(
        &mut self,
        place: &Place<'_>,
        wanted: &dyn Fn(&Fault) -> bool,
        now: Instant,
    ) -> Option<Fault> {
        self.faults
            .iter_mut()
            .filter(|fault| wanted(&fault.spec.fault) && fault.live(now) && fault.fits(place))
            .find_map(|fault| fault.strike().then(|| fault.spec.fault.clone()))
    }

    /// All delays that strike here, added up.
    pub(super) fn delay(&mut self, place: &Place<'_>, now: Instant) -> Duration {
        let mut total = Duration::ZERO;
        for fault in &mut self.faults {
            let late = matches!(fault.spec.fault, Fault::Latency { .. });
            if late && fault.live(now) && fault.fits(place) && fault.strike() {
                total += fault.delay();
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::faults::spec::{Budget, Scope};

    fn armed(text: &str) -> List {
        let mut list = List::default();
        let spec = serde_json::from_str(text).unwrap();
        list.arm(spec, 1, Instant::now()).unwrap();
        list
    }

    fn clob<'a>(method: &'a str, path: &'a str, texts: [&'a str; 2]) -> Place<'a> {
        Place {
            host: Some(Host::Clob),
            path,
            method,
            texts,
            tokens: &[],
        }
    }

    fn strikes(list: &mut List, place: &Place<'_>) -> bool {
        list.first(place, &|_| true, Instant::now()).is_some()
    }

    #[test]
    fn a_scope_needs_all_of_its_parts() {
        let text = r#"{"fault": {"kind": "malformed"},
            "scope": {"host": "clob", "path": "/book", "method": "get", "token": "123"}}"#;
        let mut list = armed(text);
        assert!(strikes(
            &mut list,
            &clob("GET", "/book", ["token_id=123", ""])
        ));
        assert!(!strikes(
            &mut list,
            &clob("GET", "/book", ["token_id=1234", ""])
        ));
        assert!(!strikes(
            &mut list,
            &clob("GET", "/book", ["token_id=0123", ""])
        ));
        assert!(!strikes(
            &mut list,
            &clob("POST", "/book", ["token_id=123", ""])
        ));
        assert!(!strikes(
            &mut list,
            &clob("GET", "/midpoint", ["token_id=123", ""])
        ));
        let elsewhere = Place {
            host: Some(Host::Data),
            ..clob("GET", "/book", ["token_id=123", ""])
        };
        assert!(!strikes(&mut list, &elsewhere));
        let socket = Place {
            tokens: &["9", "123"],
            ..clob("GET", "/book", ["", ""])
        };
        assert!(strikes(&mut list, &socket));
        assert_eq!(list.listed(Instant::now())[0].fired, 2);
    }

    #[test]
    fn budgets_end_by_number_by_time_and_by_hand() {
        let now = Instant::now();
        let place = clob("GET", "/book", ["", ""]);
        let mut list = armed(r#"{"fault": {"kind": "malformed"}, "budget": {"next": 2}}"#);
        let hits: Vec<bool> = (0..4).map(|_| strikes(&mut list, &place)).collect();
        assert_eq!(hits, [true, true, false, false]);
        assert!(!list.listed(now)[0].armed);

        let mut list = List::default();
        let spec = FaultSpec {
            budget: Budget {
                for_ms: Some(50),
                ..Budget::default()
            },
            ..FaultSpec::latency_ms(7)
        };
        list.arm(spec, 1, now).unwrap();
        let just_before = now + Duration::from_millis(49);
        assert_eq!(list.delay(&place, just_before), Duration::from_millis(7));
        let after = now + Duration::from_millis(50);
        assert_eq!(list.delay(&place, after), Duration::ZERO);
        assert_eq!((list.live(just_before), list.live(after)), (1, 0));

        let id = list.arm(FaultSpec::latency_ms(1), 1, now).unwrap();
        assert_eq!(list.disarm(Some(99), now), 0);
        assert_eq!(list.disarm(Some(id), now), 1);
        assert_eq!(list.disarm(None, now), 1);
        assert_eq!(list.live(now), 0);
    }

    #[test]
    fn probability_comes_from_the_seed() {
        let place = clob("GET", "/book", ["", ""]);
        let draw = |seed| -> Vec<bool> {
            let mut list = List::default();
            let spec = FaultSpec {
                fault: Fault::Malformed {},
                scope: Scope::default(),
                budget: Budget {
                    probability: Some(0.3),
                    ..Budget::default()
                },
            };
            list.arm(spec, seed, Instant::now()).unwrap();
            (0..2_000).map(|_| strikes(&mut list, &place)).collect()
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
        // 600 expected, standard deviation sqrt(2000 · 0.3 · 0.7) = 20.5.
        let hits = draw(5).iter().filter(|hit| **hit).count();
        assert!((518..=682).contains(&hits), "{hits}");
    }

    #[test]
    fn delays_have_the_distribution_asked_for() {
        let now = Instant::now();
        let place = clob("GET", "/book", ["", ""]);
        let draws = |text: &str| -> Vec<f64> {
            let mut list = armed(text);
            let mut all: Vec<f64> = (0..4_000)
                .map(|_| list.delay(&place, now).as_secs_f64() * 1000.0)
                .collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let uniform = draws(r#"{"fault": {"kind": "latency", "ms": {"uniform": [20, 80]}}}"#);
        assert!(uniform[0] >= 20.0 && uniform[3_999] < 80.0);
        let mean = uniform.iter().sum::<f64>() / 4_000.0;
        assert!((mean - 50.0).abs() < 1.5, "{mean}");
        let text =
            r#"{"fault": {"kind": "latency", "ms": {"lognormal": {"median": 40, "sigma": 0.5}}}}"#;
        let lognormal = draws(text);
        // Quartiles of a log-normal: 40 · exp(±0.6745 · 0.5) = 28.55 and 56.04.
        for (place, expected) in [(1_000, 28.55), (2_000, 40.0), (3_000, 56.04)] {
            let found: f64 = lognormal[place];
            assert!((found / expected - 1.0).abs() < 0.06, "{place}: {found}");
        }
    }

    #[test]
    fn modes_of_the_engine_strike_the_order_routes_only() {
        let order = |post_only: bool| {
            format!(r#"{{"order": {{}}, "orderType": "GTC", "postOnly": {post_only}}}"#)
        };
        let (taking, resting) = (order(false), order(true));
        let mixed = format!("[{resting},{taking}]");
        let place_taking = clob("POST", "/order", ["", &taking]);
        let place_resting = clob("POST", "/order", ["", &resting]);
        let place_mixed = clob("POST", "/orders", ["", &mixed]);
        let cancel = clob("DELETE", "/orders", ["", "[]"]);
        let book = clob("GET", "/book", ["", ""]);
        let scoring = clob("GET", "/order-scoring", ["", ""]);
        for (kind, expected) in [
            ("post_only", [true, false, true, false, false, false]),
            ("cancel_only", [true, true, true, false, false, false]),
            ("disabled", [true, true, true, true, false, false]),
            ("restarting", [true, true, true, true, false, false]),
            ("lost_answer", [true, true, true, false, false, false]),
        ] {
            let mut list = armed(&format!(r#"{{"fault": {{"kind": "{kind}"}}}}"#));
            let places = [
                &place_taking,
                &place_resting,
                &place_mixed,
                &cancel,
                &book,
                &scoring,
            ];
            assert_eq!(
                places.map(|place| strikes(&mut list, place)),
                expected,
                "{kind}"
            );
        }
        let mut list = armed(r#"{"fault": {"kind": "restarting"}, "scope": {"path": "/book"}}"#);
        assert!(strikes(&mut list, &book));
    }
}
