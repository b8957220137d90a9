use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use async_trait::async_trait;

use super::*;
use crate::app::config::Config;
use crate::app::{Access, Feed, OpenOptions, Source};
use crate::domain::{
    BookOrigin, ConditionalKind, Event, FeeSchedule, Level, MarketStatus, Outcome, PricePoint,
    ProtocolVersion, Shares, Side, SourceKind, StrategyName, Usdc,
};
use crate::market_data::{
    DataError, DataHealth, EventVolume, HistorySpan, MarketData, MarketQuery, Period, Trader,
    WalletPosition,
};
use crate::trading::desk::{AgentOrder, NewConditional};
use crate::trading::report::IN_FLIGHT;
use crate::trading::test_support::wanted;

mod parity;

/// 2026-03-02T12:00:00Z, ms.
const NOON: i64 = 1_772_452_800_000;

fn price(text: &str) -> Price {
    Price::parse(text).unwrap()
}

fn market() -> Arc<Market> {
    named("m", ["7", "8"])
}

/// Another one, that nothing is held in.
fn other_market() -> Arc<Market> {
    named("k", ["ky", "kn"])
}

fn named(id: &str, tokens: [&str; 2]) -> Arc<Market> {
    let outcome = |name: &str, token: &str| Outcome {
        name: name.into(),
        token: TokenId::new(token),
        synthetic: false,
        indicative_price: None,
    };
    Arc::new(Market {
        id: MarketId::new(id),
        condition_id: (id == "m").then(|| ConditionId::new("0xc0")),
        slug: None,
        question: "Will it?".to_owned(),
        description: None,
        event_id: None,
        category: None,
        outcomes: vec![outcome("Yes", tokens[0]), outcome("No", tokens[1])],
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
        status: MarketStatus::Open,
        version: ProtocolVersion::V1,
        label: None,
    })
}

/// A venue with one market whose books are told over a stream.
struct Streaming {
    now: AtomicI64,
    book: Mutex<Option<Arc<Book>>>,
    resolved: Mutex<bool>,
    fee: Mutex<FeeSchedule>,
    fetched: AtomicU64,
    events: broadcast::Sender<StreamEvent>,
}

