//! Many signals, one decision per market: conflicts, agreement, confidence.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;

use crate::domain::{MarketId, Side, Signal, StrategyName, TokenId};

use super::config::AggregationConfig;

/// A signal with its row in the signal log and the rows of those that it speaks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// Row of this signal.
    pub id: u64,
    /// The signal; after aggregation its confidence is that of all for whom it speaks.
    pub signal: Signal,
    /// Rows of other strategies' signals for the same trade.
    pub supporters: Vec<u64>,
}

/// What goes on to sizing, and what does not, with the reason.
#[derive(Debug, Default, PartialEq)]
pub struct Aggregated {
    /// To be traded.
    pub kept: Vec<Logged>,
    /// Rows that are not.
    pub dropped: Vec<Dropped>,
}

/// A signal that is not traded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Row of the signal.
    pub id: u64,
    /// Cause in a few words that are the same for all signals dropped for it, for counting.
    pub cause: &'static str,
    /// The whole reason.
    pub reason: String,
}

/// What signals for the same trade have in common.
type Trade = (MarketId, TokenId, Side);

/// Resolves conflicts per market (buying No contradicts buying Yes; with
/// [`AggregationConfig::conflict_resolution`] nothing of such a market is traded), then groups signals
/// for the same trade, asks for enough strategies and enough confidence (blended or the highest).
#[must_use]
pub fn aggregate(
    signals: Vec<(u64, Signal)>,
    opposite: impl Fn(&MarketId, &TokenId) -> Option<TokenId>,
    config: &AggregationConfig,
) -> Aggregated {
    let mut out = Aggregated::default();
    // A view is a token that the signal wants to be worth more. Selling Yes is a view on No.
    let view_of = |signal: &Signal| match signal.side {
        Side::Buy => (signal.token_id.clone(), true),
        Side::Sell => match opposite(&signal.market_id, &signal.token_id) {
            Some(other) => (other, true),
            None => (signal.token_id.clone(), false),
        },
    };
    // By market: the first view, and whether there is another one.
    let mut views: HashMap<MarketId, ((TokenId, bool), bool), RandomState> = HashMap::default();
    for (_, signal) in &signals {
        let view = view_of(signal);
        match views.get_mut(&signal.market_id) {
            Some((first, disputed)) => *disputed |= view != *first,
            None => {
                views.insert(signal.market_id.clone(), (view, false));
            }
        }
    }
    let mut groups: Vec<Vec<(u64, Signal)>> = Vec::with_capacity(signals.len());
    let mut by_trade: HashMap<Trade, usize, RandomState> = HashMap::default();
    for (id, signal) in signals {
        let disputed = views
            .get(&signal.market_id)
            .is_some_and(|(_, disputed)| *disputed);
        if config.conflict_resolution && disputed {
            let reason = "conflict: strategies disagree about the direction of this market";
            out.dropped.push(Dropped {
                id,
                cause: "conflict",
                reason: reason.to_owned(),
            });
            continue;
        }
        let trade = (
            signal.market_id.clone(),
            signal.token_id.clone(),
            signal.side,
        );
        let place = *by_trade.entry(trade).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(members) => members.push((id, signal)),
            None => groups.push(vec![(id, signal)]),
        }
    }
    for members in groups {
        settle_group(members, config, &mut out);
    }
    out
}

/// True when a confidence suffices; one that is no number never does.
#[must_use]
pub fn is_enough(confidence: f64, config: &AggregationConfig) -> bool {
    confidence >= config.min_confidence
}

