//! Random lives of an account: whatever comes in whatever order, the accounts balance, nothing is
//! negative, no limit is passed, no book gives more than it holds, and the events tell it all.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::domain::{
    Basket, Book, BookOrigin, ConditionalKind, FeeSchedule, Fill, Intent, LedgerEvent, Level,
    Market, MarketId, Order, OrderOutcome, OrderType, Price, Print, Quote, QuoteSide, Rounding,
    Shares, Side, Signal, Snapshot, StampedEvent, Timestamp, TokenId, Usdc, notional,
};
use crate::trading::config::{RiskConfig, SizingMethod, TradingConfig};
use crate::trading::desk::{AgentOrder, CancelScope, Input as Command, NewConditional};
use crate::trading::ledger::Ledger;
use crate::trading::matching::remaining_book;
use crate::trading::test_support::{
    Account, NOON, Scene, basket, market, says, sh, signal, usd, wanted,
};

mod judge;

const MARKETS: [&str; 2] = ["m", "n"];

/// Half of a book: distances in ticks from the level before, with hundredths of shares.
pub(crate) type Ladder = Vec<(u32, i64)>;

/// One input, in small numbers that are made legal, or nearly so, when it is played.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// Time passes and one token's book is replaced: mid in ticks, bids, asks.
    Book {
        token: usize,
        seconds: i64,
        mid: u32,
        bids: Ladder,
        asks: Ladder,
    },
    /// A tick with these intents, on the books as they are.
    Tick { seconds: i64, intents: Vec<Wish> },
    /// An agent's order.
    Order {
        token: usize,
        sell: bool,
        cents: i64,
        limit: u32,
        kind: u8,
        life: i64,
        client: Option<u8>,
    },
    /// A trade of others, and the books looked at.
    Print {
        token: usize,
        taker: u8,
        price: u32,
        shares: i64,
    },
    /// An open order withdrawn, or all of them.
    Cancel { id: u64 },
    /// The kill switch pulled or lifted.
    Halt { on: bool },
    /// A conditional order.
    Guard {
        token: usize,
        kind: u8,
        trigger: u32,
        shares: Option<i64>,
        trail: u32,
    },
    /// A conditional order withdrawn.
    Withdraw { id: u64 },
    /// Money paid in.
    Deposit { cents: i64 },
    /// A market resolves: Yes pays so many halves.
    Resolve { market: usize, halves: u32 },
}

#[derive(Debug, Clone)]
pub(crate) enum Wish {
    Signal {
        token: usize,
        sell: bool,
        limit: u32,
        cents: i64,
        stop: Option<u32>,
    },
    Basket {
        limits: (u32, u32),
        shares: i64,
    },
    Quote {
        token: usize,
        bid: Option<(u32, i64)>,
        ask: Option<(u32, i64)>,
    },
}

/// Prices in cents, mostly where books meet, so that lives are not only refusals.
fn ticks() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 40_u32..=60, 1 => 1_u32..=99]
}

fn ladder() -> impl Strategy<Value = Ladder> {
    prop::collection::vec((1_u32..5, 200_i64..20_000), 0..4)
}

fn wish() -> impl Strategy<Value = Wish> {
    let size = 50_i64..3_000;
    let side = || prop::option::of((ticks(), 400_i64..3_000));
    prop_oneof![
        3 => (0_usize..4, any::<bool>(), ticks(), size, prop::option::of(ticks())).prop_map(
            |(token, sell, limit, cents, stop)| Wish::Signal { token, sell, limit, cents, stop }
        ),
        2 => ((ticks(), ticks()), 200_i64..2_000)
            .prop_map(|(limits, shares)| Wish::Basket { limits, shares }),
        2 => (0_usize..4, side(), side())
            .prop_map(|(token, bid, ask)| Wish::Quote { token, bid, ask }),
    ]
}

