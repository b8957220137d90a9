//! `dashboard`: the account as a page, read beside any owner of the ledger.

use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::app::{Access, App, AppError, OpenOptions, Source};
use crate::market_data::polymarket::Polymarket;
use crate::server::http::serve_routes;
use crate::server::{api, parse_listen_address};

use super::serve::stop_on_signal;
use super::{Common, Failure, output, start_logging};

/// Options of `dashboard`.
#[derive(Debug, Args)]
pub struct DashboardArgs {
    /// Loopback address; monitoring.dashboard_host when left out.
    #[arg(long)]
    host: Option<String>,
    /// Port; monitoring.dashboard_port when left out.
    #[arg(long)]
    port: Option<u16>,
    /// Account on this kind of source (chooses the default database).
    #[arg(long, value_enum, default_value = "polymarket")]
    source: super::source::Kind,
}

/// Serves the page until stopped. Asks nothing of the venue: all it shows is in the database.
pub async fn dashboard(common: &Common, args: DashboardArgs) -> Result<(), Failure> {
    let config = common.load()?;
    start_logging(&config, "warn")?;
    let host = args
        .host
        .unwrap_or_else(|| config.monitoring.dashboard_host.clone());
    let port = args.port.unwrap_or(config.monitoring.dashboard_port);
    let host = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host
    };
    let address = parse_listen_address(&format!("{host}:{port}"))
        .map_err(|error| Failure::new(error.to_string(), "Use --host 127.0.0.1."))?;
    let kind = args.source.domain();
    let data = Polymarket::new(config.venue.clone(), kind).map_err(AppError::from)?;
    let source = Source {
        data: Arc::new(data),
        advance: None,
    };
    let db = common.db_for(kind);
    let app = App::open(OpenOptions {
        config,
        source,
        db,
        access: Access::Read,
    })
    .await?;
    let shutdown = CancellationToken::new();
    stop_on_signal(shutdown.clone());
    let handle = serve_routes(api::routes(app), address, shutdown)
        .await
        .map_err(|error| Failure::new(error.to_string(), "Choose another --port."))?;
    output::error(&format!(
        "Dashboard at http://{}/ (ctrl-c stops it)",
        handle.local_addr()
    ));
    handle
        .wait()
        .await
        .map_err(|error| Failure::new(error.to_string(), ""))
}
