//! The user channel: `/ws/user`.

use std::time::Duration;

use alloy_primitives::Address;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use super::events::UserEvent;
use crate::sandbox::routes::Shared;

/// How long a new connection may stay without a subscription.
const PATIENCE: Duration = Duration::from_secs(10);

/// The route, to be nested under `/ws`.
pub(in crate::sandbox) fn routes() -> Router<Shared> {
    Router::new().route("/user", get(upgrade))
}

async fn upgrade(State(shared): State<Shared>, socket: WebSocketUpgrade) -> Response {
    socket.on_upgrade(move |socket| serve(shared, socket))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Auth {
    api_key: String,
    secret: String,
    passphrase: String,
}

/// The first message, and later changes of the filter.
#[derive(Debug, Deserialize)]
struct Subscription {
    auth: Option<Auth>,
    #[serde(default)]
    markets: Vec<String>,
    operation: Option<String>,
}

/// Which events a socket wants: all, or those of some markets.
#[derive(Debug)]
struct Filter {
    owner: Address,
    markets: Option<Vec<String>>,
}

impl Filter {
    fn wants(&self, event: &UserEvent) -> bool {
        event.owner == self.owner
            && self
                .markets
                .as_ref()
                .is_none_or(|markets| markets.contains(&event.condition))
    }

    fn change(&mut self, message: Subscription) {
        let named: Vec<String> = message
            .markets
            .into_iter()
            .map(|market| market.to_lowercase())
            .collect();
        match (message.operation.as_deref(), &mut self.markets) {
            (Some("unsubscribe"), Some(markets)) => markets.retain(|id| !named.contains(id)),
            (Some("subscribe"), Some(markets)) => markets.extend(named),
            _ => {}
        }
    }
}

/// Waits for the subscription. `None`: gone, silent, or not let in (what the venue then says is
/// not recorded; here the socket is closed with policy violation).
async fn admitted(shared: &Shared, socket: &mut WebSocket) -> Option<Filter> {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.recv())
            .await
            .ok()??
            .ok()?;
        let Message::Text(text) = message else {
            continue;
        };
        if text.as_str() == "PING" {
            socket.send(Message::text("PONG")).await.ok()?;
            continue;
        }
        let message: Subscription = serde_json::from_str(&text).ok()?;
        let auth = message.auth?;
        let caller =
            shared
                .trading()
                .desk()
                .keys
                .holder(&auth.api_key, &auth.secret, &auth.passphrase)?;
        let markets: Vec<String> = message
            .markets
            .iter()
            .map(|market| market.to_lowercase())
            .collect();
        return Some(Filter {
            owner: caller.address,
            markets: (!markets.is_empty()).then_some(markets),
        });
    }
}

async fn serve(shared: Shared, mut socket: WebSocket) {
    // Listened to from before the key is checked, so that nothing falls between.
    let mut events = shared.trading().events();
    let Some(mut filter) = admitted(&shared, &mut socket).await else {
        let frame = CloseFrame {
            code: close_code::POLICY,
            reason: "invalid subscription".into(),
        };
        if socket.send(Message::Close(Some(frame))).await.is_err() {
            tracing::debug!("a user socket was gone before it was refused");
        }
        return;
    };
    loop {
        let answer = tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) if text.as_str() == "PING" => Message::text("PONG"),
                Some(Ok(Message::Text(text))) => {
                    if let Ok(message) = serde_json::from_str(&text) {
                        filter.change(message);
                    }
                    continue;
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
            event = events.recv() => match event {
                Ok(event) if filter.wants(&event) => Message::text(event.text.as_ref()),
                Ok(_) => continue,
                // Missed events are not replayed: the socket ends, and the client reconciles.
                Err(RecvError::Lagged(_) | RecvError::Closed) => return,
            },
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}
