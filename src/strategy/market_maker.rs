//! Two-sided quotes on the first outcome: earns the spread when both sides are traded through,
//! loses to whoever knows more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::params::{self, MAX_AMOUNT};
use super::pricing::{self, TwoSided};
use super::{Analysis, Strategy, StrategyContext, StrategyError, cause, indicators};
use crate::domain::{
    History, Intent, Market, MarketView, Price, Quote, QuoteSide, Shares, StrategyName, Timestamp,
    TokenId, Usdc,
};

/// Its name in the configuration.
pub const NAME: &str = "market_maker";

/// Fair prices nearer to 0 or 1 than this are not quoted: there the next step is often the last.
const END_MARGIN: f64 = 0.05;

const MINUTE_MS: i64 = 60_000;
const FOREIGN: &str = "held by another strategy";
const NEAR_END: &str = "too close to its end";
const NO_QUOTE: &str = "no price leaves the edge";

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
    /// How far a full inventory moves both prices down, in half spreads, 0 to 1. Default 0.5.
    pub inventory_skew: f64,
    /// Half spread in standard deviations of recent price changes, at least. Default 2.
    pub volatility_multiplier: f64,
    /// How much history counts as recent, minutes, at most 8640. Default 1440, a day.
    pub lookback_minutes: u32,
    /// Span of the moving average, in points of history. Default 12.
    pub ema_span: u32,
    /// Least distance of either price from the fair price, pUSD per share. Default 0.01.
    pub min_edge: f64,
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
            inventory_skew: 0.5,
            volatility_multiplier: 2.0,
            lookback_minutes: 1440,
            ema_span: 12,
            min_edge: 0.01,
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

