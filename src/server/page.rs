//! The dashboard: one self-contained page, for browsers and for MCP clients that show apps.

use serde_json::json;

use super::schema::JsonObject;

/// The page. It fetches nothing but this server's own `/api`, or asks its host for tools.
pub(super) const PAGE: &str = include_str!("dashboard.html");

/// The page with `nonce` on its own script and style, so that a policy can allow these and nothing
/// else: whatever text of strangers might get into the page, it could not run.
pub(super) fn page_with_nonce(nonce: &str) -> String {
    PAGE.replacen("<style>", &format!("<style nonce=\"{nonce}\">"), 1)
        .replacen("<script>", &format!("<script nonce=\"{nonce}\">"), 1)
}

/// The content security policy that goes with [`page_with_nonce`].
pub(super) fn page_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// `_meta` of the page as an MCP App view: it needs no network at all.
pub(super) fn ui_meta() -> JsonObject {
    let mut meta = JsonObject::new();
    let csp = json!({
        "connectDomains": [], "resourceDomains": [], "frameDomains": [], "baseUriDomains": [],
    });
    meta.insert(
        "ui".to_owned(),
        json!({ "csp": csp, "prefersBorder": true }),
    );
    meta
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nonce_is_on_the_only_script_and_style() {
        let page = page_with_nonce("abc");
        for tag in ["script", "style"] {
            assert_eq!(page.matches(&format!("<{tag}")).count(), 1, "{tag}");
            assert!(page.contains(&format!("<{tag} nonce=\"abc\">")), "{tag}");
        }
        // What a nonce does not cover would be blocked.
        for inline in [" style=", " onclick=", " onload=", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for outside in ["http://", "https://", "@import", "<iframe", "<link rel=\"s"] {
            let found: Vec<_> = PAGE
                .match_indices(outside)
                // The name of SVG's vocabulary is no address that anything is fetched from.
                .filter(|(at, _)| !PAGE[*at..].starts_with("http://www.w3.org/2000/svg"))
                .collect();
            assert_eq!(found, [], "{outside}");
        }
    }
}