pub(crate) fn input() -> impl Strategy<Value = Input> {
    let seconds = || prop_oneof![30 => 0_i64..20, 1 => 20_000_i64..50_000];
    prop_oneof![
        16 => (0_usize..4, seconds(), ticks(), ladder(), ladder()).prop_map(
            |(token, seconds, mid, bids, asks)| Input::Book { token, seconds, mid, bids, asks }
        ),
        12 => (seconds(), prop::collection::vec(wish(), 0..4))
            .prop_map(|(seconds, intents)| Input::Tick { seconds, intents }),
        12 => (0_usize..4, any::<bool>(), 50_i64..2_500, ticks(), (0_u8..6, 100_i64..400),
            prop::option::weighted(0.2, 0_u8..9)).prop_map(|(token, sell, cents, limit, (kind, life), client)| {
                Input::Order { token, sell, cents, limit, kind, life, client }
            }),
        12 => (0_usize..4, 0_u8..3, ticks(), 100_i64..30_000).prop_map(
            |(token, taker, price, shares)| Input::Print { token, taker, price, shares }
        ),
        2 => (0_u64..40).prop_map(|id| Input::Cancel { id }),
        1 => any::<bool>().prop_map(|on| Input::Halt { on }),
        5 => (0_usize..4, 0_u8..3, ticks(), prop::option::of(0_i64..5_000), 0_u32..100).prop_map(
            |(token, kind, trigger, shares, trail)| Input::Guard { token, kind, trigger, shares, trail }
        ),
        1 => (0_u64..8).prop_map(|id| Input::Withdraw { id }),
        1 => (1_i64..5_000).prop_map(|cents| Input::Deposit { cents }),
        1 => (0_usize..2, 0_u32..=2).prop_map(|(market, halves)| Input::Resolve { market, halves }),
    ]
}

fn cent(ticks: u32) -> Price {
    Price::from_micros(ticks * 10_000).unwrap()
}

fn hundredths(shares: i64) -> Shares {
    Shares::from_micros(shares * 10_000).unwrap()
}

fn cents(amount: i64) -> Usdc {
    Usdc::from_micros(amount * 10_000)
}

fn market_of(token: usize) -> &'static str {
    MARKETS[token / 2]
}

fn token_id(token: usize) -> TokenId {
    let outcome = if token.is_multiple_of(2) { "yes" } else { "no" };
    TokenId::new(format!("{}-{outcome}", market_of(token)))
}

/// Both markets are of one event.
fn odd_market(id: &str) -> Market {
    Market {
        event_id: Some("e".into()),
        fee: FeeSchedule::new("0.07", 1).unwrap(),
        ..market(id)
    }
}

/// The world that inputs change, and the account that lives in it.
pub(crate) struct Life {
    pub(crate) account: Account,
    now: Timestamp,
    books: BTreeMap<TokenId, Book>,
    over: BTreeMap<&'static str, u32>,
    prints: Vec<Print>,
    /// Shares that each trade of others gave so far, by its place in `prints`.
    printed: Vec<Shares>,
    /// What each level gave so far, by token, side of our orders and price.
    given: BTreeMap<(TokenId, Side, Price), Shares>,
    /// When orders were accepted.
    accepted: Vec<Timestamp>,
    /// The account as it was before the first leg of a basket: its legs are judged together.
    judged: Option<(u64, Ledger)>,
    /// The ledger event by event, to see each decision where it was taken.
    follower: Ledger,
    followed: usize,
}

impl Life {
    pub(crate) fn new(kelly: bool) -> Self {
        let account = Account::new("150").configured(|config| {
            config.risk = RiskConfig {
                max_position_size: usd("25"),
                max_daily_loss: usd("25"),
                max_open_orders: 3,
                max_market_exposure: usd("70"),
                max_total_exposure: usd("110"),
                max_event_exposure: usd("90"),
                max_strategy_exposure: usd("75"),
                max_drawdown_pct: Price::from_micros(400_000).unwrap(),
                max_orders_per_minute: 12,
                max_price_distance: cent(15),
                min_liquidity: usd("2"),
                max_spread: cent(75),
                max_book_age_seconds: 600,
            };
            config.conditional.enabled = true;
            config.conditional.trailing_stop_enabled = true;
            if kelly {
                config.sizing.method = SizingMethod::FractionalKelly;
                config.sizing.kelly_fraction = 1.0;
                // Below the event's, which else comes first.
                config.risk.max_total_exposure = usd("85");
            }
        });
        Life {
            account,
            now: NOON,
            books: BTreeMap::new(),
            prints: Vec::new(),
            printed: Vec::new(),
            over: BTreeMap::new(),
            given: BTreeMap::new(),
            accepted: Vec::new(),
            judged: None,
            follower: Ledger::default(),
            followed: 0,
        }
    }

