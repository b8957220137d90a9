//! Orders on their way (`execution.latency_ms`): the wait for their arrival, and the books they meet.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Market, MarketId, Timestamp};
use crate::trading::desk::{Input, Output};
use crate::trading::report::{IN_FLIGHT, OrderReport, TickReport};

use super::{App, AppError};

impl App {
    /// Waits until everything on its way has arrived, gathers the books of then and lets it meet
    /// them. `None` when nothing was on its way, or when the source's time does not move by itself:
    /// then the next tick sees to it.
    pub(super) async fn arrive(&self) -> Result<Option<TickReport>, AppError> {
        let ledger = self.ledger()?;
        let latest = ledger
            .in_flight()
            .map(|(order, _)| order.arrives_at.unwrap_or_default())
            .max();
        let Some(latest) = latest.filter(|_| self.advance.is_none()) else {
            return Ok(None);
        };
        if !self.reached(latest).await? {
            return Ok(None);
        }
        let ids: BTreeSet<MarketId> = ledger
            .in_flight()
            .map(|(order, _)| order.market_id.clone())
            .collect();
        let ids: Vec<MarketId> = ids.into_iter().collect();
        let known = self.source.markets(&ids).await?;
        let terms = known
            .values()
            .map(|market| self.source.current_terms(market));
        let mut markets: Vec<Arc<Market>> = futures::future::try_join_all(terms).await?;
        markets.sort_by(|a, b| a.id.cmp(&b.id));
        let gathered = self.gather_markets(markets).await?;
        if gathered.snapshot.at < latest {
            return Ok(None);
        }
        let committed = self.desk.commit(Input::Arrive(gathered.snapshot)).await?;
        let Output::Ticked(report) = committed.output else {
            return Err(AppError::unexpected_output());
        };
        let mut report = *report;
        report.notes.splice(0..0, gathered.notes);
        self.keep_questions(&report.orders).await;
        for order in &report.orders {
            self.alert(order).await;
        }
        Ok(Some(report))
    }

    /// Waits for a moment of the source's clock, at most as long as it is away by the wall clock's
    /// pace: simulated time may run faster. False when it has not come by then.
    async fn reached(&self, moment: Timestamp) -> Result<bool, AppError> {
        let left = moment.since(self.source.now().await?);
        if left <= 0 {
            return Ok(true);
        }
        let most = i64::from(self.trading.execution.latency_ms);
        let wait = u64::try_from(left.min(most)).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        Ok(self.source.now().await? >= moment)
    }

    /// What became of an order that was sent: its arrival, if that is seen; else as it was sent.
    /// It stays placed whatever goes wrong here.
    pub(super) async fn arrived(&self, sent: OrderReport) -> OrderReport {
        if sent.status != IN_FLIGHT {
            return sent;
        }
        match self.arrive().await {
            Ok(Some(report)) => report
                .orders
                .into_iter()
                .rfind(|order| order.order_id == sent.order_id)
                .unwrap_or(sent),
            Ok(None) => sent,
            Err(error) => OrderReport {
                reason: format!("sent; its arrival could not be seen yet: {error}"),
                ..sent
            },
        }
    }

    /// The same for what a tick sent: its report goes on with what arrived.
    pub(super) async fn arrived_in(&self, report: &mut TickReport) {
        if !report.orders.iter().any(|order| order.status == IN_FLIGHT) {
            return;
        }
        match self.arrive().await {
            Ok(Some(arrived)) => {
                let fills: usize = arrived.orders.iter().map(|order| order.fills.len()).sum();
                report.fills = report
                    .fills
                    .saturating_add(u32::try_from(fills).unwrap_or(u32::MAX));
                report
                    .orders
                    .retain(|sent| arrived.orders.iter().all(|o| o.order_id != sent.order_id));
                report.orders.extend(arrived.orders);
                report.baskets.extend(arrived.baskets);
                report.triggered.extend(arrived.triggered);
                report.notes.extend(arrived.notes);
            }
            Ok(None) => {}
            Err(error) => report.notes.push(format!(
                "orders are on their way; their arrival could not be seen yet: {error}"
            )),
        }
    }
}
