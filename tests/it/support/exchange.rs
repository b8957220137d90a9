//! A sandbox exchange in the test's own process, for the binary's real client to talk to: over
//! HTTP and WebSocket, with faults on request. Its time moves only when it is stepped.

use std::io::{Read, Write};
use std::net::TcpStream;

use polymarket_agent::sandbox::{Sandbox, SandboxConfig, start};
use serde_json::{Value, json};

use super::wait_for;

pub struct Exchange {
    sandbox: Sandbox,
    _runtime: tokio::runtime::Runtime,
}

/// A market with a token that can be bought, and what its book showed.
#[derive(Debug, Clone)]
pub struct Listed {
    pub market: String,
    pub token: String,
}

impl Exchange {
    /// So many markets, as of now.
    pub fn start(markets: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let config = SandboxConfig {
            markets,
            ..SandboxConfig::default()
        };
        let listen = "127.0.0.1:0".parse().unwrap();
        let sandbox = runtime
            .block_on(start(config.starting_now(), listen))
            .unwrap();
        Exchange {
            sandbox,
            _runtime: runtime,
        }
    }

    /// The `venue:` section of a config that asks it, with more keys of that section.
    pub fn venue(&self, more: &str) -> String {
        let of = &self.sandbox;
        format!(
            "venue: {{gamma_url: '{}', clob_url: '{}', data_url: '{}', ws_url: '{}', \
             rate_share: 1.0, cache_seconds: 0, timeout_seconds: 2, {more}}}\n",
            of.gamma_url(),
            of.clob_url(),
            of.data_url(),
            of.ws_url(),
        )
    }

    /// Arms a fault, as `POST /sandbox/faults` reads it.
    pub fn arm(&self, fault: Value) -> u64 {
        let spec = serde_json::from_value(fault).unwrap();
        self.sandbox.arm(spec).unwrap()
    }

    /// Takes back what is armed.
    pub fn clear(&self) {
        self.sandbox.disarm(None);
    }

    /// How often a fault has struck.
    pub fn fired(&self, id: u64) -> u64 {
        let faults = self.sandbox.faults();
        let listed = faults.iter().find(|fault| fault.id == id).unwrap();
        listed.fired
    }

    /// Lets so many simulated seconds pass at once.
    pub fn step(&self, seconds: u64) {
        self.sandbox.step(seconds * 1000);
    }

    /// Lets time pass until a fault has struck once more than before.
    pub fn step_until_fired(&self, id: u64) {
        let before = self.fired(id);
        wait_for("the fault to strike", || {
            self.step(5);
            (self.fired(id) > before).then_some(())
        });
    }

    /// The JSON answer to a GET by hand.
    pub fn get(&self, path: &str) -> Value {
        let address = self.sandbox.address();
        let mut stream = TcpStream::connect(address).unwrap();
        let ask = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        serde_json::from_str(body).unwrap()
    }

    /// The asks of a token as the exchange itself has them, best first: price and shares. The
    /// venue serves them worst first.
    pub fn asks(&self, token: &str) -> Vec<(f64, f64)> {
        levels(&self.get(&format!("/clob/book?token_id={token}"))["asks"])
    }

    /// The best ask.
    pub fn ask(&self, token: &str) -> f64 {
        self.asks(token)[0].0
    }

    /// Lets time pass until the best ask of a token is another one; gives the old and the new.
    pub fn step_until_moved(&self, token: &str) -> (f64, f64) {
        let old = self.ask(token);
        let new = wait_for("the best ask to move", || {
            self.step(30);
            let new = self.asks(token).first().map(|level| level.0)?;
            (new != old).then_some(new)
        });
        (old, new)
    }

    /// A busy market whose first token is offered between 0.2 and 0.8, at least 50 shares at the
    /// best price.
    pub fn busy(&self) -> Listed {
        let path = "/gamma/markets/keyset?closed=false&limit=100&order=volume24hr&ascending=false";
        let page = self.get(path);
        let rows = page["markets"].as_array().unwrap().iter();
        let listed = rows.map(|row| {
            // A v2 market goes by its position ids.
            let field = match row["version"].as_str() {
                Some("v2") => "positionIds",
                _ => "clobTokenIds",
            };
            let tokens: Vec<String> = match &row[field] {
                Value::String(text) => serde_json::from_str(text).unwrap(),
                list => serde_json::from_value(list.clone()).unwrap(),
            };
            Listed {
                market: row["id"].as_str().unwrap().to_owned(),
                token: tokens[0].clone(),
            }
        });
        let fits = |listed: &Listed| {
            let asks = self.asks(&listed.token);
            asks.first()
                .is_some_and(|(price, shares)| (0.2..=0.8).contains(price) && *shares >= 50.0)
        };
        let found = listed.into_iter().find(fits);
        found.unwrap_or_else(|| panic!("no market fits: {}", json!(page)))
    }
}

/// Levels as the venue serves them, worst first, turned round.
fn levels(served: &Value) -> Vec<(f64, f64)> {
    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let served = served.as_array().unwrap().iter().rev();
    served
        .map(|level| (number(&level["price"]), number(&level["size"])))
        .collect()
}
