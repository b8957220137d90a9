//! Where prices come from, as the command line names it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::app::config::Config;
use crate::app::control::SourceLabel;
use crate::app::{Access, App, AppError, OpenOptions, Source};
use crate::domain::{SourceKind, Timestamp};
use crate::market_data::MarketData;
use crate::market_data::polymarket::{Polymarket, PolymarketConfig};
use crate::market_data::recorded::{Dataset, DatasetOptions, Recorded};
use crate::sandbox::{self, Sandbox, SandboxConfig};
use crate::trading::ledger::Ledger;

use super::{Common, Failure};

/// How far after a recording's end one may stand: resolutions come after the last prices.
const BEYOND_MS: i64 = 366 * 86_400_000;
/// Seed of an embedded sandbox unless `--seed` says otherwise.
const DEFAULT_SEED: u64 = 1;
/// Its markets unless `--markets` says otherwise.
const DEFAULT_MARKETS: usize = 60;
/// Simulated seconds per real second of an embedded sandbox unless `--speed` says otherwise.
const DEFAULT_SPEED: f64 = 60.0;

/// Kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The real venue.
    Polymarket,
    /// A simulated exchange, started inside this process on loopback.
    Sandbox,
    /// A directory of recorded prices.
    Recorded,
}

impl Kind {
    /// As the domain names it.
    pub fn domain(self) -> SourceKind {
        match self {
            Kind::Polymarket => SourceKind::Polymarket,
            Kind::Sandbox => SourceKind::Sandbox,
            Kind::Recorded => SourceKind::Recorded,
        }
    }
}

/// Options that choose a source.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    /// Where prices come from [default: polymarket].
    #[arg(long, value_enum)]
    source: Option<Kind>,
    /// Recorded: directory of CSV files.
    #[arg(long, value_name = "DIR", required_if_eq("source", "recorded"))]
    data: Option<PathBuf>,
    /// Recorded: the moment to stand at (RFC 3339); the recording's end when left out.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Recorded and sandbox: move the clock forward by so many seconds after each tick. A sandbox
    /// then stands still otherwise.
    #[arg(long, value_name = "SECONDS")]
    step: Option<u64>,
    /// Sandbox: seed of everything random [default: 1].
    #[arg(long)]
    seed: Option<u64>,
    /// Sandbox: number of markets [default: 60].
    #[arg(long)]
    markets: Option<usize>,
    /// Sandbox: simulated seconds per real second (60 when left out).
    #[arg(long)]
    speed: Option<f64>,
    /// Sandbox: plant labelled mispricings.
    #[arg(long)]
    inefficiency: bool,
}

/// A source with what must live as long as it does.
pub struct OpenSource {
    /// For the application.
    pub source: Source,
    /// The embedded exchange, if there is one.
    pub sandbox: Option<Arc<Sandbox>>,
}

impl SourceArgs {
    fn kind(&self) -> Kind {
        self.source.unwrap_or(Kind::Polymarket)
    }

    /// The kind of source as the domain names it; the real venue where none was named.
    pub fn domain(&self) -> SourceKind {
        self.kind().domain()
    }

    /// Opens the source. Errors: no such directory, a bad moment, a sandbox that cannot start.
    pub async fn open(&self, config: &Config) -> Result<OpenSource, Failure> {
        match self.kind() {
            Kind::Polymarket => {
                let data = Polymarket::new(config.venue.clone(), SourceKind::Polymarket)
                    .map_err(AppError::from)?;
                let source = Source {
                    data: Arc::new(data),
                    advance: None,
                };
                Ok(OpenSource {
                    source,
                    sandbox: None,
                })
            }
            Kind::Sandbox => self.open_sandbox(config).await,
            Kind::Recorded => self.open_recorded(config),
        }
    }

    async fn open_sandbox(&self, config: &Config) -> Result<OpenSource, Failure> {
        let speed = match self.step {
            Some(_) => None,
            None => Some(self.speed.unwrap_or(DEFAULT_SPEED)),
        };
        let wanted = SandboxConfig {
            seed: self.seed.unwrap_or(DEFAULT_SEED),
            markets: self.markets.unwrap_or(DEFAULT_MARKETS),
            inefficiencies: self.inefficiency,
            speed,
            ..SandboxConfig::default()
        };
        let sandbox = start_sandbox(wanted).await?;
        let data = Arc::new(client_of(&sandbox, &config.venue)?);
        let advance = self.step.map(|seconds| stepping(&sandbox, seconds));
        Ok(OpenSource {
            source: Source { data, advance },
            sandbox: Some(sandbox),
        })
    }

