use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::app::config::Config;
use crate::app::{Access, OpenOptions, Source};
use crate::domain::{
    Book, BookOrigin, Event, FeeSchedule, Level, Outcome, Price, PricePoint, ProtocolVersion,
    Resolution, Shares, Side,
};
use crate::market_data::{
    DataHealth, EventVolume, HistorySpan, MarketData, Period, Trader, WalletPosition,
};
use crate::trading::desk::AgentOrder;
use crate::trading::test_support::wanted;

mod estimates;

/// 2026-03-02T12:00:00Z, ms.
const NOON: i64 = 1_772_452_800_000;
/// Open markets `0`, `1`, …, most traded first; tokens `0y` and `0n`.
const MARKETS: usize = 100;

/// A venue that counts what it is asked and does as it is told.
struct Fake {
    kind: SourceKind,
    now: AtomicI64,
    calls: Mutex<Vec<String>>,
    followed: Mutex<Vec<Vec<String>>>,
    /// Markets that are neither listed nor open any more.
    closed: Mutex<Vec<String>>,
    resolved: AtomicBool,
    bid: Mutex<Option<Price>>,
    down: AtomicBool,
    hang_next_list: AtomicBool,
    panic_next_list: AtomicBool,
    /// How far the clock is ahead, ms.
    ahead: Mutex<Option<i64>>,
}

fn price(text: &str) -> Price {
    Price::parse(text).unwrap()
}

fn market(id: &str, status: MarketStatus) -> Arc<Market> {
    let outcome = |name: &str, letter: char| Outcome {
        name: name.into(),
        token: TokenId::new(format!("{id}{letter}")),
        synthetic: false,
        indicative_price: None,
    };
    Arc::new(Market {
        id: MarketId::new(id),
        condition_id: None,
        slug: Some(format!("market-{id}")),
        question: format!("Will {id} happen?"),
        description: None,
        event_id: None,
        category: None,
        outcomes: vec![outcome("Yes", 'y'), outcome("No", 'n')],
        tick: price("0.01"),
        min_size: Shares::whole(5),
        fee: FeeSchedule::FREE,
        neg_risk: false,
        placeholder: false,
        volume: None,
        volume_24h: None,
        liquidity: None,
        start: None,
        end: None,
        status,
        version: ProtocolVersion::V1,
        label: None,
    })
}

fn not_asked() -> DataError {
    DataError::BadRequest("not asked in these tests".to_owned())
}

impl Fake {
    fn new(kind: SourceKind) -> Arc<Self> {
        Arc::new(Fake {
            kind,
            now: AtomicI64::new(NOON),
            calls: Mutex::default(),
            followed: Mutex::default(),
            closed: Mutex::default(),
            resolved: AtomicBool::new(false),
            bid: Mutex::new(Some(price("0.49"))),
            down: AtomicBool::new(false),
            hang_next_list: AtomicBool::new(false),
            panic_next_list: AtomicBool::new(false),
            ahead: Mutex::default(),
        })
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    fn asked(&self, what: String) -> Result<(), DataError> {
        self.calls.lock().unwrap().push(what);
        if self.down.load(Ordering::SeqCst) {
            return Err(DataError::Unreachable {
                host: "venue".to_owned(),
                detail: "refused".to_owned(),
            });
        }
        Ok(())
    }

    /// What was asked since the last look.
    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    fn is_closed(&self, id: &str) -> bool {
        self.closed
            .lock()
            .unwrap()
            .iter()
            .any(|closed| closed == id)
    }

    fn status(&self, id: &str) -> MarketStatus {
        if self.is_closed(id) {
            MarketStatus::Closed
        } else {
            MarketStatus::Open
        }
    }
}

#[async_trait]
impl MarketData for Fake {
    fn kind(&self) -> SourceKind {
        self.kind
    }

    async fn now(&self) -> Result<Timestamp, DataError> {
        Ok(self.time())
    }

