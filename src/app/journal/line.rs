//! What stands in a journal, line by line.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{
    BookFeed, BookOrigin, Market, PendingResolution, Price, Print, Resolution, Shares, SourceKind,
    Timestamp, TokenId,
};
use crate::strategy::StrategiesConfig;
use crate::trading::config::TradingConfig;
use crate::trading::desk::Input;

/// The rules that a desk goes by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalRules {
    /// Strategies with their parameters.
    pub strategies: StrategiesConfig,
    /// Limits, sizing, exits.
    pub trading: TradingConfig,
}

/// First line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// Version of the format.
    pub format: u32,
    /// Number of the file, from 1, as in its name.
    pub number: u32,
    /// True when the same process wrote the file before: nothing can be torn between them.
    pub continues: bool,
    /// What wrote it.
    pub program: String,
    /// Database of the account.
    pub db: String,
    /// The account, by its first event; `None` when the file was begun before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Last event of the ledger when the file was begun.
    pub seq: u64,
}

/// A line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    File(Head),
    /// They hold from here on.
    Rules(Box<JournalRules>),
    /// What stands at a place of the table of markets from here on.
    Market {
        slot: u32,
        market: Arc<Market>,
    },
    /// The same for the levels of a book.
    Ladder {
        slot: u32,
        token: TokenId,
        bids: Vec<(Price, Shares)>,
        asks: Vec<(Price, Shares)>,
    },
    /// The same for a price history: the one that stood there without its first `drop` points, or
    /// nothing when it is `None`, and then these.
    History {
        slot: u32,
        drop: Option<usize>,
        add: Vec<(Timestamp, f64)>,
    },
    Input(Box<InputLine>),
}

/// An input of the desk.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputLine {
    /// Number in its file, from 1.
    pub n: u64,
    /// Last event of the ledger that it meets.
    pub seq: u64,
    pub what: Input<View>,
}

/// A snapshot that refers to the tables.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct View {
    pub at: Timestamp,
    pub source: SourceKind,
    pub markets: Vec<MarketRef>,
    pub resolutions: Vec<Resolution>,
    pub pending: Vec<PendingResolution>,
    pub prints: Vec<Print>,
}

/// Place of the market, whether it is a candidate, its books, place of its history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct MarketRef(pub u32, pub bool, pub Vec<Option<BookRef>>, pub Option<u32>);

/// Place of the levels, when it was current, when it last changed, where it is from, how obtained.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BookRef(
    pub u32,
    pub Timestamp,
    pub Timestamp,
    pub BookOrigin,
    pub BookFeed,
);
