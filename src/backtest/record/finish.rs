//! The result that a replay ends in.

use crate::backtest::engine::{BacktestOptions, BacktestResult};
use crate::backtest::metrics::{Measured, Metrics};
use crate::backtest::report::{PositionRow, ReportInput};
use crate::domain::Usdc;
use crate::market_data::recorded::Dataset;
use crate::trading::ledger::Ledger;

use super::Record;

impl Record {
    pub(in crate::backtest) fn finish(
        mut self,
        dataset: Option<&Dataset>,
        ledger: &Ledger,
        options: &BacktestOptions<'_>,
        partial: bool,
    ) -> BacktestResult {
        self.note_blocks();
        let metrics = Metrics::of(&Measured {
            curve: &self.equity,
            trades: &self.measured,
            activity: Some(&self.activity),
            forecasts: &self.forecasts,
        });
        let period = self
            .equity
            .first()
            .zip(self.equity.last())
            .map(|(a, b)| (a.0, b.0));
        // The series ends where the run ends, and not where its last change was.
        if let Some((standing, (_, end))) = self.standing.zip(period)
            && self.exposure.last().is_some_and(|(at, _)| *at < end)
        {
            self.exposure.push((end, standing.invested));
        }
        let open_positions = self.open_positions(ledger);
        for forecast in &self.forecasts {
            let facts = self.facts.get(&forecast.token);
            self.tables.forecast(forecast, facts.map(AsRef::as_ref));
        }
        let mut notes = Vec::new();
        if partial {
            notes.push("The run was cancelled: this is what there was until then.".to_owned());
        }
        if let Some((dataset, (_, end))) = dataset.zip(period) {
            notes.extend(dataset.notes(end));
        }
        notes.extend(self.notes.into_iter().map(|(note, count)| {
            if count > 1 {
                format!("{note} ({count} times)")
            } else {
                note
            }
        }));
        let [by_strategy, by_category, by_market] = self.tables.rows();
        let report = ReportInput {
            title: options.title.clone(),
            data: String::new(),
            period,
            frames: self.frames,
            synthetic_spread: dataset.map(|dataset| dataset.options().default_spread),
            config: Vec::new(),
            metrics,
            equity: self.equity,
            trades: self.trades,
            strategies: self.strategies.into_values().collect(),
            settlements: self.settlements,
            open_positions,
            notes,
            skipped_rows: dataset
                .into_iter()
                .flat_map(|dataset| dataset.report().skips.iter())
                .map(|(cause, skipped)| (cause.to_owned(), skipped.count))
                .collect(),
            balance: self.balance,
            closed: self.closed,
            exposure: self.exposure,
            forecasts: self.forecasts,
            by_strategy,
            by_category,
            by_market,
            paths: self.paths,
            liquidity: self.liquidity,
            halts: self.halts.rows(),
            synthetic_fills: self.synthetic_fills,
            ..ReportInput::default()
        };
        BacktestResult {
            report,
            partial,
            cash: ledger.cash(),
            equity: ledger.equity().total,
        }
    }

    fn open_positions(&mut self, ledger: &Ledger) -> Vec<PositionRow> {
        let mut rows = Vec::with_capacity(ledger.positions().len());
        for position in ledger.positions().values() {
            let (market, outcome) = self.names(&position.token_id, &position.outcome);
            let holding = self.holdings.get(&position.token_id);
            let fees = holding.map_or(Usdc::ZERO, |holding| holding.fees);
            let value = position.value();
            let facts = self.facts.get(&position.token_id).cloned();
            let pnl = value
                .unwrap_or(position.cost)
                .minus(position.cost)
                .minus(fees);
            let entry = position.entry_strategy.as_str();
            self.tables.open(pnl, facts.as_deref(), entry);
            rows.push(PositionRow {
                market_id: position.market_id.to_string(),
                token_id: position.token_id.to_string(),
                market,
                outcome,
                strategy: entry.to_owned(),
                opened_at: position.opened_at,
                shares: position.shares,
                cost: position.cost,
                fees,
                value,
            });
        }
        rows
    }
}