    async fn active_markets(&self, query: &MarketQuery) -> Result<Vec<Arc<Market>>, DataError> {
        self.asked(format!("list {}", query.limit))?;
        assert!(
            !self.panic_next_list.swap(false, Ordering::SeqCst),
            "told to"
        );
        if self.hang_next_list.swap(false, Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok((0..MARKETS)
            .map(|number| number.to_string())
            .filter(|id| !self.is_closed(id))
            .map(|id| market(&id, MarketStatus::Open))
            .take(query.limit)
            .collect())
    }

    async fn search(&self, _: &str, _: usize, _: bool) -> Result<Vec<Arc<Market>>, DataError> {
        Err(not_asked())
    }

    async fn market(&self, id: &str) -> Result<Option<Arc<Market>>, DataError> {
        self.asked(format!("market {id}"))?;
        Ok(Some(market(id, self.status(id))))
    }

    async fn markets(&self, ids: &[MarketId]) -> Result<HashMap<MarketId, Arc<Market>>, DataError> {
        let names: Vec<&str> = ids.iter().map(MarketId::as_str).collect();
        self.asked(format!("markets {}", names.join(",")))?;
        Ok(ids
            .iter()
            .map(|id| (id.clone(), market(id.as_str(), self.status(id.as_str()))))
            .collect())
    }

    async fn market_of_token(&self, token: &TokenId) -> Result<Option<Arc<Market>>, DataError> {
        self.asked(format!("market of {token}"))?;
        Ok(None)
    }

    async fn event(&self, _: &str) -> Result<Option<Event>, DataError> {
        Err(not_asked())
    }

    async fn books(&self, tokens: &[TokenId]) -> Result<HashMap<TokenId, Arc<Book>>, DataError> {
        self.asked(format!("books {}", tokens.len()))?;
        let level = |text: &str| Level {
            price: price(text),
            size: Shares::whole(1_000),
        };
        let book = |token: &TokenId| {
            let bid = self.bid.lock().unwrap().map(|price| Level {
                price,
                size: Shares::whole(1_000),
            });
            let (bids, asks) = (bid.into_iter().collect(), vec![level("0.51")]);
            Book::new(token.clone(), bids, asks, self.time(), BookOrigin::Venue)
        };
        Ok(tokens
            .iter()
            .map(|token| (token.clone(), Arc::new(book(token))))
            .collect())
    }

    async fn price_history(
        &self,
        _: &TokenId,
        _: HistorySpan,
        _: u32,
    ) -> Result<Vec<PricePoint>, DataError> {
        Err(not_asked())
    }

    async fn price_histories(
        &self,
        tokens: &[TokenId],
        span: HistorySpan,
        fidelity: u32,
    ) -> Result<HashMap<TokenId, Vec<PricePoint>>, DataError> {
        assert_eq!((span, fidelity), (HistorySpan::Week, 10));
        self.asked(format!("histories {}", tokens.len()))?;
        // Market 7 has never traded.
        Ok(tokens
            .iter()
            .filter(|token| token.as_str() != "7y")
            .map(|token| {
                let point = |hours: i64| PricePoint {
                    at: self.time().plus_millis(-hours * 3_600_000),
                    price: 0.5,
                };
                (token.clone(), vec![point(30), point(1)])
            })
            .collect())
    }

    async fn resolutions(&self, markets: &[Arc<Market>]) -> Result<Vec<Resolution>, DataError> {
        let names: Vec<&str> = markets.iter().map(|m| m.id.as_str()).collect();
        self.asked(format!("resolutions {}", names.join(",")))?;
        if !self.resolved.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        let resolution = |market: &Arc<Market>| Resolution {
            market_id: market.id.clone(),
            payouts: vec![
                (market.outcomes[0].token.clone(), Price::ONE),
                (market.outcomes[1].token.clone(), Price::ZERO),
            ],
            resolved_at: None,
            evidence: "a test".to_owned(),
        };
        Ok(markets.iter().map(resolution).collect())
    }

    async fn event_volume(&self, _: &str) -> Result<Option<EventVolume>, DataError> {
        Err(not_asked())
    }

    async fn wallet_positions(&self, _: &str, _: usize) -> Result<Vec<WalletPosition>, DataError> {
        Err(not_asked())
    }

    async fn leaderboard(&self, _: Period, _: usize) -> Result<Vec<Trader>, DataError> {
        Err(not_asked())
    }

    fn follow(&self, tokens: &[TokenId]) {
        let names = tokens.iter().map(|token| token.to_string()).collect();
        self.followed.lock().unwrap().push(names);
    }

    fn clock_ahead(&self) -> Option<i64> {
        *self.ahead.lock().unwrap()
    }

    async fn measured_clock(&self, _: i64) -> Option<i64> {
        self.clock_ahead()
    }

    fn health(&self) -> DataHealth {
        DataHealth {
            skipped_rows: BTreeMap::new(),
            ..DataHealth::default()
        }
    }
}

struct Bench {
    app: Arc<App>,
    venue: Arc<Fake>,
    followed: Vec<TokenId>,
    _dir: tempfile::TempDir,
}

/// An account on a fake venue, with bounds of 120 s and 10 min and two markets to follow.
async fn bench(kind: SourceKind, change: impl FnOnce(&mut Config)) -> Bench {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let venue = Fake::new(kind);
    let mut config = Config::default();
    config.gather.max_markets = MARKETS;
    config.gather.follow_markets = 2;
    change(&mut config);
    let app = App::open(OpenOptions {
        config,
        source: Source {
            data: venue.clone(),
            advance: None,
        },
        db: dir.path().join("ledger.db"),
        access: Access::Own,
    });
    Bench {
        app: app.await.unwrap(),
        venue,
        followed: Vec::new(),
        _dir: dir,
    }
}

impl Bench {
    /// With the background on, but stepped by hand: no test waits for a clock.
    async fn stepped() -> Bench {
        let bench = bench(SourceKind::Polymarket, |_| {}).await;
        assert!(bench.app.fresh.start());
        bench
    }

