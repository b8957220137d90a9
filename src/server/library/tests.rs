use serde_json::{Value, json};

use super::*;
use crate::server::test_app::{Account, HOSTILE, WEBHOOK_SECRET, account};

async fn text(account: &Account, uri: &str) -> String {
    Library.read(&account.app, uri).await.unwrap().text
}

async fn value(account: &Account, uri: &str) -> Value {
    serde_json::from_str(&text(account, uri).await).unwrap()
}

#[tokio::test]
async fn everything_listed_can_be_read_as_what_it_says() {
    let account = account().await;
    account.buy_and_tick().await;
    account.keep_backtest("prices, 3 trades");
    let listed = Library.list(&account.app);
    assert_eq!(listed.len(), 10);
    for info in &listed {
        let body = Library.read(&account.app, &info.uri).await.unwrap();
        assert_eq!(body.mime, info.mime, "{}", info.uri);
        assert!(!body.text.contains(WEBHOOK_SECRET), "{}", info.uri);
        if info.mime == JSON {
            let parsed = serde_json::from_str::<Value>(&body.text);
            assert!(parsed.is_ok(), "{}: {}", info.uri, body.text);
        }
    }
    let shown = value(&account, CONFIG).await;
    let hooks = &shown["monitoring"]["alert_webhooks"];
    assert_eq!(hooks, &json!(["http://127.0.0.1/***"]));
}

#[tokio::test]
async fn json_resources_hold_what_the_ledger_does() {
    let account = account().await;
    account.buy_and_tick().await;
    account.estimate_and_tick("m2", "t2").await;
    let portfolio = portfolio::portfolio(&account.app).unwrap();
    assert_eq!(
        value(&account, PORTFOLIO_JSON).await,
        serde_json::to_value(portfolio).unwrap()
    );
    let signals = value(&account, SIGNALS).await;
    assert_eq!(signals["signals"][0]["strategy"], "ai_analyst");
    // The agent's own order is in the log too.
    assert_eq!(signals["signals"][1]["strategy"], "mcp_manual");
    assert_eq!(signals["count_24h"], 2);
    // Newest first: what ai_analyst bought, then what the agent did.
    let trades = value(&account, TRADES).await;
    assert_eq!(trades[0]["market_id"], "m2");
    assert_eq!(
        (&trades[1]["market_id"], &trades[1]["size"]),
        (&json!("m1"), &json!(20.5))
    );
    let snapshots = value(&account, SNAPSHOTS).await;
    assert_eq!(snapshots[0]["positions"]["t1"]["shares"], 50.0);
    let health = value(&account, HEALTH).await;
    assert_eq!(health["ticks"], 2);
}

#[tokio::test]
async fn the_portfolio_page_is_readable_and_names_of_strangers_are_inert() {
    let account = account().await;
    let empty = text(&account, PORTFOLIO).await;
    assert!(empty.contains("| Cash | 1000.00 |"), "{empty}");
    assert!(empty.contains("## Positions\n\nNone."), "{empty}");
    account.buy_and_tick().await;
    let page = text(&account, PORTFOLIO).await;
    assert!(page.contains("| Cash | 979.50 |"), "{page}");
    assert!(page.contains("| Total value | 999.00 |"), "{page}");
    assert!(page.contains("active conditional orders: 1"), "{page}");
    let row = page.lines().find(|line| line.contains("(m1)")).unwrap();
    assert_eq!(
        row,
        r"| &lt;script&gt;alert(1)&lt;/script&gt; \| \[win\](javascript:alert) \`now\` (m1) | Yes | 50 | 0.41 | 0.39 | 20.50 | -1.00 | mcp\_manual | t1 |"
    );
    assert!(!page.contains("<script") && !page.contains(HOSTILE));
    assert!(
        page.contains(
            r"| 2026-01-01T02:00:00Z | mcp\_manual | m1 | Yes | buy | 0.41 | 50 | 20.50 | 0 |"
        ),
        "{page}"
    );
}

