//! What a strategy found, market after market, in a byte each.

use super::Finding;
use crate::domain::{Price, QuoteSide, Shares, Usdc};

/// What one strategy made of some markets. Causes are kept once, bids beside the markets.
#[derive(Debug, Default)]
pub struct Findings<'s> {
    codes: Vec<u8>,
    causes: Vec<&'s str>,
    /// Beside the codes up to the last market with bids; empty while there are none.
    bids: Vec<[Bid; 2]>,
    /// What each of two bids costs at least, likewise; [`Usdc::ZERO`] where that is not known.
    least: Vec<Usdc>,
}

/// What is bid for one outcome, or the code of why nothing is.
#[derive(Debug, Clone, Copy)]
struct Bid {
    shares: Shares,
    price: Price,
    /// [`NONE`] for a bid.
    cause: u8,
}

const OTHER: u8 = 0;
const BUY: u8 = 1;
/// Bids for both outcomes.
const BIDS: u8 = 2;
/// A bid for one outcome, and a cause for the other.
const ONE_BID: u8 = 3;
/// Bids for both outcomes, of which only the least cost is known.
const UNPRICED: u8 = 4;
/// The first cause has this code.
const FIRST: u8 = 5;
/// No more causes than this are told apart: what has another is to be looked at whole.
const MOST: usize = 250;
/// No cause.
const NONE: u8 = 0;
const NO_BIDS: [Bid; 2] = [Bid {
    shares: Shares::ZERO,
    price: Price::ZERO,
    cause: NONE,
}; 2];

/// What a strategy would bid in a market, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bids {
    /// It bids for both outcomes, and neither bid costs less, pUSD.
    pub least: Option<Usdc>,
    /// By outcome; `None` where the prices were not worked out.
    pub sides: Option<[Option<QuoteSide>; 2]>,
}

/// What a strategy made of some markets, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally<'s> {
    /// Markets of which it would buy something.
    pub buys: u32,
    /// Markets that it would bid in.
    pub quoted: u32,
    /// How often something was passed over for each cause: a market, or one outcome of a quoted one.
    pub causes: Vec<(&'s str, u32)>,
}

impl<'s> Findings<'s> {
    /// Of how many markets there are any.
    #[must_use]
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Forgets all of them, keeps the memory, and makes room for so many markets.
    pub fn restart(&mut self, markets: usize) {
        self.codes.clear();
        self.codes.reserve(markets);
        self.causes.clear();
        self.bids.clear();
        self.least.clear();
    }

    /// Adds what it made of the next market.
    pub fn push(&mut self, finding: Finding<'s>) {
        let code = match finding {
            Finding::Nothing(cause) => self.code_of(cause),
            Finding::Buy => Some(BUY),
            Finding::Bids(sides) => self.push_bids(sides),
            Finding::Unpriced(least) => {
                self.push_least(least);
                Some(UNPRICED)
            }
            Finding::Other => None,
        };
        self.codes.push(code.unwrap_or(OTHER));
    }

    /// Adds bids for both outcomes of the next market, of which each costs so much at least.
    pub fn push_priced(&mut self, bids: Finding<'s>, least: Usdc) {
        self.push_least(least);
        self.push(bids);
    }

