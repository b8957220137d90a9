//! Commands of a person or an agent that are no orders: cancel, halt, resume, new rules.

use std::collections::BTreeMap;

use crate::domain::{ConfigChange, HaltCause, LedgerEvent, OrderOutcome, StampedEvent, Timestamp};

use super::super::config::RiskConfig;
use super::super::ledger::{Ledger, LedgerError, Recorder};
use super::super::risk::{Refusal, halts};
use super::DeskError;
use super::agent::Verdict;
use super::input::CancelScope;
use super::signals;

/// Withdraws orders that rest or are on their way; gives their numbers. Refused when a single order
/// is neither.
pub(super) fn cancel(
    ledger: &mut Ledger,
    scope: &CancelScope,
    by: &str,
    now: Timestamp,
) -> Verdict<Vec<u64>> {
    let ids: Vec<u64> = ledger
        .open_orders()
        .filter(|(order, _)| match scope {
            CancelScope::Order(wanted) => order.id == *wanted,
            CancelScope::Client(wanted) => {
                order.client_order_id.as_deref() == Some(wanted.as_str())
            }
            CancelScope::Market(market) => order.market_id == *market,
            CancelScope::All => true,
        })
        .map(|(order, _)| order.id)
        .collect();
    let ids = with_whole_baskets(ledger, ids);
    let one = match scope {
        CancelScope::Order(id) => Some(format!("order {id}")),
        CancelScope::Client(id) => Some(format!("order with client_order_id {id}")),
        CancelScope::Market(_) | CancelScope::All => None,
    };
    if let Some(order) = one.filter(|_| ids.is_empty()) {
        let refusal = Refusal::new(
            "not_resting",
            format!("no {order} rests: it was filled, cancelled, expired or never placed"),
            "get_orders shows orders with their status.",
        );
        return Ok((Err(refusal), Vec::new()));
    }
    let mut recorder = Recorder::new(ledger, now);
    withdraw(&mut recorder, &ids, &format!("cancelled by {by}"))?;
    Ok((Ok(ids), recorder.into_events()))
}

/// Why an order on its way is closed that nobody was there to deliver.
const NOT_DELIVERED: &str = "not delivered: the server was away";

/// The owner of the ledger is back at `now`: orders that were to arrive while nobody was there did
/// not. Whether they would have filled cannot be told any more, and a market that has moved since is
/// not what they were decided on.
pub(super) fn returned(
    ledger: &mut Ledger,
    now: Timestamp,
) -> Result<Vec<StampedEvent>, DeskError> {
    let due: Vec<u64> = ledger
        .in_flight()
        .filter(|(order, _)| order.arrives_at.is_none_or(|moment| moment <= now))
        .map(|(order, _)| order.id)
        .collect();
    let due = with_whole_baskets(ledger, due);
    let mut recorder = Recorder::new(ledger, now);
    withdraw(&mut recorder, &due, NOT_DELIVERED)?;
    Ok(recorder.into_events())
}

