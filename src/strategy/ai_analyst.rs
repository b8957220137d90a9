//! Acts on probability estimates that agents have left: buys the outcome that they think is worth
//! clearly more than it costs. It thinks nothing itself and asks no model.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::params;
use super::pricing::{self, BuyTerms};
use super::scout::{Finding, Scout};
use super::sight::{Sight, TopBook};
use super::{Analysis, Strategy, StrategyContext, StrategyError, cause};
use crate::domain::{
    Book, Calibrations, Estimate, Fixed, Intent, Market, MarketView, Outcome, Side, Signal,
    StrategyName, Timestamp, Usdc, text,
};

/// Its name in the configuration.
pub const NAME: &str = "ai_analyst";

const NO_ESTIMATE: &str = "no estimate";
const EXPIRED: &str = "estimate expired";
const UNUSABLE: &str = "estimate unusable";
/// The calibrated estimates diverge from the price, the estimates as stated do not.
const NOT_STATED: &str = "divergence comes from calibration alone";
/// Authors that a reason names.
const NAMED: usize = 3;
/// Longest name of an author in a reason.
const AUTHOR_NAME: usize = 24;

/// Parameters of [`AiAnalyst`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AiAnalystParams {
    /// Whether the strategy runs. Default false: a section has to ask for it.
    pub enabled: bool,
    /// Least difference between the estimate and the best ask, price units. Default 0.15.
    pub min_divergence: f64,
    /// Least edge per share after fee and spread, pUSD. Default 0.01.
    pub min_edge: f64,
    /// How far above the best ask the limit may go for size, price units. Default 0.01.
    pub max_slippage: f64,
    /// Notional of a whole position, pUSD. Default 25.
    pub order_size: f64,
}

impl Default for AiAnalystParams {
    fn default() -> Self {
        AiAnalystParams {
            enabled: false,
            min_divergence: 0.15,
            min_edge: 0.01,
            max_slippage: 0.01,
            order_size: 25.0,
        }
    }
}

impl AiAnalystParams {
    /// Checks every range. Errors name the parameter, its value and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        AiAnalyst::new(self.clone()).map(drop)
    }
}

/// The strategy. Fair price = the authors' estimates, each by its author's calibration, averaged in
/// log-odds. A calibration may weaken, confirm or strengthen a disagreement with the market that the
/// authors have stated; it cannot make one up.
#[derive(Debug, Clone)]
pub struct AiAnalyst {
    params: AiAnalystParams,
    terms: BuyTerms,
    small_divergence: String,
}

/// What the fresh estimates of a market come to.
#[derive(Debug, Clone, PartialEq)]
struct Opinion<'a> {
    /// Calibrated probability of the first outcome.
    first: f64,
    /// The same as stated.
    stated: f64,
    /// By author: probability of the first outcome as stated, and calibrated.
    authors: Vec<(&'a str, f64, f64)>,
}

impl Opinion<'_> {
    /// Each author's estimate of the outcome bought: stated → calibrated, by which method, and from
    /// how many resolved markets.
    fn words(&self, calibrations: &Calibrations, of_first: bool) -> String {
        let side = |p: f64| if of_first { p } else { 1.0 - p };
        let mut words: Vec<String> = self
            .authors
            .iter()
            .take(NAMED)
            .map(|(author, stated, calibrated)| {
                let known = calibrations.of(author);
                format!(
                    "{} {} → {} ({}, {} resolved)",
                    text::clean(author, AUTHOR_NAME),
                    Fixed(side(*stated), 4),
                    Fixed(side(*calibrated), 4),
                    known.map_or("identity", |known| known.map.method()),
                    known.map_or(0, |known| known.resolved),
                )
            })
            .collect();
        if self.authors.len() > NAMED {
            words.push(format!("and {} more", self.authors.len() - NAMED));
        }
        words.join(", ")
    }
}

impl AiAnalyst {
    /// Checks the parameters (`enabled` is the caller's business). Errors: the message of the
    /// first parameter that is out of range.
    pub fn new(params: AiAnalystParams) -> Result<Self, String> {
        params::in_range("min_divergence", params.min_divergence, 0.001..=0.9)?;
        let terms = BuyTerms::new(params.order_size, params.min_edge, params.max_slippage)?;
        Ok(AiAnalyst {
            small_divergence: format!("divergence {} not reached", params.min_divergence),
            terms,
            params,
        })
    }

