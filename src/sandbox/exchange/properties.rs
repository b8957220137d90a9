//! Random sequences against a second, naive matcher and against the invariants.

use proptest::prelude::*;

use super::*;
use crate::domain::{FeeSchedule, Usdc};

const MARKETS: u32 = 3;
const AGENTS: u32 = 3;
const NOON: Timestamp = Timestamp::from_secs(1_790_000_000);

/// One step of a random story. Numbers are reduced to what exists when it is played.
#[derive(Debug, Clone)]
enum Step {
    Place {
        account: u32,
        market: u32,
        second: bool,
        sell: bool,
        cents: u32,
        lots: i64,
        kind: u8,
        post_only: bool,
    },
    Cancel(usize),
    CancelAll(u32),
    Trade(usize, u8),
    Split(u32, u32, i64),
    Tick(u32, bool),
    Settle(u32, u8),
    Redeem(u32, u32),
    Wait(i64),
}

fn placing() -> impl Strategy<Value = Step> {
    (
        (0..=AGENTS, 0..MARKETS, any::<bool>(), any::<bool>()),
        // Few prices, so that orders meet and queue.
        (38_u32..=62, 1_i64..=6_000, 0_u8..10, 0_u8..8),
    )
        .prop_map(
            |((account, market, second, sell), (cents, lots, kind, post))| Step::Place {
                account,
                market,
                second,
                sell,
                cents,
                lots,
                kind,
                post_only: post == 0,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => placing(),
        4 => any::<usize>().prop_map(Step::Cancel),
        1 => (0..=AGENTS).prop_map(Step::CancelAll),
        4 => (any::<usize>(), 0_u8..4).prop_map(|(trade, state)| Step::Trade(trade, state)),
        2 => (1..=AGENTS, 0..MARKETS, 1_i64..4_000).prop_map(|(a, m, n)| Step::Split(a, m, n)),
        1 => (0..MARKETS, any::<bool>()).prop_map(|(m, fine)| Step::Tick(m, fine)),
        1 => (0..MARKETS * 6, 0_u8..3).prop_map(|(m, how)| Step::Settle(m, how)),
        1 => (1..=AGENTS, 0..MARKETS).prop_map(|(a, m)| Step::Redeem(a, m)),
        2 => (1_i64..120).prop_map(Step::Wait),
    ]
}

/// pUSD and shares of one account.
type Owned = (Usdc, Vec<(MarketIdx, OutcomeSide, Shares)>);

/// What the naive matcher knows of a resting order.
#[derive(Debug, Clone)]
struct Resting {
    no: OrderNo,
    market: MarketIdx,
    outcome: OutcomeSide,
    side: Side,
    /// Cents times 100, so that a step of 0.001 stays whole.
    price: i64,
    lots: i64,
}

/// A list of orders, searched from end to end.
#[derive(Debug, Default)]
struct Naive {
    resting: Vec<Resting>,
}

impl Naive {
    /// What the taker would pay or get per share from this order, in 1/10,000 pUSD, if they match.
    fn offer(maker: &Resting, taker: &NewOrder, linked: bool) -> Option<i64> {
        if maker.market != taker.market {
            return None;
        }
        let price = if maker.outcome == taker.outcome {
            (maker.side != taker.side).then_some(maker.price)?
        } else {
            (linked && maker.side == taker.side).then_some(10_000 - maker.price)?
        };
        let limit = i64::from(taker.price.micros()) / 100;
        let accepted = match taker.side {
            Side::Buy => price <= limit,
            Side::Sell => price >= limit,
        };
        accepted.then_some(price)
    }

    /// Place in the list of the order that must be matched next, and its price for the taker.
    fn next(&self, taker: &NewOrder, linked: bool) -> Option<(usize, i64)> {
        let mut best: Option<(usize, i64)> = None;
        // The list is in order of arrival, so the first of several equal prices wins.
        for (place, maker) in self.resting.iter().enumerate() {
            if let Some(price) = Self::offer(maker, taker, linked) {
                let better = best.is_none_or(|(_, best)| match taker.side {
                    Side::Buy => price < best,
                    Side::Sell => price > best,
                });
                if better {
                    best = Some((place, price));
                }
            }
        }
        best
    }

    /// Matches: makers, prices and lots in order, and what is left of the quantity.
    fn run(&mut self, taker: &NewOrder, linked: bool) -> (Vec<(OrderNo, i64, i64)>, i64) {
        let mut fills = Vec::new();
        let (mut left, budget) = match taker.quantity {
            Quantity::Shares(size) => (size.micros() / 10_000, false),
            // A lot at a price of 1/10,000 pUSD costs one micro-pUSD.
            Quantity::Budget(amount) => (amount.micros(), true),
        };
        while let Some((place, price)) = self.next(taker, linked) {
            let there = self.resting[place].lots;
            let lots = there.min(if budget { left / price } else { left });
            if lots == 0 {
                break;
            }
            left -= if budget { lots * price } else { lots };
            self.resting[place].lots -= lots;
            fills.push((self.resting[place].no, price, lots));
            if self.resting[place].lots == 0 {
                self.resting.remove(place);
            }
        }
        (fills, left)
    }
}

struct World {
    exchange: Exchange,
    naive: Naive,
    now: Timestamp,
    all: Vec<OrderNo>,
    trades: u64,
    rich: bool,
}

fn cents(cents: u32) -> Price {
    Price::from_micros(cents * 10_000).unwrap()
}

impl World {
    /// With money to waste or with little.
    fn new(rich: bool) -> Self {
        let cash: i32 = if rich { 1_000_000 } else { 100 };
        let mut exchange = Exchange::new();
        for market in 0..MARKETS {
            let terms = MarketTerms {
                tick: cents(1),
                min_size: Shares::whole(5),
                fee: FeeSchedule::new(["0.07", "0.25", "0"][market as usize], 2 - market as u8 % 2)
                    .unwrap(),
                linked: market != 1,
                accepting: true,
            };
            exchange.add_market(terms, NOON);
        }
        for _ in 0..AGENTS {
            let account = exchange.open_account();
            exchange.deposit(account, Usdc::whole(cash)).unwrap();
            for market in 0..MARKETS {
                let pairs = Shares::whole(cash as u32 / 20);
                exchange.split(account, MarketIdx(market), pairs).unwrap();
            }
        }
        World {
            exchange,
            naive: Naive::default(),
            now: NOON,
            all: Vec::new(),
            trades: 0,
            rich,
        }
    }

    fn order(&self, step: &Step) -> Option<NewOrder> {
        let &Step::Place {
            account,
            market,
            second,
            sell,
            cents: price,
            lots,
            kind,
            post_only,
        } = step
        else {
            return None;
        };
        let size = Shares::from_micros(lots * 10_000).unwrap();
        let tif = match kind {
            0..=5 => Tif::Gtc,
            6 => Tif::Gtd(self.now.plus_millis(lots * 100)),
            7 => Tif::Fok,
            _ => Tif::Fak,
        };
        let quantity = if kind == 9 {
            Quantity::Budget(Usdc::from_micros(lots * 5_000))
        } else {
            Quantity::Shares(size)
        };
        Some(NewOrder {
            account: AccountId(account),
            market: MarketIdx(market),
            outcome: if second {
                OutcomeSide::Second
            } else {
                OutcomeSide::First
            },
            side: if sell { Side::Sell } else { Side::Buy },
            price: cents(price),
            quantity,
            tif,
            post_only: post_only && tif.rests(),
            at: self.now,
        })
    }

    /// Drops from the naive list what the exchange says is cancelled; matches are left to its own
    /// reckoning.
    fn forget(&mut self, gone: impl Fn(&Resting) -> bool) {
        self.naive.resting.retain(|order| !gone(order));
    }

    fn place(&mut self, order: NewOrder) -> Result<(), TestCaseError> {
        self.exchange.expire(order.market, order.at);
        let exchange = &self.exchange;
        self.naive
            .resting
            .retain(|resting| exchange.resting(resting.no).is_some());
        let linked = self.exchange.terms(order.market).unwrap().linked;
        let mut after = Naive {
            resting: self.naive.resting.clone(),
        };
        let (fills, left) = after.run(&order, linked);
        let before = self.exchange.totals();
        match self.exchange.place(order) {
            Err(refusal) => {
                prop_assert_eq!(self.exchange.totals(), before);
                prop_assert!(self.exchange.fills().is_empty());
                match refusal {
                    Refusal::FokUnfilled => {
                        // There was a rest; of a budget one that is worth a lot or more.
                        let short = fills.last().is_none_or(|(_, price, _)| {
                            let budget = matches!(order.quantity, Quantity::Budget(_));
                            left >= if budget { *price } else { 1 }
                        });
                        prop_assert!(short, "all of it was there");
                    }
                    Refusal::FakNoMatch => prop_assert!(fills.is_empty()),
                    Refusal::PostOnlyCrosses => prop_assert!(!fills.is_empty()),
                    Refusal::Balance { needed, available } => {
                        prop_assert!(!self.rich);
                        prop_assert!(needed > available);
                    }
                    Refusal::ShareBalance { needed, available } => {
                        prop_assert!(!self.rich);
                        prop_assert!(needed > available);
                    }
                    Refusal::MinNotional(amount) => prop_assert!(amount < Usdc::whole(1)),
                    Refusal::MinSize { size, .. } => prop_assert!(size < Shares::whole(5)),
                    Refusal::BudgetType => prop_assert!(order.side == Side::Sell),
                    Refusal::GtdTooSoon(_) | Refusal::NotAccepting | Refusal::Tick { .. } => {}
                    other => prop_assert!(false, "unexpected: {other}"),
                }
            }
            Ok(placed) => {
                prop_assert!(!order.post_only || fills.is_empty());
                let real: Vec<(OrderNo, i64, i64)> = self
                    .exchange
                    .fills()
                    .iter()
                    .map(|fill| {
                        (
                            fill.maker,
                            i64::from(fill.price.micros()) / 100,
                            fill.size.micros() / 10_000,
                        )
                    })
                    .collect();
                prop_assert_eq!(&real, &fills, "priority");
                self.check_bounds(&order, &placed)?;
                self.naive = after;
                if order.tif.rests() && left > 0 {
                    self.naive.resting.push(Resting {
                        no: placed.order,
                        market: order.market,
                        outcome: order.outcome,
                        side: order.side,
                        price: i64::from(order.price.micros()) / 100,
                        lots: left,
                    });
                    prop_assert_eq!(placed.resting.micros(), left * 10_000);
                } else {
                    prop_assert!(placed.resting.is_zero());
                }
                self.all.push(placed.order);
            }
        }
        Ok(())
    }

    /// Nothing beyond limit or quantity, FOK in full, the sums those of the fills.
    fn check_bounds(&self, order: &NewOrder, placed: &Placed) -> Result<(), TestCaseError> {
        let mut filled = 0;
        let mut notional = 0;
        let mut fee = 0;
        for fill in self.exchange.fills() {
            match order.side {
                Side::Buy => prop_assert!(fill.price <= order.price),
                Side::Sell => prop_assert!(fill.price >= order.price),
            }
            let product = i64::from(fill.price.micros()) * (fill.size.micros() / 10_000);
            prop_assert_eq!(fill.notional.micros() * 100, product);
            prop_assert_eq!(fill.fee.micros() % 10, 0);
            filled += fill.size.micros();
            notional += fill.notional.micros();
            fee += fill.fee.micros();
        }
        prop_assert_eq!(placed.filled.micros(), filled);
        prop_assert_eq!(placed.notional.micros(), notional);
        prop_assert_eq!(placed.fee.micros(), fee);
        match order.quantity {
            Quantity::Shares(size) => {
                prop_assert!(placed.filled.plus(placed.resting) <= size);
                if order.tif == Tif::Fok {
                    prop_assert_eq!(placed.filled, size);
                }
            }
            Quantity::Budget(budget) => prop_assert!(placed.notional <= budget),
        }
        Ok(())
    }

    fn play(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Place { .. } => {
                let order = self.order(step).unwrap();
                self.place(order)?;
            }
            Step::Cancel(which) => {
                if let Some(no) = self.all.get(which % self.all.len().max(1)).copied() {
                    let was = self.exchange.resting(no).is_some();
                    // It may be due in this very moment, which is no cancellation any more.
                    let done = self.exchange.cancel(no, self.now).is_ok();
                    prop_assert!(was || !done);
                    self.forget(|order| order.no == no);
                }
            }
            Step::CancelAll(account) => {
                let market = (account == 0).then_some(MarketIdx(0));
                let account = AccountId(account);
                let gone = self.exchange.cancel_all(account, market, None, self.now);
                self.forget(|order| gone.contains(&order.no));
                prop_assert!(self.exchange.open_orders(account).is_empty());
            }
            Step::Trade(which, state) => {
                let pending = self.exchange.pending_trades();
                if let Some(trade) = pending.get(which % pending.len().max(1)) {
                    let status = [
                        TradeStatus::Mined,
                        TradeStatus::Confirmed,
                        TradeStatus::Retrying,
                        TradeStatus::Failed,
                    ][state as usize];
                    let from = self.exchange.trade(*trade).unwrap().status;
                    let moved = self.exchange.set_trade_status(*trade, status, self.now);
                    prop_assert_eq!(moved.is_ok(), from.may_become(status));
                }
            }
            Step::Split(account, market, lots) => {
                let shares = Shares::from_micros(lots * 10_000).unwrap();
                let free = self.exchange.cash(AccountId(account)).unwrap().available();
                let split = self
                    .exchange
                    .split(AccountId(account), MarketIdx(market), shares);
                prop_assert_eq!(split.is_ok(), shares.micros() <= free.micros());
            }
            Step::Tick(market, fine) => {
                let tick = Price::from_micros(if fine { 1_000 } else { 20_000 }).unwrap();
                self.exchange.set_tick(MarketIdx(market), tick, self.now);
                let grid = i64::from(tick.micros()) / 100;
                self.forget(|order| order.market.0 == market && order.price % grid != 0);
            }
            Step::Settle(market, how) => {
                let payouts = [[1_000_000, 0], [0, 1_000_000], [500_000, 500_000]][how as usize];
                let market = MarketIdx(market);
                let open = self.exchange.state(market) == Some(MarketState::Open);
                let settled = self.exchange.settle(market, payouts, self.now);
                prop_assert_eq!(settled.is_ok(), open);
                self.forget(|order| order.market == market);
            }
            Step::Redeem(account, market) => {
                let (account, market) = (AccountId(account), MarketIdx(market));
                let before = self.exchange.cash(account).unwrap().total;
                let paid = self.exchange.redeem(account, market);
                let after = self.exchange.cash(account).unwrap().total;
                prop_assert_eq!(before.plus(paid), after);
            }
            Step::Wait(seconds) => {
                self.now = self.now.plus_millis(seconds * 1000);
                for market in 0..MARKETS {
                    self.exchange.expire(MarketIdx(market), self.now);
                }
                let exchange = &self.exchange;
                self.naive
                    .resting
                    .retain(|order| exchange.resting(order.no).is_some());
            }
        }
        Ok(())
    }

    /// Everything that must hold at any moment.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let exchange = &self.exchange;
        prop_assert!(exchange.totals().is_balanced(), "{:?}", exchange.totals());
        for market in (0..MARKETS).map(MarketIdx) {
            let state = &exchange.markets[market.0 as usize];
            let payouts = match state.state {
                MarketState::Settled(payouts) => Some(payouts),
                _ => None,
            };
            let mut owed = 0_i128;
            for outcome in [OutcomeSide::First, OutcomeSide::Second] {
                let (bid, ask) = exchange.best(market, outcome);
                if let (Some(bid), Some(ask)) = (bid, ask) {
                    prop_assert!(bid < ask, "crossed: {bid} {ask}");
                }
                // Shares: what all hold is what exists.
                let held: i64 = (1..=AGENTS)
                    .map(|account| exchange.holding(AccountId(account), market, outcome))
                    .map(|holding| holding.total.micros())
                    .sum();
                let crowd = outcome.of(&state.crowd).micros();
                let exist = outcome.of(&state.outstanding).micros();
                prop_assert_eq!(held + crowd, exist);
                if let Some(payouts) = payouts {
                    owed += i128::from(exist) * i128::from(*outcome.of(&payouts)) / 1_000_000;
                }
                self.check_depth(market, outcome)?;
            }
            let collateral = i128::from(state.collateral.micros());
            if payouts.is_some() {
                prop_assert_eq!(collateral, owed);
            } else {
                let [first, second] = state.outstanding;
                prop_assert_eq!(first, second);
                prop_assert_eq!(collateral, i128::from(first.micros()));
            }
        }
        for account in (1..=AGENTS).map(AccountId) {
            self.check_account(account)?;
        }
        let trades = exchange.trades.len() as u64;
        prop_assert!(trades >= self.trades);
        self.trades = trades;
        Ok(())
    }

    /// The levels are the naive list, summed by price.
    fn check_depth(&self, market: MarketIdx, outcome: OutcomeSide) -> Result<(), TestCaseError> {
        let linked = self.exchange.terms(market).unwrap().linked;
        let (bids, asks) = self.exchange.depth(market, outcome);
        for (levels, side) in [(bids, Side::Buy), (asks, Side::Sell)] {
            let mut sums: BTreeMap<i64, i64> = BTreeMap::new();
            for order in self.naive.resting.iter().filter(|o| o.market == market) {
                let (at, is) = if order.outcome == outcome {
                    (order.price, order.side)
                } else if linked {
                    let mirror = order.side.opposite();
                    (10_000 - order.price, mirror)
                } else {
                    continue;
                };
                if is == side {
                    *sums.entry(at).or_default() += order.lots;
                }
            }
            let mut expected: Vec<(i64, i64)> = sums.into_iter().collect();
            if side == Side::Buy {
                expected.reverse();
            }
            let real: Vec<(i64, i64)> = levels
                .iter()
                .map(|(price, size)| (i64::from(price.micros()) / 100, size.micros() / 10_000))
                .collect();
            prop_assert_eq!(real, expected);
        }
        Ok(())
    }

    /// Nobody below zero, and what is reserved and unsettled is what orders and trades say.
    fn check_account(&self, account: AccountId) -> Result<(), TestCaseError> {
        let cash = self.exchange.cash(account).unwrap();
        let open = self.exchange.open_orders(account);
        let reserved: i64 = open.iter().map(|order| order.reserved.micros()).sum();
        prop_assert_eq!(cash.reserved.micros(), reserved);
        prop_assert!(
            cash.total.micros() >= reserved + cash.unsettled.micros(),
            "{cash:?}"
        );
        prop_assert!(cash.unsettled.micros() >= 0 && reserved >= 0);
        let mut unsettled_cash = 0;
        let mut unsettled: BTreeMap<(MarketIdx, OutcomeSide), i64> = BTreeMap::new();
        for trade in self.exchange.trades(account) {
            if trade.status.is_final() {
                continue;
            }
            for party in [trade.taker, trade.maker] {
                if party.account == account {
                    if party.side == Side::Sell {
                        unsettled_cash += party.notional.micros() - party.fee.micros();
                    } else {
                        *unsettled.entry((trade.market, party.outcome)).or_default() +=
                            trade.size.micros();
                    }
                }
            }
        }
        prop_assert_eq!(cash.unsettled.micros(), unsettled_cash);
        for (market, outcome, holding) in self.exchange.positions(account) {
            let committed: i64 = open
                .iter()
                .filter(|order| {
                    let placed = order.placed;
                    placed.side == Side::Sell
                        && (placed.market, placed.outcome) == (market, outcome)
                })
                .map(|order| order.resting.micros())
                .sum();
            let waiting = unsettled.remove(&(market, outcome)).unwrap_or(0);
            prop_assert_eq!(holding.reserved.micros(), committed);
            prop_assert_eq!(holding.unsettled.micros(), waiting);
            prop_assert!(holding.total.micros() >= committed + waiting, "{holding:?}");
        }
        prop_assert!(unsettled.is_empty());
        for order in self.exchange.orders(account) {
            prop_assert!(order.matched.plus(order.resting) <= order.size);
            let rests = self.exchange.resting(order.order);
            prop_assert_eq!(rests.unwrap_or_default(), order.resting);
            prop_assert_eq!(rests.is_some(), order.status == OrderStatus::Live);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// The rich are never refused for want of money, so every match must be the naive one.
    #[test]
    fn matching_is_the_naive_one_and_nothing_is_lost(
        rich in any::<bool>(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(rich);
        for step in &steps {
            world.play(step)?;
            world.check()?;
        }
    }

    /// Failing every trade of a story without payouts or pairs leaves everybody as before it.
    #[test]
    fn failing_every_trade_restores_every_account(
        steps in prop::collection::vec(placing(), 1..80),
        (backwards, rich) in any::<(bool, bool)>(),
    ) {
        let mut world = World::new(rich);
        let state = |world: &World| -> Vec<Owned> {
            (1..=AGENTS)
                .map(|account| {
                    let account = AccountId(account);
                    let positions = world.exchange.positions(account);
                    (
                        world.exchange.cash(account).unwrap().total,
                        positions.into_iter().map(|(m, o, h)| (m, o, h.total)).collect(),
                    )
                })
                .collect()
        };
        let before = state(&world);
        for step in &steps {
            world.play(step)?;
        }
        let mut pending = world.exchange.pending_trades();
        if backwards {
            pending.reverse();
        }
        for trade in pending {
            world
                .exchange
                .set_trade_status(trade, TradeStatus::Failed, world.now)
                .unwrap();
            world.check()?;
        }
        prop_assert_eq!(state(&world), before);
    }
}
