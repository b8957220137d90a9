//! Rows made odd in named ways, in the answer that would have been right.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What is done to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spoil {
    /// An id is a list of numbers.
    WrongType,
    /// A price of 1.7.
    PriceAboveOne,
    /// A price of `NaN`, as text.
    NanText,
    /// A size below nothing.
    NegativeSize,
    /// The ids are not there.
    MissingId,
    /// JSON within a string that breaks off; a row without any becomes such a string.
    BrokenInnerJson,
    /// A contract generation that nobody has heard of.
    UnknownVersion,
    /// A field more than there was: the row itself stays right.
    UnknownField,
    /// An object of another kind in the row's place; on a socket, another event type.
    UnknownRow,
    /// Nothing in the row's place.
    NullRow,
}

/// Fields that name what a row is about.
const IDS: [&str; 7] = [
    "id",
    "conditionId",
    "condition_id",
    "asset_id",
    "token_id",
    "proxy_wallet",
    "user_id",
];
/// Fields that hold a price.
const PRICES: [&str; 6] = [
    "outcomePrices",
    "price",
    "avg_price",
    "p",
    "mid",
    "best_bid",
];
/// Fields that hold a size or amount.
const SIZES: [&str; 6] = [
    "size",
    "orderMinSize",
    "current_size",
    "amount",
    "mos",
    "volume",
];
/// Fields in which JSON travels as text.
const INNER: [&str; 3] = ["outcomes", "clobTokenIds", "outcomePrices"];

/// Spoils the rows of a page, one for each entry, spread evenly over it: entry `k` of `n` strikes
/// row `k · rows / n`. Returns how many rows were spoiled: 0 where the answer holds no row, fewer
/// than entries where there are fewer rows.
pub(super) fn page(answer: &mut Value, spoils: &[Spoil]) -> usize {
    if let Some(rows) = rows_of(answer) {
        let count = rows.len();
        let used = spoils.len().min(count);
        for (place, spoil) in spoils.iter().take(used).enumerate() {
            if let Some(row) = rows.get_mut(place * count / used.max(1)) {
                one(row, *spoil);
            }
        }
        return used;
    }
    if !answer.is_object() {
        return 0;
    }
    let mut used = 0;
    for spoil in spoils {
        one(answer, *spoil);
        used += 1;
    }
    used
}

/// The rows of a page: the answer itself, or the first of its fields that is a list of objects.
/// A book's lists of levels are not rows: the book is.
fn rows_of(answer: &mut Value) -> Option<&mut Vec<Value>> {
    match answer {
        Value::Array(rows) => (!rows.is_empty()).then_some(rows),
        Value::Object(fields) if is_single(fields) => None,
        Value::Object(fields) => fields.values_mut().find_map(|field| match field {
            Value::Array(rows) if rows.first().is_some_and(Value::is_object) => Some(rows),
            _ => None,
        }),
        _ => None,
    }
}

fn is_single(fields: &Map<String, Value>) -> bool {
    fields.contains_key("asset_id")
        || fields.contains_key("event_type")
        || IDS.iter().take(3).any(|id| fields.contains_key(*id))
}

/// Spoils one row.
pub(in crate::sandbox) fn one(row: &mut Value, spoil: Spoil) {
    match spoil {
        Spoil::NullRow => *row = Value::Null,
        Spoil::UnknownRow => {
            *row = json!({"event_type": "liquidity_aurora", "aurora": {"phase": [1, 2, 3]}});
        }
        Spoil::UnknownField => set(row, "auroraPhase", json!({"of": ["things", 2, null]})),
        Spoil::UnknownVersion => set(row, "version", json!("v9")),
        Spoil::WrongType => {
            let id = present(row, &IDS).unwrap_or("id");
            set(row, id, json!([1, 7]));
        }
        Spoil::MissingId => {
            if let Value::Object(fields) = row {
                for id in IDS {
                    fields.shift_remove(id);
                }
            }
        }
        Spoil::PriceAboveOne => number(row, &PRICES, "price", "1.7"),
        Spoil::NanText => number(row, &PRICES, "price", "NaN"),
        Spoil::NegativeSize => number(row, &SIZES, "size", "-5"),
        Spoil::BrokenInnerJson => broken(row),
    }
}

