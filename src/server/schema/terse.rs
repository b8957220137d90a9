//! Shorter output schemas: of a description what a reader cannot guess from the name.
//!
//! A number keeps its unit, a text by strangers keeps its mark, a moment with an uncommon name its format; of all other
//! fields the name has to do. Inner objects do not repeat which of their fields are always there.

use serde_json::{Map, Value};

/// How moments are written.
const RFC_3339: &str = "RFC 3339";
/// Longest first clause that is kept, bytes: what is longer explains, and the name has to do.
const CLAUSE: usize = 16;
/// Units as descriptions write them; the first one found counts.
const UNITS: [&str; 7] = [
    "pUSD per share",
    "pUSD",
    "0–1",
    "shares",
    "hours",
    "seconds",
    "fraction",
];

/// Shortens a schema and all within it.
pub fn shorten(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(map) => {
            // A property may itself be called `description` or `required`: those are schemas.
            if let Some(Value::Object(properties)) = map.get_mut("properties") {
                for (name, property) in properties.iter_mut() {
                    shorten(property);
                    drop_unit_of(name, property);
                }
                map.shift_remove("required");
                map.shift_remove("description");
            }
            for (key, inner) in map.iter_mut() {
                if key != "properties" {
                    shorten(inner);
                }
            }
            describe(map);
        }
        _ => {}
    }
}

/// Names of moments: all of them are RFC 3339 in UTC, as the server's instructions say.
const MOMENTS: [&str; 6] = [
    "at",
    "timestamp",
    "since",
    "end_date",
    "start_date",
    "last_success",
];

/// A unit or format that the name says already: `shares`, `age_seconds`, `created_at`.
fn drop_unit_of(name: &str, property: &mut Value) {
    let Value::Object(map) = property else { return };
    let Some(Value::String(text)) = map.get("description") else {
        return;
    };
    let is_moment = name.ends_with("_at") || MOMENTS.contains(&name);
    if name.ends_with(text.as_str()) || (is_moment && text == RFC_3339) {
        map.shift_remove("description");
    }
}

fn describe(map: &mut Map<String, Value>) {
    let Some(Value::String(text)) = map.get("description") else {
        return;
    };
    match short(text, kind(map)) {
        Some(short) => {
            map.insert("description".to_owned(), Value::String(short));
        }
        None => {
            map.shift_remove("description");
        }
    }
}

/// The type that is not null, or nothing.
fn kind(map: &Map<String, Value>) -> &str {
    match map.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null")
            .unwrap_or(""),
        _ => "",
    }
}

fn short(text: &str, kind: &str) -> Option<String> {
    if text.starts_with("UNTRUSTED") {
        return Some("UNTRUSTED".to_owned());
    }
    match kind {
        "number" => {
            let lower = text.to_lowercase();
            let unit = UNITS
                .iter()
                .find(|unit| lower.contains(&unit.to_lowercase()));
            unit.map(|unit| unit.replace('–', "-"))
                .or_else(|| Some(clause(text)).filter(|clause| clause.len() <= CLAUSE / 2))
        }
        "string" if text.contains(RFC_3339) => Some(RFC_3339.to_owned()),
        _ => None,
    }
}

/// Up to the first sentence end, semicolon or colon.
fn clause(text: &str) -> String {
    let end = [". ", "; ", ": "]
        .iter()
        .filter_map(|stop| text.find(stop))
        .min()
        .unwrap_or(text.len());
    text.get(..end)
        .unwrap_or(text)
        .trim_end_matches('.')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_keep_their_unit_and_strangers_their_mark() {
        let mut schema = json!({
            "type": "object",
            "description": "A row",
            "required": ["ask"],
            "properties": {
                "ask": { "type": ["number", "null"], "description": "Lowest ask, 0–1; null when nobody offers." },
                "edge": { "type": "number", "description": "Fair price − cost, pUSD per share." },
                "count": { "type": "integer", "description": "How many. More than are listed." },
                "question": { "type": "string", "description": "UNTRUSTED text: the question." },
                "at": { "type": "string", "description": "When, RFC 3339 UTC." },
                "until": { "type": "string", "description": "RFC 3339 UTC." },
                "description": { "type": "string", "description": "The rules" }
            }
        });
        shorten(&mut schema);
        assert_eq!(
            schema,
            json!({
                "type": "object",
                "properties": {
                    "ask": { "type": ["number", "null"], "description": "0-1" },
                    "edge": { "type": "number", "description": "pUSD per share" },
                    "count": { "type": "integer" },
                    "question": { "type": "string", "description": "UNTRUSTED" },
                    "at": { "type": "string" },
                    "until": { "type": "string", "description": "RFC 3339" },
                    "description": { "type": "string" }
                }
            })
        );
    }
}
