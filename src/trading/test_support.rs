//! What the core's tests are built from: markets, books, snapshots, strategies that say what they
//! are told to, and an account that checks its own books after every step.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::{
    Basket, BasketLeg, Book, BookOrigin, ConditionalKind, FeeSchedule, Intent, LedgerEvent, Level,
    Market, MarketId, MarketStatus, MarketView, Order, OrderType, Outcome, Price, Print,
    ProtocolVersion, Quote, QuoteSide, Resolution, Shares, Side, Signal, Snapshot, SourceKind,
    StampedEvent, StrategyName, Timestamp, TokenId, Usdc,
};
use crate::strategy::{Analysis, Strategy, StrategyContext, StrategyError};

use super::config::{RiskConfig, TradingConfig};
use super::desk::{
    self, AgentOrder, Input, NewConditional, Output, Rules, agent_order, cancel_conditional,
    create_conditional,
};
use super::ledger::Ledger;
use super::report::{OrderReport, TickReport};
use super::risk::Refusal;

/// Monday, 2026-03-02T12:00:00Z.
pub const NOON: Timestamp = Timestamp::from_secs(1_772_452_800);

pub fn p(text: &str) -> Price {
    Price::parse(text).unwrap()
}

pub fn sh(text: &str) -> Shares {
    Shares::parse(text).unwrap()
}

pub fn usd(text: &str) -> Usdc {
    Usdc::parse(text).unwrap()
}

/// So many seconds after [`NOON`].
pub fn after(seconds: i64) -> Timestamp {
    NOON.plus_millis(seconds * 1000)
}

/// A free Yes/No market with tick 0.01 and a minimum of 5 shares; its tokens are `ID-yes`, `ID-no`.
pub fn market(id: &str) -> Market {
    let outcome = |name: &str, token: String| Outcome {
        name: name.into(),
        token: TokenId::new(token),
        synthetic: false,
        indicative_price: None,
    };
    Market {
        id: MarketId::new(id),
        condition_id: None,
        slug: None,
        question: format!("Will {id}?"),
        description: None,
        event_id: None,
        category: None,
        outcomes: vec![
            outcome("Yes", format!("{id}-yes")),
            outcome("No", format!("{id}-no")),
        ],
        tick: p("0.01"),
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

pub fn charging(market: Market, rate: &str) -> Market {
    Market {
        fee: FeeSchedule::new(rate, 1).unwrap(),
        ..market
    }
}

/// Prices with sizes in shares, in any order.
pub type Levels<'a> = &'a [(&'a str, &'a str)];

pub fn book(token: &str, at: Timestamp, bids: Levels<'_>, asks: Levels<'_>) -> Book {
    let levels = |side: Levels<'_>| {
        side.iter()
            .map(|(price, size)| Level {
                price: p(price),
                size: sh(size),
            })
            .collect()
    };
    Book::new(
        TokenId::new(token),
        levels(bids),
        levels(asks),
        at,
        BookOrigin::Venue,
    )
}

/// A snapshot in the making.
pub struct Scene {
    at: Timestamp,
    views: Vec<MarketView>,
    resolutions: Vec<Resolution>,
    prints: Vec<Print>,
}

impl Scene {
    pub fn new(at: Timestamp) -> Self {
        Scene {
            at,
            views: Vec::new(),
            resolutions: Vec::new(),
            prints: Vec::new(),
        }
    }

    /// Adds a trade of others in `m-yes`.
    pub fn print(mut self, taker: Option<Side>, price: &str, shares: &str, at: Timestamp) -> Self {
        self.prints.push(Print {
            token: "m-yes".into(),
            taker,
            price: p(price),
            shares: sh(shares),
            at,
        });
        self
    }

    /// Adds a candidate with the books given; a token without one has none.
    pub fn with(mut self, market: Market, books: Vec<Book>) -> Self {
        let books = market
            .outcomes
            .iter()
            .map(|outcome| {
                let found = books.iter().find(|book| book.token == outcome.token);
                found.cloned().map(Arc::new)
            })
            .collect();
        self.views.push(MarketView {
            market: Arc::new(market),
            books,
            history: None,
            candidate: true,
        });
        self
    }

    /// Market `m` with these levels for Yes, fresh at the snapshot's moment.
    pub fn yes(self, bids: Levels<'_>, asks: Levels<'_>) -> Self {
        let fresh = book("m-yes", self.at, bids, asks);
        self.with(market("m"), vec![fresh])
    }

    /// Adds a resolution of a Yes/No market that pays this much per Yes.
    pub fn resolved(mut self, id: &str, yes_pays: &str) -> Self {
        self.resolutions.push(Resolution {
            market_id: MarketId::new(id),
            payouts: vec![
                (TokenId::new(format!("{id}-yes")), p(yes_pays)),
                (TokenId::new(format!("{id}-no")), p(yes_pays).complement()),
            ],
            resolved_at: None,
            evidence: "test".to_owned(),
        });
        self
    }

    pub fn build(self) -> Snapshot {
        Snapshot::new(
            self.at,
            SourceKind::Polymarket,
            self.views,
            self.resolutions,
        )
        .with_prints(self.prints)
    }
}

/// A strategy that says what it is told to.
pub struct Says(pub &'static str, pub Vec<Intent>);

impl Strategy for Says {
    fn name(&self) -> &'static str {
        self.0
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        let looked_at = u32::try_from(context.snapshot.candidates().count()).unwrap();
        Ok(Analysis {
            intents: self.1.clone(),
            looked_at,
            passed_over: Default::default(),
        })
    }
}

/// A strategy that always fails.
pub struct Fails;

impl Strategy for Fails {
    fn name(&self) -> &'static str {
        "fails"
    }

    fn analyze(&self, _: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        Err(StrategyError {
            strategy: "fails".to_owned(),
            message: "no data".to_owned(),
        })
    }
}

