//! Conditional orders: get_conditional_orders, create_conditional_order, cancel_conditional_order.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{App, AppError};
use crate::domain::text::clean;
use crate::domain::{ConditionalKind, ConditionalOrder, TokenId};
use crate::server::tool::NoArguments;
use crate::server::{Caller, ToolAnnotations, ToolError, ToolSpec, lenient};
use crate::trading::desk::NewConditional;

use super::{price_argument, shares_argument};

/// The tools of this file.
pub fn tools() -> Vec<ToolSpec<App>> {
    vec![
        ToolSpec::new(
            "get_conditional_orders",
            "Conditional orders",
            "The active stop-losses, take-profits and trailing stops, oldest first.",
            ToolAnnotations::READ_LOCAL,
            list,
        ),
        ToolSpec::new(
            "create_conditional_order",
            "Create a conditional order",
            "Sells shares of a held position once the best bid reaches a price: stop_loss at or \
             below, take_profit at or above, trailing_stop at trail_percent below the highest bid \
             seen. Looked at in every tick, and as live books move. `size` is shares; the whole position when left out.",
            ToolAnnotations::ADD,
            create,
        ),
        ToolSpec::new(
            "cancel_conditional_order",
            "Cancel a conditional order",
            "Withdraws an active conditional order; the position stays as it is.",
            ToolAnnotations {
                idempotent: true,
                ..ToolAnnotations::DESTRUCTIVE
            },
            cancel,
        ),
    ]
}

/// A conditional order as clients see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConditionalView {
    /// Number: pass it as `order_id`.
    pub id: u64,
    /// Token id.
    pub token_id: String,
    /// Market id.
    pub market_id: String,
    /// stop_loss, take_profit or trailing_stop.
    pub order_type: String,
    /// Trigger price, 0–1; for a trailing stop where its watermark started.
    pub trigger_price: f64,
    /// The bid at which it fires now, 0–1.
    pub fires_at: f64,
    /// Shares that it sells.
    pub size: f64,
    /// Highest bid seen, 0–1 (trailing stop).
    pub high_watermark: Option<f64>,
    /// Distance below it, as a fraction (trailing stop).
    pub trail_percent: Option<f64>,
    /// Others of the same number are withdrawn when it has sold.
    // Present only where they say something, and said in docs/conditional-orders.md: the schemas of
    // all tools together have a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub group: Option<u64>,
    /// Since when the price has been reached on a book too wide or thin to believe, RFC 3339 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub doubted_since: Option<String>,
    /// Shares sold so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub sold: Option<f64>,
    /// What they brought, pUSD, fees not included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub proceeds: Option<f64>,
    /// Who created it.
    pub parent_strategy: String,
    /// Why.
    pub reason: String,
    /// RFC 3339 UTC.
    pub created_at: String,
}

