use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::*;
use crate::app::config::Config;
use crate::app::{Access, Feed, OpenOptions, Source};
use crate::domain::{
    BookOrigin, ConditionalKind, Event, FeeSchedule, Level, MarketStatus, OrderType, Outcome,
    PricePoint, ProtocolVersion, Shares, Side, SourceKind, StrategyName, Usdc,
};
use crate::market_data::{
    DataError, DataHealth, EventVolume, HistorySpan, MarketData, MarketQuery, Period, Trader,
    WalletPosition,
};
use crate::trading::desk::{AgentOrder, NewConditional};

/// 2026-03-02T12:00:00Z, ms.
const NOON: i64 = 1_772_452_800_000;

fn price(text: &str) -> Price {
    Price::parse(text).unwrap()
}

fn market() -> Arc<Market> {
    let outcome = |name: &str, token: &str| Outcome {
        name: name.to_owned(),
        token: TokenId::new(token),
        synthetic: false,
        indicative_price: None,
    };
    Arc::new(Market {
        id: MarketId::new("m"),
        condition_id: Some(ConditionId::new("0xc0")),
        slug: None,
        question: "Will it?".to_owned(),
        description: None,
        event_id: None,
        category: None,
        outcomes: vec![outcome("Yes", "y"), outcome("No", "n")],
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
    now: Timestamp,
    book: Mutex<Option<Arc<Book>>>,
    resolved: Mutex<bool>,
    fetched: AtomicU64,
    events: broadcast::Sender<StreamEvent>,
}

impl Streaming {
    fn new() -> Arc<Self> {
        let venue = Streaming {
            now: Timestamp::from_millis(NOON),
            book: Mutex::default(),
            resolved: Mutex::default(),
            fetched: AtomicU64::new(0),
            events: broadcast::channel(64).0,
        };
        venue.put("0.48", "0.50");
        Arc::new(venue)
    }

    fn put(&self, bid: &str, ask: &str) {
        let level = |text| {
            vec![Level {
                price: price(text),
                size: Shares::whole(1_000),
            }]
        };
        let book = Book::new(
            TokenId::new("y"),
            level(bid),
            level(ask),
            self.now,
            BookOrigin::Venue,
        );
        *self.book.lock().unwrap() = Some(Arc::new(book.with_feed(BookFeed::Streamed {
            since_snapshot: self.now,
        })));
    }

    fn tell(&self, event: StreamEvent) {
        self.events.send(event).unwrap();
    }

    fn moves(&self, bid: &str, ask: &str) {
        self.put(bid, ask);
        self.tell(StreamEvent::BookChanged(TokenId::new("y")));
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
        Ok(self.now)
    }
    async fn active_markets(&self, _: &MarketQuery) -> Result<Vec<Arc<Market>>, DataError> {
        Ok(vec![market()])
    }
    async fn search(&self, _: &str, _: usize, _: bool) -> Result<Vec<Arc<Market>>, DataError> {
        not_asked()
    }
    async fn market(&self, _: &str) -> Result<Option<Arc<Market>>, DataError> {
        Ok(Some(market()))
    }
    async fn markets(&self, _: &[MarketId]) -> Result<HashMap<MarketId, Arc<Market>>, DataError> {
        Ok(HashMap::from([(MarketId::new("m"), market())]))
    }
    async fn market_of_token(&self, _: &TokenId) -> Result<Option<Arc<Market>>, DataError> {
        not_asked()
    }
    async fn event(&self, _: &str) -> Result<Option<Event>, DataError> {
        not_asked()
    }
    async fn books(&self, _: &[TokenId]) -> Result<HashMap<TokenId, Arc<Book>>, DataError> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        let book = self.book.lock().unwrap().clone();
        Ok(book.map(|b| (b.token.clone(), b)).into_iter().collect())
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
            payouts: vec![("y".into(), Price::ONE), ("n".into(), Price::ZERO)],
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

impl Bench {
    async fn start() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let venue = Streaming::new();
        let app = App::open(OpenOptions {
            config: Config::default(),
            source: Source {
                data: venue.clone(),
                advance: None,
            },
            db: dir.path().join("test.db"),
            access: Access::Own,
        })
        .await
        .unwrap();
        app.place_order(AgentOrder {
            strategy: StrategyName::new("test"),
            market_id: MarketId::new("m"),
            token_id: TokenId::new("y"),
            side: Side::Buy,
            size: Usdc::whole(10),
            limit: price("0.50"),
            order_type: OrderType::Fak,
            expires_at: None,
            client_order_id: None,
            stop_loss: None,
            take_profit: None,
            trail_percent: None,
            reason: "test".to_owned(),
        })
        .await
        .unwrap();
        app.create_conditional(NewConditional {
            token_id: TokenId::new("y"),
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
        let known = || bench.app.fresh.market("m", bench.venue.now).is_some();
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
async fn a_change_that_sets_nothing_off_writes_nothing() {
    let bench = Bench::start().await;
    let before = bench.seq();
    for bid in ["0.47", "0.46", "0.45", "0.44"] {
        bench.venue.moves(bid, "0.50");
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.seq(), before);
    bench.stop().await;
}

#[tokio::test]
async fn nothing_is_sold_on_the_book_of_a_broken_stream() {
    let bench = Bench::start().await;
    let before = bench.seq();
    // The last book of a lost connection is given out no more.
    bench.venue.put("0.30", "0.31");
    let lost = bench.venue.book.lock().unwrap().take();
    let tokens = vec![TokenId::new("y")];
    bench.venue.tell(StreamEvent::BookChanged("y".into()));
    bench.venue.tell(StreamEvent::Broken { tokens });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.seq(), before);
    // A source that gives it out as broken sells nothing either.
    let broken = (*lost.unwrap()).clone().with_feed(BookFeed::Broken);
    *bench.venue.book.lock().unwrap() = Some(Arc::new(broken));
    bench.venue.tell(StreamEvent::BookChanged("y".into()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.seq(), before);
    // It comes back, and the price is where it was lost.
    bench.venue.put("0.39", "0.41");
    bench.venue.tell(StreamEvent::Live { token: "y".into() });
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
        winner: TokenId::new("y"),
        outcome: None,
        at: bench.venue.now,
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
