//! Cases that a person can follow with a pencil.

mod after;
mod rules;

use super::*;
use crate::domain::{FeeSchedule, Usdc};

use OutcomeSide::{First as Yes, Second as No};
use Side::{Buy, Sell};

const CROWD: AccountId = AccountId::CROWD;
const NOON: Timestamp = Timestamp::from_secs(1_790_000_000);

fn price(text: &str) -> Price {
    Price::parse(text).unwrap()
}

fn shares(text: &str) -> Shares {
    Shares::parse(text).unwrap()
}

fn usd(text: &str) -> Usdc {
    Usdc::parse(text).unwrap()
}

fn seconds(after_noon: i64) -> Timestamp {
    NOON.plus_millis(after_noon * 1000)
}

/// Price and size of each level as text.
type Rows = Vec<(String, String)>;

/// One market with a step of 0.01 and a fee rate of 5 %.
struct Table {
    exchange: Exchange,
    market: MarketIdx,
}

impl Table {
    fn new() -> Self {
        Self::with(true)
    }

    fn with(linked: bool) -> Self {
        let mut exchange = Exchange::new();
        let terms = MarketTerms {
            tick: price("0.01"),
            min_size: Shares::whole(5),
            fee: FeeSchedule::new("0.05", 1).unwrap(),
            linked,
            accepting: true,
        };
        let market = exchange.add_market(terms, NOON);
        Table { exchange, market }
    }

    fn account(&mut self, cash: &str) -> AccountId {
        let account = self.exchange.open_account();
        self.exchange.deposit(account, usd(cash)).unwrap();
        account
    }

    fn order(
        &self,
        account: AccountId,
        outcome: OutcomeSide,
        side: Side,
        at: &str,
        size: &str,
        tif: Tif,
    ) -> NewOrder {
        NewOrder {
            account,
            market: self.market,
            outcome,
            side,
            price: price(at),
            quantity: Quantity::Shares(shares(size)),
            tif,
            post_only: false,
            at: NOON,
        }
    }

    fn place(
        &mut self,
        account: AccountId,
        outcome: OutcomeSide,
        side: Side,
        at: &str,
        size: &str,
        tif: Tif,
    ) -> Result<Placed, Refusal> {
        let order = self.order(account, outcome, side, at, size, tif);
        let placed = self.exchange.place(order);
        assert!(self.exchange.totals().is_balanced());
        placed
    }

    fn gtc(
        &mut self,
        account: AccountId,
        outcome: OutcomeSide,
        side: Side,
        at: &str,
        size: &str,
    ) -> OrderNo {
        self.place(account, outcome, side, at, size, Tif::Gtc)
            .unwrap()
            .order
    }

    fn budget(
        &mut self,
        account: AccountId,
        at: &str,
        amount: &str,
        tif: Tif,
    ) -> Result<Placed, Refusal> {
        let order = NewOrder {
            quantity: Quantity::Budget(usd(amount)),
            ..self.order(account, Yes, Buy, at, "1", tif)
        };
        self.exchange.place(order)
    }

    fn cash(&self, account: AccountId) -> String {
        self.exchange.cash(account).unwrap().total.to_string()
    }

    fn free(&self, account: AccountId) -> String {
        self.exchange.cash(account).unwrap().available().to_string()
    }

    fn held(&self, account: AccountId, outcome: OutcomeSide) -> String {
        let holding = self.exchange.holding(account, self.market, outcome);
        holding.total.to_string()
    }

    fn depth(&self, outcome: OutcomeSide) -> (Rows, Rows) {
        let text = |levels: Levels| {
            levels
                .into_iter()
                .map(|(price, size)| (price.to_string(), size.to_string()))
                .collect()
        };
        let (bids, asks) = self.exchange.depth(self.market, outcome);
        (text(bids), text(asks))
    }

    fn confirm_all(&mut self) {
        for trade in self.exchange.pending_trades() {
            self.exchange
                .set_trade_status(trade, TradeStatus::Confirmed, NOON)
                .unwrap();
        }
    }
}

