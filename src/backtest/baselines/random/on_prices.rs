//! What price rows show: books made from them, as the run itself traded on.

use super::{Offers, Quote};
use crate::backtest::engine::ReplayRules;
use crate::domain::{MarketStatus, Price, Side, Timestamp};
use crate::market_data::recorded::Dataset;

/// The rows of a price recording.
pub(super) struct Rows<'a> {
    dataset: &'a Dataset,
    rules: &'a ReplayRules,
    begins: Vec<(Timestamp, usize)>,
}

impl<'a> Rows<'a> {
    /// Markets are known from their first row on.
    pub(super) fn new(dataset: &'a Dataset, rules: &'a ReplayRules) -> Self {
        let series = dataset.series().iter().enumerate();
        let series = series.filter(|(index, _)| !rules.excludes(*index));
        let mut begins: Vec<(Timestamp, usize)> = series
            .filter_map(|(index, one)| Some((one.points().first()?.at, index)))
            .collect();
        begins.sort_unstable();
        Rows {
            dataset,
            rules,
            begins,
        }
    }

    fn half_spread(&self) -> Price {
        let spread = self.dataset.options().default_spread;
        Price::from_micros(spread.micros() / 2).unwrap_or(spread)
    }
}

impl Offers for Rows<'_> {
    fn begins(&self) -> &[(Timestamp, usize)] {
        &self.begins
    }

    fn quote(&self, market: usize, outcome: usize, side: Side, at: Timestamp) -> Option<Quote> {
        let one = self.dataset.series().get(market)?;
        if one.is_resolved(at) {
            return None;
        }
        let (row, visible) = self.dataset.visible(market, at)?;
        if visible.stale || visible.status != MarketStatus::Open {
            return None;
        }
        let books = self.dataset.books(market, row, &visible)?;
        let book = books.get(outcome)?.as_ref()?;
        Some(Quote {
            price: book.against(side).first()?.price,
            fee: self
                .rules
                .fees
                .instead(one.template())
                .map_or(visible.fee, |rule| rule.at(at)),
        })
    }

    fn payout(&self, market: usize, outcome: usize, until: Timestamp) -> Option<Price> {
        let one = self.dataset.series().get(market)?;
        let (at, resolution) = one.resolution()?;
        if at > until {
            return None;
        }
        let token = &one.template().outcomes.get(outcome)?.token;
        Some(resolution.payout_of(token).unwrap_or(Price::ZERO))
    }

    /// The last bid that was seen, from the last row at the latest.
    fn last_bid(&self, market: usize, outcome: usize, until: Timestamp) -> Option<Price> {
        let one = self.dataset.series().get(market)?;
        let (last, price) = one.row(one.last_row(until)?)?;
        Some(match self.quote(market, outcome, Side::Sell, last) {
            Some(bid) => bid.price,
            None if outcome == 0 => price.minus(self.half_spread()),
            None => price.complement().minus(self.half_spread()),
        })
    }
}
