//! Momentum with volume and book imbalance: a price that has moved on real trading, and whose book
//! does not lean the other way, moves on a little further.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::params;
use super::pricing::{self, BuyPlan, BuyTerms};
use super::scout::{Finding, Scout};
use super::sight::{Past, Quoted, Sight, TopBook};
use super::{Analysis, Strategy, StrategyContext, StrategyError, cause, indicators};
use crate::domain::{
    Fixed, Intent, Market, MarketView, Outcome, OutcomeName, Reason, Side, Signal, StrategyName,
    Timestamp, Usdc,
};

/// Its name in the configuration.
pub const NAME: &str = "signal_trader";

const MINUTE_MS: i64 = 60_000;
const DAY_MS: f64 = 86_400_000.0;
const CONTRADICTED: &str = "book contradicts the move";
const NO_DEPTH: &str = "book imbalance unknown";

/// Parameters of [`SignalTrader`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignalTraderParams {
    /// Whether the strategy runs. Default false: a section has to ask for it.
    pub enabled: bool,
    /// Least volume of the last 24 hours, pUSD. 0 switches the test off. Default 5000.
    pub volume_threshold: f64,
    /// Whether markets whose 24-hour volume the source does not know are looked at. Recordings
    /// know none, and unknown is not the same as none. Default true.
    pub allow_unknown_volume: bool,
    /// Least ratio of the last 24 hours' volume to the market's average day since its start. 0
    /// switches the test off; so does a market of which volume or start are unknown. Default 0.
    pub min_volume_ratio: f64,
    /// Least move of the first outcome's price over the lookback, in price units. Default 0.05.
    pub price_move_threshold: f64,
    /// How far back the move is measured, minutes, at most 8640. Default 1440, a day.
    pub lookback_minutes: u32,
    /// Part of the move that is expected to follow, 0 to 1. Default 0.5.
    pub continuation: f64,
    /// How far from the mid a level of the book counts for the imbalance, price units. Default
    /// 0.05.
    pub imbalance_depth: f64,
    /// How much the imbalance moves the fair price, as a part of half the spread, 0 to 1. 0
    /// switches everything about the imbalance off. Default 0.5.
    pub imbalance_weight: f64,
    /// Least imbalance in the direction of the move, −1 to 1. The default of −0.5 passes over a
    /// market of which three times as much is offered against the move as with it; above 0 the
    /// book has to confirm the move.
    pub min_imbalance: f64,
    /// Widest spread (best ask − best bid) of either outcome's book, price units. Default 0.05.
    pub max_spread: f64,
    /// The first outcome's mid must lie between this and 1 minus this. Default 0.10.
    pub min_price: f64,
    /// Least edge per share after fee and spread, pUSD. Default 0.01.
    pub min_edge: f64,
    /// How far above the best ask the limit may go for size, price units. Default 0.01.
    pub max_slippage: f64,
    /// Notional of a whole position, pUSD. Default 25.
    pub order_size: f64,
}

impl Default for SignalTraderParams {
    fn default() -> Self {
        SignalTraderParams {
            enabled: false,
            volume_threshold: 5000.0,
            allow_unknown_volume: true,
            min_volume_ratio: 0.0,
            price_move_threshold: 0.05,
            lookback_minutes: 1440,
            continuation: 0.5,
            imbalance_depth: 0.05,
            imbalance_weight: 0.5,
            min_imbalance: -0.5,
            max_spread: 0.05,
            min_price: 0.10,
            min_edge: 0.01,
            max_slippage: 0.01,
            order_size: 25.0,
        }
    }
}

impl SignalTraderParams {
    /// Checks every range. Errors name the parameter, its value and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        SignalTrader::new(self.clone()).map(drop)
    }
}

/// The strategy. Fair price of the first outcome =
/// mid + continuation × move + weight × imbalance × spread / 2.
///
/// With weight 1 and no move this is the mean of best bid and ask weighted by the depth on the
/// other side (the "weighted mid"; S. Stoikov, The micro-price, 2018, section 2).
#[derive(Debug, Clone)]
pub struct SignalTrader {
    params: SignalTraderParams,
    volume_threshold: Usdc,
    terms: BuyTerms,
    low_volume: String,
    low_ratio: String,
    small_move: String,
}

