//! What an agent asks of conditional orders: create and withdraw.

use crate::domain::{
    ConditionalKind, ConditionalOrder, LedgerEvent, Market, Price, Shares, StrategyName, Timestamp,
    TokenId,
};

use super::super::conditional::scaled;
use super::super::ledger::{Ledger, Recorder};
use super::super::risk::Refusal;
use super::agent::{Verdict, trail_out_of_range};

/// Most conditional orders on one position: more is a loop gone wrong.
const MAX_CONDITIONALS: usize = 20;

/// A conditional order as an agent states it: in shares of a position.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    /// An order of the same position: when one of them has sold, the other is withdrawn.
    pub oco_with: Option<u64>,
    /// Best bid now, where there is one.
    pub bid: Option<Price>,
    /// Why.
    pub reason: String,
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
    let partner = match wanted.oco_with.map(|id| partner(ledger, wanted, id)) {
        Some(Err(refusal)) => return Ok((Err(refusal), Vec::new())),
        Some(Ok(partner)) => Some(partner),
        None => None,
    };
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
        shares: partner.map_or(wanted.shares.unwrap_or(held), |order| order.shares),
        high_watermark: trailing.then_some(start),
        trail_percent: wanted.trail_percent.filter(|_| trailing),
        parent_strategy: StrategyName::new("mcp_manual"),
        group: partner.map(ConditionalOrder::group_key),
        doubted_since: None,
        sales: None,
        reason: wanted.reason.clone(),
        created_at: now,
    };
    let mut recorder = Recorder::new(ledger, now);
    recorder.record(LedgerEvent::ConditionalCreated {
        conditional: conditional.clone(),
    })?;
    Ok((Ok(conditional), recorder.into_events()))
}

/// The order that a new one is to be grouped with: of the same position, and for the same shares, so
/// that it is clear what is left to one when the other has sold some.
fn partner<'a>(
    ledger: &'a Ledger,
    wanted: &NewConditional,
    id: u64,
) -> Result<&'a ConditionalOrder, Refusal> {
    let order = ledger
        .conditionals()
        .get(&id)
        .filter(|order| order.token_id == wanted.token_id)
        .ok_or_else(|| {
            Refusal::new(
                "unknown_order",
                format!("No active conditional order with id {id} on this position"),
                "get_conditional_orders lists the active ones with their tokens.",
            )
        })?;
    match wanted.shares {
        Some(shares) if shares != order.shares => Err(Refusal::new(
            "size",
            format!(
                "{shares} shares cannot be grouped with conditional order {id}, which sells {}",
                order.shares
            ),
            "Leave size out: orders that cancel each other sell the same shares.",
        )),
        _ => Ok(order),
    }
}

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
