//! Estimates: stored when an agent gives them, scored when their market resolves.

use std::collections::BTreeMap;

use crate::domain::{Estimate, LedgerEvent, Resolution, Timestamp};

use super::super::estimates::score;
use super::super::ledger::{Ledger, Recorder};
use super::super::risk::Refusal;
use super::agent::Verdict;
use super::{DeskError, Step};

/// Most authors whose estimates of one market are kept.
const MAX_AUTHORS: usize = 20;
/// Most estimates of one market by one author until it ends: one an hour for three weeks.
const MAX_REVISIONS: usize = 500;
/// Most estimates that wait for their markets to end.
const MAX_PENDING: usize = 100_000;

/// Stores an estimate, in place of its author's earlier one for the market. Expired ones of the
/// market are no longer acted on by then; more than a few authors with fresh ones are refused. Every
/// one waits to be scored, those replaced or expired too, up to a bound.
pub fn store_estimate(ledger: &mut Ledger, estimate: Estimate, now: Timestamp) -> Verdict<()> {
    if let Some(refusal) = refuse(ledger, &estimate, now) {
        return Ok((Err(refusal), Vec::new()));
    }
    let mut recorder = Recorder::new(ledger, now);
    recorder.record(LedgerEvent::EstimateStored { estimate })?;
    Ok((Ok(()), recorder.into_events()))
}

fn refuse(ledger: &Ledger, estimate: &Estimate, now: Timestamp) -> Option<Refusal> {
    let probability = estimate.probability;
    if !(probability > 0.0 && probability < 1.0) {
        return Some(Refusal::new(
            "probability",
            format!("a probability of {probability} cannot be acted on or scored"),
            "A probability lies strictly between 0 and 1, e.g. 0.31.",
        ));
    }
    let others = ledger
        .estimates()
        .get(&estimate.market_id)
        .into_iter()
        .flatten()
        .filter(|known| known.author != estimate.author && known.is_fresh(now))
        .count();
    if others >= MAX_AUTHORS {
        return Some(Refusal::new(
            "too_many_estimates",
            format!(
                "{others} other authors have fresh estimates of this market, at most {MAX_AUTHORS}"
            ),
            "Use one author name for all your estimates: a new one replaces your earlier one.",
        ));
    }
    let pending = ledger.scoring().pending(&estimate.market_id);
    let own = pending
        .iter()
        .filter(|known| known.author == estimate.author)
        .count();
    if own >= MAX_REVISIONS {
        return Some(Refusal::new(
            "too_many_estimates",
            format!(
                "{own} estimates of this market by this author wait to be scored, at most {MAX_REVISIONS}"
            ),
            "Your last estimate stands. Estimate again only when something has changed, and let \
             estimates live longer (expires_in_hours).",
        ));
    }
    let all = ledger.scoring().pending_count();
    if all >= MAX_PENDING {
        return Some(Refusal::new(
            "too_many_estimates",
            format!("{all} estimates wait for their markets to end, at most {MAX_PENDING}"),
            "Wait until some of these markets have resolved.",
        ));
    }
    None
}

impl Step<'_> {
    /// Scores all estimates of a market that resolved, each once and by the payout of its own
    /// outcome. The market ended when the venue resolved it, or, where that moment is not told, now.
    pub(super) fn score_estimates(&mut self, resolution: &Resolution) -> Result<(), DeskError> {
        let market_id = &resolution.market_id;
        let pending = self.ledger().scoring().pending(market_id).to_vec();
        let now = self.recorder.at();
        let ended_at = resolution.resolved_at.map_or(now, |at| at.min(now));
        let mut unnamed = None;
        for (estimate, weight) in weighed(pending, ended_at) {
            let Some(payout) = resolution.payout_of(&estimate.token_id) else {
                unnamed = Some(estimate.token_id);
                continue;
            };
            self.recorder.record(LedgerEvent::EstimateScored {
                brier: score::brier(estimate.probability, payout),
                log_score: score::log_score(estimate.probability, payout),
                estimate,
                payout,
                weight,
                ended_at: Some(ended_at),
            })?;
        }
        if let Some(token) = unnamed {
            self.report.notes.push(format!(
                "market {market_id} resolved, but its resolution does not name token {token}; its \
                 estimates are not scored"
            ));
        }
        Ok(())
    }
}

/// Each estimate with its weight among its author's, in the order in which they were stored.
fn weighed(pending: Vec<Estimate>, ended_at: Timestamp) -> Vec<(Estimate, f64)> {
    let mut by_author: BTreeMap<&str, Vec<Timestamp>> = BTreeMap::new();
    for estimate in &pending {
        let given = by_author.entry(&estimate.author).or_default();
        given.push(estimate.created_at);
    }
    let mut weights: BTreeMap<String, std::vec::IntoIter<f64>> = by_author
        .into_iter()
        .map(|(author, given)| {
            let weights = score::weights(&given, ended_at);
            (author.to_owned(), weights.into_iter())
        })
        .collect();
    pending
        .into_iter()
        .map(|estimate| {
            let next = weights.get_mut(&estimate.author).and_then(Iterator::next);
            (estimate, next.unwrap_or(0.0))
        })
        .collect()
}
