//! place_trade: an order on paper, or a preview of one.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{App, AppError};
use crate::domain::text::clean;
use crate::domain::{MarketId, OrderType, Side, StrategyName, Timestamp, TokenId};
use crate::server::{Caller, ToolAnnotations, ToolError, ToolSpec, lenient};
use crate::trading::desk::{AGENT, AgentOrder};
use crate::trading::report::{FillReport, OrderReport};
use crate::trading::risk::LimitCheck;

use super::{amount_argument, price_argument};

/// The tools of this file.
pub fn tools() -> Vec<ToolSpec<App>> {
    vec![ToolSpec::new(
        "place_trade",
        "Place a trade",
        "Buy or sell shares of one outcome at a limit price; on paper it fills only what the order \
         book shows, with the market's fee. `size` is pUSD of notional \
         at the limit price (shares = size / price). dry_run true first: it shows fills, fee, what \
         would rest behind whom and the verdict of each limit, and changes nothing. Example: {\"market_id\": \"559652\", \"token_id\": \"5453…\", \"side\": \"buy\", \
         \"size\": 25, \"price\": 0.16, \"dry_run\": true}.",
        ToolAnnotations::DESTRUCTIVE,
        place_trade,
    )]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TradeArgs {
    /// Market id (from search_markets).
    #[serde(deserialize_with = "lenient::text")]
    market_id: String,
    /// Token id of the outcome. To bet against Yes, buy No.
    #[serde(deserialize_with = "lenient::text")]
    token_id: String,
    /// buy or sell. Only what is held can be sold.
    side: String,
    /// pUSD of notional at the limit price, above 0.
    #[serde(deserialize_with = "lenient::number")]
    size: f64,
    /// Limit price, 0–1, a multiple of the market's tick.
    #[serde(deserialize_with = "lenient::number")]
    price: f64,
    /// FAK fills what it can and drops the rest; FOK all or nothing; GTC rests the rest until
    /// cancelled; GTD until it expires; POST_ONLY only rests.
    #[serde(default = "fak")]
    order_type: String,
    /// GTD, POST_ONLY: seconds until it expires, at least 120.
    #[serde(default, deserialize_with = "lenient::number")]
    expires_in: Option<f64>,
    /// The same as a moment, RFC 3339.
    #[serde(default, deserialize_with = "lenient::text")]
    expires_at: Option<String>,
    /// True to preview only.
    #[serde(default, deserialize_with = "lenient::boolean")]
    dry_run: bool,
    /// Your own id: again, it returns the first result instead of a second order.
    #[serde(default, deserialize_with = "lenient::text")]
    client_order_id: Option<String>,
    /// Buys: price (0–1) of a stop-loss on what fills.
    #[serde(default, deserialize_with = "lenient::number")]
    stop_loss: Option<f64>,
    /// Buys: price (0–1) of a take-profit on what fills.
    #[serde(default, deserialize_with = "lenient::number")]
    take_profit: Option<f64>,
    /// Buys: trailing stop this fraction below the highest bid, e.g. 0.05.
    #[serde(default, deserialize_with = "lenient::number")]
    trail_percent: Option<f64>,
}

fn fak() -> String {
    "FAK".to_owned()
}

#[derive(Debug, Serialize, JsonSchema)]
struct TradeOut {
    /// filled, partially_filled, unfilled, resting, in_flight, cancelled or expired; a preview says what
    /// it would be.
    status: String,
    /// True for a preview: nothing was placed.
    dry_run: bool,
    /// Number of the order; null for a preview.
    order_id: Option<u64>,
    /// Market id.
    market_id: String,
    /// UNTRUSTED text: the question.
    question: String,
    /// Token id.
    token_id: String,
    /// UNTRUSTED text: outcome name.
    outcome: String,
    /// buy or sell.
    side: String,
    /// Limit price, 0–1.
    limit_price: f64,
    /// Average fill price, 0–1; null when nothing fills.
    price: Option<f64>,
    /// pUSD traded, fee not included.
    size: f64,
    /// Shares filled.
    shares: f64,
    /// Shares ordered.
    shares_ordered: f64,
    /// Fee, pUSD.
    fee: f64,
    /// Average price against the mid before, as a fraction of the mid, positive when worse.
    slippage: Option<f64>,
    /// Level by level.
    fills: Vec<FillReport>,
    /// Shares that rest on the book.
    resting_shares: f64,
    /// Shares of others that go first at its price; null when nothing rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_ahead: Option<f64>,
    /// When it leaves the book by itself, RFC 3339 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// When it reaches the exchange, RFC 3339 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    arrives_at: Option<String>,
    /// Conditional orders attached to what filled, in words; one whose price the bid has passed
    /// already says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exits: Vec<String>,
    /// Why it did not fill, or why it was placed.
    reason: String,
    /// Preview only: every limit with its verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Vec<LimitCheck>>,
    /// Preview only: true when every limit passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    would_pass: Option<bool>,
    /// Preview only: cost of positions in this market afterwards, pUSD.
    #[serde(skip_serializing_if = "Option::is_none")]
    market_exposure_after: Option<f64>,
    /// Preview only: cash afterwards, pUSD.
    #[serde(skip_serializing_if = "Option::is_none")]
    cash_after: Option<f64>,
}

impl TradeOut {
    fn of(report: OrderReport, dry_run: bool) -> Self {
        TradeOut {
            status: report.status,
            dry_run,
            order_id: (!dry_run).then_some(report.order_id),
            market_id: report.market_id,
            question: report.question,
            token_id: report.token_id,
            outcome: report.outcome,
            side: report.side,
            limit_price: report.limit_price,
            price: report.average_price.map(super::views::tidy),
            size: report.notional,
            shares: report.filled_shares,
            shares_ordered: report.shares,
            fee: report.fee,
            slippage: report.slippage.map(super::views::tidy),
            fills: report.fills,
            resting_shares: report.resting_shares,
            queue_ahead: report.queue_ahead,
            expires_at: report.expires_at,
            arrives_at: report.arrives_at,
            exits: report.exits,
            reason: report.reason,
            limits: None,
            would_pass: None,
            market_exposure_after: None,
            cash_after: None,
        }
    }
}

async fn place_trade(
    app: Arc<App>,
    args: TradeArgs,
    caller: Caller,
) -> Result<TradeOut, ToolError> {
    let mut order = order_of(&args, &caller)?;
    order.expires_at = expiry_of(&app, &args).await?;
    if !args.dry_run {
        return Ok(TradeOut::of(app.place_order(order).await?, false));
    }
    let preview = app.preview_order(&order).await?;
    let mut out = TradeOut::of(preview.report, true);
    out.would_pass = Some(preview.checks.iter().all(|check| check.passed));
    out.limits = Some(preview.checks);
    out.market_exposure_after = Some(preview.market_exposure.to_f64());
    out.cash_after = Some(preview.cash.to_f64());
    Ok(out)
}

/// Longest life that can be asked for, seconds: ten years.
const LONGEST_LIFE: f64 = 315_576_000.0;

/// When the order leaves the book by itself, by the source's clock.
async fn expiry_of(app: &App, args: &TradeArgs) -> Result<Option<Timestamp>, ToolError> {
    let bad = |message: String, hint: &str| Err(ToolError::new("bad_arguments", message, hint));
    match (args.expires_in, &args.expires_at) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => bad(
            "expires_in and expires_at say the same thing".to_owned(),
            "Give one of them.",
        ),
        (Some(seconds), None) if !(seconds > 0.0 && seconds <= LONGEST_LIFE) => bad(
            format!("expires_in is {seconds}"),
            "Use a number of seconds, at least 120.",
        ),
        (Some(seconds), None) => {
            let now = app.source().now().await.map_err(AppError::from)?;
            Ok(Some(now.plus_millis((seconds * 1000.0) as i64)))
        }
        (None, Some(text)) => match Timestamp::parse(text) {
            Some(moment) => Ok(Some(moment)),
            None => bad(
                format!("expires_at `{}` is no moment", clean(text, 40)),
                "Use RFC 3339, e.g. 2026-12-01T18:00:00Z, or expires_in (seconds).",
            ),
        },
    }
}

