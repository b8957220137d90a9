//! halt, resume and cancel_resting: the operator's commands, for jobs and the shell only.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::domain::MarketId;
use crate::domain::text::clean;
use crate::server::{Caller, CallerKind, ToolAnnotations, ToolError, ToolSpec, lenient};
use crate::trading::desk::CancelScope;

/// Longest reason that is kept, characters.
const MAX_REASON: usize = 300;

/// The tools of this file.
pub fn tools() -> Vec<ToolSpec<App>> {
    vec![
        ToolSpec::new(
            "halt",
            "Halt trading",
            "The kill switch: no new orders, resting ones are withdrawn; sales that reduce a position \
             still pass. Holds until resume, also after a restart.",
            ToolAnnotations::DESTRUCTIVE,
            halt,
        )
        .unlisted()
        .urgent(),
        ToolSpec::new(
            "resume",
            "Resume trading",
            "Lifts a halt.",
            ToolAnnotations::ADD,
            resume,
        )
        .unlisted()
        .urgent(),
        ToolSpec::new(
            "cancel_resting",
            "Cancel resting orders",
            "Withdraws resting orders: one, those of a market, or all.",
            ToolAnnotations::DESTRUCTIVE,
            cancel,
        )
        .unlisted()
        .urgent(),
    ]
}

/// Who gives a command, as the event log names it.
fn by(caller: &Caller) -> String {
    match &caller.kind {
        CallerKind::Mcp { .. } => "agent".to_owned(),
        other => other.to_string(),
    }
}

fn reason(given: Option<String>) -> String {
    given
        .map(|text| clean(&text, MAX_REASON))
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "no reason given".to_owned())
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReasonArgs {
    /// Why, in one line.
    #[serde(default, deserialize_with = "lenient::text")]
    reason: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct HaltOut {
    /// halted.
    status: String,
    /// Why.
    reason: String,
    /// Numbers of the resting orders that were withdrawn.
    cancelled: Vec<u64>,
}

async fn halt(app: Arc<App>, args: ReasonArgs, caller: Caller) -> Result<HaltOut, ToolError> {
    let reason = reason(args.reason);
    let cancelled = app.halt(by(&caller), reason.clone()).await?;
    Ok(HaltOut {
        status: "halted".to_owned(),
        reason,
        cancelled,
    })
}

#[derive(Debug, Serialize, JsonSchema)]
struct ResumeOut {
    /// resumed.
    status: String,
}

async fn resume(app: Arc<App>, args: ReasonArgs, caller: Caller) -> Result<ResumeOut, ToolError> {
    app.resume(by(&caller), reason(args.reason)).await?;
    Ok(ResumeOut {
        status: "resumed".to_owned(),
    })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CancelArgs {
    /// The one of this number.
    #[serde(default, deserialize_with = "lenient::number")]
    order_id: Option<u64>,
    /// All of this market.
    #[serde(default, deserialize_with = "lenient::text")]
    market_id: Option<String>,
    /// True for all.
    #[serde(default, deserialize_with = "lenient::boolean")]
    all: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CancelOut {
    /// cancelled.
    status: String,
    /// Numbers of the orders that were withdrawn.
    cancelled: Vec<u64>,
}

async fn cancel(app: Arc<App>, args: CancelArgs, caller: Caller) -> Result<CancelOut, ToolError> {
    let scope = match (args.order_id, args.market_id, args.all) {
        (Some(id), None, false) => CancelScope::Order(id),
        (None, Some(market), false) => CancelScope::Market(MarketId::new(market)),
        (None, None, true) => CancelScope::All,
        _ => {
            return Err(ToolError::bad_arguments(
                "give exactly one of order_id, market_id and all",
            ));
        }
    };
    Ok(CancelOut {
        status: "cancelled".to_owned(),
        cancelled: app.cancel_orders(scope, by(&caller)).await?,
    })
}
