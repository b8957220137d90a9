//! `sandbox`: a simulated exchange on this machine, until stopped.

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::sandbox::{self, SandboxConfig};
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
}

/// Serves until ctrl-c.
pub async fn sandbox(args: SandboxArgs) -> Result<(), Failure> {
    let listen = parse_listen_address(&args.listen)
        .map_err(|error| Failure::new(error.to_string(), "Use e.g. 127.0.0.1:8090."))?;
    let config = SandboxConfig {
        seed: args.seed,
        markets: args.markets,
        inefficiencies: args.inefficiency,
        speed: (args.speed > 0.0).then_some(args.speed),
        ..SandboxConfig::default()
    };
    let sandbox = sandbox::start(config, listen).await.map_err(|error| {
        Failure::new(error.to_string(), "Choose another port or other options.")
    })?;
    output::line(&format!(
        "Simulated exchange (nothing here is real), seed {}, {} markets\n\
         gamma_url: {}\nclob_url: {}\ndata_url: {}\nstate: {}/sandbox/state",
        args.seed,
        args.markets,
        sandbox.gamma_url(),
        sandbox.clob_url(),
        sandbox.data_url(),
        sandbox.base_url(),
    ))?;
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone());
    stop.cancelled().await;
    sandbox.shutdown().await;
    Ok(())
}
