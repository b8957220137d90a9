//! The reactions of a session and the replay of its recording, given the same messages: the same fills,
//! fees, exits, marks and payments, at the same moments.
//!
//! What places the orders differs: an agent in the session, a strategy in the replay, whose tick also logs
//! signals and completes. So of the moment of the orders only the fills are compared, and of all moments
//! what the desk did with books, trades and the end: [`told`] lists it. The moments agree because the test
//! lets the session react as soon as a message is there. A session looks at marks that were not due with
//! its next message or, each second, by its timer; a replay at the very moment. Here no two messages are
//! less than a second apart, so both look with the message. That clock is the wall's in a session; the test
//! sets it by the venue's.

use std::collections::BTreeMap;

use super::*;
use crate::backtest::engine::{BacktestOptions, ReplayRules, run_observed};
use crate::backtest::test_support::wish;
use crate::domain::{Intent, LedgerEvent, OrderType, Quote, QuoteSide, Signal, StampedEvent};
use crate::market_data::recorded::books::tests::{START, book, change};
use crate::market_data::recorded::books::{BookOptions, BookRecording};
use crate::market_data::recorded::capture::{Body, CaptureWriter, Line};
use crate::strategy::{Analysis, Strategy, StrategyContext, StrategyError};
use crate::trading::config::{RiskConfig, SizingMethod, TradingConfig};

const CONDITION: &str = "0x0005c0d312de0be897668695bae9f32b624b4a1ae8b140c49f08447fcc74f442";

