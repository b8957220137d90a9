//! `resolutions.csv`: how and when recorded markets ended.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::domain::{Outcome, Price, Resolution, Timestamp, TokenId, text};
use crate::market_data::DataError;

use super::cells;
use super::fields;
use super::input;
use super::records::Records;
use super::rows::{
    BAD_ID, Cancelled, RECORDS_PER_QUESTION, column, file_error, file_name, is_id, names, place,
};
use super::skips::Skips;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) resolved_at: Timestamp,
    pub(super) outcome: String,
    /// `resolutions.csv: official`.
    pub(super) evidence: String,
    /// File and line, for messages.
    pub(super) place: String,
}

/// Adds the lines of `path` to `known`, by market id; of two lines for a market the first counts.
///
/// A line without a time is skipped and counted: it cannot be placed without looking ahead.
/// Errors: the file cannot be read or lacks `market_id`, `resolved_at` or `outcome`; or
/// `cancelled` said so.
pub(super) fn read_file(
    path: &Path,
    skips: &mut Skips,
    cancelled: Cancelled<'_>,
    known: &mut HashMap<String, Line>,
) -> Result<(), DataError> {
    let input = input::open(path).map_err(|error| file_error(path, error))?;
    read(input, path, skips, cancelled, known)
}

/// The same from an open `input`; `path` is for messages.
pub(super) fn read(
    input: impl Read,
    path: &Path,
    skips: &mut Skips,
    cancelled: Cancelled<'_>,
    known: &mut HashMap<String, Line>,
) -> Result<(), DataError> {
    let name = file_name(path);
    let file: Arc<str> = name.as_str().into();
    let failed = |error: std::io::Error| file_error(path, error);
    let mut records = Records::new(input);
    records.advance().map_err(failed)?;
    let header = names(&records);
    let (Some(market), Some(time), Some(outcome)) = (
        column(&header, "market_id"),
        column(&header, "resolved_at"),
        column(&header, "outcome"),
    ) else {
        return Err(file_error(
            path,
            "the header needs the columns market_id, resolved_at and outcome",
        ));
    };
    let basis = column(&header, "basis");
    let mut count = 0_u64;
    loop {
        if count.is_multiple_of(RECORDS_PER_QUESTION) && cancelled() {
            return Err(DataError::Cancelled);
        }
        count += 1;
        if !records.advance().map_err(failed)? {
            return Ok(());
        }
        let field = |index: usize| records.field(index).unwrap_or_default();
        let text_at =
            |index: usize, most: usize| text::clean(&String::from_utf8_lossy(field(index)), most);
        let first = || place(&file, &records).to_string();
        if field(market).is_empty() || field(outcome).is_empty() {
            skips.count("a resolution has no market or no outcome", first);
            continue;
        }
        let Some(resolved_at) = fields::timestamp(field(time)) else {
            skips.count("a resolution has no time that can be read", first);
            continue;
        };
        let id = String::from_utf8_lossy(field(market)).into_owned();
        if !is_id(&id) {
            skips.count(BAD_ID, first);
            continue;
        }
        if known.contains_key(&id) {
            skips.count("a market is resolved twice; the first line counts", first);
            continue;
        }
        let basis = basis.map_or_else(String::new, |index| text_at(index, text::MAX_NAME));
        let evidence = if basis.is_empty() {
            name.clone()
        } else {
            format!("{name}: {basis}")
        };
        known.insert(
            id,
            Line {
                resolved_at,
                outcome: text::clean(
                    &String::from_utf8_lossy(cells::unguarded(field(outcome))),
                    text::MAX_NAME,
                ),
                evidence,
                place: first(),
            },
        );
    }
}

impl Line {
    /// The resolution in terms of the market's tokens; `None` when the outcome is neither one of
    /// its outcomes' names nor a split.
    pub(super) fn resolve(
        &self,
        market_id: &crate::domain::MarketId,
        outcomes: &[Outcome],
    ) -> Option<Resolution> {
        Some(Resolution {
            market_id: market_id.clone(),
            payouts: payouts(&self.outcome, outcomes)?,
            resolved_at: Some(self.resolved_at),
            evidence: self.evidence.clone(),
        })
    }
}

fn payouts(outcome: &str, outcomes: &[Outcome]) -> Option<Vec<(TokenId, Price)>> {
    let winner = outcomes
        .iter()
        .position(|candidate| candidate.name.eq_ignore_ascii_case(outcome));
    if let Some(winner) = winner {
        return Some(
            outcomes
                .iter()
                .enumerate()
                .map(|(index, candidate)| {
                    let payout = if index == winner {
                        Price::ONE
                    } else {
                        Price::ZERO
                    };
                    (candidate.token.clone(), payout)
                })
                .collect(),
        );
    }
    let split = matches!(
        outcome.to_ascii_lowercase().as_str(),
        "50-50" | "50/50" | "0.5" | "split" | "tie" | "invalid"
    );
    let half = Price::from_micros(500_000).ok()?;
    (split && outcomes.len() == 2).then(|| {
        outcomes
            .iter()
            .map(|candidate| (candidate.token.clone(), half))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, token: &str) -> Outcome {
        Outcome {
            name: name.into(),
            token: token.into(),
            synthetic: false,
            indicative_price: None,
        }
    }

    #[test]
    fn outcomes_pay_by_name_or_half_each() {
        let teams = [outcome("Nets", "1"), outcome("Heat", "2")];
        let paid = |text: &str| {
            payouts(text, &teams).map(|payouts| {
                payouts
                    .iter()
                    .map(|(token, price)| format!("{token}:{price}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        assert_eq!(paid("heat").as_deref(), Some("1:0 2:1"));
        assert_eq!(paid("Nets").as_deref(), Some("1:1 2:0"));
        assert_eq!(paid("50-50").as_deref(), Some("1:0.5 2:0.5"));
        assert_eq!(paid("Yes"), None);
    }

    #[test]
    fn lines_that_cannot_be_placed_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolutions.csv");
        std::fs::write(
            &path,
            "market_id,token_id,resolved_at,outcome,basis\n\
             a,1,2026-01-02T00:00:00Z,Yes,official (Gamma)\n\
             b,2,,No,official label; time unknown\n\
             a,1,2026-01-03T00:00:00Z,No,label\n\
             c,3,2026-01-03T00:00:00Z,,label\n",
        )
        .unwrap();
        let (mut skips, mut known) = (Skips::default(), HashMap::new());
        read_file(&path, &mut skips, &|| false, &mut known).unwrap();
        assert_eq!(known.len(), 1);
        assert_eq!(known["a"].evidence, "resolutions.csv: official (Gamma)");
        assert_eq!(known["a"].outcome, "Yes");
        assert_eq!(skips.total(), 3);
        let timeless = skips
            .get("a resolution has no time that can be read")
            .unwrap();
        assert!(timeless.first.starts_with("resolutions.csv:3: b,2,"));
    }
}