impl Streaming {
    fn new() -> Arc<Self> {
        let venue = Streaming {
            now: AtomicI64::new(NOON),
            book: Mutex::default(),
            resolved: Mutex::default(),
            fee: Mutex::new(FeeSchedule::FREE),
            fetched: AtomicU64::new(0),
            events: broadcast::channel(64).0,
        };
        venue.put("0.48", "0.50");
        Arc::new(venue)
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    /// Its market, with its fee.
    fn ours(&self) -> Arc<Market> {
        let fee = *self.fee.lock().unwrap();
        Arc::new(Market {
            fee,
            ..(*market()).clone()
        })
    }

    /// Time goes on by so much.
    fn wait(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }

    fn book_of(&self, token: &str, bid: &str, ask: &str) -> Arc<Book> {
        let level = |text| {
            vec![Level {
                price: price(text),
                size: Shares::whole(1_000),
            }]
        };
        let book = Book::new(
            TokenId::new(token),
            level(bid),
            level(ask),
            self.now(),
            BookOrigin::Venue,
        );
        Arc::new(book.with_feed(BookFeed::Streamed {
            since_snapshot: self.now(),
        }))
    }

    fn put(&self, bid: &str, ask: &str) {
        *self.book.lock().unwrap() = Some(self.book_of("7", bid, ask));
    }

    fn tell(&self, event: StreamEvent) {
        self.events.send(event).unwrap();
    }

    fn moves(&self, bid: &str, ask: &str) {
        self.put(bid, ask);
        self.tell(StreamEvent::BookChanged(TokenId::new("7")));
    }
}

fn not_asked<T>() -> Result<T, DataError> {
    Err(DataError::BadRequest("not asked in these tests".to_owned()))
}

#[async_trait]
impl MarketData for Streaming {
    fn kind(&self) -> SourceKind {
        SourceKind::Polymarket
    }
    async fn now(&self) -> Result<Timestamp, DataError> {
        Ok(self.now())
    }
    async fn active_markets(&self, _: &MarketQuery) -> Result<Vec<Arc<Market>>, DataError> {
        Ok(vec![self.ours()])
    }
    async fn search(&self, _: &str, _: usize, _: bool) -> Result<Vec<Arc<Market>>, DataError> {
        not_asked()
    }
    async fn market(&self, id: &str) -> Result<Option<Arc<Market>>, DataError> {
        Ok(Some(if id == "k" {
            other_market()
        } else {
            self.ours()
        }))
    }
    async fn markets(&self, _: &[MarketId]) -> Result<HashMap<MarketId, Arc<Market>>, DataError> {
        Ok(HashMap::from([(MarketId::new("m"), self.ours())]))
    }
    async fn market_of_token(&self, _: &TokenId) -> Result<Option<Arc<Market>>, DataError> {
        not_asked()
    }
    async fn event(&self, _: &str) -> Result<Option<Event>, DataError> {
        not_asked()
    }
    async fn books(&self, tokens: &[TokenId]) -> Result<HashMap<TokenId, Arc<Book>>, DataError> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        let ours = self.book.lock().unwrap().clone();
        let other = self.book_of("ky", "0.48", "0.50");
        let all = ours.into_iter().chain([other]);
        Ok(all
            .filter(|book| tokens.contains(&book.token))
            .map(|book| (book.token.clone(), book))
            .collect())
    }
    async fn price_history(
        &self,
        _: &TokenId,
        _: HistorySpan,
        _: u32,
    ) -> Result<Vec<PricePoint>, DataError> {
        not_asked()
    }
    async fn price_histories(
        &self,
        _: &[TokenId],
        _: HistorySpan,
        _: u32,
    ) -> Result<HashMap<TokenId, Vec<PricePoint>>, DataError> {
        Ok(HashMap::new())
    }
    async fn resolutions(&self, _: &[Arc<Market>]) -> Result<Vec<Resolution>, DataError> {
        let yes = Resolution {
            market_id: MarketId::new("m"),
            payouts: vec![("7".into(), Price::ONE), ("8".into(), Price::ZERO)],
            resolved_at: None,
            evidence: "a test".to_owned(),
        };
        let over = *self.resolved.lock().unwrap();
        Ok(over.then_some(yes).into_iter().collect())
    }
    async fn event_volume(&self, _: &str) -> Result<Option<EventVolume>, DataError> {
        not_asked()
    }
    async fn wallet_positions(&self, _: &str, _: usize) -> Result<Vec<WalletPosition>, DataError> {
        not_asked()
    }
    async fn leaderboard(&self, _: Period, _: usize) -> Result<Vec<Trader>, DataError> {
        not_asked()
    }
    fn live_books(&self, tokens: &[TokenId]) -> HashMap<TokenId, Arc<Book>> {
        let book = self.book.lock().unwrap().clone();
        book.filter(|book| tokens.contains(&book.token))
            .map(|book| (book.token.clone(), book))
            .into_iter()
            .collect()
    }
    fn changes(&self) -> Option<broadcast::Receiver<StreamEvent>> {
        Some(self.events.subscribe())
    }
    fn health(&self) -> DataHealth {
        DataHealth::default()
    }
}

/// 20 shares of Yes for 10 pUSD of 1000 and a stop at 0.40; the background listens.
struct Bench {
    app: Arc<App>,
    venue: Arc<Streaming>,
    shutdown: CancellationToken,
    feed: Option<Feed>,
    _dir: tempfile::TempDir,
}

/// The same venue's account in this folder.
async fn opened(dir: &std::path::Path, venue: &Arc<Streaming>, config: Config) -> Arc<App> {
    App::open(OpenOptions {
        config,
        source: Source {
            data: venue.clone(),
            advance: None,
        },
        db: dir.join("test.db"),
        access: Access::Own,
    })
    .await
    .unwrap()
}

