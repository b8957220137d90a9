//! What the log says of conditional orders: what they cover, how far a watermark rose, what set a sale
//! off, and what it sold and brought, which are the sums of its order's fills.
//!
//! The bid that an order looked at is not in the log. It is held against the mark of its token, which
//! the same step recorded before: no bid for some shares is above the best one.

use std::collections::BTreeMap;

use crate::domain::{
    ConditionalKind, ConditionalOrder, ConditionalSale, FiredBy, LedgerEvent, Order, Price, Shares,
    Side, StampedEvent, Timestamp, TokenId, Usdc,
};
use crate::trading::ledger::Ledger;

/// A sale that a conditional order set off, until it is told what came of it.
#[derive(Debug, Clone)]
struct Sale {
    order: u64,
    bid: Price,
    shares: Shares,
    sold: Shares,
    proceeds: Usdc,
}

/// Follows conditional orders and their sales, one event ahead of the ledger.
#[derive(Debug, Default)]
pub(super) struct Conditionals {
    /// Sales on their way or not told of yet, by conditional order.
    sales: BTreeMap<u64, Sale>,
    /// Buys with what they filled since the account was last recorded: in the step that is under
    /// way, for every step with fills ends with that.
    bought: Vec<(Order, Shares)>,
    /// Sales that could not be recomputed: no order names its conditional order (logs of 1.0).
    pub(super) unchecked: u64,
}

