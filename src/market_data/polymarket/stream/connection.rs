//! One connection to the market channel: made, kept alive, made again when it is lost.
//!
//! Knows nothing of books: whoever listens gets the text as it came, with the time.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::{HeaderValue, header};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::domain::text::clean;
use crate::domain::{Clock, SystemClock, Timestamp, TokenId};
use crate::market_data::polymarket::PolymarketConfig;
use crate::market_data::polymarket::backoff::{self, Backoff};

/// Largest message that is read: 200 whole books of a thousand levels are about 8 MB.
const MAX_MESSAGE: usize = 32 * 1024 * 1024;
/// The venue expects a text `PING` this often (its WebSocket page, October 2026).
const PING_EVERY: Duration = Duration::from_secs(10);
/// Longest wait for a message of ours to be taken.
const SEND_WAIT: Duration = Duration::from_secs(10);
/// A connection that held for so long was a good one: the next loss begins a new count.
const STEADY: Duration = Duration::from_secs(30);
/// Waits between attempts to connect.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    longest: Duration::from_secs(30),
};

/// How connections are made and kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionSettings {
    /// The market channel: `ws` or `wss`.
    pub url: String,
    /// `User-Agent` header.
    pub user_agent: String,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// A connection is given up after so long without anything heard, answers to `PING` included.
    pub silence: Duration,
    /// Time between two `PING`s.
    pub ping_every: Duration,
    /// How often listeners are asked what they want anew.
    pub check_every: Duration,
    /// A connection that held for so long begins a new count of failed attempts.
    pub steady: Duration,
    /// Waits between attempts.
    pub backoff: Backoff,
    /// Largest message that is read, bytes.
    pub max_message: usize,
}

impl ConnectionSettings {
    /// As the venue wants it, from the config.
    #[must_use]
    pub fn new(config: &PolymarketConfig) -> Self {
        ConnectionSettings {
            url: format!("{}/market", config.ws_url.trim_end_matches('/')),
            user_agent: config.user_agent.clone(),
            connect_timeout: config.connect_timeout(),
            silence: Duration::from_secs(config.stream_silence_seconds),
            ping_every: PING_EVERY,
            check_every: Duration::from_millis(500),
            steady: STEADY,
            backoff: BACKOFF,
            max_message: MAX_MESSAGE,
        }
    }
}

