//! Markets, books and snapshots for tests, in a line or two each.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::StrategyContext;
use crate::domain::{
    Book, BookOrigin, Calibrations, Estimate, EventId, FeeSchedule, History, Level, Market,
    MarketId, MarketStatus, MarketView, Order, OrderType, Outcome, Position, Price, PricePoint,
    ProtocolVersion, RestingOrder, Shares, Side, Snapshot, SourceKind, StrategyName, Timestamp,
    TokenId, Usdc,
};

/// The moment of every test snapshot.
pub(super) fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T12:00:00Z").unwrap()
}

pub(super) fn price(text: &str) -> Price {
    Price::parse(text).unwrap()
}

pub(super) fn usdc(text: &str) -> Usdc {
    Usdc::parse(text).unwrap()
}

pub(super) fn shares(text: &str) -> Shares {
    Shares::parse(text).unwrap()
}

/// Asserts that two estimates agree to a billionth.
#[track_caller]
pub(super) fn close(actual: f64, expected: f64) {
    assert!(
        (actual - expected).abs() < 1e-9,
        "{actual} is not {expected}"
    );
}

/// Price and shares of book levels.
pub(super) type Levels<'a> = &'a [(&'a str, u32)];

pub(super) struct MarketBuilder {
    market: Market,
    books: Vec<Option<Arc<Book>>>,
    history: Option<History>,
    candidate: bool,
}

/// An open market `id` with tokens `id-yes` and `id-no`, tick 0.01, minimum 5 shares, no fee,
/// volume 20,000 and liquidity 5,000 pUSD, and neither books nor history.
pub(super) fn market(id: &str) -> MarketBuilder {
    let outcome = |name: &str, token: &str| Outcome {
        name: name.into(),
        token: TokenId::new(format!("{id}-{token}")),
        synthetic: false,
        indicative_price: None,
    };
    MarketBuilder {
        market: Market {
            id: MarketId::new(id),
            condition_id: None,
            slug: None,
            question: format!("Will {id} happen?"),
            description: None,
            event_id: None,
            category: None,
            outcomes: vec![outcome("Yes", "yes"), outcome("No", "no")],
            tick: price("0.01"),
            min_size: Shares::whole(5),
            fee: FeeSchedule::FREE,
            neg_risk: false,
            placeholder: false,
            volume: None,
            volume_24h: Some(Usdc::whole(20_000)),
            liquidity: Some(Usdc::whole(5_000)),
            start: None,
            end: None,
            status: MarketStatus::Open,
            version: ProtocolVersion::V1,
            label: None,
        },
        books: vec![None, None],
        history: None,
        candidate: true,
    }
}

fn levels(levels: Levels<'_>) -> Vec<Level> {
    levels
        .iter()
        .map(|(at, size)| Level {
            price: price(at),
            size: Shares::whole(*size),
        })
        .collect()
}

impl MarketBuilder {
    /// Changes anything about the market.
    pub(super) fn with(mut self, change: impl FnOnce(&mut Market)) -> Self {
        change(&mut self.market);
        self
    }

    /// Fee of this rate, exponent 1.
    pub(super) fn fee(self, rate: &str) -> Self {
        let fee = FeeSchedule::new(rate, 1).unwrap();
        self.with(|market| market.fee = fee)
    }

    /// Member of a neg-risk event.
    pub(super) fn event(self, id: &str) -> Self {
        self.with(|market| {
            market.event_id = Some(EventId::new(id));
            market.neg_risk = true;
        })
    }

    pub(super) fn not_candidate(mut self) -> Self {
        self.candidate = false;
        self
    }

    pub(super) fn book(mut self, index: usize, bids: Vec<Level>, asks: Vec<Level>) -> Self {
        let token = self.market.outcomes[index].token.clone();
        self.books[index] = Some(Arc::new(Book::new(
            token,
            bids,
            asks,
            now(),
            BookOrigin::Venue,
        )));
        self
    }

    /// Makes the books there are those of a recording: made from one price.
    pub(super) fn synthetic(mut self) -> Self {
        for book in self.books.iter_mut().flatten() {
            let mut made = Book::clone(book);
            made.origin = BookOrigin::Synthetic;
            *book = Arc::new(made);
        }
        self
    }

    /// Asks about this, in an ordinary event whose markets do not exclude each other.
    pub(super) fn asks(self, event: &str, question: &str) -> Self {
        self.with(|market| {
            market.event_id = Some(EventId::new(event));
            market.question = question.to_owned();
        })
    }

    /// The first outcome's book.
    pub(super) fn yes(self, bids: Levels<'_>, asks: Levels<'_>) -> Self {
        self.book(0, levels(bids), levels(asks))
    }

    /// The second outcome's book.
    pub(super) fn no(self, bids: Levels<'_>, asks: Levels<'_>) -> Self {
        self.book(1, levels(bids), levels(asks))
    }

    /// Past prices of the first outcome: minutes ago, price; oldest first.
    pub(super) fn history(mut self, points: &[(i64, f64)]) -> Self {
        self.history = Some(History::new(
            points
                .iter()
                .map(|(minutes, price)| PricePoint {
                    at: now().plus_millis(-minutes * 60_000),
                    price: *price,
                })
                .collect(),
        ));
        self
    }

    pub(super) fn view(self) -> MarketView {
        MarketView {
            market: Arc::new(self.market),
            books: self.books,
            history: self.history,
            candidate: self.candidate,
        }
    }
}

/// Everything that a strategy may look at, owned.
pub(super) struct World {
    pub(super) snapshot: Snapshot,
    pub(super) positions: BTreeMap<TokenId, Position>,
    pub(super) resting: BTreeMap<u64, RestingOrder>,
    pub(super) estimates: BTreeMap<MarketId, Vec<Estimate>>,
    pub(super) calibrations: Calibrations,
}

/// A world with these markets, no positions and no estimates.
pub(super) fn world(views: Vec<MarketView>) -> World {
    World {
        snapshot: Snapshot::new(now(), SourceKind::Sandbox, views, vec![]),
        positions: BTreeMap::new(),
        resting: BTreeMap::new(),
        estimates: BTreeMap::new(),
        calibrations: Calibrations::default(),
    }
}

impl World {
    pub(super) fn context(&self) -> StrategyContext<'_> {
        StrategyContext {
            snapshot: &self.snapshot,
            positions: &self.positions,
            resting: &self.resting,
            estimates: &self.estimates,
            calibrations: &self.calibrations,
        }
    }

    /// Holds whole shares that cost so many pUSD.
    pub(super) fn hold(
        &mut self,
        market: &str,
        token: &str,
        count: u32,
        cost: &str,
        strategy: &str,
    ) {
        self.positions.insert(
            TokenId::new(token),
            Position {
                market_id: MarketId::new(market),
                event_id: None,
                token_id: TokenId::new(token),
                outcome: "".into(),
                shares: Shares::whole(count),
                cost: usdc(cost),
                opened_at: now(),
                entry_strategy: StrategyName::new(strategy),
                mark: None,
            },
        );
    }

    /// Rests an order of a strategy.
    pub(super) fn rest(&mut self, token: &str, side: Side, at: &str, count: u32, strategy: &str) {
        let id = u64::try_from(self.resting.len()).unwrap() + 1;
        let order = Order {
            id,
            client_order_id: None,
            signal_id: None,
            supporters: Vec::new(),
            strategy: StrategyName::new(strategy),
            market_id: MarketId::new("m"),
            event_id: None,
            token_id: TokenId::new(token),
            outcome: "".into(),
            side,
            limit: price(at),
            shares: Shares::whole(count),
            order_type: OrderType::PostOnly,
            expires_at: None,
            arrives_at: None,
            fired_by: None,
            fee: None,
            basket: None,
            reason: String::new(),
            stop_loss: None,
            take_profit: None,
            trail_percent: None,
        };
        self.resting.insert(
            id,
            RestingOrder {
                order,
                remaining: Shares::whole(count),
                placed_at: now(),
                queue_ahead: Shares::ZERO,
                prints_to: now(),
            },
        );
    }

    /// Stores an estimate given `minutes_ago` that holds for `minutes` from then.
    pub(super) fn estimate(
        &mut self,
        market: &str,
        token: &str,
        author: &str,
        probability: f64,
        (minutes_ago, minutes): (i64, i64),
    ) {
        let created_at = now().plus_millis(-minutes_ago * 60_000);
        self.estimates
            .entry(MarketId::new(market))
            .or_default()
            .push(Estimate {
                market_id: MarketId::new(market),
                token_id: TokenId::new(token),
                outcome: "".into(),
                probability,
                confidence: None,
                author: author.to_owned(),
                rationale: String::new(),
                ask_then: None,
                bid_then: None,
                created_at,
                expires_at: created_at.plus_millis(minutes * 60_000),
            });
    }
}
