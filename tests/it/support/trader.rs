//! An agent with an account at an [`Exchange`]: what it is told, and what is in its ledger.

use serde_json::{Value, json};

use super::server::{ToolFailure, failure_of};
use super::{Exchange, Ledger, Listed, RawServer, Workspace, close, wait_for};

/// A server whose source is an exchange that may be ill.
pub struct Trader {
    pub exchange: Exchange,
    pub listed: Listed,
    workspace: Workspace,
    server: RawServer,
}

/// What of an account a fault must not touch.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    ledger: Ledger,
    portfolio: Value,
}

impl Trader {
    /// Nothing runs behind the tools: every request is one of theirs, and books are asked for.
    pub fn alone(exchange: Exchange, venue: &str) -> Self {
        let yaml = format!(
            "{}gather: {{max_markets: 20, refresh_seconds: 0}}\n",
            exchange.venue(venue)
        );
        Self::open(exchange, &yaml)
    }

    /// Books are followed over the market channel, and all of them are live.
    pub fn streaming(exchange: Exchange, venue: &str, more: &str) -> Self {
        let yaml = format!(
            "{}gather: {{max_markets: 20, follow_markets: 20}}\n{more}",
            exchange.venue(venue)
        );
        let mut trader = Self::open(exchange, &yaml);
        trader.until_live();
        trader
    }

