//! Two-sided quotes around a fair price: a bid on either outcome and, for shares that it has bought,
//! asks. Earns the spread when both sides are traded through, loses to whoever knows more.
//!
//! A bid on No at `1 − p` is the same as an offer of Yes at `p`, so with nothing held the two bids
//! are the two sides of the market.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::indicators::Smoothing;
use super::params::{self, MAX_AMOUNT};
use super::pricing::{self, TwoSided};
use super::scout::Scout;
use super::sight::{Past, Quoted, Sight};
use super::{Analysis, Strategy, StrategyContext, StrategyError, cause, parts};
use crate::domain::{
    Intent, Market, MarketView, Outcome, Quote, QuoteReason, QuoteTerms, Shares, StrategyName,
    Timestamp, TokenId, Usdc,
};

mod ahead;
mod quoting;

use quoting::{Sides, Standing, Sure, TokenTerms};

/// Its name in the configuration.
pub const NAME: &str = "market_maker";

/// Fair prices nearer to 0 or 1 than this are not quoted: there the next step is often the last.
const END_MARGIN: f64 = 0.05;

const MINUTE_MS: i64 = 60_000;
const FOREIGN: &str = "held by another strategy";
const NEAR_END: &str = "too close to its end";

/// Parameters of [`MarketMaker`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MarketMakerParams {
    /// Whether the strategy runs. Default false: a section has to ask for it.
    pub enabled: bool,
    /// Least distance between its bid and its ask, price units. Default 0.05.
    pub spread: f64,
    /// Least liquidity as the venue states it, pUSD. 0 switches the test off. Default 1000.
    pub min_liquidity: f64,
    /// Whether markets whose liquidity the source does not know are quoted. Default true:
    /// recordings know none, and the book itself must be two-sided and tight anyway.
    pub allow_unknown_liquidity: bool,
    /// Least volume of the last 24 hours, pUSD; an unknown one passes. Default 0, no test.
    pub min_volume_24h: f64,
    /// Notional of each side, pUSD. Default 50.
    pub order_size: f64,
    /// Widest market spread that still says where the fair price is, price units. Default 0.20.
    pub max_spread: f64,
    /// Most shares of one token held through quoting. Default 200.
    pub max_inventory: f64,
    /// Most shares of both outcomes of a market together. A Yes with a No pays 1 for certain, yet
    /// ties money up until the end. Default 300.
    pub max_market_inventory: f64,
    /// How far a full net inventory moves the prices away from what is held, in half spreads, 0 to
    /// 1. Default 0.5.
    pub inventory_skew: f64,
    /// Half spread in standard deviations of recent price changes, at least. Default 2.
    pub volatility_multiplier: f64,
    /// How much history counts as recent, minutes, at most 8640. Default 1440, a day.
    pub lookback_minutes: u32,
    /// Span of the moving average, in points of history. Default 12.
    pub ema_span: u32,
    /// Least distance of any price from the fair price, pUSD per share. Default 0.01.
    pub min_edge: f64,
    /// A resting quote nearer than this to the price wanted now stays where it is, and keeps its
    /// place in the queue, price units. 0 moves it at every change. Default 0.015.
    pub requote_threshold: f64,
    /// No quotes with less time than this to the scheduled end, hours; markets without a scheduled
    /// end are quoted. Default 6.
    pub min_hours_to_end: f64,
}

impl Default for MarketMakerParams {
    fn default() -> Self {
        MarketMakerParams {
            enabled: false,
            spread: 0.05,
            min_liquidity: 1000.0,
            allow_unknown_liquidity: true,
            min_volume_24h: 0.0,
            order_size: 50.0,
            max_spread: 0.20,
            max_inventory: 200.0,
            max_market_inventory: 300.0,
            inventory_skew: 0.5,
            volatility_multiplier: 2.0,
            lookback_minutes: 1440,
            ema_span: 12,
            min_edge: 0.01,
            requote_threshold: 0.015,
            min_hours_to_end: 6.0,
        }
    }
}

impl MarketMakerParams {
    /// Checks every range. Errors name the parameter, its value and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        MarketMaker::new(self.clone()).map(drop)
    }
}

/// The strategy. Fair price of the first outcome = mean of its mid and its moving average, kept
/// within bid and ask; of the second one, 1 minus that.
#[derive(Debug, Clone)]
pub struct MarketMaker {
    params: MarketMakerParams,
    min_liquidity: Usdc,
    min_volume: Usdc,
    order_size: Usdc,
    max_inventory: Shares,
    max_market_inventory: Shares,
    sure: Sure,
    low_liquidity: String,
    low_volume: String,
    name: StrategyName,
    smoothing: Smoothing,
}

/// What history and book say of a price.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fair {
    price: f64,
    /// Half of the distance between bid and ask.
    half_spread: f64,
    /// `volatility_multiplier` × standard deviation of recent changes.
    volatility: f64,
}

