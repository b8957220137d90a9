//! `markets.json`: what is known of the recorded markets besides their prices.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::{FeeSchedule, Price, Shares, Timestamp};
use crate::market_data::DataError;

use super::rows::{BAD_ID, file_error, file_name, is_id};
use super::skips::Skips;

/// One entry, each field absent where the file does not state it. All text is untrusted.
///
/// Fields that tell the future of a market (final volumes and prices, whether it is closed) are not
/// read at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Metadata {
    /// Since when the venue says so; `None`: nobody knows.
    pub(super) as_of: Option<Timestamp>,
    pub(super) condition_id: Option<String>,
    pub(super) slug: Option<String>,
    /// What the rows of price files do not tell.
    pub(super) question: Option<String>,
    pub(super) description: Option<String>,
    pub(super) event_key: Option<String>,
    pub(super) event_slug: Option<String>,
    pub(super) event_title: Option<String>,
    pub(super) category: Option<String>,
    pub(super) start: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) outcomes: Vec<String>,
    pub(super) tokens: Vec<String>,
    pub(super) neg_risk: Option<bool>,
    pub(super) tick: Option<Price>,
    pub(super) min_size: Option<Shares>,
    pub(super) fees_enabled: Option<bool>,
    /// The market's own terms.
    pub(super) fee: Option<FeeSchedule>,
}

/// The file's own shape; everything but the id may be missing or null.
#[derive(Deserialize)]
struct Entry {
    id: Value,
    as_of: Option<Value>,
    condition_id: Option<String>,
    slug: Option<String>,
    question: Option<String>,
    description: Option<String>,
    event_key: Option<String>,
    event_slug: Option<String>,
    event_title: Option<String>,
    category: Option<String>,
    start_date: Option<String>,
    end_date: Option<String>,
    outcomes: Option<Vec<String>>,
    clob_token_ids: Option<Vec<String>>,
    neg_risk: Option<bool>,
    tick_size: Option<Value>,
    min_order_size: Option<Value>,
    fees_enabled: Option<bool>,
    fee_rate: Option<Value>,
    fee_exponent: Option<u8>,
}

/// Largest file that is read whole: some hundred thousand markets.
const MAX_BYTES: u64 = 512 << 20;

/// What is known of each market, by id: one entry, or several that held one after the other.
pub(super) type Known = HashMap<String, Vec<Metadata>>;

/// Entries by market id, those of one market in order of `as_of`; of two for the same moment the last
/// counts. An entry that makes no sense is skipped and counted.
///
/// Errors: the file cannot be read, is larger than 512 MiB, or is not a JSON array.
pub(super) fn read_file(path: &Path, skips: &mut Skips) -> Result<Known, DataError> {
    let size = std::fs::metadata(path)
        .map_err(|error| file_error(path, error))?
        .len();
    if size > MAX_BYTES {
        return Err(file_error(
            path,
            "the file is larger than the cap of 512 MiB",
        ));
    }
    let bytes = std::fs::read(path).map_err(|error| file_error(path, error))?;
    read(&bytes, path, skips)
}

/// The same from the file's content; `path` is for messages.
pub(super) fn read(bytes: &[u8], path: &Path, skips: &mut Skips) -> Result<Known, DataError> {
    let name = file_name(path);
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let entries: Vec<Value> =
        serde_json::from_slice(bytes).map_err(|error| file_error(path, error))?;
    let mut known: Known = HashMap::with_capacity(entries.len());
    for (index, value) in entries.into_iter().enumerate() {
        match entry(value) {
            Ok((id, metadata)) => {
                let editions = known.entry(id).or_default();
                editions.retain(|edition| edition.as_of != metadata.as_of);
                editions.push(metadata);
            }
            Err(detail) => skips.count("an entry of markets.json makes no sense", || {
                format!("{name}: entry {}: {detail}", index + 1)
            }),
        }
    }
    for editions in known.values_mut() {
        editions.sort_by_key(|edition| edition.as_of);
    }
    Ok(known)
}

