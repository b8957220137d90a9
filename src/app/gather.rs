//! Gathering: everything a step needs, fetched once, in batches, concurrently, before it decides.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use crate::domain::{
    Book, History, Market, MarketId, MarketStatus, MarketView, Resolution, Snapshot, SourceKind,
    Timestamp, TokenId,
};
use crate::market_data::{DataError, MarketQuery, TICK_HISTORY, TICK_HISTORY_FIDELITY_MINUTES};

use super::feed::{Needs, held_and_closed};
use super::fresh::{HISTORY_AGE_MS, Parted};
use super::{App, AppError};

/// How far a clock may fall behind the account's last event: corrections of a machine's clock.
pub(super) const BACKWARDS_MS: i64 = 60_000;
/// How far the machine's clock may be from the source's: beyond that nothing is traded.
pub(super) const GROSS_SKEW_MS: i64 = 60_000;
/// Questions that are kept.
const QUESTIONS_KEPT: usize = 20_000;

/// A snapshot with what could not be had.
#[derive(Debug)]
pub struct MarketSnapshot {
    /// What the step sees.
    pub snapshot: Snapshot,
    /// What was missing, in words.
    pub notes: Vec<String>,
}

impl App {
    /// Gathers for a tick: the most traded open markets and whatever the account needs. Three round
    /// trips deep when nothing is known, and books: markets; the account's other markets; histories,
    /// resolutions and trades; books. While the background keeps the rest fresh only books are fetched,
    /// after the trades of others where orders rest.
    pub(super) async fn gather(&self) -> Result<MarketSnapshot, AppError> {
        let _gathering = self.fresh.gathering();
        let ledger = self.ledger()?;
        let now = self.source.now().await?;
        let needs = Needs::of(&ledger, now);
        let listed = self.listed(now).await?;
        let known: HashSet<&MarketId> = listed.iter().map(|market| &market.id).collect();
        let missing = needs.markets.iter().filter(|id| !known.contains(id));
        let extra = self.others(missing.cloned(), now).await?;
        // Most traded first, as listed: where limits leave room for one trade only, it is the first.
        let mut wanted: Vec<(Arc<Market>, bool)> =
            listed.into_iter().map(|market| (market, true)).collect();
        let mut extra: Vec<Arc<Market>> = extra.into_values().collect();
        extra.sort_by(|a, b| a.id.cmp(&b.id));
        // Before its end there is nothing to score.
        extra.retain(|market| {
            market.status != MarketStatus::Open || !needs.to_score.contains(&market.id)
        });
        // A market that an agent has an opinion on is looked at however little it trades.
        wanted.extend(extra.into_iter().map(|market| {
            let candidate = ledger.estimates().contains_key(&market.id);
            (market, candidate)
        }));
        let gathered = self.snapshot_of(wanted, true).await?;
        let held = ledger.positions().keys();
        let held = held.filter_map(|token| gathered.snapshot.book(token));
        self.fresh.put_bids(held.map(AsRef::as_ref), now);
        Ok(gathered)
    }

    /// The most traded open markets: those known, if they are fresh.
    async fn listed(&self, now: Timestamp) -> Result<Vec<Arc<Market>>, DataError> {
        if let Some(list) = self.fresh.list(now) {
            return Ok(list.markets().to_vec());
        }
        let limit = self.config.gather.max_markets;
        let markets = self.source.active_markets(&MarketQuery { limit }).await?;
        self.fresh.put_list(&markets, limit, now);
        Ok(markets)
    }

    /// Markets by id: those known, if they are fresh.
    async fn others(
        &self,
        ids: impl Iterator<Item = MarketId>,
        now: Timestamp,
    ) -> Result<HashMap<MarketId, Arc<Market>>, DataError> {
        let Parted { mut known, stale } = self.fresh.others(ids, now, self.fresh.bound_ms());
        if !stale.is_empty() {
            let found = self.source.markets(&stale).await?;
            self.fresh.put_others(&stale, &found, now);
            known.extend(found);
        }
        Ok(known)
    }

    /// Gathers one market, for an agent's order or a dossier.
    pub async fn gather_market(&self, market: Arc<Market>) -> Result<MarketSnapshot, AppError> {
        self.snapshot_of(vec![(market, true)], false).await
    }

    /// Gathers markets for orders that arrive: nobody else looks at them.
    pub(super) async fn gather_markets(
        &self,
        markets: Vec<Arc<Market>>,
    ) -> Result<MarketSnapshot, AppError> {
        let wanted = markets.into_iter().map(|market| (market, false)).collect();
        self.snapshot_of(wanted, false).await
    }

