//! What keeping a ledger costs: one order's way through the desk's writer to the synced disk, events a
//! second when many wait, and a start at a million events with and without a checkpoint, and with half a
//! million client ids; all beside
//! the machine's own fsync in the same run and directory.
//!
//! `cargo bench --bench append`; `APPEND_BENCH_EVENTS` sets the size of the large log,
//! `APPEND_BENCH_DIR` the disk.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and one whose inputs are unsound has nothing to measure"
)]

use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use polymarket_agent::app::config::Config;
use polymarket_agent::app::{Access, App, OpenOptions, Source, read_ledger};
use polymarket_agent::domain::{
    Book, BookOrigin, FeeSchedule, Fill, LedgerEvent, Level, Market, MarketId, MarketStatus,
    MarketView, Order, OrderOutcome, OrderType, Outcome, Price, ProtocolVersion, Rounding, Shares,
    Side, Signal, Snapshot, SourceKind, StampedEvent, StrategyName, Timestamp, TokenId, Usdc,
    notional,
};
use polymarket_agent::market_data::recorded::{Dataset, DatasetOptions, Recorded};
use polymarket_agent::store::Store;
use polymarket_agent::trading::config::RiskConfig;
use polymarket_agent::trading::desk::{AgentOrder, Input, Output};
use polymarket_agent::trading::ledger::{CHECKPOINT_FORMAT, Ledger, LedgerError, Recorder};

/// 2026-01-01T02:00:00Z.
const NOW: Timestamp = Timestamp::from_secs(1_767_232_800);
/// Tokens that are traded in turn.
const TOKENS: u64 = 200;
/// Single commits and syncs that are timed.
const SINGLES: usize = 500;
/// Callers that commit at the same time.
const CALLERS: u64 = 64;
/// One order in so many is an agent's, with an id of its own.
const CLIENT_EVERY: u64 = 10;

fn main() {
    let dir = match std::env::var_os("APPEND_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")),
    }
    .expect("a directory");
    let fsync = raw_fsync(dir.path());
    show("raw: 4 KiB written and synced", &fsync);
    let single = through_the_desk(dir.path());
    show("one order (4 events) through the desk's writer", &single);
    println!(
        "  {:.1} × raw fsync at p50, {:.1} × at p99",
        ratio(single.p50, fsync.p50),
        ratio(single.p99, fsync.p99)
    );
    let again = raw_fsync(dir.path());
    show("raw, again", &again);
    restart(dir.path());
    restart_with_ids(dir.path());
}

#[derive(Debug, Clone, Copy)]
struct Times {
    p50: Duration,
    p99: Duration,
}

fn times(mut all: Vec<Duration>) -> Times {
    all.sort();
    let at = |part: usize| all.get(all.len() * part / 100).copied().unwrap_or_default();
    Times {
        p50: at(50),
        p99: at(99),
    }
}

fn show(what: &str, times: &Times) {
    println!("{what}: p50 {:.2?}, p99 {:.2?}", times.p50, times.p99);
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64().max(1e-9)
}

fn raw_fsync(dir: &Path) -> Times {
    let mut file = std::fs::File::create(dir.join("raw")).expect("a file");
    let page = [7_u8; 4096];
    let timed = (0..SINGLES)
        .map(|_| {
            file.rewind().expect("a seek");
            let start = Instant::now();
            file.write_all(&page).expect("a write");
            file.sync_data().expect("a sync");
            start.elapsed()
        })
        .collect();
    times(timed)
}

fn price(cents: u64) -> Price {
    Price::from_micros(u32::try_from(cents * 10_000).expect("cents")).expect("a price")
}

fn token(number: u64) -> TokenId {
    // As long as the venue's: up to 78 digits.
    TokenId::new(format!(
        "{:077}",
        1_000_000_007 * (u128::from(number % TOKENS) + 1)
    ))
}

fn order(id: u64, number: u64, side: Side, client: bool) -> Order {
    Order {
        id,
        client_order_id: client.then(|| format!("agent-session-7f3a-{id}")),
        signal_id: None,
        supporters: Vec::new(),
        strategy: StrategyName::new("signal_trader"),
        market_id: (number % TOKENS).to_string().as_str().into(),
        event_id: None,
        token_id: token(number),
        outcome: "Yes".into(),
        side,
        limit: price(50),
        shares: Shares::whole(10),
        order_type: OrderType::Fak,
        expires_at: None,
        arrives_at: None,
        fired_by: None,
        fee: None,
        basket: None,
        reason: "price rose 4 cents in an hour on twice the usual volume".to_owned(),
        stop_loss: None,
        take_profit: None,
        trail_percent: None,
    }
}

