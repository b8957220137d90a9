//! `call`: one tool, with the same JSON that an MCP client gets.

use std::sync::Arc;

use clap::Args;

use crate::app::Access;
use crate::server::{Caller, CallerKind};

use super::serve::registry;
use super::source::SourceArgs;
use super::{Common, Failure, output, start_logging};

/// Options of `call`.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// Name of the tool, e.g. get_portfolio.
    tool: String,
    /// Its arguments as a JSON object.
    #[arg(long, default_value = "{}", value_name = "OBJECT")]
    json: String,
    #[command(flatten)]
    source: SourceArgs,
}

/// Calls the tool. A tool's error is printed as JSON too, and the exit status is 1.
pub async fn call(common: &Common, args: CallArgs) -> Result<(), Failure> {
    let arguments: serde_json::Value = serde_json::from_str(&args.json).map_err(|error| {
        Failure::new(
            format!("--json is not JSON: {error}"),
            "Example: --json '{\"limit\": 5}'",
        )
    })?;
    let config = common.load()?;
    start_logging(&config, "warn")?;
    let (app, sandbox) = args
        .source
        .open_app(common, config, Access::OwnOrReadNow)
        .await?;
    let registry = registry()?;
    // Tools that read what is known ask nobody; in a process that has just begun nothing is known.
    if args.tool == "health_check" {
        tokio::spawn(app.probe());
    }
    let caller = Caller::new(CallerKind::Shell);
    let outcome = registry
        .call(Arc::clone(&app), &args.tool, arguments, caller)
        .await;
    app.flush_alerts(std::time::Duration::from_secs(12)).await;
    drop(sandbox);
    match outcome {
        Ok(result) => output::json(&result.structured),
        Err(error) => {
            output::json(&error)?;
            Err(Failure::new(error.message, error.hint))
        }
    }
}
