//! Sections are written with their keys. Read as lists they would be taken by position, and an empty one
//! for the defaults.

use serde_json::Value;

use super::Config;

/// Errors: the first section that is a list, by its path.
pub(super) fn check(value: &Value) -> Result<(), String> {
    // Numbers and text only: it cannot fail.
    let shape = serde_json::to_value(Config::default()).map_err(|error| error.to_string())?;
    look("", value, &shape)
}

/// Compares with the shape of the defaults: where that has keys, there must be keys; lists of sections
/// are looked at one by one.
fn look(path: &str, value: &Value, shape: &Value) -> Result<(), String> {
    match (value, shape) {
        (Value::Array(_), Value::Object(keys)) => {
            let first = keys.keys().next().map_or("key", String::as_str);
            let path = if path.is_empty() { "the file" } else { path };
            Err(format!(
                "`{path}`: invalid type: a list; it has keys, such as `{first}:`"
            ))
        }
        (Value::Object(values), Value::Object(shapes)) => values
            .iter()
            .filter_map(|(key, value)| Some((key, value, shapes.get(key)?)))
            .try_for_each(|(key, value, shape)| {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                look(&path, value, shape)
            }),
        (Value::Array(values), Value::Array(shapes)) => match shapes.first() {
            Some(shape) => values
                .iter()
                .enumerate()
                .try_for_each(|(index, value)| look(&format!("{path}[{index}]"), value, shape)),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every path of the defaults that has keys.
    fn sections(path: &str, shape: &Value, found: &mut Vec<String>) {
        if let Value::Object(keys) = shape {
            if !path.is_empty() {
                found.push(path.to_owned());
            }
            for (key, inner) in keys {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                sections(&path, inner, found);
            }
        }
    }

    #[test]
    fn no_section_is_a_list() {
        let mut found = Vec::new();
        sections(
            "",
            &serde_json::to_value(Config::default()).unwrap(),
            &mut found,
        );
        assert!(found.len() > 12, "{found:?}");
        for path in found {
            for list in ["[]", "[1]"] {
                let keys: Vec<&str> = path.split('.').collect();
                let text = keys
                    .iter()
                    .rev()
                    .fold(list.to_owned(), |inner, key| format!("{{{key}: {inner}}}"));
                let error = Config::parse(&text, &|_| None).unwrap_err();
                assert!(error.starts_with(&format!("`{path}`: ")), "{text}: {error}");
                assert!(error.contains("a list"), "{error}");
            }
        }
        for (text, path) in [
            ("[]", "the file"),
            (
                "scheduler: {jobs: [[tick, \"0 * * * * *\", tick]]}",
                "scheduler.jobs[0]",
            ),
        ] {
            let error = Config::parse(text, &|_| None).unwrap_err();
            assert!(error.starts_with(&format!("`{path}`: ")), "{error}");
        }
        // Lists that are lists.
        assert!(Config::parse("scheduler: {jobs: []}", &|_| None).is_ok());
        assert!(Config::parse("monitoring: {alert_webhooks: []}", &|_| None).is_ok());
    }
}