    fn look(&self, context: &StrategyContext<'_>, view: &MarketView) -> Result<Intent, &str> {
        let market = &*view.market;
        let now = context.snapshot.at;
        let estimates = context
            .estimates
            .get(&market.id)
            .filter(|estimates| !estimates.is_empty())
            .ok_or(NO_ESTIMATE)?;
        let (first, second) = pricing::tradable_pair(market)?;
        let opinion = combine(estimates, context.calibrations, first, second, now)?;
        let side = |outcome, fair| Candidate::new(view, outcome, fair, now);
        let candidate = more_underpriced(
            side(first, opinion.first),
            side(second, 1.0 - opinion.first),
        )?;
        if !pricing::reaches(candidate.divergence, self.params.min_divergence) {
            return Err(&self.small_divergence);
        }
        let Candidate {
            outcome,
            book,
            fair,
            divergence,
        } = candidate;
        let of_first = outcome.token == first.token;
        let stated = if of_first {
            opinion.stated
        } else {
            1.0 - opinion.stated
        };
        // Else an author who merely agrees with the market would be traded on, because the market was
        // wrong in the past.
        if !pricing::reaches(stated - (fair - divergence), self.params.min_divergence) {
            return Err(NOT_STATED);
        }
        let plan = pricing::plan_buy(context, market, book, fair, &self.terms)?;
        Ok(Intent::Directional(Signal {
            strategy: StrategyName::new(NAME),
            market_id: market.id.clone(),
            token_id: outcome.token.clone(),
            outcome: outcome.name.clone(),
            side: Side::Buy,
            confidence: pricing::threshold_confidence(divergence, self.params.min_divergence),
            fair_price: fair,
            target_price: plan.limit,
            edge: plan.edge,
            size: plan.size,
            reason: format!(
                "{} estimated at {} by {} author(s), {} above its best ask; buy to {}, fee {}, \
                 edge {}; {}",
                pricing::name_of(outcome),
                Fixed(fair, 4),
                opinion.authors.len(),
                Fixed(divergence, 4),
                plan.limit,
                Fixed(plan.fee, 4),
                Fixed(plan.edge, 4),
                opinion.words(context.calibrations, of_first),
            )
            .into(),
            stop_loss: None,
            take_profit: None,
        }))
    }
}

/// One outcome as something to buy.
#[derive(Debug, Clone, Copy)]
struct Candidate<'a> {
    outcome: &'a Outcome,
    book: &'a Book,
    fair: f64,
    /// Fair price − best ask.
    divergence: f64,
}

impl<'a> Candidate<'a> {
    fn new(
        view: &'a MarketView,
        outcome: &'a Outcome,
        fair: f64,
        now: Timestamp,
    ) -> Result<Self, &'static str> {
        let book = pricing::sane_book(view.book(&outcome.token), now)?;
        let ask = book.best_ask().ok_or(cause::NOTHING_OFFERED)?;
        Ok(Candidate {
            outcome,
            book,
            fair,
            divergence: fair - ask.to_f64(),
        })
    }
}

/// Of two outcomes the one that is more underpriced, the first on ties; one whose price cannot be
/// had leaves the other. Errors with the first outcome's cause when neither can be bought.
fn more_underpriced<'a>(
    first: Result<Candidate<'a>, &'static str>,
    second: Result<Candidate<'a>, &'static str>,
) -> Result<Candidate<'a>, &'static str> {
    match (first, second) {
        (Ok(first), Ok(second)) if second.divergence > first.divergence => Ok(second),
        (Ok(first), _) => Ok(first),
        (Err(_), Ok(second)) => Ok(second),
        (Err(cause), Err(_)) => Err(cause),
    }
}