fn settle_group(members: Vec<(u64, Signal)>, config: &AggregationConfig, out: &mut Aggregated) {
    let names: BTreeSet<&StrategyName> = members.iter().map(|(_, s)| &s.strategy).collect();
    let agreeing = u32::try_from(names.len()).unwrap_or(u32::MAX);
    let strongest = members
        .iter()
        .enumerate()
        .max_by(|(i, (_, a)), (j, (_, b))| a.confidence.total_cmp(&b.confidence).then(j.cmp(i)))
        .map(|(index, _)| index);
    let confidence = if config.blend_confidence {
        members.iter().map(|(_, s)| s.confidence).sum::<f64>() / (members.len().max(1)) as f64
    } else {
        strongest
            .and_then(|index| members.get(index))
            .map_or(f64::NAN, |(_, signal)| signal.confidence)
    };
    let refusal = if agreeing < config.min_strategies {
        let reason = format!(
            "only {agreeing} of the {} strategies that aggregation.min_strategies asks for",
            config.min_strategies
        );
        Some(("too few strategies agree", reason))
    } else if !is_enough(confidence, config) {
        let reason = format!(
            "confidence {confidence:.4} is below aggregation.min_confidence {}",
            config.min_confidence
        );
        Some(("confidence too low", reason))
    } else {
        None
    };
    if let Some((cause, reason)) = refusal {
        let dropped = members.into_iter().map(|(id, _)| Dropped {
            id,
            cause,
            reason: reason.clone(),
        });
        out.dropped.extend(dropped);
        return;
    }
    let mut representative = None;
    let mut supporters = Vec::new();
    for (index, (id, signal)) in members.into_iter().enumerate() {
        if Some(index) == strongest {
            representative = Some((id, signal));
        } else {
            supporters.push(id);
        }
    }
    if let Some((id, mut signal)) = representative {
        signal.confidence = confidence;
        out.kept.push(Logged {
            id,
            signal,
            supporters,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::signal;
    use super::*;

    fn given(strategy: &str, outcome: &str, side: Side, confidence: f64) -> Signal {
        Signal {
            confidence,
            ..signal(strategy, outcome, side, "0.50", "10")
        }
    }

    fn opposite(_: &MarketId, token: &TokenId) -> Option<TokenId> {
        match token.as_str() {
            "m-yes" => Some("m-no".into()),
            "m-no" => Some("m-yes".into()),
            _ => None,
        }
    }

    fn dropped(result: &Aggregated) -> Vec<(u64, &'static str)> {
        result.dropped.iter().map(|d| (d.id, d.cause)).collect()
    }

    #[test]
    fn the_most_confident_speaks_for_all_with_the_mean_confidence_and_the_first_of_equals() {
        let signals = vec![
            (1, given("a", "Yes", Side::Buy, 0.6)),
            (2, given("b", "Yes", Side::Buy, 0.9)),
            (3, given("c", "Yes", Side::Buy, 0.9)),
        ];
        let result = aggregate(signals, opposite, &AggregationConfig::default());
        let [kept] = result.kept.as_slice() else {
            panic!("{result:?}");
        };
        assert_eq!((kept.id, kept.supporters.as_slice()), (2, &[1, 3][..]));
        // (0.6 + 0.9 + 0.9) / 3
        assert!((kept.signal.confidence - 0.8).abs() < 1e-12);
        assert!(result.dropped.is_empty());
    }

    #[test]
    fn without_blending_the_most_confident_decides_alone() {
        let signals = || {
            vec![
                (1, given("a", "Yes", Side::Buy, 0.3)),
                (2, given("b", "Yes", Side::Buy, 0.8)),
            ]
        };
        let config = |blend_confidence| AggregationConfig {
            min_confidence: 0.7,
            blend_confidence,
            ..AggregationConfig::default()
        };
        // (0.3 + 0.8) / 2 = 0.55
        let result = aggregate(signals(), opposite, &config(true));
        assert_eq!(
            dropped(&result),
            [(1, "confidence too low"), (2, "confidence too low")]
        );
        let result = aggregate(signals(), opposite, &config(false));
        assert_eq!((result.kept.len(), result.kept[0].id), (1, 2));
        assert!((result.kept[0].signal.confidence - 0.8).abs() < 1e-12);
        // No number at all is never enough.
        let nan = vec![(1, given("a", "Yes", Side::Buy, f64::NAN))];
        assert!(aggregate(nan, opposite, &config(false)).kept.is_empty());
    }

    #[test]
    fn without_conflict_resolution_both_sides_are_traded() {
        let signals = vec![
            (1, given("a", "Yes", Side::Buy, 0.9)),
            (2, given("b", "No", Side::Buy, 0.9)),
        ];
        let config = AggregationConfig {
            conflict_resolution: false,
            ..AggregationConfig::default()
        };
        let result = aggregate(signals, opposite, &config);
        let kept: Vec<u64> = result.kept.iter().map(|logged| logged.id).collect();
        assert_eq!(kept, [1, 2]);
    }

    #[test]
    fn a_market_in_which_anybody_disagrees_is_left_alone_and_others_are_not() {
        let elsewhere = Signal {
            market_id: "n".into(),
            token_id: "n-yes".into(),
            ..given("a", "Yes", Side::Buy, 0.9)
        };
        let signals = vec![
            (1, given("a", "Yes", Side::Buy, 0.9)),
            (2, given("b", "No", Side::Buy, 0.9)),
            (3, given("c", "Yes", Side::Buy, 0.9)),
            (4, elsewhere),
        ];
        let result = aggregate(signals, opposite, &AggregationConfig::default());
        assert_eq!(
            dropped(&result),
            [(1, "conflict"), (2, "conflict"), (3, "conflict")]
        );
        assert_eq!(result.kept.len(), 1);
        assert_eq!(result.kept[0].id, 4);
    }

    #[test]
    fn buying_and_selling_the_same_token_conflict_even_where_the_other_outcome_is_unknown() {
        let signals = vec![
            (1, given("a", "Yes", Side::Buy, 0.9)),
            (2, given("b", "Yes", Side::Sell, 0.9)),
        ];
        let result = aggregate(signals.clone(), opposite, &AggregationConfig::default());
        assert_eq!(dropped(&result).len(), 2);
        let result = aggregate(signals, |_, _| None, &AggregationConfig::default());
        assert_eq!(dropped(&result).len(), 2);
    }

    #[test]
    fn the_reason_names_the_number_and_the_key() {
        let config = AggregationConfig {
            min_confidence: 0.7,
            ..AggregationConfig::default()
        };
        let signals = vec![(1, given("a", "Yes", Side::Buy, 0.65))];
        let result = aggregate(signals.clone(), opposite, &config);
        assert_eq!(
            result.dropped[0].reason,
            "confidence 0.6500 is below aggregation.min_confidence 0.7"
        );
        let config = AggregationConfig {
            min_strategies: 2,
            ..AggregationConfig::default()
        };
        let result = aggregate(signals, opposite, &config);
        assert_eq!(
            result.dropped[0].reason,
            "only 1 of the 2 strategies that aggregation.min_strategies asks for"
        );
    }
}
