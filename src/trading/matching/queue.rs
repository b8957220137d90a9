//! What trades of others do to orders that rest: the queue before them, and then they themselves.
//!
//! A taker who sells at our bid's price first meets those who stood there before us. What is left of
//! his trade once they are served is ours, as a maker, at our own price. A trade strictly through our
//! price shows that nobody stands before us any more.

use crate::domain::{Price, Print, RestingOrder, Shares, Side, Timestamp};

use super::passes;

/// A resting order as trades meet it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Number of the order.
    pub id: u64,
    side: Side,
    limit: Price,
    placed_at: Timestamp,
    since: Timestamp,
    until: Option<Timestamp>,
    /// Shares that may still fill.
    pub remaining: Shares,
    /// Shares of others that go first.
    pub queue_ahead: Shares,
    /// Time of the newest trade that is accounted for.
    pub accounted: Timestamp,
}

/// What a trade gave to one of our orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrintFill {
    /// Number of the order.
    pub order_id: u64,
    /// Shares, at the order's own price.
    pub shares: Shares,
}

impl Waiting {
    /// Of an order as it rests.
    #[must_use]
    pub fn of(resting: &RestingOrder) -> Self {
        Waiting {
            id: resting.order.id,
            side: resting.order.side,
            limit: resting.order.limit,
            placed_at: resting.placed_at,
            since: resting.prints_to.max(resting.placed_at),
            until: resting.order.expires_at,
            remaining: resting.remaining,
            queue_ahead: resting.queue_ahead,
            accounted: resting.prints_to,
        }
    }

    /// The better price first, then who came first.
    fn goes_before(&self, other: &Waiting) -> std::cmp::Ordering {
        let by_price = match self.side {
            Side::Buy => other.limit.cmp(&self.limit),
            Side::Sell => self.limit.cmp(&other.limit),
        };
        by_price
            .then(self.placed_at.cmp(&other.placed_at))
            .then(self.id.cmp(&other.id))
    }

    /// Whether a trade concerns it: newer than what is accounted for, before its own end, and by
    /// a taker of the other side at its price or through it. Where the taker's side was not told
    /// only a trade strictly through its price does.
    fn meets(&self, print: &Print) -> bool {
        let in_time = print.at > self.since && self.until.is_none_or(|until| print.at < until);
        in_time
            && match print.taker {
                Some(taker) => taker != self.side && self.side.accepts(self.limit, print.price),
                None => passes(self.side, print.price, self.limit),
            }
    }
}

/// Puts orders in the order in which trades meet them: by side, then price, then time.
pub fn prioritise(waiting: &mut [Waiting]) {
    waiting.sort_by(|a, b| {
        let side = (a.side == Side::Sell).cmp(&(b.side == Side::Sell));
        side.then_with(|| a.goes_before(b))
    });
}

/// Lets one trade meet orders in their [priority](prioritise): what it fills, in that order. The
/// volume of the trade is given out once over all of them.
///
/// A price off the market's `tick` is the mean of a walk over several levels: how much of it traded
/// through our price is not known, so it has to pass the queue as if all of it had traded at our price.
pub fn meet(waiting: &mut [Waiting], print: &Print, tick: Price) -> Vec<PrintFill> {
    let mut fills = Vec::new();
    let mut left = print.shares;
    for order in waiting.iter_mut().filter(|order| order.meets(print)) {
        order.accounted = order.accounted.max(print.at);
        let through =
            passes(order.side, print.price, order.limit) && print.price.is_multiple_of(tick);
        let ahead = if through {
            order.queue_ahead = Shares::ZERO;
            Shares::ZERO
        } else {
            left.min(order.queue_ahead)
        };
        order.queue_ahead = order.queue_ahead.minus(ahead);
        let shares = left.minus(ahead).min(order.remaining);
        if shares.is_zero() {
            continue;
        }
        order.remaining = order.remaining.minus(shares);
        left = left.minus(shares);
        fills.push(PrintFill {
            order_id: order.id,
            shares,
        });
    }
    fills
}

#[cfg(test)]
mod tests;
