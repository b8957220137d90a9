//! A sandbox with one market emptied of the crowd's orders, and clients that listen to it.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::domain::{Price, Shares, Side};
use crate::sandbox::exchange::{
    AccountId, MarketIdx, NewOrder, OrderNo, OutcomeSide, Quantity, Tif,
};
use crate::sandbox::model::World;
use crate::sandbox::{Sandbox, SandboxConfig, start};

/// Longest wait for anything that must come.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn sandbox() -> Sandbox {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = SandboxConfig {
        markets: 16,
        ..SandboxConfig::default()
    };
    start(config, listen).await.unwrap()
}

/// Tokens of the most traded open markets.
pub(super) fn busiest(sandbox: &Sandbox, count: usize) -> Vec<String> {
    let world = sandbox.shared.read();
    let mut markets: Vec<_> = world
        .all()
        .filter(|(market, _)| market.is_open(world.now.plus_millis(3_600_000)))
        .map(|(market, _)| (world.volume(market), market.tokens.clone()))
        .collect();
    markets.sort_by(|a, b| b.0.total_cmp(&a.0));
    markets
        .into_iter()
        .flat_map(|(_, tokens)| tokens)
        .take(count)
        .collect()
}

/// An order of the crowd's, whose money is not counted.
pub(super) fn place(
    world: &mut World,
    market: MarketIdx,
    outcome: OutcomeSide,
    side: Side,
    price: &str,
    size: u32,
) -> OrderNo {
    let order = NewOrder {
        account: AccountId::CROWD,
        market,
        outcome,
        side,
        price: Price::parse(price).unwrap(),
        quantity: Quantity::Shares(Shares::whole(size)),
        tif: Tif::Gtc,
        post_only: false,
        at: world.now,
    };
    world.exchange.place(order).unwrap().order
}

/// One market without the crowd's orders.
pub(super) struct Floor {
    pub sandbox: Sandbox,
    pub market: MarketIdx,
    pub tokens: [String; 2],
}

impl Floor {
    pub(super) fn new(sandbox: Sandbox) -> Self {
        let (market, tokens) = {
            let mut world = sandbox.shared.write();
            let now = world.now;
            let far = now.plus_millis(86_400_000);
            let (market, tokens) = world
                .all()
                .find(|(market, _)| {
                    market.tick == 10_000
                        && market.is_open(far)
                        && world.exchange.terms(market.idx()).unwrap().linked
                })
                .map(|(market, _)| (market.idx(), market.tokens.clone()))
                .unwrap();
            world
                .exchange
                .cancel_all(AccountId::CROWD, Some(market), None, now);
            (market, tokens)
        };
        Floor {
            sandbox,
            market,
            tokens,
        }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut World, MarketIdx)) {
        change(&mut self.sandbox.shared.write(), self.market);
    }

    pub(super) fn order(&self, outcome: OutcomeSide, side: Side, price: &str, size: u32) {
        self.change(|world, market| {
            place(world, market, outcome, side, price, size);
        });
    }

    /// So many orders placed and taken back: twice as many changes.
    pub(super) fn churn(&self, orders: usize) {
        self.change(|world, market| {
            for _ in 0..orders {
                let order = place(world, market, OutcomeSide::First, Side::Buy, "0.2", 10);
                let now = world.now;
                world.exchange.cancel(order, now).unwrap();
            }
        });
    }

    pub(super) async fn connect(&self) -> Client {
        Client::connect(&self.sandbox).await
    }
}