    /// Orders take so long to arrive, ms.
    pub(crate) fn with_latency(mut self, latency_ms: u32) -> Self {
        self.account.config.execution.latency_ms = latency_ms;
        self
    }

    fn snapshot(&self) -> Snapshot {
        let mut scene = Scene::new(self.now);
        for id in MARKETS {
            let market = odd_market(id);
            let books = market
                .outcomes
                .iter()
                .filter_map(|outcome| self.books.get(&outcome.token).cloned())
                .collect();
            scene = scene.with(market, books);
            if let Some(halves) = self.over.get(id) {
                scene = scene.resolved(id, ["0", "0.5", "1"][*halves as usize]);
            }
        }
        // All of them each time: none may count twice.
        scene.build().with_prints(self.prints.clone())
    }

    pub(crate) fn play(&mut self, input: Input) {
        match input {
            Input::Book {
                token,
                seconds,
                mid,
                bids,
                asks,
            } => {
                self.now = self.now.plus_millis(seconds * 1000 + 1);
                let side = |ladder: Ladder, up: bool| {
                    let mut price = mid;
                    let mut levels = Vec::new();
                    for (step, size) in ladder {
                        price = if up {
                            price + step
                        } else {
                            price.saturating_sub(step)
                        };
                        if (1..=99).contains(&price) {
                            levels.push(Level {
                                price: cent(price),
                                size: hundredths(size),
                            });
                        }
                    }
                    levels
                };
                let id = token_id(token);
                let (bids, asks) = (side(bids, false), side(asks, true));
                let book = Book::new(id.clone(), bids, asks, self.now, BookOrigin::Venue);
                if book.is_sound() {
                    self.see(&book);
                }
                self.books.insert(id, book);
            }
            Input::Tick { seconds, intents } => {
                self.now = self.now.plus_millis(seconds * 1000);
                let intents = intents.into_iter().map(intent).collect();
                let snapshot = self.snapshot();
                self.account.tick(&snapshot, vec![says("random", intents)]);
            }
            Input::Order {
                token,
                sell,
                cents: size,
                limit,
                kind,
                life,
                client,
            } => {
                let kinds = [
                    OrderType::Fak,
                    OrderType::Fok,
                    OrderType::Gtc,
                    OrderType::Gtc,
                    OrderType::Gtd,
                    OrderType::PostOnly,
                ];
                let order_type = kinds[usize::from(kind)];
                let end = self.now.plus_millis(life * 1000);
                let order = AgentOrder {
                    market_id: market_of(token).into(),
                    token_id: token_id(token),
                    side: if sell { Side::Sell } else { Side::Buy },
                    size: cents(size),
                    limit: cent(limit),
                    order_type,
                    expires_at: (order_type == OrderType::Gtd).then_some(end),
                    client_order_id: client.map(|number| number.to_string()),
                    ..wanted(Side::Buy, "1", "0.5")
                };
                let snapshot = self.snapshot();
                let _refused_or_not = self.account.order(&order, &snapshot);
            }
            Input::Print {
                token,
                taker,
                price,
                shares,
            } => {
                self.now = self.now.plus_millis(1);
                self.prints.push(Print {
                    token: token_id(token),
                    taker: [None, Some(Side::Buy), Some(Side::Sell)][usize::from(taker)],
                    price: cent(price),
                    shares: hundredths(shares),
                    at: self.now,
                });
                self.printed.push(Shares::ZERO);
                let snapshot = self.snapshot();
                self.account.books(&snapshot);
            }
            Input::Cancel { id } => {
                let scope = match id {
                    0 => CancelScope::All,
                    id => CancelScope::Order(id),
                };
                let by = "agent".to_owned();
                let at = self.now;
                self.account.command(&Command::Cancel { scope, by, at });
            }
            Input::Halt { on } => {
                let (by, reason, at) = ("agent".to_owned(), String::new(), self.now);
                self.account.command(&match on {
                    true => Command::Halt { by, reason, at },
                    false => Command::Resume { by, reason, at },
                });
            }
            Input::Guard {
                token,
                kind,
                trigger,
                shares,
                trail,
            } => {
                let kinds = [
                    ConditionalKind::StopLoss,
                    ConditionalKind::TakeProfit,
                    ConditionalKind::TrailingStop,
                ];
                let id = token_id(token);
                let new = NewConditional {
                    market: odd_market(market_of(token)),
                    kind: kinds[usize::from(kind)],
                    trigger_price: cent(trigger),
                    // A quarter of them joins the oldest, whose shares it takes.
                    shares: shares.filter(|_| trigger % 4 > 0).map(hundredths),
                    oco_with: (trigger % 4 == 0)
                        .then(|| self.account.ledger.conditionals().keys().next().copied())
                        .flatten(),
                    trail_percent: Some(cent(trail)),
                    bid: self.books.get(&id).and_then(Book::best_bid),
                    token_id: id,
                    reason: String::new(),
                };
                let _refused_or_not = self.account.conditional(&new, self.now);
            }
            Input::Withdraw { id } => {
                let _unknown_or_not = self.account.withdraw(id, self.now);
            }
            Input::Deposit { cents: amount } => {
                self.account.deposit(&cents(amount).to_string(), self.now);
            }
            Input::Resolve { market, halves } => {
                self.over.entry(MARKETS[market]).or_insert(halves);
            }
        }
        self.follow();
    }