/// Pulls the kill switch; gives the numbers of the resting orders that were withdrawn. A halt of
/// another kind becomes one that only a person lifts. Refused when it was pulled before.
pub(super) fn halt(
    ledger: &mut Ledger,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Verdict<Vec<u64>> {
    if let Some(halt) = ledger.halt().filter(|h| h.cause == HaltCause::KillSwitch) {
        return Ok((Err(halts::refusal(halt)), Vec::new()));
    }
    let ids: Vec<u64> = ledger.open_orders().map(|(order, _)| order.id).collect();
    let mut recorder = Recorder::new(ledger, now);
    recorder.record(LedgerEvent::Halted {
        cause: HaltCause::KillSwitch,
        by: by.to_owned(),
        reason: reason.to_owned(),
    })?;
    withdraw(&mut recorder, &ids, "trading was halted")?;
    Ok((Ok(ids), recorder.into_events()))
}

/// Lifts a halt. After a drawdown the peak is set to the equity of now, or the next tick would halt
/// again. Refused when nothing is halted, and while the day's loss is still what its limit forbids:
/// the next look at it would halt again.
pub(super) fn resume(
    ledger: &mut Ledger,
    by: &str,
    reason: &str,
    limits: &RiskConfig,
    now: Timestamp,
) -> Verdict<()> {
    let Some(halt) = ledger.halt() else {
        let refusal = Refusal::new(
            "not_halted",
            "trading is not halted",
            "health_check says what else may be wrong.",
        );
        return Ok((Err(refusal), Vec::new()));
    };
    let cause = halt.cause;
    let same_day = ledger.current_day().is_none_or(|day| day >= now.day());
    if cause == HaltCause::DailyLoss && same_day && ledger.daily_loss() >= limits.max_daily_loss {
        let still = halts::refusal(halt);
        return Ok((Err(still), Vec::new()));
    }
    let mut recorder = Recorder::new(ledger, now);
    recorder.record(LedgerEvent::Resumed {
        by: by.to_owned(),
        reason: reason.to_owned(),
    })?;
    if cause == HaltCause::Drawdown {
        let equity = recorder.ledger().equity().total;
        recorder.record(LedgerEvent::PeakRaised { equity })?;
    }
    Ok((Ok(()), recorder.into_events()))
}

/// Records the settings, if they differ from those recorded last, with the keys that changed.
pub(super) fn configure(
    ledger: &mut Ledger,
    settings: &str,
    now: Timestamp,
) -> Result<Vec<StampedEvent>, DeskError> {
    if ledger.settings() == Some(settings) {
        return Ok(Vec::new());
    }
    let changes = ledger
        .settings()
        .map(|before| changes_between(before, settings))
        .unwrap_or_default();
    let mut recorder = Recorder::new(ledger, now);
    recorder.record(LedgerEvent::ConfigChanged {
        settings: settings.to_owned(),
        changes,
    })?;
    Ok(recorder.into_events())
}

/// Legs of a basket that are on their way are withdrawn together: one alone would be a bet.
pub(super) fn with_whole_baskets(ledger: &Ledger, ids: Vec<u64>) -> Vec<u64> {
    let baskets: Vec<u64> = ledger
        .in_flight()
        .filter(|(order, _)| ids.contains(&order.id))
        .filter_map(|(order, _)| order.basket)
        .collect();
    ledger
        .open_orders()
        .filter(|(order, _)| {
            ids.contains(&order.id) || order.basket.is_some_and(|b| baskets.contains(&b))
        })
        .map(|(order, _)| order.id)
        .collect()
}

/// Closes orders that rest or are on their way as cancelled, and rejects signals that only they could
/// have executed. Errors: as [`Recorder::record`].
pub(super) fn withdraw(
    recorder: &mut Recorder<'_>,
    ids: &[u64],
    reason: &str,
) -> Result<(), LedgerError> {
    for id in ids {
        let Some((order, unfilled)) = recorder.ledger().open_order(*id) else {
            continue;
        };
        let order = order.clone();
        recorder.record(LedgerEvent::OrderClosed {
            order_id: *id,
            outcome: OrderOutcome::Cancelled,
            unfilled,
            reason: reason.to_owned(),
        })?;
        signals::reject_open(recorder, &order, reason)?;
    }
    Ok(())
}

/// Every leaf that is not the same in both, by its dotted path.
fn changes_between(before: &str, after: &str) -> Vec<ConfigChange> {
    let leaves = |text: &str| {
        let mut out = BTreeMap::new();
        if let Ok(value) = serde_json::from_str(text) {
            collect("", &value, &mut out);
        }
        out
    };
    let (old, new) = (leaves(before), leaves(after));
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| ConfigChange {
            key: key.clone(),
            old: old.get(key).cloned(),
            new: new.get(key).cloned(),
        })
        .collect()
}

fn collect(path: &str, value: &serde_json::Value, out: &mut BTreeMap<String, String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, field) in fields {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                collect(&path, field, out);
            }
        }
        leaf => {
            out.insert(path.to_owned(), leaf.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_name_the_leaves_that_differ() {
        let before = r#"{"risk":{"max_daily_loss":50,"gone":1},"mode":"paper"}"#;
        let after = r#"{"risk":{"max_daily_loss":20,"new":[1,2]},"mode":"paper"}"#;
        let found: Vec<(String, Option<String>, Option<String>)> = changes_between(before, after)
            .into_iter()
            .map(|change| (change.key, change.old, change.new))
            .collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            found,
            [
                ("risk.gone".to_owned(), some("1"), None),
                ("risk.max_daily_loss".to_owned(), some("50"), some("20")),
                ("risk.new".to_owned(), None, some("[1,2]")),
            ]
        );
    }
}
