//! Inputs that come from an agent or a person: orders, stops, estimates, deposits.

use serde::{Deserialize, Serialize};

use crate::domain::{
    Book, LedgerEvent, Market, Order, OrderType, Price, Rounding, Shares, Side, Signal, Snapshot,
    SourceKind, StampedEvent, StrategyName, Timestamp, TokenId, Usdc, notional,
};

use super::super::config::TradingConfig;
use super::super::ledger::{ClientOrder, Ledger, Recorder};
use super::super::matching::{self, Matched};
use super::super::report::{self, OrderReport};
use super::super::risk::{Candidate, LimitCheck, Refusal, RiskGate};
use super::super::venue_rules;
use super::{DeskError, Step};

/// Who an agent's own orders are booked under: no strategy replaces or withdraws them.
pub const AGENT: &str = "mcp_manual";

/// An order as an agent states it: in pUSD of notional at its limit price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentOrder {
    /// Who asks, e.g. `mcp_manual`.
    pub strategy: StrategyName,
    /// Market.
    pub market_id: crate::domain::MarketId,
    /// Token.
    pub token_id: TokenId,
    /// Direction.
    pub side: Side,
    /// Notional at the limit price, pUSD.
    pub size: Usdc,
    /// Limit price.
    pub limit: Price,
    /// What happens to what does not fill at once.
    pub order_type: OrderType,
    /// When it leaves the book by itself: needed for GTD, possible for post-only.
    pub expires_at: Option<Timestamp>,
    /// The same id again gives the first order's result instead of a second order.
    pub client_order_id: Option<String>,
    /// Stop-loss for what it buys.
    pub stop_loss: Option<Price>,
    /// Take-profit for what it buys.
    pub take_profit: Option<Price>,
    /// Trailing distance for what it buys, as a fraction.
    pub trail_percent: Option<Price>,
    /// Why.
    pub reason: String,
}

/// What an order would do, and what each limit says to it.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderPreview {
    /// What would fill at once on the book as it is, and what would rest behind whom.
    pub report: OrderReport,
    /// Every limit with its verdict.
    pub checks: Vec<LimitCheck>,
    /// Cost of positions and waiting buys in the market afterwards, pUSD.
    pub market_exposure: Usdc,
    /// Cash afterwards, pUSD; what would rest keeps a part of it.
    pub cash: Usdc,
}

impl OrderPreview {
    /// Of an order whose client's id was used before: placing it changes nothing, and gives what came of
    /// the first one.
    #[must_use]
    pub fn of_placed(report: OrderReport, ledger: &Ledger, placed: &ClientOrder) -> Self {
        let order = &placed.order;
        OrderPreview {
            report,
            checks: vec![LimitCheck {
                limit: "client_order_id".to_owned(),
                value: format!("used before, for order {}: this is its result", order.id),
                allowed: "a new id for a new order".to_owned(),
                passed: true,
            }],
            market_exposure: ledger.market_exposure(&order.market_id),
            cash: ledger.cash(),
        }
    }
}

/// Events of a step with its verdict; events count (and are stored) whatever the verdict.
pub type Verdict<T> = Result<(Result<T, Refusal>, Vec<StampedEvent>), DeskError>;

fn no_market(order: &AgentOrder) -> Refusal {
    Refusal::new(
        "unknown_market",
        format!("there is no market {}", order.market_id),
        "search_markets lists markets with their ids.",
    )
}

fn build(ledger: &Ledger, wanted: &AgentOrder, market: &Market) -> Order {
    let held = ledger.sellable(&wanted.token_id);
    Order {
        id: ledger.next_order_id(),
        client_order_id: wanted.client_order_id.clone(),
        signal_id: None,
        supporters: Vec::new(),
        strategy: wanted.strategy.clone(),
        market_id: market.id.clone(),
        event_id: market.event_id.clone(),
        token_id: wanted.token_id.clone(),
        outcome: market
            .outcome_of(&wanted.token_id)
            .map(|(_, outcome)| outcome.name.clone())
            .unwrap_or_default(),
        side: wanted.side,
        limit: wanted.limit,
        shares: venue_rules::shares_for(wanted.side, wanted.size, wanted.limit, held),
        order_type: wanted.order_type,
        expires_at: wanted.expires_at,
        arrives_at: None,
        fired_by: None,
        fee: None,
        basket: None,
        reason: wanted.reason.as_str().into(),
        stop_loss: wanted.stop_loss,
        take_profit: wanted.take_profit,
        trail_percent: wanted.trail_percent,
    }
}