    fn open_recorded(&self, config: &Config) -> Result<OpenSource, Failure> {
        let Some(dir) = &self.data else {
            return Err(Failure::new(
                "--source recorded needs --data DIR",
                "Name a directory.",
            ));
        };
        let options = DatasetOptions {
            default_spread: config.backtest.default_spread,
            depth: config.backtest.default_depth,
            volume_kind: config.backtest.volume_kind,
            until: None,
        };
        let dataset = Arc::new(Dataset::load(dir, options).map_err(AppError::from)?);
        let at = match &self.at {
            Some(text) => Timestamp::parse(text).ok_or_else(|| {
                Failure::new(
                    format!("--at `{text}` is not a moment"),
                    "Use RFC 3339, e.g. 2026-02-27T08:00:00Z.",
                )
            })?,
            None => dataset.period().map(|(_, end)| end).unwrap_or_default(),
        };
        // An account that has seen a far future cannot go back.
        if let Some((_, end)) = dataset.period()
            && at.since(end) > BEYOND_MS
        {
            return Err(Failure::new(
                format!("--at {at} lies more than a year after the recording's end, {end}"),
                "Choose a moment inside the recording, or soon after it.",
            ));
        }
        let data = Arc::new(Recorded::new(dataset, at));
        let advance = self.step.map(|seconds| {
            let moving = data.clone();
            let millis = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
            let step: crate::app::Advance = Box::new(move || {
                let moving = moving.clone();
                Box::pin(async move {
                    if let Ok(now) = moving.now().await {
                        moving.set_now(now.plus_millis(millis));
                    }
                })
            });
            step
        });
        Ok(OpenSource {
            source: Source { data, advance },
            sandbox: None,
        })
    }

    /// The source in words, by what tells two of a kind apart.
    pub fn label(&self, config: &Config) -> SourceLabel {
        let step = self
            .step
            .map(|seconds| format!(", {seconds} s a tick"))
            .unwrap_or_default();
        let text = match self.kind() {
            Kind::Polymarket => format!(
                "polymarket at {}, {}, {}",
                config.venue.gamma_url, config.venue.clob_url, config.venue.data_url
            ),
            Kind::Sandbox => {
                let speed = self.speed.unwrap_or(DEFAULT_SPEED);
                let planted = if self.inefficiency {
                    ", inefficiencies"
                } else {
                    ""
                };
                let pace = match self.step {
                    Some(_) => step,
                    None => format!(", speed {speed}"),
                };
                format!(
                    "sandbox, seed {}, {} markets{pace}{planted}",
                    self.seed.unwrap_or(DEFAULT_SEED),
                    self.markets.unwrap_or(DEFAULT_MARKETS)
                )
            }
            Kind::Recorded => {
                let dir = self.data.clone().unwrap_or_default();
                let dir = dir.canonicalize().unwrap_or(dir);
                let at = self.at.as_deref().unwrap_or("its end");
                format!("recorded {} at {at}{step}", dir.display())
            }
        };
        SourceLabel {
            kind: self.domain(),
            text,
        }
    }

    /// What the caller said of the source, for the owner of the ledger to hold against its own: nothing
    /// where `--source` was left out, only the kind where it was given without any option (and, for
    /// the venue's addresses, without a configuration: `config_named`). A default names nothing.
    pub fn named(&self, config: &Config, config_named: bool) -> Option<SourceLabel> {
        let kind = self.source?;
        let more = match kind {
            Kind::Polymarket => config_named,
            Kind::Sandbox | Kind::Recorded => {
                self.data.is_some()
                    || self.at.is_some()
                    || self.step.is_some()
                    || self.seed.is_some()
                    || self.markets.is_some()
                    || self.speed.is_some()
                    || self.inefficiency
            }
        };
        Some(if more {
            self.label(config)
        } else {
            SourceLabel::of_kind(kind.domain())
        })
    }

