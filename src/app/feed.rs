//! The background of `serve` and `run`: keeps fresh what ticks and tools read, so that a warm tick
//! fetches only the books that no stream keeps live.
//!
//! Once a second it looks at what is due: the list of markets, metadata and resolutions of what the
//! account holds, a few price histories. Each kind is renewed at half of the age up to which it
//! serves, so that it never runs out while the venue answers; a kind that fails waits longer each
//! time. The background never stops a tick: what is missing or too old, the tick fetches itself,
//! and while one gathers the background leaves the venue to it.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::domain::{History, Market, MarketId, MarketStatus, SourceKind, Timestamp, TokenId};
use crate::market_data::{DataError, MarketQuery, TICK_HISTORY, TICK_HISTORY_FIDELITY_MINUTES};
use crate::trading::ledger::Ledger;

use super::fresh::{FreshReport, HISTORY_AGE_MS, Kind, Progress};
use super::reactions::Reactions;
use super::{App, AppError};

/// Between two looks at what is due.
const EVERY: Duration = Duration::from_secs(1);
/// Histories that one look renews: two requests, so that a thousand take less than half a minute
/// and a tenth of the venue's limit at the default share.
const HISTORIES_AT_ONCE: usize = 40;
/// Markets that a tick looks at only to score their estimates: one request.
const SCORED_AT_ONCE: usize = 100;
/// Between two looks at what positions could be sold for, ms.
const MARKS_EVERY_MS: i64 = 10_000;
/// Wait after the first failure of a kind, ms; it doubles with each further one …
const FIRST_WAIT_MS: i64 = 2_000;
/// … up to this.
const LONGEST_WAIT_MS: i64 = 60_000;

/// The background task. It ends when its token is cancelled or the application is gone.
#[derive(Debug)]
pub struct Feed {
    task: JoinHandle<()>,
    reactions: Option<Reactions>,
}

impl Feed {
    /// Waits until it has ended, at most so long; cancel its token before.
    pub async fn ended(self, limit: Duration) {
        if tokio::time::timeout(limit, self.task).await.is_err() {
            tracing::warn!("the background refresh was still busy at the end");
        }
        if let Some(reactions) = self.reactions {
            reactions.ended(limit).await;
        }
    }
}

/// Says that the background has ended, however it did.
struct Running {
    app: Weak<App>,
    shutdown: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(app) = self.app.upgrade() {
            app.fresh.stop(!self.shutdown.is_cancelled());
        }
    }
}

/// Which markets and tokens the account needs, whatever their volume.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Markets of positions, open orders and fresh estimates, and those that wait to be scored.
    pub(super) markets: BTreeSet<MarketId>,
    /// Of those, the ones that are here only because estimates of them wait to be scored: nothing but
    /// their end matters.
    pub(super) to_score: BTreeSet<MarketId>,
    /// Tokens of positions, then those of open orders.
    tokens: Vec<TokenId>,
}

impl Needs {
    /// Of an account at a moment.
    pub(super) fn of(ledger: &Ledger, now: Timestamp) -> Self {
        let mut needs = Needs::default();
        for position in ledger.positions().values() {
            needs.markets.insert(position.market_id.clone());
            needs.tokens.push(position.token_id.clone());
        }
        for (order, _) in ledger.open_orders() {
            needs.markets.insert(order.market_id.clone());
            needs.tokens.push(order.token_id.clone());
        }
        for (market, estimates) in ledger.estimates() {
            if estimates.iter().any(|estimate| estimate.is_fresh(now)) {
                needs.markets.insert(market.clone());
            }
        }
        // A part of them at each tick, all of them in turn: there may be thousands.
        let waiting: Vec<&MarketId> = ledger
            .scoring()
            .pending_markets()
            .filter(|market| !needs.markets.contains(*market))
            .collect();
        let turn = usize::try_from(ledger.ticks()).unwrap_or_default();
        let from = turn.wrapping_mul(SCORED_AT_ONCE) % waiting.len().max(1);
        let in_turn = waiting.iter().cycle().skip(from);
        for market in in_turn.take(waiting.len().min(SCORED_AT_ONCE)) {
            needs.to_score.insert((*market).clone());
        }
        needs.markets.extend(needs.to_score.iter().cloned());
        needs
    }
}

