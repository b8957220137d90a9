//! The sandbox's WebSockets: the market channel, and what the user channel shares with it.
//!
//! * [`pump`] takes what changed from the world, once for all sockets, whenever it may have moved.
//! * [`Hub`] knows who follows which market, mirrors those books, and writes each market's news once
//!   for all who get the same.
//! * `outlet` is a socket's bounded queue: who does not read is dropped.
//! * [`run`] drives one socket: `PING`, the client's messages, the queue, and the armed faults.
//!   A channel ([`Channel`]) says what the messages mean; the user channel brings its own.

mod channel;
mod hub;
mod messages;
mod mirror;
mod outlet;
mod session;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use axum::routing::get;

use super::faults::Line;
use super::routes::Shared;

pub(super) use hub::Hub;
pub(super) use outlet::{Frame, Outlet};
pub(super) use session::{Channel, Said, run};

/// Longest message that a client may send: thousands of token ids fit.
const MOST_BYTES: usize = 4 << 20;

/// The market channel. The user channel is nested beside it by the trading side.
pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/market", get(market))
}

async fn market(
    State(shared): State<Shared>,
    line: Option<axum::Extension<ConnectInfo<Line>>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let line = line.map(|axum::Extension(ConnectInfo(line))| line);
    upgrade
        .max_message_size(MOST_BYTES)
        .max_frame_size(MOST_BYTES)
        .on_upgrade(move |socket| {
            let channel = channel::Market::new(shared.clone());
            run(socket, line, shared, channel)
        })
}

/// Passes on what changes until the sandbox ends.
pub(super) async fn pump(shared: Shared) {
    loop {
        tokio::select! {
            () = shared.stop().cancelled() => return,
            () = shared.moved() => {}
        }
        let world = shared.clone();
        // Thousands of changes take a while to write down: not on the runtime's threads.
        if tokio::task::spawn_blocking(move || world.hub().pump(&world))
            .await
            .is_err()
        {
            tracing::error!("the sandbox's sockets stand still: a batch of changes failed");
            return;
        }
    }
}

#[cfg(test)]
mod tests;
