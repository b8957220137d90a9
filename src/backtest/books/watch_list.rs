//! What the account waits for at each token, as numbers that a change can be compared with: so that the
//! desk is asked only when something may come of it. What exactly would is looked up by
//! [`crate::trading::watch`], as in a live session.

use crate::domain::{ConditionalKind, LedgerEvent, Price, Shares, Side, Timestamp};
use crate::trading::config::TradingConfig;
use crate::trading::ledger::Ledger;

use super::state::Numbers;

/// What is waited for at one token.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// Highest limit of a resting bid, micro-units; 0 without one.
    pub bid: u32,
    /// Lowest limit of a resting offer, micro-units; 0 without one.
    pub ask: u32,
    conditionals: Vec<Exit>,
    /// Whether it is held, and the mark: micro-units, and whether its bid is gone.
    pub held: Option<Option<(u32, bool)>>,
}

#[derive(Debug, Clone, Copy)]
struct Exit {
    kind: ConditionalKind,
    depth: i64,
    trigger: u32,
    watermark: Option<u32>,
    doubted: bool,
}

/// What a token's book says, as far as it is compared.
pub trait Top {
    /// Best bid, micro-units; `None` when nobody bids.
    fn bid(&self) -> Option<u32>;
    /// Best ask, micro-units; `None` when nobody offers.
    fn ask(&self) -> Option<u32>;
    /// The price at which so many micro-units of shares are bid in all; `None` when fewer are.
    fn executable(&self, depth: i64) -> Option<u32>;
}

impl Watch {
    /// True when an exit may fire or change, or a resting order may fill.
    #[must_use]
    pub fn met(&self, book: &impl Top) -> bool {
        let (bid, ask) = (book.bid(), book.ask());
        if bid.is_some() && ask.is_some() && bid >= ask {
            // Not sound: it does nothing.
            return false;
        }
        let bid_passed = ask.is_some_and(|ask| ask < self.bid);
        let ask_passed = self.ask > 0 && bid.is_some_and(|bid| bid > self.ask);
        bid_passed || ask_passed || self.conditionals.iter().any(|exit| exit.met(book, bid))
    }

    /// True when nothing of it depends on more than the best prices: no exit, which wants depth.
    #[must_use]
    pub fn looks_at_bests(&self) -> bool {
        self.conditionals.is_empty()
    }

    /// True when a trade at `price` reaches a resting order.
    #[must_use]
    pub fn reached(&self, price: Price) -> bool {
        let price = price.micros();
        price <= self.bid || self.ask > 0 && price >= self.ask
    }

    /// True when it is held and its mark is not what the book says.
    #[must_use]
    pub fn moved(&self, bid: Option<u32>) -> bool {
        match (self.held, bid) {
            (None, _) => false,
            (Some(Some((mark, gone))), Some(bid)) => mark != bid || gone,
            (Some(None), bid) => bid.is_some(),
            (Some(Some((_, gone))), None) => !gone,
        }
    }
}

impl Exit {
    fn met(&self, book: &impl Top, bid: Option<u32>) -> bool {
        let Some(best) = bid else {
            return false;
        };
        let firm = book.executable(self.depth);
        match self.kind {
            ConditionalKind::TakeProfit => firm.is_some_and(|firm| firm >= self.trigger),
            ConditionalKind::StopLoss | ConditionalKind::TrailingStop => {
                let raises = self.kind == ConditionalKind::TrailingStop
                    && firm.is_some_and(|firm| self.watermark.is_none_or(|mark| firm > mark));
                self.doubted || raises || firm.unwrap_or(best) <= self.trigger
            }
        }
    }
}

/// Where it is noted what is waited for at each token.
pub trait Board {
    /// The note of a token, made when it is first asked for; `None` where nothing is seen of the token.
    fn watch(&mut self, number: u32) -> Option<&mut Watch>;
}

/// What an event changes of what the account waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Effect {
    /// Nothing.
    #[default]
    Nothing,
    /// Only marks of what is held.
    Marks,
    /// Whatever is waited for.
    Watches,
}

