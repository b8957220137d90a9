//! Between two ticks: exits and resting orders look at each change of the books that a stream keeps
//! live.
//!
//! A task listens to the stream. Changes of tokens that something waits on are merged while a
//! commit is under way, so that a burst costs one. What would happen is first looked up on the
//! published ledger, which costs microseconds; only when an exit would fire, a doubt begin or end,
//! a watermark rise or a resting order fill, or, at most once a second, when the bid of something
//! held has moved (positions are marked then, and losses looked at), is the step asked, with a
//! snapshot of these markets from live, sound books alone. Nothing reacts to a book whose stream
//! broke: the next tick looks at what it can get. Nothing here fetches a book but for orders on
//! their way whose sender has gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::domain::{
    Book, BookFeed, ConditionId, Market, MarketId, MarketView, Price, Print, Resolution, Snapshot,
    Timestamp, TokenId,
};
use crate::market_data::StreamEvent;
use crate::trading::config::Mode;
use crate::trading::desk::{Input, Output};
use crate::trading::ledger::Ledger;
use crate::trading::watch::{self, Chance};

use super::gather::{BACKWARDS_MS, GROSS_SKEW_MS};
use super::{App, AppError};

/// Between two looks at stops that wait for their confirmation, and at announced resolutions.
const EVERY: Duration = Duration::from_secs(1);
/// At most so often is a change recorded that only moves marks.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// How long after its moment an order on its way is left to who waits for it, ms.
const OVERDUE_MS: i64 = 1_000;
/// Wait before an order that could not be carried out is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// Times that the evidence for an announced resolution is asked for: after 1, 2, 4, … seconds.
/// Ticks go on asking after that.
const ASKS: u32 = 6;
/// Trades of others that wait for a commit.
const PRINTS_KEPT: usize = 1_000;

/// The listening task. It ends when its token is cancelled or the application is gone.
#[derive(Debug)]
pub(super) struct Reactions {
    task: JoinHandle<()>,
}

impl Reactions {
    /// Waits until it has ended, at most so long; cancel its token before. A commit under way is
    /// finished by the desk in any case.
    pub(super) async fn ended(self, limit: Duration) {
        if tokio::time::timeout(limit, self.task).await.is_err() {
            tracing::warn!("the reaction to a changed book was still busy at the end");
        }
    }
}

/// What has happened since the last reaction, and what is to be tried again.
#[derive(Default)]
struct Changed {
    /// Tokens whose books changed.
    tokens: BTreeSet<TokenId>,
    /// Events were missed: all books may have changed.
    all: bool,
    /// Trades of others.
    prints: Vec<Print>,
    /// Price steps told by the stream: metadata learns of them minutes later.
    steps: HashMap<TokenId, Price>,
    /// Markets announced as resolved.
    announced: HashMap<ConditionId, Announced>,
    /// Conditional orders that could not sell, not to be tried before.
    again: HashMap<u64, Instant>,
    /// When marks were last recorded for their own sake.
    marked: Option<Instant>,
    /// Held tokens whose books changed since.
    unmarked: BTreeSet<TokenId>,
}

#[derive(Debug, Clone, Copy)]
struct Announced {
    asked: u32,
    next: Instant,
}

impl Changed {
    fn add(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::BookChanged(token) | StreamEvent::Live { token } => {
                self.tokens.insert(token);
            }
            StreamEvent::Trade {
                token,
                side,
                level,
                at,
                ..
            } => {
                if self.prints.len() < PRINTS_KEPT {
                    self.prints.push(Print {
                        token,
                        taker: side,
                        price: level.price,
                        shares: level.size,
                        at,
                    });
                }
            }
            StreamEvent::TickSize { token, new, .. } => {
                self.steps.insert(token.clone(), new);
                self.tokens.insert(token);
            }
            StreamEvent::Resolved { condition_id, .. } => {
                let next = Instant::now();
                self.announced
                    .entry(condition_id)
                    .or_insert(Announced { asked: 0, next });
            }
            StreamEvent::Broken { tokens } => {
                for token in tokens {
                    self.tokens.remove(&token);
                }
            }
        }
    }

    /// Takes what has come in the meantime. False when the stream is gone.
    fn drain(&mut self, changes: &mut broadcast::Receiver<StreamEvent>) -> bool {
        loop {
            match changes.try_recv() {
                Ok(event) => self.add(event),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Lagged(_)) => self.all = true,
                Err(TryRecvError::Closed) => return false,
            }
        }
    }
}

