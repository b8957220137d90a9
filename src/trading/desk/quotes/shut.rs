//! What a tick's refusals say of the quotes after them.

use crate::domain::{QuoteSide, Rounding, Side, Usdc, notional};

/// Nothing is given back while quotes are placed, so a limit on orders or on money that refused one would
/// refuse every order that asks for more than it has room for: those are counted, not judged and logged one by
/// one, tick after tick.
#[derive(Debug, Default)]
pub(super) struct Shut<'w> {
    /// Codes of the limits that refused.
    codes: Vec<String>,
    /// Place of the one that refuses all bids.
    bids: Option<usize>,
    /// Place of the one that refuses all asks.
    asks: Option<usize>,
    /// What a limit on the strategy had room for when it refused a bid last: there is no more by now.
    strategies: Vec<(&'w str, Usdc, usize)>,
    /// The same for a limit on the account.
    account: Option<(Usdc, usize)>,
    counted: Vec<Counted<'w>>,
}

/// How many of a strategy were counted under a limit.
#[derive(Debug)]
struct Counted<'w> {
    strategy: &'w str,
    code: usize,
    count: u32,
}

impl<'w> Shut<'w> {
    /// Place of the limit that would refuse this side of a quote, as far as is known.
    fn cause(&self, strategy: &str, side: Side, wanted: QuoteSide) -> Option<usize> {
        if side == Side::Sell {
            return self.asks;
        }
        if self.bids.is_some() {
            return self.bids;
        }
        if self.account.is_none() && self.strategies.is_empty() {
            return None;
        }
        let asked = cost(wanted);
        let has_no_room = |(room, _): &(Usdc, usize)| asked > *room;
        let of_account = self.account.filter(has_no_room);
        let shut = of_account.or_else(|| self.room_of(strategy).filter(has_no_room));
        shut.map(|(_, code)| code)
    }

    /// The same of a bid that costs so much or more: `None` where it depends on how much.
    fn cause_from(&self, strategy: &str, least: Usdc) -> Option<usize> {
        if self.bids.is_some() {
            return self.bids;
        }
        // A limit on the account comes first if it has no room either.
        let first = self.account.or_else(|| self.room_of(strategy));
        first
            .filter(|(room, _)| least > *room)
            .map(|(_, code)| code)
    }

    /// What a limit on the strategy had room for last, and its place.
    fn room_of(&self, strategy: &str) -> Option<(Usdc, usize)> {
        let mut all = self.strategies.iter();
        all.find(|(of, ..)| is_same(of, strategy))
            .map(|(_, room, code)| (*room, *code))
    }

    /// Whether this side of a quote is only counted; it is, then.
    pub(super) fn counts(&mut self, strategy: &'w str, side: Side, wanted: QuoteSide) -> bool {
        let cause = self.cause(strategy, side, wanted);
        self.counted_under(cause, strategy, 1)
    }

    /// Whether two bids that cost so much or more each are only counted; they are, then.
    pub(super) fn counts_both(&mut self, strategy: &'w str, least: Usdc) -> bool {
        let cause = self.cause_from(strategy, least);
        self.counted_under(cause, strategy, 2)
    }

    fn counted_under(&mut self, cause: Option<usize>, strategy: &'w str, count: u32) -> bool {
        if let Some(code) = cause {
            self.count(strategy, code, count);
        }
        cause.is_some()
    }

    /// Whether all bids are refused, whatever they are.
    pub(super) fn refuses_bids(&self) -> bool {
        self.bids.is_some()
    }

    /// Counts so many bids, if [all are refused](Shut::refuses_bids).
    pub(super) fn count_bids(&mut self, strategy: &'w str, count: u32) {
        if let Some(code) = self.bids
            && count > 0
        {
            self.count(strategy, code, count);
        }
    }

    fn count(&mut self, strategy: &'w str, code: usize, count: u32) {
        let mut known = self.counted.iter_mut().rev();
        match known.find(|one| one.code == code && is_same(one.strategy, strategy)) {
            Some(one) => one.count += count,
            None => self.counted.push(Counted {
                strategy,
                code,
                count,
            }),
        }
    }

