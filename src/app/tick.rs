//! A tick: gather ▸ decide ▸ act, then alerts. And the analysis without the trading.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::{MarketId, Price, Side, StrategyName, Usdc};
use crate::telemetry::alerts::Alert;
use crate::trading::config::{Mode, TradingConfig};
use crate::trading::desk::{self, Input, Output};
use crate::trading::report::{OrderReport, TickReport, TickTiming};

use super::desk::Committed;
use super::{App, AppError, SignalCache};

/// In ms, to the microsecond.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl App {
    /// One tick. Two at once wait for each other. Errors: the source or the database failed; the
    /// ledger is as it was.
    pub async fn tick(&self) -> Result<TickReport, AppError> {
        let _turn = self.ticking.lock().await;
        // The commit would refuse too, but only after all the fetching.
        self.desk.own().await?;
        let began = Instant::now();
        let gathered = self.gather().await?;
        let gathering = began.elapsed();
        let at = gathered.snapshot.at;
        let committing = Instant::now();
        let Committed { output, deciding } =
            self.desk.commit(Input::Tick(gathered.snapshot)).await?;
        let Output::Ticked(mut report) = output else {
            return Err(AppError::unexpected_output());
        };
        let timing = TickTiming {
            gather_ms: millis(gathering),
            decide_ms: millis(deciding),
            act_ms: millis(committing.elapsed().saturating_sub(deciding)),
        };
        report.timing = Some(timing);
        report.notes.splice(0..0, gathered.notes);
        self.awaiting.keep(&report);
        let signals = report
            .signal_log
            .iter()
            .map(|(_, signal)| signal.clone())
            .collect();
        self.signals.store(Some(Arc::new(SignalCache {
            signals,
            at,
            made: Instant::now(),
        })));
        self.keep_questions(&report.orders).await;
        for order in &report.orders {
            self.alert(order).await;
        }
        self.arrived_in(&mut report).await;
        tracing::info!(
            tick = report.tick,
            markets = report.markets,
            signals = report.signals,
            fills = report.fills,
            equity = report.equity,
            gather_ms = timing.gather_ms,
            decide_ms = timing.decide_ms,
            act_ms = timing.act_ms,
            "tick"
        );
        if let Some(advance) = &self.advance {
            advance().await;
        }
        Ok(*report)
    }

    /// What the strategies would want now. Trades nothing, logs nothing.
    pub async fn refresh_signals(&self) -> Result<Arc<SignalCache>, AppError> {
        let gathered = self.gather().await?;
        let mut draft = (*self.ledger()?).clone();
        let config = TradingConfig {
            mode: Mode::Monitor,
            ..self.trading.clone()
        };
        let (report, _) = desk::tick(
            &mut draft,
            &gathered.snapshot,
            self.strategies.as_slice(),
            &config,
        )?;
        let signals = report
            .signal_log
            .into_iter()
            .map(|(_, signal)| signal)
            .collect();
        let cache = Arc::new(SignalCache {
            signals,
            at: gathered.snapshot.at,
            made: Instant::now(),
        });
        self.signals.store(Some(cache.clone()));
        Ok(cache)
    }

    /// Tells the console and the webhooks about an execution. Never waits for a webhook.
    pub(super) async fn alert(&self, order: &OrderReport) {
        let Some(price) = order
            .average_price
            .and_then(|p| Price::from_f64_rounded(p).ok())
        else {
            return;
        };
        let side = if order.side == Side::Buy.as_str() {
            Side::Buy
        } else {
            Side::Sell
        };
        let alert = Alert::new(
            StrategyName::new(&order.strategy),
            side,
            Usdc::from_f64_rounded(order.notional).unwrap_or_default(),
            MarketId::new(&order.market_id),
            price,
            &order.outcome,
            &order.question,
        );
        self.alerts.send(&alert).await;
    }

    /// Waits until alerts have been delivered or have failed, at most so long: before a process
    /// ends.
    pub async fn flush_alerts(&self, limit: Duration) {
        self.alerts.flush(limit).await;
    }
}
