//! A refusing test for every limit of the operator, through MCP and through the shell, with the
//! order that the limit still lets pass beside it.

use serde_json::{Value, json};

use crate::support::{CALM, DECLINING, Recording, Workspace, at, close};

/// An account on the recording, with these limits.
struct Account {
    workspace: Workspace,
    recording: Recording,
    hour: i64,
}

impl Account {
    fn with_limits(yaml: &str) -> Self {
        Account {
            workspace: Workspace::with_config(yaml),
            recording: Recording::new(),
            hour: 20,
        }
    }

    /// An order at the best price of its side: CALM is 0.49 / 0.51, DECLINING 0.59 / 0.61.
    fn order(&self, market: &str, side: &str, price: f64, size: f64) -> Value {
        json!({
            "market_id": market, "token_id": self.recording.token(market, 0),
            "side": side, "price": price, "size": size,
        })
    }

    fn call(&self, tool: &str, arguments: &Value) -> crate::support::Run {
        let moment = at(self.hour);
        let source = self.recording.source(&moment);
        self.workspace.call(&source, tool, arguments)
    }

    /// The order goes through.
    fn passes(&self, order: &Value) -> Value {
        let done = self.call("place_trade", order).ok().json();
        assert_eq!(done["status"], "filled", "{done}");
        done
    }

    /// The order is refused by this limit, the same in the shell and over MCP, and nothing moves.
    async fn refused(&self, order: &Value, limit: &str, words: &[&str]) {
        let before = self.call("get_portfolio", &json!({})).ok().json();
        let run = self.call("place_trade", order).failed();
        let shell = run.json();
        assert_eq!(shell["code"], limit, "{shell}");
        for word in words {
            assert!(shell["message"].as_str().unwrap().contains(word), "{shell}");
        }
        assert!(run.stderr.contains(shell["hint"].as_str().unwrap()));

        let moment = at(self.hour);
        let session = self
            .workspace
            .server()
            .args(&self.recording.source(&moment))
            .spawn_stdio()
            .await;
        let mut dry = order.clone();
        dry["dry_run"] = json!(true);
        let preview = session.call("place_trade", dry).await;
        assert_eq!(preview["would_pass"], false);
        let broken: Vec<&Value> = preview["limits"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| check["passed"] == false)
            .collect();
        assert!(
            broken.iter().any(|check| check["limit"] == limit),
            "{broken:?}"
        );
        let mcp = session.fails("place_trade", order.clone()).await;
        assert_eq!(mcp.code, limit);
        assert_eq!(mcp.message, shell["message"]);
        assert_eq!(mcp.hint, shell["hint"]);
        let log = session.call("get_signal_log", json!({"limit": 1})).await;
        assert_eq!(log["signals"][0]["status"], "rejected");
        assert_eq!(log["signals"][0]["rejection"], mcp.message);
        let after = session.call("get_portfolio", json!({})).await;
        for same in ["balance", "fees_paid", "recent_trades"] {
            assert_eq!(after[same], before[same], "{same}");
        }
        assert_eq!(holdings(&after), holdings(&before));
        session.close().await;
    }
}

/// Token, shares and cost of each position. (The question is known only to a process that has
/// looked at the market.)
fn holdings(portfolio: &Value) -> Vec<(String, Value, Value)> {
    let positions = portfolio["positions"].as_object().unwrap();
    positions
        .iter()
        .map(|(token, held)| (token.clone(), held["shares"].clone(), held["cost"].clone()))
        .collect()
}

#[tokio::test]
async fn max_position_size() {
    let account = Account::with_limits("risk: {max_position_size: 30}");
    // 58.82 shares × 0.51 = 29.9982; 60.78 × 0.51 = 30.9978.
    let at_limit = account.order(CALM, "buy", 0.51, 30.0);
    account
        .refused(
            &account.order(CALM, "buy", 0.51, 31.0),
            "max_position_size",
            &["30.9978", "30"],
        )
        .await;
    close(account.passes(&at_limit)["size"].as_f64().unwrap(), 29.9982);
    sale_passes(&account);
}

/// A sale of what is held goes through whatever the limits on buying say.
fn sale_passes(account: &Account) {
    let held = account.call("get_portfolio", &json!({})).ok().json();
    let shares = held["positions"][account.recording.token(CALM, 0)]["shares"]
        .as_f64()
        .unwrap();
    let sold =
        account.passes(&account.order(CALM, "sell", 0.49, (shares * 0.49 * 1e6).round() / 1e6));
    close(sold["shares"].as_f64().unwrap(), shares);
    let after = account.call("get_portfolio", &json!({})).ok().json();
    assert!(after["positions"][account.recording.token(CALM, 0)].is_null());
}

