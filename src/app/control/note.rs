//! What a process that does not own the ledger knows of the one that does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::protocol::OwnerState;
use crate::app::App;

/// How long what the owner said of itself is believed.
const FRESH: Duration = Duration::from_secs(1);

/// What was found at the last look.
#[derive(Debug, Clone)]
pub struct OwnerNote {
    /// What the owner said; `None` when nobody answered.
    pub state: Option<OwnerState>,
    /// When it was asked.
    asked: Instant,
}

impl App {
    /// Asks the owner how it stands, unless that was done a moment ago, and waits at most `limit`.
    /// Does nothing in the owner itself.
    pub async fn look_at_owner(&self, limit: Duration) {
        if self.desk.is_owner() {
            return;
        }
        let known = self.owner_note.load();
        if known
            .as_ref()
            .is_some_and(|note| note.asked.elapsed() < FRESH)
        {
            return;
        }
        let state = tokio::time::timeout(limit, self.ask_state()).await;
        let state = state.unwrap_or_default();
        self.owner_note.store(Some(Arc::new(OwnerNote {
            state,
            asked: Instant::now(),
        })));
    }

    /// Remarks and problems about the owner as it was last looked at; empty in the owner itself.
    #[must_use]
    pub fn owner_remarks(&self) -> (Vec<String>, Vec<String>) {
        let (mut notes, mut problems) = (Vec::new(), Vec::new());
        if self.desk.is_owner() {
            return (notes, problems);
        }
        let note = self.owner_note.load();
        let Some(note) = note.as_ref() else {
            notes.push("another process owns the ledger".to_owned());
            return (notes, problems);
        };
        let Some(state) = note.state.as_ref() else {
            // One that only ever reads needs no owner.
            if self.desk.may_own() {
                problems.push(
                    "the process that owned the ledger has gone, or does not answer on its control \
                     socket; the next call that changes something takes over if it has gone"
                        .to_owned(),
                );
            }
            return (notes, problems);
        };
        notes.push(format!(
            "process {} owns the ledger: what changes the account is handed to it, and its rules \
             hold",
            state.pid
        ));
        notes.extend(self.differences(state));
        if let Some(reason) = &state.halted {
            problems.push(format!(
                "trading is halted in the owner of the ledger (pid {}): {reason}",
                state.pid
            ));
        }
        (notes, problems)
    }

    /// In what the owner differs from this process, in words.
    fn differences(&self, state: &OwnerState) -> Vec<String> {
        let mut differences = Vec::new();
        let ours = self.source_label();
        if state.source != ours {
            differences.push(format!(
                "the owner (pid {}) works on another source than this process, and its own counts \
                 for orders: {} there, {ours} here",
                state.pid, state.source
            ));
        }
        if state.rules != self.config.rules_digest() {
            differences.push(format!(
                "the owner (pid {}) has another configuration than this process, and its own holds",
                state.pid
            ));
        }
        differences
    }

    /// Says in the log what differs between the owner and this process, once.
    pub async fn warn_of_other_owner(&self) {
        self.look_at_owner(Duration::from_secs(1)).await;
        let note = self.owner_note.load();
        let Some(state) = note.as_ref().and_then(|note| note.state.as_ref()) else {
            return;
        };
        for difference in self.differences(state) {
            tracing::warn!("{difference}");
        }
    }
}