/// Longest client_order_id that is kept.
const MAX_CLIENT_ID: usize = 64;

fn order_of(args: &TradeArgs, caller: &Caller) -> Result<AgentOrder, ToolError> {
    let side = match args.side.trim().to_ascii_lowercase().as_str() {
        "buy" => Side::Buy,
        "sell" => Side::Sell,
        other => {
            return Err(ToolError::new(
                "bad_arguments",
                format!("side `{}` is not known", clean(other, 20)),
                "Use buy or sell.",
            ));
        }
    };
    let order_type = match args.order_type.trim().to_ascii_uppercase().as_str() {
        "FAK" => OrderType::Fak,
        "FOK" => OrderType::Fok,
        "GTC" => OrderType::Gtc,
        "GTD" => OrderType::Gtd,
        "POST_ONLY" | "POST-ONLY" => OrderType::PostOnly,
        other => {
            return Err(ToolError::new(
                "bad_arguments",
                format!("order_type `{}` is not available", clean(other, 20)),
                "Use FAK (fill what is there, drop the rest), FOK (all or nothing), GTC (rest), GTD \
                 (rest until it expires) or POST_ONLY (only rest).",
            ));
        }
    };
    let exit = |what: &str, value: Option<f64>| {
        let Some(value) = value else { return Ok(None) };
        if side == Side::Sell {
            let hint = "Leave it out for a sale.";
            let message = format!("{what} only goes with a buy");
            return Err(ToolError::new("bad_arguments", message, hint));
        }
        price_argument(what, value).map(Some)
    };
    if let Some(id) = &args.client_order_id
        && (id.is_empty() || id.chars().count() > MAX_CLIENT_ID || id.chars().any(char::is_control))
    {
        return Err(ToolError::new(
            "bad_arguments",
            format!("client_order_id must have 1 to {MAX_CLIENT_ID} printable characters"),
            "A UUID will do.",
        ));
    }
    Ok(AgentOrder {
        strategy: StrategyName::new(AGENT),
        market_id: MarketId::new(&args.market_id),
        token_id: TokenId::new(&args.token_id),
        side,
        size: amount_argument("size", args.size)?,
        limit: price_argument("price", args.price)?,
        order_type,
        expires_at: None,
        client_order_id: args.client_order_id.clone(),
        stop_loss: exit("stop_loss", args.stop_loss)?,
        take_profit: exit("take_profit", args.take_profit)?,
        trail_percent: exit("trail_percent", args.trail_percent)?,
        reason: format!("Manual trade via {}", caller.kind),
    })
}
