//! Momentum with volume: a price that has moved on real trading moves on a little further.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::params;
use super::pricing::{self, BuyTerms};
use super::{Analysis, Strategy, StrategyContext, StrategyError, cause};
use crate::domain::{History, Intent, MarketView, Side, Signal, StrategyName, Timestamp, Usdc};

/// Its name in the configuration.
pub const NAME: &str = "signal_trader";

const MINUTE_MS: i64 = 60_000;

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
    /// Least move of the first outcome's price over the lookback, in price units. Default 0.05.
    pub price_move_threshold: f64,
    /// How far back the move is measured, minutes, at most 8640. Default 1440, a day.
    pub lookback_minutes: u32,
    /// Part of the move that is expected to follow, 0 to 1. Default 0.5.
    pub continuation: f64,
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
            price_move_threshold: 0.05,
            lookback_minutes: 1440,
            continuation: 0.5,
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

/// The strategy. Fair price of the first outcome = mid + continuation × move.
#[derive(Debug, Clone)]
pub struct SignalTrader {
    params: SignalTraderParams,
    volume_threshold: Usdc,
    terms: BuyTerms,
    low_volume: String,
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
        params::in_range("continuation", p.continuation, 0.0..=1.0)?;
        params::in_range("max_spread", p.max_spread, 0.0001..=1.0)?;
        params::in_range("min_price", p.min_price, 0.0..=0.49)?;
        let terms = BuyTerms::new(p.order_size, p.min_edge, p.max_slippage)?;
        Ok(SignalTrader {
            low_volume: format!("volume below {}", p.volume_threshold),
            small_move: format!("move {} not reached", p.price_move_threshold),
            volume_threshold,
            terms,
            params,
        })
    }

    fn look(&self, context: &StrategyContext<'_>, view: &MarketView) -> Result<Intent, &str> {
        let market = &*view.market;
        let now = context.snapshot.at;
        let (first, second) = pricing::tradable_pair(market)?;
        match market.volume_24h {
            Some(volume) if volume < self.volume_threshold => return Err(&self.low_volume),
            None if !self.params.allow_unknown_volume => return Err("volume unknown"),
            _ => {}
        }
        let yes_book = pricing::sane_book(view.book(&first.token), now)?;
        let yes = pricing::two_sided(yes_book)?;
        if !pricing::reaches(self.params.max_spread, yes.spread) {
            return Err(cause::WIDE_SPREAD);
        }
        if !pricing::reaches(yes.mid, self.params.min_price)
            || !pricing::reaches(1.0 - self.params.min_price, yes.mid)
        {
            return Err(cause::EXTREME_PRICE);
        }
        let before = self.price_before(view.history.as_ref(), now)?;
        let moved = yes.mid - before;
        if !pricing::reaches(moved.abs(), self.params.price_move_threshold) {
            return Err(&self.small_move);
        }
        let fair_first = pricing::clamp_fair(yes.mid + self.params.continuation * moved);
        // A falling Yes is bought as No, at No's own book and No's own fair price.
        let (outcome, fair) = if moved > 0.0 {
            (first, fair_first)
        } else {
            (second, 1.0 - fair_first)
        };
        let book = pricing::sane_book(view.book(&outcome.token), now)?;
        if book
            .spread()
            .is_some_and(|spread| !pricing::reaches(self.params.max_spread, spread))
        {
            return Err(cause::WIDE_SPREAD);
        }
        let plan = pricing::plan_buy(context, market, book, fair, &self.terms)?;
        Ok(Intent::Directional(Signal {
            strategy: StrategyName::new(NAME),
            market_id: market.id.clone(),
            token_id: outcome.token.clone(),
            outcome: outcome.name.clone(),
            side: Side::Buy,
            confidence: pricing::threshold_confidence(
                moved.abs(),
                self.params.price_move_threshold,
            ),
            fair_price: fair,
            target_price: plan.limit,
            edge: plan.edge,
            size: plan.size,
            reason: format!(
                "{} moved {moved:+.4} to {:.4} in {} min; fair {} {fair:.4} = mid + {} x move; \
                 buy to {}, fee {:.4}, edge {:.4}",
                pricing::name_of(first),
                yes.mid,
                self.params.lookback_minutes,
                pricing::name_of(outcome),
                self.params.continuation,
                plan.limit,
                plan.fee,
                plan.edge,
            ),
            stop_loss: None,
            take_profit: None,
        }))
    }

    /// The first outcome's price one lookback ago. A point that is older than two lookbacks tells
    /// of another time and does not count.
    fn price_before(&self, history: Option<&History>, now: Timestamp) -> Result<f64, &'static str> {
        let points = history
            .map(History::points)
            .filter(|points| !points.is_empty())
            .ok_or(cause::NO_HISTORY)?;
        let lookback = i64::from(self.params.lookback_minutes) * MINUTE_MS;
        let moment = now.plus_millis(-lookback);
        let after = points.partition_point(|point| point.at <= moment);
        let point = after
            .checked_sub(1)
            .and_then(|index| points.get(index))
            .ok_or(cause::SHORT_HISTORY)?;
        if moment.since(point.at) > lookback {
            return Err(cause::SPARSE_HISTORY);
        }
        if !(0.0..=1.0).contains(&point.price) {
            return Err(cause::NO_HISTORY);
        }
        Ok(point.price)
    }
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
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::test_support::{MarketBuilder, World, close, market, price, usdc, world};
    use super::*;
    use crate::domain::{MarketStatus, Price, Shares, TokenId};

    const DAY: i64 = 1440;

    /// Mid 0.56, a day ago 0.50: up by 0.06. Fair 0.56 + 0.5 × 0.06 = 0.59.
    fn risen() -> MarketBuilder {
        market("m")
            .yes(&[("0.55", 100)], &[("0.57", 100)])
            .no(&[("0.43", 100)], &[("0.45", 100)])
            .history(&[(DAY, 0.50), (60, 0.55)])
    }

    /// Mid 0.44, a day ago 0.50: down by 0.06. Fair Yes 0.41, fair No 0.59.
    fn fallen() -> MarketBuilder {
        market("m")
            .yes(&[("0.43", 100)], &[("0.45", 100)])
            .no(&[("0.55", 100)], &[("0.57", 100)])
            .history(&[(DAY, 0.50)])
    }

    fn analyze(world: &World, params: SignalTraderParams) -> Analysis {
        SignalTrader::new(params)
            .unwrap()
            .analyze(&world.context())
            .unwrap()
    }

    fn signals(analysis: &Analysis) -> Vec<&Signal> {
        analysis
            .intents
            .iter()
            .map(|intent| match intent {
                Intent::Directional(signal) => signal,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[track_caller]
    fn passes(builder: MarketBuilder, params: SignalTraderParams, cause: &str) {
        let analysis = analyze(&world(vec![builder.view()]), params);
        assert_eq!(
            analysis,
            Analysis {
                intents: vec![],
                looked_at: 1,
                passed_over: BTreeMap::from([(cause.to_owned(), 1)]),
            }
        );
    }

    #[track_caller]
    fn default_passes(builder: MarketBuilder, cause: &str) {
        passes(builder, SignalTraderParams::default(), cause);
    }

    #[test]
    fn a_rise_on_volume_buys_yes_at_its_ask() {
        let analysis = analyze(&world(vec![risen().view()]), SignalTraderParams::default());
        assert_eq!(analysis.looked_at, 1);
        assert!(analysis.passed_over.is_empty());
        let signal = signals(&analysis)[0];
        assert_eq!(signal.token_id, TokenId::new("m-yes"));
        assert_eq!(signal.outcome, "Yes");
        assert_eq!(signal.side, Side::Buy);
        assert_eq!(signal.target_price, price("0.57"));
        assert_eq!(signal.size, usdc("25"));
        close(signal.fair_price, 0.59);
        close(signal.edge, 0.02);
        // 0.5 × 0.06 / 0.05
        assert_eq!(signal.confidence, 0.6);
        assert_eq!(
            signal.reason,
            "Yes moved +0.0600 to 0.5600 in 1440 min; fair Yes 0.5900 = mid + 0.5 x move; \
             buy to 0.57, fee 0.0000, edge 0.0200"
        );
        assert_eq!((signal.stop_loss, signal.take_profit), (None, None));
    }

    /// Fault 16 of the original: its bearish leg sold an unheld No token at the Yes price.
    #[test]
    fn fault_16_a_fall_buys_no_at_nos_own_ask() {
        let analysis = analyze(&world(vec![fallen().view()]), SignalTraderParams::default());
        let signal = signals(&analysis)[0];
        assert_eq!(signal.token_id, TokenId::new("m-no"));
        assert_eq!(signal.side, Side::Buy);
        assert_eq!(signal.target_price, price("0.57"));
        close(signal.fair_price, 0.59);
        close(signal.edge, 0.02);
        // With No dearer than its fair price there is no trade, whatever Yes costs.
        default_passes(
            fallen().no(&[("0.57", 100)], &[("0.59", 100)]),
            cause::NO_EDGE,
        );
    }

    /// Fault 16: it bought whatever was below 0.5, in sizes that came from the volume.
    #[test]
    fn fault_16_cheapness_is_no_reason_and_volume_no_size() {
        let cheap = market("m")
            .yes(&[("0.19", 100)], &[("0.21", 100)])
            .history(&[(DAY, 0.20)]);
        default_passes(cheap, "move 0.05 not reached");
        let busy = risen().with(|market| market.volume_24h = Some(Usdc::whole(2_000_000)));
        let analysis = analyze(&world(vec![busy.view()]), SignalTraderParams::default());
        assert_eq!(signals(&analysis)[0].size, usdc("25"));
    }

    /// Fault 15: confidence grew as the token got cheaper.
    #[test]
    fn fault_15_confidence_depends_on_the_move_and_not_on_the_price() {
        let low = market("low")
            .yes(&[("0.25", 100)], &[("0.27", 100)])
            .history(&[(DAY, 0.20)]);
        let high = market("high")
            .yes(&[("0.75", 100)], &[("0.77", 100)])
            .history(&[(DAY, 0.70)]);
        let analysis = analyze(
            &world(vec![low.view(), high.view()]),
            SignalTraderParams::default(),
        );
        let found = signals(&analysis);
        assert_eq!(found[0].confidence, 0.6);
        assert_eq!(found[1].confidence, 0.6);
    }

    #[test]
    fn twice_the_threshold_is_full_confidence() {
        let jumped = risen().history(&[(DAY, 0.44)]);
        let analysis = analyze(&world(vec![jumped.view()]), SignalTraderParams::default());
        assert_eq!(signals(&analysis)[0].confidence, 1.0);
    }

    #[test]
    fn the_fee_comes_off_the_edge() {
        // 0.04 × 0.57 × 0.43 = 0.009804; 0.59 − 0.57 − 0.009804 = 0.010196
        let analysis = analyze(
            &world(vec![risen().fee("0.04").view()]),
            SignalTraderParams::default(),
        );
        close(signals(&analysis)[0].edge, 0.010_196);
        // 0.05 × 0.2451 = 0.012255 leaves 0.007745.
        default_passes(risen().fee("0.05"), cause::NO_EDGE);
    }

    #[test]
    fn what_cannot_be_traded_is_passed_over() {
        default_passes(
            risen().with(|market| market.status = MarketStatus::Paused),
            cause::NOT_OPEN,
        );
        default_passes(
            risen().with(|market| market.outcomes.truncate(1)),
            cause::NOT_BINARY,
        );
        default_passes(
            risen().with(|market| market.placeholder = true),
            cause::PLACEHOLDER,
        );
        default_passes(
            risen().with(|market| market.tick = Price::ZERO),
            cause::NO_TICK,
        );
        default_passes(
            risen().with(|market| market.min_size = Shares::whole(44)),
            cause::TOO_SMALL,
        );
    }

    #[test]
    fn too_little_or_unknown_volume_is_passed_over() {
        let quiet = |volume| risen().with(move |market| market.volume_24h = volume);
        default_passes(quiet(Some(Usdc::whole(4_999))), "volume below 5000");
        let strict = SignalTraderParams {
            allow_unknown_volume: false,
            ..SignalTraderParams::default()
        };
        passes(quiet(None), strict, "volume unknown");
        let analysis = analyze(
            &world(vec![quiet(None).view()]),
            SignalTraderParams::default(),
        );
        assert_eq!(analysis.intents.len(), 1, "unknown is not none");
    }

    #[test]
    fn a_book_that_gives_no_mid_is_passed_over() {
        default_passes(market("m").history(&[(DAY, 0.5)]), cause::NO_BOOK);
        default_passes(risen().yes(&[], &[]), cause::EMPTY_BOOK);
        default_passes(risen().yes(&[("0.55", 9)], &[]), cause::ONE_SIDED);
        default_passes(risen().yes(&[], &[("0.57", 9)]), cause::ONE_SIDED);
        default_passes(risen().yes(&[("0.58", 9)], &[("0.57", 9)]), cause::CROSSED);
        default_passes(
            risen().yes(&[("0.53", 9)], &[("0.59", 9)]),
            cause::WIDE_SPREAD,
        );
    }

    #[test]
    fn nos_book_must_be_sound_when_no_is_bought() {
        default_passes(fallen().no(&[("0.55", 9)], &[]), cause::NOTHING_OFFERED);
        default_passes(fallen().no(&[("0.58", 9)], &[("0.57", 9)]), cause::CROSSED);
        default_passes(
            fallen().no(&[("0.50", 9)], &[("0.57", 9)]),
            cause::WIDE_SPREAD,
        );
        let no_book = market("m")
            .yes(&[("0.43", 100)], &[("0.45", 100)])
            .history(&[(DAY, 0.50)]);
        default_passes(no_book, cause::NO_BOOK);
    }

    #[test]
    fn nearly_decided_markets_are_passed_over() {
        let longshot = market("m")
            .yes(&[("0.08", 100)], &[("0.10", 100)])
            .history(&[(DAY, 0.02)]);
        default_passes(longshot, cause::EXTREME_PRICE);
        let favourite = market("m")
            .yes(&[("0.92", 100)], &[("0.94", 100)])
            .history(&[(DAY, 0.80)]);
        default_passes(favourite, cause::EXTREME_PRICE);
    }

    #[test]
    fn history_must_reach_back_and_be_dense_enough() {
        let without = market("m").yes(&[("0.55", 100)], &[("0.57", 100)]);
        default_passes(without, cause::NO_HISTORY);
        default_passes(risen().history(&[]), cause::NO_HISTORY);
        default_passes(risen().history(&[(DAY - 1, 0.5)]), cause::SHORT_HISTORY);
        default_passes(
            risen().history(&[(2 * DAY + 1, 0.5), (60, 0.55)]),
            cause::SPARSE_HISTORY,
        );
        default_passes(risen().history(&[(DAY, f64::NAN)]), cause::NO_HISTORY);
    }

    #[test]
    fn a_move_just_at_the_threshold_counts() {
        // 0.35 − 0.30 is below 0.05 in binary.
        let at = market("m")
            .yes(&[("0.34", 100)], &[("0.36", 100)])
            .history(&[(DAY, 0.30)]);
        let analysis = analyze(&world(vec![at.view()]), SignalTraderParams::default());
        assert_eq!(signals(&analysis)[0].confidence, 0.5);
        let below = market("m")
            .yes(&[("0.34", 100)], &[("0.36", 100)])
            .history(&[(DAY, 0.301)]);
        default_passes(below, "move 0.05 not reached");
    }

    #[test]
    fn a_position_is_filled_up_to_its_size_and_no_further() {
        let mut held = world(vec![risen().view()]);
        held.hold("m", "m-yes", 20, "11.4", NAME);
        let analysis = analyze(&held, SignalTraderParams::default());
        assert_eq!(signals(&analysis)[0].size, usdc("13.6"));
        // What is left, 1 pUSD, buys 1.75 shares: below the minimum of 5.
        held.hold("m", "m-yes", 42, "24", NAME);
        let analysis = analyze(&held, SignalTraderParams::default());
        assert_eq!(
            analysis.passed_over,
            BTreeMap::from([("already held".to_owned(), 1)])
        );
        held.hold("m", "m-yes", 44, "25", NAME);
        let analysis = analyze(&held, SignalTraderParams::default());
        assert_eq!(analysis.passed_over.get("already held"), Some(&1));
    }

    #[test]
    fn the_other_outcome_held_is_not_hedged_by_accident() {
        let mut held = world(vec![risen().view()]);
        held.hold("m", "m-no", 20, "9", "ai_analyst");
        let analysis = analyze(&held, SignalTraderParams::default());
        assert_eq!(
            analysis.passed_over,
            BTreeMap::from([("opposite outcome held".to_owned(), 1)])
        );
    }

    #[test]
    fn a_market_listed_twice_is_bought_once() {
        let analysis = analyze(
            &world(vec![risen().view(), risen().view()]),
            SignalTraderParams::default(),
        );
        assert_eq!(analysis.looked_at, 2);
        assert_eq!(analysis.intents.len(), 1);
        assert_eq!(
            analysis.passed_over,
            BTreeMap::from([("listed twice".to_owned(), 1)])
        );
    }

    #[test]
    fn markets_kept_for_positions_only_are_not_looked_at() {
        let analysis = analyze(
            &world(vec![risen().not_candidate().view()]),
            SignalTraderParams::default(),
        );
        assert_eq!(analysis, Analysis::default());
    }
}
