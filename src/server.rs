//! The registry of tools and the ways to reach it: MCP over stdio and over HTTP.
//!
//! Everything here is generic over an application state `S`; the tools themselves, and what they
//! do to the state, are written elsewhere and handed in as [`ToolSpec`] values. MCP clients,
//! scheduled jobs, the shell and the HTTP API all call [`Registry::call`], so that checks, limits
//! and counts exist once.

mod arguments;
pub mod caller;
pub mod changes;
pub mod contracts;
pub mod http;
pub mod lenient;
pub mod mcp;
pub mod registry;
pub mod resources;
pub mod schema;
pub mod stats;
pub mod stdio;
pub mod tool;
pub mod tools;

#[cfg(test)]
pub(crate) mod test_support;

pub use caller::{Caller, CallerKind, Progress, ProgressSink};
pub use changes::ChangeFeed;
pub use contracts::{contract_files, total_list_bytes};
pub use http::{HttpError, HttpHandle, parse_listen_address, serve_http};
pub use lenient::Limit;
pub use mcp::McpServer;
pub use registry::{Registry, RegistryError};
pub use resources::{
    ResourceBody, ResourceError, ResourceInfo, ResourceProvider, ResourceTemplateInfo, UI_MIME,
};
pub use stats::ToolStats;
pub use stdio::{StdioError, serve_stdio};
pub use tool::{NoArguments, ToolAnnotations, ToolError, ToolOutput, ToolSpec};
