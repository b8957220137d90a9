//! A journal carried out again, event by event beside a database.

use std::path::Path;
use std::sync::Arc;

use crate::backtest::engine::{BacktestOptions, BacktestResult, ReplayRules};
use crate::backtest::parity::{Carried, Session};
use crate::domain::{StampedEvent, Usdc};
use crate::store::{Store, StoreError};
use crate::strategy::StrategySet;
use crate::trading::config::TradingConfig;
use crate::trading::desk::Rules;

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

/// Where an input stands: its file and its number there.
type Place = (String, u64);

struct Replay<'a> {
    dir: &'a Path,
    store: &'a Store,
    /// The account in the database.
    account: Option<String>,
    /// Its waiting steps are those that the database has not been compared with yet. The desk stores up
    /// to [`GROUP`] steps together: only what is further back is certain to have been stored.
    session: Session<Place>,
    found: Replayed,
}

/// Carries the journal in `dir` out and compares, as [`replay`], and measures the session as a backtest
/// is measured. `title` is that of the report.
///
/// Errors: the first disagreement.
pub fn measured(
    dir: &Path,
    store: &Store,
    title: &str,
) -> Result<(Replayed, BacktestResult), ReplayError> {
    let (found, session) = carried_out(dir, store)?;
    let options = BacktestOptions {
        start: None,
        end: None,
        balance: Usdc::ZERO,
        trading: TradingConfig::default(),
        rules: ReplayRules::default(),
        title: title.to_owned(),
        progress: &|_, _| {},
        cancelled: &|| false,
    };
    Ok((found, session.finish(&options)))
}

/// Carries the journal in `dir` out on a fresh ledger, through the same step as the desk, and
/// compares every event with those recorded in `store`. Errors: the first disagreement.
pub fn replay(dir: &Path, store: &Store) -> Result<Replayed, ReplayError> {
    carried_out(dir, store).map(|(found, _)| found)
}

fn carried_out(dir: &Path, store: &Store) -> Result<(Replayed, Session<Place>), ReplayError> {
    // What is stored by now, the journal explains by now: an owner may go on meanwhile.
    let last = store.last_seq()?;
    let mut replay = Replay {
        dir,
        store,
        account: super::account::of_store(store)?,
        session: Session::default(),
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
    Ok((replay.found, replay.session))
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
        if self.session.seq() < entry.seq {
            // One process explains all that it did.
            let gap = (!entry.first).then(|| format!("they stood before input {}", entry.number));
            self.not_lost(entry.seq, torn, gap.map(|gap| (&entry.file, gap)))?;
        }
        self.catch_up(entry.seq)?;
        if self.session.seq() != entry.seq {
            return Err(ReplayError::Misfit {
                seq: entry.seq + 1,
                detail: format!(
                    "input {} of {} meets a ledger at event {}, but stands after event {}",
                    entry.number,
                    entry.file,
                    entry.seq,
                    self.session.seq()
                ),
            });
        }
        self.found.inputs += 1;
        let rules = Rules {
            strategies: strategies.as_slice(),
            config: &rules.trading,
        };
        let place = (entry.file, entry.number);
        match self.session.carry_out(place, &entry.input, rules) {
            Carried::Out | Carried::Nothing => {}
            Carried::Failed => self.found.failed += 1,
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
        while self.session.waiting() > 0 {
            self.compare_oldest()?;
        }
        Err(ReplayError::Lost {
            file,
            first: self.session.seq() + 1,
            last: to,
            detail,
        })
    }

    /// Takes steps back that were never stored, as the ledger that came next stands before them, and
    /// compares those that are certain to have been.
    fn settle(&mut self, next: u64) -> Result<(), ReplayError> {
        self.found.dropped += self.session.take_back(next);
        while self.session.waiting() > GROUP {
            self.compare_oldest()?;
        }
        Ok(())
    }

    fn compare_oldest(&mut self) -> Result<(), ReplayError> {
        let Some(step) = self.session.oldest() else {
            return Ok(());
        };
        let limit = u32::try_from(step.events.len()).unwrap_or(u32::MAX);
        let recorded = self.store.events(step.before(), limit)?;
        for (index, event) in step.events.iter().enumerate() {
            let replayed = json(event);
            let recorded = recorded.get(index).map_or_else(|| "none".to_owned(), json);
            if recorded != replayed {
                return Err(ReplayError::Differs {
                    seq: event.seq,
                    file: step.tag.0,
                    number: step.tag.1,
                    recorded,
                    replayed,
                });
            }
            self.found.events += 1;
        }
        // Fewer events than were recorded before the next input: one too many was stored then.
        self.session.confirm(&step);
        Ok(())
    }

    /// Takes events over that no input explains.
    fn catch_up(&mut self, to: u64) -> Result<(), ReplayError> {
        let from = self.session.seq();
        if from >= to {
            return Ok(());
        }
        // They come after all that was carried out, which therefore was stored.
        while self.session.waiting() > 0 {
            self.compare_oldest()?;
        }
        while self.session.seq() < to {
            let seq = self.session.seq();
            let limit = u32::try_from(to - seq).unwrap_or(PAGE).min(PAGE);
            let events = self.store.events(seq, limit)?;
            if events.is_empty() {
                return Err(ReplayError::Misfit {
                    seq: seq + 1,
                    detail: format!("it is missing; the journal speaks of a ledger at event {to}"),
                });
            }
            for event in events {
                let taken = self.session.adopt(&event);
                taken.map_err(|error| ReplayError::Misfit {
                    seq: event.seq,
                    detail: error.to_string(),
                })?;
            }
        }
        self.found.unexplained.push((from + 1, to));
        Ok(())
    }

    /// `last` is the last event that was stored before the journal was read.
    fn finish(&mut self, last: u64, torn: Option<&Torn>) -> Result<(), ReplayError> {
        self.settle(self.store.last_seq()?)?;
        while self.session.waiting() > 0 {
            self.compare_oldest()?;
        }
        if self.session.seq() < last {
            self.not_lost(last, torn, None)?;
        }
        self.catch_up(last)
    }
}

fn json(event: &StampedEvent) -> String {
    // What was read from JSON, or would be stored as such, can be written as JSON.
    serde_json::to_string(event).unwrap_or_else(|error| error.to_string())
}