/// One entry: the market's id, and what it says. Errors: what is wrong with it.
pub(super) fn entry(value: Value) -> Result<(String, Metadata), String> {
    let entry: Entry = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let id = text_of(&entry.id).ok_or("the id is neither text nor a number")?;
    let tokens = entry.clob_token_ids.unwrap_or_default();
    if !is_id(&id) || !tokens.iter().all(|token| is_id(token)) {
        return Err(BAD_ID.to_owned());
    }
    let as_of = entry
        .as_of
        .as_ref()
        .and_then(text_of)
        .map(|text| Timestamp::parse(&text).ok_or_else(|| format!("as_of: `{text}` is no moment")))
        .transpose()?;
    let date = |text: Option<String>| -> Result<Option<Timestamp>, String> {
        text.map(|text| Timestamp::parse(&text).ok_or_else(|| format!("`{text}` is not a date")))
            .transpose()
    };
    let tick = entry
        .tick_size
        .as_ref()
        .and_then(text_of)
        .map(|text| Price::parse(&text).map_err(|error| format!("tick_size: {error}")))
        .transpose()?;
    if tick.is_some_and(|tick| tick == Price::ZERO || !Price::ONE.is_multiple_of(tick)) {
        return Err("tick_size does not divide 1".to_owned());
    }
    let min_size = entry
        .min_order_size
        .as_ref()
        .and_then(text_of)
        .map(|text| Shares::parse(&text).map_err(|error| format!("min_order_size: {error}")))
        .transpose()?;
    let fee = entry
        .fee_rate
        .as_ref()
        .and_then(text_of)
        .map(|rate| {
            // Nearly all markets have the exponent 1.
            FeeSchedule::new(&rate, entry.fee_exponent.unwrap_or(1))
                .map_err(|error| format!("fee_rate: {error}"))
        })
        .transpose()?;
    let metadata = Metadata {
        as_of,
        condition_id: entry.condition_id,
        slug: entry.slug,
        question: entry.question,
        description: entry.description,
        event_key: entry.event_key,
        event_slug: entry.event_slug,
        event_title: entry.event_title,
        category: entry.category,
        start: date(entry.start_date)?,
        end: date(entry.end_date)?,
        outcomes: entry.outcomes.unwrap_or_default(),
        tokens,
        neg_risk: entry.neg_risk,
        tick,
        min_size,
        fees_enabled: entry.fees_enabled,
        fee,
    };
    Ok((id, metadata))
}

/// Text, or a number as it is written.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_entries_are_skipped_and_the_future_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("markets.json");
        std::fs::write(
            &path,
            r#"[{"id": 7, "tick_size": 0.001, "min_order_size": "5", "end_date": "2026-08-07",
                 "neg_risk": true, "volume_final_usd": 123456.0, "unheard_of": []},
                {"question": "no id"},
                {"id": "8", "tick_size": 0.3},
                {"id": "9", "end_date": "soon"},
                {"id": "11", "fee_rate": "1.5"},
                {"id": 12, "fee_rate": 0.25, "fee_exponent": 2},
                {"id": "10", "clob_token_ids": ["1", "LONG"]}]"#
                .replace("LONG", &"9".repeat(201)),
        )
        .unwrap();
        let mut skips = Skips::default();
        let known = read_file(&path, &mut skips).unwrap();
        assert_eq!(known.len(), 2);
        assert_eq!(known["12"][0].fee, FeeSchedule::new("0.25", 2).ok());
        let seven = &known["7"][0];
        assert_eq!(seven.tick, Some(Price::from_micros(1_000).unwrap()));
        assert_eq!(seven.min_size, Some(Shares::whole(5)));
        assert_eq!(seven.end, Timestamp::parse("2026-08-07"));
        assert_eq!((seven.fees_enabled, seven.fee), (None, None));
        let skipped = skips
            .get("an entry of markets.json makes no sense")
            .unwrap();
        assert_eq!(skipped.count, 5);
        assert!(skipped.first.contains("entry 2"), "{}", skipped.first);
        std::fs::write(&path, "{").unwrap();
        assert!(read_file(&path, &mut skips).is_err());
    }

    #[test]
    fn entries_of_one_market_hold_one_after_the_other() {
        let text = r#"[{"id": "a", "as_of": "2026-01-02T00:00:00Z", "end_date": "2026-02-02"},
                       {"id": "a", "end_date": "2026-02-01", "category": "old"},
                       {"id": "a", "end_date": "2026-02-01", "category": "sports"},
                       {"id": "a", "as_of": 1767225600, "end_date": "2026-02-03"},
                       {"id": "b", "as_of": "later"}]"#;
        let mut skips = Skips::default();
        let known = read(text.as_bytes(), Path::new("markets.json"), &mut skips).unwrap();
        let ends: Vec<_> = known["a"]
            .iter()
            .map(|edition| edition.end.unwrap().to_rfc3339())
            .collect();
        // Nobody knows since when the first; then 2026-01-01, then 2026-01-02.
        assert_eq!(
            ends,
            [
                "2026-02-01T00:00:00Z",
                "2026-02-03T00:00:00Z",
                "2026-02-02T00:00:00Z"
            ]
        );
        assert_eq!(known["a"][0].category.as_deref(), Some("sports"));
        assert_eq!((known.len(), skips.total()), (1, 1));
    }
}
