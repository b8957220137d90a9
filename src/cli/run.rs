//! `run`: ticks every `poll_interval` seconds until stopped.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::app::Access;
use crate::server::control::RegistryHandler;

use super::serve::{registry, start_jobs, stop_on_signal};
use super::source::SourceArgs;
use super::{Common, Failure, output, start_logging};

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Stop after so many ticks.
    #[arg(long)]
    ticks: Option<u64>,
    /// Trade with real money. Not available in this version.
    #[arg(long)]
    live: bool,
    /// Write every input of the desk into this folder, compressed, before it is carried out: `verify`
    /// can carry it out again. Made when missing; a journal in it goes on.
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs until stopped. A tick that fails is reported and tried again at the next interval.
pub async fn run(common: &Common, args: RunArgs) -> Result<(), Failure> {
    refuse_live(args.live)?;
    let config = common.load()?;
    start_logging(&config, "warn")?;
    let wait = Duration::from_secs(u64::from(config.poll_interval));
    let (app, sandbox) = args
        .source
        .open_app(common, config, Access::Own, args.journal)
        .await?;
    let mode = app.config().mode.as_str();
    let shutdown = CancellationToken::new();
    stop_on_signal(shutdown.clone());
    let registry = Arc::new(registry()?);
    // This loop is the tick; jobs may do everything else.
    let jobs = start_jobs(&app, &registry, &shutdown, |job| job.tool != "tick").await?;
    let control = app.listen(RegistryHandler::new(registry.clone(), app.clone()));
    output::error(&format!(
        "Starting polymarket-agent in {mode} mode (poll every {}s)",
        wait.as_secs()
    ));
    let mut done = 0;
    let mut feed = None;
    while !shutdown.is_cancelled() && args.ticks.is_none_or(|wanted| done < wanted) {
        // The tick itself is never cut off: what it began is finished and stored.
        match app.tick().await {
            Ok(report) => output::line(&format!(
                "[{mode}] markets={} signals={} trades={} balance={} equity={}",
                report.markets,
                report.signals,
                report
                    .orders
                    .iter()
                    .filter(|order| !order.fills.is_empty())
                    .count(),
                output::money(report.cash),
                output::money(report.equity),
            ))?,
            Err(error) => output::error(&format!("tick failed: {error}; hint: {}", error.hint())),
        }
        done += 1;
        if args.ticks.is_some_and(|wanted| done >= wanted) {
            break;
        }
        // The first tick has the venue to itself; the background goes on from what it found.
        feed = feed.or_else(|| app.start_feed(&shutdown));
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    shutdown.cancel();
    control.stop(Duration::from_secs(5)).await;
    jobs.stop(Duration::from_secs(5)).await;
    if let Some(feed) = feed {
        feed.ended(Duration::from_secs(1)).await;
    }
    app.flush_alerts(Duration::from_secs(3)).await;
    drop(sandbox);
    output::error("Stopped.");
    Ok(())
}

/// Live trading does not exist yet, and says so.
pub fn refuse_live(live: bool) -> Result<(), Failure> {
    if live {
        return Err(Failure::new(
            "--live: this version cannot trade with real money",
            "Leave --live out to trade on paper.",
        ));
    }
    Ok(())
}
