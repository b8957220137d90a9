//! A refusing test for every limit of the operator, through the shell, over MCP and through the
//! scheduler, with the order that the limit still lets pass beside it.

use serde_json::{Value, json};

use crate::support::{CALM, DECLINING, RawServer, Recording, Workspace, at, close, wait_for};

/// An account on the recording, with these limits.
struct Account {
    workspace: Workspace,
    recording: Recording,
    hour: i64,
    yaml: String,
}

impl Account {
    fn with_limits(yaml: &str) -> Self {
        Self::on(Recording::new(), yaml)
    }

    fn on(recording: Recording, yaml: &str) -> Self {
        Account {
            workspace: Workspace::with_config(yaml),
            recording,
            hour: 20,
            yaml: yaml.to_owned(),
        }
    }

    /// Other limits from now on.
    fn change_limits(&mut self, yaml: &str) {
        yaml.clone_into(&mut self.yaml);
        self.workspace.configure(yaml);
    }

    /// A job that places the order is refused as everybody else is.
    fn refused_by_the_clock(&self, order: &Value, limit: &str) {
        let job = format!(
            "scheduler: {{jobs: [{{name: buyer, cron: '* * * * * *', tool: place_trade, arguments: \
             {order}}}]}}\n"
        );
        self.workspace.configure(&format!("{job}{}", self.yaml));
        let moment = at(self.hour);
        let server = self
            .workspace
            .server()
            .args(&self.recording.source(&moment));
        let mut raw = RawServer::spawn(&server);
        raw.initialize();
        let line = wait_for("the job to be refused", || {
            let log = std::fs::read_to_string(self.workspace.path("server.log")).unwrap();
            let mut lines = log.lines();
            let found = lines.find(|line| line.contains("scheduled job failed"));
            found.map(str::to_owned)
        });
        assert!(line.contains("buyer") && line.contains(limit), "{line}");
        raw.close();
        self.workspace.configure(&self.yaml);
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
        self.refused_by_the_clock(order, limit);
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
            "halted",
            &[
                "max_daily_loss: 46.89148 pUSD lost since midnight UTC",
                "40",
            ],
        )
        .await;
    sale_passes(&account);
    // On the next day yesterday's loss no longer counts.
    account.hour = 49;
    account.passes(&account.order(CALM, "buy", 0.51, 10.0));
}

#[tokio::test]
async fn max_event_exposure() {
    let limits = "risk: {max_event_exposure: 50}";
    let account = Account::on(Recording::sharing_an_event(), limits);
    account.passes(&account.order(CALM, "buy", 0.51, 30.0));
    account
        .refused(
            &account.order(DECLINING, "buy", 0.61, 30.0),
            "max_event_exposure",
            // 29.9982 held; 30 / 0.61 = 49.18 shares × 0.61 = 29.9998 wanted.
            &["59.998", "50"],
        )
        .await;
    account.passes(&account.order(DECLINING, "buy", 0.61, 20.0));
    sale_passes(&account);
}

#[tokio::test]
async fn max_strategy_exposure() {
    let account = Account::with_limits("risk: {max_strategy_exposure: 50}");
    account.passes(&account.order(CALM, "buy", 0.51, 30.0));
    account
        .refused(
            &account.order(DECLINING, "buy", 0.61, 30.0),
            "max_strategy_exposure",
            &["59.998", "50"],
        )
        .await;
    account.passes(&account.order(DECLINING, "buy", 0.61, 20.0));
    sale_passes(&account);
}

#[tokio::test]
async fn max_orders_per_minute() {
    let mut account = Account::with_limits("risk: {max_orders_per_minute: 1}");
    account.passes(&account.order(CALM, "buy", 0.51, 10.0));
    account
        .refused(
            &account.order(CALM, "buy", 0.51, 10.0),
            "max_orders_per_minute",
            &["2 orders within a minute", "at most 1"],
        )
        .await;
    sale_passes(&account);
    account.hour = 21;
    account.passes(&account.order(CALM, "buy", 0.51, 10.0));
}

#[tokio::test]
async fn max_price_distance() {
    let account = Account::with_limits("risk: {max_price_distance: 0.05}");
    account
        .refused(
            &account.order(CALM, "buy", 0.56, 10.0),
            "max_price_distance",
            &["0.06 above the mid of 0.5", "at most 0.55"],
        )
        .await;
    account.passes(&account.order(CALM, "buy", 0.55, 10.0));
    sale_passes(&account);
}

