//! The one writer of a ledger: a thread that steps a draft, stores the events, then publishes
//! (`desk/writer.rs`), and the way to it.
//!
//! A caller that goes away (a cancelled tool call) does not interrupt a commit: the thread finishes
//! what it began, so memory and disk never disagree.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};

use crate::market_data::MarketData;
use crate::store::{OwnerLock, Store, StoreError};
use crate::strategy::StrategySet;
use crate::trading::config::TradingConfig;
#[cfg(test)]
use crate::trading::desk::Rules;
use crate::trading::desk::{DeskError, Input, Output};
use crate::trading::ledger::Ledger;

use super::AppError;
use super::journal::{self, Journal, JournalRules};

pub(super) mod known;
mod writer;

use writer::{Started, Writer};

/// Commits waiting for the writer; more wait with their callers.
const QUEUE: usize = 256;

type Job = Box<dyn writer::Job>;

/// How long the end of a process waits for the writer, which may be writing a last checkpoint.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Between two looks at a held lock.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Access to a ledger: as its owner, or as a reader beside another process. A reader becomes the
/// owner at its first write after the old one has gone.
pub struct Desk {
    view: Arc<ArcSwap<Ledger>>,
    store: ArcSwap<Store>,
    halted: Arc<Mutex<Option<Stop>>>,
    role: Mutex<Role>,
    catch_up: Mutex<()>,
    taking_over: tokio::sync::Mutex<()>,
    may_own: bool,
    ended: Mutex<Option<std::sync::mpsc::Receiver<()>>>,
    owned: watch::Sender<bool>,
    before_taking_over: OnceLock<BeforeTakingOver>,
    setup: Setup,
}

/// What a desk goes by beside its ledger.
#[derive(Clone)]
pub(super) struct Setup {
    pub strategies: Arc<StrategySet>,
    pub trading: TradingConfig,
    /// Whose clock says when this process began to own the ledger.
    pub source: Arc<dyn MarketData>,
    /// Whether the source's time goes on while no process owns the ledger.
    pub time_passes: bool,
    /// Where inputs are written down, if anywhere.
    pub journal: Option<JournalPlan>,
}

/// A journal that is begun once this process owns the ledger.
#[derive(Clone)]
pub(super) struct JournalPlan {
    pub dir: PathBuf,
    pub rules: JournalRules,
}

/// What came of an input that was carried out and stored.
#[derive(Debug)]
pub struct Committed {
    /// The step's output.
    pub output: Output,
    /// How long the step took.
    pub deciding: Duration,
}

/// Why a desk has stopped until a restart.
#[derive(Debug, Clone)]
struct Stop {
    /// What happened.
    reason: String,
    /// What to do about it.
    hint: String,
}

impl From<Stop> for AppError {
    fn from(stop: Stop) -> Self {
        AppError::Halted {
            reason: stop.reason,
            hint: stop.hint,
        }
    }
}

/// Called with the ledger as the owner before left it, before this process writes on.
pub type BeforeTakingOver = Box<dyn Fn(&Ledger) + Send + Sync>;

#[derive(Debug, Clone)]
enum Role {
    Owner(mpsc::Sender<Job>),
    Reader { owner: String },
}

/// Takes the lock of a ledger, waiting at most `patience` for an owner that is about to go.
/// `Err(Ok(owner))` names the process that keeps it.
pub(super) async fn take_lock(
    db: &Path,
    patience: Duration,
) -> Result<OwnerLock, Result<String, AppError>> {
    let started = Instant::now();
    loop {
        match OwnerLock::acquire(db) {
            Ok(lock) => return Ok(lock),
            Err(StoreError::Owned { .. }) if started.elapsed() < patience => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(StoreError::Owned { pid, .. }) => {
                let owner =
                    pid.map_or_else(|| "pid unknown".to_owned(), |pid| format!("pid {pid}"));
                return Err(Ok(owner));
            }
            Err(error) => return Err(Err(error.into())),
        }
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("owner", &self.is_owner())
            .finish_non_exhaustive()
    }
}

impl Desk {
    /// Starts the writer for a ledger that this process owns.
    pub(super) fn owner(
        store: Arc<Store>,
        lock: OwnerLock,
        ledger: Ledger,
        setup: Setup,
    ) -> Result<Desk, AppError> {
        let desk = Desk::reader(store.clone(), String::new(), ledger, true, setup);
        desk.start_writer(store, lock)?;
        Ok(desk)
    }