/// The first outcome's probability: the newest fresh estimate of each author, averaged in log-odds
/// with equal weights, in which 0.01 against 0.10 is as far as 0.90 against 0.99. Each is first
/// kept within 0.01 to 0.99, so that one author's near-certainty does not drown the others. An
/// estimate of the second outcome is calibrated as it was stated, then turned round.
fn combine<'a>(
    estimates: &'a [Estimate],
    calibrations: &Calibrations,
    first: &Outcome,
    second: &Outcome,
    now: Timestamp,
) -> Result<Opinion<'a>, &'static str> {
    let mut newest: BTreeMap<&str, (Timestamp, f64, f64)> = BTreeMap::new();
    let mut expired = false;
    for estimate in estimates {
        let inside = estimate.probability > 0.0 && estimate.probability < 1.0;
        let turned = if estimate.token_id == first.token {
            false
        } else if estimate.token_id == second.token {
            true
        } else {
            continue;
        };
        // One from the future would be hindsight in a replay.
        if !inside || estimate.created_at > now {
            continue;
        }
        if !estimate.is_fresh(now) {
            expired = true;
            continue;
        }
        let side = |p: f64| pricing::clamp_fair(if turned { 1.0 - p } else { p });
        let calibrated = calibrations.apply(&estimate.author, estimate.probability);
        let entry = (
            estimate.created_at,
            side(estimate.probability),
            side(calibrated),
        );
        newest
            .entry(&estimate.author)
            .and_modify(|kept| {
                if entry.0 >= kept.0 {
                    *kept = entry;
                }
            })
            .or_insert(entry);
    }
    if newest.is_empty() {
        return Err(if expired { EXPIRED } else { UNUSABLE });
    }
    Ok(Opinion {
        first: mean_in_log_odds(newest.values().map(|(_, _, calibrated)| *calibrated)),
        stated: mean_in_log_odds(newest.values().map(|(_, stated, _)| *stated)),
        authors: newest
            .iter()
            .map(|(author, (_, stated, calibrated))| (*author, *stated, *calibrated))
            .collect(),
    })
}

fn mean_in_log_odds(probabilities: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = probabilities.len() as f64;
    let log_odds: f64 = probabilities.map(|p| (p / (1.0 - p)).ln()).sum();
    1.0 / (1.0 + (-log_odds / count).exp())
}

impl Strategy for AiAnalyst {
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

impl Scout for AiAnalyst {
    fn stands_alone(&self, _: &Market) -> bool {
        true
    }

