//! A sandbox on loopback, and agents that sign as the official clients do.

use std::net::SocketAddr;

use alloy_primitives::{Address, B256, U256, hex};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::super::keys::tests::{l1_headers, l2_headers};
pub(in crate::sandbox) use super::super::signing::Contract;
use super::super::signing::tests::{OTHER_KEY, TEST_KEY, address_of, sign};
use super::super::signing::{Order, order_hash};
use crate::domain::{Price, Shares};
use crate::sandbox::config::SandboxConfig;
use crate::sandbox::exchange::OutcomeSide;
use crate::sandbox::faults::{Line, Lines};
use crate::sandbox::model::{Version, World};
use crate::sandbox::routes::{Shared, router};
use crate::sandbox::sockets;

/// A running listener whose inside can be looked at.
pub(in crate::sandbox) struct Bench {
    pub(in crate::sandbox) shared: Shared,
    pub(in crate::sandbox) address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.shared.stop().cancel();
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A market to trade in: its token, its condition, its contract, and a price with a free tick on
/// both sides, so that no crowd order is in the way.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Place {
    pub(in crate::sandbox) token: String,
    pub(in crate::sandbox) other: String,
    pub(in crate::sandbox) condition: String,
    pub(in crate::sandbox) contract: Contract,
    pub(in crate::sandbox) index: usize,
    pub(in crate::sandbox) price: Price,
    pub(in crate::sandbox) tick: Price,
}

pub(in crate::sandbox) async fn bench() -> Bench {
    drop(rustls::crypto::ring::default_provider().install_default());
    let config = SandboxConfig {
        markets: 30,
        ..SandboxConfig::default()
    };
    let world = World::new(&config).unwrap();
    let shared = Shared::new(world, &config);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // The sandbox's own listener, whose connections a fault can cut.
    let routes = router(shared.clone()).into_make_service_with_connect_info::<Line>();
    let service = axum::serve(Lines(listener), routes);
    let tasks = vec![
        tokio::spawn(async move { service.await.unwrap() }),
        tokio::spawn(sockets::pump(shared.clone())),
        tokio::spawn(super::super::run(shared.clone())),
    ];
    Bench {
        shared,
        address,
        tasks,
    }
}

impl Bench {
    /// A market of a contract that has room between its best orders.
    pub(in crate::sandbox) fn place(&self, contract: Contract) -> Place {
        let world = self.shared.read();
        let found = world.all().find_map(|(market, event)| {
            let terms = world.exchange.terms(market.idx())?;
            if Contract::of(event.version, event.neg_risk) != contract
                || !terms.linked
                || !terms.accepting
            {
                return None;
            }
            let tick = terms.tick.micros();
            let (bid, ask) = world.exchange.best(market.idx(), OutcomeSide::First);
            let low = bid.map_or(480_000, Price::micros) + tick;
            let high = ask.map_or(520_000, Price::micros) - tick;
            (low <= high && (200_000..800_000).contains(&low)).then(|| Place {
                token: market.tokens[0].clone(),
                other: market.tokens[1].clone(),
                condition: market.condition_id.clone(),
                contract,
                index: market.index,
                price: Price::from_micros(low).unwrap(),
                tick: terms.tick,
            })
        });
        found.expect("a market with room in its book")
    }

    /// Lets simulated time pass and what is due happen.
    pub(in crate::sandbox) fn step(&self, millis: u64) {
        let mut world = self.shared.write();
        world.step(millis);
        let now = std::time::Instant::now();
        self.shared.trading().catch_up(&mut world, now);
    }

    pub(in crate::sandbox) async fn agent(&self, key: &'static str) -> Agent {
        let secs = self.shared.read().now.secs();
        let base = format!("http://{}", self.address);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = http
            .post(format!("{base}/clob/auth/api-key"))
            .headers(l1_headers(key, secs, 0))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let made: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Agent {
            key,
            id: text("apiKey"),
            secret: text("secret"),
            passphrase: text("passphrase"),
            base,
            http,
            shared: self.shared.clone(),
            salt: 0,
        }
    }

    pub(in crate::sandbox) async fn both(&self) -> (Agent, Agent) {
        (self.agent(TEST_KEY).await, self.agent(OTHER_KEY).await)
    }

    /// A request to the sandbox's own routes.
    pub(in crate::sandbox) async fn admin(&self, path: &str, body: Value) -> (u16, Value) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://{}/sandbox{path}", self.address);
        let request = match body {
            Value::Null => http.get(url),
            body => http.post(url).body(body.to_string()),
        };
        read(request.send().await.unwrap()).await
    }
}