impl Conditionals {
    /// Judges an event against the ledger before it; `current` for a log with recorded settings,
    /// which those of 1.0 are not. What speaks of an unknown order is left to the ledger. Errors: what
    /// it says is not so.
    pub(super) fn judge(
        &mut self,
        ledger: &Ledger,
        stamped: &StampedEvent,
        current: bool,
    ) -> Result<(), String> {
        match &stamped.event {
            LedgerEvent::ConditionalCreated { conditional } => {
                self.created(ledger, conditional, current)?;
            }
            LedgerEvent::WatermarkRaised { id, watermark } => {
                raised(ledger, *id, *watermark, current)?;
            }
            LedgerEvent::ConditionalDoubted {
                id,
                bid,
                ask,
                since,
            } => doubted(ledger, *id, (*bid, *ask), *since, stamped.at)?,
            LedgerEvent::OrderAccepted { order } => {
                if let Some(fired) = order.fired_by {
                    self.fired(ledger, order, fired)?;
                }
            }
            LedgerEvent::Filled { fill } => {
                let fired = |sale: &&mut Sale| sale.order == fill.order_id;
                if let Some(sale) = self.sales.values_mut().find(fired) {
                    sale.sold = sale.sold.plus(fill.shares);
                    sale.proceeds = sale.proceeds.plus(fill.notional);
                }
                if fill.side == Side::Buy {
                    self.buys(ledger, fill.order_id, fill.shares);
                }
            }
            LedgerEvent::OrderClosed { order_id, .. } => {
                let ended = |sale: &Sale| sale.order == *order_id && sale.sold.is_zero();
                self.sales.retain(|_, sale| !ended(sale));
            }
            LedgerEvent::ConditionalTriggered {
                id,
                bid,
                sold,
                proceeds,
                trigger,
            } => {
                let told = Told {
                    bid: *bid,
                    trigger: *trigger,
                    sold: *sold,
                    proceeds: *proceeds,
                    left: Shares::ZERO,
                };
                self.told(ledger, *id, &told, current)?;
            }
            LedgerEvent::ConditionalReduced {
                id,
                shares,
                sale: Some(sale),
            } => self.told(ledger, *id, &Told::of_part(sale, *shares), current)?,
            LedgerEvent::ConditionalReduced {
                id,
                shares,
                sale: None,
            } => reduced(ledger, *id, *shares, current)?,
            LedgerEvent::ConditionalCancelled { id, .. } => {
                if let Some(sale) = self.sales.remove(id).filter(|sale| !sale.sold.is_zero()) {
                    return Err(format!(
                        "conditional order {id} is withdrawn, but order {} has sold {} shares for it",
                        sale.order, sale.sold
                    ));
                }
            }
            LedgerEvent::SnapshotTaken { .. } => {
                self.bought.clear();
                let untold = self.sales.iter().find(|(_, sale)| !sale.sold.is_zero());
                if let Some((id, sale)) = untold {
                    return Err(format!(
                        "order {} has sold {} shares for conditional order {id}, and nothing tells of \
                         it",
                        sale.order, sale.sold
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn buys(&mut self, ledger: &Ledger, order_id: u64, shares: Shares) {
        if let Some((_, filled)) = self.bought.iter_mut().find(|(o, _)| o.id == order_id) {
            *filled = filled.plus(shares);
        } else if let Some((order, _)) = ledger.open_order(order_id) {
            self.bought.push((order.clone(), shares));
        }
    }

    /// A new one covers no more than is held. One that comes with a buy covers what that filled in
    /// its step, at the price that the buy names, if it names one; one that joins a group covers what
    /// another of the group does.
    fn created(
        &self,
        ledger: &Ledger,
        new: &ConditionalOrder,
        current: bool,
    ) -> Result<(), String> {
        let held = ledger.held(&new.token_id);
        if new.shares > held {
            return Err(format!("it covers {} shares, {held} are held", new.shares));
        }
        if !current {
            return Ok(());
        }
        if new.shares.is_zero() {
            return Err("it covers no shares".to_owned());
        }
        let trailing = new.kind == ConditionalKind::TrailingStop;
        if trailing != new.high_watermark.is_some() || trailing != new.trail_percent.is_some() {
            return Err(format!(
                "a {} with the watermark and distance of another kind",
                new.kind.as_str()
            ));
        }
        if let Some(watermark) = new.high_watermark.filter(|w| *w < new.trigger_price) {
            return Err(format!(
                "the watermark of {watermark} is below its start of {}",
                new.trigger_price
            ));
        }
        if new.sales.is_some() || new.doubted_since.is_some() {
            return Err("it has sold or doubted something before it was there".to_owned());
        }
        if !self.bought.is_empty() {
            return self.attached(new, held);
        }
        let Some(group) = new.group else {
            return Ok(());
        };
        let fits = |other: &ConditionalOrder| {
            other.group_key() == group
                && other.token_id == new.token_id
                && other.shares == new.shares
        };
        if ledger.conditionals().values().any(fits) {
            return Ok(());
        }
        Err(format!(
            "no order of group {group} covers {} shares of its token",
            new.shares
        ))
    }

    fn attached(&self, new: &ConditionalOrder, held: Shares) -> Result<(), String> {
        let mut why = format!(
            "nothing of its token was bought for {} in its step",
            new.parent_strategy
        );
        for (order, filled) in &self.bought {
            if order.token_id != new.token_id || order.strategy != new.parent_strategy {
                continue;
            }
            let (is, named) = match new.kind {
                ConditionalKind::StopLoss => (Some(new.trigger_price), order.stop_loss),
                ConditionalKind::TakeProfit => (Some(new.trigger_price), order.take_profit),
                ConditionalKind::TrailingStop => (new.trail_percent, order.trail_percent),
            };
            let covers = (*filled).min(held);
            if new.shares != covers {
                why = format!(
                    "it covers {} shares, order {} bought {covers}",
                    new.shares, order.id
                );
            } else if let Some(named) = named.filter(|named| is != Some(*named)) {
                why = format!(
                    "order {} names {named} for its {}",
                    order.id,
                    new.kind.as_str()
                );
            } else {
                return Ok(());
            }
        }
        Err(why)
    }

    /// A sale is set off by a bid on the firing side, and is of all that the order covers and that is
    /// held.
    fn fired(&mut self, ledger: &Ledger, order: &Order, fired: FiredBy) -> Result<(), String> {
        let FiredBy {
            conditional: id,
            bid,
        } = fired;
        let Some(conditional) = ledger.conditionals().get(&id) else {
            return Err(format!("conditional order {id} does not wait"));
        };
        if self.sales.contains_key(&id) {
            return Err(format!(
                "a sale of conditional order {id} is on its way already"
            ));
        }
        if order.side != Side::Sell
            || order.token_id != conditional.token_id
            || order.order_type.rests()
        {
            return Err(format!("no such order is a sale of conditional order {id}"));
        }
        on_firing_side(conditional, bid)?;
        not_above_best(ledger, &order.token_id, bid)?;
        if order.limit > bid {
            return Err(format!(
                "its limit {} is above the bid of {bid}",
                order.limit
            ));
        }
        let covered = conditional.shares.min(ledger.held(&order.token_id));
        if order.shares != covered {
            return Err(format!(
                "it is of {} shares, conditional order {id} covers {covered}",
                order.shares
            ));
        }
        self.sales.insert(
            id,
            Sale {
                order: order.id,
                bid,
                shares: order.shares,
                sold: Shares::ZERO,
                proceeds: Usdc::ZERO,
            },
        );
        Ok(())
    }

    /// What is told of a sale is what its order's fills come to.
    fn told(&mut self, ledger: &Ledger, id: u64, told: &Told, current: bool) -> Result<(), String> {
        let Some(conditional) = ledger.conditionals().get(&id) else {
            return Ok(());
        };
        let Some(sale) = self.sales.remove(&id) else {
            if current {
                return Err(format!(
                    "no order has sold anything for conditional order {id}"
                ));
            }
            self.unchecked += 1;
            return Ok(());
        };
        let Sale {
            order,
            bid,
            shares,
            sold,
            proceeds,
        } = sale;
        if told.sold != sold {
            return Err(format!(
                "{} shares sold, order {order} has sold {sold}",
                told.sold
            ));
        }
        if told.proceeds != Some(proceeds) {
            let said = told.proceeds.map_or("no proceeds".to_owned(), |is| {
                format!("proceeds of {is} pUSD")
            });
            return Err(format!(
                "{said}, the fills of order {order} come to {proceeds} pUSD"
            ));
        }
        let left = shares.minus(sold);
        if told.left != left {
            return Err(format!(
                "it goes on with {} shares, {left} of order {order} are left",
                told.left
            ));
        }
        let trigger = conditional.effective_trigger();
        if told.trigger != Some(trigger) {
            let said = told
                .trigger
                .map_or("no trigger".to_owned(), |is| format!("a trigger of {is}"));
            return Err(format!("{said}, conditional order {id} fires at {trigger}"));
        }
        on_firing_side(conditional, told.bid)?;
        if told.bid != bid {
            return Err(format!(
                "a bid of {}, order {order} was set off by {bid}",
                told.bid
            ));
        }
        Ok(())
    }
}

/// What an event says of a sale.
struct Told {
    bid: Price,
    trigger: Option<Price>,
    sold: Shares,
    proceeds: Option<Usdc>,
    /// What it goes on with.
    left: Shares,
}

impl Told {
    fn of_part(sale: &ConditionalSale, left: Shares) -> Self {
        Told {
            bid: sale.bid,
            trigger: Some(sale.trigger),
            sold: sale.sold,
            proceeds: Some(sale.proceeds),
            left,
        }
    }
}

fn on_firing_side(conditional: &ConditionalOrder, bid: Price) -> Result<(), String> {
    if conditional.fires_at(bid) {
        return Ok(());
    }
    Err(format!(
        "a bid of {bid} does not set off conditional order {}, a {} at {}",
        conditional.id,
        conditional.kind.as_str(),
        conditional.effective_trigger()
    ))
}

/// The best bid of now, where the token is marked: who looks at a book has marked it before.
fn best_bid(ledger: &Ledger, token: &TokenId) -> Option<Price> {
    let mark = ledger.positions().get(token)?.mark?;
    (!mark.bid_gone).then_some(mark.price)
}

fn not_above_best(ledger: &Ledger, token: &TokenId, bid: Price) -> Result<(), String> {
    match best_bid(ledger, token).filter(|best| bid > *best) {
        Some(best) => Err(format!("a bid of {bid}, the best one was marked at {best}")),
        None => Ok(()),
    }
}

/// A watermark only rises, and no higher than the bid.
fn raised(ledger: &Ledger, id: u64, watermark: Price, current: bool) -> Result<(), String> {
    let Some(order) = ledger.conditionals().get(&id) else {
        return Ok(());
    };
    if order.kind != ConditionalKind::TrailingStop {
        return Err(format!(
            "conditional order {id} is a {}, which has no watermark",
            order.kind.as_str()
        ));
    }
    if let Some(before) = order.high_watermark.filter(|before| watermark <= *before) {
        return Err(format!(
            "the watermark is raised to {watermark} from {before}"
        ));
    }
    if current {
        not_above_best(ledger, &order.token_id, watermark)?;
    }
    Ok(())
}

/// A doubt begins, in its own moment, when a bid reaches the price of a stop, and ends when none does.
fn doubted(
    ledger: &Ledger,
    id: u64,
    (bid, ask): (Option<Price>, Option<Price>),
    since: Option<Timestamp>,
    at: Timestamp,
) -> Result<(), String> {
    let Some(order) = ledger.conditionals().get(&id) else {
        return Ok(());
    };
    if since.is_some() == order.doubted_since.is_some() {
        let stands = if since.is_some() { "began" } else { "ended" };
        return Err(format!(
            "the doubt of conditional order {id} {stands} before"
        ));
    }
    if order.kind == ConditionalKind::TakeProfit {
        return Err(format!(
            "conditional order {id} takes profits without doubt"
        ));
    }
    if let Some(bid) = bid {
        not_above_best(ledger, &order.token_id, bid)?;
        if ask.is_some_and(|ask| ask <= bid) {
            return Err(format!("a bid of {bid} on a book that is crossed"));
        }
    }
    match (since, bid) {
        (Some(since), _) if since != at => Err(format!("a doubt of {at} since {since}")),
        (Some(_), Some(bid)) => on_firing_side(order, bid),
        (Some(_), None) => Err("a doubt without a bid".to_owned()),
        (None, Some(bid)) if order.fires_at(bid) => Err(format!(
            "a bid of {bid} still reaches the price of conditional order {id}"
        )),
        (None, _) => Ok(()),
    }
}

/// Without a sale of its own an order is only ever reduced: to what is held, or to what is left to
/// one of its group that has sold a part.
fn reduced(ledger: &Ledger, id: u64, shares: Shares, current: bool) -> Result<(), String> {
    let Some(order) = ledger.conditionals().get(&id) else {
        return Ok(());
    };
    if shares.is_zero() || shares >= order.shares {
        return Err(format!(
            "conditional order {id} is reduced to {shares} shares from {}",
            order.shares
        ));
    }
    let held = ledger.held(&order.token_id);
    let left_to_group = |other: &ConditionalOrder| {
        other.id != id
            && other.group_key() == order.group_key()
            && other.sales.is_some()
            && other.shares == shares
    };
    if !current || shares == held || ledger.conditionals().values().any(left_to_group) {
        return Ok(());
    }
    Err(format!(
        "conditional order {id} is reduced to {shares} shares, {held} are held"
    ))
}
