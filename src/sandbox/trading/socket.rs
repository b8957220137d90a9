//! The user channel: `/ws/user`.
//!
//! The socket itself (`PING`, the queue, the faults) is the market channel's; here is what the
//! messages mean.

use std::sync::{Mutex, PoisonError};

use alloy_primitives::Address;
use axum::Router;
use axum::extract::ws::{WebSocketUpgrade, close_code};
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::events::UserEvent;
use crate::sandbox::faults::Line;
use crate::sandbox::routes::Shared;
use crate::sandbox::sockets::{Channel, Frame, Outlet, Said, run};

/// The route, to be nested under `/ws`.
pub(in crate::sandbox) fn routes() -> Router<Shared> {
    Router::new().route("/user", get(upgrade))
}

async fn upgrade(
    State(shared): State<Shared>,
    line: Option<axum::Extension<ConnectInfo<Line>>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let line = line.map(|axum::Extension(ConnectInfo(line))| line);
    upgrade.on_upgrade(move |socket| {
        let channel = User {
            shared: shared.clone(),
            outlet: None,
            seat: None,
        };
        run(socket, line, shared, channel)
    })
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

/// One admitted socket: which events it wants, and where they go.
#[derive(Debug)]
struct Seat {
    number: u64,
    owner: Address,
    /// Condition ids; `None` for all.
    markets: Option<Vec<String>>,
    outlet: Outlet,
}

impl Seat {
    fn wants(&self, event: &UserEvent) -> bool {
        event.owner == self.owner
            && self
                .markets
                .as_ref()
                .is_none_or(|markets| markets.contains(&event.condition))
    }

    fn change(&mut self, operation: &str, named: Vec<String>) {
        match (operation, &mut self.markets) {
            ("unsubscribe", Some(markets)) => markets.retain(|id| !named.contains(id)),
            ("subscribe", Some(markets)) => {
                for id in named {
                    if markets.len() < MAX_MARKETS && !markets.contains(&id) {
                        markets.push(id);
                    }
                }
            }
            // One who gets everything stays as it is.
            _ => {}
        }
    }
}

/// Most markets that one socket names.
const MAX_MARKETS: usize = 10_000;

/// Every admitted socket.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<(u64, Vec<Seat>)>);

impl Seats {
    fn with<T>(&self, change: impl FnOnce(&mut (u64, Vec<Seat>)) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends an event to those who want it.
    pub(super) fn tell(&self, event: &UserEvent) {
        self.with(|(_, seats)| {
            for seat in seats.iter().filter(|seat| seat.wants(event)) {
                // A socket that is gone or too slow leaves by itself.
                let _offered = seat.outlet.offer(vec![Frame {
                    text: event.text.clone(),
                    tokens: event.tokens.clone(),
                    has_changes: false,
                }]);
            }
        });
    }
}

/// One user socket.
#[derive(Debug)]
struct User {
    shared: Shared,
    outlet: Option<Outlet>,
    seat: Option<u64>,
}

impl Channel for User {
    const PATH: &'static str = "/user";

    fn opened(&mut self, outlet: Outlet) {
        self.outlet = Some(outlet);
    }

    /// What the venue says to a subscription without valid credentials is not recorded; here the
    /// socket is closed for policy violation.
    fn said(&mut self, text: &str) -> Said {
        const REFUSED: Said = Said::Close(close_code::POLICY, "invalid subscription");
        let Ok(message) = serde_json::from_str::<Subscription>(text) else {
            return REFUSED;
        };
        let named: Vec<String> = message.markets.iter().map(|id| id.to_lowercase()).collect();
        let seats = self.shared.trading().seats();
        if let Some(number) = self.seat {
            let operation = message.operation.unwrap_or_default();
            seats.with(|(_, seats)| {
                if let Some(seat) = seats.iter_mut().find(|seat| seat.number == number) {
                    seat.change(&operation, named);
                }
            });
            return Said::Nothing;
        }
        let caller = message.auth.and_then(|auth| {
            let desk = self.shared.trading().desk();
            desk.keys
                .holder(&auth.api_key, &auth.secret, &auth.passphrase)
        });
        let (Some(caller), Some(outlet)) = (caller, self.outlet.clone()) else {
            return REFUSED;
        };
        self.seat = Some(seats.with(|(last, seats)| {
            *last += 1;
            seats.push(Seat {
                number: *last,
                owner: caller.address,
                markets: (!named.is_empty()).then_some(named),
                outlet,
            });
            *last
        }));
        Said::Nothing
    }

    fn tokens(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if let Some(number) = self.seat {
            let seats = self.shared.trading().seats();
            seats.with(|(_, seats)| seats.retain(|seat| seat.number != number));
        }
    }
}
