//! In which markets of a recording something is at stake.

use crate::market_data::recorded::Dataset;
use crate::trading::ledger::Ledger;

/// Markets by number in the data set.
#[derive(Debug, Default)]
pub(super) struct AtStake {
    flags: Vec<bool>,
    /// Those that are.
    numbers: Vec<usize>,
}

impl AtStake {
    /// Notes the markets in which something is held, an order waits or an estimate is stored.
    pub(super) fn note(&mut self, dataset: &Dataset, ledger: &Ledger) {
        self.flags.resize(dataset.series().len(), false);
        for number in self.numbers.drain(..) {
            set(&mut self.flags, number, false);
        }
        let held = ledger.positions().values();
        let held = held.map(|position| &position.market_id);
        let waiting = ledger.open_orders().map(|(order, _)| &order.market_id);
        for market in held.chain(waiting).chain(ledger.estimates().keys()) {
            if let Some(number) = dataset.index_of(market.as_str()) {
                set(&mut self.flags, number, true);
                self.numbers.push(number);
            }
        }
    }

    /// Whether something is at stake in this market.
    pub(super) fn contains(&self, number: usize) -> bool {
        self.flags.get(number).copied().unwrap_or(false)
    }
}

/// Sets a flag, where there is one.
pub(super) fn set(flags: &mut [bool], number: usize, value: bool) {
    if let Some(flag) = flags.get_mut(number) {
        *flag = value;
    }
}