/// Buys 20 shares of Yes at 0.50 at most.
fn buy() -> AgentOrder {
    AgentOrder {
        strategy: StrategyName::new("test"),
        token_id: TokenId::new("7"),
        ..wanted(Side::Buy, "10", "0.50")
    }
}

impl Bench {
    async fn start() -> Bench {
        Bench::with(Config::default()).await
    }

    async fn with(config: Config) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let venue = Streaming::new();
        let app = opened(dir.path(), &venue, config).await;
        app.place_order(buy()).await.unwrap();
        app.create_conditional(NewConditional {
            token_id: TokenId::new("7"),
            market: (*market()).clone(),
            kind: ConditionalKind::StopLoss,
            trigger_price: price("0.40"),
            shares: None,
            trail_percent: None,
            oco_with: None,
            bid: Some(price("0.48")),
            reason: "test".to_owned(),
        })
        .await
        .unwrap();
        let shutdown = CancellationToken::new();
        let feed = app.start_feed(&shutdown);
        let bench = Bench {
            app,
            venue,
            shutdown,
            feed,
            _dir: dir,
        };
        let known = || bench.app.fresh.market("m", bench.venue.now()).is_some();
        bench.until("the market to be known", known).await;
        bench
    }

    async fn until(&self, what: &str, mut reached: impl FnMut() -> bool) {
        for _ in 0..500 {
            if reached() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no {what}");
    }

    fn cash(&self) -> Usdc {
        self.app.ledger().unwrap().cash()
    }

    fn seq(&self) -> u64 {
        self.app.ledger().unwrap().seq()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        if let Some(feed) = self.feed {
            feed.ended(Duration::from_secs(5)).await;
        }
    }
}

#[tokio::test]
async fn a_stop_fires_on_a_live_book_without_a_tick_and_fetches_none() {
    let bench = Bench::start().await;
    // The background's own look at what positions are worth comes every ten seconds of the venue's
    // clock, which stands still: no more of them from here on.
    bench
        .until("a look at the marks", || {
            bench.venue.fetched.load(Ordering::SeqCst) >= 2
        })
        .await;
    let fetched = bench.venue.fetched.load(Ordering::SeqCst);
    bench.venue.moves("0.39", "0.41");
    bench
        .until("sale", || {
            bench.app.ledger().unwrap().positions().is_empty()
        })
        .await;
    let ledger = bench.app.ledger().unwrap();
    // 990 + 20 × 0.39
    assert_eq!(ledger.cash(), Usdc::parse("997.8").unwrap());
    assert_eq!(ledger.ticks(), 0);
    assert!(ledger.conditionals().is_empty());
    assert_eq!(bench.venue.fetched.load(Ordering::SeqCst), fetched);
    bench.stop().await;
}

#[tokio::test]
async fn a_change_that_moves_no_bid_writes_nothing() {
    let bench = Bench::start().await;
    let before = bench.seq();
    for ask in ["0.51", "0.52", "0.53", "0.54"] {
        bench.venue.moves("0.48", ask);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.seq(), before);
    bench.stop().await;
}

/// 20 shares of 0.50 at 0.44: 1.2 lost.
#[tokio::test]
async fn a_loss_halts_between_two_ticks_and_marks_are_written_once_a_second() {
    let mut config = Config::default();
    config.risk.max_daily_loss = Usdc::whole(1);
    let bench = Bench::with(config).await;
    let before = bench.seq();
    let started = Instant::now();
    // Nothing fires: the stop waits at 0.40.
    for bid in ["0.47", "0.46", "0.45", "0.44"] {
        bench.venue.moves(bid, "0.50");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let halted = || bench.app.ledger().unwrap().halt().is_some();
    bench.until("halt", halted).await;
    let events = bench.app.store().events(before, 100).unwrap();
    let marks = events
        .iter()
        .filter(|stamped| matches!(&stamped.event, crate::domain::LedgerEvent::Marked { .. }));
    let most = 1 + usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    assert!((1..=most).contains(&marks.count()), "{events:?}");
    assert_eq!(bench.app.ledger().unwrap().ticks(), 0);
    bench.stop().await;
}

#[tokio::test]
async fn an_agents_buy_is_judged_on_the_live_bids_of_everything_held() {
    let mut config = Config::default();
    config.risk.max_daily_loss = Usdc::whole(1);
    let bench = Bench::with(config).await;
    // The book has fallen; nobody has been told yet.
    bench.venue.put("0.44", "0.50");
    let order = AgentOrder {
        market_id: MarketId::new("k"),
        token_id: TokenId::new("ky"),
        ..buy()
    };
    let refused = bench.app.place_order(order).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("max_daily_loss: 1.2 pUSD lost"),
        "{refused}"
    );
    bench.stop().await;
}