    fn find(&self, _: &StrategyContext<'_>, _: &Sight<'_, TopBook<'_>>) -> Finding<'_> {
        // With an estimate there would be something at stake.
        Finding::Nothing(NO_ESTIMATE)
    }

    fn purchase_size(&self) -> Option<Usdc> {
        None
    }

    fn look_at(&self, context: &StrategyContext<'_>, view: &MarketView) -> Vec<Intent> {
        self.look(context, view).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{MarketBuilder, World, close, market, price, usdc, world};
    use super::*;
    use crate::domain::{Calibration, FittedCalibration, MarketStatus, TokenId};

    /// Given ten minutes ago, good for an hour.
    const FRESH: (i64, i64) = (10, 60);

    fn priced() -> MarketBuilder {
        market("m")
            .yes(&[("0.48", 100)], &[("0.50", 100)])
            .no(&[("0.50", 100)], &[("0.52", 100)])
    }

    fn with_estimate(builder: MarketBuilder, probability: f64) -> World {
        let mut world = world(vec![builder.view()]);
        world.estimate("m", "m-yes", "ann", probability, FRESH);
        world
    }

    fn analyze(world: &World) -> Analysis {
        AiAnalyst::new(AiAnalystParams::default())
            .unwrap()
            .analyze(&world.context())
            .unwrap()
    }

    #[track_caller]
    fn signal(world: &World) -> Signal {
        let analysis = analyze(world);
        match analysis.intents.as_slice() {
            [Intent::Directional(signal)] => signal.clone(),
            other => panic!("{other:?}, {:?}", analysis.passed_over),
        }
    }

    #[track_caller]
    fn passes(world: &World, cause: &str) {
        let analysis = analyze(world);
        assert!(analysis.intents.is_empty(), "{:?}", analysis.intents);
        assert_eq!(analysis.looked_at, 1);
        assert_eq!(
            analysis.passed_over,
            BTreeMap::from([(cause.to_owned(), 1)])
        );
    }

    #[test]
    fn an_estimate_well_above_the_ask_buys_yes() {
        let signal = signal(&with_estimate(priced(), 0.71));
        assert_eq!(signal.token_id, TokenId::new("m-yes"));
        assert_eq!(signal.side, Side::Buy);
        assert_eq!(signal.target_price, price("0.5"));
        assert_eq!(signal.size, usdc("25"));
        close(signal.fair_price, 0.71);
        close(signal.edge, 0.21);
        // 0.5 × 0.21 / 0.15
        assert_eq!(signal.confidence, 0.7);
        assert_eq!((signal.stop_loss, signal.take_profit), (None, None));
        assert_eq!(
            signal.reason.to_string(),
            "Yes estimated at 0.7100 by 1 author(s), 0.2100 above its best ask; buy to 0.5, \
             fee 0.0000, edge 0.2100; ann 0.7100 → 0.7100 (identity, 0 resolved)"
        );
    }

    #[test]
    fn an_estimate_well_below_buys_no_at_nos_own_ask() {
        // No is worth 0.70 and costs 0.52.
        let signal = signal(&with_estimate(priced(), 0.30));
        assert_eq!(signal.token_id, TokenId::new("m-no"));
        assert_eq!(signal.target_price, price("0.52"));
        close(signal.fair_price, 0.70);
        close(signal.edge, 0.18);
        assert_eq!(signal.confidence, 0.6);
    }

    #[test]
    fn an_estimate_of_the_second_outcome_counts_as_its_complement() {
        let mut world = world(vec![priced().view()]);
        world.estimate("m", "m-no", "ann", 0.70, FRESH);
        let signal = signal(&world);
        assert_eq!(signal.token_id, TokenId::new("m-no"));
        close(signal.fair_price, 0.70);
    }

    /// Fault 22 of the original: an estimate that agreed with a market at 0.90 became 0.978 by a
    /// transform and was traded on.
    #[test]
    fn fault_22_agreeing_with_the_market_is_no_trade() {
        let agreed = market("m")
            .yes(&[("0.89", 100)], &[("0.90", 100)])
            .no(&[("0.10", 100)], &[("0.11", 100)]);
        passes(&with_estimate(agreed, 0.90), "divergence 0.15 not reached");
    }

    fn calibrated(world: &mut World, author: &str, map: Calibration) {
        let known = FittedCalibration {
            map,
            resolved: 84,
            gain: None,
        };
        world.calibrations.0.insert(author.to_owned(), known);
    }

    #[test]
    fn an_estimate_is_traded_by_its_authors_calibration() {
        // Slope 0.5: odds 9 become 3, so 0.90 becomes 0.75; bob has none.
        let halved = Calibration::Platt {
            slope: 0.5,
            intercept: 0.0,
        };
        let mut world = with_estimate(priced(), 0.90);
        calibrated(&mut world, "ann", halved.clone());
        let yes = signal(&world);
        close(yes.fair_price, 0.75);
        assert!(
            yes.reason
                .to_string()
                .ends_with("; ann 0.9000 → 0.7500 (platt, 84 resolved)"),
            "{}",
            yes.reason
        );
        // 0.84 has odds 5.25, whose root is 2.29: 0.696, which is under 0.50 + 0.2.
        let mut careful = with_estimate(priced(), 0.84);
        calibrated(&mut careful, "ann", halved.clone());
        let strict = AiAnalystParams {
            min_divergence: 0.2,
            ..AiAnalystParams::default()
        };
        let analysis = AiAnalyst::new(strict).unwrap().analyze(&careful.context());
        assert!(analysis.unwrap().intents.is_empty());
        // The same estimate of No: calibrated as stated, bought as No.
        let mut no = super::super::test_support::world(vec![priced().view()]);
        no.estimate("m", "m-no", "ann", 0.90, FRESH);
        calibrated(&mut no, "ann", halved);
        let no = signal(&no);
        assert_eq!(no.token_id, TokenId::new("m-no"));
        close(no.fair_price, 0.75);
        assert!(
            no.reason.to_string().contains("ann 0.9000 → 0.7500"),
            "{}",
            no.reason
        );
    }

    /// However wrong the market may have been in the past, agreeing with it states no edge.
    #[test]
    fn fault_22_a_calibration_makes_no_trade_of_agreement() {
        let mut world = with_estimate(priced(), 0.50);
        let steeper = Calibration::Isotonic {
            knots: vec![(0.1, 0.9), (0.9, 0.95)],
        };
        calibrated(&mut world, "ann", steeper);
        passes(&world, NOT_STATED);
    }

    #[test]
    fn divergence_is_measured_from_the_ask_and_not_from_the_mid() {
        // 0.15 above the mid of 0.49, yet only 0.14 above the ask.
        passes(
            &with_estimate(priced(), 0.64),
            "divergence 0.15 not reached",
        );
        assert_eq!(signal(&with_estimate(priced(), 0.65)).confidence, 0.5);
    }

    #[test]
    fn authors_are_averaged_in_log_odds() {
        // Odds 9 and 1: geometric mean 3, probability 0.75.
        let mut world = with_estimate(priced(), 0.90);
        world.estimate("m", "m-yes", "bob", 0.50, FRESH);
        close(signal(&world).fair_price, 0.75);
        // The same from the other side: 0.5 and 0.1 for Yes give 0.25.
        let mut world = with_estimate(priced(), 0.50);
        world.estimate("m", "m-no", "bob", 0.90, FRESH);
        close(signal(&world).fair_price, 0.75);
    }

    #[test]
    fn only_an_authors_newest_fresh_estimate_counts() {
        let mut world = with_estimate(priced(), 0.70);
        world.estimate("m", "m-yes", "ann", 0.20, (20, 60));
        world.estimate("m", "m-yes", "bob", 0.01, (61, 60));
        close(signal(&world).fair_price, 0.70);
    }

    #[test]
    fn certainty_is_cut_back() {
        close(signal(&with_estimate(priced(), 0.999_999)).fair_price, 0.99);
    }

    #[test]
    fn without_a_usable_estimate_nothing_is_done() {
        passes(&world(vec![priced().view()]), "no estimate");
        let mut expired = world(vec![priced().view()]);
        expired.estimate("m", "m-yes", "ann", 0.9, (60, 60));
        passes(&expired, "estimate expired");
        let mut future = world(vec![priced().view()]);
        future.estimate("m", "m-yes", "ann", 0.9, (-1, 60));
        passes(&future, "estimate unusable");
        for odd in [0.0, 1.0, -0.5, f64::NAN] {
            passes(&with_estimate(priced(), odd), "estimate unusable");
        }
        let mut foreign = world(vec![priced().view()]);
        foreign.estimate("m", "another-token", "ann", 0.9, FRESH);
        passes(&foreign, "estimate unusable");
    }

    #[test]
    fn what_cannot_be_bought_is_passed_over() {
        let estimated = |builder| with_estimate(builder, 0.9);
        passes(
            &estimated(priced().with(|market| market.status = MarketStatus::Closed)),
            cause::NOT_OPEN,
        );
        passes(&estimated(market("m")), cause::NO_BOOK);
        passes(
            &estimated(market("m").yes(&[("0.5", 9)], &[]).no(&[], &[])),
            cause::NOTHING_OFFERED,
        );
        passes(
            &estimated(market("m").yes(&[("0.51", 9)], &[("0.5", 9)])),
            cause::CROSSED,
        );
        // Yes cannot be had, and No is not worth its price.
        passes(
            &estimated(market("m").no(&[("0.4", 9)], &[("0.5", 9)])),
            "divergence 0.15 not reached",
        );
    }

    #[test]
    fn a_fee_that_eats_the_divergence_leaves_no_trade() {
        // Divergence 0.15; a rate of 0.6 at 0.5 costs 0.15.
        passes(&with_estimate(priced().fee("0.6"), 0.65), cause::NO_EDGE);
    }

    #[test]
    fn positions_are_not_added_to_without_end() {
        let mut held = with_estimate(priced(), 0.9);
        held.hold("m", "m-yes", 50, "25", NAME);
        passes(&held, cause::HELD);
        let mut opposite = with_estimate(priced(), 0.9);
        opposite.hold("m", "m-no", 10, "5", "signal_trader");
        passes(&opposite, cause::OPPOSITE_HELD);
    }
}