    /// Reads a ledger that another process owns; `may_own` lets it take over once that is gone.
    pub(super) fn reader(
        store: Arc<Store>,
        owner: String,
        ledger: Ledger,
        may_own: bool,
        setup: Setup,
    ) -> Desk {
        Desk {
            view: Arc::new(ArcSwap::new(Arc::new(ledger))),
            store: ArcSwap::new(store),
            halted: Arc::default(),
            role: Mutex::new(Role::Reader { owner }),
            catch_up: Mutex::new(()),
            taking_over: tokio::sync::Mutex::new(()),
            may_own,
            ended: Mutex::new(None),
            owned: watch::Sender::new(false),
            before_taking_over: OnceLock::new(),
            setup,
        }
    }

    fn start_writer(
        &self,
        store: Arc<Store>,
        lock: OwnerLock,
    ) -> Result<mpsc::Sender<Job>, AppError> {
        let journal = match &self.setup.journal {
            Some(plan) => {
                let rules = plan.rules.clone();
                let seq = self.view.load().seq();
                let account = journal::account::of_store(&store)?;
                Some(Journal::open(&plan.dir, rules, store.path(), account, seq)?)
            }
            None => None,
        };
        let writer = Writer::new(
            self.view.clone(),
            store.clone(),
            self.halted.clone(),
            self.setup.clone(),
            journal,
            lock,
        );
        let Started { jobs, ended } = writer.start(QUEUE)?;
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
        self.store.store(store);
        *self.role.lock().unwrap_or_else(PoisonError::into_inner) = Role::Owner(jobs.clone());
        self.owned.send_replace(true);
        Ok(jobs)
    }

    /// The database: for writing when this process owns the ledger, else for reading.
    pub(super) fn store(&self) -> Arc<Store> {
        self.store.load_full()
    }

    fn role(&self) -> Role {
        self.role
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// True when this process may write.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        *self.owned.borrow()
    }

    /// Whether this process may become the owner once no other is.
    #[must_use]
    pub(super) fn may_own(&self) -> bool {
        self.may_own
    }

    /// Waits until this process may write.
    pub async fn owned(&self) {
        // The sender lives as long as the desk.
        let _ = self.owned.subscribe().wait_for(|owned| *owned).await;
    }

    /// Becomes the owner, if this process is not and no other is. Errors: [`AppError::ReadOnly`]
    /// when another process owns the ledger, or the database cannot be opened.
    pub async fn own(&self) -> Result<(), AppError> {
        self.jobs().await.map(drop)
    }

    /// What to do before this process takes over from another one. The first time counts.
    pub fn before_taking_over(&self, action: BeforeTakingOver) {
        // Set once, by whoever opens the application.
        let _ = self.before_taking_over.set(action);
    }

    /// Why trading is halted, if it is.
    #[must_use]
    pub fn halted(&self) -> Option<String> {
        let halted = self.halted.lock().unwrap_or_else(PoisonError::into_inner);
        halted.as_ref().map(|stop| stop.reason.clone())
    }

    /// The account as it stands.
    pub fn ledger(&self) -> Result<Arc<Ledger>, AppError> {
        if !self.is_owner() {
            let _turn = self.catch_up.lock().unwrap_or_else(PoisonError::into_inner);
            let (known, store) = (self.view.load_full(), self.store());
            if store.last_seq()? > known.seq() {
                self.view.store(Arc::new(catch_up_from(&store, &known)?));
            }
        }
        Ok(self.view.load_full())
    }

    /// The way to the writer; a reader first tries to become the owner.
    async fn jobs(&self) -> Result<mpsc::Sender<Job>, AppError> {
        if let Role::Owner(jobs) = self.role() {
            return Ok(jobs);
        }
        let _turn = self.taking_over.lock().await;
        let owner = match self.role() {
            Role::Owner(jobs) => return Ok(jobs),
            Role::Reader { owner } => owner,
        };
        if !self.may_own {
            return Err(AppError::ReadOnly { owner });
        }
        let db = self.store().path().to_path_buf();
        let lock = match OwnerLock::acquire(&db) {
            Ok(lock) => lock,
            Err(StoreError::Owned { pid, .. }) => {
                let owner = pid.map_or(owner, |pid| format!("pid {pid}"));
                return Err(AppError::ReadOnly { owner });
            }
            Err(error) => return Err(error.into()),
        };
        // Nobody else writes any more: catch up to the end, then write on.
        let store = Arc::new(Store::open(&db)?);
        let ledger = self.ledger()?;
        if let Some(action) = self.before_taking_over.get() {
            action(&ledger);
        }
        let jobs = self.start_writer(store, lock)?;
        tracing::info!("the owner of the ledger is gone; this process owns it now");
        // The rules of this process hold from now on. On a failure the desk is halted, and says so
        // to whoever asks next.
        if let Err(error) = self.begin_with(&jobs).await {
            tracing::error!(%error, "the rules of this process could not be recorded");
        }
        Ok(jobs)
    }

