//! The application: a source, a ledger with its one writer, strategies and alerts, wired from the
//! configuration. Tools, jobs and the command line all work through [`App`].

mod account;
mod arrivals;
mod awaiting;
pub mod backtest;
mod clock;
pub mod config;
pub mod control;
mod desk;
mod error;
mod feed;
mod fresh;
mod gather;
pub mod journal;
mod open;
mod orders;
mod prints;
mod reactions;
mod rebuild;
mod standing;
mod tick;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::domain::{MarketId, Signal, SourceKind, Timestamp};
use crate::market_data::MarketData;
use crate::store::Store;
use crate::strategy::StrategySet;
use crate::telemetry::alerts::Alerts;
use crate::trading::config::TradingConfig;
use crate::trading::ledger::Ledger;
use crate::trading::report::OrderReport;

pub use account::{
    DEFAULT_ACCOUNT, Reset, account_file, account_label, account_of, is_account_name, reset_account,
};
pub use desk::{Committed, Desk};
pub use error::AppError;
pub use feed::Feed;
pub use fresh::FreshReport;
pub use gather::MarketSnapshot;
pub use open::{Access, OpenOptions, Source, read_ledger};
pub use standing::Standing;
pub use verify::{Verified, verify};

/// Signals of the last analysis.
#[derive(Debug, Clone)]
pub struct SignalCache {
    /// The signals.
    pub signals: Vec<Signal>,
    /// The moment they speak of.
    pub at: Timestamp,
    /// When they were made, for their age.
    pub made: Instant,
}

/// Everything that a handler needs. One per process, shared by all sessions.
pub struct App {
    config: config::Config,
    trading: TradingConfig,
    strategies: Arc<StrategySet>,
    source: Arc<dyn MarketData>,
    desk: Desk,
    alerts: Alerts,
    fresh: fresh::Fresh,
    awaiting: awaiting::Awaiting,
    prints: prints::Prints,
    questions: std::sync::Mutex<std::collections::HashMap<MarketId, String>>,
    signals: ArcSwapOption<SignalCache>,
    ticking: tokio::sync::Mutex<()>,
    backtesting: tokio::sync::Mutex<()>,
    advance: Option<Advance>,
    probed: tokio::sync::watch::Sender<Probe>,
    started: Instant,
    db: PathBuf,
    label: std::sync::OnceLock<String>,
    owner_note: ArcSwapOption<control::OwnerNote>,
}

/// Whether the source has been asked for a first answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    NotYet,
    UnderWay,
    Answered,
}

/// Moves a source's own clock forward after each tick (recordings, stepped sandboxes).
pub type Advance = Box<dyn Fn() -> futures::future::BoxFuture<'static, ()> + Send + Sync>;

impl App {
    /// The configuration as read.
    #[must_use]
    pub fn config(&self) -> &config::Config {
        &self.config
    }

    /// What the core was given of it.
    #[must_use]
    pub fn trading(&self) -> &TradingConfig {
        &self.trading
    }

    /// The configured strategies.
    #[must_use]
    pub fn strategies(&self) -> &StrategySet {
        &self.strategies
    }

    /// Where prices come from.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn MarketData> {
        &self.source
    }

    /// What kind of source that is.
    #[must_use]
    pub fn source_kind(&self) -> SourceKind {
        self.source.kind()
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> Arc<Store> {
        self.desk.store()
    }

    /// The database file, by its real name.
    #[must_use]
    pub fn db(&self) -> &PathBuf {
        &self.db
    }

    /// How long this process has been up.
    #[must_use]
    pub fn uptime(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    /// The account as it stands. Where another process owns the ledger, what that process has
    /// written so far. Errors: [`AppError::Store`] when the database cannot be read.
    pub fn ledger(&self) -> Result<Arc<Ledger>, AppError> {
        self.desk.ledger()
    }

    /// The one writer.
    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// The turn of a backtest, to be held while it runs: two at once would hold two recordings in
    /// memory. Errors: [`AppError::Busy`] while there is one.
    pub fn begin_backtest(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, AppError> {
        self.backtesting.try_lock().map_err(|_| AppError::Busy {
            message: "a backtest is running in this process, and there is room for one",
            hint: "Wait until it has ended, or cancel it, and call again; one that was cancelled \
                   ends within moments.",
        })
    }

    /// The question of a market that this process has looked at, or that was ever traded.
    /// Untrusted text.
    #[must_use]
    pub fn question_of(&self, market: &MarketId) -> Option<String> {
        let lock = || {
            self.questions
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        };
        if let Some(known) = lock().get(market) {
            return Some(known.clone());
        }
        let stored = self.store().question_of(market.as_str()).ok().flatten()?;
        lock().insert(market.clone(), stored.clone());
        Some(stored)
    }

    /// Keeps the questions of what was just traded, for readers that do not ask the venue.
    async fn keep_questions(&self, orders: &[OrderReport]) {
        let questions: Vec<(String, String)> = orders
            .iter()
            .filter(|order| !order.fills.is_empty())
            .map(|order| (order.market_id.clone(), order.question.clone()))
            .collect();
        let store = self.store();
        let kept = tokio::task::spawn_blocking(move || store.remember_questions(&questions)).await;
        if let Ok(Err(error)) = kept {
            tracing::warn!(error = %error, "questions of traded markets were not kept");
        }
    }

    /// Asks the source for something once, so that `health_check`, which asks nothing itself, knows
    /// whether it answers. It counts as under way from this call on.
    pub fn probe(self: &Arc<Self>) -> impl Future<Output = ()> + Send + 'static {
        self.probed.send_replace(Probe::UnderWay);
        let app = self.clone();
        async move {
            if let Err(error) = app.source.check().await {
                tracing::warn!(error = %error, "the source does not answer");
            }
            app.probed.send_replace(Probe::Answered);
        }
    }

    /// Waits for the outcome of a probe that is under way, at most so long.
    pub async fn probed(&self, limit: Duration) {
        let mut probed = self.probed.subscribe();
        let done = probed.wait_for(|probe| *probe != Probe::UnderWay);
        // Too late, or an application that is going: either way nobody has answered.
        let _ = tokio::time::timeout(limit, done).await;
    }

    /// Signals of the last tick or refresh; `None` before the first.
    #[must_use]
    pub fn cached_signals(&self) -> Option<Arc<SignalCache>> {
        self.signals.load_full()
    }
}
