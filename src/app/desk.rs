//! The one writer of a ledger: a thread that steps a draft, stores the events, then publishes.
//!
//! A caller that goes away (a cancelled tool call) does not interrupt a commit: the thread finishes
//! what it began, so memory and disk never disagree.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use crate::domain::StampedEvent;
use crate::store::{OwnerLock, Store};
use crate::trading::desk::DeskError;
use crate::trading::ledger::Ledger;

use super::AppError;

/// Commits waiting for the writer; more wait with their callers.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce(&mut Writer) + Send>;

/// Access to a ledger: as its owner, or as a reader beside another process.
#[derive(Debug)]
pub struct Desk {
    view: Arc<ArcSwap<Ledger>>,
    role: Role,
}

#[derive(Debug)]
enum Role {
    Owner {
        jobs: mpsc::Sender<Job>,
        halted: Arc<Mutex<Option<String>>>,
    },
    Reader {
        store: Arc<Store>,
        owner: String,
        catch_up: Mutex<()>,
    },
}

struct Writer {
    ledger: Arc<Ledger>,
    store: Arc<Store>,
    view: Arc<ArcSwap<Ledger>>,
    halted: Arc<Mutex<Option<String>>>,
    // Held for as long as the thread lives: no second process writes.
    _lock: OwnerLock,
}

/// Rebuilds a ledger from its events. Errors: a database that cannot be read or an event that does
/// not fit.
pub(super) fn rebuild(store: &Store) -> Result<Ledger, AppError> {
    let mut ledger = Ledger::default();
    store.for_each_event(0, |event| -> Result<(), AppError> {
        ledger
            .apply(&event)
            .map_err(|error| AppError::Desk(DeskError::Ledger(error)))
    })?;
    Ok(ledger)
}

impl Desk {
    /// Starts the writer for a ledger that this process owns.
    pub(super) fn owner(
        store: Arc<Store>,
        lock: OwnerLock,
        ledger: Ledger,
    ) -> Result<Desk, AppError> {
        let ledger = Arc::new(ledger);
        let view = Arc::new(ArcSwap::new(ledger.clone()));
        let halted = Arc::new(Mutex::new(None));
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let mut writer = Writer {
            ledger,
            store,
            view: view.clone(),
            halted: halted.clone(),
            _lock: lock,
        };
        thread::Builder::new()
            .name("desk".to_owned())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    job(&mut writer);
                }
            })
            .map_err(|error| AppError::Other(format!("the desk could not start: {error}")))?;
        Ok(Desk {
            view,
            role: Role::Owner { jobs, halted },
        })
    }

    /// Reads a ledger that another process owns.
    pub(super) fn reader(store: Arc<Store>, owner: String, ledger: Ledger) -> Desk {
        let view = Arc::new(ArcSwap::new(Arc::new(ledger)));
        Desk {
            view,
            role: Role::Reader {
                store,
                owner,
                catch_up: Mutex::new(()),
            },
        }
    }

    /// True when this process may write.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        matches!(self.role, Role::Owner { .. })
    }

    /// Why trading is halted, if it is.
    #[must_use]
    pub fn halted(&self) -> Option<String> {
        match &self.role {
            Role::Owner { halted, .. } => halted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            Role::Reader { .. } => None,
        }
    }

    /// The account as it stands.
    pub fn ledger(&self) -> Result<Arc<Ledger>, AppError> {
        if let Role::Reader {
            store, catch_up, ..
        } = &self.role
        {
            let _turn = catch_up.lock().unwrap_or_else(PoisonError::into_inner);
            let known = self.view.load_full();
            if store.last_seq()? > known.seq() {
                self.view.store(Arc::new(catch_up_from(store, &known)?));
            }
        }
        Ok(self.view.load_full())
    }

    /// Runs one step on a draft of the ledger, stores its events and publishes the result; on any
    /// failure the ledger stays as it was.
    pub async fn commit<T, F>(&self, step: F) -> Result<T, AppError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Ledger) -> Result<(T, Vec<StampedEvent>), DeskError> + Send + 'static,
    {
        let jobs = match &self.role {
            Role::Owner { jobs, .. } => jobs,
            Role::Reader { owner, .. } => {
                return Err(AppError::ReadOnly {
                    owner: owner.clone(),
                });
            }
        };
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |writer| {
            // The caller may be gone; the commit counts all the same.
            let _ = answer.send(writer.commit(step));
        });
        let gone = || AppError::Halted {
            reason: "the desk has stopped".to_owned(),
        };
        jobs.send(job).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
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

impl Writer {
    fn commit<T>(
        &mut self,
        step: impl FnOnce(&mut Ledger) -> Result<(T, Vec<StampedEvent>), DeskError>,
    ) -> Result<T, AppError> {
        if let Some(reason) = self
            .halted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
        {
            return Err(AppError::Halted { reason });
        }
        let mut draft = Ledger::clone(&self.ledger);
        let (value, events) = step(&mut draft)?;
        if events.is_empty() {
            return Ok(value);
        }
        if let Err(error) = self.store.append(&events) {
            // Not knowing what reached the disk, the desk stops: a restart reads what did.
            let reason = format!("events could not be stored: {error}");
            tracing::error!(error = %error, "trading halted");
            *self.halted.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
            return Err(error.into());
        }
        self.ledger = Arc::new(draft);
        self.view.store(self.ledger.clone());
        Ok(value)
    }
}
