//! Links to resources after the text of a result.

use rmcp::model::{ContentBlock, Resource};
use serde_json::Value;

/// A link to each resource that a result names under `resources`, a list of addresses: clients show them,
/// and read what is behind them only when it is wanted.
pub(super) fn links_of(result: &Value) -> Vec<ContentBlock> {
    let named = result.get("resources").and_then(Value::as_array);
    let addresses = named.into_iter().flatten().filter_map(Value::as_str);
    addresses
        .filter_map(|address| Some((address, address.strip_prefix("polymarket://")?)))
        .map(|(address, name)| {
            let link = Resource::new(address, name).with_mime_type(mime_type(name));
            ContentBlock::resource_link(link)
        })
        .collect()
}

/// By the end of the name; a report without one is Markdown.
fn mime_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html",
        Some("json") => "application/json",
        Some("png") => "image/png",
        _ => "text/markdown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_address_of_ours_is_a_link_and_nothing_else_is() {
        let links = links_of(&json!({
            "resources": [
                "polymarket://backtests/7",
                "polymarket://backtests/7.html",
                "polymarket://backtests/7.png",
                "https://example.org/",
                5,
            ],
        }));
        let shown: Vec<Value> = links
            .iter()
            .map(|link| serde_json::to_value(link).unwrap())
            .collect();
        assert_eq!(
            shown,
            [
                ("polymarket://backtests/7", "backtests/7", "text/markdown"),
                (
                    "polymarket://backtests/7.html",
                    "backtests/7.html",
                    "text/html"
                ),
                (
                    "polymarket://backtests/7.png",
                    "backtests/7.png",
                    "image/png"
                ),
            ]
            .map(|(uri, name, mime)| json!({
                "type": "resource_link", "uri": uri, "name": name, "mimeType": mime,
            }))
        );
        assert!(links_of(&json!({"resources": "polymarket://backtests/7"})).is_empty());
        assert!(links_of(&json!([])).is_empty());
    }
}
