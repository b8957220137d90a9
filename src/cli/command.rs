//! `halt`, `resume` and `cancel`: the operator's commands, carried out by the process that owns the
//! ledger, or here when there is none.

use clap::Args;
use serde_json::{Value, json};

use super::source::SourceArgs;
use super::{Common, Failure, control, output};

/// Options of `halt` and `resume`.
#[derive(Debug, Args)]
pub struct HaltArgs {
    /// Why, in one line; it is kept in the event log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// Options of `cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// Number of the order.
    #[arg(required_unless_present_any = ["market", "all"], conflicts_with_all = ["market", "all"])]
    order_id: Option<u64>,
    /// All resting orders of this market.
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    market: Option<String>,
    /// All resting orders.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// Pulls the kill switch.
pub async fn halt(common: &Common, args: HaltArgs) -> Result<(), Failure> {
    let arguments = json!({ "reason": args.reason });
    let done = carry_out(common, &args.source, "halt", arguments).await?;
    say(args.json, &done, |done| {
        let reason = done.get("reason").and_then(Value::as_str);
        format!(
            "Trading is halted: {}. {}",
            reason.unwrap_or_default(),
            withdrawn(done)
        )
    })
}

/// Lifts a halt.
pub async fn resume(common: &Common, args: HaltArgs) -> Result<(), Failure> {
    let arguments = json!({ "reason": args.reason });
    let done = carry_out(common, &args.source, "resume", arguments).await?;
    say(args.json, &done, |_| "Trading goes on.".to_owned())
}

/// Withdraws resting orders.
pub async fn cancel(common: &Common, args: CancelArgs) -> Result<(), Failure> {
    let arguments = json!({
        "order_id": args.order_id,
        "market_id": args.market,
        "all": args.all,
    });
    let done = carry_out(common, &args.source, "cancel_resting", arguments).await?;
    say(args.json, &done, withdrawn)
}

async fn carry_out(
    common: &Common,
    source: &SourceArgs,
    tool: &str,
    mut arguments: Value,
) -> Result<Value, Failure> {
    if let Some(arguments) = arguments.as_object_mut() {
        arguments.retain(|_, value| !value.is_null());
    }
    match control::call(common, source, tool, arguments).await? {
        Ok(answer) => Ok(answer.structured),
        Err(error) => Err(Failure::new(error.message, error.hint)),
    }
}

fn say(as_json: bool, done: &Value, words: impl Fn(&Value) -> String) -> Result<(), Failure> {
    if as_json {
        return output::json(done);
    }
    output::line(&words(done))
}

fn withdrawn(done: &Value) -> String {
    let ids = done.get("cancelled").and_then(Value::as_array);
    let ids: Vec<String> = ids
        .into_iter()
        .flatten()
        .map(|id| format!("#{id}"))
        .collect();
    if ids.is_empty() {
        return "No order rested.".to_owned();
    }
    format!("Withdrawn: {}.", ids.join(", "))
}