fn set(row: &mut Value, field: &str, value: Value) {
    if let Value::Object(fields) = row {
        fields.insert(field.to_owned(), value);
    }
}

fn present(row: &Value, names: &[&'static str]) -> Option<&'static str> {
    names.iter().copied().find(|name| row.get(name).is_some())
}

/// Puts a number that cannot be where the row has one: in its best level or its first change if it
/// has such, else in the first field of `names` that it has, else in a new field.
fn number(row: &mut Value, names: &[&'static str], level: &str, text: &str) {
    for list in ["price_changes", "asks", "bids"] {
        let levels = row.get_mut(list).and_then(Value::as_array_mut);
        if let Some(levels) = levels {
            // The best level is a book's last.
            let entry = if list == "price_changes" {
                levels.first_mut()
            } else {
                levels.last_mut()
            };
            if let Some(entry) = entry {
                set(entry, level, json!(text));
                return;
            }
        }
    }
    let field = present(row, names).unwrap_or(level);
    let value = match row.get(field) {
        // JSON within a string, one number for each outcome.
        Some(Value::String(old)) if old.starts_with('[') => json!(format!("[\"{text}\", \"0.5\"]")),
        Some(Value::Number(_)) => text
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map_or_else(|| json!(text), |number| json!(number)),
        _ => json!(text),
    };
    set(row, field, value);
}

/// Breaks the first field with JSON in a string in half, or makes the row such a broken string.
fn broken(row: &mut Value) {
    for name in INNER {
        let field = row.get_mut(name);
        if let Some(Value::String(inner)) = field
            && inner.starts_with('[')
        {
            *inner = half(inner).to_owned();
            return;
        }
    }
    let text = row.to_string();
    *row = Value::String(half(&text).to_owned());
}

/// What comes before an answer or a frame to make it JSON no more, whatever it was.
pub(in crate::sandbox) const MALFORMED: &str = ",,";

/// The first half of a text, in whole characters.
pub(in crate::sandbox) fn half(text: &str) -> &str {
    let middle = text.floor_char_boundary(text.len() / 2);
    text.get(..middle).unwrap_or_default()
}

/// Moves every `timestamp` of a value by so many milliseconds: texts of digits and numbers, seconds
/// or milliseconds by their size. Returns how many were moved.
pub(in crate::sandbox) fn skew(value: &mut Value, millis: i64) -> usize {
    match value {
        Value::Array(items) => items.iter_mut().map(|item| skew(item, millis)).sum(),
        Value::Object(fields) => fields
            .iter_mut()
            .map(|(name, field)| {
                if name == "timestamp" {
                    usize::from(move_time(field, millis))
                } else {
                    skew(field, millis)
                }
            })
            .sum(),
        _ => 0,
    }
}

/// Moves one time. Unix seconds stay below 10^11 until the year 5138.
pub(super) fn move_time(value: &mut Value, millis: i64) -> bool {
    let moved = |time: i64| {
        if time.abs() < 100_000_000_000 {
            time.saturating_add(millis.div_euclid(1000))
        } else {
            time.saturating_add(millis)
        }
    };
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(time) => *value = json!(moved(time)),
            None => return false,
        },
        Value::String(text) => match text.parse() {
            Ok(time) => *text = moved(time).to_string(),
            Err(_) => return false,
        },
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market(id: usize) -> Value {
        json!({
            "id": id.to_string(), "conditionId": "0x1", "question": "?",
            "outcomes": "[\"Yes\", \"No\"]", "outcomePrices": "[\"0.4\", \"0.6\"]",
            "orderMinSize": 5, "version": "v1",
        })
    }

    #[test]
    fn each_way_leaves_its_own_mark_on_a_market() {
        let spoiled = |spoil| {
            let mut row = market(1);
            one(&mut row, spoil);
            row
        };
        assert_eq!(spoiled(Spoil::WrongType)["id"], json!([1, 7]));
        assert_eq!(
            spoiled(Spoil::PriceAboveOne)["outcomePrices"],
            "[\"1.7\", \"0.5\"]"
        );
        assert_eq!(
            spoiled(Spoil::NanText)["outcomePrices"],
            "[\"NaN\", \"0.5\"]"
        );
        assert_eq!(spoiled(Spoil::NegativeSize)["orderMinSize"], json!(-5.0));
        assert_eq!(spoiled(Spoil::MissingId).get("id"), None);
        assert_eq!(spoiled(Spoil::MissingId).get("conditionId"), None);
        assert_eq!(spoiled(Spoil::BrokenInnerJson)["outcomes"], "[\"Yes\"");
        assert_eq!(spoiled(Spoil::UnknownVersion)["version"], "v9");
        let more = spoiled(Spoil::UnknownField);
        assert_eq!(more.as_object().unwrap().len(), 8);
        assert_eq!(more["question"], "?");
        assert_eq!(spoiled(Spoil::NullRow), Value::Null);
        assert_eq!(spoiled(Spoil::UnknownRow)["event_type"], "liquidity_aurora");
    }

    #[test]
    fn a_book_is_spoiled_at_its_best_level() {
        let book = json!({
            "asset_id": "7", "bids": [{"price": "0.1", "size": "1"}, {"price": "0.2", "size": "2"}],
            "asks": [{"price": "0.9", "size": "3"}, {"price": "0.8", "size": "4"}],
        });
        let mut spoiled = book.clone();
        assert_eq!(
            page(&mut spoiled, &[Spoil::PriceAboveOne, Spoil::NegativeSize]),
            2
        );
        assert_eq!(spoiled["asks"][1], json!({"price": "1.7", "size": "-5"}));
        assert_eq!(spoiled["bids"], book["bids"]);
        let mut change = json!({"event_type": "price_change", "price_changes": [{"price": "0.5"}]});
        one(&mut change, Spoil::NanText);
        assert_eq!(change["price_changes"][0]["price"], "NaN");
        let mut row = book;
        one(&mut row, Spoil::BrokenInnerJson);
        assert!(row.as_str().unwrap().starts_with("{\"asset_id\""));
        let mut point = json!({"history": [{"t": 5, "p": 0.4}]});
        assert_eq!(page(&mut point, &[Spoil::PriceAboveOne]), 1);
        assert_eq!(point["history"][0]["p"], 1.7);
    }

    #[test]
    fn seven_of_a_hundred_rows_are_spoiled_evenly() {
        let ways = [
            Spoil::WrongType,
            Spoil::PriceAboveOne,
            Spoil::NanText,
            Spoil::NegativeSize,
            Spoil::MissingId,
            Spoil::BrokenInnerJson,
            Spoil::UnknownVersion,
        ];
        let rows: Vec<Value> = (0..100).map(market).collect();
        let mut answer = json!({"markets": rows, "next_cursor": "x"});
        assert_eq!(page(&mut answer, &ways), 7);
        let changed: Vec<usize> = (0..100)
            .filter(|place| answer["markets"][place] != market(*place))
            .collect();
        assert_eq!(changed, [0, 14, 28, 42, 57, 71, 85]);
        // Three rows take three entries; nothing takes none.
        let mut short = json!([market(0), market(1), market(2)]);
        assert_eq!(page(&mut short, &ways), 3);
        assert_eq!(page(&mut json!([]), &ways), 0);
        assert_eq!(page(&mut json!(1_795_420_800), &ways), 0);
    }

    #[test]
    fn what_is_malformed_is_json_no_more() {
        for text in ["{\"a\":1}", "[]", "1795420800", "\"OK\"", ""] {
            let malformed = format!("{MALFORMED}{text}");
            assert!(serde_json::from_str::<Value>(&malformed).is_err(), "{text}");
        }
    }

    #[test]
    fn half_a_text_is_whole_characters() {
        // Five bytes; the middle one is within the second character.
        assert_eq!(half("aébc"), "a");
        assert_eq!(half(""), "");
    }

    #[test]
    fn clocks_are_moved_in_the_unit_they_have() {
        let mut value = json!({"timestamp": "1795420800123", "data": [{"timestamp": 1_795_420_800},
            {"timestamp": "2026-11-23T08:00:00Z"}]});
        assert_eq!(skew(&mut value, -2500), 2);
        assert_eq!(value["timestamp"], "1795420797623");
        // −2.5 s in whole seconds: −3, as a floor.
        assert_eq!(value["data"][0]["timestamp"], 1_795_420_797);
        assert_eq!(value["data"][1]["timestamp"], "2026-11-23T08:00:00Z");
    }
}