    /// What one look of the background asks for.
    async fn look(&mut self) -> Vec<String> {
        self.app.refresh_due(&mut self.followed).await.unwrap();
        self.venue.calls()
    }

    /// Looks until nothing more is due.
    async fn settle(&mut self) {
        for _ in 0..20 {
            if self.look().await.is_empty() {
                return;
            }
        }
        panic!("the background never comes to rest");
    }

    /// What a tick asks for.
    async fn tick(&self) -> Vec<String> {
        self.app.tick().await.unwrap();
        self.venue.calls()
    }

    /// 10 shares of the market's Yes at 0.51.
    async fn buy(&self, id: &str) {
        let bought = self.app.place_order(order(id));
        assert_eq!(bought.await.unwrap().status, "filled");
        self.venue.calls();
    }
}

#[tokio::test]
async fn nothing_is_traded_by_a_clock_that_is_grossly_wrong() {
    let bench = bench(SourceKind::Polymarket, |_| {}).await;
    bench.buy("1").await;
    let ledger = bench.app.ledger().unwrap();
    for ahead in [60_001, -60_001, 200 * 86_400_000] {
        *bench.venue.ahead.lock().unwrap() = Some(ahead);
        let refused = [
            bench.app.tick().await.unwrap_err(),
            bench.app.place_order(order("1")).await.unwrap_err(),
            bench.app.preview_order(&order("1")).await.unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.code(), "clock_skew", "{error}");
            assert!(error.hint().contains("Correct the machine's clock"));
        }
        let problems = bench.app.clock_problems().unwrap();
        assert!(
            problems[0].contains("Correct the machine's"),
            "{problems:?}"
        );
    }
    assert_eq!(bench.app.ledger().unwrap(), ledger, "nothing was stamped");
    for ahead in [60_000, -60_000] {
        *bench.venue.ahead.lock().unwrap() = Some(ahead);
        bench.app.tick().await.unwrap();
    }
    bench.buy("2").await;
}

/// 10 shares of the market's Yes at 0.51.
fn order(id: &str) -> AgentOrder {
    AgentOrder {
        market_id: MarketId::new(id),
        token_id: TokenId::new(format!("{id}y")),
        ..wanted(Side::Buy, "5.1", "0.51")
    }
}

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !reached() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_warm_tick_asks_for_books_only() {
    let mut bench = Bench::stepped().await;
    // 100 histories, at most 40 at a look; the market that never traded is not asked about again.
    assert_eq!(bench.look().await, ["list 100", "histories 40"]);
    assert_eq!(bench.look().await, ["histories 40"]);
    assert_eq!(bench.look().await, ["histories 20"]);
    assert!(bench.look().await.is_empty());
    assert_eq!(bench.tick().await, ["books 200"]);
    assert_eq!(bench.app.ledger().unwrap().ticks(), 1);
}

#[tokio::test]
async fn a_cold_tick_fetches_for_itself_and_leaves_what_it_found() {
    let mut bench = Bench::stepped().await;
    let mut calls = bench.tick().await;
    calls.sort();
    assert_eq!(calls, ["books 200", "histories 100", "list 100"]);
    assert!(bench.look().await.is_empty(), "all of it is fresh");
    assert_eq!(bench.tick().await, ["books 200"]);
}

#[tokio::test]
async fn without_a_background_each_tick_asks_for_the_list() {
    let bench = bench(SourceKind::Polymarket, |_| {}).await;
    for (tick, histories) in [(1, "histories 100"), (2, "histories 1")] {
        let mut calls = bench.tick().await;
        calls.sort();
        assert_eq!(calls, ["books 200", histories, "list 100"], "tick {tick}");
    }
}

#[tokio::test]
async fn the_background_renews_at_half_the_age_up_to_which_a_tick_takes_it() {
    let mut bench = Bench::stepped().await;
    bench.settle().await;
    bench.venue.pass(59);
    assert!(bench.look().await.is_empty());
    bench.venue.pass(1);
    // A tick still takes what is 60 s old; the background renews it.
    assert_eq!(bench.tick().await, ["books 200"]);
    assert_eq!(bench.look().await, ["list 100"]);
    // 119 s later nothing has been renewed: the tick takes the list for the last time.
    bench.venue.pass(119);
    assert_eq!(bench.tick().await, ["books 200"]);
    bench.venue.pass(1);
    assert_eq!(bench.tick().await, ["list 100", "books 200"]);
    // Histories are 180 s old: due at 300 s, too old at 600 s.
    bench.venue.pass(119);
    assert_eq!(bench.look().await, ["list 100"]);
    bench.venue.pass(1);
    assert_eq!(bench.look().await, ["histories 40"]);
    bench.venue.pass(300);
    let mut calls = bench.tick().await;
    calls.sort();
    // 40 of them were renewed 300 s ago.
    assert_eq!(calls, ["books 200", "histories 60", "list 100"]);
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_nothing_fresh() {
    let mut bench = Bench::stepped().await;
    bench.settle().await;
    bench.venue.pass(-30);
    assert_eq!(bench.look().await, ["list 100", "histories 40"]);
}

#[tokio::test]
async fn metadata_and_resolutions_of_what_is_held_come_from_the_background() {
    let mut bench = Bench::stepped().await;
    bench.buy("5").await;
    bench.settle().await;
    bench.venue.closed.lock().unwrap().push("5".to_owned());
    bench.venue.pass(60);
    assert_eq!(
        bench.look().await,
        ["list 100", "markets 5", "resolutions 5"]
    );
    // Closed, but not resolved: known, and not asked about by the tick. 99 markets are open.
    assert_eq!(bench.tick().await, ["books 198"]);
    assert_eq!(bench.app.ledger().unwrap().positions().len(), 1);
    bench.venue.resolved.store(true, Ordering::SeqCst);
    bench.venue.pass(60);
    assert_eq!(
        bench.look().await,
        ["list 100", "markets 5", "resolutions 5"]
    );
    assert_eq!(bench.tick().await, ["books 198"]);
    let ledger = bench.app.ledger().unwrap();
    assert!(ledger.positions().is_empty());
    // 1,000 − 10 × 0.51 + 10 × 1.
    assert_eq!(ledger.cash().to_string(), "1004.9");
    bench.venue.pass(60);
    assert_eq!(bench.look().await, ["list 100"], "no longer needed");
}

#[tokio::test]
async fn a_tick_looks_for_resolutions_itself_when_the_background_has_not() {
    let bench = Bench::stepped().await;
    bench.buy("5").await;
    bench.venue.closed.lock().unwrap().push("5".to_owned());
    bench.venue.resolved.store(true, Ordering::SeqCst);
    let mut calls = bench.tick().await;
    calls.sort();
    let cold = ["books 198", "histories 99", "list 100", "markets 5"];
    assert_eq!(calls[..4], cold);
    assert_eq!(calls[4..], ["resolutions 5"]);
    assert!(bench.app.ledger().unwrap().positions().is_empty());
}

#[tokio::test]
async fn books_of_what_is_held_are_followed_first() {
    let mut bench = Bench::stepped().await;
    bench.look().await;
    bench.buy("5").await;
    bench.look().await;
    bench.look().await;
    // A market outside of the list comes before the listed ones too, while it is open.
    bench.buy("x").await;
    bench.look().await;
    let followed = bench.venue.followed.lock().unwrap().clone();
    assert_eq!(
        followed,
        [
            vec!["0y", "0n", "1y", "1n"],
            vec!["5y", "5n", "0y", "0n"],
            vec!["5y", "xy", "5n", "xn"],
        ]
    );
}

#[tokio::test]
async fn positions_are_shown_at_the_newest_bid_and_the_ledger_keeps_its_own() {
    let mut bench = Bench::stepped().await;
    bench.buy("5").await;
    bench.tick().await;
    bench.settle().await;
    let shown = || {
        let standing = bench.app.standing(&bench.app.ledger().unwrap());
        (
            standing.total.to_f64(),
            standing.complete,
            standing.daily_loss.to_f64(),
            standing.positions[0].mark.map(|mark| mark.at.to_rfc3339()),
        )
    };
    // 1,000 − 10 × 0.51 + 10 × 0.49.
    let noon = Some("2026-03-02T12:00:00Z".to_owned());
    assert_eq!(shown(), (999.8, true, 0.2, noon));
    *bench.venue.bid.lock().unwrap() = Some(price("0.45"));
    bench.venue.pass(10);
    bench.app.refresh_due(&mut bench.followed).await.unwrap();
    assert_eq!(bench.venue.calls(), ["books 1"]);
    let later = Some("2026-03-02T12:00:10Z".to_owned());
    assert_eq!(shown(), (999.4, true, 0.6, later.clone()));
    assert!(bench.venue.calls().is_empty(), "a reader asks nobody");
    let ledger = bench.app.ledger().unwrap();
    assert_eq!(ledger.equity().total.to_string(), "999.8");
    // Nobody bids: the last price stays, and the value says that it is not complete.
    *bench.venue.bid.lock().unwrap() = None;
    bench.venue.pass(10);
    bench.app.refresh_due(&mut bench.followed).await.unwrap();
    assert_eq!(shown(), (999.4, false, 0.6, later));
    // A tick sees the bid of the last tick again: nothing new for the ledger, but for readers.
    *bench.venue.bid.lock().unwrap() = Some(price("0.49"));
    bench.venue.pass(1);
    bench.tick().await;
    let now = Some("2026-03-02T12:00:21Z".to_owned());
    assert_eq!(shown(), (999.8, true, 0.2, now));
}

#[tokio::test]
async fn nothing_is_followed_when_none_are_wanted() {
    let mut bench = bench(SourceKind::Polymarket, |config| {
        config.gather.follow_markets = 0;
    })
    .await;
    assert!(bench.app.fresh.start());
    bench.buy("5").await;
    bench.settle().await;
    assert!(bench.venue.followed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_failing_background_waits_longer_each_time_and_stops_no_tick() {
    let mut bench = Bench::stepped().await;
    bench.settle().await;
    bench.venue.pass(60);
    bench.venue.down.store(true, Ordering::SeqCst);
    // Ten looks at the same moment: one attempt.
    let mut attempts = Vec::new();
    for _ in 0..10 {
        attempts.extend(bench.look().await);
    }
    assert_eq!(attempts, ["list 100"]);
    // Ten minutes of a venue that is down, a look each second: waits of 1–2, 2–4, 4–8, 8–16, 16–32
    // and then 30–60 s.
    for _ in 0..600 {
        bench.venue.pass(1);
        attempts.extend(bench.look().await);
    }
    let lists = attempts.iter().filter(|call| *call == "list 100").count();
    assert!((14..=27).contains(&lists), "{lists} attempts");
    let report = bench.app.feed_report(bench.venue.time());
    let problem = format!("({lists} times): venue could not be reached: refused");
    assert!(report.problems[0].contains(&problem), "{report:?}");
    // The venue is back before the background looks again: the tick fetches for itself.
    bench.venue.down.store(false, Ordering::SeqCst);
    let mut calls = bench.tick().await;
    calls.sort();
    assert_eq!(calls, ["books 200", "histories 100", "list 100"]);
    let report = bench.app.feed_report(bench.venue.time());
    assert!(report.problems.is_empty(), "{report:?}");
    bench.venue.pass(60);
    assert_eq!(bench.look().await, ["list 100"]);
    let report = bench.app.feed_report(bench.venue.time());
    assert!(!report.notes.join("\n").contains("could not"), "{report:?}");
}

#[tokio::test]
async fn a_tick_takes_what_is_fresh_though_the_background_fails() {
    let mut bench = Bench::stepped().await;
    bench.settle().await;
    bench.venue.pass(60);
    bench.venue.down.store(true, Ordering::SeqCst);
    bench.look().await;
    bench.venue.down.store(false, Ordering::SeqCst);
    assert_eq!(bench.tick().await, ["books 200"]);
    let report = bench.app.feed_report(bench.venue.time());
    assert_eq!(
        report.notes,
        [
            "background: 100 most traded markets, 60 s old",
            "background: 99 price histories, the oldest 60 s old",
            "background: the list of markets could not be refreshed (1 times): venue could not be \
             reached: refused",
        ]
    );
    assert!(report.problems.is_empty());
}

#[tokio::test]
async fn tools_read_what_is_fresh_and_orders_ask() {
    let mut bench = Bench::stepped().await;
    bench.settle().await;
    for name in ["3", "market-3", " 3 "] {
        let market = bench.app.market(name).await.unwrap();
        assert_eq!(market.id, MarketId::new("3"));
    }
    let market = bench.app.market_of_token(&TokenId::new("4n")).await;
    assert_eq!(market.unwrap().id, MarketId::new("4"));
    let listed = bench.app.most_traded(2).await.unwrap();
    assert_eq!(listed[1].id, MarketId::new("1"));
    assert!(bench.venue.calls().is_empty());
    // More than was listed, or older than the bound: the source is asked.
    assert_eq!(bench.app.most_traded(101).await.unwrap().len(), 100);
    assert_eq!(bench.venue.calls(), ["list 101"]);
    bench.venue.pass(120);
    bench.app.market("3").await.unwrap();
    bench.app.most_traded(2).await.unwrap();
    assert_eq!(bench.venue.calls(), ["market 3", "list 2"]);
    bench.settle().await;
    let unknown = bench.app.market_of_token(&TokenId::new("zz")).await;
    assert!(unknown.is_err());
    assert_eq!(bench.venue.calls(), ["market of zz"]);
}

#[tokio::test]
async fn there_is_none_on_simulated_time_or_when_it_is_switched_off() {
    let stop = CancellationToken::new();
    for kind in [SourceKind::Sandbox, SourceKind::Recorded] {
        let bench = bench(kind, |_| {}).await;
        assert!(bench.app.start_feed(&stop).is_none());
        bench.tick().await;
        assert!(bench.tick().await.contains(&"list 100".to_owned()));
        assert_eq!(bench.app.feed_report(NOW), FreshReport::default());
    }
    let off = bench(SourceKind::Polymarket, |c| c.gather.refresh_seconds = 0).await;
    assert!(off.app.start_feed(&stop).is_none());
}

const NOW: Timestamp = Timestamp::from_millis(NOON);

#[tokio::test]
async fn a_tick_waits_for_no_hanging_background_and_a_stop_ends_it() {
    let bench = bench(SourceKind::Polymarket, |_| {}).await;
    bench.venue.hang_next_list.store(true, Ordering::SeqCst);
    let stop = CancellationToken::new();
    let feed = bench.app.start_feed(&stop).unwrap();
    assert!(
        bench.app.start_feed(&stop).is_none(),
        "there is one already"
    );
    until("the background asks", || !bench.venue.calls().is_empty()).await;
    let mut calls = bench.tick().await;
    calls.sort();
    assert_eq!(calls, ["books 200", "histories 100", "list 100"]);
    let task = feed.task;
    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(20), task).await;
    ended.expect("it stops at once").unwrap();
    assert!(!bench.app.fresh.is_running());
    assert!(!bench.app.fresh.has_ended_early());
    assert!(bench.tick().await.contains(&"list 100".to_owned()));
}

#[tokio::test]
async fn a_background_that_breaks_is_shown_and_everybody_asks_for_himself() {
    let bench = bench(SourceKind::Polymarket, |_| {}).await;
    bench.venue.panic_next_list.store(true, Ordering::SeqCst);
    let _feed = bench.app.start_feed(&CancellationToken::new()).unwrap();
    until("the end", || bench.app.fresh.has_ended_early()).await;
    let report = bench.app.feed_report(NOW);
    assert!(report.problems[0].contains("ended by itself"), "{report:?}");
    bench.venue.calls();
    assert!(bench.tick().await.contains(&"list 100".to_owned()));
}

#[tokio::test]
async fn the_background_leaves_the_venue_to_a_tick_that_gathers() {
    let bench = Bench::stepped().await;
    let gathering = bench.app.fresh.gathering();
    let mut idle = Box::pin(bench.app.fresh.idle());
    assert!(futures::poll!(&mut idle).is_pending());
    drop(gathering);
    tokio::time::timeout(Duration::from_secs(20), idle)
        .await
        .expect("no tick gathers any more");
}

#[test]
fn waits_double_up_to_a_minute() {
    for (failures, most) in [
        (1, 2_000),
        (2, 4_000),
        (5, 32_000),
        (6, 60_000),
        (99, 60_000),
    ] {
        for _ in 0..50 {
            let wait = wait_after(failures);
            assert!((most / 2..=most).contains(&wait), "{failures}: {wait}");
        }
    }
}
