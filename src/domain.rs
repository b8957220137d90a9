//! The words of the field: exact money, ids, markets, books, orders, positions, ledger events.
//!
//! Nothing here does I/O, is async, reads a clock or holds money in a float. Every other part may
//! use this one; this one uses none of them.

pub mod book;
pub mod calibration;
pub mod conditional;
pub mod digits;
pub mod estimate;
pub mod fee;
pub mod history;
pub mod ids;
pub mod intent;
pub mod ledger_event;
pub mod market;
pub mod money;
pub mod order;
pub mod plain;
pub mod position;
pub mod reason;
pub mod snapshot;
pub mod text;
pub mod time;
pub mod universe;

pub use book::{Book, BookFeed, BookOrigin, Level};
pub use calibration::{Calibration, CalibrationGain, Calibrations, FittedCalibration};
pub use conditional::{
    ConditionalKind, ConditionalOrder, ConditionalSale, ConditionalStatus, Sales,
};
pub use digits::Fixed;
pub use estimate::Estimate;
pub use fee::FeeSchedule;
pub use history::{History, PricePoint};
pub use ids::{ConditionId, EventId, MarketId, OutcomeName, StrategyName, TokenId};
pub use intent::{Basket, BasketLeg, Intent, Quote, QuoteReason, QuoteSide, QuoteTerms, Signal};
pub use ledger_event::{ConfigChange, EarlierLeg, HaltCause, LedgerEvent, StampedEvent, UsedLevel};
pub use market::{
    Event, Market, MarketStatus, Outcome, PendingResolution, ProtocolVersion, Resolution,
};
pub use money::{MICRO_U64, MoneyError, Price, Rounding, Shares, Usdc, notional};
pub use order::{Fill, FiredBy, Order, OrderOutcome, OrderType, RestingOrder, Side};
pub use position::{Mark, Position};
pub use reason::Reason;
pub use snapshot::{MarketView, Print, Snapshot, SourceKind};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
pub use universe::{Places, Universe};
