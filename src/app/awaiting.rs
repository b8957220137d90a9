//! Which positions wait for their market's end, for readers between two ticks.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::{Position, TokenId};
use crate::trading::report::TickReport;

use super::App;

/// What the last tick of this process said of positions that wait, by token.
#[derive(Debug, Default)]
pub(super) struct Awaiting(Mutex<HashMap<TokenId, String>>);

impl Awaiting {
    fn lock(&self) -> MutexGuard<'_, HashMap<TokenId, String>> {
        // Replaced as a whole, so it stays usable after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what a tick said.
    pub(super) fn keep(&self, report: &TickReport) {
        let said = report.unsettled.iter();
        *self.lock() = said
            .map(|waits| (TokenId::new(&waits.token_id), waits.why.clone()))
            .collect();
    }
}

impl App {
    /// Why a position has not been paid though its market is over, closed or unknown; `None` while
    /// the market trades, as far as this process knows.
    #[must_use]
    pub fn awaiting(&self, position: &Position) -> Option<String> {
        if let Some(said) = self.awaiting.lock().get(&position.token_id) {
            return Some(said.clone());
        }
        let pending = self.source.pending(&position.market_id)?;
        Some(format!(
            "the market awaits its resolution; {} by {} at {}",
            pending.state, pending.evidence, pending.seen_at
        ))
    }
}