    /// Books come last, and the moment of the snapshot is that at which they are there: what is slower
    /// than they are must not make them look newer than they are. `for_tick`: with histories, and trades
    /// of others.
    async fn snapshot_of(
        &self,
        wanted: Vec<(Arc<Market>, bool)>,
        for_tick: bool,
    ) -> Result<MarketSnapshot, AppError> {
        let ledger = self.ledger()?;
        let all: Vec<Arc<Market>> = wanted.iter().map(|(market, _)| market.clone()).collect();
        let tokens: Vec<TokenId> = wanted
            .iter()
            .filter(|(market, _)| market.status == MarketStatus::Open)
            .flat_map(|(market, _)| market.outcomes.iter().map(|outcome| outcome.token.clone()))
            .collect();
        let first_tokens: Vec<TokenId> = wanted
            .iter()
            .filter(|(market, candidate)| *candidate && market.is_tradable())
            .filter_map(|(market, _)| market.outcomes.first())
            .map(|outcome| outcome.token.clone())
            .collect();
        // A closed market may have resolved.
        let held = held_and_closed(&ledger, wanted.iter().map(|(market, _)| market));
        let histories = async {
            if for_tick {
                self.histories_of(&first_tokens).await
            } else {
                Ok(HashMap::new())
            }
        };
        let prints = async {
            if for_tick {
                self.prints_of(&ledger, &all).await
            } else {
                Default::default()
            }
        };
        let (histories, resolutions, (prints, mut notes), ahead) = tokio::join!(
            histories,
            self.resolutions_of(&held),
            prints,
            self.source.measured_clock(GROSS_SKEW_MS)
        );
        // What is stamped with such a time keeps the account from going on once the clock is right.
        if let Some(ahead_ms) = ahead.filter(|ahead| ahead.abs() > GROSS_SKEW_MS) {
            return Err(AppError::ClockSkew { ahead_ms });
        }
        // Prices are what a tick cannot do without; the rest is missed and said.
        let histories = histories.unwrap_or_else(|error: DataError| {
            notes.push(format!("no price histories in this tick: {error}"));
            HashMap::new()
        });
        let resolutions: Vec<Resolution> = resolutions.unwrap_or_else(|error| {
            notes.push(format!(
                "resolutions could not be checked in this tick: {error}"
            ));
            Vec::new()
        });
        let mut books: HashMap<TokenId, Arc<Book>> = self.source.books(&tokens).await?;
        let at = self.source.now().await?;
        let last = ledger.last_at();
        if last.since(at) > BACKWARDS_MS {
            return Err(AppError::BackInTime { now: at, last });
        }
        self.remember_questions(wanted.iter().map(|(market, _)| market.as_ref()));
        let views = wanted
            .into_iter()
            .map(|(market, candidate)| MarketView {
                books: market
                    .outcomes
                    .iter()
                    .map(|o| books.remove(&o.token))
                    .collect(),
                history: market
                    .outcomes
                    .first()
                    .and_then(|o| histories.get(&o.token).cloned()),
                candidate: candidate && market.is_tradable(),
                market,
            })
            .collect();
        // Held markets that have not resolved: as far as the source has got with them.
        let pending = held
            .iter()
            .filter_map(|market| self.source.pending(&market.id));
        let snapshot = Snapshot::new(at, self.source.kind(), views, resolutions)
            .with_pending(pending.collect())
            .with_prints(prints);
        Ok(MarketSnapshot { snapshot, notes })
    }

    /// Positions outlive what a tick looks at; their questions are kept for whoever reads them.
    pub(super) fn remember_questions<'a>(&self, markets: impl Iterator<Item = &'a Market>) {
        let mut known = self
            .questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() > QUESTIONS_KEPT {
            known.clear();
        }
        for market in markets {
            if !known.contains_key(&market.id) {
                known.insert(market.id.clone(), market.question.clone());
            }
        }
    }

    /// How these markets ended: what is known, and what the source says of the others.
    async fn resolutions_of(&self, held: &[Arc<Market>]) -> Result<Vec<Resolution>, DataError> {
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.source.now().await?;
        let bound = self.fresh.bound_ms();
        let (mut known, stale) = self.fresh.resolutions(held, now, bound);
        if !stale.is_empty() {
            let found = self.source.resolutions(&stale).await?;
            self.fresh.put_resolutions(&stale, &found, now);
            known.extend(found);
        }
        Ok(known)
    }

    async fn histories_of(
        &self,
        tokens: &[TokenId],
    ) -> Result<HashMap<TokenId, History>, DataError> {
        let now = self.source.now().await?;
        // A recording costs no request, and a backtest of it always sees the latest rows.
        let recorded = self.source.kind() == SourceKind::Recorded;
        let age = if recorded { 0 } else { HISTORY_AGE_MS };
        let Parted { mut known, stale } = self.fresh.histories(tokens, now, age);
        if !stale.is_empty() {
            let found: HashMap<TokenId, History> = self
                .source
                .price_histories(&stale, TICK_HISTORY, TICK_HISTORY_FIDELITY_MINUTES)
                .await?
                .into_iter()
                .map(|(token, points)| (token, History::new(points)))
                .collect();
            if !recorded {
                self.fresh.put_histories(&stale, &found, now);
            }
            known.extend(found);
        }
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::backtest::frames::Frames;
    use crate::market_data::MarketData;
    use crate::market_data::recorded::Recorded;
    use crate::market_data::recorded::tests::{hour, load};

    #[tokio::test]
    async fn a_backtest_sees_the_histories_that_are_gathered_from_its_recording() {
        // 5,000 rows four minutes apart: two weeks, several to a step of the clock.
        let mut rows = "timestamp,market_id,question,yes_price,volume,token_id\n".to_owned();
        for row in 0..5_000_i64 {
            let seconds = 1_767_225_600 + row * 240;
            writeln!(rows, "{seconds},a,A?,0.{:03},0,ta", 100 + row * 7 % 800).unwrap();
        }
        let dataset = Arc::new(load(&[("p.csv", &rows)]).unwrap());
        let source = Recorded::new(Arc::clone(&dataset), hour(0));
        let token = TokenId::from("ta");
        // Hour 200 is row 3,000.
        for (start, frames) in [(None, 5_000), (Some(hour(200)), 2_000)] {
            let mut count = 0;
            for frame in Frames::new(&dataset, start, None) {
                count += 1;
                if count % 50 != 1 && count != frames {
                    continue;
                }
                source.set_now(frame.at);
                let gathered = source
                    .price_histories(
                        std::slice::from_ref(&token),
                        TICK_HISTORY,
                        TICK_HISTORY_FIDELITY_MINUTES,
                    )
                    .await
                    .unwrap();
                let replayed = frame.market(&"a".into()).unwrap().history.as_ref();
                let at = frame.at;
                assert_eq!(replayed.unwrap().points(), gathered[&token], "{at}");
            }
            assert_eq!(count, frames);
        }
    }
}
