//! `record`: the market channel into a capture.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use futures::{StreamExt, stream};
use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::app::AppError;
use crate::domain::text::clean;
use crate::domain::{Clock, Market, SourceKind, SystemClock};
use crate::market_data::polymarket::stream::ConnectionSettings;
use crate::market_data::polymarket::stream::shards::MAX_TOKENS;
use crate::market_data::polymarket::{Polymarket, PolymarketConfig};
use crate::market_data::recorded::capture::{CaptureError, CaptureWriter, Manifest, Repaired};
use crate::market_data::recorder::{RecordLimits, record as record_markets};
use crate::market_data::{DataError, MarketData, MarketQuery};

use super::serve::stop_on_signal;
use super::{Common, Failure, output, start_logging};

/// Who records.
const PROGRAM: &str = concat!("polymarket-agent ", env!("CARGO_PKG_VERSION"));
/// Markets that are looked up at the same time.
const CONCURRENCY: usize = 8;
/// Time between two lines about the progress where standard error is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Options of `record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Markets by slug, id or condition id; all their tokens are recorded.
    #[arg(
        long,
        visible_alias = "market",
        value_name = "SLUG|ID",
        num_args = 1..,
        required_unless_present = "top",
        conflicts_with = "top"
    )]
    markets: Vec<String>,
    /// The N open markets that were traded most in the last 24 hours.
    #[arg(long, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=5_000))]
    top: Option<u32>,
    /// Folder for the recording: new, empty, or with a recording that is to go on.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Stop after so many seconds.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    duration: Option<u64>,
    /// Stop once the folder's compressed files have so many megabytes.
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..))]
    max_size: Option<u64>,
    /// Begin a new file every M minutes.
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..))]
    rotate_minutes: Option<u64>,
    /// Print a JSON summary.
    #[arg(long)]
    json: bool,
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        Failure::new(error.to_string(), error.hint())
    }
}

/// Records until ctrl-c, SIGTERM or a limit.
pub async fn record(common: &Common, args: RecordArgs) -> Result<(), Failure> {
    let config = common.load()?;
    start_logging(&config, "warn")?;
    let venue = config.venue;
    refuse_mixed(&venue)?;
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone());
    let client = Polymarket::new(venue.clone(), SourceKind::Polymarket).map_err(AppError::from)?;
    let markets = tokio::select! {
        found = find(&client, &args) => found?,
        () = stop.cancelled() => {
            return Err(Failure::new("interrupted before anything was recorded", ""));
        }
    };
    let tokens: usize = markets.iter().map(|market| market.outcomes.len()).sum();
    if tokens > MAX_TOKENS {
        return Err(Failure::new(
            format!("{tokens} tokens are more than {MAX_TOKENS}"),
            "Record fewer markets, or several folders from several processes.",
        ));
    }
    let sources = BTreeMap::from([
        ("gamma_url".to_owned(), venue.gamma_url.clone()),
        ("ws_url".to_owned(), venue.ws_url.clone()),
    ]);
    let (writer, repaired) = CaptureWriter::open(&args.out, PROGRAM, sources, SystemClock.now())?;
    for file in &repaired {
        output::error(&format!(
            "{} was left unfinished by a killed recorder: {} lines are kept, {} torn bytes were \
             cut off",
            file.name, file.lines, file.torn_bytes
        ));
    }
    output::error(&format!(
        "recording {} markets ({tokens} tokens) into {}; ctrl-c ends it",
        markets.len(),
        args.out.display()
    ));
    let limits = RecordLimits {
        duration: args.duration.map(Duration::from_secs),
        max_bytes: args.max_size.map(|size| size.saturating_mul(1_000_000)),
        rotate_every: args
            .rotate_minutes
            .map(|minutes| Duration::from_secs(minutes.saturating_mul(60))),
    };
    let settings = ConnectionSettings::new(&venue);
    let mut shown = Shown::new();
    let before = writer.manifest().frames;
    let done = record_markets(writer, &markets, settings, limits, &stop, &mut |writer| {
        shown.show(writer)
    })
    .await;
    shown.clear();
    let manifest = done?;
    if args.json {
        output::json(&summary(&args, &manifest, &repaired))?;
    } else {
        output::line(&in_words(&args, &manifest))?;
    }
    if manifest.frames == before {
        return Err(Failure::new(
            format!("nothing came from {}", venue.ws_url),
            "Check the network and `venue.ws_url`; RUST_LOG=warn shows why connections were lost.",
        ));
    }
    Ok(())
}

/// Metadata of one exchange and prices of another would be a recording of neither.
fn refuse_mixed(venue: &PolymarketConfig) -> Result<(), Failure> {
    let wanted = PolymarketConfig {
        stream: true,
        ..venue.clone()
    };
    if wanted.streams() {
        return Ok(());
    }
    Err(Failure::new(
        "venue.clob_url is on this machine and venue.ws_url is not: two exchanges",
        "Set venue.ws_url to the same exchange.",
    ))
}

