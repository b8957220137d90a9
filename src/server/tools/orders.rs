//! get_orders, cancel_order: what became of orders, and how to take them back.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{App, AppError};
use crate::domain::{LedgerEvent, MarketId, Order, OrderOutcome, Shares, Timestamp, Usdc};
use crate::server::{Caller, Limit, ToolAnnotations, ToolError, ToolSpec, lenient};
use crate::trading::desk::CancelScope;
use crate::trading::ledger::Ledger;
use crate::trading::report::{IN_FLIGHT, RESTING, outcome_words};

use super::blocking;
use super::views::tidy;

/// Events that are looked through for orders that are over.
const EVENTS_READ: u64 = 50_000;

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
        ),
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
    /// 0–1; null when nothing filled, or when its fills are too old to be looked through.
    average_price: Option<f64>,
    /// Fees, pUSD; null when its fills are too old to be looked through.
    fee: Option<f64>,
    /// Shares of others that go first at its price; null when it does not rest.
    queue_ahead: Option<f64>,
    /// Accepted, RFC 3339 UTC; null when that is too long ago to be looked through.
    placed_at: Option<String>,
    /// Seconds since it was accepted, until it was over.
    age_seconds: Option<f64>,
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
    /// What is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// One order with its past.
#[derive(Debug, Clone)]
struct History {
    order: Order,
    accepted_at: Option<Timestamp>,
    filled: Shares,
    notional: Usdc,
    fee: Usdc,
    ended: Option<(Timestamp, OrderOutcome, String)>,
}

/// Orders by number, and whether there were older ones that were not looked through.
#[derive(Debug, Default)]
struct Histories {
    orders: BTreeMap<u64, History>,
    older: bool,
}

/// The orders of the account as far as they can be told: from the newest events. The one place that
/// knows where closed orders are read from.
fn histories(app: &App) -> Result<Histories, AppError> {
    let store = app.store();
    let after = store.last_seq()?.saturating_sub(EVENTS_READ);
    let mut found = Histories {
        older: after > 0,
        ..Histories::default()
    };
    store.for_each_event(after, |stamped| -> Result<(), AppError> {
        match stamped.event {
            LedgerEvent::OrderAccepted { order } => {
                let history = History {
                    accepted_at: Some(stamped.at),
                    filled: Shares::ZERO,
                    notional: Usdc::ZERO,
                    fee: Usdc::ZERO,
                    ended: None,
                    order,
                };
                found.orders.insert(history.order.id, history);
            }
            LedgerEvent::Filled { fill } => {
                if let Some(history) = found.orders.get_mut(&fill.order_id) {
                    history.filled = history.filled.plus(fill.shares);
                    history.notional = history.notional.plus(fill.notional);
                    history.fee = history.fee.plus(fill.fee);
                }
            }
            LedgerEvent::OrderClosed {
                order_id,
                outcome,
                reason,
                ..
            } => {
                if let Some(history) = found.orders.get_mut(&order_id) {
                    history.ended = Some((stamped.at, outcome, reason));
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}

/// Adds open orders that are older than what was looked through.
fn with_open(mut found: Histories, ledger: &Ledger) -> Histories {
    for (order, remaining) in ledger.open_orders() {
        found.orders.entry(order.id).or_insert_with(|| History {
            order: order.clone(),
            accepted_at: None,
            filled: order.shares.minus(remaining),
            notional: Usdc::ZERO,
            fee: Usdc::ZERO,
            ended: None,
        });
    }
    found
}

fn view_of(history: &History, ledger: &Ledger, now: Timestamp) -> OrderView {
    let History {
        order,
        accepted_at,
        filled,
        notional,
        fee,
        ended,
    } = history;
    let resting = ledger.resting().get(&order.id);
    let known = accepted_at.is_some();
    let remaining = match ended {
        None => order.shares.minus(*filled),
        Some(_) => Shares::ZERO,
    };
    let status = match (ended, resting) {
        (Some((_, outcome, _)), _) => outcome_words(*outcome),
        (None, Some(_)) => RESTING,
        (None, None) => IN_FLIGHT,
    };
    let until = ended.as_ref().map_or(now, |(at, _, _)| *at);
    OrderView {
        order_id: order.id,
        client_order_id: order.client_order_id.clone(),
        status: status.to_owned(),
        strategy: order.strategy.to_string(),
        market_id: order.market_id.to_string(),
        token_id: order.token_id.to_string(),
        outcome: order.outcome.clone(),
        side: order.side.as_str().to_owned(),
        order_type: order.order_type.as_str().to_owned(),
        limit_price: order.limit.to_f64(),
        shares: order.shares.to_f64(),
        filled: filled.to_f64(),
        remaining: remaining.to_f64(),
        average_price: (known && !filled.is_zero())
            .then(|| tidy(notional.to_f64() / filled.to_f64())),
        fee: known.then(|| fee.to_f64()),
        queue_ahead: resting.map(|resting| resting.queue_ahead.to_f64()),
        placed_at: accepted_at.map(Timestamp::to_rfc3339),
        age_seconds: accepted_at.map(|at| until.since(at) as f64 / 1000.0),
        expires_at: order.expires_at.map(Timestamp::to_rfc3339),
        reason: ended
            .as_ref()
            .map_or_else(|| order.reason.clone(), |(_, _, reason)| reason.clone()),
    }
}

async fn get_orders(app: Arc<App>, args: OrdersArgs, _: Caller) -> Result<OrdersOut, ToolError> {
    let named = args.order_id.is_some() || args.client_order_id.is_some();
    let (open, closed) = match args.status.trim() {
        _ if named => (true, true),
        "open" => (true, false),
        "closed" => (false, true),
        "all" => (true, true),
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
    let now = app.source().now().await.map_err(AppError::from)?;
    let found = blocking(&app, |app| {
        // The events first: an order that closes in between then shows as it stood, not twice.
        let found = histories(app)?;
        let ledger = app.ledger()?;
        Ok((with_open(found, &ledger), ledger))
    })
    .await?;
    let (found, ledger) = found;
    let limit = args.limit.get();
    let wanted = |history: &&History| {
        let order = &history.order;
        let is_open = history.ended.is_none();
        (if is_open { open } else { closed })
            && args.before.is_none_or(|before| order.id < before)
            && args.order_id.is_none_or(|id| order.id == id)
            && args
                .market_id
                .as_deref()
                .is_none_or(|id| order.market_id.as_str() == id)
            && args
                .strategy
                .as_deref()
                .is_none_or(|name| order.strategy.as_str() == name)
            && (args.client_order_id.is_none() || order.client_order_id == args.client_order_id)
    };
    let mut rows: Vec<&History> = found
        .orders
        .values()
        .rev()
        .filter(wanted)
        .take(limit + 1)
        .collect();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_before = rows.last().filter(|_| more).map(|last| last.order.id);
    Ok(OrdersOut {
        orders: rows
            .into_iter()
            .map(|history| view_of(history, &ledger, now))
            .collect(),
        next_before,
        note: (found.older && closed && !more).then(|| {
            format!("closed orders older than the newest {EVENTS_READ} events are not shown")
        }),
    })
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
    lines.extend(out.note.clone());
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