fn level(price: &str, size: &str) -> (String, String) {
    (price.to_owned(), size.to_owned())
}

#[test]
fn a_buy_walks_three_levels_and_rests_with_what_is_left() {
    let mut table = Table::new();
    let agent = table.account("100");
    table.gtc(CROWD, Yes, Sell, "0.52", "30");
    table.gtc(CROWD, Yes, Sell, "0.50", "10");
    table.gtc(CROWD, Yes, Sell, "0.51", "20");
    table.gtc(CROWD, Yes, Sell, "0.53", "50");
    let placed = table
        .place(agent, Yes, Buy, "0.52", "70", Tif::Gtc)
        .unwrap();
    // 10 × 0.50 + 20 × 0.51 + 30 × 0.52 = 5 + 10.2 + 15.6 = 30.8
    // Fees at 5 %: 10 × 0.25 × 0.05 = 0.125; 20 × 0.2499 × 0.05 = 0.2499;
    // 30 × 0.2496 × 0.05 = 0.3744; together 0.7493
    assert_eq!(placed.status, PlacedStatus::PartlyResting);
    assert_eq!(placed.filled, shares("60"));
    assert_eq!(placed.notional, usd("30.8"));
    assert_eq!(placed.fee, usd("0.7493"));
    assert_eq!(placed.resting, shares("10"));
    let fills: Vec<(String, String, String)> = table
        .exchange
        .fills()
        .iter()
        .map(|fill| {
            (
                fill.price.to_string(),
                fill.size.to_string(),
                fill.fee.to_string(),
            )
        })
        .collect();
    assert_eq!(
        fills,
        [
            ("0.5".into(), "10".into(), "0.125".into()),
            ("0.51".into(), "20".into(), "0.2499".into()),
            ("0.52".into(), "30".into(), "0.3744".into()),
        ]
    );
    // 100 − 30.8 − 0.7493 = 68.4507; the rest keeps 10 × 0.52 = 5.2 and 10 × 0.2496 × 0.05 = 0.1248.
    assert_eq!(table.cash(agent), "68.4507");
    assert_eq!(table.free(agent), "63.1259");
    assert_eq!(table.held(agent, Yes), "60");
    let (bids, asks) = table.depth(Yes);
    assert_eq!(bids, [level("0.52", "10")]);
    assert_eq!(asks, [level("0.53", "50")]);
    // The crowd had to mint the sixty pairs and was paid 30.8 for one half of them.
    let totals = table.exchange.totals();
    assert_eq!(totals.collateral, 60_000_000);
    assert_eq!(totals.crowd, 30_800_000 - 60_000_000);
    assert_eq!(totals.fees, 749_300);
}

#[test]
fn buyers_of_both_outcomes_mint_a_pair() {
    let mut table = Table::new();
    let (alice, bob) = (table.account("100"), table.account("100"));
    table.gtc(alice, No, Buy, "0.40", "50");
    // A bid for No at 0.40 is an offer of Yes at 0.60.
    assert_eq!(table.depth(Yes), (vec![], vec![level("0.6", "50")]));
    assert_eq!(table.depth(No), (vec![level("0.4", "50")], vec![]));
    let placed = table.place(bob, Yes, Buy, "0.60", "20", Tif::Fok).unwrap();
    assert_eq!(placed.status, PlacedStatus::Matched);
    assert_eq!(table.exchange.fills()[0].kind, MatchKind::Mint);
    // Bob: 20 × 0.60 = 12, fee 20 × 0.24 × 0.05 = 0.24. Alice: 20 × 0.40 = 8, no fee.
    assert_eq!(table.cash(bob), "87.76");
    assert_eq!(table.cash(alice), "92");
    assert_eq!(
        (table.held(bob, Yes), table.held(bob, No)),
        ("20".into(), "0".into())
    );
    assert_eq!(
        (table.held(alice, Yes), table.held(alice, No)),
        ("0".into(), "20".into())
    );
    assert_eq!(table.exchange.totals().collateral, 20_000_000);
    assert_eq!(table.exchange.totals().crowd, 0);
    assert_eq!(table.exchange.open_interest(table.market), shares("20"));
}

