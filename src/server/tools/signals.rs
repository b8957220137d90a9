//! get_signals and refresh_signals: what the strategies want.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::app::App;
use crate::server::tool::NoArguments;
use crate::server::{Caller, ToolAnnotations, ToolError, ToolSpec};

use super::views::SignalView;

/// The tools of this file.
pub fn tools() -> Vec<ToolSpec<App>> {
    vec![
        ToolSpec::new(
            "get_signals",
            "Signals of the last analysis",
            "What the strategies wanted at the last tick or refresh, with its age. Empty before the \
             first one: then call refresh_signals.",
            ToolAnnotations::READ_LOCAL,
            get_signals,
        ),
        ToolSpec::new(
            "refresh_signals",
            "Analyse now",
            "Gathers markets and books and asks every strategy what it wants now. Trades nothing and \
             logs nothing.",
            ToolAnnotations::READ_OUTSIDE,
            refresh_signals,
        ),
    ]
}

#[derive(Debug, Serialize, JsonSchema)]
struct SignalsOut {
    /// The signals.
    signals: Vec<SignalView>,
    /// cache (of the last tick or refresh) or refresh (made just now).
    source: String,
    /// The moment they speak of, RFC 3339 UTC; null before the first analysis.
    last_updated: Option<String>,
    /// Seconds since they were made; null before the first analysis.
    freshness_seconds: Option<f64>,
}

async fn get_signals(app: Arc<App>, _: NoArguments, _: Caller) -> Result<SignalsOut, ToolError> {
    let cached = app.cached_signals();
    let freshness_seconds = cached
        .as_ref()
        .map(|cache| cache.made.elapsed().as_secs_f64());
    Ok(SignalsOut {
        signals: cached
            .iter()
            .flat_map(|cache| cache.signals.iter().map(SignalView::of))
            .collect(),
        source: "cache".to_owned(),
        last_updated: cached.map(|cache| cache.at.to_rfc3339()),
        freshness_seconds,
    })
}

async fn refresh_signals(
    app: Arc<App>,
    _: NoArguments,
    _: Caller,
) -> Result<SignalsOut, ToolError> {
    let cache = app.refresh_signals().await?;
    Ok(SignalsOut {
        signals: cache.signals.iter().map(SignalView::of).collect(),
        source: "refresh".to_owned(),
        last_updated: Some(cache.at.to_rfc3339()),
        freshness_seconds: Some(0.0),
    })
}