    /// Goes through the new events one by one and judges each where it happened.
    fn follow(&mut self) {
        let events: Vec<StampedEvent> = self.account.events[self.followed..].to_vec();
        self.followed = self.account.events.len();
        let limits = self.account.config.risk.clone();
        for stamped in events {
            match &stamped.event {
                LedgerEvent::OrderAccepted { order } => {
                    self.begin_basket(order);
                    self.is_allowed(order, stamped.at, &limits);
                    self.accepted.push(stamped.at);
                }
                LedgerEvent::Filled { fill } => {
                    let halt = self.follower.halt();
                    assert!(
                        fill.side == Side::Sell || halt.is_none(),
                        "bought while {halt:?}: {fill:?}"
                    );
                    if fill.print {
                        self.is_in_a_print(fill);
                    } else {
                        let age = stamped.at.since(self.books[&fill.token_id].at);
                        assert!(age <= 600_000, "on a book of {age} ms: {fill:?}");
                        self.is_in_the_book(fill);
                    }
                }
                LedgerEvent::Settled { token_id, .. } => {
                    assert!(!self.follower.held(token_id).is_zero(), "paid for nothing");
                }
                _ => {}
            }
            self.follower.apply(&stamped).unwrap();
            let open = self.follower.resting().len();
            assert!(
                open <= limits.max_open_orders as usize,
                "{open} orders rest"
            );
            for (id, conditional) in self.follower.conditionals() {
                assert!(
                    !conditional.shares.is_zero(),
                    "conditional order {id} of nothing"
                );
            }
        }
        assert_eq!(self.follower, self.account.ledger);
        if self.account.config.execution.latency_ms == 0 {
            assert_eq!(
                self.follower.in_flight().count(),
                0,
                "nothing takes time here"
            );
        }
        for resting in self.follower.resting().values() {
            assert!(!resting.remaining.is_zero(), "{resting:?}");
        }
        for conditional in self.account.ledger.conditionals().values() {
            assert!(conditional.shares <= self.account.ledger.held(&conditional.token_id));
        }
    }
}