/// The strategy. Fair price = mean of the mid and the moving average, kept within bid and ask.
#[derive(Debug, Clone)]
pub struct MarketMaker {
    params: MarketMakerParams,
    min_liquidity: Usdc,
    min_volume: Usdc,
    order_size: Usdc,
    max_inventory: Shares,
    low_liquidity: String,
    low_volume: String,
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
        params::in_range("max_inventory", p.max_inventory, 1.0..=1e7)?;
        let max_inventory = Shares::from_f64(p.max_inventory)
            .map_err(|error| format!("max_inventory is {}: {error}", p.max_inventory))?;
        params::in_range("inventory_skew", p.inventory_skew, 0.0..=1.0)?;
        params::in_range("volatility_multiplier", p.volatility_multiplier, 0.0..=20.0)?;
        params::lookback(p.lookback_minutes)?;
        params::count_in_range("ema_span", p.ema_span, 1..=10_000)?;
        params::in_range("min_edge", p.min_edge, 0.0..=0.5)?;
        params::in_range("min_hours_to_end", p.min_hours_to_end, 0.0..=8760.0)?;
        Ok(MarketMaker {
            low_liquidity: format!("liquidity below {}", p.min_liquidity),
            low_volume: format!("volume below {}", p.min_volume_24h),
            min_liquidity,
            min_volume,
            order_size,
            max_inventory,
            params,
        })
    }

    fn look(&self, context: &StrategyContext<'_>, view: &MarketView) -> Result<Intent, &str> {
        let market = &*view.market;
        let now = context.snapshot.at;
        let (first, second) = pricing::tradable_pair(market)?;
        self.check_market(market, now)?;
        let book = pricing::sane_book(view.book(&first.token), now)?;
        let best = pricing::two_sided(book)?;
        if !pricing::reaches(self.params.max_spread, best.spread) {
            return Err(cause::WIDE_SPREAD);
        }
        let fair = self.fair(&best, view.history.as_ref(), now)?;
        if fair.price < END_MARGIN || fair.price > 1.0 - END_MARGIN {
            return Err(cause::EXTREME_PRICE);
        }
        let held = inventory(context, &first.token, &second.token)?;
        let (bid, ask) = self.sides(market, &best, &fair, held)?;
        let show = |side: Option<QuoteSide>| {
            side.map_or_else(
                || "none".to_owned(),
                |side| format!("{} x {}", side.price, side.shares),
            )
        };
        Ok(Intent::Quote(Quote {
            strategy: StrategyName::new(NAME),
            market_id: market.id.clone(),
            token_id: first.token.clone(),
            outcome: first.name.clone(),
            fair_price: fair.price,
            confidence: self.confidence(&fair),
            reason: format!(
                "fair {:.4} from mid {:.4} and its average; half spread {:.4} ({} x volatility \
                 {:.4}); holds {held}; bid {}, ask {}",
                fair.price,
                best.mid,
                fair.half_spread,
                self.params.volatility_multiplier,
                fair.volatility,
                show(bid),
                show(ask),
            ),
            bid,
            ask,
        }))
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
        history: Option<&History>,
        now: Timestamp,
    ) -> Result<Fair, &'static str> {
        let history = history
            .filter(|history| !history.points().is_empty())
            .ok_or(cause::NO_HISTORY)?;
        let since = now.plus_millis(-i64::from(self.params.lookback_minutes) * MINUTE_MS);
        let recent = indicators::points_since(history, since);
        let average = indicators::ema(recent, self.params.ema_span).ok_or(cause::SHORT_HISTORY)?;
        let deviation = indicators::deviation_of_changes(recent).ok_or(cause::SHORT_HISTORY)?;
        let volatility = self.params.volatility_multiplier * deviation;
        Ok(Fair {
            price: f64::midpoint(best.mid, average).clamp(best.bid.to_f64(), best.ask.to_f64()),
            half_spread: (self.params.spread / 2.0).max(volatility),
            volatility,
        })
    }

    /// Both sides of the quote. A side that cannot be had is left out; with neither, the cause.
    fn sides(
        &self,
        market: &Market,
        best: &TwoSided,
        fair: &Fair,
        held: Shares,
    ) -> Result<(Option<QuoteSide>, Option<QuoteSide>), &'static str> {
        let fullness = (held.to_f64() / self.params.max_inventory).min(1.0);
        // Holding shares, it would rather sell than buy: both prices move down.
        let centre = fair.price - fullness * self.params.inventory_skew * fair.half_spread;
        let lowest = fair.price - self.params.min_edge;
        let highest = fair.price + self.params.min_edge;
        // The fair price lies within the book and the half spread is positive: a bid never takes.
        let bid_price = tick_below((centre - fair.half_spread).min(lowest), market.tick);
        // A full skew with no least edge could bring the ask down to the best bid; one tick above
        // it still rests.
        let ask_price = tick_above(
            (centre + fair.half_spread)
                .max(highest)
                .max(best.bid.plus(market.tick).to_f64()),
            market.tick,
        );
        let big_enough =
            |side: &QuoteSide| !side.shares.is_zero() && side.shares >= market.min_size;
        let space = self.max_inventory.minus(held);
        let bid = bid_price.map(|price| QuoteSide {
            price,
            shares: Shares::affordable(self.order_size, price)
                .min(space)
                .floor_to_lot(),
        });
        let ask = ask_price.map(|price| QuoteSide {
            price,
            shares: Shares::affordable(self.order_size, price)
                .min(held)
                .floor_to_lot(),
        });
        let priced = bid.is_some() || ask.is_some();
        match (bid.filter(big_enough), ask.filter(big_enough)) {
            (None, None) if priced => Err(cause::TOO_SMALL),
            (None, None) => Err(NO_QUOTE),
            sides => Ok(sides),
        }
    }

    /// 1 in a market that does not move, 0.5 where its volatility is as wide as the configured
    /// half spread or wider; linear in between.
    fn confidence(&self, fair: &Fair) -> f64 {
        let ratio = (fair.volatility / (self.params.spread / 2.0)).min(1.0);
        ((1.0 - ratio / 2.0) * 1e4).round() / 1e4
    }
}

