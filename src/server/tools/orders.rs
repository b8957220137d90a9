//! get_orders, cancel_order: what became of orders, and how to take them back.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{App, AppError};
use crate::domain::{MarketId, Shares, Timestamp};
use crate::server::{Caller, Limit, ToolAnnotations, ToolError, ToolSpec, lenient};
use crate::store::{OrderQuery, OrderRow, Store, StoreError};
use crate::trading::desk::CancelScope;
use crate::trading::ledger::Ledger;
use crate::trading::report::{IN_FLIGHT, RESTING};

use super::blocking;
use super::views::tidy;

/// The tools of this file.
pub fn tools() -> Vec<ToolSpec<App>> {
    vec![
        ToolSpec::with_text(
            "get_orders",
            "Orders",
            "Orders with what became of them, newest first.",
            ToolAnnotations::READ_LOCAL,
            get_orders,
            in_words,
        ),
        ToolSpec::with_text(
            "cancel_order",
            "Cancel orders",
            "Cancels open orders: give exactly one argument. What filled stays. `halt` is the kill \
             switch: it cancels all and stops every purchase until the operator resumes.",
            ToolAnnotations {
                idempotent: true,
                ..ToolAnnotations::DESTRUCTIVE
            },
            cancel_order,
            |out| out.message.clone(),
        )
        .urgent(),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OrdersArgs {
    /// open, closed or all.
    #[serde(default = "open")]
    status: String,
    /// Only this market's.
    #[serde(default, deserialize_with = "lenient::text")]
    market_id: Option<String>,
    /// Only this strategy's.
    #[serde(default)]
    strategy: Option<String>,
    /// Only the one placed under this id, open or not.
    #[serde(default, deserialize_with = "lenient::text")]
    client_order_id: Option<String>,
    /// Only this one, open or not.
    #[serde(default, deserialize_with = "lenient::number")]
    order_id: Option<u64>,
    /// Most rows, 1–100.
    #[serde(default)]
    limit: Limit<20, 100>,
    /// `next_before` of the page before.
    #[serde(default, deserialize_with = "lenient::number")]
    before: Option<u64>,
}

fn open() -> String {
    "open".to_owned()
}

/// An order as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct OrderView {
    order_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_order_id: Option<String>,
    /// resting, in_flight, filled, partially_filled, unfilled, cancelled or expired.
    status: String,
    strategy: String,
    /// Market id.
    market_id: String,
    /// Token id.
    token_id: String,
    /// UNTRUSTED text: outcome name.
    outcome: String,
    /// buy or sell.
    side: String,
    order_type: String,
    /// Limit price, 0–1.
    limit_price: f64,
    /// Shares ordered.
    shares: f64,
    /// Shares filled.
    filled: f64,
    /// Shares that may still fill.
    remaining: f64,
    /// 0–1; null when nothing filled.
    average_price: Option<f64>,
    /// Fees, pUSD.
    fee: f64,
    /// Shares of others that go first at its price; null when it does not rest.
    queue_ahead: Option<f64>,
    /// Accepted, RFC 3339 UTC.
    placed_at: String,
    /// Seconds since it was accepted, until it was over.
    age_seconds: f64,
    /// RFC 3339 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// Why it was placed, or how it ended.
    reason: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct OrdersOut {
    /// Newest first.
    orders: Vec<OrderView>,
    /// Pass as `before` for the next page; null on the last.
    next_before: Option<u64>,
}

/// One row of the table `orders` as clients see it. Of an open one the ledger tells the rest: a row
/// does not part what is on its way to the exchange from what stands there.
fn view_of(row: OrderRow, ledger: &Ledger, now: Timestamp) -> OrderView {
    let open = row.is_open();
    let resting = ledger.resting().get(&row.id.unsigned_abs());
    let resting = resting.filter(|_| open);
    // The row is never older than the ledger: an order may have begun to rest in between.
    let rests = resting.is_some() || row.status == RESTING;
    let queue_ahead = match resting {
        Some(resting) => Some(resting.queue_ahead),
        None => row.queue_ahead.filter(|_| open && rests),
    };
    let status = match (open, rests) {
        (true, true) => RESTING.to_owned(),
        (true, false) => IN_FLIGHT.to_owned(),
        (false, _) => row.status,
    };
    let remaining = if open { row.remaining } else { Shares::ZERO };
    let until = if open { now } else { row.updated_at };
    OrderView {
        order_id: row.id.unsigned_abs(),
        client_order_id: row.client_order_id,
        status,
        strategy: row.strategy,
        market_id: row.market_id,
        token_id: row.token_id,
        outcome: row.outcome,
        side: row.side,
        order_type: row.order_type,
        limit_price: row.limit.to_f64(),
        shares: row.shares.to_f64(),
        filled: row.filled.to_f64(),
        remaining: remaining.to_f64(),
        average_price: row.avg_price.map(tidy),
        fee: row.fees.to_f64(),
        queue_ahead: queue_ahead.map(Shares::to_f64),
        placed_at: row.created_at.to_rfc3339(),
        age_seconds: until.since(row.created_at) as f64 / 1000.0,
        expires_at: row.expires_at.map(Timestamp::to_rfc3339),
        reason: row.close_reason.unwrap_or(row.reason),
    }
}

/// A number of an order as the tables have it; what is larger belongs to none.
fn row_id(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

/// One page, newest first. `ledger` is no newer than `store`.
fn page(
    store: &Store,
    ledger: &Ledger,
    query: &OrderQuery,
    limit: Limit<20, 100>,
    now: Timestamp,
) -> Result<OrdersOut, StoreError> {
    let limit = limit.get();
    let mut rows = store.orders(query)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok(OrdersOut {
        next_before: rows
            .last()
            .filter(|_| more)
            .map(|last| last.id.unsigned_abs()),
        orders: rows
            .into_iter()
            .map(|row| view_of(row, ledger, now))
            .collect(),
    })
}

/// What to ask the store for: one row more than the page has, which tells whether there is another.
fn query_of(args: &OrdersArgs) -> Result<OrderQuery, ToolError> {
    let named = args.order_id.is_some() || args.client_order_id.is_some();
    let open = match args.status.trim() {
        _ if named => None,
        "open" => Some(true),
        "closed" => Some(false),
        "all" => None,
        other => {
            return Err(ToolError::new(
                "bad_arguments",
                format!(
                    "status `{}` is not known",
                    crate::domain::text::clean(other, 20)
                ),
                "Use open, closed or all.",
            ));
        }
    };
    Ok(OrderQuery {
        limit: u32::try_from(args.limit.get() + 1).unwrap_or(u32::MAX),
        before: args.before.map(row_id),
        id: args.order_id.map(row_id),
        open,
        status: None,
        market_id: args.market_id.clone(),
        strategy: args.strategy.clone(),
        client_order_id: args.client_order_id.clone(),
    })
}

async fn get_orders(app: Arc<App>, args: OrdersArgs, _: Caller) -> Result<OrdersOut, ToolError> {
    let query = query_of(&args)?;
    let now = app.source().now().await.map_err(AppError::from)?;
    blocking(&app, move |app| {
        // The ledger first: the rows then tell of everything that it knows.
        let ledger = app.ledger()?;
        Ok(page(&app.store(), &ledger, &query, args.limit, now)?)
    })
    .await
}

fn in_words(out: &OrdersOut) -> String {
    let mut lines: Vec<String> = out
        .orders
        .iter()
        .map(|order| {
            let mut line = format!(
                "{} {} {} {} {} of market {} at {}: {}, {} filled",
                order.order_id,
                order.order_type,
                order.side,
                order.shares,
                order.outcome,
                order.market_id,
                order.limit_price,
                order.status,
                order.filled
            );
            if let Some(price) = order.average_price {
                line.push_str(&format!(" at {price}"));
            }
            if let Some(queue) = order.queue_ahead {
                line.push_str(&format!(", {queue} shares go first"));
            }
            if let Some(end) = &order.expires_at {
                line.push_str(&format!(", until {end}"));
            }
            line
        })
        .collect();
    if lines.is_empty() {
        lines.push("No such orders.".to_owned());
    }
    if let Some(before) = out.next_before {
        lines.push(format!("More with before {before}."));
    }
    lines.join("\n")
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CancelArgs {
    /// This order.
    #[serde(default, deserialize_with = "lenient::number")]
    order_id: Option<u64>,
    /// The one placed under this id.
    #[serde(default, deserialize_with = "lenient::text")]
    client_order_id: Option<String>,
    /// All of this market.
    #[serde(default, deserialize_with = "lenient::text")]
    market_id: Option<String>,
    /// True: all.
    #[serde(default, deserialize_with = "lenient::boolean")]
    all: bool,
    /// True: all, and no more purchases.
    #[serde(default, deserialize_with = "lenient::boolean")]
    halt: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CancelOut {
    /// Numbers of the orders cancelled.
    cancelled: Vec<u64>,
    /// True when trading is halted.
    halted: bool,
    /// In words.
    message: String,
}

async fn cancel_order(
    app: Arc<App>,
    args: CancelArgs,
    caller: Caller,
) -> Result<CancelOut, ToolError> {
    let mut scopes: Vec<Option<CancelScope>> = Vec::new();
    scopes.extend(args.order_id.map(|id| Some(CancelScope::Order(id))));
    scopes.extend(args.client_order_id.map(|id| Some(CancelScope::Client(id))));
    scopes.extend(
        args.market_id
            .map(|id| Some(CancelScope::Market(MarketId::new(id)))),
    );
    scopes.extend(args.all.then_some(Some(CancelScope::All)));
    scopes.extend(args.halt.then_some(None));
    let [scope] = <[Option<CancelScope>; 1]>::try_from(scopes).map_err(|given| {
        ToolError::new(
            "bad_arguments",
            format!("{} arguments name what to cancel, not one", given.len()),
            "Give one of order_id, client_order_id, market_id, all: true or halt: true; get_orders \
             lists open orders.",
        )
    })?;
    let by = caller.kind.to_string();
    let cancelled = match scope {
        Some(scope) => app.cancel_orders(scope, by).await?,
        None => {
            let reason = format!("cancel_order with halt, asked by {by}");
            app.halt(by, reason).await?
        }
    };
    let halted = app.ledger()?.halt().is_some();
    let mut message = match cancelled.as_slice() {
        [] => "No open order was there to cancel.".to_owned(),
        ids => {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            format!("Cancelled: {}.", ids.join(", "))
        }
    };
    if halted {
        message.push_str(
            " Trading is halted: only sales that reduce a position pass until it is resumed.",
        );
    }
    Ok(CancelOut {
        cancelled,
        halted,
        message,
    })
}

#[cfg(test)]
mod tests;
