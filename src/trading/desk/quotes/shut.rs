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
        let (side_shut, is_bid) = match side {
            Side::Buy => (self.bids, true),
            Side::Sell => (self.asks, false),
        };
        if side_shut.is_some() {
            return side_shut;
        }
        if !is_bid || (self.account.is_none() && self.strategies.is_empty()) {
            return None;
        }
        let asked = cost(wanted);
        let of_account = self.account.filter(|(room, _)| asked > *room);
        let of_strategy = || {
            let mut all = self.strategies.iter();
            all.find(|(of, room, _)| is_same(of, strategy) && asked > *room)
                .map(|(.., code)| *code)
        };
        of_account.map(|(_, code)| code).or_else(of_strategy)
    }

    /// Whether this side of a quote is only counted; it is, then.
    pub(super) fn counts(&mut self, strategy: &'w str, side: Side, wanted: QuoteSide) -> bool {
        let Some(code) = self.cause(strategy, side, wanted) else {
            return false;
        };
        self.count(strategy, code, 1);
        true
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