/// Quotes in numbers.
struct Terms<'a> {
    outcomes: [&'a Outcome; 2],
    sides: [Result<Sides, &'static str>; 2],
    best: TwoSided,
    fair: Fair,
    /// Shares of the first outcome beyond those of the second.
    net: f64,
}

impl MarketMaker {
    /// Checks the parameters (`enabled` is the caller's business). Errors: the message of the
    /// first parameter that is out of range.
    pub fn new(params: MarketMakerParams) -> Result<Self, String> {
        let p = &params;
        params::in_range("spread", p.spread, 0.002..=0.5)?;
        let min_liquidity = params::amount("min_liquidity", p.min_liquidity, 0.0..=1e9)?;
        let min_volume = params::amount("min_volume_24h", p.min_volume_24h, 0.0..=1e9)?;
        let order_size = params::amount("order_size", p.order_size, 0.01..=MAX_AMOUNT)?;
        params::in_range("max_spread", p.max_spread, 0.0001..=1.0)?;
        let max_inventory = params::shares("max_inventory", p.max_inventory, 1.0..=1e7)?;
        let max_market_inventory =
            params::shares("max_market_inventory", p.max_market_inventory, 1.0..=1e7)?;
        params::in_range("inventory_skew", p.inventory_skew, 0.0..=1.0)?;
        params::in_range("volatility_multiplier", p.volatility_multiplier, 0.0..=20.0)?;
        params::lookback(p.lookback_minutes)?;
        params::count_in_range("ema_span", p.ema_span, 1..=10_000)?;
        params::in_range("min_edge", p.min_edge, 0.0..=0.5)?;
        params::in_range("requote_threshold", p.requote_threshold, 0.0..=0.2)?;
        params::in_range("min_hours_to_end", p.min_hours_to_end, 0.0..=8760.0)?;
        Ok(MarketMaker {
            low_liquidity: format!("liquidity below {}", p.min_liquidity),
            low_volume: format!("volume below {}", p.min_volume_24h),
            min_liquidity,
            min_volume,
            order_size,
            max_inventory,
            max_market_inventory,
            sure: Sure::new(order_size, max_inventory, max_market_inventory),
            name: StrategyName::new(NAME),
            smoothing: Smoothing::new(params.ema_span),
            params,
        })
    }

    /// A quote or a cause for each outcome; an error when neither can be quoted.
    fn look(
        &self,
        context: &StrategyContext<'_>,
        standing: &Standing<'_>,
        view: &MarketView,
    ) -> Result<[Result<Quote, &'static str>; 2], &str> {
        let Terms {
            outcomes: [first, second],
            sides: [yes, no],
            best,
            fair,
            net,
        } = self.terms(context, standing, &Sight::from(view))?;
        let market = &*view.market;
        let quotes = [(first, yes, fair.price), (second, no, 1.0 - fair.price)].map(
            |(outcome, sides, price)| {
                sides.map(|sides| self.quote(market, outcome, price, &best, &fair, net, sides))
            },
        );
        Ok(quotes)
    }

    /// The same in numbers.
    fn terms<'a, B: Quoted>(
        &self,
        context: &StrategyContext<'_>,
        standing: &Standing<'_>,
        sight: &Sight<'a, B>,
    ) -> Result<Terms<'a>, &str> {
        let market = sight.market;
        let now = context.snapshot.at;
        let (first, second) = pricing::tradable_pair(market)?;
        self.check_market(market, now)?;
        let [first_book, second_book] = sight.books;
        let book = pricing::sane(first_book, now)?;
        let best = pricing::two_sided(book)?;
        if !pricing::reaches(self.params.max_spread, best.spread) {
            return Err(cause::WIDE_SPREAD);
        }
        let fair = self.fair(&best, sight.past, now)?;
        if !(is_high_enough(fair.price) && is_low_enough(fair.price)) {
            return Err(cause::EXTREME_PRICE);
        }
        let held = inventory(context, &first.token, &second.token)?;
        // Holding more of one outcome, it would rather sell that than buy it: all prices move.
        let net = held.first.to_f64() - held.second.to_f64();
        let fullness = (net / self.params.max_inventory).clamp(-1.0, 1.0);
        let centre = fair.price - fullness * self.params.inventory_skew * fair.half_spread;
        let yes = TokenTerms {
            token: &first.token,
            fair: fair.price,
            centre,
            best_bid: Some(best.bid),
            best_ask: Some(best.ask),
            held: held.first,
        };
        // No's own book need not be the mirror of Yes's; without a sound one it is not quoted.
        let no = pricing::sane(second_book, now).map(|book| TokenTerms {
            token: &second.token,
            fair: 1.0 - fair.price,
            centre: 1.0 - centre,
            best_bid: pricing::best_bid(book),
            best_ask: pricing::best_ask(book),
            held: held.second,
        });
        let sides = self.sides(market, standing, fair.half_spread, yes, no);
        if let [Err(cause), Err(_)] = sides {
            return Err(cause);
        }
        Ok(Terms {
            outcomes: [first, second],
            sides,
            best,
            fair,
            net,
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "all of it goes into one line of text"
    )]
    fn quote(
        &self,
        market: &Market,
        outcome: &Outcome,
        price: f64,
        best: &TwoSided,
        fair: &Fair,
        net: f64,
        sides: Sides,
    ) -> Quote {
        Quote {
            strategy: self.name.clone(),
            market_id: market.id.clone(),
            token_id: outcome.token.clone(),
            outcome: outcome.name.clone(),
            fair_price: price,
            confidence: self.confidence(fair),
            reason: QuoteReason::Terms(QuoteTerms {
                fair: price,
                fair_first: fair.price,
                mid: best.mid,
                half_spread: fair.half_spread,
                volatility: fair.volatility,
                net_inventory: net,
            }),
            bid: sides.bid,
            ask: sides.ask,
        }
    }

    fn check_market(&self, market: &Market, now: Timestamp) -> Result<(), &str> {
        match market.liquidity {
            Some(liquidity) if liquidity < self.min_liquidity => return Err(&self.low_liquidity),
            None if !self.params.allow_unknown_liquidity => return Err("liquidity unknown"),
            _ => {}
        }
        if market
            .volume_24h
            .is_some_and(|volume| volume < self.min_volume)
        {
            return Err(&self.low_volume);
        }
        let hours_left = |end: Timestamp| end.since(now) as f64 / (60 * MINUTE_MS) as f64;
        if market
            .end
            .is_some_and(|end| hours_left(end) < self.params.min_hours_to_end)
        {
            return Err(NEAR_END);
        }
        Ok(())
    }

    /// The mid alone follows every flicker of a thin book, the average alone lags behind news.
    /// Their mean may lie outside the book after a jump; then the book is right.
    fn fair(
        &self,
        best: &TwoSided,
        past: Option<Past<'_>>,
        now: Timestamp,
    ) -> Result<Fair, &'static str> {
        let past = past
            .filter(|past| !past.is_empty())
            .ok_or(cause::NO_HISTORY)?;
        let trend = past.trend_since(self.recent(now), &self.smoothing);
        let trend = trend.ok_or(cause::SHORT_HISTORY)?;
        let deviation = trend.deviation.ok_or(cause::SHORT_HISTORY)?;
        let volatility = self.params.volatility_multiplier * deviation;
        Ok(Fair {
            price: f64::midpoint(best.mid, trend.average)
                .clamp(best.bid.to_f64(), best.ask.to_f64()),
            half_spread: self.half_spread(volatility),
            volatility,
        })
    }

    /// Since when history counts as recent.
    fn recent(&self, now: Timestamp) -> Timestamp {
        now.plus_millis(-i64::from(self.params.lookback_minutes) * MINUTE_MS)
    }

    fn half_spread(&self, volatility: f64) -> f64 {
        (self.params.spread / 2.0).max(volatility)
    }

    /// 1 in a market that does not move, 0.5 where its volatility is as wide as the configured
    /// half spread or wider; linear in between.
    fn confidence(&self, fair: &Fair) -> f64 {
        let ratio = (fair.volatility / (self.params.spread / 2.0)).min(1.0);
        ((1.0 - ratio / 2.0) * 1e4).round() / 1e4
    }
}