impl App {
    /// Starts to listen, where the source has a stream and something may be traded.
    pub(super) fn start_reactions(
        self: &Arc<Self>,
        shutdown: &CancellationToken,
    ) -> Option<Reactions> {
        let changes = self.source.changes()?;
        if self.trading.mode == Mode::Monitor {
            return None;
        }
        let listening = listen(Arc::downgrade(self), changes);
        let shutdown = shutdown.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = listening => {}
            }
        });
        Some(Reactions { task })
    }

    /// One reaction to all that has changed. Errors: the account or the clock cannot be read, or
    /// the events could not be stored.
    async fn react(&self, changed: &mut Changed) -> Result<(), AppError> {
        // Beside another process that owns the ledger there is nothing to do.
        if !self.desk.is_owner() || self.desk.halted().is_some() {
            *changed = Changed::default();
            return Ok(());
        }
        self.settle_announced(changed).await?;
        let ledger = self.ledger()?;
        let prints = std::mem::take(&mut changed.prints);
        let tokens = std::mem::take(&mut changed.tokens);
        let all = std::mem::take(&mut changed.all);
        changed
            .again
            .retain(|id, until| *until > Instant::now() && ledger.conditionals().contains_key(id));
        let waited_on = watch::tokens(&ledger);
        let prints: Vec<Print> = prints
            .into_iter()
            .filter(|print| watch::reaches(&ledger, print))
            .collect();
        let mut wanted: BTreeSet<TokenId> = waited_on
            .into_iter()
            .filter(|token| all || tokens.contains(*token))
            .cloned()
            .collect();
        wanted.extend(prints.iter().map(|print| print.token.clone()));
        wanted.extend(watch::doubted(&ledger).cloned());
        let held = ledger.positions().keys();
        let held = held.filter(|token| all || tokens.contains(*token));
        changed.unmarked.extend(held.cloned());
        let marks_due = changed.marked.is_none_or(|at| at.elapsed() >= MARK_EVERY);
        if marks_due {
            wanted.append(&mut changed.unmarked);
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let now = self.source.now().await?;
        let skew = self.source.clock_ahead().unwrap_or_default();
        if ledger.last_at().since(now) > BACKWARDS_MS || skew.abs() > GROSS_SKEW_MS {
            // Nothing is looked at while a clock is wrong; nor is it forgotten.
            changed.prints = prints;
            changed.tokens = tokens;
            changed.all = all;
            return Ok(());
        }
        let views = self.live_views(&ledger, &wanted, &changed.steps, now);
        let chances: Vec<Chance> = views
            .iter()
            .flat_map(|view| watch::chances(&ledger, view, &self.trading, now))
            .filter(|chance| {
                chance
                    .conditional
                    .is_none_or(|id| !changed.again.contains_key(&id))
            })
            .collect();
        let moved = marks_due && views.iter().any(|view| watch::moved(&ledger, view));
        if chances.is_empty() && prints.is_empty() && !moved {
            return Ok(());
        }
        if moved {
            changed.marked = Some(Instant::now());
        }
        let snapshot =
            Snapshot::new(now, self.source_kind(), views, Vec::new()).with_prints(prints);
        self.commit_books(snapshot).await?;
        let after = self.ledger()?;
        for id in chances.iter().filter_map(|chance| chance.conditional) {
            // What would have fired and has not was refused, or there was nothing to take.
            if after.conditionals().get(&id) == ledger.conditionals().get(&id) {
                changed.again.insert(id, Instant::now() + AGAIN);
            }
        }
        Ok(())
    }

    /// The same snapshot with the live books of everything held: what an order that looks at one
    /// market only would judge at older marks. Errors: the account cannot be read.
    pub(super) fn with_held_books(&self, snapshot: Snapshot) -> Result<Snapshot, AppError> {
        let ledger = self.ledger()?;
        let held: BTreeSet<TokenId> = ledger.positions().keys().cloned().collect();
        let views = self.live_views(&ledger, &held, &HashMap::new(), snapshot.at);
        Ok(snapshot.with_others(views))
    }

    /// Lets orders arrive whose moment has passed and whose sender has not seen to it: its call was
    /// given up, or its process ended.
    async fn arrive_overdue(&self) {
        if self.advance.is_some() || !self.desk.is_owner() || self.desk.halted().is_some() {
            return;
        }
        let overdue = async {
            let ledger = self.ledger()?;
            if ledger.in_flight().next().is_none() {
                return Ok(());
            }
            let before = self.source.now().await?.plus_millis(-OVERDUE_MS);
            let moments = ledger.in_flight().filter_map(|(order, _)| order.arrives_at);
            match moments.filter(|moment| *moment <= before).max() {
                Some(moment) => self.arrive(moment).await.map(drop),
                None => Ok::<(), AppError>(()),
            }
        };
        if let Err(error) = overdue.await {
            tracing::debug!(%error, "an order on its way could not be met; it is tried again");
        }
    }

    /// The markets of these tokens, with those of their books that are live and sound.
    fn live_views(
        &self,
        ledger: &Ledger,
        tokens: &BTreeSet<TokenId>,
        steps: &HashMap<TokenId, Price>,
        now: Timestamp,
    ) -> Vec<MarketView> {
        let mut markets: BTreeMap<MarketId, Arc<Market>> = BTreeMap::new();
        for token in tokens {
            let known = watch::market_of(ledger, token)
                .and_then(|id| self.fresh.market(id.as_str(), now))
                .filter(|market| market.is_tradable());
            // A market that is not known now is looked at by the next tick, which fetches it.
            if let Some(market) = known {
                markets.insert(market.id.clone(), market);
            }
        }
        markets
            .into_values()
            .map(|market| {
                let all: Vec<TokenId> = market.outcomes.iter().map(|o| o.token.clone()).collect();
                let mut live = self.source.live_books(&all);
                let step = all.iter().find_map(|token| steps.get(token));
                let market = match step {
                    Some(step) if *step != market.tick => Arc::new(Market {
                        tick: *step,
                        ..(*market).clone()
                    }),
                    _ => market,
                };
                let books = all
                    .iter()
                    .map(|token| live.remove(token).filter(|book| is_live(book)))
                    .collect();
                MarketView {
                    market,
                    books,
                    history: None,
                    candidate: false,
                }
            })
            .collect()
    }

    /// Hands books, or resolutions, to the desk, and tells about what was executed.
    async fn commit_books(&self, snapshot: Snapshot) -> Result<(), AppError> {
        let committed = self.desk.commit(Input::Books(snapshot)).await?;
        let Output::Ticked(report) = committed.output else {
            return Err(AppError::unexpected_output());
        };
        self.keep_questions(&report.orders).await;
        for order in &report.orders {
            self.alert(order).await;
        }
        for words in &report.triggered {
            tracing::info!(%words, "a conditional order fired between two ticks");
        }
        for paid in &report.settlements {
            tracing::info!(market = %paid.market_id, payout = paid.payout, "settled between two ticks");
        }
        for note in &report.notes {
            tracing::debug!(%note, "between two ticks");
        }
        Ok(())
    }

    /// Asks for the evidence of resolutions that the stream announced, and pays positions out where
    /// there is some. The announcement alone moves no money.
    async fn settle_announced(&self, changed: &mut Changed) -> Result<(), AppError> {
        if changed.announced.is_empty() {
            return Ok(());
        }
        let ledger = self.ledger()?;
        let now = self.source.now().await?;
        let started = Instant::now();
        let mut due: Vec<Arc<Market>> = Vec::new();
        for id in watch::markets(&ledger) {
            let Some(market) = self.fresh.market(id.as_str(), now) else {
                continue;
            };
            let announced = market
                .condition_id
                .as_ref()
                .and_then(|condition| changed.announced.get_mut(condition));
            if let Some(announced) = announced.filter(|announced| announced.next <= started) {
                announced.next = started + EVERY * 2_u32.saturating_pow(announced.asked.min(10));
                announced.asked += 1;
                due.push(market);
            }
        }
        let ours: BTreeSet<&ConditionId> =
            due.iter().filter_map(|m| m.condition_id.as_ref()).collect();
        changed.announced.retain(|condition, announced| {
            // Of a market that nothing waits on, or asked for often enough.
            (1..ASKS).contains(&announced.asked) || ours.contains(condition)
        });
        if due.is_empty() {
            return Ok(());
        }
        let found: Vec<Resolution> = match self.source.resolutions(&due).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "an announced resolution could not be checked");
                return Ok(());
            }
        };
        if found.is_empty() {
            return Ok(());
        }
        for market in &due {
            if found
                .iter()
                .any(|resolution| resolution.market_id == market.id)
                && let Some(condition) = &market.condition_id
            {
                changed.announced.remove(condition);
            }
        }
        self.fresh.put_resolutions(&due, &found, now);
        let views = due
            .into_iter()
            .map(|market| MarketView {
                books: market.outcomes.iter().map(|_| None).collect(),
                market,
                history: None,
                candidate: false,
            })
            .collect();
        let snapshot = Snapshot::new(now, self.source_kind(), views, found);
        self.commit_books(snapshot).await
    }
}

fn is_live(book: &Book) -> bool {
    book.is_sound() && matches!(book.feed, BookFeed::Streamed { .. })
}

/// Reacts until the application or its stream is gone.
async fn listen(app: Weak<App>, mut changes: broadcast::Receiver<StreamEvent>) {
    let mut changed = Changed::default();
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // Beside the reactions, since it fetches books; it ends with them.
    let mut late = JoinSet::new();
    loop {
        tokio::select! {
            event = changes.recv() => match event {
                Ok(event) => changed.add(event),
                Err(RecvError::Lagged(_)) => changed.all = true,
                Err(RecvError::Closed) => return,
            },
            _ = timer.tick() => {
                while late.try_join_next().is_some() {}
                if late.is_empty() && let Some(app) = app.upgrade() {
                    late.spawn(async move { app.arrive_overdue().await });
                }
            }
        }
        if !changed.drain(&mut changes) {
            return;
        }
        let Some(app) = app.upgrade() else {
            return;
        };
        if let Err(error) = app.react(&mut changed).await {
            tracing::warn!(%error, "no reaction to a changed book; the next tick looks at it");
            changed = Changed::default();
        }
    }
}

#[cfg(test)]
mod tests;