    /// Strategy, code of the limit, and how many were counted.
    pub(super) fn counted(&self) -> impl Iterator<Item = (&'w str, &str, u32)> {
        self.counted
            .iter()
            .filter_map(|one| Some((one.strategy, self.codes.get(one.code)?.as_str(), one.count)))
    }

    /// Learns from the refusal of one side of a quote by the limit of this code; `room` is what a bid may
    /// cost under it, where it is a limit on money.
    pub(super) fn learn(
        &mut self,
        strategy: &'w str,
        side: Side,
        code: &str,
        room: impl FnOnce() -> Option<Usdc>,
    ) {
        let known = self.codes.iter().position(|known| known == code);
        let place = known.unwrap_or_else(|| {
            self.codes.push(code.to_owned());
            self.codes.len() - 1
        });
        match code {
            "max_open_orders" => {
                self.asks = Some(place);
                self.bids = Some(place);
            }
            _ if side == Side::Sell => {}
            "halted" | "max_orders_per_minute" | "max_daily_loss" | "max_drawdown_pct" => {
                self.bids = Some(place);
            }
            // An order that was judged asked for no more than any limit had room for: this one has less.
            _ => match room() {
                None => {}
                Some(room) if code == "max_strategy_exposure" => {
                    self.strategies.retain(|(of, ..)| *of != strategy);
                    self.strategies.push((strategy, room, place));
                }
                Some(room) => self.account = Some((room, place)),
            },
        }
    }
}

/// Whether two names are the same; mostly they lie at one place.
fn is_same(one: &str, other: &str) -> bool {
    std::ptr::eq(one, other) || one == other
}

/// What a bid claims: a post-only order pays no fee.
fn cost(wanted: QuoteSide) -> Usdc {
    notional(wanted.price, wanted.shares.floor_to_lot(), Rounding::Up)
        .unwrap_or(Usdc::from_micros(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Price, Shares};

    /// A bid that costs so many pUSD: at 0.50.
    fn bid(cost: u32) -> QuoteSide {
        QuoteSide {
            price: Price::from_micros(500_000).unwrap(),
            shares: Shares::whole(2 * cost),
        }
    }

    fn counted(shut: &Shut<'_>) -> Vec<(String, String, u32)> {
        let counted = shut.counted();
        let counted = counted.map(|(of, code, count)| (of.to_owned(), code.to_owned(), count));
        counted.collect()
    }

    fn row(strategy: &str, code: &str, count: u32) -> (String, String, u32) {
        (strategy.to_owned(), code.to_owned(), count)
    }

    /// What is not known exactly is only counted where every cost of so much or more has the same cause.
    #[test]
    fn bids_of_at_least_so_much_are_counted_where_each_that_costs_more_would_be() {
        let room = |pusd: i32| move || Some(Usdc::whole(pusd));
        let mut shut = Shut::default();
        assert!(!shut.counts_both("a", Usdc::whole(1_000)));
        shut.learn("a", Side::Buy, "max_strategy_exposure", room(10));
        assert!(!shut.counts_both("a", Usdc::whole(10)), "10 fit");
        assert!(shut.counts_both("a", Usdc::whole(11)));
        assert!(!shut.counts_both("b", Usdc::whole(11)), "another's room");
        shut.learn("b", Side::Buy, "max_total_exposure", room(30));
        // Of 20 the strategy's limit refuses, of more than 30 the account's: it depends.
        assert!(!shut.counts_both("a", Usdc::whole(20)));
        assert!(shut.counts("a", Side::Buy, bid(20)));
        assert!(shut.counts("a", Side::Buy, bid(31)));
        assert!(shut.counts_both("a", Usdc::whole(31)));
        let expected = [
            row("a", "max_strategy_exposure", 3),
            row("a", "max_total_exposure", 3),
        ];
        assert_eq!(counted(&shut), expected);
        // One that refuses all of them says so of any.
        shut.learn("b", Side::Buy, "max_orders_per_minute", room(0));
        assert!(shut.counts_both("b", Usdc::ZERO));
        assert_eq!(
            counted(&shut).pop(),
            Some(row("b", "max_orders_per_minute", 2))
        );
    }
}
