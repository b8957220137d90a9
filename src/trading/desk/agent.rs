//! Inputs that come from an agent or a person: orders, stops, estimates, deposits.

use crate::domain::{
    Book, ConditionalKind, ConditionalOrder, Estimate, LedgerEvent, Market, Order, OrderType,
    Price, Shares, Side, Signal, Snapshot, SourceKind, StampedEvent, StrategyName, Timestamp,
    TokenId, Usdc,
};

use super::super::conditional::scaled;
use super::super::config::TradingConfig;
use super::super::ledger::{ClientOrder, Ledger, Recorder};
use super::super::matching::{self, Matched};
use super::super::report::{self, OrderReport};
use super::super::risk::{Candidate, LimitCheck, Refusal, RiskGate};
use super::super::venue_rules;
use super::{DeskError, Step};

/// An order as an agent states it: in pUSD of notional at its limit price.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// FAK or FOK.
    pub order_type: OrderType,
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

/// A conditional order as an agent states it: in shares of a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConditional {
    /// Token held.
    pub token_id: TokenId,
    /// Its market.
    pub market: Market,
    /// What sets it off.
    pub kind: ConditionalKind,
    /// Trigger price; for a trailing stop the level the watermark starts from.
    pub trigger_price: Price,
    /// Shares; `None` for the whole position.
    pub shares: Option<Shares>,
    /// Trailing distance as a fraction.
    pub trail_percent: Option<Price>,
    /// Best bid now, where there is one.
    pub bid: Option<Price>,
    /// Why.
    pub reason: String,
}

/// What an order would do, and what each limit says to it.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderPreview {
    /// What would fill at once on the book as it is.
    pub report: OrderReport,
    /// Every limit with its verdict.
    pub checks: Vec<LimitCheck>,
    /// Cost of positions in the market afterwards, pUSD.
    pub market_exposure: Usdc,
    /// Cash afterwards, pUSD.
    pub cash: Usdc,
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
        expires_at: None,
        basket: None,
        reason: wanted.reason.clone(),
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
        return Ok((repeated(wanted, placed, &view.market), Vec::new()));
    }
    let market = view.market.clone();
    let mut step = Step::new(ledger, snapshot, config);
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
        reason: wanted.reason.clone(),
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
        None => step.approve(order.clone(), &market, book.as_ref()),
    };
    let approved = match verdict {
        Ok(approved) => approved,
        Err(refusal) => {
            step.record_refusal(&order, &refusal)?;
            step.reject(row, &refusal.code, refusal.message.clone())?;
            return Ok((Err(refusal), step.recorder.into_events()));
        }
    };
    let placed = step.submit(approved, &market)?;
    if placed.fills.is_empty() {
        step.reject(row, "unfilled", placed.reason.clone())?;
    } else {
        step.recorder
            .record(LedgerEvent::SignalExecuted { signal_id: row })?;
        if order.side == Side::Buy {
            step.attach_exits(&order, &market, false)?;
        }
        step.mark()?;
        step.watch_losses()?;
        step.take_snapshot(true)?;
    }
    Ok((Ok(placed), step.recorder.into_events()))
}

