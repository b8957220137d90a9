//! `call`: one tool, with the same JSON that an MCP client gets.

use clap::Args;

use super::source::SourceArgs;
use super::{Common, Failure, control, output};

/// Options of `call`. While a server owns the ledger, it is that server which is called.
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
    match control::call(common, &args.source, &args.tool, arguments).await? {
        Ok(answer) => output::json(&answer.structured),
        Err(error) => {
            output::json(&error)?;
            Err(Failure::new(error.message, error.hint))
        }
    }
}