/// An order, its two fills and its end: what a `place_trade` leaves.
fn trade(
    recorder: &mut Recorder<'_>,
    number: u64,
    side: Side,
    client: bool,
) -> Result<(), LedgerError> {
    let order = order(recorder.ledger().next_order_id(), number, side, client);
    recorder.record(LedgerEvent::OrderAccepted {
        order: order.clone(),
    })?;
    for cents in [49, 50] {
        let price = price(if side == Side::Buy { cents } else { 50 });
        recorder.record(LedgerEvent::Filled {
            fill: Fill {
                order_id: order.id,
                strategy: order.strategy.clone(),
                market_id: order.market_id.clone(),
                token_id: order.token_id.clone(),
                outcome: order.outcome.clone(),
                side,
                price,
                shares: Shares::whole(5),
                notional: notional(price, Shares::whole(5), Rounding::Down)?,
                fee: Usdc::from_micros(10_000),
                maker: false,
                print: false,
                reason: order.reason.clone(),
            },
        })?;
    }
    recorder.record(LedgerEvent::OrderClosed {
        order_id: order.id,
        outcome: OrderOutcome::Filled,
        unfilled: Shares::ZERO,
        reason: "filled".to_owned(),
    })
}

/// An agent's purchase of five shares of one of the tokens, on a book that has enough of them.
fn purchase(number: u64) -> Input {
    let market = market(number);
    let book = Book::new(
        token(number),
        vec![level("0.39")],
        vec![level("0.40")],
        NOW,
        BookOrigin::Venue,
    );
    let order = AgentOrder {
        strategy: StrategyName::new("mcp_manual"),
        market_id: market.id.clone(),
        token_id: token(number),
        side: Side::Buy,
        size: Usdc::whole(2),
        limit: book.best_ask().expect("an ask"),
        order_type: OrderType::Fak,
        expires_at: None,
        client_order_id: number
            .is_multiple_of(CLIENT_EVERY)
            .then(|| format!("bench-{number}")),
        stop_loss: None,
        take_profit: None,
        trail_percent: None,
        reason: "bench".to_owned(),
    };
    let view = MarketView {
        books: vec![Some(Arc::new(book)), None],
        market: Arc::new(market),
        history: None,
        candidate: true,
    };
    Input::Order {
        order,
        known: None,
        snapshot: Snapshot::new(NOW, SourceKind::Recorded, vec![view], Vec::new()),
    }
}

fn level(price: &str) -> Level {
    Level {
        price: Price::parse(price).expect("a price"),
        size: Shares::whole(1_000_000),
    }
}

fn market(number: u64) -> Market {
    let outcome = |name: &str, token: TokenId| Outcome {
        name: name.into(),
        token,
        synthetic: false,
        indicative_price: None,
    };
    let of = number % TOKENS;
    Market {
        id: MarketId::new(format!("m{of}")),
        condition_id: None,
        slug: None,
        question: format!("Will {of}?"),
        description: None,
        event_id: None,
        category: None,
        outcomes: vec![
            outcome("Yes", token(number)),
            outcome("No", TokenId::new(format!("no-{of}"))),
        ],
        tick: Price::parse("0.01").expect("a price"),
        min_size: Shares::whole(5),
        fee: FeeSchedule::FREE,
        neg_risk: false,
        placeholder: false,
        volume: None,
        volume_24h: None,
        liquidity: None,
        start: None,
        end: None,
        status: MarketStatus::Open,
        version: ProtocolVersion::V1,
        label: None,
    }
}

async fn buy(app: &App, number: u64) {
    let committed = app.desk().commit(purchase(number)).await;
    let Output::Ordered(verdict) = committed.expect("a commit").output else {
        return;
    };
    verdict.expect("a purchase");
}

