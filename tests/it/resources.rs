//! What clients read by address, and how they learn of changes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rmcp::model::{
    CallToolRequestParams, ReadResourceRequestParams, ResourceUpdatedNotificationParam,
};
use rmcp::service::{NotificationContext, RunningService};
use rmcp::{ClientHandler, RoleClient, ServiceExt};
use serde_json::{Value, json};

use crate::support::{CALM, Recording, Server, Workspace, at, close};

/// A client that remembers what it was told.
#[derive(Clone, Default)]
struct Listener {
    updated: Arc<Mutex<Vec<String>>>,
    lists: Arc<Mutex<u32>>,
}

impl ClientHandler for Listener {
    async fn on_resource_updated(
        &self,
        notice: ResourceUpdatedNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.updated.lock().unwrap().push(notice.uri);
    }

    async fn on_resource_list_changed(&self, _: NotificationContext<RoleClient>) {
        *self.lists.lock().unwrap() += 1;
    }
}

struct Reader {
    client: RunningService<RoleClient, Listener>,
    heard: Listener,
}

impl Reader {
    async fn open(server: Server) -> Self {
        let heard = Listener::default();
        let client = heard.clone().serve(server.transport()).await.unwrap();
        Reader { client, heard }
    }

    /// Type and text of a resource.
    async fn read(&self, uri: &str) -> (String, String) {
        let params = ReadResourceRequestParams::new(uri.to_owned());
        let read = self.client.read_resource(params).await.unwrap();
        let wire = serde_json::to_value(&read).unwrap();
        let content = &wire["contents"][0];
        assert_eq!(content["uri"], uri);
        let part = |name: &str| content[name].as_str().unwrap().to_owned();
        (part("mimeType"), part("text"))
    }

    async fn json(&self, uri: &str) -> Value {
        let (mime, text) = self.read(uri).await;
        assert_eq!(mime, "application/json", "{uri}");
        serde_json::from_str(&text).unwrap()
    }

    async fn call(&self, tool: &'static str, arguments: Value) -> Value {
        let mut params = CallToolRequestParams::new(tool);
        params.arguments = arguments.as_object().cloned();
        let result = self.client.call_tool(params).await.unwrap();
        assert_eq!(result.is_error, Some(false), "{tool}: {:?}", result.content);
        result.structured_content.unwrap()
    }