#[test]
fn the_taker_of_a_mint_gets_the_better_price() {
    let mut table = Table::new();
    let bob = table.account("100");
    table.gtc(CROWD, No, Buy, "0.45", "20");
    table.place(bob, Yes, Buy, "0.60", "20", Tif::Fak).unwrap();
    // No bid 0.45, so Yes costs 0.55: 20 × 0.55 = 11, fee 20 × 0.2475 × 0.05 = 0.2475.
    assert_eq!(table.cash(bob), "88.7525");
}

#[test]
fn sellers_of_both_outcomes_merge_a_pair() {
    let mut table = Table::new();
    let (alice, bob) = (table.account("50"), table.account("50"));
    table
        .exchange
        .split(alice, table.market, shares("30"))
        .unwrap();
    table
        .exchange
        .split(bob, table.market, shares("30"))
        .unwrap();
    assert_eq!(table.exchange.totals().collateral, 60_000_000);
    table.gtc(alice, Yes, Sell, "0.70", "30");
    let placed = table.place(bob, No, Sell, "0.25", "10", Tif::Fak).unwrap();
    // Alice asks 0.70 for Yes, so No fetches 0.30: 10 × 0.30 = 3, fee 10 × 0.21 × 0.05 = 0.105.
    assert_eq!(placed.notional, usd("3"));
    assert_eq!(table.exchange.fills()[0].kind, MatchKind::Merge);
    assert_eq!(table.cash(bob), "22.895");
    assert_eq!(table.cash(alice), "27");
    assert_eq!(
        (table.held(bob, Yes), table.held(bob, No)),
        ("30".into(), "20".into())
    );
    assert_eq!(
        (table.held(alice, Yes), table.held(alice, No)),
        ("20".into(), "30".into())
    );
    assert_eq!(table.exchange.totals().collateral, 50_000_000);
    assert_eq!(table.exchange.totals().fees, 105_000);
}

#[test]
fn first_come_first_served_across_both_outcomes() {
    let mut table = Table::new();
    let agent = table.account("100");
    let first = table.gtc(CROWD, Yes, Sell, "0.60", "10");
    let second = table.gtc(agent, No, Buy, "0.40", "10");
    let third = table.gtc(CROWD, Yes, Sell, "0.60", "10");
    table
        .place(CROWD, Yes, Buy, "0.60", "15", Tif::Fak)
        .unwrap();
    let fills: Vec<(OrderNo, Shares)> = table
        .exchange
        .fills()
        .iter()
        .map(|fill| (fill.maker, fill.size))
        .collect();
    assert_eq!(fills, [(first, shares("10")), (second, shares("5"))]);
    assert_eq!(table.exchange.resting(first), None);
    assert_eq!(table.exchange.resting(second), Some(shares("5")));
    assert_eq!(table.exchange.resting(third), Some(shares("10")));
    // Half of 10 × 0.40 is paid; the rest keeps 2 and its fee 5 × 0.24 × 0.05 = 0.06.
    assert_eq!(table.cash(agent), "98");
    assert_eq!(table.free(agent), "95.94");
}

#[test]
fn unlinked_books_never_meet() {
    let mut table = Table::with(false);
    table.gtc(CROWD, No, Buy, "0.45", "20");
    let placed = table
        .place(CROWD, Yes, Buy, "0.60", "20", Tif::Gtc)
        .unwrap();
    assert_eq!(placed.status, PlacedStatus::Resting);
    assert_eq!(table.depth(Yes), (vec![level("0.6", "20")], vec![]));
    assert_eq!(table.depth(No), (vec![level("0.45", "20")], vec![]));
    table
        .place(CROWD, No, Sell, "0.45", "20", Tif::Fok)
        .unwrap();
    assert_eq!(table.depth(No), (vec![], vec![]));
}

