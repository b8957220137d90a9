//! What the account waits for at each token, as numbers that a change can be compared with: so that the
//! desk is asked only when something may come of it. What exactly would is looked up by
//! [`crate::trading::watch`], as in a live session.

use std::collections::{BTreeMap, HashMap};

use crate::domain::{ConditionalKind, Price, Shares, Side, Timestamp, TokenId};
use crate::trading::config::TradingConfig;
use crate::trading::ledger::Ledger;

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
    /// Whether an exit's price is reached on a book that is not believed yet.
    pub doubted: bool,
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

/// What the account waits for, and when time alone does something.
#[derive(Debug, Default)]
pub struct Watches {
    /// By number of the token.
    pub by_token: BTreeMap<u32, Watch>,
    /// When an order on its way arrives next, ms.
    pub arrival: Option<i64>,
    /// When a resting order ends next, ms.
    pub expiry: Option<i64>,
    /// When an exit that is doubted has been so for long enough, ms.
    pub confirmed: Option<i64>,
}

impl Watches {
    /// Of the account as it stands.
    pub fn of(ledger: &Ledger, config: &TradingConfig, numbers: &HashMap<TokenId, u32>) -> Self {
        let mut found = Watches::default();
        for resting in ledger.resting().values() {
            let order = &resting.order;
            if let Some(end) = order.expires_at {
                sooner(&mut found.expiry, end);
            }
            let Some(number) = numbers.get(&order.token_id) else {
                continue;
            };
            let watch = found.by_token.entry(*number).or_default();
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
            let depth: Shares = rules.min_trigger_depth.min(order.shares);
            let watch = found.by_token.entry(*number).or_default();
            let doubted = order.doubted_since.is_some();
            watch.doubted |= doubted;
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
            if let Some(number) = numbers.get(token) {
                let mark = position
                    .mark
                    .map(|mark| (mark.price.micros(), mark.bid_gone));
                found.by_token.entry(*number).or_default().held = Some(mark);
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