    /// Notes bids for the next market.
    fn push_bids(&mut self, sides: [Result<QuoteSide, &'s str>; 2]) -> Option<u8> {
        let mut bids = NO_BIDS;
        let mut code = BIDS;
        for (bid, side) in bids.iter_mut().zip(sides) {
            match side {
                Ok(QuoteSide { price, shares }) => (bid.price, bid.shares) = (price, shares),
                Err(cause) => {
                    code = ONE_BID;
                    bid.cause = self.code_of(cause)?;
                }
            }
        }
        // All at once: few strategies bid, and one that does mostly bids often.
        self.bids.reserve(self.codes.capacity() - self.bids.len());
        self.bids.resize(self.codes.len(), NO_BIDS);
        self.bids.push(bids);
        Some(code)
    }

    /// Notes what the next market's bids cost at least.
    fn push_least(&mut self, least: Usdc) {
        // All at once, as with bids.
        self.least.reserve(self.codes.capacity() - self.least.len());
        self.least.resize(self.codes.len(), Usdc::ZERO);
        self.least.push(least);
    }

    /// The code of a cause; `None` when there are too many.
    fn code_of(&mut self, cause: &'s str) -> Option<u8> {
        let is_it = |known: &&'s str| std::ptr::eq(*known, cause);
        // Much is passed over for the same cause as what came before.
        if let Some(before) = self.codes.last().and_then(|code| code.checked_sub(FIRST))
            && self.causes.get(usize::from(before)).is_some_and(is_it)
        {
            return Some(before + FIRST);
        }
        let place = match self.causes.iter().position(is_it) {
            Some(place) => place,
            None if self.causes.len() >= MOST => return None,
            None => {
                self.causes.push(cause);
                self.causes.len() - 1
            }
        };
        Some(u8::try_from(place).ok()? + FIRST)
    }

    fn cause_of(&self, code: u8) -> Option<&'s str> {
        let place = code.checked_sub(FIRST)?;
        self.causes.get(usize::from(place)).copied()
    }