/// Shares of the quoted token that quoting has brought. Another strategy's or the agent's shares
/// are not this one's to sell, and with the other outcome held a bid would only lock money up.
fn inventory(
    context: &StrategyContext<'_>,
    token: &TokenId,
    opposite: &TokenId,
) -> Result<Shares, &'static str> {
    let held = |token: &TokenId| {
        context
            .positions
            .get(token)
            .filter(|position| !position.shares.is_zero())
    };
    if held(opposite).is_some() {
        return Err(cause::OPPOSITE_HELD);
    }
    match held(token) {
        Some(position) if position.entry_strategy.as_str() != NAME => Err(FOREIGN),
        Some(position) => Ok(position.shares),
        None => Ok(Shares::ZERO),
    }
}

/// The highest tick at or below `price`; `None` below the first tick.
fn tick_below(price: f64, tick: Price) -> Option<Price> {
    let exact = Price::from_f64_rounded(price).ok()?;
    Some(exact.floor_to(tick)).filter(|on_tick| *on_tick <= exact)
}

/// The lowest tick at or above `price`; `None` above the last tick.
fn tick_above(price: f64, tick: Price) -> Option<Price> {
    let exact = Price::from_f64_rounded(price).ok()?;
    Some(exact.ceil_to(tick)).filter(|on_tick| *on_tick >= exact)
}