/// A strategy that panics.
pub struct Panics;

impl Strategy for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn analyze(&self, _: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        panic!("a fault in a strategy")
    }
}

pub fn says(name: &'static str, intents: Vec<Intent>) -> Box<dyn Strategy> {
    Box::new(Says(name, intents))
}

/// A signal on `m-yes` or `m-no`, sure of itself, with a fair price five cents better.
pub fn signal(strategy: &str, outcome: &str, side: Side, limit: &str, size: &str) -> Signal {
    let limit = p(limit);
    let fair = match side {
        Side::Buy => limit.to_f64() + 0.05,
        Side::Sell => limit.to_f64() - 0.05,
    };
    Signal {
        strategy: StrategyName::new(strategy),
        market_id: "m".into(),
        token_id: TokenId::new(format!("m-{}", outcome.to_lowercase())),
        outcome: outcome.into(),
        side,
        confidence: 0.9,
        fair_price: fair,
        target_price: limit,
        edge: 0.05,
        size: usd(size),
        reason: "test".into(),
        stop_loss: None,
        take_profit: None,
    }
}

/// A basket of one token each of markets with these ids: (token, limit, depth).
pub fn basket(strategy: &str, legs: &[(&str, &str, &str)], shares: &str) -> Basket {
    let legs = legs
        .iter()
        .map(|(token, limit, depth)| BasketLeg {
            market_id: MarketId::new(token.split('-').next().unwrap()),
            token_id: TokenId::new(token),
            outcome: token.split('-').next_back().unwrap().into(),
            limit: p(limit),
            depth: sh(depth),
        })
        .collect();
    Basket {
        strategy: StrategyName::new(strategy),
        event_id: None,
        legs,
        shares: sh(shares),
        payout: 1.0,
        edge: 0.05,
        confidence: 1.0,
        reason: "test".to_owned(),
    }
}

/// A quote on a Yes token: (price, shares) of the bid and of the ask.
pub fn quote(
    strategy: &str,
    market: &str,
    bid: Option<(&str, &str)>,
    ask: Option<(&str, &str)>,
) -> Intent {
    let side = |side: Option<(&str, &str)>| {
        side.map(|(price, shares)| QuoteSide {
            price: p(price),
            shares: sh(shares),
        })
    };
    Intent::Quote(Quote {
        strategy: StrategyName::new(strategy),
        market_id: MarketId::new(market),
        token_id: TokenId::new(format!("{market}-yes")),
        outcome: "Yes".into(),
        fair_price: 0.5,
        confidence: 1.0,
        bid: side(bid),
        ask: side(ask),
        reason: "test".into(),
    })
}

/// A conditional order on the whole of `m-yes`, with no bid known.
pub fn conditional(kind: ConditionalKind, trigger: &str) -> NewConditional {
    NewConditional {
        token_id: "m-yes".into(),
        market: market("m"),
        kind,
        trigger_price: p(trigger),
        shares: None,
        trail_percent: None,
        oco_with: None,
        bid: None,
        reason: "test".to_owned(),
    }
}

