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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::scout::Finding;

    fn found(all: &[Finding<'static>]) -> Findings<'static> {
        let mut findings = Findings::default();
        all.iter().for_each(|one| findings.push(*one));
        findings
    }

    /// Two strategies, markets 0 and 1 in a piece and 2 in another; rows 7 to 10 are those of 2, 0, 1 and 2.
    #[test]
    fn what_was_found_market_by_market_is_told_row_by_row() {
        let nothing = Finding::Nothing;
        let first = [[nothing("a"), nothing("b")], [Finding::Buy, nothing("c")]];
        let second = [[nothing("b"), nothing("d")], [nothing("e"), Finding::Other]];
        let looked = Looked {
            rows: 7..11,
            order: vec![2, 0, 1, 3],
            pieces: [first, second]
                .map(|of| of.iter().map(|all| found(all)).collect())
                .into(),
        };
        let mut scouted = Scouted::default();
        assert!(!scouted.tells(0), "nobody has looked");
        // What it held before is gone.
        for _ in 0..2 {
            scouted.take(&looked);
            let told = |strategy: usize| -> Vec<Finding<'_>> {
                let findings = &scouted.findings()[strategy];
                (0..findings.len()).map(|row| findings.get(row)).collect()
            };
            assert_eq!(told(0), ["b", "a", "b", "d"].map(nothing));
            let expected = [nothing("e"), Finding::Buy, nothing("c"), Finding::Other];
            assert_eq!(told(1), expected);
        }
        let index = [6, 7, 10, 11].map(|row| scouted.index(row));
        assert_eq!(index, [None, Some(0), Some(3), None]);
        assert_eq!([0, 3].map(|row| scouted.tells(row)), [true, false]);
    }
}