    fn side_of(&self, bid: &Bid) -> Result<QuoteSide, &'s str> {
        match self.cause_of(bid.cause) {
            Some(cause) => Err(cause),
            None => Ok(QuoteSide {
                price: bid.price,
                shares: bid.shares,
            }),
        }
    }

    /// What it made of the market at this place; [`Finding::Other`] where there is none.
    #[must_use]
    pub fn get(&self, place: usize) -> Finding<'s> {
        match self.codes.get(place) {
            Some(&BUY) => Finding::Buy,
            Some(&UNPRICED) => {
                let least = self.least.get(place);
                least.map_or(Finding::Other, |least| Finding::Unpriced(*least))
            }
            Some(&(BIDS | ONE_BID)) => match self.bids.get(place) {
                Some([first, second]) => Finding::Bids([self.side_of(first), self.side_of(second)]),
                None => Finding::Other,
            },
            Some(code) => self
                .cause_of(*code)
                .map_or(Finding::Other, Finding::Nothing),
            None => Finding::Other,
        }
    }

    /// Whether it is known what it makes of the market at this place.
    #[must_use]
    pub fn tells(&self, place: usize) -> bool {
        self.codes.get(place).is_some_and(|code| *code != OTHER)
    }

    /// Whether it would buy something at this place.
    #[must_use]
    pub fn buys(&self, place: usize) -> bool {
        self.codes.get(place) == Some(&BUY)
    }

    /// What it would bid at this place.
    #[must_use]
    pub fn bids(&self, place: usize) -> Bids {
        let least = self.least.get(place).copied();
        Bids {
            least: least.filter(|least| *least > Usdc::ZERO),
            sides: match self.get(place) {
                Finding::Bids(sides) => Some(sides.map(Result::ok)),
                Finding::Unpriced(_) => None,
                _ => Some([None; 2]),
            },
        }
    }

    /// How many bids there are at these places.
    #[must_use]
    pub fn count_bids(&self, places: impl Iterator<Item = usize>) -> u32 {
        let bids_at = |place| match self.codes.get(place) {
            Some(&(BIDS | UNPRICED)) => 2,
            Some(&ONE_BID) => 1,
            _ => 0,
        };
        places.map(bids_at).sum()
    }

    /// Adds the findings at these places of others, in this order.
    pub fn extend_from(
        &mut self,
        others: &Findings<'s>,
        places: impl Iterator<Item = usize> + Clone,
    ) {
        let Some(codes) = self.codes_of(&others.causes) else {
            self.codes.extend(places.map(|_| OTHER));
            return;
        };
        let own = |code: u8| codes.get(usize::from(code)).copied().unwrap_or(OTHER);
        let before = self.codes.len();
        let code_at = |place: usize| others.codes.get(place).copied().map_or(OTHER, own);
        self.codes.extend(places.clone().map(code_at));
        if !others.least.is_empty() {
            self.least.resize(before, Usdc::ZERO);
            let least_at = |place: usize| others.least.get(place).copied().unwrap_or(Usdc::ZERO);
            self.least.extend(places.clone().map(least_at));
        }
        if !others.bids.is_empty() {
            self.bids.resize(before, NO_BIDS);
            let bids_at = |place: usize| others.bids.get(place).copied().unwrap_or(NO_BIDS);
            let known = |bid: Bid| Bid {
                cause: own(bid.cause),
                ..bid
            };
            self.bids.extend(places.map(|place| {
                let [first, second] = bids_at(place);
                [known(first), known(second)]
            }));
        }
    }

    /// Own codes in place of those by which others call these causes; `None` when there are too many.
    fn codes_of(&mut self, causes: &[&'s str]) -> Option<[u8; 256]> {
        let mut codes = [OTHER; 256];
        let (plain, of_causes) = codes.split_at_mut(usize::from(FIRST));
        plain.copy_from_slice(&[OTHER, BUY, BIDS, ONE_BID, UNPRICED]);
        for (code, cause) in of_causes.iter_mut().zip(causes) {
            *code = self.code_of(cause)?;
        }
        Some(codes)
    }

    /// What it made of the markets at these places, in numbers.
    #[must_use]
    pub fn tally(&self, places: impl Iterator<Item = usize> + Clone) -> Tally<'s> {
        let mut counts = [0_u32; 256];
        let mut count = |code: u8| {
            if let Some(count) = counts.get_mut(usize::from(code)) {
                *count += 1;
            }
        };
        let mut one_sided = 0_u32;
        for place in places.clone() {
            let code = self.codes.get(place).copied().unwrap_or(OTHER);
            one_sided += u32::from(code == ONE_BID);
            count(code);
        }
        if one_sided > 0 {
            let one_sided = places.filter(|place| self.codes.get(*place) == Some(&ONE_BID));
            let sides = one_sided.filter_map(|place| self.bids.get(place)).flatten();
            sides
                .filter(|bid| bid.cause != NONE)
                .for_each(|bid| count(bid.cause));
        }
        let (plain, of_causes) = counts.split_at(usize::from(FIRST));
        let plain = |code: u8| plain.get(usize::from(code)).copied().unwrap_or_default();
        let causes = self.causes.iter().copied().zip(of_causes.iter().copied());
        Tally {
            buys: plain(BUY),
            quoted: plain(BIDS) + plain(ONE_BID) + plain(UNPRICED),
            causes: causes.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bid(cents: u32, shares: u32) -> QuoteSide {
        QuoteSide {
            price: Price::from_micros(cents * 10_000).unwrap(),
            shares: Shares::whole(shares),
        }
    }

    /// One of each kind, in two orders.
    fn some() -> Vec<Finding<'static>> {
        vec![
            Finding::Nothing("a"),
            Finding::Other,
            Finding::Bids([Ok(bid(40, 5)), Err("b")]),
            Finding::Buy,
            Finding::Bids([Err("a"), Ok(bid(60, 7))]),
            Finding::Nothing("c"),
            Finding::Unpriced(Usdc::whole(3)),
        ]
    }

    fn of<'s>(all: &[Finding<'s>]) -> Findings<'s> {
        let mut findings = Findings::default();
        all.iter().for_each(|finding| findings.push(*finding));
        findings
    }

    fn all<'s>(findings: &Findings<'s>, count: usize) -> Vec<Finding<'s>> {
        (0..count).map(|place| findings.get(place)).collect()
    }

    #[test]
    fn what_was_found_is_told_again() {
        let findings = of(&some());
        assert_eq!(all(&findings, 7), some());
        assert_eq!(findings.get(7), Finding::Other, "there is none");
        let tells: Vec<bool> = (0..8).map(|place| findings.tells(place)).collect();
        assert_eq!(tells, [true, false, true, true, true, true, true, false]);
        // Of the one-sided ones the cause of the other side counts.
        let tally = findings.tally([0, 0, 3, 5, 0, 2, 4, 4, 6, 9].into_iter());
        assert_eq!((tally.buys, tally.quoted), (1, 4));
        let mut causes = tally.causes;
        causes.sort_unstable();
        assert_eq!(causes, [("a", 5), ("b", 1), ("c", 1)]);
        let buys: Vec<bool> = (0..7).map(|place| findings.buys(place)).collect();
        assert_eq!(buys, [false, false, false, true, false, false, false]);
        let known = |sides| Bids {
            least: None,
            sides: Some(sides),
        };
        assert_eq!(findings.bids(2), known([Some(bid(40, 5)), None]));
        assert_eq!(findings.bids(4), known([None, Some(bid(60, 7))]));
        let unpriced = Bids {
            least: Some(Usdc::whole(3)),
            sides: None,
        };
        assert_eq!(findings.bids(6), unpriced);
        assert_eq!(
            [0, 1, 3, 7].map(|place| findings.bids(place)),
            [known([None; 2]); 4]
        );
    }

    #[test]
    fn bids_are_counted_by_outcome() {
        let mut findings = of(&some());
        findings.push(Finding::Bids([Ok(bid(40, 5)), Ok(bid(50, 5))]));
        assert_eq!(findings.count_bids(0..9), 6);
        assert_eq!(findings.count_bids([7, 7, 6].into_iter()), 6);
        assert_eq!(findings.tally([7].into_iter()).quoted, 1);
    }

    #[test]
    fn what_priced_bids_cost_at_least_is_told_beside_them() {
        let both = Finding::Bids([Ok(bid(40, 5)), Ok(bid(50, 5))]);
        let mut findings = of(&[Finding::Buy]);
        findings.push_priced(both, Usdc::whole(2));
        findings.push(both);
        let told = |findings: &Findings<'_>, place| {
            assert_eq!(findings.get(place), both);
            findings.bids(place).least
        };
        assert_eq!(told(&findings, 1), Some(Usdc::whole(2)));
        assert_eq!(told(&findings, 2), None);
        let mut others = of(&[Finding::Other]);
        others.extend_from(&findings, [2, 1].into_iter());
        assert_eq!(told(&others, 1), None);
        assert_eq!(told(&others, 2), Some(Usdc::whole(2)));
    }

    #[test]
    fn others_are_added_in_any_order_whatever_their_codes() {
        // Here the causes come in another order, and the first market has no bids.
        let mut findings = of(&[Finding::Nothing("c"), Finding::Nothing("b")]);
        findings.extend_from(&of(&some()), [4, 0, 5, 2, 6, 1, 9].into_iter());
        let expected = [
            Finding::Nothing("c"),
            Finding::Nothing("b"),
            some()[4],
            some()[0],
            some()[5],
            some()[2],
            some()[6],
            Finding::Other,
            Finding::Other,
        ];
        assert_eq!(all(&findings, 9), expected);
        findings.restart(1);
        assert_eq!(findings.get(0), Finding::Other);
        findings.push(Finding::Buy);
        assert_eq!(findings.get(0), Finding::Buy);
    }

    #[test]
    fn beyond_so_many_causes_nothing_is_told() {
        let words: Vec<String> = (0..=MOST).map(|number| number.to_string()).collect();
        let nothing: Vec<Finding<'_>> = words.iter().map(|word| Finding::Nothing(word)).collect();
        let mut findings = of(&nothing);
        assert_eq!(findings.get(MOST - 1), nothing[MOST - 1]);
        assert_eq!(findings.get(MOST), Finding::Other);
        findings.push(Finding::Bids([Ok(bid(40, 5)), Err(&words[MOST])]));
        assert_eq!(findings.get(MOST + 1), Finding::Other);
        // Nor of others, if they have one more.
        let others = of(&[Finding::Buy, Finding::Nothing(&words[MOST])]);
        findings.extend_from(&others, 0..2);
        for place in MOST + 2..MOST + 4 {
            assert_eq!(findings.get(place), Finding::Other);
            assert!(!findings.tells(place));
        }
        assert_eq!(findings.get(0), nothing[0]);
    }
}
