//! Orders on their way (`execution.latency_ms`): the wait for their arrival, and the books they meet.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Fill, Market, MarketId, Shares, Timestamp};
use crate::store::OrderQuery;
use crate::trading::desk::{Input, Output};
use crate::trading::report::{FillReport, IN_FLIGHT, OrderReport, TickReport};

use super::{App, AppError};

impl App {
    /// Waits until `due`, gathers the books of then and lets everything meet them whose moment has
    /// come. `None` when nothing is due any more, or when the source's time does not move by itself:
    /// then the next tick sees to it.
    pub(super) async fn arrive(&self, due: Timestamp) -> Result<Option<TickReport>, AppError> {
        if self.advance.is_some() || !self.reached(due).await? {
            return Ok(None);
        }
        let ids: BTreeSet<MarketId> = self
            .ledger()?
            .in_flight()
            .filter(|(order, _)| order.arrives_at.is_none_or(|moment| moment <= due))
            .map(|(order, _)| order.market_id.clone())
            .collect();
        if ids.is_empty() {
            return Ok(None);
        }
        let ids: Vec<MarketId> = ids.into_iter().collect();
        let known = self.source.markets(&ids).await?;
        let terms = known
            .values()
            .map(|market| self.source.current_terms(market));
        let mut markets: Vec<Arc<Market>> = futures::future::try_join_all(terms).await?;
        markets.sort_by(|a, b| a.id.cmp(&b.id));
        let gathered = self.gather_markets(markets).await?;
        if gathered.snapshot.at < due {
            return Ok(None);
        }
        let snapshot = self.with_held_books(gathered.snapshot)?;
        let committed = self.desk.commit(Input::Arrive(snapshot)).await?;
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

    /// The moment at which the last of these orders arrives that are on their way.
    fn last_arrival(&self, orders: &[u64]) -> Result<Option<Timestamp>, AppError> {
        let ledger = self.ledger()?;
        let ours = ledger
            .in_flight()
            .filter(|(order, _)| orders.contains(&order.id));
        Ok(ours.filter_map(|(order, _)| order.arrives_at).max())
    }

    /// What became of an order that was sent: its arrival, if that is seen; else where the account
    /// says that it stands. It stays placed whatever goes wrong here.
    pub(super) async fn arrived(&self, sent: OrderReport) -> OrderReport {
        if sent.status != IN_FLIGHT {
            return sent;
        }
        let mut report = TickReport {
            orders: vec![sent.clone()],
            ..TickReport::default()
        };
        self.arrived_in(&mut report).await;
        let mut found = report
            .orders
            .into_iter()
            .rfind(|order| order.order_id == sent.order_id)
            .unwrap_or(sent);
        if found.status == IN_FLIGHT && !report.notes.is_empty() {
            found.reason = format!("sent; {}", report.notes.join("; "));
        }
        found
    }

    /// The same for what a tick sent: its report goes on with what arrived.
    pub(super) async fn arrived_in(&self, report: &mut TickReport) {
        let sent: Vec<u64> = report
            .orders
            .iter()
            .filter(|order| order.status == IN_FLIGHT)
            .map(|order| order.order_id)
            .collect();
        if sent.is_empty() {
            return;
        }
        let arrived = match self.last_arrival(&sent) {
            Ok(Some(due)) => self.arrive(due).await,
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        match arrived {
            Ok(Some(arrived)) => {
                report
                    .orders
                    .retain(|sent| arrived.orders.iter().all(|o| o.order_id != sent.order_id));
                report.orders.extend(arrived.orders);
                report.baskets.extend(arrived.baskets);
                report.triggered.extend(arrived.triggered);
                report.exits.extend(arrived.exits);
                report.notes.extend(arrived.notes);
            }
            Ok(None) => {}
            Err(error) => report
                .notes
                .push(format!("its arrival could not be seen yet: {error}")),
        }
        // Another call's step may have met them, or somebody cancelled them meanwhile.
        for order in &mut report.orders {
            if order.status == IN_FLIGHT
                && let Err(error) = self.bring_up_to_date(order)
            {
                report.notes.push(format!(
                    "order {}: where it stands could not be read: {error}",
                    order.order_id
                ));
            }
        }
        let fills: usize = report.orders.iter().map(|order| order.fills.len()).sum();
        report.fills = u32::try_from(fills).unwrap_or(u32::MAX);
    }

    /// Makes the report of an order that was on its way say where it stands now.
    fn bring_up_to_date(&self, report: &mut OrderReport) -> Result<(), AppError> {
        let ledger = self.ledger()?;
        let id = report.order_id;
        if ledger.in_flight().any(|(order, _)| order.id == id) {
            return Ok(());
        }
        let query = OrderQuery {
            limit: 1,
            id: i64::try_from(id).ok(),
            ..OrderQuery::default()
        };
        let Some(row) = self.desk.store().orders(&query)?.pop() else {
            return Ok(());
        };
        report.status.clone_from(&row.status);
        if let Some(why) = row.close_reason {
            report.reason = why;
        }
        report.filled_shares = row.filled.to_f64();
        report.notional = row.notional.to_f64();
        report.fee = row.fees.to_f64();
        report.average_price = row.avg_price;
        if let Some(resting) = ledger.resting().get(&id) {
            report.resting_shares = resting.remaining.to_f64();
            report.queue_ahead = Some(resting.queue_ahead.to_f64());
        }
        // Level by level as far as the newest trades still hold them all.
        let mut fills: Vec<&Fill> = ledger
            .recent_trades()
            .map(|trade| &trade.fill)
            .filter(|fill| fill.order_id == id)
            .collect();
        fills.reverse();
        let known = fills
            .iter()
            .fold(Shares::ZERO, |sum, fill| sum.plus(fill.shares));
        if known == row.filled {
            report.fills = fills.into_iter().map(FillReport::of).collect();
        }
        Ok(())
    }
}
