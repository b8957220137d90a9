//! `demo`: a simulated exchange, an agent's ticks against it on paper over plain HTTP, a summary.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use crate::app::config::Config;
use crate::app::{Access, App, OpenOptions, Source};
use crate::domain::{Estimate, TokenId};
use crate::sandbox::{PlantedKind, Sandbox, SandboxConfig};
use crate::strategy::StrategiesConfig;
use crate::trading::report::{OrderReport, StrategyReport, TickReport};

use super::source::{client_of, start_sandbox, stepping};
use super::tick::{fills_of, short};
use super::{Common, Failure, output, start_logging};

/// Simulated time between two ticks, seconds.
const STEP_SECONDS: u64 = 15 * 60;
/// Orders that the text summary shows in full.
const ORDERS_SHOWN: usize = 12;
/// How long the demo's estimates are acted on, hours.
const ESTIMATE_HOURS: i64 = 72;

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Seed of the simulated exchange: the same seed gives the same demo.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Ticks, 15 simulated minutes apart.
    #[arg(long, default_value_t = 48)]
    ticks: u64,
    /// Markets of the simulated exchange.
    #[arg(long, default_value_t = 60)]
    markets: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Summary {
    simulated: bool,
    warning: &'static str,
    seed: u64,
    ticks: u64,
    seconds: f64,
    markets: u32,
    signals: u64,
    signals_by_strategy: BTreeMap<String, u64>,
    orders: u64,
    fills: u64,
    fees: f64,
    cash: f64,
    equity: f64,
    realized_pnl: f64,
    settlements: u64,
    conditional_triggers: u64,
    equity_curve: Vec<f64>,
    strategies: Vec<StrategyReport>,
    executed_orders: Vec<OrderReport>,
    positions: Vec<PositionLine>,
    planted: Vec<String>,
    ledger: String,
}

#[derive(Debug, Serialize)]
struct PositionLine {
    market_id: String,
    question: Option<String>,
    outcome: String,
    shares: f64,
    avg_price: Option<f64>,
    current_price: Option<f64>,
    pnl: Option<f64>,
}

const WARNING: &str = "Simulated exchange with planted, labelled mispricings, so that every strategy \
                       has something to do: profit here proves nothing.";

/// Runs the demo on a fresh account.
pub async fn demo(common: &Common, args: DemoArgs) -> Result<(), Failure> {
    let started = Instant::now();
    let config = demo_config();
    start_logging(&config, "error")?;
    let db = fresh_db(common, args.seed)?;
    let sandbox = start_sandbox(SandboxConfig {
        seed: args.seed,
        markets: args.markets,
        inefficiencies: true,
        ..SandboxConfig::default()
    })
    .await?;
    output::error(&format!(
        "Simulated exchange on {} (seed {}, {} markets), account in {}",
        sandbox.base_url(),
        args.seed,
        args.markets,
        db.display()
    ));
    let data = Arc::new(client_of(&sandbox, &config.venue)?);
    let source = Source {
        data: data.clone(),
        advance: Some(stepping(&sandbox, STEP_SECONDS)),
    };
    let app = App::open(OpenOptions {
        config,
        source,
        db,
        access: Access::Own,
    })
    .await?;
    store_planted_estimates(&app, &sandbox).await?;
    let mut totals = Totals::default();
    for number in 1..=args.ticks {
        let report = app.tick().await?;
        totals.add(&report);
        if number.is_multiple_of((args.ticks / 12).max(1)) || number == args.ticks {
            output::error(&format!(
                "tick {number}/{}: {} markets, {} signals, {} fills so far, equity {}",
                args.ticks,
                report.markets,
                totals.signals,
                totals.fills,
                output::money(report.equity)
            ));
        }
    }
    let summary = totals.finish(&app, &sandbox, &args, started.elapsed().as_secs_f64())?;
    if args.json {
        output::json(&summary)
    } else {
        output::line(&text_of(&summary))
    }
}

/// All four strategies on, exits attached: the demo shows everything at once.
fn demo_config() -> Config {
    let mut strategies = StrategiesConfig::all_on();
    if let Some(params) = &mut strategies.arbitrageur {
        // The sandbox's events are complete by construction.
        params.trust_event_sets = true;
    }
    let mut config = Config {
        strategies,
        ..Config::default()
    };
    config.conditional_orders.enabled = true;
    config.scheduler.jobs.clear();
    config
}

