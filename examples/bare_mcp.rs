//! The yardstick of `scripts/bench_server.py`: as little of an MCP server as rmcp allows.
//!
//! Two tools, `health_check` and `get_portfolio`, answer with results read once from a JSON file
//! (`{"health_check": RESULT, "get_portfolio": RESULT}`, each RESULT a `tools/call` result as this
//! project's server gave it), so what is measured beside it has the same payload.
//!
//! ```text
//! bare_mcp PAYLOADS.json               stdio
//! bare_mcp PAYLOADS.json --http ADDR   streamable HTTP at http://ADDR/mcp
//! ```

use std::sync::Arc;

use axum::serve::ListenerExt;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{CallToolResult, Implementation, ServerCapabilities, ServerConfig};
use rmcp::transport::stdio_pipes;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the two tools answer.
#[derive(Debug, Deserialize)]
struct Payloads {
    health_check: CallToolResult,
    get_portfolio: CallToolResult,
}

/// The server: cheap to clone, because over HTTP one is made for each session or request.
#[derive(Clone)]
struct Bare {
    tool_router: Arc<ToolRouter<Self>>,
    payloads: Arc<Payloads>,
}

#[tool_router]
impl Bare {
    fn new(payloads: Payloads) -> Self {
        Self {
            tool_router: Arc::new(Self::tool_router()),
            payloads: Arc::new(payloads),
        }
    }

    #[tool(description = "A constant answer", annotations(read_only_hint = true))]
    async fn health_check(&self) -> CallToolResult {
        self.payloads.health_check.clone()
    }

    #[tool(description = "A constant answer", annotations(read_only_hint = true))]
    async fn get_portfolio(&self) -> CallToolResult {
        self.payloads.get_portfolio.clone()
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Bare {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("bare_mcp", env!("CARGO_PKG_VERSION")))
    }
}

async fn serve_http(bare: Bare, address: &str) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let config = StreamableHttpServerConfig::default().with_cancellation_token(stop.child_token());
    let service = StreamableHttpService::new(
        move || Ok(bare.clone()),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    let app = axum::Router::new().nest_service("/mcp", service);
    // axum leaves Nagle's algorithm on, which costs each streamed answer about 40 ms.
    let listener = TcpListener::bind(address).await?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            let _ = tokio::signal::ctrl_c().await;
            // Without this the open event streams would hold the server for ever.
            stop.cancel();
        })
        .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: bare_mcp PAYLOADS.json [--http ADDR]";
    let path = arguments.next().ok_or(usage)?;
    let bare = Bare::new(serde_json::from_slice(&std::fs::read(path)?)?);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("--http"), Some(address)) => serve_http(bare, &address).await,
        (None, _) => {
            bare.serve(stdio_pipes()).await?.waiting().await?;
            Ok(())
        }
        _ => Err(usage.into()),
    }
}
