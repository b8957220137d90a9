//! A journal carried out again, event by event beside a database.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use crate::domain::StampedEvent;
use crate::store::{Store, StoreError};
use crate::strategy::StrategySet;
use crate::trading::desk::{DeskError, Rules, step};
use crate::trading::ledger::Ledger;

use super::{Entries, Entry, JournalError, JournalRules, Torn};

/// Steps that the desk stores together at most.
const GROUP: usize = 128;
/// Events that are read at a time.
const PAGE: u32 = 5_000;

/// What a replay found, all of it in agreement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Inputs carried out.
    pub inputs: u64,
    /// Events that came of them, each equal to the recorded one to the last byte of its JSON.
    pub events: u64,
    /// Inputs that failed then and failed now: they left nothing.
    pub failed: u64,
    /// Inputs whose events were never stored, because the process was killed or the database could
    /// not be written.
    pub dropped: u64,
    /// First and last of recorded events that no input explains, because nobody kept a journal then.
    pub unexplained: Vec<(u64, u64)>,
    /// Ends of files that a kill tore; their inputs were never carried out.
    pub torn: Vec<Torn>,
}

/// A journal that does not agree with a database, or cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A recorded event does not fit the ledger.
    #[error("event {seq} of the database does not fit: {detail}")]
    Misfit {
        /// The event.
        seq: u64,
        /// Why not.
        detail: String,
    },
    /// The rules in the journal make no sense.
    #[error("the rules in {file} make no sense: {detail}")]
    Rules {
        /// File.
        file: String,
        /// What is wrong.
        detail: String,
    },
    /// Recorded events whose inputs the journal held once: damage, for a kill leaves no input that was
    /// carried out.
    #[error(
        "{file} is damaged: the inputs that led to events {first} to {last} of the database are not in \
         it ({detail})"
    )]
    Lost {
        /// File.
        file: String,
        /// First of the events.
        first: u64,
        /// Last of them.
        last: u64,
        /// What was found in their place.
        detail: String,
    },
    /// The same input led to something else.
    #[error(
        "event {seq} is another one than input {number} of {file} leads to\n  recorded: {recorded}\n  \
         replayed: {replayed}"
    )]
    Differs {
        /// The event.
        seq: u64,
        /// File of the input.
        file: String,
        /// Its number there.
        number: u64,
        /// The recorded event as JSON; `none` when there is none.
        recorded: String,
        /// The event of the replay as JSON; `none` when there is none.
        replayed: String,
    },
}

/// What a step gave, until the next input shows whether it was stored.
struct Pending {
    file: String,
    number: u64,
    /// The ledger before it.
    before: Ledger,
    events: Vec<StampedEvent>,
}

struct Replay<'a> {
    dir: &'a Path,
    store: &'a Store,
    /// The account in the database.
    account: Option<String>,
    ledger: Ledger,
    /// Steps that the database has not been compared with yet, oldest first. The desk stores up to
    /// [`GROUP`] steps together: only what is further back is certain to have been stored.
    pending: VecDeque<Pending>,
    found: Replayed,
}

/// Carries the journal in `dir` out on a fresh ledger, through the same step as the desk, and
/// compares every event with those recorded in `store`. Errors: the first disagreement.
pub fn replay(dir: &Path, store: &Store) -> Result<Replayed, ReplayError> {
    // What is stored by now, the journal explains by now: an owner may go on meanwhile.
    let last = store.last_seq()?;
    let mut replay = Replay {
        dir,
        store,
        account: super::account::of_store(store)?,
        ledger: Ledger::default(),
        pending: VecDeque::new(),
        found: Replayed::default(),
    };
    let mut entries = Entries::open(dir)?;
    let mut rules: Option<(Arc<JournalRules>, StrategySet)> = None;
    let mut torn = 0;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let known = rules
            .as_ref()
            .is_some_and(|(of, _)| Arc::ptr_eq(of, &entry.rules));
        if !known {
            let set = StrategySet::from_config(&entry.rules.strategies);
            let set = set.map_err(|error| ReplayError::Rules {
                file: entry.file.clone(),
                detail: error.to_string(),
            })?;
            rules = Some((entry.rules.clone(), set));
        }
        let Some((of, set)) = &rules else { continue };
        let before = entries.torn().get(torn..).and_then(<[Torn]>::last);
        replay.carry_out(entry, before, of, set)?;
        torn = entries.torn().len();
    }
    replay.finish(last, entries.torn().get(torn..).and_then(<[Torn]>::last))?;
    replay.found.torn = entries.torn().to_vec();
    Ok(replay.found)
}