    /// Opens the source and the account on it. A sandbox's clock goes on where the account stopped.
    /// With a folder `journal` every input of the desk is written down there.
    pub async fn open_app(
        &self,
        common: &Common,
        mut config: Config,
        access: Access,
        journal: Option<PathBuf>,
    ) -> Result<(Arc<App>, Option<Arc<Sandbox>>), Failure> {
        // What the operator names here may be read for a backtest, too.
        config.backtest.data_dirs.extend(self.data.clone());
        let db = common.db_for(self.domain());
        let OpenSource { source, sandbox } = self.open(&config).await?;
        let label = self.label(&config);
        let options = OpenOptions {
            config,
            source,
            db,
            access,
        };
        let app = App::open_journalled(options, journal).await?;
        app.describe_source(label.text);
        if let Some(sandbox) = &sandbox {
            self.go_on_from(sandbox, app.ledger()?.as_ref());
            let (source, sandbox) = (self.clone(), sandbox.clone());
            app.desk()
                .before_taking_over(Box::new(move |ledger| source.go_on_from(&sandbox, ledger)));
        }
        Ok((app, sandbox))
    }

    /// Moves a sandbox's clock to where the account stopped.
    fn go_on_from(&self, sandbox: &Sandbox, ledger: &Ledger) {
        // A stepped clock had moved on after the last tick when its process ended.
        let step = if ledger.ticks() > 0 {
            self.step.unwrap_or(0)
        } else {
            0
        };
        let step = i64::try_from(step.saturating_mul(1000)).unwrap_or(0);
        let behind = ledger.last_at().plus_millis(step).since(sandbox.now());
        if let Ok(millis @ 1..) = u64::try_from(behind) {
            sandbox.step(millis);
        }
    }
}

/// Starts an exchange on a free loopback port.
pub async fn start_sandbox(config: SandboxConfig) -> Result<Arc<Sandbox>, Failure> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let sandbox = sandbox::start(config, listen)
        .await
        .map_err(|error| Failure::new(error.to_string(), "Check the sandbox options."))?;
    Ok(Arc::new(sandbox))
}

/// The venue's client, pointed at a sandbox: the same code, over plain HTTP.
pub fn client_of(sandbox: &Sandbox, venue: &PolymarketConfig) -> Result<Polymarket, Failure> {
    let config = PolymarketConfig {
        gamma_url: sandbox.gamma_url(),
        clob_url: sandbox.clob_url(),
        data_url: sandbox.data_url(),
        ..venue.clone()
    };
    Ok(Polymarket::new(config, SourceKind::Sandbox).map_err(AppError::from)?)
}

/// Moves a sandbox's clock after each tick.
pub fn stepping(sandbox: &Arc<Sandbox>, seconds: u64) -> crate::app::Advance {
    let sandbox = sandbox.clone();
    Box::new(move || {
        let sandbox = sandbox.clone();
        Box::pin(async move {
            sandbox.step(seconds.saturating_mul(1000));
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        source: SourceArgs,
    }

    fn args(line: &[&str]) -> SourceArgs {
        let words = ["x"].iter().chain(line);
        Line::try_parse_from(words).unwrap().source
    }

    #[test]
    fn a_default_names_no_source() {
        let config = Config::default();
        let named = |line: &[&str], config_named| {
            let label = args(line).named(&config, config_named);
            label.map(|label| (label.kind, label.text))
        };
        for config_named in [false, true] {
            assert_eq!(named(&[], config_named), None);
            assert_eq!(
                named(&["--source", "sandbox"], config_named),
                Some((SourceKind::Sandbox, "sandbox".to_owned()))
            );
            assert_eq!(
                named(&["--source", "sandbox", "--seed", "1"], config_named),
                Some((
                    SourceKind::Sandbox,
                    "sandbox, seed 1, 60 markets, speed 60".to_owned()
                ))
            );
        }
        let venue = &["--source", "polymarket"];
        assert_eq!(
            named(venue, false),
            Some((SourceKind::Polymarket, "polymarket".to_owned()))
        );
        let (_, text) = named(venue, true).unwrap();
        assert!(text.contains(&config.venue.clob_url), "{text}");
        // What is opened is the default all the same.
        assert_eq!(args(&[]).domain(), SourceKind::Polymarket);
        let label = args(&["--source", "sandbox"]).label(&config);
        assert_eq!(label.text, "sandbox, seed 1, 60 markets, speed 60");
    }
}
