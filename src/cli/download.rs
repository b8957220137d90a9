//! `download`: price histories and resolutions into a folder that backtests read.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::app::AppError;
use crate::app::backtest::moment;
use crate::domain::{Clock, SourceKind, SystemClock, Timestamp};
use crate::market_data::download::{
    DownloadRequest, DownloadStatus, DownloadStep, Downloaded, download as download_all,
};
use crate::market_data::polymarket::Polymarket;
use crate::market_data::recorded::DatasetFiles;

use super::serve::stop_on_signal;
use super::{Common, Failure, output, start_logging};

/// Time between two lines about the progress where standard error is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Options of `download`.
#[derive(Debug, Args)]
pub struct DownloadArgs {
    /// Markets by slug (or id, or condition id); may be given more than once.
    #[arg(
        long = "market",
        visible_alias = "markets",
        value_name = "SLUG",
        required = true,
        num_args = 1..
    )]
    markets: Vec<String>,
    /// First moment (RFC 3339 or a date).
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Last moment (RFC 3339, or a date: to the end of that day).
    #[arg(long, value_name = "TIME")]
    to: String,
    /// Folder for the files; made when missing. `backtest` reads it as it is.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Minutes between prices.
    #[arg(long, value_name = "MIN", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=1440))]
    fidelity: u32,
    /// Replace prices that are there already.
    #[arg(long)]
    force: bool,
    /// Print a JSON summary.
    #[arg(long)]
    json: bool,
}

/// Downloads and says what came of each market. Fails when one of them could not be had.
pub async fn download(common: &Common, args: DownloadArgs) -> Result<(), Failure> {
    let config = common.load()?;
    start_logging(&config, "warn")?;
    let now = SystemClock.now();
    let (from, to) = span(&args, now)?;
    let request = DownloadRequest {
        markets: args.markets,
        from,
        to,
        fidelity_minutes: args.fidelity,
        force: args.force,
        at: now,
    };
    if request.is_too_long() {
        return Err(Failure::new(
            format!(
                "--from {from} is more than ten years before {}",
                request.end()
            ),
            "Give a later --from: Polymarket's first markets are of 2020.",
        ));
    }
    let venue = Polymarket::new(config.venue, SourceKind::Polymarket).map_err(AppError::from)?;
    let mut files = DatasetFiles::open(&args.out).map_err(|error| {
        Failure::new(
            error.to_string(),
            "Choose a new folder, or one that `download` made, for --out.",
        )
    })?;
    let bar = Bar::new(request.markets.len());
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone());
    let shown = |step: DownloadStep<'_>| bar.step(step);
    let done = tokio::select! {
        done = download_all(&venue, &request, &mut files, &shown) => Some(done),
        () = stop.cancelled() => None,
    };
    bar.clear();
    let Some(done) = done else {
        return Err(Failure::new(
            "interrupted; what is in the folder is complete",
            "The same command goes on with the markets that are missing.",
        ));
    };
    let count = |status| done.iter().filter(|row| row.status == status).count();
    let failed = count(DownloadStatus::Failed);
    if args.json {
        output::json(&json!({
            "out": args.out,
            "from": from.to_rfc3339(),
            "to": to.to_rfc3339(),
            "fidelity_minutes": request.fidelity_minutes,
            "downloaded": count(DownloadStatus::Downloaded),
            "kept": count(DownloadStatus::Kept),
            "failed": failed,
            "markets": done,
        }))?;
    } else {
        for row in &done {
            output::line(&text_of(row))?;
        }
    }
    if failed == 0 {
        return Ok(());
    }
    let named: Vec<String> = done
        .iter()
        .filter(|row| row.status == DownloadStatus::Failed)
        .map(|row| {
            let detail = row.detail.as_deref().unwrap_or_default();
            format!("{}: {detail}", row.market)
        })
        .collect();
    Err(Failure::new(
        format!(
            "{failed} of {} markets could not be downloaded\n  {}",
            done.len(),
            named.join("\n  ")
        ),
        "The others are there; the same command tries the missing ones again.",
    ))
}