/// What the venue tells, in ms since the start.
enum Told {
    /// A whole book.
    Book(&'static str, &'static str),
    /// `BUY 0.48 0`: a level's total.
    Level(&'static str),
    /// Somebody sold so many shares at this price.
    Sold(&'static str, u32),
    /// The stream broke: the last that was heard was at this moment.
    Lost(i64),
    /// It is back; books are not, until they come.
    Back,
    /// Yes pays.
    Ended,
}

/// Orders are placed at 60 s.
const ORDERS: i64 = 60_000;

fn script() -> Vec<(i64, Told)> {
    vec![
        (58_000, Told::Book("0.48x1000", "0.50x1000")),
        (62_000, Told::Level("BUY 0.46 500")),
        (63_500, Told::Level("BUY 0.48 0")),
        (65_000, Told::Sold("0.44", 5)),
        (67_000, Told::Level("SELL 0.50 0")),
        (68_500, Told::Level("SELL 0.47 300")),
        (70_000, Told::Level("BUY 0.46 0")),
        (71_500, Told::Level("BUY 0.41 400")),
        (73_000, Told::Level("SELL 0.42 8")),
        (75_500, Told::Lost(74_000)),
        // Nobody hears of it.
        (77_000, Told::Level("BUY 0.41 0")),
        (80_000, Told::Back),
        (82_000, Told::Book("0.39x600", "0.40x700")),
        (84_000, Told::Level("BUY 0.38 5")),
        (90_000, Told::Ended),
    ]
}

/// The recording that `record` would have made of it.
fn recorded(folder: &std::path::Path) -> BookRecording {
    let at = |ms: i64| Timestamp::from_millis(START + ms);
    let tokens: Vec<TokenId> = vec!["7".into(), "8".into()];
    let entry = serde_json::json!({"id": "m", "question": "Will it?", "outcomes": ["Yes", "No"],
        "clob_token_ids": tokens, "tick_size": "0.01", "min_size": "5", "condition_id": CONDITION,
        "fee_rate": "0.05", "fee_exponent": 1});
    let mut lines = vec![(1_000, Body::Market(entry))];
    let mut connection = 0;
    lines.push((
        1_001,
        Body::Connected {
            connection,
            tokens: tokens.clone(),
        },
    ));
    let mut is_lost = false;
    for (ms, what) in script() {
        let stamp = START + ms;
        let text = match what {
            Told::Book(bids, asks) => book("7", ms, bids, asks),
            Told::Level(words) => change("7", ms, &format!("{words} - -")),
            Told::Sold(price, shares) => format!(
                r#"{{"event_type":"last_trade_price","market":"","asset_id":"7","timestamp":"{stamp}","side":"SELL","price":"{price}","size":"{shares}"}}"#
            ),
            Told::Ended => format!(
                r#"{{"event_type":"market_resolved","market":"","timestamp":"{stamp}","assets_ids":["7","8"],"winning_asset_id":"7","winning_outcome":"Yes"}}"#
            ),
            Told::Lost(since) => {
                is_lost = true;
                let gap = Body::Gap {
                    since: at(since),
                    reason: "lost".to_owned(),
                    tokens: tokens.clone(),
                };
                lines.push((ms, gap));
                continue;
            }
            Told::Back => {
                is_lost = false;
                connection += 1;
                let tokens = tokens.clone();
                lines.push((ms, Body::Connected { connection, tokens }));
                continue;
            }
        };
        if !is_lost {
            let named = format!("\"market\":\"{CONDITION}\"");
            let text = text.trim().replacen("\"market\":\"\"", &named, 1);
            lines.push((ms, Body::Frame { connection, text }));
        }
    }
    let (mut writer, _) = CaptureWriter::open(folder, "test", BTreeMap::new(), at(0)).unwrap();
    for (ms, body) in lines {
        writer.write(&Line { at: at(ms), body }).unwrap();
    }
    writer.finish(at(95_000), "the test is over").unwrap();
    BookRecording::load_unless(folder, BookOptions::default(), &|| false).unwrap()
}

/// At the first tick 20 shares of Yes with a stop at 0.40, and two bids.
struct Orders;

const BIDS: [&str; 2] = ["0.44", "0.43"];

impl Strategy for Orders {
    fn name(&self) -> &'static str {
        "script"
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        let mut analysis = Analysis::default();
        let view = context.snapshot.candidates().next();
        let Some(view) = view.filter(|_| context.positions.is_empty()) else {
            return Ok(analysis);
        };
        let outcome = &view.market.outcomes[0];
        analysis.intents.push(Intent::Directional(Signal {
            target_price: price("0.50"),
            stop_loss: Some(price("0.40")),
            ..wish("script", view, outcome)
        }));
        for bid in BIDS {
            analysis.intents.push(Intent::Quote(Quote {
                strategy: StrategyName::new("script"),
                market_id: view.market.id.clone(),
                token_id: outcome.token.clone(),
                outcome: outcome.name.clone(),
                fair_price: 0.6,
                confidence: 1.0,
                bid: Some(QuoteSide {
                    price: price(bid),
                    shares: Shares::whole(10),
                }),
                ask: None,
                reason: "test".into(),
            }));
        }
        Ok(analysis)
    }
}

/// What the desk did with books, trades and the end, in words.
fn told(events: &[StampedEvent]) -> Vec<String> {
    let words = |stamped: &StampedEvent| {
        let what = match &stamped.event {
            LedgerEvent::Filled { fill } => format!(
                "order {} {} {}@{} for {} fee {} maker {} print {}",
                fill.order_id,
                fill.side.as_str(),
                fill.shares,
                fill.price,
                fill.notional,
                fill.fee,
                fill.maker,
                fill.print
            ),
            _ if stamped.at.millis() - START <= ORDERS => return None,
            LedgerEvent::OrderClosed {
                order_id,
                outcome,
                unfilled,
                ..
            } => format!("order {order_id} {outcome:?}, {unfilled} left"),
            LedgerEvent::ConditionalTriggered {
                id,
                bid,
                sold,
                proceeds,
                trigger,
            } => format!("exit {id} at {bid} ({trigger:?}) sold {sold} for {proceeds:?}"),
            LedgerEvent::Settled {
                payout,
                shares,
                proceeds,
                ..
            } => format!("{shares} pay {payout}: {proceeds}"),
            event @ (LedgerEvent::Marked { .. }
            | LedgerEvent::BidsGone { .. }
            | LedgerEvent::QueueAdvanced { .. }
            | LedgerEvent::DepthUsed { .. }
            | LedgerEvent::ConditionalReduced { .. }
            | LedgerEvent::ConditionalCancelled { .. }
            | LedgerEvent::ConditionalDoubted { .. }
            | LedgerEvent::PeakRaised { .. }
            | LedgerEvent::Halted { .. }) => serde_json::to_string(event).unwrap(),
            _ => return None,
        };
        Some(format!("{} {what}", stamped.at.millis() - START))
    };
    events.iter().filter_map(words).collect()
}

fn replayed(recording: &BookRecording, trading: TradingConfig) -> Vec<StampedEvent> {
    let options = BacktestOptions {
        start: None,
        end: None,
        balance: Usdc::whole(1_000),
        trading,
        rules: ReplayRules::default(),
        title: "a test".to_owned(),
        progress: &|_, _| {},
        cancelled: &|| false,
    };
    let mut all = Vec::new();
    let strategies: Vec<Box<dyn Strategy>> = vec![Box::new(Orders)];
    run_observed(recording, &strategies, &options, &mut |events, _| {
        all.extend_from_slice(events);
    })
    .unwrap();
    all
}

/// The session's side: the venue's state, and what has changed since the last reaction.
struct Session {
    app: Arc<App>,
    venue: Arc<Streaming>,
    changed: Changed,
    /// Levels in micro-units.
    bids: BTreeMap<Price, Shares>,
    asks: BTreeMap<Price, Shares>,
    since: i64,
    /// When the session last moved a mark by itself, ms.
    marked: Option<i64>,
}

impl Session {
    fn show(&self, ms: i64) {
        let levels = |side: &BTreeMap<Price, Shares>| {
            let levels = side.iter().map(|(price, size)| Level {
                price: *price,
                size: *size,
            });
            levels.collect()
        };
        let book = Book::new(
            TokenId::new("7"),
            levels(&self.bids),
            levels(&self.asks),
            Timestamp::from_millis(START + ms),
            BookOrigin::Venue,
        );
        let since_snapshot = Timestamp::from_millis(START + self.since);
        *self.venue.book.lock().unwrap() = Some(Arc::new(
            book.with_feed(BookFeed::Streamed { since_snapshot }),
        ));
    }

