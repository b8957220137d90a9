//! Why a market was passed over, in words that a person understands. Causes that carry a
//! parameter's value are built by the strategy that owns the parameter.

/// Trading is paused or closed.
pub(super) const NOT_OPEN: &str = "not open for trading";
/// More or fewer than two outcomes.
pub(super) const NOT_BINARY: &str = "not a two-outcome market";
/// The outcome's meaning can still change.
pub(super) const PLACEHOLDER: &str = "placeholder outcome";
/// The price step is missing or absurd, so no limit price can be formed.
pub(super) const NO_TICK: &str = "price step unknown";
/// The source has no book for the token.
pub(super) const NO_BOOK: &str = "no book";
/// The book is there, with nobody in it.
pub(super) const EMPTY_BOOK: &str = "empty book";
/// One side of the book is empty and both are needed.
pub(super) const ONE_SIDED: &str = "one-sided book";
/// Somebody bids at or above what somebody asks.
pub(super) const CROSSED: &str = "crossed book";
/// The stream that kept the book was interrupted.
pub(super) const BROKEN_STREAM: &str = "book of a broken stream";
/// The book was obtained too long before the snapshot's moment.
pub(super) const STALE: &str = "stale book";
/// Nobody sells the token that would be bought.
pub(super) const NOTHING_OFFERED: &str = "nothing offered";
/// Best ask − best bid above the limit.
pub(super) const WIDE_SPREAD: &str = "spread too wide";
/// The outcome is nearly decided: ticks and spread are a large part of what is left.
pub(super) const EXTREME_PRICE: &str = "price too close to 0 or 1";
/// No past prices at all.
pub(super) const NO_HISTORY: &str = "no history";
/// Past prices do not reach far enough back.
pub(super) const SHORT_HISTORY: &str = "history too short";
/// The past price found is much older than the moment asked for.
pub(super) const SPARSE_HISTORY: &str = "history too sparse";
/// Fair price − executable price − fee is below `min_edge`.
pub(super) const NO_EDGE: &str = "no edge after fee and spread";
/// The position has already cost what the strategy is willing to spend on it.
pub(super) const HELD: &str = "already held";
/// The other outcome of the market is held: buying this one would only lock capital up.
pub(super) const OPPOSITE_HELD: &str = "opposite outcome held";
/// What the budget buys is less than the smallest order.
pub(super) const TOO_SMALL: &str = "order size below the market's minimum";
/// The snapshot lists the market twice; the first one counts.
pub(super) const LISTED_TWICE: &str = "listed twice";