// The average of equal prices is a hair beside them, which both forgive.

fn is_high_enough(fair: f64) -> bool {
    pricing::reaches(fair, END_MARGIN)
}

fn is_low_enough(fair: f64) -> bool {
    pricing::reaches(1.0 - END_MARGIN, fair)
}

/// What quoting has brought, in shares.
#[derive(Debug, Clone, Copy)]
struct Held {
    first: Shares,
    second: Shares,
}

/// Shares of both outcomes that quoting has brought. Another strategy's or the agent's shares are
/// not this one's to sell, nor to hedge.
fn inventory(
    context: &StrategyContext<'_>,
    first: &TokenId,
    second: &TokenId,
) -> Result<Held, &'static str> {
    let held = |token: &TokenId| {
        let position = context.positions.get(token);
        match position.filter(|position| !position.shares.is_zero()) {
            Some(position) if position.entry_strategy.as_str() != NAME => Err(FOREIGN),
            Some(position) => Ok(position.shares),
            None => Ok(Shares::ZERO),
        }
    };
    Ok(Held {
        first: held(first)?,
        second: held(second)?,
    })
}

impl Strategy for MarketMaker {
    fn name(&self) -> &'static str {
        NAME
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        let standing = Standing::of(context);
        Ok(parts::look_at_candidates(context, |view, notes| {
            let looked = match self.look(context, &standing, view) {
                Ok(_) if !pricing::is_first(context, view) => Err(cause::LISTED_TWICE),
                looked => looked,
            };
            match looked {
                // A market that is quoted counts by its outcomes, one that is not counts once.
                Ok(quotes) => {
                    for quote in quotes {
                        notes.looked_at += 1;
                        match quote {
                            Ok(quote) => notes.want(Intent::Quote(quote)),
                            Err(cause) => notes.pass(cause),
                        }
                    }
                }
                Err(cause) => {
                    notes.looked_at += 1;
                    notes.pass(cause);
                }
            }
        }))
    }

    fn scout(&self) -> Option<&dyn Scout> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
