//! Progress of a call, passed on to the client that asked for it.

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::{Peer, RoleServer};
use tokio::sync::watch;

use crate::server::caller::Progress;

/// Sends the reports of one call under the client's token.
pub(super) struct Reporter<'a> {
    pub(super) reports: watch::Receiver<Option<Progress>>,
    pub(super) token: ProgressToken,
    pub(super) peer: &'a Peer<RoleServer>,
    /// Steps in the last report sent.
    pub(super) sent: Option<f64>,
}

impl Reporter<'_> {
    /// Drives `call` to its end and sends what it reports on the way. The latest report is sent
    /// also when it came just before the end.
    pub(super) async fn follow<T>(mut self, call: impl Future<Output = T>) -> T {
        tokio::pin!(call);
        let result = loop {
            tokio::select! {
                biased;
                result = &mut call => break result,
                Ok(()) = self.reports.changed() => self.send_latest().await,
            }
        };
        self.send_latest().await;
        result
    }

    async fn send_latest(&mut self) {
        let Some(report) = self.reports.borrow_and_update().clone() else {
            return;
        };
        if self.sent.is_some_and(|sent| sent >= report.done) {
            return;
        }
        self.sent = Some(report.done);
        let mut notice = ProgressNotificationParam::new(self.token.clone(), report.done);
        if let Some(total) = report.total {
            notice = notice.with_total(total);
        }
        if !report.message.is_empty() {
            notice = notice.with_message(report.message);
        }
        if let Err(error) = self.peer.notify_progress(notice).await {
            tracing::debug!(%error, "progress could not be sent");
        }
    }
}