/// What an event changes of it. Most steps of a replay do nothing but mark.
#[must_use]
pub fn effect(event: &LedgerEvent) -> Effect {
    match event {
        LedgerEvent::Marked { .. } | LedgerEvent::BidsGone { .. } => Effect::Marks,
        LedgerEvent::AccountOpened { .. }
        | LedgerEvent::ConfigChanged { .. }
        | LedgerEvent::Deposited { .. }
        | LedgerEvent::SignalGenerated { .. }
        | LedgerEvent::SignalExecuted { .. }
        | LedgerEvent::SignalRejected { .. }
        | LedgerEvent::OrderRefused { .. }
        | LedgerEvent::QueueAdvanced { .. }
        | LedgerEvent::DepthUsed { .. }
        | LedgerEvent::EstimateStored { .. }
        | LedgerEvent::EstimateScored { .. }
        | LedgerEvent::Halted { .. }
        | LedgerEvent::Resumed { .. }
        | LedgerEvent::PeakRaised { .. }
        | LedgerEvent::DayStarted { .. }
        | LedgerEvent::SnapshotTaken { .. }
        | LedgerEvent::TickCompleted { .. } => Effect::Nothing,
        LedgerEvent::OrderAccepted { .. }
        | LedgerEvent::OrderRested { .. }
        | LedgerEvent::Filled { .. }
        | LedgerEvent::OrderClosed { .. }
        | LedgerEvent::ConditionalCreated { .. }
        | LedgerEvent::WatermarkRaised { .. }
        | LedgerEvent::ConditionalDoubted { .. }
        | LedgerEvent::ConditionalTriggered { .. }
        | LedgerEvent::ConditionalReduced { .. }
        | LedgerEvent::ConditionalCancelled { .. }
        | LedgerEvent::Settled { .. } => Effect::Watches,
    }
}

/// What the account waits for, and when time alone does something.
#[derive(Debug, Default)]
pub struct Watches {
    /// Tokens of exits whose price is reached on a book that is not believed yet.
    pub doubted: Vec<u32>,
    /// When an order on its way arrives next, ms.
    pub arrival: Option<i64>,
    /// When a resting order ends next, ms.
    pub expiry: Option<i64>,
    /// When an exit that is doubted has been so for long enough, ms.
    pub confirmed: Option<i64>,
}

impl Watches {
    /// Of the account as it stands; what is waited for at a token is noted on `board`, which is empty.
    pub fn of(
        ledger: &Ledger,
        config: &TradingConfig,
        numbers: &Numbers,
        board: &mut impl Board,
    ) -> Self {
        let mut found = Watches::default();
        for resting in ledger.resting().values() {
            let order = &resting.order;
            if let Some(end) = order.expires_at {
                sooner(&mut found.expiry, end);
            }
            let number = numbers.get(&order.token_id);
            let Some(watch) = number.and_then(|number| board.watch(*number)) else {
                continue;
            };
            let limit = order.limit.micros();
            match order.side {
                Side::Buy => watch.bid = watch.bid.max(limit),
                Side::Sell if watch.ask == 0 => watch.ask = limit,
                Side::Sell => watch.ask = watch.ask.min(limit),
            }
        }
        let rules = &config.conditional;
        for order in ledger.conditionals().values() {
            if let Some(since) = order.doubted_since {
                sooner(&mut found.confirmed, since.plus_millis(rules.confirm_ms()));
            }
            let Some(number) = numbers.get(&order.token_id) else {
                continue;
            };
            let doubted = order.doubted_since.is_some();
            if doubted {
                found.doubted.push(*number);
            }
            let Some(watch) = board.watch(*number) else {
                continue;
            };
            let depth: Shares = rules.min_trigger_depth.min(order.shares);
            watch.conditionals.push(Exit {
                kind: order.kind,
                depth: depth.micros(),
                trigger: match order.kind {
                    ConditionalKind::TakeProfit => order.trigger_price.micros(),
                    _ => order.effective_trigger().micros(),
                },
                watermark: order.high_watermark.map(Price::micros),
                doubted,
            });
        }
        for (token, position) in ledger.positions() {
            let number = numbers.get(token);
            if let Some(watch) = number.and_then(|number| board.watch(*number)) {
                let mark = position.mark;
                watch.held = Some(mark.map(|mark| (mark.price.micros(), mark.bid_gone)));
            }
        }
        for (order, _) in ledger.in_flight() {
            if let Some(arrives) = order.arrives_at {
                sooner(&mut found.arrival, arrives);
            }
        }
        found
    }
}

fn sooner(known: &mut Option<i64>, moment: Timestamp) {
    let moment = moment.millis();
    *known = Some(known.map_or(moment, |known| known.min(moment)));
}
