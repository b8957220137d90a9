//! `${NAME}` and `${NAME:-default}` in configuration values.

use serde_json::Value;

/// Replaces variables in every string of the tree. A value that is nothing but one variable takes
/// the type that its text has (`${PORT}` may be a number). Errors name the missing variable.
pub fn expand(value: Value, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Value, String> {
    match value {
        Value::String(text) if text.contains("${") => {
            let whole = text.starts_with("${") && text.find('}') == Some(text.len() - 1);
            let filled = fill(&text, lookup)?;
            if whole
                && let Ok(typed) = serde_json::from_str::<Value>(&filled)
                && (typed.is_number() || typed.is_boolean())
            {
                return Ok(typed);
            }
            Ok(Value::String(filled))
        }
        Value::Array(items) => items
            .into_iter()
            .map(|item| expand(item, lookup))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, item)| expand(item, lookup).map(|item| (key, item)))
            .collect::<Result<_, _>>()
            .map(Value::Object),
        other => Ok(other),
    }
}

fn fill(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let (inside, tail) = after
            .split_once('}')
            .ok_or_else(|| format!("`{text}`: `${{` without `}}`"))?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        match lookup(name)
            .filter(|found| !found.is_empty())
            .or(default.map(str::to_owned))
        {
            Some(found) => out.push_str(&found),
            None => {
                return Err(format!(
                    "the environment variable {name} is not set; set it or write ${{{name}:-default}}"
                ));
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}