/// What happens on a connection, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum ConnectionEvent<'a> {
    /// These tokens are asked for from now on.
    Followed(&'a [TokenId]),
    /// These are not any more.
    Unfollowed(&'a [TokenId]),
    /// The connection stands and all followed tokens are asked for.
    Connected {
        /// When.
        at: Timestamp,
    },
    /// A text frame as it came; never `PONG`.
    Frame {
        /// One message or a list of messages, unread.
        text: &'a str,
        /// When it was received.
        at: Timestamp,
    },
    /// Something that says no more than that the other side is there.
    Heard {
        /// When.
        at: Timestamp,
    },
    /// A frame that the market channel never sends.
    Odd {
        /// What kind.
        what: &'a str,
        /// When.
        at: Timestamp,
    },
    /// The connection was lost or could not be made; another attempt follows.
    Lost {
        /// Why.
        reason: &'a str,
        /// When.
        at: Timestamp,
        /// How long until the next attempt.
        retry_in: Duration,
    },
    /// The connection is not wanted any more; nothing follows.
    Closed,
}

/// Whoever uses a connection. Called from its task, so it must not block.
pub trait Listener: Send {
    /// Something happened.
    fn event(&mut self, event: ConnectionEvent<'_>);

    /// Tokens to be asked for anew, for a fresh whole book of each. Asked after each event and
    /// several times a second.
    fn resubscribe(&mut self, _now: Timestamp) -> Vec<TokenId> {
        Vec::new()
    }
}

/// A connection that lives as long as this value.
#[derive(Debug)]
pub struct Connection {
    commands: mpsc::UnboundedSender<Command>,
}

#[derive(Debug)]
enum Command {
    Subscribe(Vec<TokenId>),
    Unsubscribe(Vec<TokenId>),
}

impl Connection {
    /// Connects in the background and keeps asking for these tokens.
    pub fn open(
        runtime: &Handle,
        settings: Arc<ConnectionSettings>,
        tokens: Vec<TokenId>,
        listener: Box<dyn Listener>,
    ) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let task = Task {
            settings,
            wanted: BTreeSet::new(),
            commands: inbox,
            listener,
        };
        runtime.spawn(task.run(tokens));
        Connection { commands }
    }

    /// Asks for these tokens too.
    pub fn subscribe(&self, tokens: Vec<TokenId>) {
        // The task ends only with this sender.
        let _ = self.commands.send(Command::Subscribe(tokens));
    }

    /// Asks for these no more.
    pub fn unsubscribe(&self, tokens: Vec<TokenId>) {
        let _ = self.commands.send(Command::Unsubscribe(tokens));
    }
}

/// How a session ended.
enum End {
    /// Nobody wants it any more.
    Closed,
    /// It broke.
    Lost {
        reason: String,
        retry_after: Option<Duration>,
    },
}

fn lost(reason: impl Into<String>) -> End {
    End::Lost {
        reason: reason.into(),
        retry_after: None,
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Task {
    settings: Arc<ConnectionSettings>,
    wanted: BTreeSet<TokenId>,
    commands: mpsc::UnboundedReceiver<Command>,
    listener: Box<dyn Listener>,
}

impl Task {
    async fn run(mut self, tokens: Vec<TokenId>) {
        self.note(&Command::Subscribe(tokens));
        let mut attempt = 0;
        loop {
            let mut connected = None;
            let end = match self.connect().await {
                Ok(socket) => {
                    connected = Some(Instant::now());
                    self.session(socket).await
                }
                Err(end) => end,
            };
            let End::Lost {
                reason,
                retry_after,
            } = end
            else {
                break;
            };
            if connected.is_some_and(|since| since.elapsed() >= self.settings.steady) {
                attempt = 0;
            }
            let retry_in = self.settings.backoff.wait(attempt, retry_after);
            attempt = attempt.saturating_add(1);
            tracing::warn!(
                tokens = self.wanted.len(),
                retry_ms = retry_in.as_millis() as u64,
                "market stream lost: {reason}"
            );
            self.listener.event(ConnectionEvent::Lost {
                reason: &reason,
                at: SystemClock.now(),
                retry_in,
            });
            if self.pause(retry_in).await.is_none() {
                break;
            }
        }
        self.listener.event(ConnectionEvent::Closed);
    }

    /// Waits, and keeps up with what is wanted meanwhile. `None` when nothing is wanted any more.
    async fn pause(&mut self, wait: Duration) -> Option<()> {
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                command = self.commands.recv() => self.note(&command?),
                () = sleep_until(until) => return Some(()),
            }
        }
    }

    async fn connect(&mut self) -> Result<Socket, End> {
        let mut connecting = pin!(connect(self.settings.clone()));
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.note(&command),
                    None => return Err(End::Closed),
                },
                done = &mut connecting => return done,
            }
        }
    }

    /// Remembers what is wanted and tells the listener.
    fn note(&mut self, command: &Command) {
        match command {
            Command::Subscribe(tokens) => {
                self.wanted.extend(tokens.iter().cloned());
                self.listener.event(ConnectionEvent::Followed(tokens));
            }
            Command::Unsubscribe(tokens) => {
                for token in tokens {
                    self.wanted.remove(token);
                }
                self.listener.event(ConnectionEvent::Unfollowed(tokens));
            }
        }
    }

    async fn session<S>(&mut self, mut socket: WebSocketStream<S>) -> End
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let wanted: Vec<TokenId> = self.wanted.iter().cloned().collect();
        let first = json!({
            "type": "market", "assets_ids": ids(&wanted), "custom_feature_enabled": true,
        });
        if let Err(end) = send(&mut socket, first.to_string()).await {
            return end;
        }
        self.listener.event(ConnectionEvent::Connected {
            at: SystemClock.now(),
        });
        let settings = self.settings.clone();
        let mut ping = interval_at(Instant::now() + settings.ping_every, settings.ping_every);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut check = interval(settings.check_every);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let sent = tokio::select! {
                command = self.commands.recv() => match command {
                    None => {
                        // Politeness; whether it arrives does not matter.
                        let _ = timeout(SEND_WAIT, socket.close(None)).await;
                        return End::Closed;
                    }
                    Some(command) => {
                        self.note(&command);
                        let text = match &command {
                            Command::Subscribe(tokens) => operation("subscribe", tokens),
                            Command::Unsubscribe(tokens) => operation("unsubscribe", tokens),
                        };
                        send(&mut socket, text).await
                    }
                },
                message = socket.next() => {
                    heard = Instant::now();
                    self.receive(message)
                }
                _ = ping.tick() => send(&mut socket, "PING".to_owned()).await,
                _ = check.tick() => Ok(()),
                () = sleep_until(heard + settings.silence) => {
                    Err(lost(format!("silent for {} s", settings.silence.as_secs_f64())))
                }
            };
            if let Err(end) = sent {
                return end;
            }
            let anew = self.listener.resubscribe(SystemClock.now());
            if !anew.is_empty() {
                for kind in ["unsubscribe", "subscribe"] {
                    if let Err(end) = send(&mut socket, operation(kind, &anew)).await {
                        return end;
                    }
                }
            }
        }
    }

    fn receive(&mut self, message: Option<Result<Message, WsError>>) -> Result<(), End> {
        let at = SystemClock.now();
        let event = match &message {
            None => return Err(lost("the connection ended")),
            Some(Err(error)) => return Err(lost(clean(&error.to_string(), 200))),
            Some(Ok(Message::Close(frame))) => {
                let why = frame.as_ref().map_or_else(String::new, |frame| {
                    let reason = clean(&frame.reason, 100);
                    format!(" with code {} {reason}", u16::from(frame.code))
                });
                return Err(lost(format!("the venue closed the connection{why}")));
            }
            Some(Ok(Message::Text(text))) => match text.as_str() {
                "PONG" | "PING" => ConnectionEvent::Heard { at },
                text => ConnectionEvent::Frame { text, at },
            },
            Some(Ok(Message::Binary(_))) => ConnectionEvent::Odd {
                what: "ws frame: binary",
                at,
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                ConnectionEvent::Heard { at }
            }
        };
        self.listener.event(event);
        Ok(())
    }
}