/// Times single orders, then lets many callers commit at once.
fn through_the_desk(dir: &Path) -> Times {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let app = open(dir).await;
        let mut timed = Vec::with_capacity(SINGLES);
        for number in 0..SINGLES as u64 {
            let start = Instant::now();
            buy(&app, number).await;
            timed.push(start.elapsed());
        }
        let before = app.ledger().expect("a ledger").seq();
        let start = Instant::now();
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let app = app.clone();
                tokio::spawn(async move {
                    for turn in 0..200 {
                        let number = caller + turn * CALLERS;
                        buy(&app, number).await;
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.expect("a caller");
        }
        let events = app.ledger().expect("a ledger").seq() - before;
        let taken = start.elapsed();
        println!(
            "{CALLERS} callers at once: {:.0} events/s ({events} events in {taken:.2?}; 20,000/s \
             wanted)",
            events as f64 / taken.as_secs_f64()
        );
        times(timed)
    })
}

async fn open(dir: &Path) -> Arc<App> {
    let data = dir.join("data");
    std::fs::create_dir_all(&data).expect("a directory");
    std::fs::write(
        data.join("prices.csv"),
        "timestamp,market_id,question,yes_price,volume,token_id\n\
         1767225600,m1,Will it?,0.40,20000,t1\n1767229200,m1,Will it?,0.40,20000,t1\n",
    )
    .expect("a recording");
    let dataset = Dataset::load(&data, DatasetOptions::default()).expect("a recording");
    App::open(OpenOptions {
        config: Config {
            starting_balance: Usdc::whole(10_000_000),
            risk: RiskConfig {
                max_market_exposure: Usdc::whole(1_000_000),
                max_total_exposure: Usdc::whole(1_000_000),
                max_event_exposure: Usdc::whole(1_000_000),
                max_strategy_exposure: Usdc::whole(1_000_000),
                max_orders_per_minute: 0,
                max_daily_loss: Usdc::whole(10_000_000),
                max_drawdown_pct: Price::ZERO,
                ..RiskConfig::default()
            },
            ..Config::default()
        },
        source: Source {
            data: Arc::new(Recorded::new(Arc::new(dataset), NOW)),
            advance: None,
        },
        db: dir.join("desk.db"),
        access: Access::Own,
    })
    .await
    .expect("an account")
}

/// What a minute of an account leaves, about twelve events.
fn minute(ledger: &mut Ledger, number: u64) -> Result<Vec<StampedEvent>, LedgerError> {
    let at = NOW.plus_millis(i64::try_from(number).expect("a minute") * 60_000);
    let mut recorder = Recorder::new(ledger, at);
    let marks = (0..3)
        .map(|step| (token(number + step), price(45)))
        .collect();
    recorder.record(LedgerEvent::Marked { marks })?;
    let signal_id = recorder.ledger().next_signal_id();
    recorder.record(LedgerEvent::SignalGenerated {
        signal_id,
        signal: Signal {
            strategy: StrategyName::new("signal_trader"),
            market_id: (number % TOKENS).to_string().as_str().into(),
            token_id: token(number),
            outcome: "Yes".into(),
            side: Side::Buy,
            confidence: 0.62,
            fair_price: 0.58,
            target_price: price(50),
            edge: 0.021,
            size: Usdc::whole(25),
            reason: "price rose 4 cents in an hour on twice the usual volume".into(),
            stop_loss: None,
            take_profit: None,
        },
    })?;
    let client = number.is_multiple_of(CLIENT_EVERY / 2);
    trade(&mut recorder, number, Side::Buy, client)?;
    recorder.record(LedgerEvent::SignalExecuted { signal_id })?;
    // Half of what was bought a hundred minutes ago is sold again.
    if number >= 100 && recorder.ledger().held(&token(number - 100)) >= Shares::whole(10) {
        trade(&mut recorder, number - 100, Side::Sell, false)?;
    }
    if number.is_multiple_of(5) {
        let balance = recorder.ledger().cash();
        let total_value = recorder.ledger().equity().total;
        recorder.record(LedgerEvent::SnapshotTaken {
            balance,
            total_value,
        })?;
    }
    recorder.record(LedgerEvent::TickCompleted {
        tick: number + 1,
        markets: 1_000,
        signals: 1,
        fills: 4,
    })?;
    Ok(recorder.into_events())
}