    fn level(&mut self, words: &str) {
        let words: Vec<&str> = words.split(' ').collect();
        let side = match words[0] {
            "BUY" => &mut self.bids,
            _ => &mut self.asks,
        };
        let (at, size) = (price(words[1]), Shares::parse(words[2]).unwrap());
        if size.is_zero() {
            side.remove(&at);
        } else {
            side.insert(at, size);
        }
    }

    /// Lets the session hear of it, and react.
    async fn hear(&mut self, ms: i64, what: Told, is_lost: &mut bool) {
        let token = TokenId::new("7");
        let event = match what {
            Told::Lost(_) => {
                *is_lost = true;
                *self.venue.book.lock().unwrap() = None;
                StreamEvent::Broken {
                    tokens: vec![token],
                }
            }
            Told::Back => {
                *is_lost = false;
                return;
            }
            _ if *is_lost => return,
            Told::Book(bids, asks) => {
                self.since = ms;
                self.bids.clear();
                self.asks.clear();
                for (side, levels) in [("BUY", bids), ("SELL", asks)] {
                    for level in levels.split(' ') {
                        self.level(&format!("{side} {}", level.replace('x', " ")));
                    }
                }
                self.show(ms);
                StreamEvent::Live { token }
            }
            Told::Level(words) => {
                self.level(words);
                self.show(ms);
                StreamEvent::BookChanged(token)
            }
            Told::Sold(at, shares) => {
                // Heard of, and so not older than that.
                self.heard(ms);
                StreamEvent::Trade {
                    token,
                    side: Some(Side::Sell),
                    level: Level {
                        price: price(at),
                        size: Shares::whole(shares),
                    },
                    at: Timestamp::from_millis(START + ms),
                    transaction: None,
                }
            }
            Told::Ended => {
                *self.venue.resolved.lock().unwrap() = true;
                StreamEvent::Resolved {
                    condition_id: ConditionId::new("0xc0"),
                    winner: token,
                    outcome: None,
                    at: Timestamp::from_millis(START + ms),
                }
            }
        };
        self.changed.add(event);
        if self.marked.is_some_and(|marked| ms - marked >= 1_000) {
            self.changed.marked = None;
        }
        self.app.react(&mut self.changed).await.unwrap();
        if self.changed.marked.is_some() && self.marked.is_none_or(|marked| ms - marked >= 1_000) {
            self.marked = Some(ms);
        }
    }

