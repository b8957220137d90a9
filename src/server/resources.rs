//! What can be read by address: portfolio, dashboard, signals, reports.

use std::sync::Arc;

use async_trait::async_trait;

use super::schema::JsonObject;

/// The type that hosts of MCP Apps ask of a page they show.
pub const UI_MIME: &str = "text/html;profile=mcp-app";

/// One readable resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceInfo {
    /// Its address.
    pub uri: String,
    /// Short name for programs.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// What it holds.
    pub description: String,
    /// MIME type, e.g. `application/json`; [`UI_MIME`] for `ui://` pages.
    pub mime: String,
}

/// A family of resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceTemplateInfo {
    /// RFC 6570 template, e.g. `polymarket://markets/{id}`.
    pub uri_template: String,
    /// Short name for programs.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// What they hold.
    pub description: String,
    /// MIME type.
    pub mime: String,
}

/// What a resource holds now.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceBody {
    /// The whole text; of an image its bytes in base64.
    pub text: String,
    /// MIME type.
    pub mime: String,
    /// `_meta` of the content, e.g. `ui` with the content security policy of a page.
    pub meta: Option<JsonObject>,
}

/// A resource could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// Nothing has this address.
    #[error("there is no resource `{0}`")]
    NotFound(String),
    /// It exists and could not be read.
    #[error("{0}")]
    Failed(String),
}

/// Where resources come from.
#[async_trait]
pub trait ResourceProvider<S>: Send + Sync {
    /// All resources that exist now, in a fixed order.
    fn list(&self, state: &S) -> Vec<ResourceInfo>;

    /// The families of resources.
    fn templates(&self) -> Vec<ResourceTemplateInfo>;

    /// Whether it has `ui://` pages for hosts of MCP Apps.
    fn shows_pages(&self) -> bool {
        false
    }

    /// Reads one. Errors: [`ResourceError`].
    async fn read(&self, state: &Arc<S>, uri: &str) -> Result<ResourceBody, ResourceError>;
}
