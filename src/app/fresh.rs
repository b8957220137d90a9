//! What is known of the venue's markets and how old that is: filled by the background task (and by
//! ticks that had to fetch for themselves), read by ticks and tools.
//!
//! Nothing here fetches. Every entry carries the moment at which it was asked for, by the source's
//! clock; what is older than its bound, or from a future that a corrected clock took back, is not
//! given out. While no background task runs nothing but price histories is remembered, so that
//! one-shot commands and sources with a simulated clock ask the source each time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::domain::{
    Book, BookFeed, History, Mark, Market, MarketId, Position, Resolution, Timestamp, TokenId,
};

mod listed;
mod report;

pub(super) use listed::Listed;
pub use report::FreshReport;

/// Oldest price history that a tick works with, ms.
pub(super) const HISTORY_AGE_MS: i64 = 10 * 60_000;
/// Histories that are kept.
const HISTORIES_KEPT: usize = 5_000;
/// Markets outside of the list that are kept.
const OTHERS_KEPT: usize = 5_000;

/// One kind of thing that the background keeps fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The list of the most traded open markets.
    List,
    /// Metadata of the account's other markets.
    Others,
    /// Whether held markets that have closed are resolved.
    Resolutions,
    /// What positions could be sold for.
    Marks,
    /// Past prices of the candidates.
    Histories,
}

impl Kind {
    /// All, in the order in which they are refreshed.
    pub(super) const ALL: [Kind; 4] =
        [Kind::List, Kind::Others, Kind::Resolutions, Kind::Histories];

    /// As a sentence about it begins.
    pub(super) fn words(self) -> &'static str {
        match self {
            Kind::List => "the list of markets",
            Kind::Others => "metadata of the account's other markets",
            Kind::Resolutions => "resolutions of closed markets",
            Kind::Marks => "prices of positions",
            Kind::Histories => "price histories",
        }
    }
}

/// How the refreshing of one kind goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Failures since it last went right.
    pub(super) failures: u32,
    /// What went wrong last; `None` when the last attempt went right.
    pub(super) error: Option<String>,
    /// Not again before this moment.
    pub(super) not_before: Option<Timestamp>,
}

/// A fact with its moment.
type Dated<T> = (Timestamp, T);

#[derive(Debug, Default)]
struct State {
    others: HashMap<MarketId, Dated<Option<Arc<Market>>>>,
    histories: HashMap<TokenId, Dated<Option<History>>>,
    checked: HashMap<MarketId, Timestamp>,
    resolved: HashMap<MarketId, Resolution>,
    /// Marks of held tokens, by the moment of the book last seen; `None` where nobody ever bid.
    bids: HashMap<TokenId, Dated<Option<Mark>>>,
    bids_asked: Option<Timestamp>,
    progress: [Progress; 5],
}

/// What is remembered, with its ages.
#[derive(Debug)]
pub(super) struct Fresh {
    bound_ms: i64,
    running: AtomicBool,
    ended_early: AtomicBool,
    list: ArcSwapOption<Listed>,
    state: Mutex<State>,
    gathering: watch::Sender<u32>,
}

/// A tick that is gathering; the background leaves the venue to it.
pub(super) struct Gathering<'a>(&'a Fresh);

impl Drop for Gathering<'_> {
    fn drop(&mut self) {
        self.0.gathering.send_modify(|count| *count -= 1);
    }
}

/// What is wanted of some facts: those that are fresh, and those that must be asked for.
#[derive(Debug)]
pub(super) struct Parted<K, V> {
    /// Fresh.
    pub(super) known: HashMap<K, V>,
    /// Not known, or too old.
    pub(super) stale: Vec<K>,
}

fn within(bound_ms: i64, now: Timestamp, at: Timestamp) -> bool {
    (0..bound_ms).contains(&now.since(at))
}