#[tokio::test]
async fn the_dashboard_is_a_view_for_apps_and_a_plain_page() {
    let account = account().await;
    let view = Library.read(&account.app, DASHBOARD_UI).await.unwrap();
    assert_eq!(view.mime, "text/html;profile=mcp-app");
    let nowhere = json!({
        "connectDomains": [], "resourceDomains": [], "frameDomains": [], "baseUriDomains": [],
    });
    let meta = json!({ "ui": { "csp": nowhere, "prefersBorder": true } });
    assert_eq!(view.meta.map(Value::Object), Some(meta));
    let page = Library.read(&account.app, DASHBOARD).await.unwrap();
    assert_eq!((page.mime.as_str(), page.meta), ("text/html", None));
    assert_eq!(page.text, view.text);
    assert!(page.text.starts_with("<!doctype html>"));
    let tools = portfolio::tools();
    let ui = tools[0].meta.as_ref().unwrap()["ui"]["resourceUri"].clone();
    assert_eq!(ui, DASHBOARD_UI);
}

#[tokio::test]
async fn backtests_are_read_in_three_forms_and_the_newest_twenty_are_listed() {
    let account = account().await;
    for run in 1..=22 {
        assert_eq!(account.keep_backtest(&format!("run {run}")), run);
    }
    assert_eq!(
        text(&account, "polymarket://backtests/1").await,
        "# a report"
    );
    let page = Library
        .read(&account.app, "polymarket://backtests/22.html")
        .await
        .unwrap();
    assert_eq!(
        (page.text.as_str(), page.mime.as_str()),
        ("<h1>a report</h1>", "text/html")
    );
    let data = value(&account, "polymarket://backtests/22.json").await;
    assert_eq!(data, json!({"total_trades": 3}));
    // A result without a curve has no picture, and says so.
    let picture = Library
        .read(&account.app, "polymarket://backtests/22.png")
        .await;
    let refused = picture.unwrap_err().to_string();
    assert!(refused.contains("no curve"), "{refused}");
    let listed: Vec<_> = Library
        .list(&account.app)
        .into_iter()
        .filter(|info| info.uri.starts_with(BACKTESTS))
        .map(|info| (info.uri, info.title))
        .collect();
    assert_eq!(listed.len(), 20);
    let (uri, title) = &listed[0];
    assert_eq!(uri, "polymarket://backtests/22");
    assert_eq!(title, "Backtest 22: run 22");
    assert_eq!(listed[19].0, "polymarket://backtests/3");
}

#[tokio::test]
async fn a_market_is_fetched_with_its_books() {
    let account = account().await;
    let market = value(&account, "polymarket://markets/m1").await;
    assert_eq!(market["question"], HOSTILE);
    assert_eq!(market["orderbook"]["best_bid"], 0.39);
    assert_eq!(market["orderbook"]["best_ask"], 0.41);
    assert_eq!(market["books"][1]["outcome"], "No");
    assert_eq!(market["books"][1]["best_ask"], 0.61);
}

#[tokio::test]
async fn unknown_addresses_are_not_found() {
    let account = account().await;
    account.keep_backtest("only");
    for uri in [
        "",
        "polymarket://",
        "polymarket://portfolio/",
        "polymarket://Portfolio",
        "polymarket://backtests/",
        "polymarket://backtests/2",
        "polymarket://backtests/+1",
        "polymarket://backtests/-1",
        "polymarket://backtests/1.",
        "polymarket://backtests/1.pdf",
        "polymarket://backtests/1.html.json",
        "polymarket://backtests/1/..",
        "polymarket://backtests/99999999999999999999",
        "polymarket://markets/",
        "polymarket://markets/m1/book",
        "polymarket://markets/nothing",
        "ui://polymarket-agent/other.html",
        "file:///etc/passwd",
    ] {
        let error = Library.read(&account.app, uri).await.unwrap_err();
        assert_eq!(error, ResourceError::NotFound(uri.to_owned()));
    }
}