/// A database that does not exist yet: the demo never touches an account that somebody has.
fn fresh_db(common: &Common, seed: u64) -> Result<PathBuf, Failure> {
    if let Some(name) = &common.account {
        return Err(Failure::new(
            format!("the demo has an account of its own and leaves account {name} alone"),
            "Leave --account out; --db chooses where the demo writes.",
        ));
    }
    if let Some(path) = &common.db {
        if path.exists() {
            return Err(Failure::new(
                format!(
                    "{} exists; the demo only writes to a new database",
                    path.display()
                ),
                "Name another --db, or leave it out.",
            ));
        }
        return Ok(path.clone());
    }
    let dir = std::env::temp_dir().join("polymarket-agent-demo");
    std::fs::create_dir_all(&dir)?;
    let name = format!("demo-seed{seed}-{}.db", std::process::id());
    let path = dir.join(name);
    if path.exists() {
        return Err(Failure::new(
            format!("{} exists", path.display()),
            "Name a --db.",
        ));
    }
    Ok(path)
}

/// What an agent would leave through analyze_market, stored beforehand and labelled as planted.
async fn store_planted_estimates(app: &App, sandbox: &Sandbox) -> Result<(), Failure> {
    let now = app
        .source()
        .now()
        .await
        .map_err(crate::app::AppError::from)?;
    for planted in sandbox.planted() {
        let (PlantedKind::Estimate, Some(probability)) = (planted.kind, planted.probability) else {
            continue;
        };
        let (Some(market_id), Some(token)) =
            (planted.market_ids.first(), planted.token_ids.first())
        else {
            continue;
        };
        let market = app.market(market_id).await?;
        let token_id = TokenId::new(token);
        let outcome = market
            .outcome_of(&token_id)
            .map(|(_, o)| o.name.clone())
            .unwrap_or_default();
        app.store_estimate(Estimate {
            market_id: market.id.clone(),
            token_id,
            outcome,
            probability: probability.clamp(0.01, 0.99),
            confidence: None,
            author: "demo (planted)".to_owned(),
            rationale: "the sandbox's own latent probability, planted for the demo".to_owned(),
            ask_then: None,
            bid_then: None,
            created_at: now,
            expires_at: now.plus_millis(ESTIMATE_HOURS * 3_600_000),
        })
        .await?;
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Totals {
    markets: u32,
    signals: u64,
    orders: u64,
    fills: u64,
    settlements: u64,
    triggers: u64,
    curve: Vec<f64>,
    strategies: BTreeMap<String, StrategyReport>,
    executed: Vec<OrderReport>,
}

impl Totals {
    fn add(&mut self, report: &TickReport) {
        self.markets = self.markets.max(report.markets);
        self.signals += u64::from(report.signals);
        self.orders += report.orders.len() as u64;
        self.fills += u64::from(report.fills);
        self.settlements += report.settlements.len() as u64;
        self.triggers += report.triggered.len() as u64;
        self.curve.push(report.equity);
        self.executed.extend(
            report
                .orders
                .iter()
                .filter(|o| !o.fills.is_empty())
                .cloned(),
        );
        for strategy in &report.strategies {
            let sum = self
                .strategies
                .entry(strategy.strategy.clone())
                .or_default();
            sum.strategy.clone_from(&strategy.strategy);
            sum.looked_at += strategy.looked_at;
            sum.signals += strategy.signals;
            for (cause, count) in &strategy.passed_over {
                *sum.passed_over.entry(cause.clone()).or_default() += count;
            }
            for (cause, count) in &strategy.not_traded {
                *sum.not_traded.entry(cause.clone()).or_default() += count;
            }
            if strategy.error.is_some() {
                sum.error.clone_from(&strategy.error);
            }
        }
    }

    fn finish(
        self,
        app: &App,
        sandbox: &Sandbox,
        args: &DemoArgs,
        seconds: f64,
    ) -> Result<Summary, Failure> {
        let ledger = app.ledger()?;
        let positions = ledger
            .positions()
            .values()
            .map(|position| PositionLine {
                market_id: position.market_id.to_string(),
                question: app.question_of(&position.market_id),
                outcome: position.outcome.to_string(),
                shares: position.shares.to_f64(),
                avg_price: position.average_price(),
                current_price: position.mark.map(|mark| mark.price.to_f64()),
                pnl: position
                    .value()
                    .map(|value| value.minus(position.cost).to_f64()),
            })
            .collect();
        Ok(Summary {
            simulated: true,
            warning: WARNING,
            seed: args.seed,
            ticks: args.ticks,
            seconds,
            markets: self.markets,
            signals: self.signals,
            signals_by_strategy: self
                .strategies
                .values()
                .map(|report| (report.strategy.clone(), u64::from(report.signals)))
                .collect(),
            orders: self.orders,
            fills: self.fills,
            fees: ledger.fees().to_f64(),
            cash: ledger.cash().to_f64(),
            equity: ledger.equity().total.to_f64(),
            realized_pnl: ledger.realized().to_f64(),
            settlements: self.settlements,
            conditional_triggers: self.triggers,
            equity_curve: self.curve,
            strategies: self.strategies.into_values().collect(),
            executed_orders: self.executed,
            positions,
            planted: sandbox
                .planted()
                .into_iter()
                .map(|planted| planted.note)
                .collect(),
            ledger: app.db().display().to_string(),
        })
    }
}

fn text_of(summary: &Summary) -> String {
    let mut lines = vec![
        String::new(),
        format!(
            "== Demo: {} ticks in {:.1} s ==",
            summary.ticks, summary.seconds
        ),
        summary.warning.to_owned(),
        String::new(),
        format!("Markets looked at: {}", summary.markets),
        "Signals by strategy, and why the rest was passed over:".to_owned(),
    ];
    for strategy in &summary.strategies {
        lines.push(format!(
            "  {:<14} {:>4} signals, {:>6} looks",
            strategy.strategy, strategy.signals, strategy.looked_at
        ));
        let mut causes: Vec<(&String, &u32)> = strategy.passed_over.iter().collect();
        causes.sort_by(|a, b| b.1.cmp(a.1));
        lines.extend(
            causes
                .into_iter()
                .take(6)
                .map(|(cause, n)| format!("      {n:>6} × {cause}")),
        );
        lines.extend(
            strategy
                .not_traded
                .iter()
                .map(|(cause, n)| format!("      {n:>6} × not traded: {cause}")),
        );
        lines.extend(
            strategy
                .error
                .iter()
                .map(|error| format!("      failed: {error}")),
        );
    }
    lines.push(String::new());
    lines.push(format!(
        "Orders: {}, fills: {}, fees: ${:.5}, settled: {}, exits triggered: {}",
        summary.orders,
        summary.fills,
        summary.fees,
        summary.settlements,
        summary.conditional_triggers
    ));
    for order in summary.executed_orders.iter().take(ORDERS_SHOWN) {
        lines.push(format!(
            "  {} {} {:<4} {} — {}",
            order.strategy,
            order.side,
            short(&order.outcome),
            short(&order.question),
            fills_of(order)
        ));
    }
    let hidden = summary.executed_orders.len().saturating_sub(ORDERS_SHOWN);
    if hidden > 0 {
        lines.push(format!("  … and {hidden} more (--json shows all)"));
    }
    lines.push(String::new());
    lines.push(format!("Positions: {}", summary.positions.len()));
    for held in &summary.positions {
        let number =
            |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.4}"));
        lines.push(format!(
            "  {:>9.2} {:<5} at {} (now {}), {}: {}",
            held.shares,
            short(&held.outcome),
            number(held.avg_price),
            number(held.current_price),
            held.pnl.map_or_else(|| "no bid".to_owned(), output::money),
            short(held.question.as_deref().unwrap_or(&held.market_id)),
        ));
    }
    lines.push(String::new());
    if summary.equity_curve.len() > 1 {
        let chart = rasciigraph::plot(
            summary.equity_curve.clone(),
            rasciigraph::Config::default()
                .with_height(10)
                .with_width(64)
                .with_caption("equity by tick, pUSD".to_owned()),
        );
        lines.push(chart);
    }
    lines.push(String::new());
    lines.push(format!(
        "Cash {}, equity {}, realised {} before fees",
        output::money(summary.cash),
        output::money(summary.equity),
        output::money(summary.realized_pnl)
    ));
    lines.push(format!("Ledger: {}", summary.ledger));
    lines.push(format!(
        "Look at it: polymarket-agent status --source sandbox --db {}",
        summary.ledger
    ));
    lines.join("\n")
}