/// Orders take 300 ms, by a clock that the test moves.
fn slow() -> Config {
    let mut config = Config::default();
    config.execution.latency_ms = 300;
    config
}

#[tokio::test]
async fn a_call_answers_where_its_order_stands_whoever_let_it_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let venue = Streaming::new();
    let app = opened(dir.path(), &venue, slow()).await;
    let place = || {
        let app = app.clone();
        tokio::spawn(async move { app.place_order(buy()).await.unwrap() })
    };
    let sent = || async {
        let before = app.ledger().unwrap().next_order_id();
        let call = place();
        while app.ledger().unwrap().next_order_id() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        [call]
    };
    // Cancelled on its way.
    let [call] = sent().await;
    let scope = crate::trading::desk::CancelScope::Order(1);
    app.cancel_orders(scope, "agent".to_owned()).await.unwrap();
    venue.wait(300);
    let report = call.await.unwrap();
    assert_eq!(
        (report.status.as_str(), report.reason.as_str()),
        ("cancelled", "cancelled by agent")
    );
    // Two at once: one step meets both.
    let ([first], [second]) = (sent().await, sent().await);
    venue.wait(300);
    for call in [first, second] {
        let report = call.await.unwrap();
        assert_eq!(report.status, "filled");
        let fills: Vec<f64> = report.fills.iter().map(|fill| fill.shares).collect();
        assert_eq!((fills, report.notional), (vec![20.0], 10.0));
    }
    // Another step comes first.
    let [call] = sent().await;
    venue.wait(300);
    app.tick().await.unwrap();
    let report = call.await.unwrap();
    assert_eq!(
        (report.status.as_str(), report.filled_shares),
        ("filled", 20.0)
    );
    // Nobody's step can, as long as the clock stands still.
    let report = app.place_order(buy()).await.unwrap();
    assert_eq!(report.status, IN_FLIGHT);
}

/// The status of order 1 after its process ended and another opened the account a minute later.
async fn after_a_restart(time_stands_still: bool) -> (String, Option<String>) {
    let dir = tempfile::tempdir().unwrap();
    let venue = Streaming::new();
    let open = || async {
        let advance =
            time_stands_still.then(|| -> crate::app::Advance { Box::new(|| Box::pin(async {})) });
        App::open(OpenOptions {
            config: slow(),
            source: Source {
                data: venue.clone(),
                advance,
            },
            db: dir.path().join("test.db"),
            access: Access::Own,
        })
        .await
        .unwrap()
    };
    let app = open().await;
    // The clock stands still while the call waits, so it gives up.
    let sent = app.place_order(buy()).await.unwrap();
    assert_eq!(sent.status, IN_FLIGHT);
    drop(app);
    venue.wait(20_000);
    venue.put("0.48", "0.50");
    let app = open().await;
    app.tick().await.unwrap();
    let query = crate::store::OrderQuery {
        limit: 1,
        ..Default::default()
    };
    let row = app.store().orders(&query).unwrap().remove(0);
    (row.status, row.close_reason)
}

#[tokio::test]
async fn an_order_due_while_the_server_was_away_is_not_delivered_after_a_restart() {
    let (status, why) = after_a_restart(false).await;
    assert_eq!(status, "cancelled");
    assert_eq!(why.unwrap(), "not delivered: the server was away");
}