async fn connect(settings: Arc<ConnectionSettings>) -> Result<Socket, End> {
    // Fails only when a provider is there already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut request = settings
        .url
        .as_str()
        .into_client_request()
        .map_err(|error| lost(clean(&error.to_string(), 200)))?;
    if let Ok(agent) = HeaderValue::from_str(&settings.user_agent) {
        request.headers_mut().insert(header::USER_AGENT, agent);
    }
    let limits = WebSocketConfig::default()
        .max_message_size(Some(settings.max_message))
        .max_frame_size(Some(settings.max_message));
    let connecting = connect_async_tls_with_config(request, Some(limits), true, None);
    match timeout(settings.connect_timeout, connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(WsError::Http(response))) => {
            let wish = response.headers().get(header::RETRY_AFTER);
            let wish = wish.and_then(|value| value.to_str().ok());
            Err(End::Lost {
                reason: format!("the upgrade was answered with status {}", response.status()),
                retry_after: wish.and_then(backoff::retry_after),
            })
        }
        Ok(Err(error)) => Err(lost(clean(&error.to_string(), 200))),
        Err(_) => Err(lost(format!(
            "no connection within {} s",
            settings.connect_timeout.as_secs_f64()
        ))),
    }
}

async fn send<S>(socket: &mut WebSocketStream<S>, text: String) -> Result<(), End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match timeout(SEND_WAIT, socket.send(Message::text(text))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(lost(clean(&error.to_string(), 200))),
        Err(_) => Err(lost("the venue takes no messages")),
    }
}

fn operation(kind: &str, tokens: &[TokenId]) -> String {
    json!({"operation": kind, "assets_ids": ids(tokens), "custom_feature_enabled": true})
        .to_string()
}

fn ids(tokens: &[TokenId]) -> Vec<&str> {
    tokens.iter().map(TokenId::as_str).collect()
}