/// Places an agent's order on a snapshot that holds its market and book.
pub fn agent_order(
    ledger: &mut Ledger,
    wanted: &AgentOrder,
    snapshot: &Snapshot,
    config: &TradingConfig,
) -> Verdict<OrderReport> {
    let Some(view) = snapshot.market(&wanted.market_id) else {
        return Ok((Err(no_market(wanted)), Vec::new()));
    };
    if let Some(placed) = wanted
        .client_order_id
        .as_deref()
        .and_then(|id| ledger.client_order(id))
    {
        return Ok((repeated(ledger, wanted, placed, &view.market), Vec::new()));
    }
    let market = view.market.clone();
    let mut step = Step::new(ledger, snapshot.into(), config);
    step.begin_day()?;
    step.mark()?;
    step.watch_losses()?;
    let order = build(step.ledger(), wanted, &market);
    let signal = Signal {
        strategy: wanted.strategy.clone(),
        market_id: market.id.clone(),
        token_id: wanted.token_id.clone(),
        outcome: order.outcome.clone(),
        side: wanted.side,
        confidence: 1.0,
        fair_price: wanted.limit.to_f64(),
        target_price: wanted.limit,
        edge: 0.0,
        size: wanted.size,
        reason: wanted.reason.as_str().into(),
        stop_loss: wanted.stop_loss,
        take_profit: wanted.take_profit,
    };
    let row = step.log_signal(&signal)?;
    let order = Order {
        signal_id: Some(row),
        ..order
    };
    let book = step.book(&wanted.token_id);
    let verdict = match refuse_terms(wanted, book.as_ref()) {
        Some(refusal) => Err(refusal),
        None => step.approve(&order, &market, book.as_ref()),
    };
    let approved = match verdict {
        Ok(approved) => approved,
        Err(refusal) => {
            step.record_refusal(&order, &refusal)?;
            step.reject(row, &refusal.code, refusal.message.clone())?;
            return Ok((Err(refusal), step.recorder.into_events()));
        }
    };
    let mut placed = step.submit(approved, &market)?;
    step.conclude_signals(&order, &placed)?;
    if !placed.fills.is_empty() {
        if order.side == Side::Buy {
            placed.exits = step.attach_exits(&order, &market, false)?;
        }
        step.mark()?;
        step.watch_losses()?;
        step.take_snapshot(true)?;
    }
    Ok((Ok(placed), step.recorder.into_events()))
}

/// The answer to an order whose client's id was used before, for `placed`: nothing happens. Refused
/// when it asks for something else than the first one, and when its market is not in the snapshot.
pub fn known_order(
    ledger: &Ledger,
    wanted: &AgentOrder,
    placed: &ClientOrder,
    snapshot: &Snapshot,
) -> (Result<OrderReport, Refusal>, Vec<StampedEvent>) {
    let verdict = match snapshot.market(&wanted.market_id) {
        Some(view) => repeated(ledger, wanted, placed, &view.market),
        None => Err(no_market(wanted)),
    };
    (verdict, Vec::new())
}

/// What is wrong with the terms themselves: exits that could not wait.
fn refuse_terms(wanted: &AgentOrder, book: Option<&Book>) -> Option<Refusal> {
    let exits = [wanted.stop_loss, wanted.take_profit, wanted.trail_percent];
    if wanted.side == Side::Sell && exits.iter().any(Option::is_some) {
        return Some(Refusal::new(
            "exit_price",
            "stop_loss, take_profit and trail_percent guard what a buy acquires; this is a sale",
            "Leave them out, or use create_conditional_order for shares that stay.",
        ));
    }
    if wanted
        .trail_percent
        .is_some_and(|trail| trail == Price::ZERO || trail == Price::ONE)
    {
        return Some(trail_out_of_range());
    }
    let bid = book.and_then(Book::best_bid);
    let below = bid.map_or(wanted.limit, |bid| bid.min(wanted.limit));
    if let Some(stop) = wanted.stop_loss
        && (stop == Price::ZERO || stop >= below)
    {
        return Some(Refusal::new(
            "exit_price",
            format!("a stop_loss at {stop} would never or at once fire: the price is {below}"),
            format!("Use a stop_loss above 0 and below {below}."),
        ));
    }
    let above = bid.unwrap_or(Price::ZERO);
    if let Some(profit) = wanted.take_profit
        && (profit == Price::ONE || profit <= above)
    {
        return Some(Refusal::new(
            "exit_price",
            format!("a take_profit at {profit} would never or at once fire: the bid is {above}"),
            format!("Use a take_profit above {above} and below 1."),
        ));
    }
    None
}

pub(super) fn trail_out_of_range() -> Refusal {
    Refusal::new(
        "trail_percent",
        "trail_percent must be above 0 and below 1",
        "For five percent below the highest bid use trail_percent 0.05.",
    )
}