#[tokio::test]
async fn max_market_exposure() {
    let account = Account::with_limits("risk: {max_market_exposure: 50}");
    account.passes(&account.order(CALM, "buy", 0.51, 30.0));
    account
        .refused(
            &account.order(CALM, "buy", 0.51, 30.0),
            "max_market_exposure",
            // 29.9982 held, as much again wanted.
            &["59.9964", "50"],
        )
        .await;
    account.passes(&account.order(DECLINING, "buy", 0.61, 30.0));
    account.passes(&account.order(CALM, "buy", 0.51, 20.0));
    sale_passes(&account);
}

#[tokio::test]
async fn max_total_exposure() {
    let account = Account::with_limits("risk: {max_total_exposure: 50}");
    account.passes(&account.order(CALM, "buy", 0.51, 30.0));
    account
        .refused(
            &account.order(DECLINING, "buy", 0.61, 30.0),
            "max_total_exposure",
            // 29.9982 held; 30 / 0.61 = 49.18 shares × 0.61 = 29.9998 wanted.
            &["59.998", "50"],
        )
        .await;
    account.passes(&account.order(DECLINING, "buy", 0.61, 20.0));
    sale_passes(&account);
}

#[tokio::test]
async fn cash() {
    let account = Account::with_limits("starting_balance: 20");
    // 39.21 shares × 0.51 = 19.9971, and 39.21 × 0.07 × 0.5 × 0.5 = 0.68617 of fee at worst.
    account
        .refused(
            &account.order(CALM, "buy", 0.51, 20.0),
            "cash",
            &["20.68", "20"],
        )
        .await;
    account.passes(&account.order(CALM, "buy", 0.51, 19.0));
    sale_passes(&account);
}

#[tokio::test]
async fn shares_held() {
    let account = Account::with_limits("");
    account
        .refused(
            &account.order(CALM, "sell", 0.49, 10.0),
            "shares_held",
            &["20.4", "0 held"],
        )
        .await;
    // 10 / 0.51 = 19.60 shares held, 20.40 wanted.
    account.passes(&account.order(CALM, "buy", 0.51, 10.0));
    account
        .refused(
            &account.order(CALM, "sell", 0.49, 10.0),
            "shares_held",
            &["20.4", "19.6 held"],
        )
        .await;
    sale_passes(&account);
}

#[tokio::test]
async fn monitor_mode() {
    let account = Account::with_limits("mode: monitor");
    account
        .refused(
            &account.order(CALM, "buy", 0.51, 10.0),
            "monitor_mode",
            &["monitor"],
        )
        .await;
    // Nor does a tick trade: at hour 30 signal_trader wants to.
    let moment = at(30);
    let mut args = vec!["tick", "--json"];
    args.extend(account.recording.source(&moment));
    let report = account.workspace.cli(&args).ok().json();
    assert_eq!(report["signals"], 1);
    assert_eq!(report["orders"], json!([]));
    assert_eq!(report["cash"], 1000.0);
}

/// DECLINING falls from 0.60 to 0.20 between two ticks: what was bought at 0.61 is marked at 0.19.
#[tokio::test]
async fn max_daily_loss() {
    let mut account = Account::with_limits("risk: {max_daily_loss: 40}\nstrategies: {}");
    account.hour = 39;
    let loss = |account: &Account| {
        let portfolio = account.call("get_portfolio", &json!({})).ok().json();
        portfolio["daily_loss"].as_f64().unwrap()
    };
    // 98.03 shares, fee 98.03 × 0.07 × 0.51 × 0.49 = 1.71483, marked 0.02 below.
    account.passes(&account.order(CALM, "buy", 0.51, 50.0));
    // 98.36 shares, fee 98.36 × 0.05 × 0.61 × 0.39 = 1.16999, marked 0.02 below.
    account.passes(&account.order(DECLINING, "buy", 0.61, 60.0));
    close(
        loss(&account),
        1.71483 + 98.03 * 0.02 + 1.16999 + 98.36 * 0.02,
    );
    account.passes(&account.order(CALM, "buy", 0.51, 10.0));
    account.hour = 40;
    let moment = at(40);
    let mut args = vec!["tick", "--json"];
    args.extend(account.recording.source(&moment));
    let report = account.workspace.cli(&args).ok().json();
    assert_eq!(report["orders"], json!([]), "no strategy is on");
    // Another 19.60 shares with 0.34286 of fee; DECLINING now 0.42 below its price.
    let fees = 1.71483 + 1.16999 + 0.34286;
    close(loss(&account), fees + 117.63 * 0.02 + 98.36 * 0.42);
    account
        .refused(
            &account.order(CALM, "buy", 0.51, 10.0),
            "max_daily_loss",
            &["46.89148 pUSD lost since midnight UTC", "40"],
        )
        .await;
    sale_passes(&account);
    // On the next day yesterday's loss no longer counts.
    account.hour = 49;
    account.passes(&account.order(CALM, "buy", 0.51, 10.0));
}