fn span(args: &DownloadArgs, now: Timestamp) -> Result<(Timestamp, Timestamp), Failure> {
    let needed = |what: &str, text: &str, end| -> Result<Timestamp, Failure> {
        moment(what, Some(text), end)?.ok_or_else(|| Failure::new(format!("{what} is empty"), ""))
    };
    let from = needed("--from", &args.from, false)?;
    let to = needed("--to", &args.to, true)?;
    let hint = "Prices of the past are downloaded: give --from before --to, both in the past.";
    if from > to {
        return Err(Failure::new(
            format!("--from {from} is after --to {to}"),
            hint,
        ));
    }
    if from > now {
        return Err(Failure::new(
            format!("--from {from} is in the future"),
            hint,
        ));
    }
    Ok((from, to))
}

fn text_of(row: &Downloaded) -> String {
    let name = &row.market;
    let file = row.file.as_deref().unwrap_or("–");
    let note = row
        .detail
        .as_ref()
        .map_or_else(String::new, |note| format!(" ({note})"));
    match row.status {
        DownloadStatus::Failed => format!("{name}: failed{note}"),
        DownloadStatus::Kept => format!("{name}: {file} is there already"),
        DownloadStatus::Downloaded => {
            let end = match (&row.resolution, &row.resolved_at) {
                (Some(outcome), Some(at)) => format!("resolved to {outcome} at {at}"),
                _ => "not resolved".to_owned(),
            };
            format!(
                "{name}: {} prices from {} to {} in {file}, {end}{note}",
                row.points.unwrap_or(0),
                row.first.as_deref().unwrap_or("–"),
                row.last.as_deref().unwrap_or("–"),
            )
        }
    }
}

/// A bar on a terminal, a line a minute elsewhere.
struct Bar {
    bar: ProgressBar,
    markets: usize,
    begun: AtomicUsize,
    said: Mutex<Instant>,
}

impl Bar {
    fn new(markets: usize) -> Self {
        // Draws only where standard error is a terminal.
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) =
            ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} windows {wide_msg}")
        {
            bar.set_style(style);
        }
        Bar {
            bar,
            markets,
            begun: AtomicUsize::new(0),
            said: Mutex::new(Instant::now()),
        }
    }

    fn step(&self, step: DownloadStep<'_>) {
        match step {
            DownloadStep::Market(name) => {
                let begun = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
                self.bar
                    .set_prefix(format!("market {begun}/{}", self.markets));
                self.bar.set_message(crate::domain::text::clean(name, 60));
                self.bar.set_position(0);
                self.bar.set_length(0);
            }
            DownloadStep::Windows(windows) => self.bar.set_length(windows as u64),
            DownloadStep::Window => self.bar.inc(1),
        }
        if self.bar.is_hidden()
            && let Some(line) = self.overdue(Instant::now())
        {
            output::error(&line);
        }
    }

    /// A line about the progress, when the last is [`SAY_EVERY`] ago.
    fn overdue(&self, now: Instant) -> Option<String> {
        let mut said = self.said.lock().ok()?;
        if now.duration_since(*said) < SAY_EVERY {
            return None;
        }
        *said = now;
        Some(format!(
            "{} {}: {} of {} windows",
            self.bar.prefix(),
            self.bar.message(),
            self.bar.position(),
            self.bar.length().unwrap_or(0),
        ))
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_minute_says_where_it_stands() {
        let bar = Bar::new(2);
        bar.step(DownloadStep::Market("rain"));
        bar.step(DownloadStep::Windows(40));
        bar.step(DownloadStep::Window);
        let now = Instant::now();
        assert_eq!(bar.overdue(now), None);
        let minute = now + SAY_EVERY;
        let line = bar.overdue(minute);
        assert_eq!(line.as_deref(), Some("market 1/2 rain: 1 of 40 windows"));
        assert_eq!(bar.overdue(minute + SAY_EVERY / 2), None);
        assert!(bar.overdue(minute + SAY_EVERY).is_some());
    }
}