impl App {
    /// Starts the background, once. `None` where there is none: a source whose time is simulated or
    /// recorded is always asked, so that what happens does not depend on when; and with
    /// `gather.refresh_seconds: 0`.
    pub fn start_feed(self: &Arc<Self>, shutdown: &CancellationToken) -> Option<Feed> {
        if self.source_kind() != SourceKind::Polymarket || self.config.gather.refresh_seconds == 0 {
            return None;
        }
        if !self.fresh.start() {
            return None;
        }
        let running = Running {
            app: Arc::downgrade(self),
            shutdown: shutdown.clone(),
        };
        if let Some(changes) = self.source.changes() {
            // Ends with the token or the application, whichever comes first.
            let app = Arc::downgrade(self);
            tokio::spawn(super::prints::listen(app, changes, shutdown.clone()));
        }
        let task = tokio::spawn(async move {
            let running = running;
            let mut followed = Vec::new();
            loop {
                // Dropping a look in mid-request cancels the request.
                tokio::select! {
                    biased;
                    () = running.shutdown.cancelled() => return,
                    on = look(&running.app, &mut followed) => if !on { return },
                }
                tokio::select! {
                    biased;
                    () = running.shutdown.cancelled() => return,
                    () = tokio::time::sleep(EVERY) => {}
                }
            }
        });
        let reactions = self.start_reactions(shutdown);
        Some(Feed { task, reactions })
    }

    /// What the background keeps fresh, how old it is, and what keeps failing.
    #[must_use]
    pub fn feed_report(&self, now: Timestamp) -> FreshReport {
        self.fresh.report(now)
    }

    /// One look at what is due. `followed`: what the source was last asked to follow. Errors: the
    /// account or the clock cannot be read; failures of the source are noted by kind instead.
    async fn refresh_due(&self, followed: &mut Vec<TokenId>) -> Result<(), AppError> {
        let ledger = self.ledger()?;
        let now = self.source.now().await?;
        let needs = Needs::of(&ledger, now);
        self.refresh_list(now).await;
        let Some(list) = self.fresh.list(now) else {
            // Nothing else can be told apart without it.
            return Ok(());
        };
        let listed: HashSet<&MarketId> = list.markets().iter().map(|m| &m.id).collect();
        let missing: Vec<MarketId> = needs
            .markets
            .iter()
            .filter(|id| !listed.contains(id))
            .cloned()
            .collect();
        self.refresh_others(&missing, now).await;
        let others = self.fresh.others(missing, now, self.fresh.bound_ms()).known;
        let mut others: Vec<&Arc<Market>> = others.values().collect();
        others.sort_by(|a, b| a.id.cmp(&b.id));
        let all: Vec<&Arc<Market>> = list.markets().iter().chain(others).collect();
        self.refresh_resolutions(&ledger, &all, now).await;
        let wanted = to_follow(&needs, &all, self.config.gather.follow_markets);
        if *followed != wanted {
            self.source.follow(&wanted);
            self.prints.keep_only(&wanted);
            *followed = wanted;
        }
        self.refresh_marks(&ledger, &all, now).await;
        // Only a process that may trade has ticks to keep histories for.
        if self.desk.is_owner() {
            self.refresh_histories(&all, now).await;
        }
        Ok(())
    }

    async fn refresh_list(&self, now: Timestamp) {
        let half = self.fresh.bound_ms() / 2;
        if self.fresh.list_within(now, half).is_some() || !self.is_due(Kind::List, now) {
            return;
        }
        let limit = self.config.gather.max_markets;
        let outcome = self.source.active_markets(&MarketQuery { limit }).await;
        let outcome = outcome.map(|markets| {
            self.remember_questions(markets.iter().map(AsRef::as_ref));
            self.fresh.put_list(&markets, limit, now);
        });
        self.note(Kind::List, outcome, now);
    }

    async fn refresh_others(&self, missing: &[MarketId], now: Timestamp) {
        let half = self.fresh.bound_ms() / 2;
        let stale = self.fresh.others(missing.iter().cloned(), now, half).stale;
        if stale.is_empty() || !self.is_due(Kind::Others, now) {
            return;
        }
        let outcome = self.source.markets(&stale).await;
        let outcome = outcome.map(|found| self.fresh.put_others(&stale, &found, now));
        self.note(Kind::Others, outcome, now);
    }

    async fn refresh_resolutions(&self, ledger: &Ledger, markets: &[&Arc<Market>], now: Timestamp) {
        let held = held_and_closed(ledger, markets.iter().copied());
        let (_, stale) = self
            .fresh
            .resolutions(&held, now, self.fresh.bound_ms() / 2);
        if stale.is_empty() || !self.is_due(Kind::Resolutions, now) {
            return;
        }
        let outcome = self.source.resolutions(&stale).await;
        let outcome = outcome.map(|found| self.fresh.put_resolutions(&stale, &found, now));
        self.note(Kind::Resolutions, outcome, now);
    }

    /// The books of positions, for whoever looks at the account between two ticks: a request at
    /// most, none for those that are live.
    async fn refresh_marks(&self, ledger: &Ledger, markets: &[&Arc<Market>], now: Timestamp) {
        let closed: HashSet<&MarketId> = markets
            .iter()
            .filter(|market| market.status == MarketStatus::Closed)
            .map(|market| &market.id)
            .collect();
        let held: Vec<TokenId> = ledger
            .positions()
            .values()
            .filter(|position| !closed.contains(&position.market_id))
            .map(|position| position.token_id.clone())
            .collect();
        if held.is_empty()
            || self.fresh.bids_within(now, MARKS_EVERY_MS)
            || !self.is_due(Kind::Marks, now)
        {
            return;
        }
        let outcome = self.source.books(&held).await;
        let outcome =
            outcome.map(|books| self.fresh.put_bids(books.values().map(AsRef::as_ref), now));
        self.note(Kind::Marks, outcome, now);
    }

