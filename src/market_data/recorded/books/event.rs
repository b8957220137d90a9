//! What a recording of books comes to: 24 bytes for each thing that happened.

use crate::domain::{Price, Shares, Side, Timestamp};

/// Something that happened, packed. Numbers only: a replay goes through millions of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookEvent {
    /// When the replay sees it, ms since 1970.
    pub at: i64,
    /// By kind: the new total at a level, micro-units of shares; a place in a table; 1 or 0.
    pub size: i64,
    /// The level's place: `price / step` for bids, `(1 − price) / step` for asks, so that the better
    /// price is the larger number.
    pub slot: u32,
    /// Kind, flags and token: see the constants.
    pub meta: u32,
}

/// Bits of [`BookEvent::meta`] that hold the token's number (or the connection's).
pub const TOKEN: u32 = (1 << 26) - 1;
/// A step of the token's book is complete.
pub const STEP: u32 = 1 << 26;
/// With [`STEP`]: the book may be believed and is shown; without: it is hidden.
pub const SHOWN: u32 = 1 << 27;
/// The message that told this is complete.
pub const MESSAGE: u32 = 1 << 28;
/// Where the kind begins.
pub const KIND: u32 = 29;

/// A bid level has this total now.
pub const BID: u32 = 0;
/// An ask level has this total now.
pub const ASK: u32 = 1;
/// Nothing but the flags.
pub const TOUCH: u32 = 2;
/// A whole book came; the levels that it changes follow. `size` is 1 when somebody had asked for it.
pub const WHOLE: u32 = 3;
/// A trade; `size` is its place in the table of prints.
pub const PRINT: u32 = 4;
/// A connection told something about no book; the token is the connection.
pub const HEARD: u32 = 5;
/// A market's terms change; `size` is the place in the table of turns.
pub const TURN: u32 = 6;
/// The token is told of by connection `size` from now on.
pub const CONNECTED: u32 = 7;

impl BookEvent {
    /// One of token (or connection) `token`, without flags.
    #[must_use]
    pub fn new(kind: u32, token: u32, at: i64, size: i64) -> Self {
        BookEvent {
            at,
            size,
            slot: 0,
            meta: kind << KIND | token & TOKEN,
        }
    }

    /// Which of the constants.
    #[must_use]
    pub fn kind(&self) -> u32 {
        self.meta >> KIND
    }

    /// The token's number.
    #[must_use]
    pub fn token(&self) -> usize {
        (self.meta & TOKEN) as usize
    }
}

/// A trade of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedPrint {
    /// What the taker did; `None` when not told.
    pub taker: Option<Side>,
    /// Price.
    pub price: Price,
    /// Shares.
    pub shares: Shares,
    /// By the exchange's clock.
    pub at: Timestamp,
}
