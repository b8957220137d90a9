use super::*;
use crate::server::stdio::serve_pair;
use crate::server::test_support::{Toy, server};
use rmcp::model::{
    CallToolRequest, ClientCapabilities, ClientConfig, ClientRequest, JsonObject,
    ProgressNotificationParam, ProtocolVersion, ResourceUpdatedNotificationParam,
};
use rmcp::service::{PeerRequestOptions, RunningService};
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt, RoleClient, ServiceExt};
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use tokio::task::JoinHandle;

#[derive(Clone, Default)]
struct Client {
    updates: Arc<Mutex<Vec<String>>>,
    lists: Arc<AtomicU32>,
    steps: Arc<Mutex<Vec<f64>>>,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("toy\nclient", "0"),
        )
    }
    async fn on_resource_updated(
        &self,
        notice: ResourceUpdatedNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        lock(&self.updates).push(notice.uri);
    }
    async fn on_resource_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.lists.fetch_add(1, Ordering::SeqCst);
    }
    async fn on_progress(
        &self,
        notice: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        lock(&self.steps).push(notice.progress);
    }
}

struct Connection {
    client: RunningService<RoleClient, Client>,
    seen: Client,
    changes: ChangeFeed,
    serving: JoinHandle<Result<(), crate::server::StdioError>>,
}

async fn connect(modern: bool) -> Connection {
    let changes = ChangeFeed::default();
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let server: McpServer<Toy> = server(changes.clone());
    let serving = tokio::spawn(async move {
        let (reader, writer) = tokio::io::split(ours);
        serve_pair(&server, reader, writer, CancellationToken::new()).await
    });
    let seen = Client::default();
    let client = if modern {
        let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
        let mode = ClientLifecycleMode::Discover { preferred_versions };
        seen.clone()
            .serve_with_lifecycle(theirs, mode)
            .await
            .unwrap()
    } else {
        seen.clone().serve(theirs).await.unwrap()
    };
    Connection {
        client,
        seen,
        changes,
        serving,
    }
}

fn request(name: &'static str, arguments: Value) -> CallToolRequestParams {
    let arguments: JsonObject = arguments.as_object().unwrap().clone();
    CallToolRequestParams::new(name).with_arguments(arguments)
}

fn text(result: &CallToolResult) -> &str {
    &result.content[0].as_text().unwrap().text
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(80)).await;
}

#[tokio::test]
async fn tools_work_in_both_eras() {
    for modern in [false, true] {
        let Connection { client, .. } = connect(modern).await;
        let info = client.peer().peer_info().unwrap();
        let identity = info.server_info.clone().unwrap();
        assert_eq!(identity.name, "polymarket-agent");
        assert_eq!(identity.version, env!("CARGO_PKG_VERSION"));
        assert_eq!(info.instructions.as_deref(), Some("Use add."));
        let extensions = info.capabilities.extensions.clone().unwrap();
        assert_eq!(
            extensions["io.modelcontextprotocol/ui"]["mimeTypes"],
            json!(["text/html;profile=mcp-app"])
        );
        let tools = client.list_all_tools().await.unwrap();
        let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
        assert_eq!(
            names,
            ["add", "quote", "slow", "steps", "explode", "whoami"]
        );
        assert_eq!(
            tools[1].meta.as_ref().unwrap()["ui"]["resourceUri"],
            "ui://toy/page.html"
        );

        let result = client
            .call_tool(request("quote", json!({"market_id": "m1"})))
            .await
            .unwrap();
        assert_eq!(result.is_error, Some(false), "modern={modern}");
        assert_eq!(text(&result), "m1: bid 0.4, no ask");
        assert_eq!(
            result.structured_content,
            Some(json!({"market_id": "m1", "bid": 0.4, "ask": null}))
        );
        let result = client
            .call_tool(CallToolRequestParams::new("whoami"))
            .await
            .unwrap();
        assert_eq!(
            result.structured_content,
            Some(json!({"caller": "mcp:toy client"}))
        );
    }
}

#[tokio::test]
async fn errors_reach_the_model_with_their_hint() {
    for modern in [false, true] {
        let Connection { client, .. } = connect(modern).await;
        let result = client
            .call_tool(request("quote", json!({"market_id": "m9"})))
            .await
            .unwrap();
        assert_eq!(result.is_error, Some(true));
        assert_eq!(
            text(&result),
            "there is no market m9\nhint: the only one is m1"
        );
        assert_eq!(
            result.structured_content,
            Some(json!({
                "code": "not_found",
                "message": "there is no market m9",
                "hint": "the only one is m1",
            }))
        );
        let result = client
            .call_tool(request("add", json!({"a": 1, "x": 2})))
            .await
            .unwrap();
        assert_eq!(result.is_error, Some(true));
        assert!(text(&result).contains("unknown parameter `x`\nhint: add takes: a (integer"));
        let result = client
            .call_tool(request("explode", json!({"early": false})))
            .await
            .unwrap();
        assert_eq!(result.structured_content.unwrap()["code"], "internal");
        for name in ["nope", "tick"] {
            let error = client
                .call_tool(request(name, json!({})))
                .await
                .unwrap_err();
            assert!(error.to_string().contains("tool not found"), "{error}");
            assert!(error.to_string().contains("-32602"), "{error}");
        }
        let result = client
            .call_tool(request("add", json!({"a": 1, "b": 2})))
            .await
            .unwrap();
        assert_eq!(result.structured_content.unwrap()["sum"], 3);
    }
}

