//! What the log says of the account beside its movements: where a day began, how high equity stood,
//! why trading was halted, what a tick came to. Each is recomputed from what stands before it. What it
//! says of conditional orders and of how orders were filled has judges of its own.

use crate::domain::{HaltCause, LedgerEvent, StampedEvent, Timestamp, Usdc};
use crate::trading::config::{RiskConfig, TradingConfig};
use crate::trading::desk::{AGENT, DESK};
use crate::trading::ledger::Ledger;
use crate::trading::risk::halts;

use super::conditionals::Conditionals;
use super::execution::Execution;

/// Follows the log, one event ahead of the ledger.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// The limits that were recorded last; `None` before the first, or when they cannot be read.
    limits: Option<RiskConfig>,
    /// Settings were recorded: what follows is no log of 1.0.
    current: bool,
    conditionals: Conditionals,
    execution: Execution,
    /// Number of the event that marked positions last.
    marked: Option<u64>,
    /// The event before lifted a halt for a drawdown: the peak may fall now.
    peak_anew: bool,
    /// Signals of strategies since the last tick.
    signals: u32,
    /// Fills since the account was last recorded: every step with fills ends with that.
    fills: u32,
    /// The event before recorded the account: when, and the fills of the step that it ended.
    recorded: Option<(Timestamp, u32)>,
    /// Halts for losses that could not be recomputed, because no limits were recorded before.
    pub(super) unchecked_halts: u64,
}