impl Fresh {
    /// Nothing known yet. `bound_ms`: oldest metadata that is given out.
    pub(super) fn new(bound_ms: i64) -> Self {
        Fresh {
            bound_ms,
            running: AtomicBool::new(false),
            ended_early: AtomicBool::new(false),
            list: ArcSwapOption::empty(),
            state: Mutex::default(),
            gathering: watch::Sender::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Oldest metadata that is given out, ms.
    pub(super) fn bound_ms(&self) -> i64 {
        self.bound_ms
    }

    /// True while the background task runs.
    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// The background task begins; false when there is one already.
    pub(super) fn start(&self) -> bool {
        self.ended_early.store(false, Ordering::Release);
        !self.running.swap(true, Ordering::AcqRel)
    }

    /// The background task has ended: from now on everybody asks for himself. `early`: nobody told
    /// it to.
    pub(super) fn stop(&self, early: bool) {
        self.running.store(false, Ordering::Release);
        self.ended_early.store(early, Ordering::Release);
        self.list.store(None);
        let mut state = self.state();
        state.others.clear();
        state.checked.clear();
        state.bids.clear();
        state.bids_asked = None;
    }

    /// True when the background task ended though nobody told it to.
    pub(super) fn has_ended_early(&self) -> bool {
        self.ended_early.load(Ordering::Acquire)
    }

    /// Announces that a tick gathers, until the guard is dropped.
    pub(super) fn gathering(&self) -> Gathering<'_> {
        self.gathering.send_modify(|count| *count += 1);
        Gathering(self)
    }

    /// Waits until no tick gathers.
    pub(super) async fn idle(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.gathering.subscribe().wait_for(|n| *n == 0).await;
    }

    /// The list, if it is within `bound_ms`.
    pub(super) fn list_within(&self, now: Timestamp, bound_ms: i64) -> Option<Arc<Listed>> {
        let list = self.list.load_full()?;
        within(bound_ms, now, list.at).then_some(list)
    }

    /// The list, if it is fresh.
    pub(super) fn list(&self, now: Timestamp) -> Option<Arc<Listed>> {
        self.list_within(now, self.bound_ms)
    }

    /// Keeps a list that was asked for at `at`, while the background runs.
    pub(super) fn put_list(&self, markets: &[Arc<Market>], limit: usize, at: Timestamp) {
        if self.is_running() {
            let listed = Listed::new(markets.to_vec(), limit, at);
            self.list.store(Some(Arc::new(listed)));
        }
    }

    /// A market by id, slug or condition id, if it is fresh.
    pub(super) fn market(&self, name: &str, now: Timestamp) -> Option<Arc<Market>> {
        let listed = self.list(now);
        if let Some(market) = listed.as_ref().and_then(|list| list.named(name)) {
            return Some(market.clone());
        }
        let state = self.state();
        let (at, market) = state.others.get(&MarketId::new(name))?;
        within(self.bound_ms, now, *at)
            .then(|| market.clone())
            .flatten()
    }

    /// The market of a token, if it is fresh.
    pub(super) fn market_of_token(&self, token: &TokenId, now: Timestamp) -> Option<Arc<Market>> {
        self.list(now)?.of_token(token).cloned()
    }

    /// Which of these markets outside of the list are known within `bound_ms`. A market that the
    /// source did not know is neither known nor stale.
    pub(super) fn others(
        &self,
        ids: impl IntoIterator<Item = MarketId>,
        now: Timestamp,
        bound_ms: i64,
    ) -> Parted<MarketId, Arc<Market>> {
        let state = self.state();
        let mut parted = Parted {
            known: HashMap::new(),
            stale: Vec::new(),
        };
        for id in ids {
            match state.others.get(&id) {
                Some((at, market)) if within(bound_ms, now, *at) => {
                    if let Some(market) = market {
                        parted.known.insert(id, market.clone());
                    }
                }
                _ => parted.stale.push(id),
            }
        }
        parted
    }

    /// Keeps what the source said of `asked` at `at`, while the background runs.
    pub(super) fn put_others(
        &self,
        asked: &[MarketId],
        found: &HashMap<MarketId, Arc<Market>>,
        at: Timestamp,
    ) {
        if !self.is_running() {
            return;
        }
        let mut state = self.state();
        make_room(&mut state.others, asked.len(), OTHERS_KEPT, |entry| {
            within(self.bound_ms, at, entry.0)
        });
        for id in asked {
            let entry = (at, found.get(id).cloned());
            state.others.insert(id.clone(), entry);
        }
    }

    /// Which of these tokens' histories are known within `bound_ms`. A token that had none when it
    /// was asked about is neither known nor stale while the background runs.
    pub(super) fn histories(
        &self,
        tokens: &[TokenId],
        now: Timestamp,
        bound_ms: i64,
    ) -> Parted<TokenId, History> {
        let state = self.state();
        let mut parted = Parted {
            known: HashMap::with_capacity(tokens.len()),
            stale: Vec::new(),
        };
        for token in tokens {
            match state.histories.get(token) {
                Some((at, history)) if within(bound_ms, now, *at) => {
                    if let Some(history) = history {
                        parted.known.insert(token.clone(), history.clone());
                    }
                }
                _ => parted.stale.push(token.clone()),
            }
        }
        parted
    }

    /// Keeps what the source said of `asked` at `at`.
    pub(super) fn put_histories(
        &self,
        asked: &[TokenId],
        found: &HashMap<TokenId, History>,
        at: Timestamp,
    ) {
        // Without the background an absence is asked about again at the next tick.
        let absences = self.is_running();
        let mut state = self.state();
        make_room(&mut state.histories, asked.len(), HISTORIES_KEPT, |entry| {
            within(HISTORY_AGE_MS, at, entry.0)
        });
        for token in asked {
            match found.get(token) {
                None if !absences => {}
                history => {
                    let entry = (at, history.cloned());
                    state.histories.insert(token.clone(), entry);
                }
            }
        }
    }

    /// What is known of how these markets ended, and those that have to be asked about: not known
    /// to be resolved, and not looked at within `bound_ms`.
    pub(super) fn resolutions(
        &self,
        markets: &[Arc<Market>],
        now: Timestamp,
        bound_ms: i64,
    ) -> (Vec<Resolution>, Vec<Arc<Market>>) {
        let state = self.state();
        let mut known = Vec::new();
        let mut stale = Vec::new();
        for market in markets {
            let checked = state.checked.get(&market.id);
            match (state.resolved.get(&market.id), checked) {
                (Some(resolution), _) => known.push(resolution.clone()),
                (None, Some(at)) if within(bound_ms, now, *at) => {}
                (None, _) => stale.push(market.clone()),
            }
        }
        (known, stale)
    }

    /// Keeps what the source said of `asked` at `at`, while the background runs. A resolution does
    /// not change any more, its absence does.
    pub(super) fn put_resolutions(
        &self,
        asked: &[Arc<Market>],
        found: &[Resolution],
        at: Timestamp,
    ) {
        if !self.is_running() {
            return;
        }
        let mut state = self.state();
        make_room(&mut state.checked, asked.len(), OTHERS_KEPT, |checked| {
            within(self.bound_ms, at, *checked)
        });
        make_room(&mut state.resolved, found.len(), OTHERS_KEPT, |_| true);
        for market in asked {
            state.checked.insert(market.id.clone(), at);
        }
        for resolution in found {
            let market = resolution.market_id.clone();
            state.resolved.insert(market, resolution.clone());
        }
    }

    /// True when the bids of positions were asked for less than `bound_ms` ago.
    pub(super) fn bids_within(&self, now: Timestamp, bound_ms: i64) -> bool {
        let asked = self.state().bids_asked;
        asked.is_some_and(|at| within(bound_ms, now, at))
    }

    /// Keeps the best bids of these books, which were asked for at `at`, and no others. A crossed
    /// book, or one whose stream broke, says nothing. Where nobody bids any more the earlier price
    /// stays, as in the ledger.
    pub(super) fn put_bids<'a>(&self, books: impl Iterator<Item = &'a Book>, at: Timestamp) {
        if !self.is_running() {
            return;
        }
        let mut state = self.state();
        let mut bids = HashMap::new();
        for book in books {
            if book.is_crossed() || book.feed == BookFeed::Broken {
                continue;
            }
            let mark = match book.best_bid() {
                Some(price) => Some(Mark {
                    price,
                    at: book.at,
                    bid_gone: false,
                }),
                None => state
                    .bids
                    .get(&book.token)
                    .and_then(|(_, mark)| *mark)
                    .map(|mark| Mark {
                        bid_gone: true,
                        ..mark
                    }),
            };
            bids.insert(book.token.clone(), (book.at, mark));
        }
        state.bids = bids;
        state.bids_asked = Some(at);
    }

