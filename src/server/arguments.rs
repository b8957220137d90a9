//! From the JSON that a caller sent to the typed arguments of a tool, or to an error that says
//! which parameter was wrong and how.

use std::cell::RefCell;

use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use serde_json::Value;

use super::schema::JsonObject;
use super::tool::ToolError;
use crate::domain::text::clean;

/// Longest string argument, in characters, unless the tool says otherwise.
pub(crate) const MAX_STRING: usize = 20_000;
/// Most bytes of text, counting 8 for every other value, that one call may carry.
const MAX_TOTAL: usize = 400_000;

/// Checks what needs no knowledge of the types: that it is an object, that every name is known,
/// that nothing is oversized. A null argument counts as left out.
pub(crate) fn accept(
    arguments: Value,
    schema: &JsonObject,
    max_string: usize,
) -> Result<JsonObject, ToolError> {
    let mut arguments = match arguments {
        Value::Object(object) => object,
        Value::Null => JsonObject::new(),
        _ => return Err(ToolError::bad_arguments("arguments must be a JSON object")),
    };
    let known = schema.get("properties").and_then(Value::as_object);
    for name in arguments.keys() {
        if !known.is_some_and(|known| known.contains_key(name)) {
            return Err(ToolError::bad_arguments(format!(
                "unknown parameter `{}`",
                clean(name, 80)
            )));
        }
    }
    let mut total = 0;
    for (name, value) in &arguments {
        measure(value, max_string, &mut total).map_err(|what| {
            ToolError::new(
                "bad_arguments",
                format!("`{name}` is too long: {what}"),
                "shorten it, or split it over several calls",
            )
        })?;
    }
    arguments.retain(|_, value| !value.is_null());
    Ok(arguments)
}

/// Adds up a value; the error says which cap it broke.
fn measure(value: &Value, max_string: usize, total: &mut usize) -> Result<(), String> {
    match value {
        Value::String(text) => {
            text_fits(text, max_string)?;
            *total += text.len();
        }
        Value::Array(items) => {
            for item in items {
                measure(item, max_string, total)?;
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                text_fits(name, max_string)?;
                *total += name.len();
                measure(field, max_string, total)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    *total += 8;
    if *total > MAX_TOTAL {
        return Err(format!("all arguments together may have {MAX_TOTAL} bytes"));
    }
    Ok(())
}

fn text_fits(text: &str, max_string: usize) -> Result<(), String> {
    // Bytes first: counting characters costs, and there are never more of them.
    if text.len() <= max_string {
        return Ok(());
    }
    let characters = text.chars().count();
    if characters <= max_string {
        return Ok(());
    }
    Err(format!(
        "a string may have {max_string} characters, this one has {characters}"
    ))
}

/// Reads accepted arguments into their type. The error names the parameter at fault.
pub(crate) fn parse<In: DeserializeOwned>(arguments: JsonObject) -> Result<In, ToolError> {
    // serde_json does not say which field a bad value belongs to, so remember which was last
    // handed out. After the last one an error is about the whole, e.g. a missing field.
    let current = RefCell::new(None);
    let mut entries = arguments.into_iter();
    let tracked = std::iter::from_fn(|| {
        let entry = entries.next();
        *current.borrow_mut() = entry.as_ref().map(|(name, _)| name.clone());
        entry
    });
    In::deserialize(MapDeserializer::<_, serde_json::Error>::new(tracked)).map_err(|error| {
        let detail = clean(&error.to_string(), 400);
        ToolError::bad_arguments(match current.borrow().as_deref() {
            Some(name) => format!("`{name}`: {detail}"),
            None => detail,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Side {
        Buy,
        Sell,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct In {
        market_id: String,
        side: Side,
        #[serde(default)]
        note: Option<String>,
        #[serde(default)]
        tags: Vec<String>,
    }

    fn read(value: Value) -> Result<In, ToolError> {
        let schema = json!({"properties": {"market_id": {}, "side": {}, "note": {}, "tags": {}}});
        parse(accept(value, schema.as_object().unwrap(), MAX_STRING)?)
    }

    #[test]
    fn null_counts_as_left_out() {
        let input = read(json!({"market_id": "1", "side": "sell", "note": null, "tags": null}));
        assert_eq!(
            input.unwrap(),
            In {
                market_id: "1".to_owned(),
                side: Side::Sell,
                note: None,
                tags: vec![]
            }
        );
    }

    #[test]
    fn each_fault_is_named() {
        for (value, words) in [
            (json!([1]), "must be a JSON object"),
            (json!("x"), "must be a JSON object"),
            (json!({"market": "1"}), "unknown parameter `market`"),
            (json!({"market_id": "1"}), "missing field `side`"),
            (Value::Null, "missing field `market_id`"),
            (
                json!({"market_id": 5, "side": "buy"}),
                "`market_id`: invalid type",
            ),
            (
                json!({"market_id": "1", "side": "hold"}),
                "`side`: unknown variant `hold`, expected `buy` or `sell`",
            ),
            (
                json!({"market_id": "1", "side": "buy", "tags": [1]}),
                "`tags`: invalid type",
            ),
        ] {
            let error = read(value.clone()).unwrap_err();
            assert_eq!(error.code, "bad_arguments");
            assert!(error.message.contains(words), "{value}: {}", error.message);
        }
    }

    #[test]
    fn size_is_capped_in_characters_and_in_all() {
        let fits = "é".repeat(20_000);
        assert!(read(json!({"market_id": fits, "side": "buy"})).is_ok());
        let error = read(json!({"market_id": "x".repeat(20_001), "side": "buy"})).unwrap_err();
        assert!(
            error
                .message
                .contains("20000 characters, this one has 20001"),
            "{error}"
        );
        assert!(!error.hint.is_empty());
        let error = read(json!({"market_id": "1", "side": "buy", "tags": vec![""; 60_000]}));
        assert!(error.unwrap_err().message.contains("400000 bytes"));
    }
}
