//! Whether a ledger can be believed: every event judged anew, by the state machine that the desk uses
//! and by a second bookkeeping of its own, and the tables and checkpoints against the events.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::domain::{
    Fill, LedgerEvent, Order, Price, Shares, Side, StampedEvent, Timestamp, TokenId, Usdc,
};
use crate::store::{Audit, Judge, Store};
use crate::trading::ledger::{CHECKPOINT_FORMAT, Ledger};

use super::AppError;

mod claims;
mod conditionals;
mod execution;

use claims::Claims;

/// What an audit found, and what it could not look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What fits and what does not.
    pub audit: Audit,
    /// Fees that could not be recomputed: their orders do not name the market's terms (logs of 1.0).
    pub unchecked_fees: u64,
    /// Halts for losses that could not be recomputed: no limits were recorded before them.
    pub unchecked_halts: u64,
    /// Sales of conditional orders that could not be recomputed: their orders do not name them (logs
    /// of 1.0).
    pub unchecked_sales: u64,
}

/// Audits the database at `db`, beside any owner. Errors: it cannot be read at all; what does not fit
/// is in the audit.
pub fn verify(db: &Path) -> Result<Verified, AppError> {
    let mut auditor = Auditor::default();
    let audit = Store::open_read_only(db)?.audit(&mut auditor)?;
    Ok(Verified {
        audit,
        unchecked_fees: auditor.books.unchecked_fees,
        unchecked_halts: auditor.claims.unchecked_halts,
        unchecked_sales: auditor.claims.unchecked_sales(),
    })
}

/// The judge: the ledger as the desk would rebuild it, and the books kept beside it.
#[derive(Debug, Default)]
struct Auditor {
    ledger: Ledger,
    books: Books,
    claims: Claims,
}

impl Judge for Auditor {
    fn event(&mut self, event: &StampedEvent) -> Result<(), String> {
        self.claims.judge(&self.ledger, event)?;
        self.ledger
            .apply(event)
            .map_err(|error| error.to_string())?;
        self.books.enter(event)?;
        self.books.agree(&self.ledger, event)
    }

    fn checkpoint(&mut self, format: u32, state: &[u8]) -> Result<(), String> {
        if format != CHECKPOINT_FORMAT {
            // An earlier version's: a start passes it over too.
            return Ok(());
        }
        let stored =
            Ledger::from_checkpoint(self.ledger.seq(), state).map_err(|error| error.to_string())?;
        if stored == self.ledger {
            return Ok(());
        }
        let differs = |what: &str, is: Usdc, should: Usdc| {
            (is != should).then(|| format!("{what} is {is} pUSD, the events lead to {should}"))
        };
        Err(differs("cash", stored.cash(), self.ledger.cash())
            .or_else(|| differs("deposits", stored.deposits(), self.ledger.deposits()))
            .or_else(|| differs("realised P&L", stored.realized(), self.ledger.realized()))
            .or_else(|| differs("fees", stored.fees(), self.ledger.fees()))
            .or_else(|| self.claims.depth_differs(&stored, &self.ledger))
            .unwrap_or_else(|| "it is not the state that the events lead to".to_owned()))
    }
}

/// Micro-units.
type Micros = i128;
const MICRO: Micros = 1_000_000;

/// A second bookkeeping, on purpose not the ledger's: plain sums in micro-units.
#[derive(Debug, Default)]
struct Books {
    last_at: Option<Timestamp>,
    cash: Micros,
    deposits: Micros,
    realised: Micros,
    fees: Micros,
    cost_basis: Micros,
    /// Shares and their cost.
    held: BTreeMap<TokenId, (Micros, Micros)>,
    /// Orders that are not over, with what has filled.
    open: BTreeMap<u64, (Order, Micros)>,
    client_order_ids: BTreeSet<String>,
    settled: BTreeSet<TokenId>,
    /// Last marks of what is held.
    marks: BTreeMap<TokenId, Price>,
    unchecked_fees: u64,
}