    /// The position with the newest mark there is.
    pub(super) fn marked(&self, position: &Position) -> Position {
        let mut marked = position.clone();
        let state = self.state();
        let Some((seen, bid)) = state.bids.get(&position.token_id) else {
            return marked;
        };
        let newer = |at: Timestamp| position.mark.is_none_or(|mark| at > mark.at);
        match (bid, &mut marked.mark) {
            (Some(bid), mark) if newer(bid.at) => *mark = Some(*bid),
            (bid, Some(mark)) if newer(*seen) => {
                mark.bid_gone = bid.is_none_or(|bid| bid.bid_gone);
            }
            _ => {}
        }
        marked
    }

    /// How the refreshing of `kind` goes.
    pub(super) fn progress(&self, kind: Kind) -> Progress {
        let state = self.state();
        state
            .progress
            .get(kind as usize)
            .cloned()
            .unwrap_or_default()
    }

    /// Notes how an attempt went.
    pub(super) fn set_progress(&self, kind: Kind, progress: Progress) {
        if let Some(known) = self.state().progress.get_mut(kind as usize) {
            *known = progress;
        }
    }
}

/// Drops what is too old once there would be more than `most`; everything, if that is not enough.
fn make_room<K, V>(map: &mut HashMap<K, V>, more: usize, most: usize, usable: impl Fn(&V) -> bool) {
    if map.len() + more > most {
        map.retain(|_, value| usable(value));
        if map.len() + more > most {
            map.clear();
        }
    }
}