#[tokio::test]
async fn progress_and_cancellation_pass_through() {
    for modern in [false, true] {
        let Connection { client, seen, .. } = connect(modern).await;
        client.call_tool(request("steps", json!({}))).await.unwrap();
        settle().await;
        assert_eq!(*lock(&seen.steps), [1.0, 2.0, 3.0, 4.0], "modern={modern}");

        let call = CallToolRequest::new(request("steps", json!({})));
        let handle = client
            .send_cancellable_request(
                ClientRequest::CallToolRequest(call),
                PeerRequestOptions::no_options(),
            )
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(40)).await;
        handle.cancel(Some("enough".to_owned())).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let steps = lock(&seen.steps).len();
        assert!(
            (5..8).contains(&steps),
            "stopped before the fourth step: {steps}"
        );
    }
}

#[tokio::test]
async fn resources_are_paged_and_read() {
    for modern in [false, true] {
        let Connection { client, .. } = connect(modern).await;
        let first = client.list_resources(None).await.unwrap();
        assert_eq!(
            (first.resources.len(), first.next_cursor.as_deref()),
            (50, Some("50"))
        );
        assert_eq!(first.ttl_ms, Some(30_000));
        assert_eq!(client.list_all_resources().await.unwrap().len(), 61);
        let page = PaginatedRequestParams::default().with_cursor(Some("x".to_owned()));
        assert!(client.list_resources(Some(page)).await.is_err());
        assert_eq!(client.list_all_resource_templates().await.unwrap().len(), 1);

        let read = |uri: &str| client.read_resource(ReadResourceRequestParams::new(uri));
        let page = read("ui://toy/page.html").await.unwrap();
        let ResourceContents::TextResourceContents {
            mime_type,
            text,
            meta,
            ..
        } = &page.contents[0]
        else {
            panic!("{page:?}");
        };
        assert_eq!(mime_type.as_deref(), Some("text/html;profile=mcp-app"));
        assert_eq!(text, "<!doctype html><p>hi</p>");
        assert_eq!(meta.as_ref().unwrap()["ui"]["prefersBorder"], true);

        let missing = read("toy://nothing").await.unwrap_err().to_string();
        let code = if modern { "-32602" } else { "-32002" };
        assert!(missing.contains(code), "modern={modern}: {missing}");
        let broken = read("toy://broken").await.unwrap_err().to_string();
        assert!(broken.contains("the disk is full"), "{broken}");
        let panicked = read("toy://panic").await.unwrap_err().to_string();
        assert!(panicked.contains("a bug in the server") && !panicked.contains("secret"));
    }
}

#[tokio::test]
#[expect(deprecated, reason = "older clients subscribe this way")]
async fn changes_reach_older_clients_that_subscribed() {
    let Connection {
        client,
        seen,
        changes,
        ..
    } = connect(false).await;
    client
        .subscribe(SubscribeRequestParams::new("toy://ticks"))
        .await
        .unwrap();
    settle().await;
    changes.resource_updated("toy://ticks");
    changes.resource_updated("toy://other");
    changes.list_changed();
    settle().await;
    assert_eq!(*lock(&seen.updates), ["toy://ticks"]);
    assert_eq!(seen.lists.load(Ordering::SeqCst), 1);
    client
        .unsubscribe(UnsubscribeRequestParams::new("toy://ticks"))
        .await
        .unwrap();
    changes.resource_updated("toy://ticks");
    settle().await;
    assert_eq!(lock(&seen.updates).len(), 1);
}

#[tokio::test]
async fn changes_reach_newer_clients_that_listen() {
    let Connection {
        client,
        changes,
        serving,
        ..
    } = connect(true).await;
    let filter = SubscriptionFilter::builder()
        .tools_list_changed()
        .resource_subscription("toy://ticks")
        .build();
    let mut subscription = client.listen(filter).await.unwrap();
    settle().await;
    changes.resource_updated("toy://other");
    changes.list_changed();
    changes.resource_updated("toy://ticks");
    let wait = Duration::from_secs(2);
    let first = tokio::time::timeout(wait, subscription.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(format!("{first:?}").contains("toy://ticks"), "{first:?}");
    let quiet = tokio::time::timeout(Duration::from_millis(100), subscription.next()).await;
    assert!(quiet.is_err(), "only what was asked for");

    // An open subscription does not hold the server when the client leaves.
    let started = std::time::Instant::now();
    client.cancel().await.unwrap();
    serving.await.unwrap().unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_client_that_leaves_before_opening_is_no_error() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    drop(theirs);
    let (reader, writer) = tokio::io::split(ours);
    let server = server(ChangeFeed::default());
    serve_pair(&server, reader, writer, CancellationToken::new())
        .await
        .unwrap();
}

#[tokio::test]
async fn shutdown_ends_a_session() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (reader, writer) = tokio::io::split(ours);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let serving = tokio::spawn(async move {
        serve_pair(&server(ChangeFeed::default()), reader, writer, stop).await
    });
    let client = Client::default().serve(theirs).await.unwrap();
    assert_eq!(client.list_all_tools().await.unwrap().len(), 6);
    shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(8), serving).await;
    ended.unwrap().unwrap().unwrap();
}