/// An order of `m-yes`.
pub fn order(id: u64, side: Side, limit: &str, shares: &str, order_type: OrderType) -> Order {
    Order {
        id,
        client_order_id: None,
        signal_id: None,
        supporters: Vec::new(),
        strategy: "test".into(),
        market_id: "m".into(),
        event_id: None,
        token_id: "m-yes".into(),
        outcome: "Yes".into(),
        side,
        limit: p(limit),
        shares: sh(shares),
        order_type,
        expires_at: None,
        arrives_at: None,
        fired_by: None,
        fee: None,
        basket: None,
        reason: "test".to_owned(),
        stop_loss: None,
        take_profit: None,
        trail_percent: None,
    }
}

/// A FAK of an agent on `m-yes`.
pub fn wanted(side: Side, size: &str, limit: &str) -> AgentOrder {
    AgentOrder {
        strategy: "mcp_manual".into(),
        market_id: "m".into(),
        token_id: "m-yes".into(),
        side,
        size: usd(size),
        limit: p(limit),
        order_type: OrderType::Fak,
        expires_at: None,
        client_order_id: None,
        stop_loss: None,
        take_profit: None,
        trail_percent: None,
        reason: "test".to_owned(),
    }
}

/// Panics unless cash + cost = deposits + realised − fees, nothing is negative, and the events
/// replayed give the same ledger.
pub fn audit(ledger: &Ledger, events: &[StampedEvent]) {
    assert_eq!(
        ledger.cash().micros() + ledger.cost_basis().micros(),
        ledger.deposits().micros() + ledger.realized().micros() - ledger.fees().micros(),
        "the accounts do not balance"
    );
    assert!(ledger.cash() >= Usdc::ZERO, "cash below zero");
    assert!(
        ledger.available_cash() >= Usdc::ZERO,
        "claims exceed the cash"
    );
    for position in ledger.positions().values() {
        assert!(
            !position.shares.is_zero(),
            "a position of nothing: {position:?}"
        );
        assert!(
            position.cost >= Usdc::ZERO,
            "a cost below zero: {position:?}"
        );
    }
    let mut replayed = Ledger::default();
    for event in events {
        replayed.apply(event).unwrap();
    }
    assert_eq!(&replayed, ledger, "the replay gives another ledger");
}

/// Panics unless every signal ends once, executed or rejected, and only those wait whose order is on
/// its way.
fn each_signal_ends_once(ledger: &Ledger, events: &[StampedEvent]) {
    let mut open = BTreeSet::new();
    for stamped in events {
        match &stamped.event {
            LedgerEvent::SignalGenerated { signal_id, .. } => {
                assert!(open.insert(*signal_id), "logged twice");
            }
            LedgerEvent::SignalExecuted { signal_id }
            | LedgerEvent::SignalRejected { signal_id, .. } => {
                assert!(
                    open.remove(signal_id),
                    "ended twice, or before it was logged"
                );
            }
            _ => {}
        }
    }
    let travelling: BTreeSet<u64> = ledger
        .in_flight()
        .flat_map(|(order, _)| order.signals())
        .collect();
    assert_eq!(open, travelling, "signals whose order is not on its way");
}

/// An account whose every step is audited.
pub struct Account {
    pub ledger: Ledger,
    pub events: Vec<StampedEvent>,
    pub config: TradingConfig,
}

/// Pays in, and begins the day of a ledger that has none.
fn pay_in(
    ledger: &mut Ledger,
    amount: Usdc,
    now: Timestamp,
) -> Result<Vec<StampedEvent>, super::ledger::LedgerError> {
    let mut recorder = super::ledger::Recorder::new(ledger, now);
    recorder.record(LedgerEvent::Deposited { amount })?;
    let day = recorder.at().day();
    if recorder.ledger().current_day().is_none() {
        let equity = recorder.ledger().equity().total;
        recorder.record(LedgerEvent::DayStarted { day, equity })?;
    }
    Ok(recorder.into_events())
}

impl Account {
    /// With this much paid in at [`NOON`] and the default limits, but for the spread: books of these
    /// tests often have one side only.
    pub fn new(deposit: &str) -> Self {
        let mut ledger = Ledger::default();
        let events = pay_in(&mut ledger, usd(deposit), NOON).unwrap();
        let mut config = TradingConfig::default();
        config.risk.max_spread = Price::ZERO;
        let account = Account {
            ledger,
            events,
            config,
        };
        audit(&account.ledger, &account.events);
        account
    }

    pub fn configured(mut self, change: impl FnOnce(&mut TradingConfig)) -> Self {
        change(&mut self.config);
        self
    }

