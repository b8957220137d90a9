//! The one writer of a ledger: a thread that steps a draft, stores the events, then publishes
//! (`desk/writer.rs`), and the way to it.
//!
//! A caller that goes away (a cancelled tool call) does not interrupt a commit: the thread finishes
//! what it began, so memory and disk never disagree.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use crate::domain::StampedEvent;
use crate::store::{OwnerLock, Store, StoreError};
use crate::trading::desk::DeskError;
use crate::trading::ledger::Ledger;

use super::AppError;

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
#[derive(Debug)]
pub struct Desk {
    view: Arc<ArcSwap<Ledger>>,
    store: ArcSwap<Store>,
    halted: Arc<Mutex<Option<String>>>,
    role: Mutex<Role>,
    catch_up: Mutex<()>,
    taking_over: tokio::sync::Mutex<()>,
    may_own: bool,
    ended: Mutex<Option<std::sync::mpsc::Receiver<()>>>,
}

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

impl Desk {
    /// Starts the writer for a ledger that this process owns.
    pub(super) fn owner(
        store: Arc<Store>,
        lock: OwnerLock,
        ledger: Ledger,
    ) -> Result<Desk, AppError> {
        let desk = Desk::reader(store.clone(), String::new(), ledger, true);
        desk.start_writer(store, lock)?;
        Ok(desk)
    }

    /// Reads a ledger that another process owns; `may_own` lets it take over once that is gone.
    pub(super) fn reader(store: Arc<Store>, owner: String, ledger: Ledger, may_own: bool) -> Desk {
        Desk {
            view: Arc::new(ArcSwap::new(Arc::new(ledger))),
            store: ArcSwap::new(store),
            halted: Arc::default(),
            role: Mutex::new(Role::Reader { owner }),
            catch_up: Mutex::new(()),
            taking_over: tokio::sync::Mutex::new(()),
            may_own,
            ended: Mutex::new(None),
        }
    }

    fn start_writer(
        &self,
        store: Arc<Store>,
        lock: OwnerLock,
    ) -> Result<mpsc::Sender<Job>, AppError> {
        let writer = Writer::new(self.view.clone(), store.clone(), self.halted.clone(), lock);
        let Started { jobs, ended } = writer.start(QUEUE)?;
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
        self.store.store(store);
        *self.role.lock().unwrap_or_else(PoisonError::into_inner) = Role::Owner(jobs.clone());
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
        matches!(self.role(), Role::Owner(_))
    }

    /// Why trading is halted, if it is.
    #[must_use]
    pub fn halted(&self) -> Option<String> {
        self.halted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
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
        self.ledger()?;
        tracing::info!("the owner of the ledger is gone; this process owns it now");
        self.start_writer(store, lock)
    }

    /// Runs one step on a draft of the ledger, stores its events and publishes the result; on any
    /// failure the ledger stays as it was. Commits that wait together are stored together: an error
    /// of the store is then everybody's, a refused step only its own.
    pub async fn commit<T, F>(&self, step: F) -> Result<T, AppError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Ledger) -> Result<(T, Vec<StampedEvent>), DeskError> + Send + 'static,
    {
        let jobs = self.jobs().await?;
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(writer::Commit::new(step, answer));
        let gone = || AppError::Halted {
            reason: "the desk has stopped".to_owned(),
        };
        jobs.send(job).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }
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
