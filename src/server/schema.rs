//! JSON Schemas of arguments and results, derived from the types and made small and portable.
//!
//! What schemars writes is right but long, and parts of it trip clients: numeric `format`s make
//! ajv-based clients print warnings, `["T","null"]` and `$ref` in inputs are dropped by clients
//! that map schemas to a model's own format. None of that carries information a model needs.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

mod terse;

/// Fields of a result that its schema asks for.
const TELLING_FIELDS: usize = 3;

/// A JSON object, as schemas are kept.
pub type JsonObject = Map<String, Value>;

/// A type cannot serve as arguments or result of a tool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The schema is not that of an object.
    #[error("{0} does not serialise to a JSON object; wrap it in a struct")]
    NotAnObject(String),
    /// The type contains itself, so its schema cannot be written in place.
    #[error("{0} refers to itself; clients need a flat schema")]
    Recursive(String),
    /// A result field would make errors, which have `code`, `message` and `hint`, invalid.
    #[error("{0} has a field `{1}` that is not a string, but errors use that name for a string")]
    Reserved(String, String),
}

/// Which way a schema is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Input,
    Output,
}

/// Names that an error puts into the structured result.
const ERROR_FIELDS: [&str; 3] = ["code", "message", "hint"];
/// The one of them that tells an error from a result: naming all costs more than it tells.
const TELLING_ERROR_FIELD: &str = "code";

/// The schema of a tool's arguments: an object that allows nothing beyond its properties.
/// Errors: [`SchemaError`].
pub fn input_schema<T: JsonSchema>() -> Result<JsonObject, SchemaError> {
    let mut schema = derived::<T>(Direction::Input)?;
    schema
        .entry("properties")
        .or_insert_with(|| Value::Object(Map::new()));
    schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    Ok(schema)
}

/// The schema of a tool's result, which an error result satisfies as well: some clients check
/// structured content against it even when `isError` is set, and would hide the error otherwise.
/// Errors: [`SchemaError`].
pub fn output_schema<T: JsonSchema>() -> Result<JsonObject, SchemaError> {
    let mut schema = derived::<T>(Direction::Output)?;
    schema.shift_remove("additionalProperties");
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for field in ERROR_FIELDS {
            if properties.get(field).is_some_and(|s| !allows_string(s)) {
                return Err(SchemaError::Reserved(
                    T::schema_name().into_owned(),
                    field.to_owned(),
                ));
            }
        }
    }
    // The list of all tools has a budget (clients load it whole), and outputs are most of it.
    for value in schema.values_mut() {
        terse::shorten(value);
    }
    if let Some(Value::Array(mut required)) = schema.shift_remove("required") {
        // Enough to tell a result from an error; naming all of them costs more than it tells.
        required.truncate(TELLING_FIELDS);
        let either = json!([{ "required": required }, { "required": [TELLING_ERROR_FIELD] }]);
        schema.insert("anyOf".to_owned(), either);
    }
    Ok(schema)
}

/// `limit (integer, 1 to 100), query (string, required)`: for hints.
#[must_use]
pub fn describe_parameters(schema: &JsonObject) -> String {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return "none".to_owned();
    };
    if properties.is_empty() {
        return "none".to_owned();
    }
    let described: Vec<String> = properties
        .iter()
        .map(|(name, property)| {
            let mut words = vec![kind_of(property)];
            match (property.get("minimum"), property.get("maximum")) {
                (Some(low), Some(high)) => words.push(format!("{low} to {high}")),
                (Some(low), None) => words.push(format!("at least {low}")),
                (None, Some(high)) => words.push(format!("at most {high}")),
                (None, None) => {}
            }
            if required.contains(&name.as_str()) {
                words.push("required".to_owned());
            }
            format!("{name} ({})", words.join(", "))
        })
        .collect();
    described.join(", ")
}

/// The type of a property in words.
fn kind_of(property: &Value) -> String {
    if let Some(values) = property.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        return values.join(" or ");
    }
    match property.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(other) => other.to_string(),
        None => "any".to_owned(),
    }
}

fn derived<T: JsonSchema>(direction: Direction) -> Result<JsonObject, SchemaError> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let settings = match direction {
        Direction::Input => settings.for_deserialize(),
        Direction::Output => settings.for_serialize(),
    };
    let name = || T::schema_name().into_owned();
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let Value::Object(mut schema) = schema.to_value() else {
        return Err(SchemaError::NotAnObject(name()));
    };
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err(SchemaError::NotAnObject(name()));
    }
    slim(&mut schema, direction);
    if refers(&schema) {
        return Err(SchemaError::Recursive(name()));
    }
    // The tool's description says what the whole is; the type's own words would repeat it.
    schema.shift_remove("description");
    Ok(schema)
}

fn allows_string(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == "string",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "string"),
        _ => false,
    }
}

/// Whether a `$ref` is left: inlining stops at types that contain themselves.
fn refers(schema: &JsonObject) -> bool {
    schema.contains_key("$ref")
        || schema.values().any(|value| match value {
            Value::Object(object) => refers(object),
            Value::Array(items) => items
                .iter()
                .any(|item| item.as_object().is_some_and(refers)),
            _ => false,
        })
}