impl Claims {
    /// Judges an event against the ledger before it. Errors: what it says is not so.
    pub(super) fn judge(&mut self, ledger: &Ledger, stamped: &StampedEvent) -> Result<(), String> {
        let peak_anew = std::mem::take(&mut self.peak_anew);
        let recorded = self.recorded.take();
        self.conditionals.judge(ledger, stamped, self.current)?;
        self.execution.judge(ledger, stamped, self.current)?;
        match &stamped.event {
            LedgerEvent::ConfigChanged { settings, .. } => {
                self.current = true;
                let read = serde_json::from_str::<TradingConfig>(settings);
                self.limits = read.ok().map(|config| config.risk);
            }
            LedgerEvent::Marked { .. } => self.marked = Some(stamped.seq),
            LedgerEvent::DayStarted { day, equity } => {
                let judged = day_started(ledger, stamped, *day, *equity);
                self.by_marks(judged)?;
            }
            LedgerEvent::PeakRaised { equity } => {
                self.by_marks(peak_raised(ledger, *equity, peak_anew))?;
            }
            LedgerEvent::Halted { cause, reason, .. } => {
                let judged = self.halted(ledger, *cause, reason);
                self.by_marks(judged)?;
            }
            LedgerEvent::Resumed { by, .. } => {
                let cause = ledger.halt().map(|halt| halt.cause);
                if by == DESK && cause != Some(HaltCause::DailyLoss) {
                    return Err("the desk lifts nothing but a halt for a day's loss".to_owned());
                }
                self.peak_anew = cause == Some(HaltCause::Drawdown);
            }
            LedgerEvent::SnapshotTaken { total_value, .. } => {
                let judged = same("the recorded value", *total_value, ledger.equity().total);
                self.by_marks(judged)?;
                self.recorded = Some((stamped.at, std::mem::take(&mut self.fills)));
            }
            LedgerEvent::SignalGenerated { signal, .. } if signal.strategy.as_str() != AGENT => {
                self.signals += 1;
            }
            LedgerEvent::Filled { .. } => self.fills += 1,
            LedgerEvent::TickCompleted {
                tick,
                signals,
                fills,
                ..
            } => {
                let next = ledger.ticks() + 1;
                if *tick != next {
                    return Err(format!("it is tick {next}, not {tick}"));
                }
                self.counts(recorded, stamped.at, *signals, *fills)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Sales of conditional orders that could not be recomputed.
    pub(super) fn unchecked_sales(&self) -> u64 {
        self.conditionals.unchecked
    }

    /// A level of which a stored state has another part used up than the events lead to.
    pub(super) fn depth_differs(&self, stored: &Ledger, led_to: &Ledger) -> Option<String> {
        self.execution.depth_differs(stored, led_to)
    }

    /// What contradicts equity may be the claim itself or the marks that equity is counted by: says
    /// which event recorded those last.
    fn by_marks(&self, judged: Result<(), String>) -> Result<(), String> {
        judged.map_err(|why| match self.marked {
            Some(seq) => format!("{why} (by the marks up to event {seq})"),
            None => why,
        })
    }

    /// A halt for losses is due, by the limits of then, for the reason that it states.
    fn halted(&mut self, ledger: &Ledger, cause: HaltCause, reason: &str) -> Result<(), String> {
        if cause == HaltCause::KillSwitch {
            return Ok(());
        }
        let Some(limits) = &self.limits else {
            self.unchecked_halts += 1;
            return Ok(());
        };
        match halts::due(ledger, limits) {
            Some((due, _)) if due != cause => Err(format!(
                "a halt for {} is due, not one for {}",
                due.as_str(),
                cause.as_str()
            )),
            Some((_, why)) if why != reason => Err(format!(
                "the reason is {reason:?}, the account says {why:?}"
            )),
            Some(_) => Ok(()),
            None => Err(format!(
                "no halt for {} is due: {} pUSD lost today, equity {} pUSD",
                cause.as_str(),
                ledger.daily_loss(),
                ledger.equity().total
            )),
        }
    }

    /// What a tick counted. Logs of 1.0, in which no settings are recorded, are not judged by how
    /// steps end today.
    fn counts(
        &mut self,
        recorded: Option<(Timestamp, u32)>,
        at: Timestamp,
        signals: u32,
        fills: u32,
    ) -> Result<(), String> {
        let found_signals = std::mem::take(&mut self.signals);
        let found = std::mem::take(&mut self.fills);
        if self.limits.is_none() {
            return Ok(());
        }
        if signals != found_signals {
            return Err(format!(
                "it counts {signals} signals, the log has {found_signals}"
            ));
        }
        // The account was recorded by this tick, or by a step of the same moment before a tick that
        // left nothing else.
        let (found, other) = match recorded {
            Some((moment, of_step)) if moment == at => (of_step, found),
            _ => (found, found),
        };
        if fills != found && fills != other {
            return Err(format!("it counts {fills} fills, the log has {found}"));
        }
        Ok(())
    }
}

/// The equity that stood when the day began.
fn day_started(
    ledger: &Ledger,
    stamped: &StampedEvent,
    day: i64,
    equity: Usdc,
) -> Result<(), String> {
    if day != stamped.at.day() {
        return Err(format!("{} is in day {}", stamped.at, stamped.at.day()));
    }
    if let Some(current) = ledger.current_day().filter(|current| *current >= day) {
        return Err(format!("day {day} begins in day {current}"));
    }
    same("the day's first equity", equity, ledger.equity().total)
}

/// A peak is the equity of now, and higher than any before; after a halt for a drawdown was lifted
/// it is counted anew.
fn peak_raised(ledger: &Ledger, equity: Usdc, anew: bool) -> Result<(), String> {
    let now = ledger.equity();
    same("the peak", equity, now.total)?;
    if anew {
        return Ok(());
    }
    if !now.complete {
        return Err("the peak rises on equity that is not complete".to_owned());
    }
    match ledger.peak() {
        Some(before) if equity <= before => Err(format!(
            "the peak is raised to {equity} pUSD from {before} pUSD"
        )),
        _ => Ok(()),
    }
}

fn same(what: &str, is: Usdc, should: Usdc) -> Result<(), String> {
    if is == should {
        return Ok(());
    }
    Err(format!("{what} is {is} pUSD, equity is {should} pUSD"))
}
