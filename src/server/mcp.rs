//! What MCP clients talk to: tools and resources, in both eras of the protocol.
//!
//! Until 2025-11-25 a session begins with `initialize`, and updates of subscribed resources come
//! unasked; from 2026-07-28 every request stands alone, and updates travel on
//! `subscriptions/listen`. rmcp tells the two apart; both end in the same methods here.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock,
    ExtensionCapabilities, Implementation, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, MetaObject, PaginatedRequestParams, ProgressToken, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
    ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter, Tool,
    UnsubscribeRequestParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, Peer, RoleServer, ServerHandler};
use serde_json::{Value, json};
use tokio::sync::SetOnce;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::caller::{Caller, CallerKind, ProgressSink};
use super::changes::{Change, ChangeFeed};
use super::contracts::definitions;
use super::links::links_of;
use super::registry::Registry;
use super::resources::{ResourceError, ResourceProvider, UI_MIME};
use super::tool::{ToolError, ToolOutput};
use crate::domain::text::{MAX_NAME, clean};

mod progress;
mod session;

use progress::Reporter;
use session::{Session, forward, lock};

/// How long clients may keep the list of tools: it never changes while the server runs.
const TOOLS_TTL_MS: u64 = 3_600_000;
/// How long clients may keep the list of resources.
const RESOURCES_TTL_MS: u64 = 30_000;
/// Resources per page.
const PAGE: usize = 50;
/// How long a resource may take to read.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// Subscriptions of one session: more is a mistake or an attack.
const MAX_SUBSCRIPTIONS: usize = 1_000;

/// A state that may still be on its way: what a client asks for waits until it is there, what needs
/// no state (the handshake, the list of tools) does not.
pub type StateCell<S> = Arc<SetOnce<Arc<S>>>;

/// What all sessions share.
struct Shared<S> {
    registry: Arc<Registry<S>>,
    state: StateCell<S>,
    tools: Vec<Tool>,
    config: ServerConfig,
    resources: Option<Arc<dyn ResourceProvider<S>>>,
    changes: ChangeFeed,
}

/// The MCP handler. Cloning is cheap and stays in the same session; see [`McpServer::session`].
pub struct McpServer<S> {
    shared: Arc<Shared<S>>,
    session: Arc<Session>,
}

impl<S> Clone for McpServer<S> {
    fn clone(&self) -> Self {
        McpServer {
            shared: Arc::clone(&self.shared),
            session: Arc::clone(&self.session),
        }
    }
}

impl<S> std::fmt::Debug for McpServer<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McpServer")
            .field("tools", &self.shared.tools.len())
            .finish_non_exhaustive()
    }
}

impl<S: Send + Sync + 'static> McpServer<S> {
    /// A server of these tools. `instructions` say what no single tool can: order of calls,
    /// units, limits; some clients cut them at 2,048 characters.
    #[must_use]
    pub fn new(registry: Arc<Registry<S>>, state: Arc<S>, instructions: &str) -> Self {
        Self::pending(
            registry,
            Arc::new(SetOnce::new_with(Some(state))),
            instructions,
        )
    }

    /// The same for a state that is still being made: answer first, open the ledger meanwhile.
    #[must_use]
    pub fn pending(registry: Arc<Registry<S>>, state: StateCell<S>, instructions: &str) -> Self {
        let shared = Shared {
            tools: definitions(&registry),
            registry,
            state,
            config: ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
                .with_server_info(identity())
                .with_instructions(instructions),
            resources: None,
            changes: ChangeFeed::default(),
        };
        McpServer {
            shared: Arc::new(shared),
            session: Session::new(),
        }
    }

    /// The same with resources, and the feed on which their changes are announced.
    #[must_use]
    pub fn with_resources(
        self,
        resources: Arc<dyn ResourceProvider<S>>,
        changes: ChangeFeed,
    ) -> Self {
        let mut extensions = ExtensionCapabilities::new();
        let pages = resources.shows_pages();
        if pages {
            let mut details = serde_json::Map::new();
            details.insert("mimeTypes".to_owned(), json!([UI_MIME]));
            extensions.insert("io.modelcontextprotocol/ui".to_owned(), details);
        }
        let mut config = self.shared.config.clone();
        config.capabilities = ServerCapabilities::builder()
            .enable_extensions_with(extensions)
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_tools()
            .build();
        if !pages {
            config.capabilities.extensions = None;
        }
        let shared = Shared {
            registry: Arc::clone(&self.shared.registry),
            state: Arc::clone(&self.shared.state),
            tools: self.shared.tools.clone(),
            config,
            resources: Some(resources),
            changes,
        };
        McpServer {
            shared: Arc::new(shared),
            session: self.session,
        }
    }

    /// The same server for another connection: subscriptions are not shared with this one.
    #[must_use]
    pub fn session(&self) -> Self {
        McpServer {
            shared: Arc::clone(&self.shared),
            session: Session::new(),
        }
    }

    /// Cancelled by the transport when the client closed its end, so that what waits for the
    /// client stops waiting.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.session.closing.clone()
    }

    fn provider(&self) -> Result<&Arc<dyn ResourceProvider<S>>, ErrorData> {
        self.shared
            .resources
            .as_ref()
            .ok_or_else(|| ErrorData::invalid_params("this server has no resources", None))
    }

    /// Calls a tool and passes its progress on under the client's token.
    async fn call_reporting(
        &self,
        name: &str,
        arguments: Value,
        caller: Caller,
        token: Option<ProgressToken>,
        peer: &Peer<RoleServer>,
    ) -> Result<ToolOutput, ToolError> {
        let state = Arc::clone(self.shared.state.wait().await);
        let Some(token) = token else {
            return self
                .shared
                .registry
                .call(state, name, arguments, caller)
                .await;
        };
        let (sink, reports) = ProgressSink::channel();
        let caller = caller.with_progress(sink);
        let reporter = Reporter {
            reports,
            token,
            peer,
            sent: None,
        };
        reporter
            .follow(self.shared.registry.call(state, name, arguments, caller))
            .await
    }
}

