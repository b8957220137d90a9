//! What the account is worth now, for readers between two ticks.

use crate::domain::{Position, Usdc};
use crate::trading::ledger::Ledger;

use super::App;

/// The account at the newest marks there are: the ledger's, of the last tick, or bids that the
/// background saw since. Without a background this is what the ledger says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Positions with these marks, in the ledger's order.
    pub positions: Vec<Position>,
    /// Cash and positions at their marks, at cost where there is none, pUSD.
    pub total: Usdc,
    /// False when a position has no mark, or nobody bids for it any more.
    pub complete: bool,
    /// Loss since midnight UTC at these marks, pUSD; negative for a gain.
    pub daily_loss: Usdc,
}

impl App {
    /// How the account stands. Reads memory only, and writes nothing: limits and reports go by the
    /// ledger's own marks.
    #[must_use]
    pub fn standing(&self, ledger: &Ledger) -> Standing {
        let held = ledger.positions().values();
        let positions: Vec<Position> = held.map(|position| self.fresh.marked(position)).collect();
        let mut total = ledger.cash();
        let mut complete = true;
        for position in &positions {
            let value = position.value();
            complete &= value.is_some() && position.mark.is_some_and(|mark| !mark.bid_gone);
            total = total.plus(value.unwrap_or(position.cost));
        }
        // A mark that has moved since the last tick moves the day's loss by as much.
        let moved = ledger.equity().total.minus(total);
        let daily_loss = match ledger.current_day() {
            Some(_) => ledger.daily_loss().plus(moved),
            None => ledger.daily_loss(),
        };
        Standing {
            positions,
            total,
            complete,
            daily_loss,
        }
    }
}
