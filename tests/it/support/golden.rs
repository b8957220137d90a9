//! How a golden file is read, and how events are said in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use polymarket_agent::domain::{
    Book, BookOrigin, FeeSchedule, LedgerEvent, Level, Market, MarketStatus, MarketView,
    MoneyError, OrderType, Outcome, Price, Print, ProtocolVersion, Resolution, Shares, Side,
    Snapshot, SourceKind, Timestamp, TokenId, Usdc,
};
use polymarket_agent::strategy::StrategiesConfig;
use polymarket_agent::trading::config::TradingConfig;
use polymarket_agent::trading::desk::{AgentOrder, CancelScope, Input, NewConditional};
use polymarket_agent::trading::ledger::Ledger;
use serde::Deserialize;

/// A number as decimal text.
#[derive(Debug, Clone, Copy)]
pub struct Is<T>(pub T);

/// Exact numbers that are written as decimal text.
pub trait Decimal: Sized {
    fn read(text: &str) -> Result<Self, MoneyError>;
}

impl Decimal for Price {
    fn read(text: &str) -> Result<Self, MoneyError> {
        Price::parse(text)
    }
}

impl Decimal for Shares {
    fn read(text: &str) -> Result<Self, MoneyError> {
        Shares::parse(text)
    }
}

impl Decimal for Usdc {
    fn read(text: &str) -> Result<Self, MoneyError> {
        Usdc::parse(text)
    }
}

impl<'de, T: Decimal> Deserialize<'de> for Is<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        T::read(&text).map(Is).map_err(serde::de::Error::custom)
    }
}

/// A story of one account.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows. For readers.
    #[expect(dead_code, reason = "for readers of the file")]
    pub title: String,
    /// The sums, worked by hand. For readers.
    #[expect(dead_code, reason = "for readers of the file")]
    pub arithmetic: String,
    /// Cash at the start, pUSD.
    pub account: Is<Usdc>,
    /// When the account is opened.
    #[serde(deserialize_with = "moment")]
    pub opened: Timestamp,
    /// Rules that differ from the defaults.
    #[serde(default)]
    pub config: TradingConfig,
    /// Strategies that run in ticks.
    #[serde(default)]
    pub strategies: Option<StrategiesConfig>,
    /// Markets by id; tokens are `ID-yes` and `ID-no`.
    pub markets: BTreeMap<String, Terms>,
    /// What happens.
    pub steps: Vec<Told>,
}

/// Terms of a market.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Rate of the taker fee, exponent 1.
    #[serde(default)]
    pub fee: Option<String>,
    /// Its event.
    #[serde(default)]
    pub event: Option<String>,
}

/// One step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// When.
    #[serde(deserialize_with = "moment")]
    pub at: Timestamp,
    /// Books that are others from now on. All books are as old as the step.
    #[serde(default)]
    pub books: BTreeMap<String, Sides>,
    /// Trades of others since the last step: token, what the taker did, price, shares.
    #[serde(default)]
    pub prints: Vec<(String, String, Is<Price>, Is<Shares>)>,
    /// Market and what a Yes share pays.
    #[serde(default)]
    pub resolved: BTreeMap<String, Is<Price>>,
    /// What the desk is asked.
    #[serde(rename = "do")]
    pub action: Action,
    /// What it records, one event a line.
    #[serde(default)]
    pub events: String,
    /// Code of the refusal.
    #[serde(default)]
    pub refused: Option<String>,
    /// How the account stands after it.
    #[serde(default)]
    pub account: BTreeMap<String, String>,
}

/// Levels as price and shares.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sides {
    #[serde(default)]
    bids: Vec<(Is<Price>, Is<Shares>)>,
    #[serde(default)]
    asks: Vec<(Is<Price>, Is<Shares>)>,
}

/// What the desk is asked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// A tick.
    Tick,
    /// Books changed between ticks.
    Books,
    /// An agent's order.
    Order {
        token: String,
        side: Side,
        size: Is<Usdc>,
        limit: Is<Price>,
        #[serde(rename = "type")]
        kind: OrderType,
        #[serde(default)]
        stop_loss: Option<Is<Price>>,
        #[serde(default)]
        take_profit: Option<Is<Price>>,
        #[serde(default)]
        trail_percent: Option<Is<Price>>,
    },
    /// All resting orders withdrawn.
    CancelAll,
    /// The kill switch.
    Halt { reason: String },
    /// A conditional order on a whole position.
    Guard {
        token: String,
        kind: polymarket_agent::domain::ConditionalKind,
        trigger: Is<Price>,
        #[serde(default)]
        trail_percent: Option<Is<Price>>,
    },
}

