//! What recorded books showed at the moments at which the run traded.

use std::collections::BTreeSet;

use super::{Offers, Quote};
use crate::backtest::books::seen::{Best, best_at};
use crate::backtest::engine::BacktestOptions;
use crate::domain::{Price, Side, Timestamp};
use crate::market_data::recorded::FeeRule;
use crate::market_data::recorded::books::BookRecording;

/// Best prices of every token at those moments.
pub(super) struct Tops<'a> {
    recording: &'a BookRecording,
    /// By number of the token: what was seen, and from which of the moments on.
    seen: Vec<Vec<(Timestamp, Best)>>,
    /// By number of the market: fees in place of those that the recording knows.
    fees: Vec<Option<FeeRule>>,
    /// By number of the market: when it resolved, and its place among the resolutions.
    ends: Vec<Option<(Timestamp, usize)>>,
    begins: Vec<(Timestamp, usize)>,
}

impl<'a> Tops<'a> {
    /// Goes through the recording once. `None` when the run is not wanted any more.
    pub(super) fn at(
        recording: &'a BookRecording,
        options: &BacktestOptions<'_>,
        moments: BTreeSet<Timestamp>,
    ) -> Option<Self> {
        let seen = best_at(recording, options, moments)?;
        let markets = recording.markets();
        let fees = markets
            .iter()
            .map(|one| options.rules.fees.instead(&one.market));
        let mut ends = vec![None; markets.len()];
        for (place, (at, market, _)) in recording.resolutions().iter().enumerate() {
            if let Some(end @ None) = ends.get_mut(*market) {
                *end = Some((*at, place));
            }
        }
        let begin = |tokens: &[Option<u32>]| {
            let numbers = tokens.iter().flatten();
            let first = numbers.filter_map(|number| seen.get(*number as usize)?.first());
            first.map(|(at, _)| *at).min()
        };
        let mut begins: Vec<(Timestamp, usize)> = markets
            .iter()
            .enumerate()
            .filter_map(|(index, one)| Some((begin(&one.tokens)?, index)))
            .collect();
        begins.sort_unstable();
        Some(Tops {
            recording,
            fees: fees.collect(),
            ends,
            begins,
            seen,
        })
    }

    /// What was seen of an outcome by `until`, oldest first.
    fn seen_until(&self, market: usize, outcome: usize, until: Timestamp) -> &[(Timestamp, Best)] {
        let known = self.recording.markets().get(market);
        let number = known.and_then(|one| one.tokens.get(outcome).copied().flatten());
        let seen = number.and_then(|number| self.seen.get(number as usize));
        let seen = seen.map(Vec::as_slice).unwrap_or_default();
        let end = seen.partition_point(|(at, _)| *at <= until);
        seen.get(..end).unwrap_or_default()
    }

    fn resolved_by(&self, market: usize, until: Timestamp) -> Option<usize> {
        let (at, place) = (*self.ends.get(market)?)?;
        (at <= until).then_some(place)
    }
}

impl Offers for Tops<'_> {
    fn begins(&self) -> &[(Timestamp, usize)] {
        &self.begins
    }

    fn quote(&self, market: usize, outcome: usize, side: Side, at: Timestamp) -> Option<Quote> {
        if self.resolved_by(market, at).is_some() {
            return None;
        }
        let (_, best) = self.seen_until(market, outcome, at).last()?;
        let price = match side {
            Side::Buy => best.ask?,
            Side::Sell => best.bid?,
        };
        let terms = self.recording.markets().get(market)?;
        let terms = terms.at(at, *self.fees.get(market)?);
        terms.is_tradable().then_some(Quote {
            price,
            fee: terms.fee,
        })
    }

    fn payout(&self, market: usize, outcome: usize, until: Timestamp) -> Option<Price> {
        let place = self.resolved_by(market, until)?;
        let (_, _, resolution) = self.recording.resolutions().get(place)?;
        let market = &self.recording.markets().get(market)?.market;
        let token = &market.outcomes.get(outcome)?.token;
        Some(resolution.payout_of(token).unwrap_or(Price::ZERO))
    }

    /// Nothing where there never was one.
    fn last_bid(&self, market: usize, outcome: usize, until: Timestamp) -> Option<Price> {
        let seen = self.seen_until(market, outcome, until).last();
        let bid = seen.and_then(|(_, best)| best.last_bid);
        Some(bid.unwrap_or(Price::ZERO))
    }
}
