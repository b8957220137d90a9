//! When trading halts, and what lifts a halt.
//!
//! Loss and fall are judged on equity as the ledger states it. Where that is not complete (a position
//! has no mark and counts at cost, or nobody bids for it any more and it counts at its last mark) it
//! is rather too high than too low, so a halt that it calls for is due. The peak rises only on
//! complete equity.

use crate::domain::{HaltCause, Side, Usdc};

use super::super::config::RiskConfig;
use super::super::ledger::{Halt, Ledger};
use super::Refusal;
use super::limits::{Check, Figure};

/// The day's loss against its limit: reached at the limit itself.
pub(super) fn daily_loss(ledger: &Ledger, limits: &RiskConfig) -> Check {
    let loss = ledger.daily_loss();
    Check {
        limit: "max_daily_loss",
        value: Figure::Lost(loss.max(Usdc::ZERO)),
        allowed: Figure::Below(limits.max_daily_loss),
        passed: loss < limits.max_daily_loss,
    }
}

/// Equity against its peak: `equity ≤ peak × (1 − max_drawdown_pct)` breaks the limit. `None` when
/// there is no such limit, or no peak yet.
pub(super) fn drawdown(ledger: &Ledger, limits: &RiskConfig) -> Option<Check> {
    let share = limits.max_drawdown_pct;
    let peak = ledger.peak().filter(|peak| *peak > Usdc::ZERO)?;
    if share.micros() == 0 {
        return None;
    }
    let equity = ledger.equity().total;
    // In 1e-12 pUSD: no rounding.
    let floor = i128::from(peak.micros()) * i128::from(share.complement().micros());
    let passed = i128::from(equity.micros()) * 1_000_000 > floor;
    Some(Check {
        limit: "max_drawdown_pct",
        value: Figure::Fallen { equity, peak },
        allowed: Figure::FallBelow(share),
        passed,
    })
}

/// The halt that is due now and not in force yet, with its numbers. The kill switch stands above all,
/// a drawdown above a day's loss: midnight must not lift what a person has to.
#[must_use]
pub fn due(ledger: &Ledger, limits: &RiskConfig) -> Option<(HaltCause, String)> {
    let now = ledger.halt().map(|halt| halt.cause);
    if !matches!(now, None | Some(HaltCause::DailyLoss)) {
        return None;
    }
    if let Some(check) = drawdown(ledger, limits).filter(|check| !check.passed) {
        return Some((HaltCause::Drawdown, check.to_string()));
    }
    let check = daily_loss(ledger, limits);
    (now.is_none() && !check.passed).then(|| (HaltCause::DailyLoss, check.to_string()))
}

/// What lifts a halt of this kind, for people.
#[must_use]
pub fn how_to_lift(cause: HaltCause) -> &'static str {
    match cause {
        HaltCause::KillSwitch => "`polymarket-agent resume` lifts the halt.",
        HaltCause::DailyLoss => {
            "It ends by itself at midnight UTC; the operator sets risk.max_daily_loss in \
             config.yaml, and with a higher one `polymarket-agent resume` lifts it before."
        }
        HaltCause::Drawdown => {
            "`polymarket-agent resume` lifts the halt and counts the drawdown from the equity of \
             then; the operator sets risk.max_drawdown_pct in config.yaml."
        }
    }
}

/// The refusal of everything but sales that a halt stands for.
#[must_use]
pub fn refusal(halt: &Halt) -> Refusal {
    Refusal::new(
        "halted",
        format!(
            "trading is halted since {} by {} ({}): {}",
            halt.at,
            halt.by,
            halt.cause.as_str(),
            halt.reason
        ),
        format!(
            "Only cancels and sales that reduce a position pass. {}",
            how_to_lift(halt.cause)
        ),
    )
}

/// Errors: the [`refusal`] of a purchase while a halt is in force.
pub(super) fn pass(side: Side, ledger: &Ledger) -> Result<(), Refusal> {
    match (side, ledger.halt()) {
        (Side::Buy, Some(halt)) => Err(refusal(halt)),
        _ => Ok(()),
    }
}