    fn heard(&self, ms: i64) {
        let mut book = self.venue.book.lock().unwrap();
        if let Some(book) = book.as_mut().map(Arc::make_mut) {
            book.at = Timestamp::from_millis(START + ms);
        }
    }
}

async fn lived(dir: &std::path::Path, config: Config) -> (Vec<StampedEvent>, TradingConfig) {
    let venue = Streaming::new();
    *venue.fee.lock().unwrap() = FeeSchedule::new("0.05", 1).unwrap();
    venue.now.store(START + 1_000, Ordering::SeqCst);
    let app = opened(dir, &venue, config).await;
    let trading = app.trading.clone();
    assert!(app.fresh.start());
    let mut session = Session {
        app,
        venue,
        changed: Changed::default(),
        bids: BTreeMap::new(),
        asks: BTreeMap::new(),
        since: 0,
        marked: None,
    };
    let mut is_lost = false;
    let mut ordered = false;
    for (ms, what) in script() {
        if ms > ORDERS && !ordered {
            ordered = true;
            session.venue.now.store(START + ORDERS, Ordering::SeqCst);
            let order = |limit: &str, shares: i64, order_type| AgentOrder {
                strategy: StrategyName::new("script"),
                size: Usdc::from_micros(i64::from(price(limit).micros()) * shares),
                limit: price(limit),
                order_type,
                ..buy()
            };
            let taken = AgentOrder {
                stop_loss: Some(price("0.40")),
                ..order("0.50", 20, OrderType::Fak)
            };
            session.app.place_order(taken).await.unwrap();
            for limit in BIDS {
                let bid = order(limit, 10, OrderType::PostOnly);
                session.app.place_order(bid).await.unwrap();
            }
        }
        session.venue.now.store(START + ms, Ordering::SeqCst);
        let listed = [session.venue.ours()];
        session.app.fresh.put_list(&listed, 10, session.venue.now());
        session.hear(ms, what, &mut is_lost).await;
    }
    let events = session.app.store().events(0, 10_000).unwrap();
    (events, trading)
}

#[tokio::test]
async fn a_session_and_the_replay_of_its_recording_do_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let plenty = Usdc::whole(1_000);
    let config = Config {
        risk: RiskConfig {
            max_position_size: plenty,
            max_market_exposure: plenty,
            max_event_exposure: plenty,
            max_strategy_exposure: plenty,
            max_total_exposure: plenty,
            max_daily_loss: plenty,
            max_price_distance: Price::ZERO,
            ..RiskConfig::default()
        },
        ..Config::default()
    };
    let (session, mut trading) = lived(dir.path(), config).await;
    trading.sizing.method = SizingMethod::Fixed;
    let recording = recorded(&dir.path().join("capture"));
    let replay = replayed(&recording, trading);
    let (session, replay) = (told(&session), told(&replay));
    assert_eq!(session, replay);
    let fills: Vec<&String> = replay
        .iter()
        .filter(|line| line.contains("order") && line.contains('@'))
        .collect();
    // The purchase; the trade at 0.44 reaches the first bid; eight shares at 0.42 pass both; the
    // new book passes what is left of the second one and sets off the stop.
    assert_eq!(fills.len(), 6, "{replay:#?}");
    assert!(
        replay.iter().any(|line| line.contains("exit 1 at 0.39")),
        "{replay:#?}"
    );
    // 20 bought, 20 more, 20 sold.
    assert!(
        replay.iter().any(|line| line.starts_with("90000 20 pay 1")),
        "{replay:#?}"
    );
}
