//! Opening an account: lock, database, rebuilt ledger, source.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::market_data::MarketData;
use crate::store::{self, Store};
use crate::strategy::StrategySet;
use crate::telemetry::alerts::Alerts;
use crate::trading::desk::Input;
use crate::trading::ledger::Ledger;

use super::config::Config;
use super::desk::{JournalPlan, Setup, take_lock};
use super::fresh::Fresh;
use super::journal::JournalRules;
use super::rebuild::rebuild;
use super::{Advance, App, AppError, Desk, Probe};

/// A source with what moves its clock, if anything must.
pub struct Source {
    /// Where prices come from.
    pub data: Arc<dyn MarketData>,
    /// Called after each tick.
    pub advance: Option<Advance>,
}

/// How an account is opened.
pub struct OpenOptions {
    /// Configuration.
    pub config: Config,
    /// Source.
    pub source: Source,
    /// Database file, or a link to it; created when missing.
    pub db: PathBuf,
    /// Whether this process is to own the ledger.
    pub access: Access,
}

/// How long a held lock is waited for: a client that restarts its server starts the new one before
/// the old one has ended.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// Whether a process owns its ledger or reads beside the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Own it, or fail.
    Own,
    /// Own it, or read when another process does and goes on doing so.
    OwnOrRead,
    /// Own it, or read at once when another process does: for a single call from a shell.
    OwnOrReadNow,
    /// Read only; the database must exist.
    Read,
}

/// The account in a database, read beside any owner. Errors: no such database, or not ours.
pub fn read_ledger(db: &std::path::Path) -> Result<Ledger, AppError> {
    rebuild(&Store::open_read_only(db)?)
}

impl App {
    /// Opens the account: takes the lock, rebuilds the ledger, and pays the starting balance into a
    /// new one. Errors: see [`AppError`]; an account of another kind of source is refused.
    pub async fn open(options: OpenOptions) -> Result<Arc<App>, AppError> {
        Self::open_journalled(options, None).await
    }

    /// The same with every input of the desk written down in the folder `journal` from the moment at
    /// which this process owns the ledger. Errors: the folder cannot be written too.
    pub async fn open_journalled(
        options: OpenOptions,
        journal: Option<PathBuf>,
    ) -> Result<Arc<App>, AppError> {
        let OpenOptions {
            config,
            source,
            db,
            access,
        } = options;
        config.validate().map_err(AppError::Config)?;
        let strategies = StrategySet::from_config(&config.strategies)
            .map_err(|error| AppError::Config(error.to_string()))?;
        let Source { data, advance } = source;
        // Links are followed once: everything that is named after the database goes by this name.
        let db = store::real_path(&db)?;
        let trading = config.trading();
        let strategies = Arc::new(strategies);
        let journal = journal.map(|dir| JournalPlan {
            dir,
            rules: JournalRules {
                strategies: config.strategies.clone(),
                trading: trading.clone(),
            },
        });
        let setup = Setup {
            strategies: strategies.clone(),
            trading: trading.clone(),
            source: data.clone(),
            time_passes: advance.is_none(),
            journal,
        };
        let lock = match access {
            Access::Read => Err("another process".to_owned()),
            Access::Own | Access::OwnOrRead | Access::OwnOrReadNow => match take_lock(
                &db,
                if access == Access::OwnOrReadNow {
                    Duration::ZERO
                } else {
                    PATIENCE
                },
            )
            .await
            {
                Ok(lock) => Ok(lock),
                Err(Ok(owner)) if access != Access::Own => Err(owner),
                Err(Ok(owner)) => return Err(AppError::Owned { owner }),
                Err(Err(error)) => return Err(error),
            },
        };
        let desk = match lock {
            Ok(lock) => {
                let store = Arc::new(Store::open(&db)?);
                let ledger = rebuild(&store)?;
                check_source(&ledger, data.as_ref(), &db)?;
                let is_new = ledger.seq() == 0;
                let desk = Desk::owner(store, lock, ledger, setup)?;
                if is_new {
                    let input = Input::Open {
                        source: data.kind(),
                        balance: config.starting_balance,
                        at: data.now().await?,
                    };
                    desk.commit(input).await?;
                }
                desk.begin().await?;
                desk
            }
            Err(owner) => {
                let store = Arc::new(Store::open_read_only(&db)?);
                let ledger = rebuild(&store)?;
                check_source(&ledger, data.as_ref(), &db)?;
                if access == Access::OwnOrRead {
                    tracing::warn!(
                        owner,
                        "another process owns this ledger; what changes it is handed on"
                    );
                }
                Desk::reader(store, owner, ledger, access != Access::Read, setup)
            }
        };
        let alerts =
            Alerts::new(config.webhooks()).map_err(|error| AppError::Config(error.to_string()))?;
        let fresh = Fresh::new(i64::from(config.gather.refresh_seconds) * 1000);
        Ok(Arc::new(App {
            config,
            trading,
            strategies,
            source: data,
            desk,
            alerts,
            fresh,
            awaiting: Default::default(),
            prints: Default::default(),
            questions: Default::default(),
            signals: ArcSwapOption::empty(),
            ticking: tokio::sync::Mutex::new(()),
            backtesting: tokio::sync::Mutex::new(()),
            advance,
            probed: tokio::sync::watch::Sender::new(Probe::NotYet),
            started: Instant::now(),
            db,
            label: Default::default(),
            owner_note: ArcSwapOption::empty(),
        }))
    }
}

fn check_source(
    ledger: &Ledger,
    data: &dyn MarketData,
    db: &std::path::Path,
) -> Result<(), AppError> {
    match ledger.source() {
        Some(was) if was != data.kind() => Err(AppError::WrongSource {
            db: db.display().to_string(),
            was: was.as_str(),
            now: data.kind().as_str(),
        }),
        _ => Ok(()),
    }
}
