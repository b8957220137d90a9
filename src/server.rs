//! The registry of tools and the ways to reach it: MCP over stdio and over HTTP.
//!
//! The machinery is generic over an application state `S`; the tools themselves, and what they do to
//! the state, are handed in as [`ToolSpec`] values. [`tools`], [`library`], [`api`] and [`watch`]
//! are those of [`App`](crate::app::App). MCP clients,
//! scheduled jobs, the shell and the HTTP API all call [`Registry::call`], so that checks, limits
//! and counts exist once.

pub mod api;
mod arguments;
pub mod caller;
pub mod changes;
pub mod contracts;
pub mod control;
pub mod http;
pub mod lenient;
pub mod library;
mod links;
pub mod mcp;
mod page;
pub mod record;
pub mod registry;
pub mod resources;
pub mod schema;
pub mod stats;
pub mod stdio;
pub mod tool;
pub mod tools;
pub mod watch;

#[cfg(test)]
mod test_app;
#[cfg(test)]
pub(crate) mod test_support;

pub use caller::{Caller, CallerKind, Progress, ProgressSink};
pub use changes::ChangeFeed;
pub use contracts::{contract_files, total_list_bytes};
pub use http::{HttpError, HttpHandle, parse_listen_address, serve_http, serve_routes};
pub use lenient::Limit;
pub use library::Library;
pub use mcp::McpServer;
pub use registry::{Registry, RegistryError};
pub use resources::{
    ResourceBody, ResourceError, ResourceInfo, ResourceProvider, ResourceTemplateInfo, UI_MIME,
};
pub use stats::ToolStats;
pub use stdio::{StdioError, serve_stdio};
pub use tool::{NoArguments, ToolAnnotations, ToolError, ToolOutput, ToolSpec};
pub use watch::watch_changes;
