//! Tallies by strategy, by category and by market.

use std::collections::BTreeMap;

use crate::backtest::metrics::{ClosedTrade, DecisionBook, Forecast, GroupRow, Tally};
use crate::domain::{Fill, MarketId, Usdc};

use super::Facts;

/// Name of the category of markets that state none.
const NO_CATEGORY: &str = "not known";

/// All three tables while they grow.
#[derive(Debug, Default)]
pub(super) struct Tables {
    strategies: BTreeMap<String, Tally>,
    categories: BTreeMap<String, Tally>,
    /// With the question.
    markets: BTreeMap<MarketId, (String, Tally)>,
}

impl Tables {
    fn each(&mut self, strategy: &str, facts: Option<&Facts>, mut note: impl FnMut(&mut Tally)) {
        note(self.strategies.entry(strategy.to_owned()).or_default());
        let category = facts.and_then(|facts| facts.category.as_deref());
        let category = category.unwrap_or(NO_CATEGORY).to_owned();
        note(self.categories.entry(category).or_default());
        if let Some(facts) = facts {
            let market = self.markets.entry(facts.market.clone());
            let (_, tally) = market.or_insert_with(|| (facts.question.clone(), Tally::default()));
            note(tally);
        }
    }

    pub(super) fn fill(&mut self, fill: &Fill, facts: Option<&Facts>, book: Option<DecisionBook>) {
        self.each(fill.strategy.as_str(), facts, |tally| {
            tally.fill(fill, book)
        });
    }

    pub(super) fn close(&mut self, trade: &ClosedTrade, facts: Option<&Facts>, entry: &str) {
        self.each(entry, facts, |tally| tally.close(trade));
    }

    pub(super) fn open(&mut self, pnl: Usdc, facts: Option<&Facts>, entry: &str) {
        self.each(entry, facts, |tally| tally.open(pnl));
    }

    pub(super) fn forecast(&mut self, forecast: &Forecast, facts: Option<&Facts>) {
        self.each(&forecast.strategy, facts, |tally| tally.forecast(forecast));
    }

    /// Rows by strategy, by category, and by market, the best result first; and what each market
    /// brought in all, pUSD.
    pub(super) fn rows(self) -> [Vec<GroupRow>; 3] {
        let named = |map: BTreeMap<String, Tally>| {
            sorted(map.iter().map(|(name, tally)| (tally, tally.row(name))))
        };
        let markets = self.markets.iter().map(|(id, (question, tally))| {
            let row = GroupRow {
                id: Some(id.to_string()),
                ..tally.row(question)
            };
            (tally, row)
        });
        [
            named(self.strategies),
            named(self.categories),
            sorted(markets),
        ]
    }
}

fn sorted<'a>(rows: impl Iterator<Item = (&'a Tally, GroupRow)>) -> Vec<GroupRow> {
    let mut rows: Vec<(&Tally, GroupRow)> = rows.collect();
    // Stable: equal results stay in order of names or ids.
    rows.sort_by_key(|(tally, _)| std::cmp::Reverse(tally.result()));
    rows.into_iter().map(|(_, row)| row).collect()
}