impl ConditionalView {
    /// Of an order.
    pub fn of(order: &ConditionalOrder) -> Self {
        ConditionalView {
            id: order.id,
            token_id: order.token_id.to_string(),
            market_id: order.market_id.to_string(),
            order_type: order.kind.as_str().to_owned(),
            trigger_price: order.trigger_price.to_f64(),
            fires_at: order.effective_trigger().to_f64(),
            size: order.shares.to_f64(),
            high_watermark: order.high_watermark.map(|price| price.to_f64()),
            trail_percent: order.trail_percent.map(|fraction| fraction.to_f64()),
            group: order.group,
            doubted_since: order.doubted_since.map(|since| since.to_rfc3339()),
            sold: order.sales.map(|sales| sales.sold.to_f64()),
            proceeds: order.sales.map(|sales| sales.proceeds.to_f64()),
            parent_strategy: order.parent_strategy.to_string(),
            reason: order.reason.clone(),
            created_at: order.created_at.to_rfc3339(),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct ListOut {
    /// The active orders, oldest first.
    orders: Vec<ConditionalView>,
}

async fn list(app: Arc<App>, _: NoArguments, _: Caller) -> Result<ListOut, ToolError> {
    let ledger = app.ledger()?;
    Ok(ListOut {
        orders: ledger
            .conditionals()
            .values()
            .map(ConditionalView::of)
            .collect(),
    })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateArgs {
    /// Token id of the held outcome.
    #[serde(deserialize_with = "lenient::text")]
    token_id: String,
    /// Its market id.
    #[serde(deserialize_with = "lenient::text")]
    market_id: String,
    /// stop_loss, take_profit or trailing_stop.
    order_type: String,
    /// Price of the best bid that sets it off, above 0 and below 1. For a trailing stop: where the
    /// watermark starts, or the current bid if that is higher.
    #[serde(deserialize_with = "lenient::number")]
    trigger_price: f64,
    /// Shares to sell; the whole position when left out.
    #[serde(default, deserialize_with = "lenient::number")]
    size: Option<f64>,
    /// For a trailing_stop: fraction below the highest bid, above 0 and below 1, e.g. 0.05.
    #[serde(default, deserialize_with = "lenient::number")]
    trail_percent: Option<f64>,
    /// Order id: one cancels other.
    #[serde(default, deserialize_with = "lenient::number")]
    oco_with: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CreateOut {
    /// created.
    status: String,
    /// Number of the order.
    order_id: u64,
    /// stop_loss, take_profit or trailing_stop.
    order_type: String,
    /// The order.
    order: ConditionalView,
}

async fn create(app: Arc<App>, args: CreateArgs, caller: Caller) -> Result<CreateOut, ToolError> {
    let kind = match args.order_type.trim() {
        "stop_loss" => ConditionalKind::StopLoss,
        "take_profit" => ConditionalKind::TakeProfit,
        "trailing_stop" => ConditionalKind::TrailingStop,
        other => {
            return Err(ToolError::new(
                "bad_arguments",
                format!("order_type `{}` is not known", clean(other, 30)),
                "Use stop_loss, take_profit or trailing_stop.",
            ));
        }
    };
    let trigger_price = price_argument("trigger_price", args.trigger_price)?;
    let shares = args
        .size
        .map(|size| shares_argument("size", size))
        .transpose()?;
    if kind != ConditionalKind::TrailingStop && args.trail_percent.is_some() {
        return Err(ToolError::new(
            "bad_arguments",
            "trail_percent only goes with a trailing_stop",
            "Leave it out, or use order_type trailing_stop.",
        ));
    }
    let trail_percent = args
        .trail_percent
        .map(|value| price_argument("trail_percent", value))
        .transpose()?;
    let market = app.market(&args.market_id).await?;
    let token_id = TokenId::new(&args.token_id);
    if market.outcome_of(&token_id).is_none() {
        return Err(ToolError::new(
            "wrong_token",
            format!("the token does not belong to market {}", market.id),
            "get_portfolio lists held tokens with their market ids.",
        ));
    }
    let tokens = std::slice::from_ref(&token_id);
    let books = app.source().books(tokens).await.map_err(AppError::from)?;
    let bid = books.get(&token_id).and_then(|book| book.best_bid());
    let wanted = NewConditional {
        token_id,
        market: (*market).clone(),
        kind,
        trigger_price,
        shares,
        trail_percent,
        oco_with: args.oco_with,
        bid,
        reason: format!("Manual {} via {}", kind.as_str(), caller.kind),
    };
    let order = app.create_conditional(wanted).await?;
    Ok(CreateOut {
        status: "created".to_owned(),
        order_id: order.id,
        order_type: order.kind.as_str().to_owned(),
        order: ConditionalView::of(&order),
    })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CancelArgs {
    /// Number of the order (get_conditional_orders).
    #[serde(deserialize_with = "lenient::number")]
    order_id: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CancelOut {
    /// cancelled.
    status: String,
    /// Number of the order.
    order_id: u64,
}

async fn cancel(app: Arc<App>, args: CancelArgs, _: Caller) -> Result<CancelOut, ToolError> {
    app.cancel_conditional(args.order_id).await?;
    Ok(CancelOut {
        status: "cancelled".to_owned(),
        order_id: args.order_id,
    })
}