#[tokio::test]
async fn max_spread() {
    let mut account = Account::with_limits("risk: {max_spread: 0.019}");
    account
        .refused(
            &account.order(CALM, "buy", 0.51, 10.0),
            "max_spread",
            &["a spread of 0.02 (0.49 to 0.51)", "at most 0.019"],
        )
        .await;
    account.change_limits("risk: {max_spread: 0.02}");
    account.passes(&account.order(CALM, "buy", 0.51, 10.0));
    account.change_limits("risk: {max_spread: 0.019}");
    sale_passes(&account);
}

#[tokio::test]
async fn min_liquidity() {
    // The recording states none: 1,000 × 0.49 + 1,000 × 0.51 in the book.
    let mut account = Account::with_limits("risk: {min_liquidity: 1000.01}");
    account
        .refused(
            &account.order(CALM, "buy", 0.51, 10.0),
            "min_liquidity",
            &["1000 pUSD in the book", "at least 1000.01"],
        )
        .await;
    account.change_limits("risk: {min_liquidity: 1000}");
    account.passes(&account.order(CALM, "buy", 0.51, 10.0));
    account.change_limits("risk: {min_liquidity: 1000.01}");
    sale_passes(&account);
}

#[tokio::test]
async fn max_open_orders() {
    let account = Account::with_limits("risk: {max_open_orders: 0}");
    let mut order = account.order(CALM, "buy", 0.45, 10.0);
    order["order_type"] = json!("GTC");
    account
        .refused(
            &order,
            "max_open_orders",
            &["1 resting orders", "at most 0"],
        )
        .await;
}

/// DECLINING falls from 0.60 to 0.20 between two ticks.
#[tokio::test]
async fn max_drawdown_pct() {
    let limits = "risk: {max_drawdown_pct: 0.03, max_daily_loss: 500}\nstrategies: {}";
    let mut account = Account::with_limits(limits);
    account.hour = 39;
    account.passes(&account.order(DECLINING, "buy", 0.61, 60.0));
    account.hour = 40;
    // An order of another market does not look at this one's book: the tick marks it.
    let moment = at(40);
    let mut args = vec!["tick", "--json"];
    args.extend(account.recording.source(&moment));
    account.workspace.cli(&args).ok();
    // 98.36 shares, fee 1.16999, now 0.42 below their price: 1000 − 1.16999 − 41.3112.
    let words = "max_drawdown_pct: equity of 957.51881 pUSD is 4.25 % below its peak of 1000 pUSD";
    let buy = account.order(CALM, "buy", 0.51, 10.0);
    account.refused(&buy, "halted", &[words, "below 3 %"]).await;
    let server = account.workspace.server();
    let session = server
        .args(&account.recording.source(&moment))
        .spawn_stdio()
        .await;
    let health = session.call("health_check", json!({})).await;
    session.close().await;
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["halt"]["cause"], "drawdown");
    assert_eq!(health["halt"]["by"], "desk");
    assert_eq!(health["halt"]["since"], moment.as_str());
    assert!(health["halt"]["reason"].as_str().unwrap().contains(words));
    let lift = health["halt"]["lift"].as_str().unwrap();
    assert!(lift.contains("polymarket-agent resume"), "{lift}");
    // What is held may go; midnight lifts nothing.
    account.passes(&account.order(DECLINING, "sell", 0.19, 18.6884));
    account.hour = 49;
    let still = account.call("place_trade", &buy).failed().json();
    assert_eq!(still["code"], "halted");
}

#[tokio::test]
async fn the_kill_switch() {
    let account = Account::with_limits("");
    account.passes(&account.order(CALM, "buy", 0.51, 10.0));
    let moment = at(20);
    let pull = |command: &str, reason: &str| {
        let mut args = vec![command, "--json", "--reason", reason];
        args.extend(account.recording.source(&moment));
        account.workspace.cli(&args).ok().json()
    };
    pull("halt", "enough for today");
    let buy = account.order(CALM, "buy", 0.51, 10.0);
    let words = ["by shell (kill_switch)", "enough for today"];
    account.refused(&buy, "halted", &words).await;
    sale_passes(&account);
    pull("resume", "seen to");
    account.passes(&buy);
}