#[test]
fn changes_are_reported_for_what_is_watched_only() {
    let mut table = Table::new();
    let agent = table.account("100");
    let market = table.market;
    table.gtc(CROWD, Yes, Sell, "0.50", "10");
    assert!(table.exchange.take_changes().is_empty());
    table.exchange.watch(market, true);
    table.exchange.watch_account(agent, true);
    let resting = table.gtc(agent, No, Buy, "0.50", "10");
    let placed = table
        .place(agent, Yes, Buy, "0.50", "25", Tif::Fak)
        .unwrap();
    let said: Vec<String> = table
        .exchange
        .take_changes()
        .into_iter()
        .map(|change| match change.kind {
            ChangeKind::Level(level) => format!(
                "{:?} {:?} {} {}",
                level.outcome, level.side, level.price, level.total
            ),
            ChangeKind::Trade { price, size, .. } => format!("trade {size} at {price}"),
            ChangeKind::Order(event, record) => format!(
                "{} {event:?} {} of {}, {} rest",
                if record.order == resting {
                    "maker"
                } else {
                    "taker"
                },
                record.matched,
                record.size,
                record.resting
            ),
            ChangeKind::AgentTrade(record) => format!("{:?} {}", record.status, record.size),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        said,
        [
            "maker Placement 0 of 10, 0 rest",
            "First Sell 0.5 20",
            "taker Placement 0 of 25, 0 rest",
            "trade 10 at 0.5",
            "Matched 10",
            "trade 10 at 0.5",
            "Matched 10",
            "maker Update 10 of 10, 0 rest",
            "First Sell 0.5 0",
            "taker Update 20 of 25, 0 rest",
            "taker Cancellation 20 of 25, 0 rest",
        ]
    );
    assert_eq!(placed.filled, shares("20"));
    let level = LevelChange {
        outcome: Yes,
        side: Sell,
        price: price("0.3"),
        total: shares("7"),
    };
    let mirror = LevelChange {
        outcome: No,
        side: Buy,
        price: price("0.7"),
        total: shares("7"),
    };
    assert_eq!(level.mirror(), mirror);

    table.exchange.watch_lifecycles(true);
    let terms = *table.exchange.terms(market).unwrap();
    let second = table.exchange.add_market(terms, NOON);
    table.exchange.set_tick(market, price("0.001"), NOON);
    table.exchange.settle(second, [0, 1_000_000], NOON).unwrap();
    table.exchange.watch(market, false);
    table.exchange.watch_account(agent, false);
    table.gtc(agent, No, Buy, "0.50", "10");
    let kinds: Vec<(MarketIdx, ChangeKind)> = table
        .exchange
        .take_changes()
        .into_iter()
        .map(|change| (change.market, change.kind))
        .collect();
    let (old, new) = (price("0.01"), price("0.001"));
    let payouts = [0, 1_000_000];
    assert_eq!(
        kinds,
        [
            (second, ChangeKind::Opened),
            (market, ChangeKind::Tick { old, new }),
            (second, ChangeKind::Closed),
            (second, ChangeKind::Resolved { payouts }),
        ]
    );
}

#[test]
fn last_trade_and_turnover_are_the_takers() {
    let mut table = Table::new();
    table.gtc(CROWD, Yes, Buy, "0.60", "10");
    let sale = NewOrder {
        at: seconds(7),
        ..table.order(CROWD, No, Buy, "0.40", "5", Tif::Fok)
    };
    table.exchange.place(sale).unwrap();
    let last = table.exchange.last_trade(table.market).unwrap();
    assert_eq!(
        (last.outcome, last.side, last.price, last.size, last.at),
        (No, Buy, price("0.4"), shares("5"), seconds(7))
    );
    let turnover = table.exchange.turnover(table.market);
    assert_eq!(turnover.trades, 1);
    assert_eq!(turnover.notional, usd("2"));
    assert_eq!(table.exchange.changed_at(table.market), Some(seconds(7)));
    assert_eq!(
        table.exchange.best(table.market, No),
        (None, Some(price("0.4")))
    );
    assert_eq!(
        table.exchange.best(table.market, Yes),
        (Some(price("0.6")), None)
    );
}
