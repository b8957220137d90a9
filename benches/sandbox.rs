//! What the sandbox's exchange bears: book changes per second over 10,000 markets on one core, and
//! the memory of their books.
//!
//! `cargo bench --bench sandbox`. The target is 50,000 changes a second in less than 300 MB.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark whose inputs are unsound has nothing to measure, and it prints what it finds"
)]

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};

use polymarket_agent::domain::{FeeSchedule, Price, Shares, Side, Timestamp, Usdc};
use polymarket_agent::sandbox::exchange::{
    AccountId, Exchange, MarketIdx, MarketTerms, NewOrder, OrderNo, OutcomeSide, Quantity, Tif,
};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const MARKETS: u32 = 10_000;
/// Resting orders of the crowd in each market.
const DEPTH: u32 = 40;
/// Book changes per run.
const STEPS: u32 = 200_000;
const NOON: Timestamp = Timestamp::from_secs(1_790_000_000);

fn main() {
    println!(
        "{MARKETS} markets, {DEPTH} resting orders each, {STEPS} book changes per run on one core"
    );
    divan::main();
}

/// A small generator, so that runs are alike.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) % u64::from(below)) as u32
    }
}

struct Venue {
    exchange: Exchange,
    /// The latest resting orders by market, to cancel.
    resting: Vec<Vec<OrderNo>>,
    dice: Dice,
    now: Timestamp,
}

fn order(
    market: u32,
    dice: &mut Dice,
    cents: u32,
    side: Side,
    lots: u32,
    at: Timestamp,
) -> NewOrder {
    // Half of all orders come in terms of the second outcome.
    let second = dice.next(2) == 1;
    let price = Price::from_micros(cents * 10_000).expect("a price");
    NewOrder {
        account: AccountId::CROWD,
        market: MarketIdx(market),
        outcome: if second {
            OutcomeSide::Second
        } else {
            OutcomeSide::First
        },
        side: match (side, second) {
            (Side::Buy, false) | (Side::Sell, true) => Side::Buy,
            (Side::Sell, false) | (Side::Buy, true) => Side::Sell,
        },
        price: if second { price.complement() } else { price },
        quantity: Quantity::Shares(Shares::from_micros(i64::from(lots) * 10_000).expect("a size")),
        tif: Tif::Gtc,
        post_only: false,
        at,
    }
}

impl Venue {
    fn new(watched: bool, agents: bool) -> Self {
        let mut venue = Venue {
            exchange: Exchange::new(),
            resting: Vec::new(),
            dice: Dice(0x9E37_79B9_7F4A_7C15),
            now: NOON,
        };
        for number in 0..MARKETS {
            let terms = MarketTerms {
                tick: Price::from_micros(10_000).expect("a tick"),
                min_size: Shares::whole(5),
                fee: FeeSchedule::new("0.05", 1).expect("fee terms"),
                linked: true,
                accepting: true,
            };
            let market = venue.exchange.add_market(terms, NOON);
            venue.exchange.watch(market, watched);
            venue.resting.push(Vec::with_capacity(2 * DEPTH as usize));
            for level in 0..DEPTH {
                let (side, cents) = if level % 2 == 0 {
                    (Side::Buy, 49 - level / 4)
                } else {
                    (Side::Sell, 51 + level / 4)
                };
                venue.add(number, side, cents);
            }
        }
        if agents {
            let account = venue.exchange.open_account();
            let purse = Usdc::whole(1_000_000);
            venue.exchange.deposit(account, purse).expect("a deposit");
            for number in 0..MARKETS {
                let order = NewOrder {
                    account,
                    outcome: OutcomeSide::First,
                    side: Side::Buy,
                    price: Price::from_micros(490_000).expect("a price"),
                    ..order(number, &mut venue.dice, 49, Side::Buy, 500, NOON)
                };
                venue.exchange.place(order).expect("an order");
            }
        }
        venue
    }

    fn add(&mut self, market: u32, side: Side, cents: u32) {
        let lots = 1_000 + self.dice.next(20_000);
        let order = order(market, &mut self.dice, cents, side, lots, self.now);
        // One that takes for less than 1 pUSD cannot occur: prices are near the middle.
        let placed = self.exchange.place(order).expect("an order");
        if !placed.resting.is_zero()
            && let Some(resting) = self.resting.get_mut(market as usize)
        {
            resting.push(placed.order);
        }
    }

    /// One change of one book: of ten, four placed, four cancelled, two crossing. False when the
    /// order to be cancelled turns out to be matched: no change.
    fn step(&mut self) -> bool {
        self.now = self.now.plus_millis(1);
        let market = self.dice.next(MARKETS);
        let side = if self.dice.next(2) == 0 {
            Side::Buy
        } else {
            Side::Sell
        };
        let away = 1 + self.dice.next(12);
        let count = self.resting.get(market as usize).map_or(0, Vec::len);
        let changed = match self.dice.next(10) {
            0..=3 => {
                let cents = if side == Side::Buy {
                    50 - away
                } else {
                    50 + away
                };
                self.add(market, side, cents);
                true
            }
            4..=7 if count > DEPTH as usize / 2 => {
                let which = self.dice.next(u32::try_from(count).unwrap_or(1));
                self.resting
                    .get_mut(market as usize)
                    .map(|resting| resting.swap_remove(which as usize))
                    .is_some_and(|no| self.exchange.cancel(no, self.now).is_ok())
            }
            4..=7 => {
                let cents = if side == Side::Buy {
                    50 - away
                } else {
                    50 + away
                };
                self.add(market, side, cents);
                true
            }
            _ => {
                let cents = if side == Side::Buy { 52 } else { 48 };
                self.add(market, side, cents);
                true
            }
        };
        black_box(self.exchange.take_changes());
        changed
    }

    fn run(&mut self) {
        let mut changes = 0;
        while changes < STEPS {
            changes += u32::from(self.step());
        }
    }
}

/// `nobody`: no market is watched. `watched`: every change is reported. `agents`: an agent rests in
/// every market.
#[divan::bench(args = ["nobody", "watched", "agents"], sample_count = 10, sample_size = 1)]
fn book_changes(bencher: Bencher, who: &str) {
    bencher
        .counter(ItemsCount::new(STEPS))
        .with_inputs(|| Venue::new(who == "watched", who == "agents"))
        .bench_local_refs(Venue::run);
}

/// Making all markets with their books; the allocation columns show what they take.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn ten_thousand_books(bencher: Bencher) {
    bencher.bench_local(|| Venue::new(false, false));
}