fn intent(wish: Wish) -> Intent {
    match wish {
        Wish::Signal {
            token,
            sell,
            limit,
            cents: size,
            stop,
        } => {
            let side = if sell { Side::Sell } else { Side::Buy };
            Intent::Directional(Signal {
                market_id: market_of(token).into(),
                token_id: token_id(token),
                size: cents(size),
                stop_loss: stop.map(cent),
                target_price: cent(limit),
                fair_price: f64::from(limit) / 100.0 + 0.05,
                ..signal("random", "Yes", side, "0.5", "1")
            })
        }
        Wish::Basket {
            limits: (yes, no),
            shares,
        } => {
            let legs = [("m-yes", "0.5", "1"), ("m-no", "0.5", "1")];
            let mut basket: Basket = basket("random", &legs, "1");
            basket.shares = hundredths(shares);
            for (leg, limit) in basket.legs.iter_mut().zip([yes, no]) {
                leg.limit = cent(limit);
            }
            Intent::Basket(basket)
        }
        Wish::Quote { token, bid, ask } => {
            let side = |side: Option<(u32, i64)>| {
                side.map(|(price, shares)| QuoteSide {
                    price: cent(price),
                    shares: hundredths(shares),
                })
            };
            Intent::Quote(Quote {
                strategy: "random".into(),
                market_id: MarketId::new(market_of(token)),
                token_id: token_id(token),
                outcome: "".into(),
                fair_price: 0.5,
                confidence: 1.0,
                bid: side(bid),
                ask: side(ask),
                reason: String::new().into(),
            })
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_the_account_stays_sound(
        kelly in any::<bool>(),
        latency_ms in prop_oneof![2 => Just(0_u32), 1 => 1_u32..15_000],
        inputs in prop::collection::vec(input(), 1..80),
    ) {
        let mut life = Life::new(kelly).with_latency(latency_ms);
        for input in inputs {
            life.play(input);
        }
    }
}

/// The property would hold of an account that never trades: this one shows that lives are lived.
#[test]
fn random_lives_trade_rest_stop_unwind_and_settle() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let lives = prop::collection::vec(input(), 80);
    let mut seen: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..250 {
        // Every fourth life has orders that take a while to arrive.
        let latency_ms = if number % 4 == 0 { 4_000 } else { 0 };
        let mut life = Life::new(number % 3 == 0).with_latency(latency_ms);
        let mut on_their_way = BTreeSet::new();
        for input in lives.new_tree(&mut runner).unwrap().current() {
            life.play(input);
        }
        for stamped in &life.account.events {
            match &stamped.event {
                LedgerEvent::OrderAccepted { order } if order.arrives_at.is_some() => {
                    on_their_way.insert(order.id);
                }
                LedgerEvent::Filled { fill } if on_their_way.contains(&fill.order_id) => {
                    *seen.entry("late").or_default() += 1;
                }
                _ => {}
            }
            if let LedgerEvent::OrderRefused { code, .. } = &stamped.event {
                *refused.entry(code.clone()).or_default() += 1;
            }
            let kind = match &stamped.event {
                LedgerEvent::Filled { fill } if fill.print => "print",
                LedgerEvent::Filled { fill } if fill.maker => "maker",
                LedgerEvent::Filled { fill } if fill.side == Side::Buy => "buy",
                LedgerEvent::Filled { fill } if fill.reason.starts_with("unwind") => "unwind",
                LedgerEvent::Filled { .. } => "sell",
                LedgerEvent::OrderRested { .. } => "rest",
                LedgerEvent::QueueAdvanced { .. } => "queue",
                LedgerEvent::OrderClosed {
                    outcome: OrderOutcome::Expired,
                    ..
                } => "expire",
                LedgerEvent::Halted { .. } => "halt",
                LedgerEvent::ConditionalTriggered { .. } => "trigger",
                LedgerEvent::ConditionalReduced { .. } => "reduce",
                LedgerEvent::Settled { .. } => "settle",
                LedgerEvent::SignalRejected { .. } => "reject",
                _ => continue,
            };
            *seen.entry(kind).or_default() += 1;
        }
    }
    for kind in [
        "maker", "print", "buy", "unwind", "sell", "rest", "queue", "expire", "halt", "trigger",
        "reduce", "settle", "reject", "late",
    ] {
        assert!(
            seen.get(kind).is_some_and(|count| *count >= 5),
            "{kind}: {seen:?}"
        );
    }
    // And that every limit stood in somebody's way.
    for code in [
        "max_position_size",
        "max_market_exposure",
        "max_event_exposure",
        "max_strategy_exposure",
        "max_total_exposure",
        "max_orders_per_minute",
        "max_open_orders",
        "max_price_distance",
        "max_spread",
        "min_liquidity",
        "max_book_age",
        "halted",
    ] {
        assert!(refused.contains_key(code), "{code}: {refused:?}");
    }
}

/// Each limit's own check can fail: one step below what an allowed order came to, it does.
#[test]
fn the_check_of_each_limit_of_the_random_lives_can_fail() {
    let mut life = Life::new(false);
    for (token, mid) in [(0, 50), (2, 50)] {
        life.play(Input::Book {
            token,
            seconds: 1,
            mid,
            bids: vec![(1, 1_000)],
            asks: vec![(1, 1_000)],
        });
    }
    let order = |token| Input::Order {
        token,
        sell: false,
        cents: 204,
        limit: 51,
        kind: 0,
        life: 0,
        client: None,
    };
    life.play(order(2));
    // 4 shares at 0.51 = 2.04 held in the other market of the event; a second 2.04 is judged.
    let judged = Order {
        market_id: "m".into(),
        event_id: Some("e".into()),
        token_id: "m-yes".into(),
        strategy: wanted(Side::Buy, "1", "0.5").strategy,
        ..crate::trading::test_support::order(9, Side::Buy, "0.51", "4", OrderType::Fak)
    };
    let limits = life.account.config.risk.clone();
    let allows = |life: &Life, at: Timestamp, limits: &RiskConfig| {
        let check = std::panic::AssertUnwindSafe(|| life.is_allowed(&judged, at, limits));
        std::panic::catch_unwind(check).is_ok()
    };
    let at = life.now;
    assert!(allows(&life, at, &limits));
    assert!(!allows(&life, at.plus_millis(600_001), &limits), "age");
    type Tighten = fn(&mut RiskConfig);
    let tight: [(&str, Tighten); 10] = [
        ("size", |r| r.max_position_size = usd("2.039999")),
        ("market", |r| r.max_market_exposure = usd("2.039999")),
        ("event", |r| r.max_event_exposure = usd("4.079999")),
        ("strategy", |r| r.max_strategy_exposure = usd("4.079999")),
        ("total", |r| r.max_total_exposure = usd("4.079999")),
        ("rate", |r| r.max_orders_per_minute = 1),
        // The mid is 0.50.
        ("distance", |r| {
            r.max_price_distance = Price::from_micros(9_999).unwrap()
        }),
        // 0.51 − 0.49
        ("spread", |r| {
            r.max_spread = Price::from_micros(19_999).unwrap()
        }),
        // 10 × 0.49 + 10 × 0.51
        ("depth", |r| r.min_liquidity = usd("10.000001")),
        // 4 × 0.02 of spread, and a fee of 4 × 0.07 × 0.51 × 0.49 floored to 0.06997.
        ("loss", |r| r.max_daily_loss = usd("0.1")),
    ];
    for (name, tighten) in tight {
        let mut limits = limits.clone();
        tighten(&mut limits);
        assert!(!allows(&life, at, &limits), "{name}");
    }
    let mut limits = limits.clone();
    limits.max_drawdown_pct = Price::from_micros(100).unwrap();
    assert!(!allows(&life, at, &limits), "drawdown");
    life.play(Input::Halt { on: true });
    let limits = life.account.config.risk.clone();
    assert!(!allows(&life, at, &limits), "halt");
}

#[test]
fn the_checks_of_the_random_lives_can_fail() {
    // A book of 10 shares that gave 10 gives no 0.01 more.
    let mut life = Life::new(false);
    let asks = vec![(1, 1000)];
    life.play(Input::Book {
        token: 0,
        seconds: 0,
        mid: 49,
        bids: vec![],
        asks,
    });
    let order = Input::Order {
        token: 0,
        sell: false,
        cents: 500,
        limit: 50,
        kind: 0,
        life: 0,
        client: None,
    };
    life.play(order);
    assert_eq!(life.account.held("m-yes"), sh("10"));
    let bought = life
        .account
        .events
        .iter()
        .find_map(|stamped| match &stamped.event {
            LedgerEvent::Filled { fill } => Some(fill.clone()),
            _ => None,
        });
    let fill = Fill {
        shares: Shares::LOT,
        ..bought.unwrap()
    };
    let once_more = std::panic::AssertUnwindSafe(|| life.is_in_the_book(&fill));
    assert!(std::panic::catch_unwind(once_more).is_err());
}

#[test]
fn the_limits_of_the_random_lives_are_those_of_the_desk() {
    let life = Life::new(true);
    assert!(life.account.config.validate().is_ok());
    assert_ne!(life.account.config, TradingConfig::default());
}