fn identity() -> Implementation {
    Implementation::new("polymarket-agent", env!("CARGO_PKG_VERSION"))
        .with_title("Polymarket Agent")
        .with_description(env!("CARGO_PKG_DESCRIPTION"))
}

fn call_result(result: Result<ToolOutput, ToolError>) -> CallToolResult {
    match result {
        Ok(output) => {
            let links = links_of(&output.structured);
            let text = ContentBlock::text(output.text);
            let mut answer = CallToolResult::success([vec![text], links].concat());
            answer.structured_content = Some(output.structured);
            answer
        }
        Err(error) => {
            let mut answer = CallToolResult::error(vec![ContentBlock::text(error.to_text())]);
            answer.structured_content = serde_json::to_value(error).ok();
            answer
        }
    }
}

// `subscribe` and `unsubscribe` belong to the older era, which most clients still speak.
impl<S: Send + Sync + 'static> ServerHandler for McpServer<S> {
    fn get_info(&self) -> ServerConfig {
        self.shared.config.clone()
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.shared.tools.clone())
            .with_ttl_ms(TOOLS_TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.shared
            .tools
            .iter()
            .find(|tool| tool.name == name)
            .cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let client = context
            .client_info()
            .map(|info| clean(&info.name, MAX_NAME))
            .filter(|name| !name.is_empty());
        let caller = Caller::new(CallerKind::Mcp { client }).with_cancellation(context.ct.clone());
        let arguments = request.arguments.map_or(Value::Null, Value::Object);
        let token = context.meta.get_progress_token();
        let result = self
            .call_reporting(&request.name, arguments, caller, token, &context.peer)
            .await;
        match result {
            // The protocol wants this one as its own kind of error.
            Err(error) if error.code == "unknown_tool" => {
                let text = format!("tool not found: {}; {}", error.message, error.hint);
                Err(ErrorData::invalid_params(text, None))
            }
            result => Ok(call_result(result).into()),
        }
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let Some(provider) = &self.shared.resources else {
            return Ok(ListResourcesResult::default());
        };
        let start = match request.and_then(|request| request.cursor) {
            None => 0,
            Some(cursor) => cursor
                .parse::<usize>()
                .map_err(|_| ErrorData::invalid_params("this cursor is not one of ours", None))?,
        };
        let all = provider.list(self.shared.state.wait().await);
        let more = all.len() > start.saturating_add(PAGE);
        let page = all.into_iter().skip(start).take(PAGE).map(|info| {
            Resource::new(info.uri, info.name)
                .with_title(info.title)
                .with_description(info.description)
                .with_mime_type(info.mime)
        });
        let mut result = ListResourcesResult::with_all_items(page.collect())
            .with_ttl_ms(RESOURCES_TTL_MS)
            .with_cache_scope(CacheScope::Private);
        result.next_cursor = more.then(|| (start + PAGE).to_string());
        Ok(result)
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = self
            .shared
            .resources
            .as_ref()
            .map(|provider| provider.templates())
            .unwrap_or_default();
        let templates = templates.into_iter().map(|info| {
            ResourceTemplate::new(info.uri_template, info.name)
                .with_title(info.title)
                .with_description(info.description)
                .with_mime_type(info.mime)
        });
        Ok(
            ListResourceTemplatesResult::with_all_items(templates.collect())
                .with_ttl_ms(TOOLS_TTL_MS)
                .with_cache_scope(CacheScope::Public),
        )
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri.as_str();
        let provider = self.provider()?;
        let state = self.shared.state.wait().await;
        let read = AssertUnwindSafe(async { provider.read(state, uri).await }).catch_unwind();
        let read = tokio::select! {
            read = tokio::time::timeout(READ_LIMIT, read) => read,
            () = context.ct.cancelled() => {
                return Err(ErrorData::internal_error("cancelled", None));
            }
        };
        let body = match read {
            Ok(Ok(Ok(body))) => body,
            Ok(Ok(Err(ResourceError::NotFound(_)))) => {
                let text = format!("there is no resource `{}`", clean(uri, MAX_NAME));
                return Err(ErrorData::resource_not_found(
                    text,
                    Some(json!({ "uri": clean(uri, MAX_NAME) })),
                ));
            }
            Ok(Ok(Err(error @ ResourceError::Failed(_)))) => {
                return Err(ErrorData::internal_error(error.to_string(), None));
            }
            Ok(Err(_)) => {
                tracing::error!(uri = clean(uri, MAX_NAME), "reading a resource panicked");
                let text = "the resource could not be read: a bug in the server";
                return Err(ErrorData::internal_error(text, None));
            }
            Err(_) => {
                let text = "the resource took too long to read";
                return Err(ErrorData::internal_error(text, None));
            }
        };
        let mut contents = if body.mime.starts_with("image/") {
            ResourceContents::blob(body.text, uri)
        } else {
            ResourceContents::text(body.text, uri)
        }
        .with_mime_type(body.mime);
        if let Some(meta) = body.meta {
            let mut wire = MetaObject::new();
            for (key, value) in meta {
                wire.insert(key, value);
            }
            contents = contents.with_meta(wire);
        }
        Ok(ReadResourceResult::new(vec![contents])
            .with_ttl_ms(0)
            .with_cache_scope(CacheScope::Private)
            .into())
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        if self.shared.resources.is_none() || self.session.forwarding.swap(true, Ordering::SeqCst) {
            return;
        }
        tokio::spawn(forward(
            self.shared.changes.clone(),
            Arc::clone(&self.session.subscribed),
            context.peer,
            self.session.closing.clone(),
        ));
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.provider()?;
        let mut subscribed = lock(&self.session.subscribed);
        if subscribed.len() >= MAX_SUBSCRIPTIONS {
            let text = format!("a session may subscribe to {MAX_SUBSCRIPTIONS} resources");
            return Err(ErrorData::invalid_params(text, None));
        }
        // Addresses that nothing has yet are fine: it may come to exist.
        subscribed.insert(request.uri);
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        lock(&self.session.subscribed).remove(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        self.shared.resources.as_ref().map(|_| requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut feed = self.shared.changes.subscribe();
        let sink = context.sink().clone();
        loop {
            let change = tokio::select! {
                () = context.cancelled() => return Ok(()),
                () = self.session.closing.cancelled() => return Ok(()),
                change = feed.recv() => change,
            };
            // The sink refuses what the client did not ask for; that is its filter, no fault.
            let sent = match change {
                Ok(Change::List) => sink.notify_resource_list_changed().await,
                Ok(Change::Resource(uri)) => sink.notify_resource_updated(&*uri).await,
                Err(RecvError::Lagged(_)) => {
                    let accepted = context.accepted().resource_subscriptions.clone();
                    for uri in accepted.unwrap_or_default() {
                        if let Err(error) = sink.notify_resource_updated(uri).await {
                            tracing::trace!(%error, "change not sent");
                        }
                    }
                    sink.notify_resource_list_changed().await
                }
                Err(RecvError::Closed) => return Ok(()),
            };
            if let Err(error) = sent {
                tracing::trace!(%error, "change not sent");
            }
        }
    }
}

#[cfg(test)]
mod tests;