impl SignalTrader {
    /// Checks the parameters (`enabled` is the caller's business). Errors: the message of the
    /// first parameter that is out of range.
    pub fn new(params: SignalTraderParams) -> Result<Self, String> {
        let p = &params;
        let volume_threshold = params::amount("volume_threshold", p.volume_threshold, 0.0..=1e9)?;
        params::in_range("price_move_threshold", p.price_move_threshold, 0.001..=0.9)?;
        params::lookback(p.lookback_minutes)?;
        params::in_range("min_volume_ratio", p.min_volume_ratio, 0.0..=1000.0)?;
        params::in_range("continuation", p.continuation, 0.0..=1.0)?;
        params::in_range("imbalance_depth", p.imbalance_depth, 0.0001..=1.0)?;
        params::in_range("imbalance_weight", p.imbalance_weight, 0.0..=1.0)?;
        params::in_range("min_imbalance", p.min_imbalance, -1.0..=1.0)?;
        params::in_range("max_spread", p.max_spread, 0.0001..=1.0)?;
        params::in_range("min_price", p.min_price, 0.0..=0.49)?;
        let terms = BuyTerms::new(p.order_size, p.min_edge, p.max_slippage)?;
        Ok(SignalTrader {
            low_volume: format!("volume below {}", p.volume_threshold),
            low_ratio: format!("volume below {} of an average day", p.min_volume_ratio),
            small_move: format!("move {} not reached", p.price_move_threshold),
            volume_threshold,
            terms,
            params,
        })
    }

    fn look(&self, context: &StrategyContext<'_>, view: &MarketView) -> Result<Intent, &str> {
        let wish = self.wish(context, &Sight::from(view))?;
        let Wish {
            first,
            outcome,
            plan,
            ..
        } = wish;
        Ok(Intent::Directional(Signal {
            strategy: StrategyName::new(NAME),
            market_id: view.market.id.clone(),
            token_id: outcome.token.clone(),
            outcome: outcome.name.clone(),
            side: Side::Buy,
            confidence: self.confidence(wish.moved, wish.leaning),
            fair_price: wish.fair,
            target_price: plan.limit,
            edge: plan.edge,
            size: plan.size,
            reason: Reason::later(Moved {
                first: first.name.clone(),
                moved: wish.moved,
                mid: wish.mid,
                lookback_minutes: self.params.lookback_minutes,
                imbalance: wish.imbalance,
                bought: outcome.name.clone(),
                fair: wish.fair,
                continuation: self.params.continuation,
                weight: self.params.imbalance_weight,
                plan,
            }),
            stop_loss: None,
            take_profit: None,
        }))
    }

    /// What is to be bought, or why nothing is.
    fn wish<'a, B: Quoted>(
        &self,
        context: &StrategyContext<'_>,
        sight: &Sight<'a, B>,
    ) -> Result<Wish<'a>, &str> {
        let market = sight.market;
        let now = context.snapshot.at;
        let (first, second) = pricing::tradable_pair(market)?;
        match market.volume_24h {
            Some(volume) if volume < self.volume_threshold => return Err(&self.low_volume),
            None if !self.params.allow_unknown_volume => return Err("volume unknown"),
            _ => {}
        }
        if volume_ratio(market, now)
            .is_some_and(|ratio| !pricing::reaches(ratio, self.params.min_volume_ratio))
        {
            return Err(&self.low_ratio);
        }
        let [first_book, second_book] = sight.books;
        let yes_book = pricing::sane(first_book, now)?;
        let yes = pricing::two_sided(yes_book)?;
        if !pricing::reaches(self.params.max_spread, yes.spread) {
            return Err(cause::WIDE_SPREAD);
        }
        if !pricing::reaches(yes.mid, self.params.min_price)
            || !pricing::reaches(1.0 - self.params.min_price, yes.mid)
        {
            return Err(cause::EXTREME_PRICE);
        }
        let before = self.price_before(sight.past, now)?;
        let moved = yes.mid - before;
        if !pricing::reaches(moved.abs(), self.params.price_move_threshold) {
            return Err(&self.small_move);
        }
        let imbalance = self.imbalance(yes_book, yes.mid);
        let leaning = self.leaning(imbalance, moved)?;
        let weight = self.params.imbalance_weight;
        let lean = weight * imbalance.unwrap_or(0.0);
        let fair_first = pricing::clamp_fair(
            yes.mid + self.params.continuation * moved + lean * yes.spread / 2.0,
        );
        // A falling Yes is bought as No, at No's own book and No's own fair price.
        let (outcome, book, fair) = if moved > 0.0 {
            (first, first_book, fair_first)
        } else {
            (second, second_book, 1.0 - fair_first)
        };
        let book = pricing::sane(book, now)?;
        if pricing::two_sided(book)
            .is_ok_and(|best| !pricing::reaches(self.params.max_spread, best.spread))
        {
            return Err(cause::WIDE_SPREAD);
        }
        let plan = pricing::plan_buy(context, market, book, fair, &self.terms)?;
        Ok(Wish {
            first,
            outcome,
            moved,
            mid: yes.mid,
            imbalance,
            leaning,
            fair,
            plan,
        })
    }

    /// The first outcome's book imbalance, −1 to 1. `None` when nothing lies near enough to the mid,
    /// and for a book made from a price: its sides are equal because somebody made them so.
    fn imbalance(&self, book: &impl Quoted, mid: f64) -> Option<f64> {
        if self.params.imbalance_weight == 0.0 || !book.is_venues() {
            return None;
        }
        indicators::imbalance(book, mid, self.params.imbalance_depth)
    }

    /// The imbalance in the direction of the move, 0 where there is none; an error when the book
    /// contradicts the move.
    fn leaning(&self, imbalance: Option<f64>, moved: f64) -> Result<f64, &'static str> {
        if self.params.imbalance_weight == 0.0 {
            return Ok(0.0);
        }
        let Some(imbalance) = imbalance else {
            let required = self.params.min_imbalance > 0.0;
            return if required { Err(NO_DEPTH) } else { Ok(0.0) };
        };
        let leaning = imbalance * moved.signum();
        if pricing::reaches(leaning, self.params.min_imbalance) {
            Ok(leaning)
        } else {
            Err(CONTRADICTED)
        }
    }

    /// 0.5 at the threshold and 1 at twice that; a book that leans with the move takes it a part of
    /// the way to 1, one that leans against it a part of the way back to 0.5.
    fn confidence(&self, moved: f64, leaning: f64) -> f64 {
        let by_move = pricing::threshold_confidence(moved.abs(), self.params.price_move_threshold);
        let room = if leaning > 0.0 {
            1.0 - by_move
        } else {
            by_move - 0.5
        };
        let confidence = by_move + self.params.imbalance_weight * leaning * room;
        (confidence * 1e4).round() / 1e4
    }

    /// The first outcome's price one lookback ago. A point that is older than two lookbacks tells
    /// of another time and does not count.
    fn price_before(&self, past: Option<Past<'_>>, now: Timestamp) -> Result<f64, &'static str> {
        let past = past
            .filter(|past| !past.is_empty())
            .ok_or(cause::NO_HISTORY)?;
        let lookback = i64::from(self.params.lookback_minutes) * MINUTE_MS;
        let moment = now.plus_millis(-lookback);
        let (at, price) = past.last_until(moment).ok_or(cause::SHORT_HISTORY)?;
        if moment.since(at) > lookback {
            return Err(cause::SPARSE_HISTORY);
        }
        if !(0.0..=1.0).contains(&price) {
            return Err(cause::NO_HISTORY);
        }
        Ok(price)
    }
}