    async fn wait_until(&self, what: &str, done: impl Fn(&Listener) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done(&self.heard) {
            assert!(Instant::now() < deadline, "waited for {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
#[expect(deprecated, reason = "clients of the older era subscribe this way")]
async fn resources_are_listed_read_and_announced() {
    let workspace = Workspace::with_config(
        "monitoring: {alert_webhooks: ['http://127.0.0.1:9/a-secret-path']}\n",
    );
    let recording = Recording::new();
    let moment = at(20);
    let server = workspace.server().args(&recording.source(&moment));
    let reader = Reader::open(server).await;
    let listed = reader.client.list_all_resources().await.unwrap();
    let uris: Vec<String> = listed.iter().map(|resource| resource.uri.clone()).collect();
    assert_eq!(
        uris,
        [
            "polymarket://portfolio",
            "polymarket://portfolio.json",
            "ui://polymarket-agent/dashboard.html",
            "polymarket://dashboard",
            "polymarket://signals",
            "polymarket://trades",
            "polymarket://snapshots",
            "polymarket://health",
            "polymarket://config",
        ]
    );
    for resource in &listed {
        let (mime, text) = reader.read(&resource.uri).await;
        assert_eq!(Some(&mime), resource.mime_type.as_ref(), "{}", resource.uri);
        assert!(!text.is_empty(), "{}", resource.uri);
        assert!(
            !text.contains("a-secret-path"),
            "{} tells a secret",
            resource.uri
        );
    }
    let templates = reader.client.list_all_resource_templates().await.unwrap();
    assert_eq!(templates.len(), 5);
    let config = reader.json("polymarket://config").await;
    assert_eq!(config["risk"]["max_position_size"], 100.0);
    let market = reader.json(&format!("polymarket://markets/{CALM}")).await;
    let detail = reader
        .call("get_market_detail", json!({"market_id": CALM}))
        .await;
    assert_eq!(market, detail);

    // A trade is told to those who asked, within the second look at the ledger.
    for uri in ["polymarket://portfolio.json", "polymarket://trades"] {
        let params = rmcp::model::SubscribeRequestParams::new(uri);
        reader.client.subscribe(params).await.unwrap();
    }
    // The watcher must have had its first look, which says from where on there are changes.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    reader
        .call(
            "place_trade",
            json!({
                "market_id": CALM, "token_id": recording.token(CALM, 0), "side": "buy",
                "size": 10, "price": 0.51,
            }),
        )
        .await;
    reader
        .wait_until("word of the trade", |heard| {
            let updated = heard.updated.lock().unwrap();
            ["polymarket://portfolio.json", "polymarket://trades"]
                .iter()
                .all(|uri| updated.iter().any(|told| told == uri))
        })
        .await;
    let updated = reader.heard.updated.lock().unwrap().clone();
    assert!(
        !updated.iter().any(|uri| uri == "polymarket://signals"),
        "nobody asked for {updated:?}"
    );
    let portfolio = reader.json("polymarket://portfolio.json").await;
    assert_eq!(portfolio, reader.call("get_portfolio", json!({})).await);
    close(
        portfolio["balance"].as_f64().unwrap(),
        1000.0 - 9.996 - 0.34286,
    );
    let trades = reader.json("polymarket://trades").await;
    assert_eq!(trades.as_array().unwrap().len(), 1);
    let (_, page) = reader.read("polymarket://portfolio").await;
    assert!(page.contains("Will number 1009 happen?"), "{page}");

    // A backtest becomes a resource, and the list says so.
    let done = reader
        .call("run_backtest", json!({"data_dir": recording.path()}))
        .await;
    let uri = done["report_uri"].as_str().unwrap();
    let (mime, report) = reader.read(uri).await;
    assert_eq!(mime, "text/markdown");
    assert!(report.contains("synthesised"), "{report}");
    let (mime, report) = reader.read(&format!("{uri}.html")).await;
    assert_eq!(mime, "text/html");
    assert!(report.to_lowercase().starts_with("<!doctype html>"));
    let whole = reader.json(&format!("{uri}.json")).await;
    assert_eq!(whole["final_cash"], done["final_cash"]);
    assert_eq!(whole["trades"].as_array().unwrap().len(), 8);
    let params = ReadResourceRequestParams::new(format!("{uri}.png"));
    let chart = reader.client.read_resource(params).await.unwrap();
    let chart = serde_json::to_value(&chart).unwrap();
    assert_eq!(chart["contents"][0]["mimeType"], "image/png");
    // Base64 of the eight bytes that every PNG begins with.
    let blob = chart["contents"][0]["blob"].as_str().unwrap();
    assert!(blob.starts_with("iVBORw0KGgo"), "{blob:.40}");
    reader
        .wait_until("word of the new report", |heard| {
            *heard.lists.lock().unwrap() > 0
        })
        .await;
    let listed = reader.client.list_all_resources().await.unwrap();
    assert!(listed.iter().any(|resource| resource.uri == uri));

    for uri in [
        "polymarket://nothing",
        "polymarket://backtests/99",
        "polymarket://backtests/../1",
        "polymarket://markets/nowhere",
        "file:///etc/passwd",
    ] {
        let params = ReadResourceRequestParams::new(uri);
        let error = reader.client.read_resource(params).await.unwrap_err();
        assert!(error.to_string().contains("no resource"), "{uri}: {error}");
    }
    reader.client.cancel().await.unwrap();
}