fn moment<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    Timestamp::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("no time: {text}")))
}

/// The market as the story has it so far.
pub struct State {
    markets: Vec<Arc<Market>>,
    books: BTreeMap<TokenId, (Vec<Level>, Vec<Level>, Timestamp)>,
    resolutions: Vec<Resolution>,
}

impl State {
    pub fn new(scenario: &Scenario) -> Self {
        let markets = scenario
            .markets
            .iter()
            .map(|(id, terms)| Arc::new(market(id, terms)))
            .collect();
        State {
            markets,
            books: BTreeMap::new(),
            resolutions: Vec::new(),
        }
    }

    /// Takes in what is new and makes the input of the step.
    pub fn input(&mut self, told: &Told, ledger: &Ledger) -> Input {
        let levels = |side: &[(Is<Price>, Is<Shares>)]| -> Vec<Level> {
            side.iter()
                .map(|(price, size)| Level {
                    price: price.0,
                    size: size.0,
                })
                .collect()
        };
        for (token, sides) in &told.books {
            self.books.insert(
                TokenId::new(token),
                (levels(&sides.bids), levels(&sides.asks), told.at),
            );
        }
        for (id, yes_pays) in &told.resolved {
            self.resolutions.push(Resolution {
                market_id: id.as_str().into(),
                payouts: vec![
                    (TokenId::new(format!("{id}-yes")), yes_pays.0),
                    (TokenId::new(format!("{id}-no")), yes_pays.0.complement()),
                ],
                resolved_at: None,
                evidence: "golden".to_owned(),
            });
        }
        let at = told.at;
        match &told.action {
            Action::Tick => Input::Tick(self.snapshot(told)),
            Action::Books => Input::Books(self.snapshot(told)),
            Action::Order {
                token,
                side,
                size,
                limit,
                kind,
                stop_loss,
                take_profit,
                trail_percent,
            } => Input::Order {
                order: AgentOrder {
                    strategy: "mcp_manual".into(),
                    market_id: market_of(token).into(),
                    token_id: token.as_str().into(),
                    side: *side,
                    size: size.0,
                    limit: limit.0,
                    order_type: *kind,
                    expires_at: None,
                    client_order_id: None,
                    stop_loss: stop_loss.map(|at| at.0),
                    take_profit: take_profit.map(|at| at.0),
                    trail_percent: trail_percent.map(|part| part.0),
                    reason: "golden".to_owned(),
                },
                known: None,
                snapshot: self.snapshot(told),
            },
            Action::CancelAll => Input::Cancel {
                scope: CancelScope::All,
                by: "shell".to_owned(),
                at,
            },
            Action::Halt { reason } => Input::Halt {
                by: "shell".to_owned(),
                reason: reason.clone(),
                at,
            },
            Action::Guard {
                token,
                kind,
                trigger,
                trail_percent,
            } => {
                let market = self
                    .markets
                    .iter()
                    .find(|market| market.id.as_str() == market_of(token))
                    .unwrap();
                let held = ledger.held(&token.as_str().into());
                Input::CreateConditional {
                    wanted: NewConditional {
                        token_id: token.as_str().into(),
                        market: market.as_ref().clone(),
                        kind: *kind,
                        trigger_price: trigger.0,
                        shares: Some(held),
                        trail_percent: trail_percent.map(|part| part.0),
                        oco_with: None,
                        bid: None,
                        reason: "golden".to_owned(),
                    },
                    at,
                }
            }
        }
    }

    /// A market that has resolved is closed.
    fn as_it_stands(&self, market: &Arc<Market>) -> Arc<Market> {
        let over = self
            .resolutions
            .iter()
            .any(|end| end.market_id == market.id);
        let status = if over {
            MarketStatus::Closed
        } else {
            market.status
        };
        Arc::new(Market {
            status,
            ..market.as_ref().clone()
        })
    }

    fn snapshot(&self, told: &Told) -> Snapshot {
        let views = self
            .markets
            .iter()
            .map(|market| self.as_it_stands(market))
            .map(|market| MarketView {
                books: market
                    .outcomes
                    .iter()
                    .map(|outcome| {
                        let (bids, asks, changed) = self.books.get(&outcome.token)?.clone();
                        let mut book = Book::new(
                            outcome.token.clone(),
                            bids,
                            asks,
                            told.at,
                            BookOrigin::Venue,
                        );
                        book.changed_at = changed;
                        Some(Arc::new(book))
                    })
                    .collect(),
                history: None,
                candidate: market.is_tradable(),
                market,
            })
            .collect();
        let prints = told
            .prints
            .iter()
            .map(|(token, taker, price, shares)| Print {
                token: token.as_str().into(),
                taker: match taker.as_str() {
                    "buy" => Some(Side::Buy),
                    "sell" => Some(Side::Sell),
                    other => panic!("a taker buys or sells, it does not {other}"),
                },
                price: price.0,
                shares: shares.0,
                at: told.at,
            })
            .collect();
        Snapshot::new(
            told.at,
            SourceKind::Polymarket,
            views,
            self.resolutions.clone(),
        )
        .with_prints(prints)
    }
}

