//! Withdrawing orders, and the kill switch.

use crate::trading::desk::{self, CancelScope, Input, Output, Rules};

use super::{App, AppError};

impl App {
    /// Withdraws orders that rest or are on their way; gives their numbers. Errors: a single order
    /// that is neither.
    pub async fn cancel_orders(
        &self,
        scope: CancelScope,
        by: String,
    ) -> Result<Vec<u64>, AppError> {
        let at = self.source.now().await?;
        self.withdrawn(Input::Cancel { scope, by, at }).await
    }

    /// Pulls the kill switch: nothing new is bought until somebody resumes, and all orders are
    /// withdrawn; gives their numbers. Errors: it was pulled before.
    pub async fn kill_switch(&self, by: String, reason: String) -> Result<Vec<u64>, AppError> {
        let at = self.source.now().await?;
        self.withdrawn(Input::Halt { by, reason, at }).await
    }

    async fn withdrawn(&self, input: Input) -> Result<Vec<u64>, AppError> {
        let config = self.trading.clone();
        let output = self
            .desk
            .commit(move |ledger| {
                let rules = Rules {
                    strategies: &[],
                    config: &config,
                };
                desk::step(ledger, &input, rules)
            })
            .await?;
        match output {
            Output::Cancelled(verdict) => Ok(verdict?),
            _ => Err(AppError::Other(
                "the desk answered something else".to_owned(),
            )),
        }
    }
}