    fn open(exchange: Exchange, yaml: &str) -> Self {
        let workspace = Workspace::with_config(yaml);
        let listed = exchange.busy();
        let mut server = RawServer::spawn(&workspace.server());
        server.initialize();
        let mut trader = Trader {
            exchange,
            listed,
            workspace,
            server,
        };
        // The server's own first questions are over: what is armed from now on meets tools only.
        trader.health();
        trader
    }

    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.server.call(tool, arguments)
    }

    /// A request and its whole answer, good or bad.
    pub fn raw(&mut self, method: &str, params: Value) -> Value {
        self.server.request(method, params)
    }

    /// The failure of a call that must fail: in band, with code, message and hint.
    #[track_caller]
    pub fn fails(&mut self, tool: &str, arguments: Value) -> ToolFailure {
        let params = json!({"name": tool, "arguments": arguments});
        let answer = self.server.request("tools/call", params);
        let result = &answer["result"];
        assert_eq!(result["isError"], true, "{tool}: {answer}");
        let failure = failure_of(&result["structuredContent"]);
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(&failure.message), "{text}");
        assert!(text.contains(&failure.hint), "{text}");
        failure
    }

    /// The failure of the same call from a shell, which the server answers through its control socket.
    #[track_caller]
    pub fn shell(&self, tool: &str, arguments: &Value) -> Value {
        self.workspace.call(&[], tool, arguments).failed().json()
    }

    /// What the server logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.workspace.path("server.log")).unwrap()
    }

    pub fn health(&mut self) -> Value {
        self.server.call("health_check", json!({}))
    }

    /// A purchase for 5 pUSD at 0.99 at most: 5.05 shares, since 5 / 0.99 = 5.0505.
    fn order(&self, id: &str) -> Value {
        json!({"market_id": self.listed.market, "token_id": self.listed.token, "side": "buy",
            "size": 5, "price": 0.99, "client_order_id": id})
    }

    /// Buys; the order must be carried out.
    pub fn buy(&mut self, id: &str) -> Value {
        let order = self.order(id);
        self.server.call("place_trade", order)
    }

    /// Buys; the order must fail.
    #[track_caller]
    pub fn cannot_buy(&mut self, id: &str) -> ToolFailure {
        let order = self.order(id);
        self.fails("place_trade", order)
    }

    /// The best ask that the agent is shown.
    pub fn ask(&mut self) -> Option<f64> {
        let token = self.listed.token.clone();
        let shown = self.server.call("get_price", json!({"token_id": token}));
        for side in ["bid", "ask"] {
            let price = shown[side].as_f64();
            assert!(price.is_none_or(|p| p > 0.0 && p < 1.0), "{shown}");
        }
        shown["ask"].as_f64()
    }

    /// The account as the agent and the database see it. A position's newest price is no part of
    /// it.
    pub fn account(&mut self) -> Account {
        Account {
            portfolio: self.server.call("get_portfolio", json!({})),
            ledger: Ledger::read(&self.workspace.db()),
        }
    }

    /// The best ask, once the order that stories place fits into it: books of a busy day are thin at
    /// times.
    pub fn deep_ask(&mut self) -> f64 {
        let token = self.listed.token.clone();
        for _ in 0..200 {
            let (price, shares) = self.exchange.asks(&token)[0];
            if shares >= 5.05 {
                return price;
            }
            self.exchange.step_until_moved(&token);
            self.until_current();
        }
        panic!("the best ask never holds 5.05 shares");
    }

    /// Demands that the only purchase so far is this one, at this price: 5.05 shares.
    #[track_caller]
    pub fn bought_once(&mut self, trade: &Value, price: f64) {
        assert_eq!(trade["status"], "filled", "{trade}");
        let fills = trade["fills"].as_array().unwrap();
        assert_eq!(fills.len(), 1, "{trade}");
        close(fills[0]["price"].as_f64().unwrap(), price);
        close(fills[0]["shares"].as_f64().unwrap(), 5.05);
        let Account { ledger, portfolio } = self.account();
        assert_eq!(ledger.trades.len(), 1, "{:?}", ledger.trades);
        let position = &portfolio["positions"][&self.listed.token];
        close(position["shares"].as_f64().unwrap(), 5.05);
        let fee = trade["fee"].as_f64().unwrap();
        // The venue floors a purchase's notional to the micro-unit; 5.05 × a price of four
        // decimals has six, so nothing is cut off here.
        close(
            portfolio["balance"].as_f64().unwrap(),
            1000.0 - 5.05 * price - fee,
        );
        assert_eq!(portfolio["recent_trades"].as_array().unwrap().len(), 1);
    }

    /// Demands that nothing at all was bought, though an attempt may have been written down.
    #[track_caller]
    pub fn bought_nothing(&mut self) {
        let Account { ledger, portfolio } = self.account();
        assert_eq!(ledger.trades, Vec::<String>::new());
        assert_eq!(portfolio["positions"], json!({}));
        close(portfolio["balance"].as_f64().unwrap(), 1000.0);
    }

    /// The number before a word in the line of `health_check` about the stream.
    pub fn stream(&mut self, word: &str) -> u64 {
        number_before(&self.stream_note(), word)
    }

    /// What `health_check` says of the stream.
    pub fn stream_note(&mut self) -> String {
        let health = self.health();
        let notes = health["source"]["notes"].as_array().unwrap();
        let mut notes = notes.iter().filter_map(Value::as_str);
        let note = notes.find(|note| note.starts_with("market stream: "));
        note.unwrap_or_default().to_owned()
    }

    /// Waits until every followed book is live.
    pub fn until_live(&mut self) {
        wait_for("all books to be live", || {
            let note = self.stream_note();
            let live = number_before(&note, " of ");
            (live > 0 && note.contains(&format!("{live} of {live} books live"))).then_some(())
        });
    }

    /// Waits until the agent is shown the best ask that the exchange has.
    pub fn until_current(&mut self) {
        let ask = self.exchange.ask(&self.listed.token);
        wait_for("the best ask of the exchange", || {
            (self.ask() == Some(ask)).then_some(())
        });
    }
}

fn number_before(text: &str, word: &str) -> u64 {
    let Some((before, _)) = text.split_once(word) else {
        return 0;
    };
    let mut words = before.trim_end().rsplit(|c: char| !c.is_ascii_digit());
    let digits = words.next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The remarks and problems of a `health_check`, in one text.
pub fn said(health: &Value) -> String {
    format!("{} {}", health["source"]["notes"], health["problems"])
}