fn market_of(token: &str) -> &str {
    token.rsplit_once('-').unwrap().0
}

fn market(id: &str, terms: &Terms) -> Market {
    let outcome = |name: &str| Outcome {
        name: name.into(),
        token: TokenId::new(format!("{id}-{}", name.to_lowercase())),
        synthetic: false,
        indicative_price: None,
    };
    Market {
        id: id.into(),
        condition_id: None,
        slug: None,
        question: format!("Will {id}?"),
        description: None,
        event_id: terms.event.as_deref().map(Into::into),
        category: None,
        outcomes: vec![outcome("Yes"), outcome("No")],
        tick: Price::parse("0.01").unwrap(),
        min_size: Shares::whole(5),
        fee: terms
            .fee
            .as_deref()
            .map_or(FeeSchedule::FREE, |rate| FeeSchedule::new(rate, 1).unwrap()),
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

/// An event in the words of the golden files; `None` for those that move no money and no order.
pub fn words(event: &LedgerEvent) -> Option<String> {
    Some(match event {
        LedgerEvent::Filled { fill } => format!(
            "{}{} {} {} @ {} = {} fee {}",
            if fill.maker { "maker " } else { "" },
            if fill.side == Side::Buy {
                "bought"
            } else {
                "sold"
            },
            fill.shares,
            fill.token_id,
            fill.price,
            fill.notional,
            fill.fee
        ),
        LedgerEvent::OrderAccepted { order } => format!(
            "order {}: {} {} {} at {} {}",
            order.id,
            order.side.as_str(),
            order.shares,
            order.token_id,
            order.limit,
            order.order_type.as_str()
        ),
        LedgerEvent::OrderRested {
            order_id,
            remaining,
            queue_ahead,
            ..
        } => format!("order {order_id} rests {remaining} behind {queue_ahead}"),
        LedgerEvent::QueueAdvanced {
            order_id,
            queue_ahead,
            ..
        } => format!("order {order_id} behind {queue_ahead}"),
        LedgerEvent::OrderClosed {
            order_id,
            outcome,
            unfilled,
            ..
        } => format!(
            "order {order_id} {} unfilled {unfilled}",
            serde_json::to_value(outcome).unwrap().as_str().unwrap()
        ),
        LedgerEvent::OrderRefused { code, .. } => format!("refused {code}"),
        LedgerEvent::ConditionalCreated { conditional } => format!(
            "{} {} on {} {} at {}",
            conditional.kind.as_str(),
            conditional.id,
            conditional.shares,
            conditional.token_id,
            conditional.trigger_price
        ),
        LedgerEvent::WatermarkRaised { id, watermark } => {
            format!("watermark {id} {watermark}")
        }
        LedgerEvent::ConditionalTriggered {
            id,
            bid,
            sold,
            proceeds,
            ..
        } => format!(
            "triggered {id} at bid {bid}: sold {sold} for {}",
            proceeds.map_or_else(|| "?".to_owned(), |p| p.to_string())
        ),
        LedgerEvent::ConditionalReduced { id, shares, .. } => {
            format!("conditional {id} covers {shares}")
        }
        LedgerEvent::ConditionalCancelled { id, .. } => format!("conditional {id} cancelled"),
        LedgerEvent::Marked { marks } => {
            let marks: Vec<String> = marks
                .iter()
                .map(|(token, price)| format!("{token} {price}"))
                .collect();
            format!("marked {}", marks.join(", "))
        }
        LedgerEvent::BidsGone { tokens } => {
            let tokens: Vec<&str> = tokens.iter().map(TokenId::as_str).collect();
            format!("no bid for {}", tokens.join(", "))
        }
        LedgerEvent::Settled {
            token_id,
            payout,
            shares,
            proceeds,
            ..
        } => format!("settled {shares} {token_id} at {payout} = {proceeds}"),
        LedgerEvent::Halted { cause, .. } => format!("halted {}", cause.as_str()),
        LedgerEvent::Resumed { .. } => "resumed".to_owned(),
        LedgerEvent::PeakRaised { equity } => format!("peak {equity}"),
        LedgerEvent::DayStarted { equity, .. } => format!("day starts at {equity}"),
        _ => return None,
    })
}