async fn read(answer: reqwest::Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

/// One who trades.
pub(in crate::sandbox) struct Agent {
    pub(in crate::sandbox) key: &'static str,
    pub(in crate::sandbox) id: String,
    pub(in crate::sandbox) secret: String,
    pub(in crate::sandbox) passphrase: String,
    base: String,
    http: reqwest::Client,
    shared: Shared,
    salt: u64,
}

impl Agent {
    pub(in crate::sandbox) fn address(&self) -> Address {
        address_of(self.key)
    }

    /// A request with L2 headers, its clock off by `skew` seconds.
    pub(in crate::sandbox) async fn call_at(
        &self,
        skew: i64,
        method: &str,
        path: &str,
        query: &str,
        body: &str,
    ) -> (u16, Value) {
        let answer = self.attempt(skew, method, path, query, body).await;
        read(answer.unwrap()).await
    }

    /// The same, where the answer may never come.
    pub(in crate::sandbox) async fn attempt(
        &self,
        skew: i64,
        method: &str,
        path: &str,
        query: &str,
        body: &str,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let secs = self.shared.read().now.secs() + skew;
        let credentials = (
            self.id.as_str(),
            self.secret.as_str(),
            self.passphrase.as_str(),
        );
        let headers = l2_headers(self.address(), credentials, secs, method, path, body);
        self.http
            .request(
                method.parse().unwrap(),
                format!("{}/clob{path}{query}", self.base),
            )
            .headers(headers)
            .body(body.to_owned())
            .send()
            .await
    }

    pub(in crate::sandbox) async fn call(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
        self.call_at(0, method, path, query, &body).await
    }

    pub(in crate::sandbox) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, &Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// An unsigned order with amounts in micro-units.
    pub(in crate::sandbox) fn order(
        &mut self,
        token: &str,
        side: u8,
        maker: u64,
        taker: u64,
    ) -> Order {
        self.salt += 1;
        Order {
            salt: U256::from(self.salt),
            maker: self.address(),
            signer: self.address(),
            tokenId: token.parse().unwrap(),
            makerAmount: U256::from(maker),
            takerAmount: U256::from(taker),
            side,
            signatureType: 0,
            timestamp: U256::from(1_795_420_800_000_u64),
            metadata: B256::ZERO,
            builder: B256::ZERO,
        }
    }

    /// The body of `POST /order` around a signature.
    pub(in crate::sandbox) fn body(&self, order: &Order, signature: &[u8], kind: &str) -> Value {
        json!({
            "order": {
                "salt": u64::try_from(order.salt).unwrap(),
                "maker": order.maker.to_string(), "signer": order.signer.to_string(),
                "tokenId": order.tokenId.to_string(),
                "makerAmount": order.makerAmount.to_string(),
                "takerAmount": order.takerAmount.to_string(),
                "side": if order.side == 0 { "BUY" } else { "SELL" },
                "expiration": "0", "signatureType": order.signatureType,
                "timestamp": order.timestamp.to_string(),
                "metadata": order.metadata.to_string(), "builder": order.builder.to_string(),
                "signature": hex::encode_prefixed(signature),
            },
            "owner": self.id, "orderType": kind, "deferExec": false,
        })
    }

    /// A signed order for shares at a price, as a body.
    pub(in crate::sandbox) fn signed(
        &mut self,
        place: &Place,
        side: &str,
        price: Price,
        shares: &str,
        kind: &str,
    ) -> Value {
        let token = place.token.clone();
        self.signed_on(&token, place, side, price, shares, kind)
    }

    /// The same, for either token of the market.
    pub(in crate::sandbox) fn signed_on(
        &mut self,
        token: &str,
        place: &Place,
        side: &str,
        price: Price,
        shares: &str,
        kind: &str,
    ) -> Value {
        let size = Shares::parse(shares).unwrap().micros() as u64;
        let money = size * u64::from(price.micros()) / 1_000_000;
        let order = match side {
            "BUY" => self.order(token, 0, money, size),
            _ => self.order(token, 1, size, money),
        };
        let signature = sign(self.key, &order_hash(&order, &place.contract.domain()));
        self.body(&order, &signature, kind)
    }

    pub(in crate::sandbox) async fn post(&self, body: &Value) -> (u16, Value) {
        self.call("POST", "/order", body).await
    }

    /// pUSD in the wallet, in micro-units.
    pub(in crate::sandbox) async fn money(&self) -> i64 {
        let answer = self
            .get("/balance-allowance?asset_type=COLLATERAL&signature_type=0")
            .await;
        answer["balance"].as_str().unwrap().parse().unwrap()
    }

    /// Shares of a token, in micro-units.
    pub(in crate::sandbox) async fn shares(&self, token: &str) -> i64 {
        let path = format!("/balance-allowance?asset_type=CONDITIONAL&token_id={token}");
        self.get(&path).await["balance"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }
}

/// The version of a contract's markets, for readability in tests.
pub(in crate::sandbox) fn version_of(contract: Contract) -> Version {
    if contract == Contract::V3 {
        Version::V2
    } else {
        Version::V1
    }
}