/// Makes one schema and those inside it smaller. Walks schemas only, so that a property that
/// happens to be called `format` or `title` stays.
fn slim(schema: &mut JsonObject, direction: Direction) {
    schema.shift_remove("$schema");
    schema.shift_remove("title");
    if is_numeric_format(schema) {
        schema.shift_remove("format");
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if direction == Direction::Input {
        drop_null(schema);
    } else {
        // Of use to who writes a value, not to who reads it.
        for bound in ["minimum", "maximum", "default"] {
            schema.shift_remove(bound);
        }
    }
    for key in ["properties", "$defs", "patternProperties"] {
        if let Some(Value::Object(inner)) = schema.get_mut(key) {
            for value in inner.values_mut() {
                slim_value(value, direction);
            }
        }
    }
    for key in ["items", "additionalProperties", "not", "propertyNames"] {
        if let Some(value) = schema.get_mut(key) {
            slim_value(value, direction);
        }
    }
    for key in ["anyOf", "oneOf", "allOf", "prefixItems"] {
        if let Some(Value::Array(inner)) = schema.get_mut(key) {
            for value in inner {
                slim_value(value, direction);
            }
        }
    }
    fold_constants(schema);
    if direction == Direction::Input
        && schema.contains_key("properties")
        && !schema.contains_key("additionalProperties")
    {
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
}

fn slim_value(value: &mut Value, direction: Direction) {
    if let Value::Object(schema) = value {
        slim(schema, direction);
    }
}

fn is_numeric_format(schema: &JsonObject) -> bool {
    schema
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|format| {
            matches!(format, "float" | "double")
                || format
                    .trim_start_matches('u')
                    .strip_prefix("int")
                    .is_some_and(|bits| bits.chars().all(|c| c.is_ascii_digit()))
        })
}

/// Leaving an argument out says the same as null; serde accepts both.
fn drop_null(schema: &mut JsonObject) {
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.shift_remove("default");
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type") != Some(&json!("null")));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            schema.shift_remove("anyOf");
            for (key, value) in only {
                schema.entry(key).or_insert(value);
            }
        }
    }
}

/// `oneOf` over documented enum variants becomes a plain `enum`; what a variant means belongs in
/// the description of the field that uses it.
fn fold_constants(schema: &mut JsonObject) {
    for key in ["oneOf", "anyOf"] {
        let Some(choices) = schema.get(key).and_then(Value::as_array) else {
            continue;
        };
        let mut values = Vec::new();
        for choice in choices {
            if choice.get("type") != Some(&json!("string")) {
                return;
            }
            match (choice.get("const"), choice.get("enum")) {
                (Some(value), None) => values.push(value.clone()),
                (None, Some(Value::Array(several))) => values.extend(several.iter().cloned()),
                _ => return,
            }
        }
        schema.shift_remove(key);
        schema.insert("type".to_owned(), json!("string"));
        schema.insert("enum".to_owned(), Value::Array(values));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Limit;
    use serde::{Deserialize, Serialize};

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Format {
        /// Short.
        Concise,
        /// Long.
        Detailed,
    }

    /// Said elsewhere.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct In {
        /// Which market,
        /// by id.
        market_id: String,
        /// Shares.
        size: Option<f64>,
        /// Words to print; the name is the point.
        format: Option<Format>,
        title: Option<u32>,
        #[serde(default)]
        limit: Limit<10, 50>,
        levels: Option<Vec<Level>>,
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    struct Level {
        price: f64,
    }

    #[derive(Serialize, JsonSchema)]
    struct Out {
        count: u32,
        best: Option<f64>,
    }

    #[derive(Serialize, JsonSchema)]
    struct Tree {
        children: Vec<Tree>,
    }

    #[derive(Serialize, JsonSchema)]
    struct Clash {
        code: u32,
    }

    #[test]
    fn inputs_are_flat_closed_and_free_of_null() {
        let expected = json!({
            "type": "object",
            "properties": {
                "market_id": { "description": "Which market, by id.", "type": "string" },
                "size": { "description": "Shares.", "type": "number" },
                "format": {
                    "description": "Words to print; the name is the point.",
                    "type": "string",
                    "enum": ["concise", "detailed"],
                },
                "title": { "type": "integer", "minimum": 0 },
                "limit": { "type": "integer", "minimum": 1, "maximum": 50, "default": 10 },
                "levels": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": { "price": { "type": "number" } },
                        "required": ["price"],
                        "additionalProperties": false,
                    },
                },
            },
            "required": ["market_id"],
            "additionalProperties": false,
        });
        assert_eq!(Value::Object(input_schema::<In>().unwrap()), expected);
        assert_eq!(
            describe_parameters(expected.as_object().unwrap()),
            "market_id (string, required), size (number), format (\"concise\" or \"detailed\"), \
             title (integer, at least 0), limit (integer, 1 to 50), levels (array)"
        );
    }

    #[test]
    fn outputs_keep_null_and_leave_room_for_errors() {
        let expected = json!({
            "type": "object",
            "properties": {
                "count": { "type": "integer" },
                "best": { "type": ["number", "null"] },
            },
            "anyOf": [
                { "required": ["count", "best"] },
                { "required": ["code"] },
            ],
        });
        assert_eq!(Value::Object(output_schema::<Out>().unwrap()), expected);
    }

    #[test]
    fn types_that_cannot_serve_are_named() {
        assert_eq!(
            output_schema::<Vec<Out>>().unwrap_err(),
            SchemaError::NotAnObject("Array_of_Out".to_owned())
        );
        assert_eq!(
            output_schema::<Tree>().unwrap_err(),
            SchemaError::Recursive("Tree".to_owned())
        );
        assert_eq!(
            output_schema::<Clash>().unwrap_err(),
            SchemaError::Reserved("Clash".to_owned(), "code".to_owned())
        );
    }
}