impl Books {
    fn enter(&mut self, stamped: &StampedEvent) -> Result<(), String> {
        if let Some(last) = self.last_at.filter(|last| stamped.at < *last) {
            return Err(format!("it is of {}, the one before of {last}", stamped.at));
        }
        self.last_at = Some(stamped.at);
        match &stamped.event {
            LedgerEvent::Deposited { amount } => {
                self.cash += micros(*amount);
                self.deposits += micros(*amount);
                Ok(())
            }
            LedgerEvent::OrderAccepted { order } => self.accepted(order),
            LedgerEvent::Filled { fill } => self.filled(fill),
            LedgerEvent::OrderClosed {
                order_id, unfilled, ..
            } => self.closed(*order_id, *unfilled),
            LedgerEvent::Settled {
                token_id,
                payout,
                shares,
                proceeds,
                ..
            } => self.settle(token_id, *payout, *shares, *proceeds),
            LedgerEvent::Marked { marks } => {
                let held = marks
                    .iter()
                    .filter(|(token, _)| self.held.contains_key(token));
                self.marks.extend(held.cloned());
                Ok(())
            }
            LedgerEvent::SnapshotTaken {
                balance,
                total_value,
            } => {
                equal("the recorded balance", micros(*balance), "cash", self.cash)?;
                self.worth(*total_value)
            }
            LedgerEvent::DayStarted { equity, .. } | LedgerEvent::PeakRaised { equity } => {
                self.worth(*equity)
            }
            _ => Ok(()),
        }
    }

    /// That an amount is what the account is worth: cash, and what is held at its marks, at cost where
    /// there is none.
    fn worth(&self, said: Usdc) -> Result<(), String> {
        let held = self.held.iter().map(|(token, (shares, cost))| {
            let mark = self.marks.get(token);
            mark.map_or(*cost, |mark| worth(*mark, *shares))
        });
        equal(
            "the recorded equity",
            micros(said),
            "cash and positions",
            self.cash + held.sum::<Micros>(),
        )
    }

    fn accepted(&mut self, order: &Order) -> Result<(), String> {
        if let Some(id) = &order.client_order_id
            && !self.client_order_ids.insert(id.clone())
        {
            return Err(format!("client_order_id {id:?} was used before"));
        }
        self.open.insert(order.id, (order.clone(), 0));
        Ok(())
    }

    fn filled(&mut self, fill: &Fill) -> Result<(), String> {
        let (order, filled) = self
            .open
            .get_mut(&fill.order_id)
            .ok_or_else(|| format!("order {} is not open", fill.order_id))?;
        if self.settled.contains(&fill.token_id) {
            return Err(format!("token {} was settled before", fill.token_id));
        }
        if !order.side.accepts(order.limit, fill.price) {
            return Err(format!(
                "a fill at {} of order {} with the limit {}",
                fill.price, order.id, order.limit
            ));
        }
        let shares = Micros::from(fill.shares.micros());
        *filled += shares;
        if *filled > Micros::from(order.shares.micros()) {
            return Err(format!(
                "fills of order {} exceed its {} shares",
                order.id, order.shares
            ));
        }
        let notional = worth(fill.price, shares);
        equal(
            "the notional",
            micros(fill.notional),
            "price × shares",
            notional,
        )?;
        let fee = micros(fill.fee);
        if fee < 0 {
            return Err(format!("the fee is {}", fill.fee));
        }
        match fee_of(order, fill)? {
            Some(due) => equal("the fee", fee, "by the order's fee terms it", micros(due))?,
            None => self.unchecked_fees += 1,
        }
        self.fees += fee;
        match fill.side {
            Side::Buy => {
                let (held, cost) = self.held.entry(fill.token_id.clone()).or_default();
                *held += shares;
                *cost += notional;
                self.cost_basis += notional;
                self.cash -= notional + fee;
                Ok(())
            }
            Side::Sell => {
                self.cash -= fee;
                self.give(&fill.token_id, shares, notional)
            }
        }
    }

    /// Takes shares out of a holding for `gained`; their part of the cost, rounded down, goes with
    /// them.
    fn give(&mut self, token: &TokenId, shares: Micros, gained: Micros) -> Result<(), String> {
        let (held, cost) = self.held.get_mut(token).ok_or("none are held")?;
        if shares > *held || *held == 0 {
            return Err(format!("{} shares are held", decimal(*held)));
        }
        let removed = *cost * shares / *held;
        *held -= shares;
        *cost -= removed;
        self.cost_basis -= removed;
        self.realised += gained - removed;
        self.cash += gained;
        if *held == 0 {
            self.held.remove(token);
            self.marks.remove(token);
        }
        Ok(())
    }

