//! `sandbox`: a simulated exchange on this machine, until stopped.

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::domain::Timestamp;
use crate::sandbox::{self, FaultSpec, SandboxConfig};
use crate::server::parse_listen_address;

use super::serve::stop_on_signal;
use super::{Failure, output};

/// Options of `sandbox`.
#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// Loopback address to listen on.
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDRESS")]
    listen: String,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of markets.
    #[arg(long, default_value_t = 60)]
    markets: usize,
    /// Simulated seconds per real second; 0: time moves only by POST /sandbox/step.
    #[arg(long, default_value_t = 60.0)]
    speed: f64,
    /// Plant labelled mispricings.
    #[arg(long)]
    inefficiency: bool,
    /// Simulated time at the start: RFC 3339 (2026-11-23T08:00:00Z) or `now`.
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Hold back every answer and frame by so many milliseconds.
    #[arg(long, value_name = "MS")]
    latency_ms: Option<u64>,
    /// Something that goes wrong from the start, as JSON (docs/sandbox.md lists the kinds); may be
    /// given several times. More can be armed later by POST /sandbox/faults.
    #[arg(long, value_name = "JSON")]
    fault: Vec<String>,
}

/// The moment that `--start` names. Errors: neither a time nor `now`.
fn moment(text: &str) -> Result<Timestamp, Failure> {
    if text == "now" {
        return Ok(SandboxConfig::default().starting_now().start);
    }
    Timestamp::parse(text).ok_or_else(|| {
        Failure::new(
            format!("--start: `{text}` is not a time"),
            "Use RFC 3339, such as 2026-11-23T08:00:00Z, or now.",
        )
    })
}

/// The faults of the command line. Errors: JSON that is no fault, values out of range.
fn faults(args: &SandboxArgs) -> Result<Vec<FaultSpec>, Failure> {
    let mut specs: Vec<FaultSpec> = args
        .latency_ms
        .map(FaultSpec::latency_ms)
        .into_iter()
        .collect();
    for text in &args.fault {
        let refuse = |error: String| {
            Failure::new(
                format!("--fault {text}: {error}"),
                "Example: --fault '{\"fault\": {\"kind\": \"status\", \"code\": 429, \"retry_after\": 2}, \"budget\": {\"next\": 3}}'; docs/sandbox.md lists the kinds.",
            )
        };
        specs.push(serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?);
    }
    for spec in &specs {
        spec.check().map_err(|error| {
            Failure::new(error.to_string(), "docs/sandbox.md lists the faults.")
        })?;
    }
    Ok(specs)
}

/// Serves until ctrl-c.
pub async fn sandbox(args: SandboxArgs) -> Result<(), Failure> {
    let listen = parse_listen_address(&args.listen)
        .map_err(|error| Failure::new(error.to_string(), "Use e.g. 127.0.0.1:8090."))?;
    let faults = faults(&args)?;
    if !(args.speed.is_finite() && args.speed >= 0.0) {
        return Err(Failure::new(
            format!(
                "--speed is {}; it must be a number of at least 0",
                args.speed
            ),
            "Use 1 for real time, 60 for a minute a second, 0 for time that is stepped.",
        ));
    }
    let standard = SandboxConfig::default();
    let config = SandboxConfig {
        start: match &args.start {
            Some(text) => moment(text)?,
            None => standard.start,
        },
        seed: args.seed,
        markets: args.markets,
        inefficiencies: args.inefficiency,
        speed: (args.speed > 0.0).then_some(args.speed),
        ..standard
    };
    let sandbox = sandbox::start(config, listen).await.map_err(|error| {
        Failure::new(error.to_string(), "Choose another port or other options.")
    })?;
    for fault in faults {
        sandbox
            .arm(fault)
            .map_err(|error| Failure::new(error.to_string(), "Give fewer faults."))?;
    }
    output::line(&format!(
        "Simulated exchange (nothing here is real), seed {}, {} markets\n\
         gamma_url: {}\nclob_url: {}\ndata_url: {}\nws_url: {}\nstate: {}/sandbox/state",
        args.seed,
        args.markets,
        sandbox.gamma_url(),
        sandbox.clob_url(),
        sandbox.data_url(),
        sandbox.ws_url(),
        sandbox.base_url(),
    ))?;
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone());
    stop.cancelled().await;
    sandbox.shutdown().await;
    Ok(())
}
