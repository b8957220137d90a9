//! What strategies found ahead, market after market, put in the order in which the account comes to it.

use std::ops::Range;

use crate::strategy::scout::Findings;

/// What strategies make of the markets of some moments in which nothing is at stake, as it was found.
#[derive(Debug, Default)]
pub(super) struct Looked<'s> {
    /// Which of all rows, in the order of time, these are.
    pub rows: Range<usize>,
    /// Where each of them is among those of all pieces.
    pub order: Vec<u32>,
    /// By piece of the markets, then by strategy, then market after market.
    pub pieces: Vec<Vec<Findings<'s>>>,
}

/// The same in the order of time.
#[derive(Debug, Default)]
pub(super) struct Scouted<'s> {
    rows: Range<usize>,
    /// By strategy, then by row.
    findings: Vec<Findings<'s>>,
    /// By strategy, then market after market: all pieces together.
    by_market: Vec<Findings<'s>>,
}

impl<'s> Scouted<'s> {
    /// Puts what was found in order, in place of what it held. The account reads it row by row: scattered over
    /// what another core has written, each would have to be waited for.
    pub(super) fn take(&mut self, looked: &Looked<'s>) {
        let strategies = looked.pieces.first().map_or(0, Vec::len);
        self.findings.resize_with(strategies, Findings::default);
        self.by_market.resize_with(strategies, Findings::default);
        let places = looked.order.iter().map(|place| *place as usize);
        let both = self.findings.iter_mut().zip(&mut self.by_market);
        for (strategy, (findings, by_market)) in both.enumerate() {
            by_market.restart(looked.order.len());
            for found in looked.pieces.iter().filter_map(|piece| piece.get(strategy)) {
                by_market.extend_from(found, 0..found.len());
            }
            findings.restart(looked.order.len());
            findings.extend_from(by_market, places.clone());
        }
        self.rows = looked.rows.clone();
    }

    /// Where the one of all rows at this place is among the findings; `None` when it is not.
    pub(super) fn index(&self, place: usize) -> Option<usize> {
        self.rows.contains(&place).then(|| place - self.rows.start)
    }

    /// Whether all is said of a row, if nothing is at stake.
    pub(super) fn tells(&self, index: usize) -> bool {
        // Without strategies nobody has looked.
        let mut all = self.findings.iter();
        !self.findings.is_empty() && all.all(|findings| findings.tells(index))
    }

    /// By strategy, then by row.
    pub(super) fn findings(&self) -> &[Findings<'s>] {
        &self.findings
    }
}
