//! The tools exactly as clients see them, for the files under `tools/` and for size checks.

use std::borrow::Cow;

use rmcp::model::{MetaObject, Tool, ToolAnnotations as WireAnnotations};
use serde_json::json;

use super::registry::{Entry, Registry};

/// The listed tools in their order, as `tools/list` gives them.
pub(crate) fn definitions<S: Send + Sync + 'static>(registry: &Registry<S>) -> Vec<Tool> {
    registry.listed().map(definition).collect()
}

fn definition<S>(entry: &Entry<S>) -> Tool {
    let spec = &entry.spec;
    let hints = spec.annotations;
    let annotations = WireAnnotations::new()
        .read_only(hints.read_only)
        .destructive(hints.destructive)
        .idempotent(hints.idempotent)
        .open_world(hints.open_world);
    let mut tool = Tool::new(
        Cow::Borrowed(spec.name),
        Cow::Borrowed(spec.description),
        entry.input.clone(),
    )
    .with_title(spec.title)
    .with_raw_output_schema(entry.output.clone())
    .with_annotations(annotations);
    if let Some(meta) = &spec.meta {
        let mut wire = MetaObject::new();
        for (key, value) in meta {
            wire.insert(key.clone(), value.clone());
        }
        tool = tool.with_meta(wire);
    }
    tool
}

/// One pretty-printed JSON file per listed tool: its name (`get_price.json`) and content, which
/// ends with a newline. Errors: only if a schema cannot be written as JSON.
pub fn contract_files<S: Send + Sync + 'static>(
    registry: &Registry<S>,
) -> Result<Vec<(String, String)>, serde_json::Error> {
    definitions(registry)
        .iter()
        .map(|tool| {
            let mut text = serde_json::to_string_pretty(tool)?;
            text.push('\n');
            Ok((format!("{}.json", tool.name), text))
        })
        .collect()
}

/// Bytes of the whole `tools/list` result, compact: what a client has to give its model.
/// Errors: only if a schema cannot be written as JSON.
pub fn total_list_bytes<S: Send + Sync + 'static>(
    registry: &Registry<S>,
) -> Result<usize, serde_json::Error> {
    Ok(serde_json::to_vec(&json!({ "tools": definitions(registry) }))?.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::test_support::registry;
    use serde_json::Value;

    #[test]
    fn each_listed_tool_has_one_file_as_clients_see_it() {
        let files = contract_files(&registry()).unwrap();
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "add.json",
                "quote.json",
                "slow.json",
                "steps.json",
                "explode.json",
                "whoami.json"
            ]
        );
        assert!(files[0].1.ends_with("}\n"));
        let quote: Value = serde_json::from_str(&files[1].1).unwrap();
        assert_eq!(
            quote,
            json!({
                "name": "quote",
                "title": "Quote",
                "description": "Best prices of a market.",
                "inputSchema": {
                    "type": "object",
                    "properties": {
                        "market_id": { "type": "string", "description": "Market id, e.g. \"m1\"." },
                    },
                    "required": ["market_id"],
                    "additionalProperties": false,
                },
                "outputSchema": {
                    "type": "object",
                    "properties": {
                        "market_id": { "type": "string" },
                        "bid": { "type": ["number", "null"] },
                        "ask": { "type": ["number", "null"] },
                    },
                    "anyOf": [
                        { "required": ["market_id", "bid", "ask"] },
                        { "required": ["code"] },
                    ],
                },
                "annotations": {
                    "readOnlyHint": true,
                    "destructiveHint": false,
                    "idempotentHint": true,
                    "openWorldHint": true,
                },
                "_meta": {
                    "ui": { "resourceUri": "ui://toy/page.html", "visibility": ["model", "app"] },
                },
            })
        );
    }

    #[test]
    fn the_list_is_as_long_as_its_parts() {
        let registry = registry();
        let parts: Vec<String> = definitions(&registry)
            .iter()
            .map(|tool| serde_json::to_string(tool).unwrap())
            .collect();
        assert_eq!(
            total_list_bytes(&registry).unwrap(),
            format!("{{\"tools\":[{}]}}", parts.join(",")).len()
        );
    }
}
