//! Trades of others in tokens that orders rest in: from the stream while it has covered all that an
//! order has not accounted for yet, else asked of the source.
//!
//! A stream tells a trade's time to the millisecond, the Data API to the second; one trade must not
//! count by both. So each look takes one of the two for a token, and after the API the rest of the
//! second of the newest trade that an order accounts for is left out of what the stream told.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::domain::{Market, MarketId, Print, Timestamp, TokenId};
use crate::market_data::{DataError, StreamEvent};
use crate::trading::ledger::Ledger;

use super::App;

/// Trades of one token that are kept. Older ones go, and what they covered counts as not covered.
const KEPT: usize = 2_000;
/// Markets that are asked about at once.
const AT_ONCE: usize = 8;

/// What the source told of one market.
type Answer = (MarketId, Result<Vec<Print>, DataError>);

/// What the stream told about tokens that orders rest in.
#[derive(Debug, Default)]
pub(super) struct Prints(Mutex<HashMap<TokenId, Covered>>);

/// A token's trades since a moment from which on none was missed.
#[derive(Debug)]
struct Covered {
    since: Timestamp,
    prints: VecDeque<Print>,
}

impl Prints {
    fn lock(&self) -> MutexGuard<'_, HashMap<TokenId, Covered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what the stream told at `now`. `rests`: whether an order rests in a token.
    fn note(&self, event: StreamEvent, now: Timestamp, rests: impl Fn(&TokenId) -> bool) {
        let mut tokens = self.lock();
        match event {
            StreamEvent::Live { token } => {
                tokens.entry(token).or_insert_with(|| Covered {
                    since: now,
                    prints: VecDeque::new(),
                });
            }
            StreamEvent::Broken { tokens: broken } => {
                for token in broken {
                    tokens.remove(&token);
                }
            }
            StreamEvent::Trade {
                token,
                side,
                level,
                at,
                ..
            } => {
                let Some(covered) = tokens.get_mut(&token) else {
                    return;
                };
                if !rests(&token) {
                    // Nothing that is placed later looks at what traded before.
                    covered.prints.clear();
                    covered.since = covered.since.max(now).max(at);
                    return;
                }
                if covered.prints.len() >= KEPT
                    && let Some(oldest) = covered.prints.pop_front()
                {
                    covered.since = covered.since.max(oldest.at);
                }
                covered.prints.push_back(Print {
                    token,
                    taker: side,
                    price: level.price,
                    shares: level.size,
                    at,
                });
            }
            StreamEvent::BookChanged(_)
            | StreamEvent::TickSize { .. }
            | StreamEvent::Resolved { .. } => {}
        }
    }

    /// Events were missed: nothing is covered any more until it is live again.
    fn forget(&self) {
        self.lock().clear();
    }

    /// Only these are followed from now on.
    pub(super) fn keep_only(&self, followed: &[TokenId]) {
        let followed: HashSet<&TokenId> = followed.iter().collect();
        self.lock().retain(|token, _| followed.contains(token));
    }

    /// The trades of a token after `since`, if none of them was missed.
    fn after(&self, token: &TokenId, since: Timestamp) -> Option<Vec<Print>> {
        let tokens = self.lock();
        let covered = tokens.get(token).filter(|covered| covered.since <= since)?;
        let newer = covered.prints.iter().filter(|print| print.at > since);
        Some(newer.cloned().collect())
    }
}

/// Notes what the stream tells until `shutdown`, or until the application or the stream is gone.
pub(super) async fn listen(
    app: Weak<App>,
    mut changes: Receiver<StreamEvent>,
    shutdown: CancellationToken,
) {
    loop {
        let told = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            told = changes.recv() => told,
        };
        let Some(app) = app.upgrade() else { return };
        match told {
            Ok(event) => {
                let (Ok(ledger), Ok(now)) = (app.ledger(), app.source.now().await) else {
                    app.prints.forget();
                    continue;
                };
                app.prints.note(event, now, |token| {
                    ledger
                        .open_orders()
                        .any(|(order, _)| order.token_id == *token)
                });
            }
            Err(RecvError::Lagged(missed)) => {
                tracing::debug!(missed, "trades were missed; the source is asked for them");
                app.prints.forget();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// What a token's orders have not accounted for yet: since when at the least, and the seconds of which
/// the API has told a trade.
#[derive(Debug, Default)]
struct Wanted {
    since: Option<Timestamp>,
    told_seconds: HashSet<i64>,
}

fn wanted_of(ledger: &Ledger) -> BTreeMap<TokenId, (MarketId, Wanted)> {
    let mut tokens: BTreeMap<TokenId, (MarketId, Wanted)> = BTreeMap::new();
    for resting in ledger.resting().values() {
        let order = &resting.order;
        let (_, wanted) = tokens
            .entry(order.token_id.clone())
            .or_insert_with(|| (order.market_id.clone(), Wanted::default()));
        let since = resting.prints_to.max(resting.placed_at);
        wanted.since = Some(wanted.since.map_or(since, |known| known.min(since)));
        if resting.prints_to.millis() % 1000 == 0 {
            wanted.told_seconds.insert(resting.prints_to.secs());
        }
    }
    tokens
}

impl App {
    /// What traded in tokens that orders rest in since those orders last looked, and what could not be
    /// had, in words. `markets` must hold the markets of those tokens.
    pub(super) async fn prints_of(
        &self,
        ledger: &Ledger,
        markets: &[Arc<Market>],
    ) -> (Vec<Print>, Vec<String>) {
        let mut found = Vec::new();
        let mut to_ask: BTreeMap<MarketId, Timestamp> = BTreeMap::new();
        let mut asked_tokens: HashMap<TokenId, Timestamp> = HashMap::new();
        for (token, (market, wanted)) in wanted_of(ledger) {
            let since = wanted.since.unwrap_or_default();
            match self.prints.after(&token, since) {
                Some(prints) => found.extend(
                    prints
                        .into_iter()
                        .filter(|print| !wanted.told_seconds.contains(&print.at.secs())),
                ),
                None => {
                    let earliest = to_ask.entry(market).or_insert(since);
                    *earliest = since.min(*earliest);
                    asked_tokens.insert(token, since);
                }
            }
        }
        let mut asked: Vec<BoxFuture<'_, Answer>> = Vec::new();
        for market in markets {
            if let Some(since) = to_ask.get(&market.id).copied() {
                let market = Arc::clone(market);
                let ask = async move {
                    let told = self.source.trades_since(&market, since).await;
                    (market.id.clone(), told)
                };
                asked.push(ask.boxed());
            }
        }
        let answers: Vec<Answer> = futures::stream::iter(asked)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut notes = Vec::new();
        for (market, answer) in answers {
            match answer {
                Ok(prints) => found.extend(prints.into_iter().filter(|print| {
                    asked_tokens
                        .get(&print.token)
                        .is_some_and(|since| print.at > *since)
                })),
                Err(error @ DataError::Unsupported { .. }) => {
                    let note = format!(
                        "resting orders fill only when the market trades through their price: \
                         {error}, so the queue before them cannot be seen to move"
                    );
                    if !notes.contains(&note) {
                        notes.push(note);
                    }
                }
                Err(error) => notes.push(format!(
                    "trades in market {market} could not be read; they count in a later tick: {error}"
                )),
            }
        }
        (found, notes)
    }
}

#[cfg(test)]
mod tests;
