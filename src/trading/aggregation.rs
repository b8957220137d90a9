//! Many signals, one decision per market: conflicts, agreement, confidence.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{MarketId, Side, Signal, StrategyName, TokenId};

use super::config::AggregationConfig;

/// A signal with its row in the signal log and the rows of those that it speaks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// Row of this signal.
    pub id: u64,
    /// The signal; its confidence is the blended one after aggregation.
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

/// Resolves conflicts per market (buying No contradicts buying Yes), then groups signals for the
/// same trade, asks for enough strategies and enough blended confidence.
#[must_use]
pub fn aggregate(
    signals: Vec<(u64, Signal)>,
    opposite: impl Fn(&MarketId, &TokenId) -> Option<TokenId>,
    config: &AggregationConfig,
) -> Aggregated {
    let mut out = Aggregated::default();
    let mut views: BTreeMap<MarketId, BTreeSet<(TokenId, bool)>> = BTreeMap::new();
    // A view is a token that the signal wants to be worth more. Selling Yes is a view on No.
    let view_of = |signal: &Signal| match signal.side {
        Side::Buy => (signal.token_id.clone(), true),
        Side::Sell => match opposite(&signal.market_id, &signal.token_id) {
            Some(other) => (other, true),
            None => (signal.token_id.clone(), false),
        },
    };
    for (_, signal) in &signals {
        views
            .entry(signal.market_id.clone())
            .or_default()
            .insert(view_of(signal));
    }
    let mut groups: Vec<(Trade, Vec<(u64, Signal)>)> = Vec::new();
    for (id, signal) in signals {
        if views
            .get(&signal.market_id)
            .is_some_and(|wanted| wanted.len() > 1)
        {
            let reason = "conflict: strategies disagree about the direction of this market";
            out.dropped.push(Dropped {
                id,
                cause: "conflict",
                reason: reason.to_owned(),
            });
            continue;
        }
        let key = (
            signal.market_id.clone(),
            signal.token_id.clone(),
            signal.side,
        );
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push((id, signal)),
            None => groups.push((key, vec![(id, signal)])),
        }
    }
    for (_, members) in groups {
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
    let blended =
        members.iter().map(|(_, s)| s.confidence).sum::<f64>() / (members.len().max(1)) as f64;
    let refusal = if agreeing < config.min_strategies {
        let reason = format!(
            "only {agreeing} of the {} strategies that aggregation.min_strategies asks for",
            config.min_strategies
        );
        Some(("too few strategies agree", reason))
    } else if !is_enough(blended, config) {
        let reason = format!(
            "confidence {blended:.4} is below aggregation.min_confidence {}",
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
    let strongest = members
        .iter()
        .enumerate()
        .max_by(|(i, (_, a)), (j, (_, b))| a.confidence.total_cmp(&b.confidence).then(j.cmp(i)))
        .map(|(index, _)| index);
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
        signal.confidence = blended;
        out.kept.push(Logged {
            id,
            signal,
            supporters,
        });
    }
}