/// The result of the first order under the same client id, unless this one asks for something else.
fn repeated(
    ledger: &Ledger,
    wanted: &AgentOrder,
    placed: &ClientOrder,
    market: &Market,
) -> Result<OrderReport, Refusal> {
    let order = &placed.order;
    // A sale of everything is rounded to what was held then: by 0.01 share at most.
    let shares = Shares::affordable(wanted.size, wanted.limit);
    let difference = shares.micros().abs_diff(order.shares.micros());
    let same_size = match order.side {
        Side::Buy => difference == 0,
        Side::Sell => difference <= Shares::LOT.micros().unsigned_abs(),
    };
    let same = same_size
        && order.market_id == wanted.market_id
        && order.token_id == wanted.token_id
        && order.side == wanted.side
        && order.limit == wanted.limit
        && order.order_type == wanted.order_type
        // The end itself may be stated from now on, which is later in a repetition.
        && order.expires_at.is_some() == wanted.expires_at.is_some()
        && order.stop_loss == wanted.stop_loss
        && order.take_profit == wanted.take_profit
        && order.trail_percent == wanted.trail_percent;
    if !same {
        return Err(Refusal::new(
            "client_order_id_used",
            format!(
                "client_order_id was used for another order: {} {} shares of {} at {}",
                order.side.as_str(),
                order.shares,
                order.outcome,
                order.limit
            ),
            "Use a new client_order_id for a new order.",
        ));
    }
    let fills: Vec<matching::LevelFill> = placed
        .fills
        .iter()
        .map(|fill| matching::LevelFill {
            price: fill.price,
            shares: fill.shares,
            notional: fill.notional,
            fee: fill.fee,
        })
        .collect();
    let filled = fills
        .iter()
        .fold(Shares::ZERO, |sum, fill| sum.plus(fill.shares));
    let matched = Matched {
        fills,
        unfilled: order.shares.minus(filled),
    };
    let rests = ledger.resting().get(&order.id);
    let open = rests.map_or(report::IN_FLIGHT, |_| report::RESTING);
    let words = placed.outcome.map_or(open, report::outcome_words);
    let mut report = OrderReport::new(order, market, &matched, words, None);
    if let Some(resting) = rests {
        report.rests(resting.remaining, resting.queue_ahead);
    }
    if placed.outcome.is_some() && !matched.unfilled.is_zero() {
        report.reason = format!(
            "order {} was placed under this client_order_id before, and is closed ({words}); get_orders \
             tells why",
            order.id
        );
    }
    Ok(report)
}

/// What an order would do now. Approves and records nothing.
pub fn preview_order(
    ledger: &Ledger,
    wanted: &AgentOrder,
    snapshot: &Snapshot,
    config: &TradingConfig,
) -> Result<Result<OrderPreview, Refusal>, DeskError> {
    let Some(view) = snapshot.market(&wanted.market_id) else {
        return Ok(Err(no_market(wanted)));
    };
    // A draft with today's marks, so that the daily loss is judged as it would be.
    let mut draft = ledger.clone();
    let mut step = Step::new(&mut draft, snapshot.into(), config);
    step.begin_day()?;
    step.mark()?;
    step.watch_losses()?;
    let order = build(step.ledger(), wanted, &view.market);
    let book = step.book(&wanted.token_id);
    let gate: RiskGate<'_> = step.gate();
    let candidate = Candidate {
        order: &order,
        market: &view.market,
        book: book.as_ref(),
    };
    let mut checks = gate.assess(&candidate);
    let other = step.not_resolved(&order.market_id).err();
    if let Some(refusal) = other.or_else(|| refuse_terms(wanted, book.as_ref())) {
        checks.insert(
            0,
            LimitCheck {
                limit: refusal.code,
                value: refusal.message,
                allowed: refusal.hint,
                passed: false,
            },
        );
    }
    let matched = match &book {
        Some(book) if order.order_type.takes() => matching::take(&order, book, view.market.fee)?,
        _ => Matched {
            fills: Vec::new(),
            unfilled: order.shares,
        },
    };
    let slippage = book
        .as_ref()
        .and_then(|b| matching::slippage(&matched, b, order.side));
    let rests = order.order_type.rests() && !matched.unfilled.is_zero();
    let words = if rests {
        report::RESTING
    } else {
        report::outcome_words(report::outcome_of(&matched))
    };
    let mut report = OrderReport::new(&order, &view.market, &matched, words, slippage);
    let mut kept = Usdc::ZERO;
    if rests {
        report.rests(matched.unfilled, step.queue_at(&order));
        if order.side == Side::Buy {
            kept = notional(order.limit, matched.unfilled, Rounding::Up)?;
        }
    }
    let before = step.ledger().market_exposure(&order.market_id);
    let (market_exposure, cash) = match order.side {
        Side::Buy => (
            before.plus(matched.notional()).plus(kept),
            step.ledger()
                .cash()
                .minus(matched.notional())
                .minus(matched.fee()),
        ),
        Side::Sell => {
            let cost = step
                .ledger()
                .positions()
                .get(&order.token_id)
                .map_or(Usdc::ZERO, |p| p.cost.share_of(matched.filled(), p.shares));
            let gained = matched.notional().minus(matched.fee());
            (before.minus(cost), step.ledger().cash().plus(gained))
        }
    };
    Ok(Ok(OrderPreview {
        report,
        checks,
        market_exposure,
        cash,
    }))
}

/// Opens the account on one kind of source and pays the starting balance in.
pub fn open_account(
    ledger: &mut Ledger,
    source: SourceKind,
    amount: Usdc,
    now: Timestamp,
) -> Result<Vec<StampedEvent>, DeskError> {
    let mut recorder = Recorder::new(ledger, now);
    recorder.record(LedgerEvent::AccountOpened { source })?;
    recorder.record(LedgerEvent::Deposited { amount })?;
    let day = recorder.at().day();
    let equity = recorder.ledger().equity().total;
    recorder.record(LedgerEvent::DayStarted { day, equity })?;
    Ok(recorder.into_events())
}