    fn settle(
        &mut self,
        token: &TokenId,
        payout: Price,
        shares: Shares,
        proceeds: Usdc,
    ) -> Result<(), String> {
        if !self.settled.insert(token.clone()) {
            return Err(format!("token {token} was settled before"));
        }
        let shares = Micros::from(shares.micros());
        let held = self.held.get(token).map_or(0, |(held, _)| *held);
        equal("shares paid", shares, "shares held", held)?;
        equal(
            "the proceeds",
            micros(proceeds),
            "payout × shares",
            worth(payout, shares),
        )?;
        self.give(token, shares, micros(proceeds))
    }

    fn closed(&mut self, order_id: u64, unfilled: Shares) -> Result<(), String> {
        let (order, filled) = self
            .open
            .remove(&order_id)
            .ok_or_else(|| format!("order {order_id} is not open"))?;
        equal(
            "the unfilled rest",
            Micros::from(unfilled.micros()),
            "what is left of the order",
            Micros::from(order.shares.micros()) - filled,
        )
    }

    /// The identity, and that both bookkeepings say the same.
    fn agree(&self, ledger: &Ledger, stamped: &StampedEvent) -> Result<(), String> {
        equal(
            "cash + cost basis",
            self.cash + self.cost_basis,
            "deposits + realised P&L − fees",
            self.deposits + self.realised - self.fees,
        )?;
        if self.cash < 0 {
            return Err(format!("cash would be {}", decimal(self.cash)));
        }
        equal(
            "the ledger's cash",
            micros(ledger.cash()),
            "cash",
            self.cash,
        )?;
        equal(
            "the ledger's deposits",
            micros(ledger.deposits()),
            "deposits",
            self.deposits,
        )?;
        equal(
            "the ledger's realised P&L",
            micros(ledger.realized()),
            "realised P&L",
            self.realised,
        )?;
        equal(
            "the ledger's fees",
            micros(ledger.fees()),
            "fees",
            self.fees,
        )?;
        let touched = match &stamped.event {
            LedgerEvent::Filled { fill } => &fill.token_id,
            LedgerEvent::Settled { token_id, .. } => token_id,
            _ => return Ok(()),
        };
        let (held, cost) = self.held.get(touched).copied().unwrap_or_default();
        let position = ledger.positions().get(touched);
        equal(
            "the ledger's shares",
            position.map_or(0, |position| Micros::from(position.shares.micros())),
            "shares held",
            held,
        )?;
        equal(
            "the ledger's cost",
            position.map_or(0, |position| micros(position.cost)),
            "the cost of the shares held",
            cost,
        )
    }
}

/// What the venue takes for a fill: nothing from a maker. `None` when the order does not name the
/// market's terms. Errors: they make no sense.
fn fee_of(order: &Order, fill: &Fill) -> Result<Option<Usdc>, String> {
    if fill.maker {
        return Ok(Some(Usdc::ZERO));
    }
    let Some(terms) = order.fee else {
        return Ok(None);
    };
    terms
        .fee(fill.price, fill.shares)
        .map(Some)
        .map_err(|error| error.to_string())
}

fn micros(amount: Usdc) -> Micros {
    Micros::from(amount.micros())
}

/// Price × shares in micro-pUSD, floored.
fn worth(price: Price, shares: Micros) -> Micros {
    Micros::from(price.micros()) * shares / MICRO
}

fn equal(what: &str, is: Micros, other: &str, should: Micros) -> Result<(), String> {
    if is == should {
        return Ok(());
    }
    Err(format!(
        "{what} is {}, {other} is {}",
        decimal(is),
        decimal(should)
    ))
}

/// Micro-units as a decimal number with all six places.
fn decimal(amount: Micros) -> String {
    let sign = if amount < 0 { "-" } else { "" };
    let amount = amount.unsigned_abs();
    format!("{sign}{}.{:06}", amount / 1_000_000, amount % 1_000_000)
}

#[cfg(test)]
mod tests;