/// A client of the market channel.
pub(super) struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub(super) async fn connect(sandbox: &Sandbox) -> Self {
        let url = format!("{}/market", sandbox.ws_url());
        Client(connect_async(url).await.unwrap().0)
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    pub(super) async fn subscribe(&mut self, tokens: &[String], custom: bool) {
        let message =
            json!({"type": "market", "assets_ids": tokens, "custom_feature_enabled": custom});
        self.say(&message.to_string()).await;
    }

    /// The next text; `None` at the end. Errors: as the socket's.
    pub(super) async fn read(&mut self) -> Result<Option<String>, Error> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.next()).await.unwrap();
            match next {
                None => return Ok(None),
                Some(Ok(Message::Text(text))) => return Ok(Some(text.to_string())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
            }
        }
    }

    /// The close code that comes before the end.
    pub(super) async fn close_code(&mut self) -> u16 {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.next()).await.unwrap();
            if let Message::Close(frame) = next.unwrap().unwrap() {
                return frame.unwrap().code.into();
            }
        }
    }

    pub(super) async fn text(&mut self) -> String {
        self.read().await.unwrap().unwrap()
    }

    /// The next frame, as JSON.
    pub(super) async fn next(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The events of the next frame.
    pub(super) async fn events(&mut self) -> Vec<Value> {
        match self.next().await {
            Value::Array(events) => events,
            one => vec![one],
        }
    }

    /// How many price changes the next frame holds.
    pub(super) async fn changes(&mut self) -> usize {
        let events = self.events().await;
        events
            .iter()
            .filter(|event| event["event_type"] == "price_change")
            .count()
    }

    /// The same without parsing: reading must not be what is measured.
    pub(super) async fn changes_unparsed(&mut self) -> usize {
        self.text()
            .await
            .matches("\"event_type\":\"price_change\"")
            .count()
    }

    /// What comes within a time in which nothing should.
    pub(super) async fn silence(&mut self, time: Duration) -> Option<String> {
        match tokio::time::timeout(time, self.0.next()).await {
            Err(_) => None,
            Ok(Some(Ok(Message::Text(text)))) => Some(text.to_string()),
            Ok(other) => panic!("{other:?}"),
        }
    }
}

/// Books as a client rebuilds them, and as the book route serves them.
pub(super) mod books {
    use std::collections::BTreeMap;

    use super::*;

    /// Sizes by side and price.
    pub(in super::super) type Book = BTreeMap<(bool, String), String>;

    pub(in super::super) fn apply(books: &mut BTreeMap<String, Book>, event: &Value) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        match event["event_type"].as_str().unwrap() {
            "book" => drop(books.insert(text(&event["asset_id"]), whole(event))),
            "price_change" => {
                for entry in event["price_changes"].as_array().unwrap() {
                    let Some(book) = books.get_mut(entry["asset_id"].as_str().unwrap()) else {
                        continue;
                    };
                    let key = (entry["side"] == "BUY", text(&entry["price"]));
                    if entry["size"] == "0" {
                        assert!(book.remove(&key).is_some(), "{entry} removes nothing");
                    } else {
                        book.insert(key, text(&entry["size"]));
                    }
                    let price = |key: &(bool, String)| key.1.parse::<f64>().unwrap();
                    let best = |bids: bool| book.keys().filter(move |key| key.0 == bids).map(price);
                    let bid = best(true).fold(0.0, f64::max);
                    let ask = best(false).fold(1.0, f64::min);
                    assert!(bid < ask, "crossed: {bid} and {ask}");
                    assert_eq!(text(&entry["best_bid"]).parse::<f64>().unwrap(), bid);
                    assert_eq!(text(&entry["best_ask"]).parse::<f64>().unwrap(), ask);
                }
            }
            _ => {}
        }
    }

    fn whole(book: &Value) -> Book {
        [(true, "bids"), (false, "asks")]
            .into_iter()
            .flat_map(|(bids, side)| {
                let levels = book[side].as_array().unwrap();
                levels.iter().map(move |level| {
                    let text = |name: &str| level[name].as_str().unwrap().to_owned();
                    ((bids, text("price")), text("size"))
                })
            })
            .collect()
    }

    pub(in super::super) async fn served(
        sandbox: &Sandbox,
        tokens: &[String],
    ) -> BTreeMap<String, Book> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut books = BTreeMap::new();
        for token in tokens {
            let url = format!("{}/book?token_id={token}", sandbox.clob_url());
            let book: Value = client.get(url).send().await.unwrap().json().await.unwrap();
            books.insert(token.clone(), whole(&book));
        }
        books
    }
}