impl Strategy for MarketMaker {
    fn name(&self) -> &'static str {
        NAME
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        Ok(pricing::look_at_each(context, |view| {
            self.look(context, view)
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::test_support::{
        MarketBuilder, World, close, market, now, price, shares, world,
    };
    use super::*;
    use crate::domain::MarketStatus;

    /// Mid 0.50 and a flat past at 0.50: fair 0.50, no volatility, half spread 0.025.
    fn calm() -> MarketBuilder {
        market("m")
            .yes(&[("0.48", 100)], &[("0.52", 100)])
            .history(&[(180, 0.5), (120, 0.5), (60, 0.5)])
    }

    fn analyze(world: &World, params: MarketMakerParams) -> Analysis {
        MarketMaker::new(params)
            .unwrap()
            .analyze(&world.context())
            .unwrap()
    }

    #[track_caller]
    fn quote(world: &World, params: MarketMakerParams) -> Quote {
        let analysis = analyze(world, params);
        match analysis.intents.as_slice() {
            [Intent::Quote(quote)] => quote.clone(),
            other => panic!("{other:?}, {:?}", analysis.passed_over),
        }
    }

    #[track_caller]
    fn default_quote(builder: MarketBuilder) -> Quote {
        quote(&world(vec![builder.view()]), MarketMakerParams::default())
    }

    #[track_caller]
    fn passes_in(world: &World, params: MarketMakerParams, cause: &str) {
        let analysis = analyze(world, params);
        assert!(analysis.intents.is_empty(), "{:?}", analysis.intents);
        assert_eq!(analysis.looked_at, 1);
        assert_eq!(
            analysis.passed_over,
            BTreeMap::from([(cause.to_owned(), 1)])
        );
    }

    #[track_caller]
    fn passes(builder: MarketBuilder, cause: &str) {
        passes_in(
            &world(vec![builder.view()]),
            MarketMakerParams::default(),
            cause,
        );
    }

    fn side(at: &str, size: &str) -> Option<QuoteSide> {
        Some(QuoteSide {
            price: price(at),
            shares: shares(size),
        })
    }

    #[test]
    fn with_nothing_held_it_only_bids() {
        let quote = default_quote(calm());
        assert_eq!(quote.token_id, TokenId::new("m-yes"));
        close(quote.fair_price, 0.50);
        // 0.50 − 0.025 = 0.475, down to the tick; 50 / 0.47 = 106.38 shares.
        assert_eq!(quote.bid, side("0.47", "106.38"));
        assert_eq!(quote.ask, None);
        assert_eq!(quote.confidence, 1.0);
        assert_eq!(
            quote.reason,
            "fair 0.5000 from mid 0.5000 and its average; half spread 0.0250 (2 x volatility \
             0.0000); holds 0; bid 0.47 x 106.38, ask none"
        );
    }

    /// Fault 17 of the original: its "ask" sold the other token, unheld, at this token's price,
    /// and its bid filled at once.
    #[test]
    fn fault_17_it_asks_for_held_shares_of_the_quoted_token_above_fair() {
        let mut held = world(vec![calm().view()]);
        held.hold("m", "m-yes", 100, "47", NAME);
        let quote = quote(&held, MarketMakerParams::default());
        // Half full: centre 0.50 − 0.5 × 0.5 × 0.025 = 0.49375.
        // Bid 0.46875 → 0.46; ask 0.51875 → 0.52. 50 / 0.46 = 108.69, of which 100 fit.
        assert_eq!(quote.bid, side("0.46", "100"));
        assert_eq!(quote.ask, side("0.52", "96.15"));
        assert_eq!(quote.token_id, TokenId::new("m-yes"));
        assert!(quote.bid.unwrap().price < price("0.52"), "rests");
        assert!(quote.ask.unwrap().price > price("0.48"), "rests");
    }

    #[test]
    fn a_full_inventory_stops_the_bid() {
        let mut full = world(vec![calm().view()]);
        full.hold("m", "m-yes", 200, "94", NAME);
        let quote = quote(&full, MarketMakerParams::default());
        assert_eq!(quote.bid, None);
        // Centre 0.4875, ask 0.5125 → 0.52.
        assert_eq!(quote.ask, side("0.52", "96.15"));
    }

    #[test]
    fn volatility_widens_the_quote_and_lowers_confidence() {
        // Changes ±0.04: mean 0, sample deviation √(2 × 0.0016 / 1) = 0.0565685; × 2 = 0.113137.
        let builder = calm().history(&[(180, 0.5), (120, 0.54), (60, 0.5)]);
        let quote = default_quote(builder);
        // Average, weight 2/13: 0.5 → 0.5061538 → 0.5052071; mean with the mid 0.5026036.
        close(quote.fair_price, 0.502_603_550_295_858);
        // 0.5026 − 0.1131 = 0.3895
        assert_eq!(quote.bid.unwrap().price, price("0.38"));
        assert_eq!(quote.confidence, 0.5);
    }

    #[test]
    fn mild_volatility_lowers_confidence_in_proportion() {
        // Changes ±0.005: deviation 0.00707107, × 2 = 0.0141421; over 0.025 = 0.565685.
        let quote = default_quote(calm().history(&[(180, 0.5), (120, 0.505), (60, 0.5)]));
        assert_eq!(quote.confidence, 0.7172);
        assert_eq!(quote.bid.unwrap().price, price("0.47"));
    }

    #[test]
    fn a_lagging_average_never_leaves_the_book() {
        // Mean of mid 0.50 and average 0.60 is 0.55: the book's ask of 0.52 is the limit.
        let quote = default_quote(calm().history(&[(180, 0.6), (120, 0.6), (60, 0.6)]));
        close(quote.fair_price, 0.52);
        assert_eq!(quote.bid.unwrap().price, price("0.49"));
    }

    #[test]
    fn both_prices_keep_the_edge_and_rest_beside_a_tight_book() {
        let mut held = world(vec![calm().yes(&[("0.49", 100)], &[("0.50", 100)]).view()]);
        held.hold("m", "m-yes", 200, "94", NAME);
        let narrow = MarketMakerParams {
            spread: 0.01,
            inventory_skew: 1.0,
            max_inventory: 400.0,
            ..MarketMakerParams::default()
        };
        let quote = quote(&held, narrow);
        // Fair 0.4975, centre 0.495: bid 0.4875 (edge 0.01) → 0.48, ask 0.5075 → 0.51.
        close(quote.fair_price, 0.4975);
        assert_eq!(quote.bid.unwrap().price, price("0.48"));
        assert_eq!(quote.ask.unwrap().price, price("0.51"));
    }

    #[test]
    fn an_ask_that_would_take_is_moved_above_the_best_bid() {
        // The average of 0.40 pulls the fair price down to the bid of 0.48; with a full inventory
        // and a full skew the ask would be there, too.
        let sunk = calm().history(&[(180, 0.4), (120, 0.4), (60, 0.4)]);
        let mut full = world(vec![sunk.view()]);
        full.hold("m", "m-yes", 200, "94", NAME);
        let eager = MarketMakerParams {
            inventory_skew: 1.0,
            min_edge: 0.0,
            ..MarketMakerParams::default()
        };
        let quote = quote(&full, eager);
        close(quote.fair_price, 0.48);
        assert_eq!(quote.ask.unwrap().price, price("0.49"));
    }

    #[test]
    fn thin_or_quiet_markets_are_passed_over() {
        passes(
            calm().with(|market| market.liquidity = Some(Usdc::whole(999))),
            "liquidity below 1000",
        );
        let unknown = || calm().with(|market| market.liquidity = None);
        assert!(default_quote(unknown()).bid.is_some());
        let strict = MarketMakerParams {
            allow_unknown_liquidity: false,
            ..MarketMakerParams::default()
        };
        passes_in(&world(vec![unknown().view()]), strict, "liquidity unknown");
        let busy_only = MarketMakerParams {
            min_volume_24h: 50_000.0,
            ..MarketMakerParams::default()
        };
        passes_in(&world(vec![calm().view()]), busy_only, "volume below 50000");
    }

    #[test]
    fn books_that_give_no_fair_price_are_passed_over() {
        passes(calm().yes(&[], &[]), cause::EMPTY_BOOK);
        passes(calm().yes(&[("0.48", 9)], &[]), cause::ONE_SIDED);
        passes(calm().yes(&[("0.52", 9)], &[("0.48", 9)]), cause::CROSSED);
        passes(
            calm().yes(&[("0.38", 9)], &[("0.60", 9)]),
            cause::WIDE_SPREAD,
        );
        passes(
            market("m").history(&[(3, 0.5), (2, 0.5), (1, 0.5)]),
            cause::NO_BOOK,
        );
    }

    #[test]
    fn history_must_tell_volatility() {
        passes(
            market("m").yes(&[("0.48", 9)], &[("0.52", 9)]),
            cause::NO_HISTORY,
        );
        passes(
            calm().history(&[(120, 0.5), (60, 0.5)]),
            cause::SHORT_HISTORY,
        );
        // Three points, one of them older than a day.
        passes(
            calm().history(&[(1441, 0.5), (120, 0.5), (60, 0.5)]),
            cause::SHORT_HISTORY,
        );
    }

    #[test]
    fn nearly_decided_or_ending_markets_are_passed_over() {
        let decided = market("m").yes(&[("0.95", 99)], &[("0.97", 99)]).history(&[
            (3, 0.96),
            (2, 0.96),
            (1, 0.96),
        ]);
        passes(decided, cause::EXTREME_PRICE);
        let ending = |minutes: i64| {
            calm().with(move |market| market.end = Some(now().plus_millis(minutes * MINUTE_MS)))
        };
        passes(ending(359), "too close to its end");
        passes(ending(-60), "too close to its end");
        assert!(default_quote(ending(360)).bid.is_some());
        passes(
            calm().with(|market| market.status = MarketStatus::Paused),
            cause::NOT_OPEN,
        );
    }

    #[test]
    fn shares_that_others_bought_are_not_sold() {
        let mut foreign = world(vec![calm().view()]);
        foreign.hold("m", "m-yes", 10, "5", "ai_analyst");
        passes_in(
            &foreign,
            MarketMakerParams::default(),
            "held by another strategy",
        );
        let mut opposite = world(vec![calm().view()]);
        opposite.hold("m", "m-no", 10, "5", NAME);
        passes_in(
            &opposite,
            MarketMakerParams::default(),
            cause::OPPOSITE_HELD,
        );
    }

    #[test]
    fn quotes_below_the_minimum_size_or_without_a_price_are_not_made() {
        passes(
            calm().with(|market| market.min_size = Shares::whole(107)),
            cause::TOO_SMALL,
        );
        // Half spread 2 × 0.45 leaves no price between 0 and 1.
        let wild = calm().history(&[(180, 0.2), (120, 0.8), (60, 0.2)]);
        passes(wild, NO_QUOTE);
    }
}
