//! The writer thread: steps the commits that wait, stores their events in one transaction, then
//! publishes and answers.
//!
//! A group counts whole or not at all. What a step of it saw of the ones before it is on disk before
//! anybody is answered, so no answer can rest on something that a power cut takes back.

use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::thread;
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use crate::app::journal::{Journal, JournalError};
use crate::domain::StampedEvent;
use crate::store::{OwnerLock, Store};
use crate::trading::desk::{DeskError, Input, Output, Rules, step};
use crate::trading::ledger::Ledger;

use super::{AppError, Committed, Setup, Stop};

/// Commits that go to disk together at most. Larger groups gain little (the sync is shared already)
/// and keep the first of them waiting.
const GROUP: usize = 128;
/// Events between two checkpoints: what a start has to replay at most after a crash, some tens of
/// milliseconds.
const CHECKPOINT_EVERY: u64 = 5_000;
/// Fewer events than this since the last checkpoint are not worth one at the end: replaying them takes
/// about a millisecond, as writing one does.
const CHECKPOINT_AT_END: u64 = 100;

/// A commit that waits: its step, and whom to answer.
pub(super) trait Job: Send {
    /// Looks up in the database what the step needs and the ledger keeps no more. Errors: that
    /// failed; the caller is answered with it, and nothing is stepped.
    fn look_up(&mut self, draft: &Ledger, store: &Store) -> Result<(), AppError>;
    /// What the journal is to hold of it, before it is stepped.
    fn input(&self) -> Option<&Input>;
    /// Steps the draft. `None` when the step was refused (its caller has been answered, and the
    /// draft may hold part of it).
    fn step(&mut self, draft: &mut Ledger, rules: Rules<'_>) -> Option<Vec<StampedEvent>>;
    /// Answers after the group's fate is known.
    fn answer(self: Box<Self>, stored: Result<(), AppError>);
    /// Answers that nothing was carried out.
    fn fail(self: Box<Self>, error: AppError) {
        self.answer(Err(error));
    }
    /// Stands in for a disk that fills up.
    #[cfg(test)]
    fn spoils_journal(&mut self) -> bool {
        false
    }
}

/// What a step gives.
pub(super) type Stepped<T> = Result<(T, Vec<StampedEvent>), DeskError>;

/// The job of one [`Desk::commit`](super::Desk::commit).
pub(super) struct Commit<T, F> {
    input: Option<Input>,
    step: Option<F>,
    value: Option<T>,
    answer: Option<oneshot::Sender<Result<T, AppError>>>,
}

/// The job that carries an input out.
pub(super) fn of_input(
    input: Input,
    answer: oneshot::Sender<Result<Committed, AppError>>,
) -> Commit<
    Committed,
    impl FnOnce(&mut Ledger, Option<&Input>, Rules<'_>) -> Stepped<Committed> + Send,
> {
    let step = |draft: &mut Ledger, input: Option<&Input>, rules: Rules<'_>| {
        let began = Instant::now();
        let (output, events) = match input {
            Some(input) => step(draft, input, rules)?,
            None => (Output::Done, Vec::new()),
        };
        let deciding = began.elapsed();
        Ok((Committed { output, deciding }, events))
    };
    Commit::new(Some(input), step, answer)
}

impl<T, F> Commit<T, F> {
    pub(super) fn new(
        input: Option<Input>,
        step: F,
        answer: oneshot::Sender<Result<T, AppError>>,
    ) -> Self {
        Commit {
            input,
            step: Some(step),
            value: None,
            answer: Some(answer),
        }
    }