#[tokio::test]
async fn where_time_stands_still_between_processes_the_first_step_after_its_moment_meets_it() {
    assert_eq!(after_a_restart(true).await.0, "filled");
}

#[tokio::test]
async fn an_order_whose_caller_has_gone_is_met_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let venue = Streaming::new();
    let app = opened(dir.path(), &venue, slow()).await;
    let sent = app.place_order(buy()).await.unwrap();
    assert_eq!(sent.status, IN_FLIGHT);
    let shutdown = CancellationToken::new();
    let feed = app.start_feed(&shutdown).unwrap();
    venue.wait(1_300);
    venue.put("0.48", "0.50");
    for _ in 0..500 {
        if app.ledger().unwrap().in_flight().next().is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ledger = app.ledger().unwrap();
    assert_eq!(ledger.held(&TokenId::new("7")), Shares::whole(20));
    assert_eq!(ledger.ticks(), 0);
    shutdown.cancel();
    feed.ended(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn nothing_is_sold_on_the_book_of_a_broken_stream() {
    let bench = Bench::start().await;
    let before = bench.seq();
    // The last book of a lost connection is given out no more.
    bench.venue.put("0.30", "0.31");
    let lost = bench.venue.book.lock().unwrap().take();
    let tokens = vec![TokenId::new("7")];
    bench.venue.tell(StreamEvent::BookChanged("7".into()));
    bench.venue.tell(StreamEvent::Broken { tokens });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.seq(), before);
    // A source that gives it out as broken sells nothing either.
    let broken = (*lost.unwrap()).clone().with_feed(BookFeed::Broken);
    *bench.venue.book.lock().unwrap() = Some(Arc::new(broken));
    bench.venue.tell(StreamEvent::BookChanged("7".into()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.seq(), before);
    // It comes back, and the price is where it was lost.
    bench.venue.put("0.39", "0.41");
    bench.venue.tell(StreamEvent::Live { token: "7".into() });
    let sold = || bench.cash() == Usdc::parse("997.8").unwrap();
    bench.until("sale", sold).await;
    bench.stop().await;
}

#[tokio::test]
async fn an_announced_resolution_is_paid_on_evidence_only() {
    let bench = Bench::start().await;
    let before = bench.cash();
    let announce = || StreamEvent::Resolved {
        condition_id: ConditionId::new("0xc0"),
        winner: TokenId::new("7"),
        outcome: None,
        at: bench.venue.now(),
    };
    bench.venue.tell(announce());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.cash(), before, "the announcement moves no money");
    *bench.venue.resolved.lock().unwrap() = true;
    // Asked again a second later: 990 + 20 × 1
    let paid = || bench.cash() == Usdc::whole(1010);
    bench.until("payment", paid).await;
    assert!(bench.app.ledger().unwrap().conditionals().is_empty());
    bench.stop().await;
}

#[tokio::test]
async fn a_wide_spread_is_looked_at_again_by_the_clock_alone() {
    let bench = Bench::start().await;
    bench.venue.moves("0.30", "0.60");
    let doubted = || {
        let ledger = bench.app.ledger().unwrap();
        ledger
            .conditionals()
            .values()
            .any(|order| order.doubted_since.is_some())
    };
    bench.until("doubt", doubted).await;
    let before = bench.seq();
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_eq!(
        bench.seq(),
        before,
        "said once, though looked at each second"
    );
    bench.stop().await;
}

#[test]
fn a_burst_is_one_change_of_each_token() {
    let (events, mut changes) = broadcast::channel(4);
    let mut changed = Changed::default();
    for token in ["1", "2", "1"] {
        events.send(StreamEvent::BookChanged(token.into())).unwrap();
    }
    assert!(changed.drain(&mut changes));
    assert_eq!(changed.tokens.len(), 2);
    for _ in 0..9 {
        events.send(StreamEvent::BookChanged("3".into())).unwrap();
    }
    assert!(changed.drain(&mut changes));
    assert!(changed.all, "what was missed may have been anything");
    drop(events);
    assert!(!changed.drain(&mut changes));
}
