//! A venue's market channel on loopback, for tests: it takes connections, notes what it is told, and
//! sends what a test wants.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::connection::ConnectionSettings;
use crate::market_data::polymarket::backoff::Backoff;

/// What the stub is to do on one connection.
#[derive(Debug)]
enum Order {
    Send(Message),
    /// Ends the connection without a word.
    Drop,
}

/// One connection that was accepted.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Text frames received, in order, with their times.
    pub heard: Arc<Mutex<Vec<(Instant, String)>>>,
    orders: mpsc::UnboundedSender<Order>,
}

impl Accepted {
    pub fn send(&self, text: impl Into<String>) {
        let text: String = text.into();
        self.orders.send(Order::Send(Message::text(text))).unwrap();
    }

    pub fn send_binary(&self) {
        let bytes = Message::binary(vec![1_u8, 2, 3]);
        self.orders.send(Order::Send(bytes)).unwrap();
    }

    pub fn cut(&self) {
        // Gone already is as good.
        let _ = self.orders.send(Order::Drop);
    }

    /// The texts received.
    pub fn texts(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|(_, text)| text.clone()).collect()
    }

    /// The JSON messages received.
    pub fn messages(&self) -> Vec<Value> {
        let texts = self.texts();
        let json = texts.iter().filter(|text| *text != "PING");
        json.map(|text| serde_json::from_str(text).unwrap())
            .collect()
    }

    /// How often each token is asked for after all that was received.
    pub fn asked_for(&self) -> std::collections::BTreeSet<String> {
        let mut wanted = std::collections::BTreeSet::new();
        for message in self.messages() {
            let ids = message["assets_ids"].as_array().unwrap().clone();
            let ids = ids.iter().map(|id| id.as_str().unwrap().to_owned());
            if message["operation"] == "unsubscribe" {
                ids.for_each(|id| {
                    wanted.remove(&id);
                });
            } else {
                wanted.extend(ids);
            }
        }
        wanted
    }
}

/// The stub.
#[derive(Debug, Clone)]
pub struct Stub {
    pub url: String,
    accepted: Arc<Mutex<Vec<Accepted>>>,
    /// Answers to the upgrades that are refused: raw HTTP, first come first served.
    refusals: Arc<Mutex<Vec<String>>>,
    /// Whether `PING` is answered.
    pongs: bool,
}

impl Stub {
    pub async fn start() -> Stub {
        Stub::with(true, Vec::new()).await
    }

    pub async fn with(pongs: bool, refusals: Vec<String>) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stub = Stub {
            url: format!("ws://{}/ws/market", listener.local_addr().unwrap()),
            accepted: Arc::default(),
            refusals: Arc::new(Mutex::new(refusals)),
            pongs,
        };
        let serving = stub.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(socket));
            }
        });
        stub
    }

    async fn serve(self, mut socket: TcpStream) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let refusal = {
            let mut refusals = self.refusals.lock().unwrap();
            (!refusals.is_empty()).then(|| refusals.remove(0))
        };
        if let Some(answer) = refusal {
            let mut request = [0_u8; 4096];
            let _ = socket.read(&mut request).await;
            let _ = socket.write_all(answer.as_bytes()).await;
            let _ = socket.shutdown().await;
            return;
        }
        let mut socket = accept_async(socket).await.unwrap();
        let (orders, mut inbox) = mpsc::unbounded_channel();
        let accepted = Accepted {
            heard: Arc::default(),
            orders,
        };
        self.accepted.lock().unwrap().push(accepted.clone());
        loop {
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(Order::Send(message)) => {
                        if socket.send(message).await.is_err() {
                            return;
                        }
                    }
                    Some(Order::Drop) | None => return,
                },
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let text = text.as_str().to_owned();
                        let answer = self.pongs && text == "PING";
                        accepted.heard.lock().unwrap().push((Instant::now(), text));
                        if answer && socket.send(Message::text("PONG")).await.is_err() {
                            return;
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
            }
        }
    }

    pub fn accepted(&self) -> Vec<Accepted> {
        self.accepted.lock().unwrap().clone()
    }

    /// The connection of this number, once it has asked for something.
    pub async fn connection(&self, number: usize) -> Accepted {
        until(|| {
            let accepted = self.accepted();
            accepted
                .get(number)
                .filter(|one| !one.texts().is_empty())
                .cloned()
        })
        .await
    }

    /// Settings that connect here, quick enough for tests.
    pub fn settings(&self) -> ConnectionSettings {
        ConnectionSettings {
            url: self.url.clone(),
            user_agent: "tests".to_owned(),
            connect_timeout: Duration::from_secs(5),
            silence: Duration::from_secs(20),
            ping_every: Duration::from_secs(10),
            check_every: Duration::from_millis(20),
            steady: Duration::from_secs(30),
            backoff: Backoff {
                first: Duration::from_millis(5),
                longest: Duration::from_millis(20),
            },
            max_message: 64 * 1024,
        }
    }
}

/// Waits until there is something; fails after ten seconds.
pub async fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