    fn send(&mut self, result: Result<T, AppError>) {
        if let Some(answer) = self.answer.take() {
            // The caller may be gone; the commit counts all the same.
            let _ = answer.send(result);
        }
    }
}

impl<T, F> Job for Commit<T, F>
where
    T: Send,
    F: FnOnce(&mut Ledger, Option<&Input>, Rules<'_>) -> Stepped<T> + Send,
{
    fn look_up(&mut self, draft: &Ledger, store: &Store) -> Result<(), AppError> {
        if let Some(Input::Order { order, known, .. }) = &mut self.input
            && let Some(id) = &order.client_order_id
        {
            *known = super::known::order_of_client(draft, store, id)?.map(Box::new);
        }
        Ok(())
    }

    fn input(&self) -> Option<&Input> {
        self.input.as_ref()
    }

    fn step(&mut self, draft: &mut Ledger, rules: Rules<'_>) -> Option<Vec<StampedEvent>> {
        match self.step.take()?(draft, self.input.as_ref(), rules) {
            Ok((value, events)) => {
                self.value = Some(value);
                Some(events)
            }
            Err(error) => {
                self.send(Err(error.into()));
                None
            }
        }
    }

    fn answer(mut self: Box<Self>, stored: Result<(), AppError>) {
        let value = self.value.take();
        match (stored, value) {
            (Ok(()), Some(value)) => self.send(Ok(value)),
            (Ok(()), None) => {}
            (Err(error), _) => self.send(Err(error)),
        }
    }
}

/// Fills the journal's disk, for tests.
#[cfg(test)]
pub(super) struct Spoil(pub oneshot::Sender<()>);

#[cfg(test)]
impl Job for Spoil {
    fn look_up(&mut self, _: &Ledger, _: &Store) -> Result<(), AppError> {
        Ok(())
    }

    fn input(&self) -> Option<&Input> {
        None
    }

    fn step(&mut self, _: &mut Ledger, _: Rules<'_>) -> Option<Vec<StampedEvent>> {
        Some(Vec::new())
    }

    fn answer(self: Box<Self>, _: Result<(), AppError>) {
        let _ = self.0.send(());
    }

    fn spoils_journal(&mut self) -> bool {
        true
    }
}

/// The one writer of a ledger.
pub(super) struct Writer {
    ledger: Arc<Ledger>,
    store: Arc<Store>,
    view: Arc<ArcSwap<Ledger>>,
    halted: Arc<Mutex<Option<Stop>>>,
    setup: Setup,
    journal: Option<Journal>,
    /// Number of the event that the newest checkpoint stands at.
    checkpointed: u64,
    checkpointing: Option<thread::JoinHandle<()>>,
    // Held for as long as the thread lives: no second process writes.
    _lock: OwnerLock,
}

/// A writer that has been started.
pub(super) struct Started {
    /// The way to it; it ends when all of these are gone.
    pub jobs: mpsc::Sender<Box<dyn Job>>,
    /// Disconnected once it has ended and given the lock back.
    pub ended: std_mpsc::Receiver<()>,
}

impl Writer {
    pub(super) fn new(
        view: Arc<ArcSwap<Ledger>>,
        store: Arc<Store>,
        halted: Arc<Mutex<Option<Stop>>>,
        setup: Setup,
        journal: Option<Journal>,
        lock: OwnerLock,
    ) -> Self {
        let checkpointed = store.last_checkpoint().unwrap_or_default();
        Writer {
            ledger: view.load_full(),
            store,
            view,
            halted,
            setup,
            journal,
            checkpointed,
            checkpointing: None,
            _lock: lock,
        }
    }

    /// Starts the thread. `queue` commits may wait for it; more wait with their callers.
    pub(super) fn start(mut self, queue: usize) -> Result<Started, AppError> {
        let (jobs, mut waiting) = mpsc::channel::<Box<dyn Job>>(queue);
        let (ending, ended) = std_mpsc::channel::<()>();
        thread::Builder::new()
            .name("desk".to_owned())
            .spawn(move || {
                while let Some(first) = waiting.blocking_recv() {
                    let mut group = vec![first];
                    while group.len() < GROUP
                        && let Ok(next) = waiting.try_recv()
                    {
                        group.push(next);
                    }
                    self.commit(group);
                    self.checkpoint_now_and_then();
                }
                self.checkpoint_at_the_end();
                drop(self);
                drop(ending);
            })
            .map_err(|error| AppError::Other(format!("the desk could not start: {error}")))?;
        Ok(Started { jobs, ended })
    }

    fn stopped(&self) -> Option<Stop> {
        self.halted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Steps a group on one draft and stores its events together.
    fn commit(&mut self, group: Vec<Box<dyn Job>>) {
        if let Some(stop) = self.stopped() {
            for job in group {
                job.answer(Err(stop.clone().into()));
            }
            return;
        }
        let mut draft = Ledger::clone(&self.ledger);
        let mut events = Vec::new();
        let mut stepped = Vec::with_capacity(group.len());
        let mut group = group.into_iter();
        while let Some(mut job) = group.next() {
            #[cfg(test)]
            if job.spoils_journal()
                && let Some(journal) = &mut self.journal
            {
                journal.fill_disk();
            }
            if let Err(error) = job.look_up(&draft, &self.store) {
                job.fail(error);
                continue;
            }
            // What the journal does not hold must not happen.
            if let Err(error) = self.journalled(job.input(), draft.seq()) {
                stepped.push(job);
                stepped.extend(group);
                let reason = error.to_string();
                return self.halt(stepped, reason, || error.clone().into());
            }
            let rules = Rules {
                strategies: self.setup.strategies.as_slice(),
                config: &self.setup.trading,
            };
            match job.step(&mut draft, rules) {
                Some(more) => {
                    events.extend(more);
                    stepped.push(job);
                }
                // The draft may hold part of the refused step: it is made again without it.
                None => match self.again(&events) {
                    Ok(clean) => draft = clean,
                    Err(error) => {
                        stepped.extend(group);
                        return self.undo(stepped, &AppError::Desk(error));
                    }
                },
            }
        }
        if events.is_empty() {
            for job in stepped {
                job.answer(Ok(()));
            }
            return;
        }
        if let Err(error) = self.store.append(&events) {
            // Not knowing what reached the disk, the desk stops: a restart reads what did.
            tracing::error!(
                code = error.code(),
                hint = error.hint(),
                "events were not stored"
            );
            let reason = format!("events could not be stored: {error}");
            return self.halt(stepped, reason, || AppError::NotStored(error.clone()));
        }
        self.ledger = Arc::new(draft);
        self.view.store(self.ledger.clone());
        for job in stepped {
            job.answer(Ok(()));
        }
    }

    /// The ledger with the group's events so far.
    fn again(&self, events: &[StampedEvent]) -> Result<Ledger, DeskError> {
        let mut draft = Ledger::clone(&self.ledger);
        for event in events {
            draft.apply(event)?;
        }
        Ok(draft)
    }

    /// Answers a group of which nothing counts.
    fn undo(&self, group: Vec<Box<dyn Job>>, error: &AppError) {
        let text = error.to_string();
        for job in group {
            job.answer(Err(AppError::Other(text.clone())));
        }
    }

    /// Writes an input down, if there is a journal.
    fn journalled(&mut self, input: Option<&Input>, seq: u64) -> Result<(), JournalError> {
        match (&mut self.journal, input) {
            (Some(journal), Some(input)) => journal.write(input, seq),
            _ => Ok(()),
        }
    }

    /// Stops for good: nothing of the group counts, and nothing is accepted any more.
    fn halt(&self, group: Vec<Box<dyn Job>>, reason: String, error: impl Fn() -> AppError) {
        tracing::error!(reason, "trading halted");
        // What mends it is the same for whoever asks later.
        let hint = error().hint();
        *self.halted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Stop { reason, hint });
        for job in group {
            job.answer(Err(error()));
        }
    }

    fn since_checkpoint(&self) -> u64 {
        self.ledger.seq().saturating_sub(self.checkpointed)
    }

    /// Off the hot path: a thread of its own writes down the state as it stands, while the desk goes
    /// on.
    fn checkpoint_now_and_then(&mut self) {
        let busy = self
            .checkpointing
            .as_ref()
            .is_some_and(|thread| !thread.is_finished());
        if busy || self.since_checkpoint() < CHECKPOINT_EVERY {
            return;
        }
        // One that fails is tried again so many events later, not at once.
        self.checkpointed = self.ledger.seq();
        let (ledger, store) = (self.ledger.clone(), self.store.clone());
        let spawned = thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || write_checkpoint(&ledger, &store));
        match spawned {
            Ok(thread) => self.checkpointing = Some(thread),
            Err(error) => tracing::warn!(error = %error, "no thread for a checkpoint"),
        }
    }

    fn checkpoint_at_the_end(&mut self) {
        if let Some(thread) = self.checkpointing.take()
            && thread.join().is_err()
        {
            tracing::warn!("writing a checkpoint failed");
        }
        if self.stopped().is_none() && self.since_checkpoint() >= CHECKPOINT_AT_END {
            write_checkpoint(&self.ledger, &self.store);
        }
    }
}

/// A checkpoint only saves time: one that cannot be written is told of and does not stop anything.
fn write_checkpoint(ledger: &Ledger, store: &Store) {
    if let Err(error) = super::super::rebuild::checkpoint(ledger, store) {
        tracing::warn!(error = %error, "no checkpoint was written");
    }
}

#[cfg(test)]
mod tests;