fn restart(dir: &Path) {
    let wanted = events_wanted();
    let db = dir.join("large.db");
    let store = Store::open(&db).expect("a database");
    let mut ledger = Ledger::default();
    let mut waiting = polymarket_agent::trading::desk::open_account(
        &mut ledger,
        SourceKind::Recorded,
        Usdc::whole(1_000_000),
        NOW,
    )
    .expect("an account");
    let start = Instant::now();
    let mut number = 0;
    while ledger.seq() < wanted {
        waiting.extend(minute(&mut ledger, number).expect("a minute"));
        number += 1;
        if waiting.len() >= 2_000 {
            store.append(&waiting).expect("an append");
            waiting.clear();
        }
    }
    store.append(&waiting).expect("an append");
    let taken = start.elapsed();
    println!(
        "{} events appended in groups of 2,000, stepping included: {:.0} events/s",
        ledger.seq(),
        ledger.seq() as f64 / taken.as_secs_f64()
    );
    let state = ledger.to_checkpoint().expect("a state");
    let start = Instant::now();
    store
        .save_checkpoint(ledger.seq(), CHECKPOINT_FORMAT, &state)
        .expect("a checkpoint");
    println!(
        "checkpoint of {} KiB written in {:.2?}; a draft of the ledger (clone) costs {:.2?}",
        state.len() / 1024,
        start.elapsed(),
        median(|| drop(Ledger::clone(&ledger)))
    );
    // What comes after it: as much as there can be between two.
    let mut later = Vec::new();
    while later.len() < 5_000 {
        later.extend(minute(&mut ledger, number).expect("a minute"));
        number += 1;
    }
    store.append(&later).expect("an append");
    drop(store);
    let expected = ledger;
    let with = median(|| assert_eq!(read_ledger(&db).expect("a ledger").seq(), expected.seq()));
    assert_eq!(read_ledger(&db).expect("a ledger"), expected);
    forget_checkpoints(&db);
    let start = Instant::now();
    let replayed = read_ledger(&db).expect("a ledger");
    let without = start.elapsed();
    assert_eq!(replayed, expected);
    println!(
        "start at {} events: {with:.2?} from a checkpoint and {} later events (100 ms wanted), \
         {without:.2?} from the events alone",
        expected.seq(),
        later.len()
    );
}

/// A start of an account whose every order had an id of its own: half as many ids as events.
fn restart_with_ids(dir: &Path) {
    let wanted = events_wanted();
    let db = dir.join("ids.db");
    let store = Store::open(&db).expect("a database");
    let mut ledger = Ledger::default();
    let mut waiting = Vec::new();
    while ledger.seq() < wanted {
        let mut recorder = Recorder::new(&mut ledger, NOW);
        for _ in 0..1_000 {
            let order = order(recorder.ledger().next_order_id(), 1, Side::Buy, true);
            let (order_id, unfilled) = (order.id, order.shares);
            let closed = LedgerEvent::OrderClosed {
                order_id,
                outcome: OrderOutcome::Unfilled,
                unfilled,
                reason: "the best price is 0.52, the limit 0.5".to_owned(),
            };
            for event in [LedgerEvent::OrderAccepted { order }, closed] {
                recorder.record(event).expect("an order");
            }
        }
        waiting.extend(recorder.into_events());
        store.append(&waiting).expect("an append");
        waiting.clear();
    }
    let state = ledger.to_checkpoint().expect("a state");
    store
        .save_checkpoint(ledger.seq(), CHECKPOINT_FORMAT, &state)
        .expect("a checkpoint");
    drop(store);
    let with = median(|| assert_eq!(read_ledger(&db).expect("a ledger").seq(), ledger.seq()));
    let first = "agent-session-7f3a-1";
    assert!(ledger.client_order(first).is_none(), "kept no more");
    let store = Store::open_read_only(&db).expect("a database");
    let found = median(|| assert!(store.order_of_client(first).expect("a look").is_some()));
    println!(
        "start at {} events with {} client ids: {with:.2?} from a checkpoint of {} KiB (100 ms wanted); \
         the oldest id is found in {found:.2?}",
        ledger.seq(),
        ledger.next_order_id() - 1,
        state.len() / 1024
    );
}

fn events_wanted() -> u64 {
    std::env::var("APPEND_BENCH_EVENTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000_000)
}

fn median(mut run: impl FnMut()) -> Duration {
    let timed = (0..9)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times(timed).p50
}

fn forget_checkpoints(db: &PathBuf) {
    rusqlite::Connection::open(db)
        .and_then(|conn| conn.execute_batch("DELETE FROM checkpoints"))
        .expect("no checkpoints");
}