type Answer = Result<Option<Arc<Market>>, DataError>;

/// The wanted markets. All those that cannot be had are named: a recording that lacks a market is
/// noticed too late.
async fn find(client: &Polymarket, args: &RecordArgs) -> Result<Vec<Arc<Market>>, Failure> {
    if let Some(top) = args.top {
        let limit = usize::try_from(top).unwrap_or(usize::MAX);
        let found = client.active_markets(&MarketQuery { limit }).await;
        let found = found.map_err(AppError::from)?;
        if found.is_empty() {
            return Err(Failure::new("the venue lists no open market", ""));
        }
        return Ok(found);
    }
    let answers: Vec<(&String, Answer)> = stream::iter(&args.markets)
        .map(|name| async move { (name, client.market(name).await) })
        .buffered(CONCURRENCY)
        .collect()
        .await;
    let mut found: Vec<Arc<Market>> = Vec::new();
    let mut missing = Vec::new();
    for (name, answer) in answers {
        let name = clean(name, 100);
        match answer {
            Ok(Some(market)) if found.iter().any(|known| known.id == market.id) => {}
            Ok(Some(market)) => found.push(market),
            Ok(None) => missing.push(format!("{name}: there is no such market")),
            Err(error) => missing.push(format!("{name}: {error}")),
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    Err(Failure::new(
        format!("nothing is recorded:\n  {}", missing.join("\n  ")),
        "Check the slugs or ids: search_markets lists them.",
    ))
}

fn summary(args: &RecordArgs, manifest: &Manifest, repaired: &[Repaired]) -> Value {
    let repaired: Vec<&str> = repaired.iter().map(|file| file.name.as_str()).collect();
    json!({
        "out": args.out,
        "start": manifest.start.to_rfc3339(),
        "end": manifest.end.to_rfc3339(),
        "ended_by": manifest.ended_by,
        "sessions": manifest.sessions,
        "markets": manifest.markets.len(),
        "tokens": manifest.token_count(),
        "files": manifest.files.len(),
        "bytes": bytes_of(manifest),
        "frames": manifest.frames,
        "messages": manifest.messages,
        "connections": manifest.connections,
        "reconnects": manifest.reconnects,
        "gaps": manifest.gaps.len(),
        "repaired": repaired,
    })
}

fn bytes_of(manifest: &Manifest) -> u64 {
    manifest.files.iter().map(|file| file.bytes).sum()
}

fn in_words(args: &RecordArgs, manifest: &Manifest) -> String {
    let kinds: Vec<String> = manifest
        .messages
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    format!(
        "{}: {} to {}, ended because {}\n{} files, {}; messages: {}\n{} connections, {} \
         reconnects, {} gaps",
        args.out.display(),
        manifest.start,
        manifest.end,
        manifest.ended_by.as_deref().unwrap_or("–"),
        manifest.files.len(),
        HumanBytes(bytes_of(manifest)),
        if kinds.is_empty() {
            "none".to_owned()
        } else {
            kinds.join(", ")
        },
        manifest.connections,
        manifest.reconnects,
        manifest.gaps.len(),
    )
}

/// A line that changes on a terminal, a line a minute elsewhere.
struct Shown {
    begun: Instant,
    said: Instant,
    spinner: Option<ProgressBar>,
}

impl Shown {
    fn new() -> Self {
        let spinner = std::io::stderr()
            .is_terminal()
            .then(ProgressBar::new_spinner);
        if let (Some(spinner), Ok(style)) = (
            &spinner,
            ProgressStyle::with_template("{spinner} {wide_msg}"),
        ) {
            spinner.set_style(style);
        }
        Shown {
            begun: Instant::now(),
            said: Instant::now(),
            spinner,
        }
    }

    fn show(&mut self, writer: &CaptureWriter) {
        let line = || {
            let manifest = writer.manifest();
            let open = manifest.gaps.iter().filter(|gap| gap.end.is_none()).count();
            format!(
                "{}: {} messages, {}, {} gaps ({open} open), {} reconnects",
                HumanDuration(self.begun.elapsed()),
                HumanCount(manifest.messages.values().sum()),
                HumanBytes(writer.bytes()),
                manifest.gaps.len(),
                manifest.reconnects,
            )
        };
        match &self.spinner {
            Some(spinner) => {
                spinner.set_message(line());
                spinner.tick();
            }
            None if self.said.elapsed() >= SAY_EVERY => {
                output::error(&line());
                self.said = Instant::now();
            }
            None => {}
        }
    }

    fn clear(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}