    async fn refresh_histories(&self, markets: &[&Arc<Market>], now: Timestamp) {
        let tokens: Vec<TokenId> = markets
            .iter()
            .filter(|market| market.is_tradable())
            .filter_map(|market| market.outcomes.first())
            .map(|outcome| outcome.token.clone())
            .collect();
        let half = HISTORY_AGE_MS / 2;
        let mut stale = self.fresh.histories(&tokens, now, half).stale;
        stale.truncate(HISTORIES_AT_ONCE);
        if stale.is_empty() || !self.is_due(Kind::Histories, now) {
            return;
        }
        let outcome = self
            .source
            .price_histories(&stale, TICK_HISTORY, TICK_HISTORY_FIDELITY_MINUTES)
            .await;
        let outcome = outcome.map(|found| {
            let found = found
                .into_iter()
                .map(|(token, points)| (token, History::new(points)))
                .collect();
            self.fresh.put_histories(&stale, &found, now);
        });
        self.note(Kind::Histories, outcome, now);
    }

    fn is_due(&self, kind: Kind, now: Timestamp) -> bool {
        match self.fresh.progress(kind).not_before {
            // A clock that was set back must not make it wait for long.
            Some(moment) => now >= moment || moment.since(now) > 2 * LONGEST_WAIT_MS,
            None => true,
        }
    }

    /// Notes how an attempt went, and says in the log when that has changed.
    fn note(&self, kind: Kind, outcome: Result<(), DataError>, now: Timestamp) {
        let before = self.fresh.progress(kind);
        let what = kind.words();
        let progress = match outcome {
            Ok(()) => {
                if before.failures > 0 {
                    tracing::info!(what, failures = before.failures, "refreshed again");
                }
                Progress::default()
            }
            Err(error) => {
                if before.failures == 0 {
                    tracing::warn!(what, %error, "could not be refreshed; tried again later");
                }
                let failures = before.failures.saturating_add(1);
                Progress {
                    failures,
                    error: Some(error.to_string()),
                    not_before: Some(now.plus_millis(wait_after(failures))),
                }
            }
        };
        if progress != before {
            self.fresh.set_progress(kind, progress);
        }
    }
}

/// One look, on the application if it is still there; false when it is gone.
async fn look(app: &Weak<App>, followed: &mut Vec<TokenId>) -> bool {
    let Some(app) = app.upgrade() else {
        return false;
    };
    app.fresh.idle().await;
    if let Err(error) = app.refresh_due(followed).await {
        tracing::debug!(%error, "nothing could be refreshed in the background");
    }
    true
}

/// How long a kind waits after so many failures in a row, ms: doubling, with a random half, so that
/// many processes do not come back at the same moment.
fn wait_after(failures: u32) -> i64 {
    let doublings = failures.saturating_sub(1).min(16);
    let wait = FIRST_WAIT_MS
        .saturating_mul(1 << doublings)
        .min(LONGEST_WAIT_MS);
    wait / 2 + rand::random_range(0..=wait / 2)
}

/// The markets among these that are held or wait to be scored, and are no longer open: they may have
/// resolved.
pub(super) fn held_and_closed<'a>(
    ledger: &Ledger,
    markets: impl Iterator<Item = &'a Arc<Market>>,
) -> Vec<Arc<Market>> {
    let held: HashSet<&MarketId> = ledger.positions().values().map(|p| &p.market_id).collect();
    markets
        .filter(|market| market.status != MarketStatus::Open)
        .filter(|market| held.contains(&market.id) || ledger.scoring().waits_for(&market.id))
        .cloned()
        .collect()
}

/// The tokens whose books are to be live: those held, those of resting orders, the other outcomes
/// of the account's markets, then the most traded markets, up to so many markets in all.
fn to_follow(needs: &Needs, markets: &[&Arc<Market>], most: usize) -> Vec<TokenId> {
    if most == 0 {
        return Vec::new();
    }
    let (own, rest): (Vec<&Arc<Market>>, Vec<&Arc<Market>>) = markets
        .iter()
        .copied()
        .filter(|market| market.status == MarketStatus::Open)
        .partition(|market| {
            needs.markets.contains(&market.id) && !needs.to_score.contains(&market.id)
        });
    let outcomes = own
        .into_iter()
        .chain(rest)
        .take(most)
        .flat_map(|market| market.outcomes.iter().map(|outcome| &outcome.token));
    let mut seen = HashSet::new();
    needs
        .tokens
        .iter()
        .chain(outcomes)
        .filter(|token| seen.insert(*token))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
