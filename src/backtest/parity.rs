//! A recorded session of a desk, input by input through the same step, noted as a backtest notes it.
//!
//! A replay of prices makes its own inputs; here they are given: ticks with the books as they were seen,
//! orders of agents, cancels, estimates, halts. What comes out must be the session's own events.

use std::collections::VecDeque;

use crate::domain::{Snapshot, StampedEvent};
use crate::trading::desk::{self, DeskError, Input, Output, Rules};
use crate::trading::ledger::{Ledger, LedgerError};
use crate::trading::report::TickReport;

use super::engine::{BacktestOptions, BacktestResult};
use super::record::{Record, Standing};

/// A step that was carried out, with what the caller knows it by.
#[derive(Debug)]
pub struct Step<T> {
    /// What the caller knows it by.
    pub tag: T,
    /// Its events, at least one.
    pub events: Vec<StampedEvent>,
    /// The ledger before it.
    before: Ledger,
    report: TickReport,
    /// What it looked at.
    snapshot: Option<Snapshot>,
    /// The account after it.
    standing: Standing,
    tick: bool,
}

impl<T> Step<T> {
    /// Last event before it.
    #[must_use]
    pub fn before(&self) -> u64 {
        self.before.seq()
    }
}

/// What came of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// Events: the step waits to be confirmed.
    Out,
    /// Nothing changed.
    Nothing,
    /// It failed and left nothing, as it does on a desk.
    Failed,
}

/// Inputs carried out on a fresh ledger. Steps wait until the caller confirms them, because a process
/// that was killed may never have stored its last ones.
#[derive(Debug)]
pub struct Session<T> {
    ledger: Ledger,
    record: Record,
    waiting: VecDeque<Step<T>>,
}

impl<T> Default for Session<T> {
    fn default() -> Self {
        Session {
            ledger: Ledger::default(),
            record: Record::default(),
            waiting: VecDeque::new(),
        }
    }
}

impl<T> Session<T> {
    /// Last event so far.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.ledger.seq()
    }

    /// Steps that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The account as it stands, waiting steps included.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Carries an input out by these rules.
    pub fn carry_out(&mut self, tag: T, input: &Input, rules: Rules<'_>) -> Carried {
        let mut draft = self.ledger.clone();
        let (output, events) = match desk::step(&mut draft, input, rules) {
            Ok(done) => done,
            Err(DeskError::Ledger(_) | DeskError::Money(_)) => return Carried::Failed,
        };
        // As the desk: a step without events leaves the ledger as it was.
        let Some(at) = events.last().map(|event| event.at) else {
            return Carried::Nothing;
        };
        let tick = matches!(input, Input::Tick(_));
        let report = report_of(output);
        let standing = Standing::of(&draft, at);
        let before = std::mem::replace(&mut self.ledger, draft);
        self.waiting.push_back(Step {
            tag,
            events,
            before,
            report,
            snapshot: snapshot_of(input).cloned(),
            standing,
            tick,
        });
        Carried::Out
    }

    /// Takes steps back that were carried out when the ledger stood at event `seq` or later; gives how
    /// many.
    pub fn take_back(&mut self, seq: u64) -> u64 {
        let mut count = 0;
        while let Some(step) = self.waiting.pop_back_if(|step| step.before() >= seq) {
            self.ledger = step.before;
            count += 1;
        }
        count
    }

    /// The oldest step that waits: once it is known to have happened, [`Session::confirm`] it.
    pub fn oldest(&mut self) -> Option<Step<T>> {
        self.waiting.pop_front()
    }

    /// Notes a step for the result.
    pub fn confirm(&mut self, step: &Step<T>) {
        let snapshot = step.snapshot.as_ref();
        self.record
            .take(snapshot, step.standing, &step.report, &step.events);
        self.record.frames += u64::from(step.tick);
    }

    /// Takes an event over that no input explains. No step may wait.
    ///
    /// Errors: it does not fit the ledger.
    pub fn adopt(&mut self, event: &StampedEvent) -> Result<(), LedgerError> {
        self.ledger.apply(event)?;
        let events = std::slice::from_ref(event);
        let standing = Standing::of(&self.ledger, event.at);
        self.record
            .take(None, standing, &TickReport::default(), events);
        Ok(())
    }

    /// What the confirmed steps come to, measured as a backtest.
    #[must_use]
    pub fn finish(self, options: &BacktestOptions<'_>) -> BacktestResult {
        self.record.finish(None, &self.ledger, options, false)
    }
}

/// The books that an input brings.
fn snapshot_of(input: &Input) -> Option<&Snapshot> {
    match input {
        Input::Tick(snapshot)
        | Input::Books(snapshot)
        | Input::Arrive(snapshot)
        | Input::Order { snapshot, .. } => Some(snapshot),
        _ => None,
    }
}

/// What the record has to know of a step: names of markets, signals, notes.
fn report_of(output: Output) -> TickReport {
    match output {
        Output::Ticked(report) => *report,
        Output::Ordered(verdict) => TickReport {
            orders: verdict.ok().into_iter().collect(),
            ..TickReport::default()
        },
        Output::Done | Output::Cancelled(_) | Output::Conditional(_) | Output::Accepted(_) => {
            TickReport::default()
        }
    }
}
