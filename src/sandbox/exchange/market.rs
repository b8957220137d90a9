//! Terms and state of one market.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::domain::{FeeSchedule, Price, Shares, Side, Timestamp, Usdc};

use super::book::{Book, Ladder};
use super::ids::OrderNo;
use super::order::OutcomeSide;

/// What a market's orders must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarketTerms {
    /// Price step, one of the venue's (0.1, 0.01, 0.005, 0.0025, 0.001, 0.0001). A market whose step
    /// is no multiple of 0.0001 takes no orders: with sizes in hundredths of a share, that grid is
    /// what makes every product exact.
    pub tick: Price,
    /// Smallest size of an order that may rest, in shares (5 on the venue).
    pub min_size: Shares,
    /// Taker fee.
    pub fee: FeeSchedule,
    /// One book for both outcomes, as on the venue: a bid for Yes at `p` is an offer of No at
    /// `1 − p`. Unlinked: two books that never meet, for mispricings made on purpose.
    pub linked: bool,
    /// Whether orders are taken.
    pub accepting: bool,
}

/// How far a market has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarketState {
    /// Trading, if the terms say so.
    Open,
    /// Trading has ended for good.
    Closed,
    /// Payouts are final: micro-pUSD per share of each outcome.
    Settled([u32; 2]),
}

/// The most recent match in a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastTrade {
    /// The arriving order's outcome.
    pub outcome: OutcomeSide,
    /// The arriving order's direction.
    pub side: Side,
    /// Price of one share of `outcome`.
    pub price: Price,
    /// Shares.
    pub size: Shares,
    /// When.
    pub at: Timestamp,
}

/// What was traded in a market since it was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turnover {
    /// Matches.
    pub trades: u64,
    /// Shares, counted once per match.
    pub shares: Shares,
    /// pUSD at the taker's prices.
    pub notional: Usdc,
}

/// One market with its books and everything that is counted per market.
#[derive(Debug)]
pub(super) struct Market {
    pub terms: MarketTerms,
    pub state: MarketState,
    /// A linked market uses the first alone.
    pub books: [Book; 2],
    pub last: Option<LastTrade>,
    pub changed_at: Timestamp,
    pub turnover: Turnover,
    /// Shares of each outcome in existence: equal until the first redemption.
    pub outstanding: [Shares; 2],
    /// pUSD behind them.
    pub collateral: Usdc,
    /// Shares that the crowd holds.
    pub crowd: [Shares; 2],
    /// Agents' orders in the books.
    pub agent_orders: u32,
    /// Whether book and trades are reported.
    pub watched: bool,
    /// When GTD orders are to go. Orders that went otherwise stay listed until then.
    pub due: BinaryHeap<Reverse<(Timestamp, OrderNo)>>,
}

/// How an order reaches a book: which one, which side, at which price of the book's own scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    /// The outcome whose book it is.
    pub book: OutcomeSide,
    pub bid: bool,
    /// Limit on the book's scale.
    pub price: Price,
    /// True when the book's scale is the other outcome's.
    pub mirrored: bool,
}

impl Route {
    /// A price of the book as the order's owner sees it.
    pub(super) fn own(self, price: Price) -> Price {
        if self.mirrored {
            price.complement()
        } else {
            price
        }
    }

    /// True when the order accepts what rests at this price on the other side.
    pub(super) fn crosses(self, price: Price) -> bool {
        if self.bid {
            price <= self.price
        } else {
            price >= self.price
        }
    }
}

impl Market {
    pub(super) fn new(terms: MarketTerms, at: Timestamp) -> Self {
        Market {
            terms,
            state: MarketState::Open,
            books: Default::default(),
            last: None,
            changed_at: at,
            turnover: Turnover::default(),
            outstanding: [Shares::ZERO; 2],
            collateral: Usdc::ZERO,
            crowd: [Shares::ZERO; 2],
            agent_orders: 0,
            watched: false,
            due: BinaryHeap::new(),
        }
    }

    /// Which book, whether on its bid side, and whether that book's scale is the other outcome's.
    /// A bid for the second outcome at `p` is an ask for the first at `1 − p` in a linked market.
    pub(super) fn seat(&self, outcome: OutcomeSide, side: Side) -> (OutcomeSide, bool, bool) {
        let mirrored = self.terms.linked && outcome == OutcomeSide::Second;
        let book = if mirrored {
            OutcomeSide::First
        } else {
            outcome
        };
        (book, (side == Side::Buy) != mirrored, mirrored)
    }

    /// Where an order belongs.
    pub(super) fn route(&self, outcome: OutcomeSide, side: Side, price: Price) -> Route {
        let (book, bid, mirrored) = self.seat(outcome, side);
        Route {
            book,
            bid,
            price: if mirrored { price.complement() } else { price },
            mirrored,
        }
    }

    /// One side of one book.
    pub(super) fn ladder(&self, book: OutcomeSide, bids: bool) -> &Ladder {
        book.of(&self.books).side(bids)
    }

    /// One side of one book, to change it.
    pub(super) fn ladder_mut(&mut self, book: OutcomeSide, bids: bool) -> &mut Ladder {
        book.of_mut(&mut self.books).side_mut(bids)
    }

    /// Makes pairs of shares from pUSD. Who pays and who gets them is the caller's business.
    pub(super) fn mint(&mut self, pairs: Shares) {
        for outstanding in &mut self.outstanding {
            *outstanding = outstanding.plus(pairs);
        }
        self.collateral = self.collateral.plus(worth_one(pairs));
    }

    /// Destroys pairs of shares that were handed in.
    pub(super) fn burn(&mut self, pairs: Shares) {
        for outstanding in &mut self.outstanding {
            *outstanding = outstanding.minus(pairs);
        }
        self.collateral = self.collateral.minus(worth_one(pairs));
    }
}

/// What pairs of shares cost and pay: 1 pUSD each.
pub(super) fn worth_one(pairs: Shares) -> Usdc {
    Usdc::from_micros(pairs.micros())
}