impl Replay<'_> {
    fn carry_out(
        &mut self,
        entry: Entry,
        torn: Option<&Torn>,
        rules: &JournalRules,
        strategies: &StrategySet,
    ) -> Result<(), ReplayError> {
        self.is_ours(&entry)?;
        self.settle(entry.seq)?;
        if self.ledger.seq() < entry.seq {
            // One process explains all that it did.
            let gap = (!entry.first).then(|| format!("they stood before input {}", entry.number));
            self.not_lost(entry.seq, torn, gap.map(|gap| (&entry.file, gap)))?;
        }
        self.catch_up(entry.seq)?;
        if self.ledger.seq() != entry.seq {
            return Err(ReplayError::Misfit {
                seq: entry.seq + 1,
                detail: format!(
                    "input {} of {} meets a ledger at event {}, but stands after event {}",
                    entry.number,
                    entry.file,
                    entry.seq,
                    self.ledger.seq()
                ),
            });
        }
        self.found.inputs += 1;
        let rules = Rules {
            strategies: strategies.as_slice(),
            config: &rules.trading,
        };
        let mut draft = self.ledger.clone();
        match step(&mut draft, &entry.input, rules) {
            // As the desk: a step without events leaves the ledger as it was.
            Ok((_, events)) if events.is_empty() => {}
            Ok((_, events)) => {
                let before = std::mem::replace(&mut self.ledger, draft);
                self.pending.push_back(Pending {
                    file: entry.file,
                    number: entry.number,
                    before,
                    events,
                });
            }
            Err(DeskError::Ledger(_) | DeskError::Money(_)) => self.found.failed += 1,
        }
        Ok(())
    }

    /// Errors: the input is one of another account.
    fn is_ours(&self, entry: &Entry) -> Result<(), ReplayError> {
        let opened = super::account::of_input(&entry.input);
        let of = entry.account.clone().or(opened);
        match of {
            Some(of) if self.account.as_ref() != Some(&of) => Err(JournalError::OtherAccount {
                path: self.dir.join(&entry.file).display().to_string(),
                of: format!("the {of}"),
                db: self.store.path().display().to_string(),
            }
            .into()),
            _ => Ok(()),
        }
    }

    /// Errors: the events up to `to` have lost their inputs to a torn end, or to a `gap` in a file.
    fn not_lost(
        &mut self,
        to: u64,
        torn: Option<&Torn>,
        gap: Option<(&String, String)>,
    ) -> Result<(), ReplayError> {
        let at_tear = torn.map(|torn| {
            let detail = format!("after byte {}: {}", torn.after_byte, torn.detail);
            (torn.file.clone(), detail)
        });
        let Some((file, detail)) = at_tear.or(gap.map(|(file, gap)| (file.clone(), gap))) else {
            return Ok(());
        };
        // A step that led to fewer events than it did then is no damage of the journal.
        while !self.pending.is_empty() {
            self.compare_oldest()?;
        }
        Err(ReplayError::Lost {
            file,
            first: self.ledger.seq() + 1,
            last: to,
            detail,
        })
    }

    /// Takes steps back that were never stored, as the ledger that came next stands before them, and
    /// compares those that are certain to have been.
    fn settle(&mut self, next: u64) -> Result<(), ReplayError> {
        while let Some(pending) = self.pending.pop_back_if(|step| step.before.seq() >= next) {
            self.found.dropped += 1;
            self.ledger = pending.before;
        }
        while self.pending.len() > GROUP {
            self.compare_oldest()?;
        }
        Ok(())
    }

    fn compare_oldest(&mut self) -> Result<(), ReplayError> {
        let Some(pending) = self.pending.pop_front() else {
            return Ok(());
        };
        let limit = u32::try_from(pending.events.len()).unwrap_or(u32::MAX);
        let recorded = self.store.events(pending.before.seq(), limit)?;
        for (index, event) in pending.events.iter().enumerate() {
            let replayed = json(event);
            let recorded = recorded.get(index).map_or_else(|| "none".to_owned(), json);
            if recorded != replayed {
                return Err(ReplayError::Differs {
                    seq: event.seq,
                    file: pending.file,
                    number: pending.number,
                    recorded,
                    replayed,
                });
            }
            self.found.events += 1;
        }
        // Fewer events than were recorded before the next input: one too many was stored then.
        Ok(())
    }

    /// Takes events over that no input explains.
    fn catch_up(&mut self, to: u64) -> Result<(), ReplayError> {
        let from = self.ledger.seq();
        while self.ledger.seq() < to {
            let missing = to - self.ledger.seq();
            let limit = u32::try_from(missing).unwrap_or(PAGE).min(PAGE);
            let events = self.store.events(self.ledger.seq(), limit)?;
            if events.is_empty() {
                return Err(ReplayError::Misfit {
                    seq: self.ledger.seq() + 1,
                    detail: format!("it is missing; the journal speaks of a ledger at event {to}"),
                });
            }
            for event in events {
                self.ledger
                    .apply(&event)
                    .map_err(|error| ReplayError::Misfit {
                        seq: event.seq,
                        detail: error.to_string(),
                    })?;
            }
        }
        if from < to {
            self.found.unexplained.push((from + 1, to));
        }
        Ok(())
    }

    /// `last` is the last event that was stored before the journal was read.
    fn finish(&mut self, last: u64, torn: Option<&Torn>) -> Result<(), ReplayError> {
        self.settle(self.store.last_seq()?)?;
        while !self.pending.is_empty() {
            self.compare_oldest()?;
        }
        if self.ledger.seq() < last {
            self.not_lost(last, torn, None)?;
        }
        self.catch_up(last)
    }
}

fn json(event: &StampedEvent) -> String {
    // What was read from JSON, or would be stored as such, can be written as JSON.
    serde_json::to_string(event).unwrap_or_else(|error| error.to_string())
}