/// What is wrong with the terms themselves: a kind of order that does not take, or exits that could
/// not wait.
fn refuse_terms(wanted: &AgentOrder, book: Option<&Book>) -> Option<Refusal> {
    if wanted.order_type == OrderType::PostOnly {
        return Some(Refusal::new(
            "order_type",
            "an order of an agent takes from the book; this one would rest",
            "Use order_type FAK or FOK.",
        ));
    }
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

fn trail_out_of_range() -> Refusal {
    Refusal::new(
        "trail_percent",
        "trail_percent must be above 0 and below 1",
        "For five percent below the highest bid use trail_percent 0.05.",
    )
}

/// The result of the first order under the same client id, unless this one asks for something else.
fn repeated(
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
        && order.token_id == wanted.token_id
        && order.side == wanted.side
        && order.limit == wanted.limit
        && order.order_type == wanted.order_type
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
    let words = placed.outcome.map_or("open", report::outcome_words);
    Ok(OrderReport::new(order, market, &matched, words, None))
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
    let mut step = Step::new(&mut draft, snapshot, config);
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
        Some(book) => matching::take(&order, book, view.market.fee)?,
        None => Matched {
            fills: Vec::new(),
            unfilled: order.shares,
        },
    };
    let slippage = book
        .as_ref()
        .and_then(|b| matching::slippage(&matched, b, order.side));
    let words = report::outcome_words(report::outcome_of(&matched));
    let report = OrderReport::new(&order, &view.market, &matched, words, slippage);
    let before = step.ledger().market_exposure(&order.market_id);
    let (market_exposure, cash) = match order.side {
        Side::Buy => (
            before.plus(matched.notional()),
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

/// Creates a conditional order on a held position.
pub fn create_conditional(
    ledger: &mut Ledger,
    wanted: &NewConditional,
    now: Timestamp,
) -> Verdict<ConditionalOrder> {
    let waiting = ledger
        .conditionals()
        .values()
        .filter(|order| order.token_id == wanted.token_id)
        .count();
    if waiting >= MAX_CONDITIONALS {
        let refusal = Refusal::new(
            "too_many_orders",
            format!(
                "{waiting} conditional orders wait on this position, at most {MAX_CONDITIONALS}"
            ),
            "Cancel some with cancel_conditional_order first.",
        );
        return Ok((Err(refusal), Vec::new()));
    }
    let held = ledger.held(&wanted.token_id);
    if let Some(refusal) = refuse_conditional(wanted, held) {
        return Ok((Err(refusal), Vec::new()));
    }
    let trailing = wanted.kind == ConditionalKind::TrailingStop;
    let start = wanted
        .bid
        .unwrap_or(wanted.trigger_price)
        .max(wanted.trigger_price);
    let conditional = ConditionalOrder {
        id: ledger.next_conditional_id(),
        token_id: wanted.token_id.clone(),
        market_id: wanted.market.id.clone(),
        kind: wanted.kind,
        trigger_price: wanted.trigger_price,
        shares: wanted.shares.unwrap_or(held),
        high_watermark: trailing.then_some(start),
        trail_percent: wanted.trail_percent.filter(|_| trailing),
        parent_strategy: StrategyName::new("mcp_manual"),
        group: None,
        reason: wanted.reason.clone(),
        created_at: now,
    };
    let mut recorder = Recorder::new(ledger, now);
    recorder.record(LedgerEvent::ConditionalCreated {
        conditional: conditional.clone(),
    })?;
    Ok((Ok(conditional), recorder.into_events()))
}

/// Most conditional orders on one position: more is a loop gone wrong.
const MAX_CONDITIONALS: usize = 20;
/// Most authors whose estimates of one market are kept.
const MAX_AUTHORS: usize = 20;

fn refuse_conditional(wanted: &NewConditional, held: Shares) -> Option<Refusal> {
    if held.is_zero() {
        return Some(Refusal::new(
            "not_held",
            format!("no shares of token {} are held", wanted.token_id),
            "Conditional orders close positions; get_portfolio lists what is held.",
        ));
    }
    if let Some(shares) = wanted.shares
        && !shares.is_zero()
        && shares < Shares::LOT
        && shares < held
    {
        return Some(Refusal::new(
            "size",
            format!(
                "{shares} shares is less than the venue's lot of {}",
                Shares::LOT
            ),
            "Leave size out for the whole position, or name at least 0.01 share.",
        ));
    }
    if let Some(shares) = wanted.shares
        && shares > held
    {
        return Some(Refusal::new(
            "shares_held",
            format!("{shares} shares wanted, {held} held"),
            "Leave size out for the whole position, or name at most what is held (in shares).",
        ));
    }
    if wanted.shares.is_some_and(Shares::is_zero) {
        return Some(Refusal::new(
            "size",
            "a conditional order for no shares would sell nothing",
            "Leave size out for the whole position, or name how many shares to sell.",
        ));
    }
    let tick = wanted.market.tick;
    let range = tick..=Price::ONE.minus(tick);
    if !range.contains(&wanted.trigger_price) {
        return Some(Refusal::new(
            "price_range",
            format!("trigger price {} can never be a bid", wanted.trigger_price),
            format!("Use a price between {} and {}.", range.start(), range.end()),
        ));
    }
    let trail = wanted.trail_percent;
    if wanted.kind == ConditionalKind::TrailingStop
        && trail.is_none_or(|trail| trail == Price::ZERO || trail == Price::ONE)
    {
        return Some(trail_out_of_range());
    }
    let (bid, trigger) = (wanted.bid?, wanted.trigger_price);
    let at_once = match wanted.kind {
        ConditionalKind::StopLoss => bid <= trigger,
        ConditionalKind::TakeProfit => bid >= trigger,
        ConditionalKind::TrailingStop => trail
            .is_some_and(|trail| bid <= scaled(trigger, u64::from(trail.complement().micros()))),
    };
    at_once.then(|| {
        Refusal::new(
            "fires_at_once",
            format!("the bid is {bid}, so a {} at {trigger} would sell at once", wanted.kind.as_str()),
            "To sell now use place_trade with side sell; else choose a trigger on the other side of the bid.",
        )
    })
}

/// Withdraws an active conditional order.
pub fn cancel_conditional(ledger: &mut Ledger, id: u64, now: Timestamp) -> Verdict<()> {
    if !ledger.conditionals().contains_key(&id) {
        let refusal = Refusal::new(
            "unknown_order",
            format!("No active conditional order with id {id}"),
            "get_conditional_orders lists the active ones.",
        );
        return Ok((Err(refusal), Vec::new()));
    }
    let mut recorder = Recorder::new(ledger, now);
    let reason = "cancelled on request".to_owned();
    recorder.record(LedgerEvent::ConditionalCancelled { id, reason })?;
    Ok((Ok(()), recorder.into_events()))
}

/// Stores an estimate, in place of its author's earlier one for the market. Expired ones of the
/// market are forgotten by then; more than a few authors with fresh ones are refused.
pub fn store_estimate(ledger: &mut Ledger, estimate: Estimate, now: Timestamp) -> Verdict<()> {
    let others = ledger
        .estimates()
        .get(&estimate.market_id)
        .into_iter()
        .flatten()
        .filter(|known| known.author != estimate.author && known.is_fresh(now))
        .count();
    if others >= MAX_AUTHORS {
        let refusal = Refusal::new(
            "too_many_estimates",
            format!(
                "{others} other authors have fresh estimates of this market, at most {MAX_AUTHORS}"
            ),
            "Use one author name for all your estimates: a new one replaces your earlier one.",
        );
        return Ok((Err(refusal), Vec::new()));
    }
    let mut recorder = Recorder::new(ledger, now);
    recorder.record(LedgerEvent::EstimateStored { estimate })?;
    Ok((Ok(()), recorder.into_events()))
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
