//! Announces changes of the account to subscribed clients.
//!
//! The application knows nothing of this server; so its ledger's number of events is looked at once
//! a second. That also sees what another process writes, where this one only reads.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::app::{App, AppError};
use crate::domain::LedgerEvent;

use super::changes::ChangeFeed;
use super::library::{PORTFOLIO, PORTFOLIO_JSON, SIGNALS, SNAPSHOTS, TRADES};
use super::tools::blocking;

/// How often the ledger is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// New events that are looked at one by one; after more than that everything counts as changed.
const MANY: u32 = 10_000;

/// How far the ledger and the backtests have been looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    seq: u64,
    newest_backtest: Option<i64>,
}

/// What changed since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Touched {
    portfolio: bool,
    trades: bool,
    signals: bool,
    snapshots: bool,
    backtests: bool,
}

/// Announces on `feed` what changes in `app`, until nobody else holds `app`. Spawn it.
pub async fn watch_changes(app: Arc<App>, feed: ChangeFeed) {
    let held = Arc::downgrade(&app);
    drop(app);
    let mut seen: Option<Seen> = None;
    let mut failing = false;
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let Some(app) = held.upgrade() else { return };
        // The first look says from where on there are changes, and must not wait for a listener.
        if seen.is_some() && !feed.has_listeners() {
            continue;
        }
        match blocking(&app, move |app| look(app, seen)).await {
            Ok((now, touched)) => {
                announce(&feed, touched);
                seen = Some(now);
                failing = false;
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "changes cannot be announced for now");
                }
                failing = true;
            }
        }
    }
}

/// Where things stand, and what changed since `seen`.
fn look(app: &App, seen: Option<Seen>) -> Result<(Seen, Touched), AppError> {
    // Only what the published ledger holds: a client told of more would read less.
    let seq = app.ledger()?.seq();
    let newest_backtest = app.store().backtests(1)?.first().map(|newest| newest.id);
    let now = Seen {
        seq,
        newest_backtest,
    };
    let Some(seen) = seen else {
        return Ok((now, Touched::default()));
    };
    let mut touched = Touched {
        backtests: newest_backtest != seen.newest_backtest,
        ..Touched::default()
    };
    if seq > seen.seq.saturating_add(u64::from(MANY)) {
        touched = Touched {
            portfolio: true,
            trades: true,
            signals: true,
            snapshots: true,
            ..touched
        };
    } else if seq > seen.seq {
        for event in app.store().events(seen.seq, MANY)? {
            if event.seq <= seq {
                touch(&mut touched, &event.event);
            }
        }
    }
    Ok((now, touched))
}

/// Which resources show `event`.
fn touch(touched: &mut Touched, event: &LedgerEvent) {
    // Every event moves `as_of`.
    touched.portfolio = true;
    match event {
        LedgerEvent::SignalGenerated { .. }
        | LedgerEvent::SignalExecuted { .. }
        | LedgerEvent::SignalRejected { .. } => touched.signals = true,
        LedgerEvent::Filled { .. } | LedgerEvent::Settled { .. } => touched.trades = true,
        LedgerEvent::SnapshotTaken { .. } => touched.snapshots = true,
        LedgerEvent::AccountOpened { .. }
        | LedgerEvent::Deposited { .. }
        | LedgerEvent::OrderAccepted { .. }
        | LedgerEvent::OrderRefused { .. }
        | LedgerEvent::OrderRested { .. }
        | LedgerEvent::DepthUsed { .. }
        | LedgerEvent::OrderClosed { .. }
        | LedgerEvent::ConditionalCreated { .. }
        | LedgerEvent::WatermarkRaised { .. }
        | LedgerEvent::ConditionalTriggered { .. }
        | LedgerEvent::ConditionalReduced { .. }
        | LedgerEvent::ConditionalDoubted { .. }
        | LedgerEvent::ConditionalCancelled { .. }
        | LedgerEvent::Marked { .. }
        | LedgerEvent::BidsGone { .. }
        | LedgerEvent::ConfigChanged { .. }
        | LedgerEvent::EstimateScored { .. }
        | LedgerEvent::Halted { .. }
        | LedgerEvent::PeakRaised { .. }
        | LedgerEvent::QueueAdvanced { .. }
        | LedgerEvent::Resumed { .. }
        | LedgerEvent::EstimateStored { .. }
        | LedgerEvent::DayStarted { .. }
        | LedgerEvent::TickCompleted { .. } => {}
    }
}

fn announce(feed: &ChangeFeed, touched: Touched) {
    for (changed, uri) in [
        (touched.portfolio, PORTFOLIO),
        (touched.portfolio, PORTFOLIO_JSON),
        (touched.trades, TRADES),
        (touched.signals, SIGNALS),
        (touched.snapshots, SNAPSHOTS),
    ] {
        if changed {
            feed.resource_updated(uri);
        }
    }
    if touched.backtests {
        feed.list_changed();
    }
}

#[cfg(test)]
mod tests;
