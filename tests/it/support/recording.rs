//! A small recording whose every price is known beforehand.
//!
//! Hourly rows over three days from 2026-06-01T00:00:00Z; all prices are multiples of 0.005, the spread is the
//! default 0.02, so every book is the mid ± 0.01 with 1000 shares on each side.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

/// First row: 2026-06-01T00:00:00Z.
const START_SECS: i64 = 1_780_272_000;
/// Rows of each market, one an hour.
const HOURS: i64 = 72;

/// Markets 1001 to 1006 stand at 0.40 and jump to 0.55 at hours 30 to 35, one an hour. 1001 falls
/// to 0.40 at hour 33; 1002 resolves to Yes at hour 34.
pub const RISING: [&str; 6] = ["1001", "1002", "1003", "1004", "1005", "1006"];
/// Stands at 0.50, fee rate 0.07 (crypto).
pub const CALM: &str = "1009";
/// Falls from 0.60 to 0.20 at hour 40, fee rate 0.05.
pub const DECLINING: &str = "1010";

/// A directory of CSV files.
pub struct Recording {
    dir: TempDir,
}

/// Hour `hour` of the recording, RFC 3339.
pub fn at(hour: i64) -> String {
    chrono::DateTime::from_timestamp(START_SECS + hour * 3600, 0)
        .unwrap()
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn price(market: &str, hour: i64) -> f64 {
    if let Some(index) = RISING.iter().position(|id| *id == market) {
        let jump = 30 + i64::try_from(index).unwrap();
        let fell = market == "1001" && hour >= 33;
        return if hour >= jump && !fell { 0.55 } else { 0.40 };
    }
    if market == DECLINING {
        return if hour >= 40 { 0.20 } else { 0.60 };
    }
    0.50
}

/// Token of outcome 0 (Yes) or 1 (No).
fn token(market: &str, outcome: usize) -> String {
    format!("77{market}{outcome}")
}

impl Recording {
    /// Each market in an event of its own.
    pub fn new() -> Self {
        Self::with_events(|market| format!("event-{market}"))
    }

    /// [`CALM`] and [`DECLINING`] in one event.
    pub fn sharing_an_event() -> Self {
        Self::with_events(|market| match market {
            CALM | DECLINING => "event-shared".to_owned(),
            _ => format!("event-{market}"),
        })
    }

    fn with_events(event_of: impl Fn(&str) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let markets: Vec<&str> = RISING.iter().copied().chain([CALM, DECLINING]).collect();
        let mut rows = "timestamp,market_id,question,yes_price,volume,token_id\n".to_owned();
        for hour in 0..HOURS {
            for market in &markets {
                writeln!(
                    rows,
                    "{},{market},Will number {market} happen?,{},{},{}",
                    at(hour),
                    price(market, hour),
                    100_000 + hour * 1_000,
                    token(market, 0)
                )
                .unwrap();
            }
        }
        std::fs::write(dir.path().join("prices.csv"), rows).unwrap();
        let metadata: Vec<_> = markets
            .iter()
            .map(|market| {
                json!({
                    "id": market,
                    "slug": format!("number-{market}"),
                    "description": format!("Resolves to Yes if number {market} happens."),
                    "event_key": event_of(market),
                    "event_title": format!("Number {market}"),
                    "category": if *market == CALM { "crypto" } else { "sports" },
                    "outcomes": ["Yes", "No"],
                    "clob_token_ids": [token(market, 0), token(market, 1)],
                    "tick_size": 0.01,
                    "min_order_size": 5,
                    "fees_enabled": true,
                    "end_date": "2026-12-31T00:00:00Z",
                })
            })
            .collect();
        let metadata = serde_json::to_string(&metadata).unwrap();
        std::fs::write(dir.path().join("markets.json"), metadata).unwrap();
        let resolved = format!(
            "market_id,resolved_at,outcome,basis\n1002,{},Yes,official\n",
            at(34)
        );
        std::fs::write(dir.path().join("resolutions.csv"), resolved).unwrap();
        Recording { dir }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// The command-line options that stand at `moment`.
    pub fn source<'a>(&'a self, moment: &'a str) -> Vec<&'a str> {
        let dir = self.dir.path().to_str().unwrap();
        vec!["--source", "recorded", "--data", dir, "--at", moment]
    }

    pub fn token(&self, market: &str, outcome: usize) -> String {
        token(market, outcome)
    }
}