    /// What a new owner does first: closes orders that nobody was there to deliver, and records the
    /// rules of this process, if they are not those recorded last.
    pub(super) async fn begin(&self) -> Result<(), AppError> {
        let jobs = self.jobs().await?;
        self.begin_with(&jobs).await
    }

    async fn begin_with(&self, jobs: &mpsc::Sender<Job>) -> Result<(), AppError> {
        self.close_undelivered(jobs).await?;
        self.record_rules(jobs).await
    }

    /// Closes orders whose moment came while nobody owned the ledger. Where time stands still
    /// between two processes nobody was away: there they meet the first step after their moment.
    async fn close_undelivered(&self, jobs: &mpsc::Sender<Job>) -> Result<(), AppError> {
        let ledger = self.view.load_full();
        let moments = ledger.in_flight().filter_map(|(order, _)| order.arrives_at);
        let Some(latest) = moments.max().filter(|_| self.setup.time_passes) else {
            return Ok(());
        };
        // A source that is away must not keep the account from being opened. Then nobody can say
        // that an order was not due yet, and it must not execute whenever the source comes back.
        let now = self.setup.source.now().await;
        let at = now.unwrap_or(latest);
        send(jobs, Input::Returned { at }).await.map(drop)
    }

    async fn record_rules(&self, jobs: &mpsc::Sender<Job>) -> Result<(), AppError> {
        let ledger = self.view.load_full();
        let settings = self.setup.trading.settings();
        if ledger.settings() == Some(settings.as_str()) {
            return Ok(());
        }
        // A source that is away must not keep the account from being opened.
        let now = self.setup.source.now().await;
        let at = now.unwrap_or_else(|_| ledger.last_at());
        send(jobs, Input::Configure { settings, at })
            .await
            .map(drop)
    }

    /// Carries one input out on a draft of the ledger, stores its events and publishes the result;
    /// on any failure the ledger stays as it was. Nothing else changes a ledger: what comes through
    /// here is what the journal holds.
    pub async fn commit(&self, input: Input) -> Result<Committed, AppError> {
        send(&self.jobs().await?, input).await
    }
}

#[cfg(test)]
impl Desk {
    /// Makes the journal's disk full.
    async fn spoil_journal(&self) {
        let (answer, done) = oneshot::channel();
        let jobs = self.jobs().await.unwrap();
        let job: Job = Box::new(writer::Spoil(answer));
        assert!(jobs.send(job).await.is_ok());
        done.await.unwrap();
    }

    /// Runs any step through the writer, as inputs go.
    async fn commit_step<T, F>(&self, step: F) -> Result<T, AppError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Ledger) -> writer::Stepped<T> + Send + 'static,
    {
        send_job(&self.jobs().await?, |answer| {
            Box::new(writer::Commit::new(
                None,
                move |ledger: &mut Ledger, _: Option<&Input>, _: Rules<'_>| step(ledger),
                answer,
            ))
        })
        .await
    }
}

async fn send(jobs: &mpsc::Sender<Job>, input: Input) -> Result<Committed, AppError> {
    send_job(jobs, |answer| Box::new(writer::of_input(input, answer))).await
}

/// Puts a job into the writer's queue and waits for its answer.
async fn send_job<T>(
    jobs: &mpsc::Sender<Job>,
    job: impl FnOnce(oneshot::Sender<Result<T, AppError>>) -> Job,
) -> Result<T, AppError> {
    let (answer, result) = oneshot::channel();
    let gone = || AppError::Halted {
        reason: "the desk has stopped".to_owned(),
        hint: "Restart the server: the ledger is rebuilt from what was stored.".to_owned(),
    };
    jobs.send(job(answer)).await.map_err(|_| gone())?;
    result.await.map_err(|_| gone())?
}

impl Drop for Desk {
    /// Lets the writer finish what waits and write a last checkpoint.
    fn drop(&mut self) {
        // The last way to the writer goes with the role.
        *self.role.lock().unwrap_or_else(PoisonError::into_inner) = Role::Reader {
            owner: String::new(),
        };
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ended) = ended.as_ref() {
            // Disconnected is what is waited for; a writer that hangs on its disk is left behind.
            let _ = ended.recv_timeout(LAST_WORDS);
        }
    }
}

/// Applies what the owner has written since.
fn catch_up_from(store: &Store, known: &Ledger) -> Result<Ledger, AppError> {
    const PAGE: u32 = 10_000;
    let mut ledger = known.clone();
    loop {
        let events = store.events(ledger.seq(), PAGE)?;
        if events.is_empty() {
            return Ok(ledger);
        }
        for event in &events {
            ledger.apply(event).map_err(DeskError::Ledger)?;
        }
    }
}

#[cfg(test)]
mod tests;