/// A purchase in numbers.
struct Wish<'a> {
    /// The market's first outcome, which moved.
    first: &'a Outcome,
    /// What is bought.
    outcome: &'a Outcome,
    moved: f64,
    mid: f64,
    imbalance: Option<f64>,
    leaning: f64,
    /// Fair price of what is bought.
    fair: f64,
    plan: BuyPlan,
}

/// What a signal was made of.
struct Moved {
    /// Name of the market's first outcome, which moved.
    first: OutcomeName,
    moved: f64,
    mid: f64,
    lookback_minutes: u32,
    imbalance: Option<f64>,
    bought: OutcomeName,
    /// Fair price of what is bought.
    fair: f64,
    continuation: f64,
    /// Weight of the imbalance.
    weight: f64,
    plan: BuyPlan,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} moved {:+} to {} in {} min, book ",
            pricing::short_name(&self.first),
            Fixed(self.moved, 4),
            Fixed(self.mid, 4),
            self.lookback_minutes,
        )?;
        match self.imbalance {
            Some(lean) => write!(f, "{:+}", Fixed(lean, 2))?,
            None => f.write_str("unknown")?,
        }
        write!(
            f,
            "; fair {} {} = mid + {} x move + {} x imbalance x half spread; buy to {}, fee {}, edge {}",
            pricing::short_name(&self.bought),
            Fixed(self.fair, 4),
            self.continuation,
            self.weight,
            self.plan.limit,
            Fixed(self.plan.fee, 4),
            Fixed(self.plan.edge, 4),
        )
    }
}

/// Volume of the last 24 hours over that of an average day since the start; `None` when one of them
/// is unknown, or the market is not a day old.
fn volume_ratio(market: &Market, now: Timestamp) -> Option<f64> {
    let days = now.since(market.start?) as f64 / DAY_MS;
    let average = market.volume?.to_f64() / days;
    let ratio = market.volume_24h?.to_f64() / average;
    (days >= 1.0 && ratio.is_finite()).then_some(ratio)
}

impl Strategy for SignalTrader {
    fn name(&self) -> &'static str {
        NAME
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        Ok(pricing::look_at_each(context, |view| {
            self.look(context, view)
        }))
    }

    fn scout(&self) -> Option<&dyn Scout> {
        Some(self)
    }
}

impl Scout for SignalTrader {
    fn stands_alone(&self, _: &Market) -> bool {
        true
    }

    fn find(&self, context: &StrategyContext<'_>, sight: &Sight<'_, TopBook<'_>>) -> Finding<'_> {
        match self.wish(context, sight) {
            Ok(_) => Finding::Buy,
            Err(cause) => Finding::Nothing(cause),
        }
    }

    fn purchase_size(&self) -> Option<Usdc> {
        Some(self.terms.order_size)
    }

    fn look_at(&self, context: &StrategyContext<'_>, view: &MarketView) -> Vec<Intent> {
        self.look(context, view).into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