    fn keep(&mut self, events: Vec<StampedEvent>) {
        self.events.extend(events);
        each_signal_ends_once(&self.ledger, &self.events);
        audit(&self.ledger, &self.events);
    }

    /// One tick, audited.
    pub fn tick(&mut self, snapshot: &Snapshot, strategies: Vec<Box<dyn Strategy>>) -> TickReport {
        let (report, events) =
            desk::tick(&mut self.ledger, snapshot, &strategies, &self.config).unwrap();
        self.keep(events);
        report
    }

    /// A tick without strategies.
    pub fn look(&mut self, snapshot: &Snapshot) -> TickReport {
        self.tick(snapshot, Vec::new())
    }

    /// Books that changed between ticks, audited.
    pub fn books(&mut self, snapshot: &Snapshot) -> TickReport {
        let (report, events) =
            desk::books_changed(&mut self.ledger, snapshot, &self.config).unwrap();
        self.keep(events);
        report
    }

    /// Orders that arrive, audited.
    pub fn arrive(&mut self, snapshot: &Snapshot) -> TickReport {
        let (report, events) = desk::arrive(&mut self.ledger, snapshot, &self.config).unwrap();
        self.keep(events);
        report
    }

    /// A command, audited.
    pub fn command(&mut self, input: &Input) -> Output {
        self.put(input, &[])
    }

    /// Any input, by the way that all inputs take, audited.
    pub fn put(&mut self, input: &Input, strategies: &[Box<dyn Strategy>]) -> Output {
        let rules = Rules {
            strategies,
            config: &self.config,
        };
        let (output, events) = desk::step(&mut self.ledger, input, rules).unwrap();
        self.keep(events);
        output
    }

    /// An agent's order, audited.
    pub fn order(
        &mut self,
        wanted: &AgentOrder,
        snapshot: &Snapshot,
    ) -> Result<OrderReport, Refusal> {
        let (verdict, events) =
            agent_order(&mut self.ledger, wanted, snapshot, &self.config).unwrap();
        self.keep(events);
        verdict
    }

    /// Buys this many pUSD of `m-yes` at `price`, from a book that offers just that, at `when`.
    pub fn bought(mut self, size: &str, price: &str, when: Timestamp) -> Self {
        let scene = Scene::new(when).yes(&[], &[(price, "100000")]).build();
        let limits = std::mem::take(&mut self.config);
        let all = Usdc::whole(1_000_000);
        self.config.risk = RiskConfig {
            max_position_size: all,
            max_market_exposure: all,
            max_event_exposure: all,
            max_strategy_exposure: all,
            max_total_exposure: all,
            max_spread: Price::ZERO,
            ..RiskConfig::default()
        };
        self.order(&wanted(Side::Buy, size, price), &scene).unwrap();
        self.config = limits;
        self
    }

    /// Creates a conditional order on `m-yes`, audited.
    pub fn conditional(&mut self, new: &NewConditional, now: Timestamp) -> Result<u64, Refusal> {
        let (verdict, events) = create_conditional(&mut self.ledger, new, now).unwrap();
        self.keep(events);
        verdict.map(|conditional| conditional.id)
    }

    /// Withdraws a conditional order, audited.
    pub fn withdraw(&mut self, id: u64, now: Timestamp) -> Result<(), Refusal> {
        let (verdict, events) = cancel_conditional(&mut self.ledger, id, now).unwrap();
        self.keep(events);
        verdict
    }

    /// Pays in, audited.
    pub fn deposit(&mut self, amount: &str, now: Timestamp) {
        let events = pay_in(&mut self.ledger, usd(amount), now).unwrap();
        self.keep(events);
    }

    pub fn held(&self, token: &str) -> Shares {
        self.ledger.held(&TokenId::new(token))
    }

    /// What was recorded since event number `since`, by what `pick` makes of it.
    pub fn since<T>(&self, since: u64, pick: impl Fn(&LedgerEvent) -> Option<T>) -> Vec<T> {
        self.events
            .iter()
            .filter(|stamped| stamped.seq > since)
            .filter_map(|stamped| pick(&stamped.event))
            .collect()
    }

    /// What became of each signal since event number `since`: number, `executed` or the reason.
    pub fn verdicts(&self, since: u64) -> Vec<(u64, String)> {
        self.since(since, |event| match event {
            LedgerEvent::SignalExecuted { signal_id } => Some((*signal_id, "executed".to_owned())),
            LedgerEvent::SignalRejected { signal_id, reason } => Some((*signal_id, reason.clone())),
            _ => None,
        })
    }
}
