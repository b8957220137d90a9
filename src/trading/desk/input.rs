//! Everything that can change a ledger, as values: what the live desk processes, a journal keeps and
//! a replay feeds again.

use serde::{Deserialize, Serialize};

use crate::domain::{
    ConditionalOrder, Estimate, MarketId, Snapshot, SourceKind, StampedEvent, Timestamp, Usdc,
};
use crate::strategy::Strategy;

use super::super::config::TradingConfig;
use super::super::ledger::{ClientOrder, Ledger};
use super::super::report::{OrderReport, TickReport};
use super::super::risk::Refusal;
use super::agent::{self, AgentOrder};
use super::command;
use super::estimate;
use super::guard::{self, NewConditional};
use super::{DeskError, books_changed, tick};

/// One input of the desk, with everything that its step looks at. A journal holds the same with
/// references of its own (`S`) in place of snapshots.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[allow(
    clippy::large_enum_variant,
    reason = "inputs come one at a time, and a snapshot is behind pointers"
)]
pub enum Input<S = Snapshot> {
    /// Opens the account and pays the starting balance in.
    Open {
        /// Kind of source it trades on.
        source: SourceKind,
        /// Starting balance, pUSD.
        balance: Usdc,
        /// When.
        at: Timestamp,
    },
    /// The rules that hold from now on; recorded when they differ from those recorded last.
    Configure {
        /// The settings as JSON, as [`TradingConfig::settings`] writes them.
        settings: String,
        /// When.
        at: Timestamp,
    },
    /// A process owns the ledger again after nobody did: orders that were due by then were not
    /// delivered.
    Returned {
        /// When.
        at: Timestamp,
    },
    /// A tick on everything gathered for it.
    Tick(S),
    /// Books changed between two ticks: marks, resting orders and exits look at them; strategies
    /// do not.
    Books(S),
    /// Orders on their way arrive, on a snapshot with their markets.
    Arrive(S),
    /// An agent's order, on a snapshot with its market.
    Order {
        /// What is wanted.
        order: AgentOrder,
        /// The order that was placed before under its client's id, where the ledger keeps it no more
        /// and the database knows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        known: Option<Box<ClientOrder>>,
        /// Its market and books.
        snapshot: S,
    },
    /// Withdraws resting orders.
    Cancel {
        /// Which.
        scope: CancelScope,
        /// Who asks: `shell`, `agent`.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// Creates a conditional order.
    CreateConditional {
        /// What is wanted.
        wanted: NewConditional,
        /// When.
        at: Timestamp,
    },
    /// Withdraws a conditional order.
    CancelConditional {
        /// Its number.
        id: u64,
        /// When.
        at: Timestamp,
    },
    /// Stores an estimate.
    Estimate {
        /// The estimate.
        estimate: Estimate,
        /// When.
        at: Timestamp,
    },
    /// The kill switch: no new orders, resting ones are withdrawn.
    Halt {
        /// Who: `shell`, `agent`.
        by: String,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// Lifts a halt.
    Resume {
        /// Who: `shell`, `agent`.
        by: String,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
}

impl<S> Input<S> {
    /// The same input with what `convert` makes of its snapshot, if it has one. Errors: those of
    /// `convert`.
    pub fn convert<T, E>(
        &self,
        mut convert: impl FnMut(&S) -> Result<T, E>,
    ) -> Result<Input<T>, E> {
        Ok(match self {
            Input::Open {
                source,
                balance,
                at,
            } => Input::Open {
                source: *source,
                balance: *balance,
                at: *at,
            },
            Input::Configure { settings, at } => Input::Configure {
                settings: settings.clone(),
                at: *at,
            },
            Input::Returned { at } => Input::Returned { at: *at },
            Input::Tick(snapshot) => Input::Tick(convert(snapshot)?),
            Input::Books(snapshot) => Input::Books(convert(snapshot)?),
            Input::Arrive(snapshot) => Input::Arrive(convert(snapshot)?),
            Input::Order {
                order,
                known,
                snapshot,
            } => Input::Order {
                order: order.clone(),
                known: known.clone(),
                snapshot: convert(snapshot)?,
            },
            Input::Cancel { scope, by, at } => Input::Cancel {
                scope: scope.clone(),
                by: by.clone(),
                at: *at,
            },
            Input::CreateConditional { wanted, at } => Input::CreateConditional {
                wanted: wanted.clone(),
                at: *at,
            },
            Input::CancelConditional { id, at } => Input::CancelConditional { id: *id, at: *at },
            Input::Estimate { estimate, at } => Input::Estimate {
                estimate: estimate.clone(),
                at: *at,
            },
            Input::Halt { by, reason, at } => Input::Halt {
                by: by.clone(),
                reason: reason.clone(),
                at: *at,
            },
            Input::Resume { by, reason, at } => Input::Resume {
                by: by.clone(),
                reason: reason.clone(),
                at: *at,
            },
        })
    }
}

impl Input {
    /// An agent's order on `snapshot`. Whether its client's id was used before is looked up by who
    /// carries it out.
    #[must_use]
    pub fn order(order: AgentOrder, snapshot: Snapshot) -> Self {
        Input::Order {
            order,
            known: None,
            snapshot,
        }
    }
}

/// Which resting orders to withdraw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelScope {
    /// The one of this number.
    Order(u64),
    /// The one placed under this client's id.
    Client(String),
    /// All of one market.
    Market(MarketId),
    /// All.
    All,
}

/// What came of an input; which variant follows from the input.
#[derive(Debug, Clone)]
pub enum Output {
    /// [`Input::Open`], [`Input::Configure`] and [`Input::Returned`].
    Done,
    /// [`Input::Tick`], [`Input::Books`] and [`Input::Arrive`].
    Ticked(Box<TickReport>),
    /// [`Input::Order`].
    Ordered(Box<Result<OrderReport, Refusal>>),
    /// [`Input::Cancel`] and [`Input::Halt`]: numbers of the orders withdrawn.
    Cancelled(Result<Vec<u64>, Refusal>),
    /// [`Input::CreateConditional`].
    Conditional(Box<Result<ConditionalOrder, Refusal>>),
    /// [`Input::CancelConditional`], [`Input::Estimate`] and [`Input::Resume`].
    Accepted(Result<(), Refusal>),
}

/// What the steps go by beside ledger and input.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Strategies, in order.
    pub strategies: &'a [Box<dyn Strategy>],
    /// Limits, sizing, exits.
    pub config: &'a TradingConfig,
}

/// Carries one input out. Pure and deterministic. On an error the ledger may hold part of it and
/// must be dropped: callers step a draft.
pub fn step(
    ledger: &mut Ledger,
    input: &Input,
    rules: Rules<'_>,
) -> Result<(Output, Vec<StampedEvent>), DeskError> {
    let Rules { strategies, config } = rules;
    Ok(match input {
        Input::Open {
            source,
            balance,
            at,
        } => {
            let events = agent::open_account(ledger, *source, *balance, *at)?;
            (Output::Done, events)
        }
        Input::Configure { settings, at } => {
            (Output::Done, command::configure(ledger, settings, *at)?)
        }
        Input::Returned { at } => (Output::Done, command::returned(ledger, *at)?),
        Input::Tick(snapshot) => {
            let (report, events) = tick(ledger, snapshot, strategies, config)?;
            (Output::Ticked(Box::new(report)), events)
        }
        Input::Books(snapshot) => {
            let (report, events) = books_changed(ledger, snapshot, config)?;
            (Output::Ticked(Box::new(report)), events)
        }
        Input::Arrive(snapshot) => {
            let (report, events) = super::arrive(ledger, snapshot, config)?;
            (Output::Ticked(Box::new(report)), events)
        }
        Input::Order {
            order,
            known,
            snapshot,
        } => {
            let (verdict, events) = match known {
                Some(known) => agent::known_order(ledger, order, known, snapshot),
                None => agent::agent_order(ledger, order, snapshot, config)?,
            };
            (Output::Ordered(Box::new(verdict)), events)
        }
        Input::Cancel { scope, by, at } => {
            let (verdict, events) = command::cancel(ledger, scope, by, *at)?;
            (Output::Cancelled(verdict), events)
        }
        Input::CreateConditional { wanted, at } => {
            let (verdict, events) = guard::create_conditional(ledger, wanted, *at)?;
            (Output::Conditional(Box::new(verdict)), events)
        }
        Input::CancelConditional { id, at } => {
            let (verdict, events) = guard::cancel_conditional(ledger, *id, *at)?;
            (Output::Accepted(verdict), events)
        }
        Input::Estimate { estimate, at } => {
            let (verdict, events) = estimate::store_estimate(ledger, estimate.clone(), *at)?;
            (Output::Accepted(verdict), events)
        }
        Input::Halt { by, reason, at } => {
            let (verdict, events) = command::halt(ledger, by, reason, *at)?;
            (Output::Cancelled(verdict), events)
        }
        Input::Resume { by, reason, at } => {
            let (verdict, events) = command::resume(ledger, by, reason, &config.risk, *at)?;
            (Output::Accepted(verdict), events)
        }
    })
}
