//! What stands in a journal, line by line.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{
    BookFeed, BookOrigin, Estimate, Market, Price, Print, Resolution, Shares, Snapshot, SourceKind,
    Timestamp, TokenId, Usdc,
};
use crate::strategy::StrategiesConfig;
use crate::trading::config::TradingConfig;
use crate::trading::desk::{AgentOrder, CancelScope, Input, NewConditional};

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
    /// Database of the account, for people.
    pub db: String,
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
    pub what: What,
}

/// [`Input`] with views for snapshots.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum What {
    Open {
        source: SourceKind,
        balance: Usdc,
        at: Timestamp,
    },
    Configure {
        settings: String,
        at: Timestamp,
    },
    Tick(View),
    Books(View),
    Arrive(View),
    Order {
        order: AgentOrder,
        view: View,
    },
    Cancel {
        scope: CancelScope,
        by: String,
        at: Timestamp,
    },
    CreateConditional {
        wanted: Box<NewConditional>,
        at: Timestamp,
    },
    CancelConditional {
        id: u64,
        at: Timestamp,
    },
    Estimate {
        estimate: Estimate,
        at: Timestamp,
    },
    Halt {
        by: String,
        reason: String,
        at: Timestamp,
    },
    Resume {
        by: String,
        reason: String,
        at: Timestamp,
    },
}

/// A snapshot that refers to the tables.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct View {
    pub at: Timestamp,
    pub source: SourceKind,
    pub markets: Vec<MarketRef>,
    pub resolutions: Vec<Resolution>,
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

impl What {
    /// The input, its snapshot (if it has one) through `view`.
    pub(super) fn of(input: &Input, mut view: impl FnMut(&Snapshot) -> View) -> Self {
        match input {
            Input::Open {
                source,
                balance,
                at,
            } => What::Open {
                source: *source,
                balance: *balance,
                at: *at,
            },
            Input::Configure { settings, at } => What::Configure {
                settings: settings.clone(),
                at: *at,
            },
            Input::Tick(snapshot) => What::Tick(view(snapshot)),
            Input::Books(snapshot) => What::Books(view(snapshot)),
            Input::Arrive(snapshot) => What::Arrive(view(snapshot)),
            Input::Order { order, snapshot } => What::Order {
                order: order.clone(),
                view: view(snapshot),
            },
            Input::Cancel { scope, by, at } => What::Cancel {
                scope: scope.clone(),
                by: by.clone(),
                at: *at,
            },
            Input::CreateConditional { wanted, at } => What::CreateConditional {
                wanted: Box::new(wanted.clone()),
                at: *at,
            },
            Input::CancelConditional { id, at } => What::CancelConditional { id: *id, at: *at },
            Input::Estimate { estimate, at } => What::Estimate {
                estimate: estimate.clone(),
                at: *at,
            },
            Input::Halt { by, reason, at } => What::Halt {
                by: by.clone(),
                reason: reason.clone(),
                at: *at,
            },
            Input::Resume { by, reason, at } => What::Resume {
                by: by.clone(),
                reason: reason.clone(),
                at: *at,
            },
        }
    }

    /// Back to an input. Errors: a place that holds nothing.
    pub(super) fn into_input<E>(
        self,
        mut snapshot: impl FnMut(View) -> Result<Snapshot, E>,
    ) -> Result<Input, E> {
        Ok(match self {
            What::Open {
                source,
                balance,
                at,
            } => Input::Open {
                source,
                balance,
                at,
            },
            What::Configure { settings, at } => Input::Configure { settings, at },
            What::Tick(view) => Input::Tick(snapshot(view)?),
            What::Books(view) => Input::Books(snapshot(view)?),
            What::Arrive(view) => Input::Arrive(snapshot(view)?),
            What::Order { order, view } => Input::Order {
                order,
                snapshot: snapshot(view)?,
            },
            What::Cancel { scope, by, at } => Input::Cancel { scope, by, at },
            What::CreateConditional { wanted, at } => Input::CreateConditional {
                wanted: *wanted,
                at,
            },
            What::CancelConditional { id, at } => Input::CancelConditional { id, at },
            What::Estimate { estimate, at } => Input::Estimate { estimate, at },
            What::Halt { by, reason, at } => Input::Halt { by, reason, at },
            What::Resume { by, reason, at } => Input::Resume { by, reason, at },
        })
    }
}
