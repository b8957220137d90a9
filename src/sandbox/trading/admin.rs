//! What happens on the chain at the venue and has no chain to happen on here: deposits, approvals,
//! splits, merges, redemptions. Under `/sandbox`, without a key.

use alloy_primitives::Address;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::desk::{Desk, Wallet};
use super::rows::lower;
use crate::domain::{Shares, Usdc};
use crate::sandbox::exchange::{Allowance, MarketState};
use crate::sandbox::model::World;
use crate::sandbox::routes::Shared;

/// The routes, to be merged into the sandbox's own.
pub(in crate::sandbox) fn routes() -> Router<Shared> {
    Router::new()
        .route("/accounts", get(accounts))
        .route("/deposit", post(deposit))
        .route("/allowance", post(allowance))
        .route("/split", post(split))
        .route("/merge", post(merge))
        .route("/redeem", post(redeem))
}

/// Why an admin request is refused.
type Refused = (StatusCode, String);

fn bad(message: impl Into<String>) -> Refused {
    (StatusCode::BAD_REQUEST, message.into())
}

fn answer(result: Result<Value, Refused>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err((status, message)) => (status, Json(json!({ "error": message }))).into_response(),
    }
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| bad(format!("the body does not fit: {error}")))
}

/// The wallet of an address.
fn wallet(desk: &Desk, address: &str) -> Result<(Address, Wallet), Refused> {
    let address: Address = address
        .parse()
        .map_err(|_| bad("address must be 0x and 40 digits"))?;
    let wallet = desk.find(address).ok_or((
        StatusCode::NOT_FOUND,
        "no such wallet: it is opened by its first API key or order".to_owned(),
    ))?;
    Ok((address, wallet.clone()))
}

/// A wallet as the admin routes show it.
fn shown(world: &World, address: Address, wallet: &Wallet) -> Value {
    let exchange = &world.exchange;
    let cash = exchange.cash(wallet.account).unwrap_or_default();
    let allowance = exchange.allowance(wallet.account);
    let positions: Vec<Value> = exchange
        .positions(wallet.account)
        .into_iter()
        .filter_map(|(market, outcome, holding)| {
            let market = world.markets.get(market.0 as usize)?;
            Some(json!({
                "condition_id": market.condition_id,
                "token_id": outcome.of(&market.tokens),
                "outcome": market.outcome(outcome),
                "shares": holding.total.to_string(),
                "reserved": holding.reserved.to_string(),
                "unsettled": holding.unsettled.to_string(),
            }))
        })
        .collect();
    json!({
        "address": lower(address),
        "owner": lower(wallet.owner),
        "signature_type": wallet.kind,
        "cash": cash.total.to_string(),
        "reserved": cash.reserved.to_string(),
        "unsettled": cash.unsettled.to_string(),
        "allowance": {
            "collateral": allowance.is_some_and(|allowance| allowance.collateral),
            "conditional": allowance.is_some_and(|allowance| allowance.conditional),
        },
        "positions": positions,
    })
}

async fn accounts(State(shared): State<Shared>) -> Response {
    let world = shared.read();
    let desk = shared.trading().desk();
    let list: Vec<Value> = desk
        .all_wallets()
        .into_iter()
        .map(|(address, wallet)| shown(&world, address, wallet))
        .collect();
    Json(json!({ "accounts": list })).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deposit {
    address: String,
    /// pUSD in decimal text.
    amount: String,
}

async fn deposit(State(shared): State<Shared>, body: Bytes) -> Response {
    answer(read::<Deposit>(&body).and_then(|request| {
        let amount = Usdc::parse(&request.amount).map_err(|error| bad(error.to_string()))?;
        let mut world = shared.write();
        let desk = shared.trading().desk();
        let (address, wallet) = wallet(&desk, &request.address)?;
        world
            .exchange
            .deposit(wallet.account, amount)
            .map_err(|error| bad(error.to_string()))?;
        Ok(shown(&world, address, &wallet))
    }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetAllowance {
    address: String,
    collateral: Option<bool>,
    conditional: Option<bool>,
}

async fn allowance(State(shared): State<Shared>, body: Bytes) -> Response {
    answer(read::<SetAllowance>(&body).and_then(|request| {
        let mut world = shared.write();
        let desk = shared.trading().desk();
        let (address, wallet) = wallet(&desk, &request.address)?;
        let present = world
            .exchange
            .allowance(wallet.account)
            .unwrap_or(Allowance {
                collateral: true,
                conditional: true,
            });
        let wanted = Allowance {
            collateral: request.collateral.unwrap_or(present.collateral),
            conditional: request.conditional.unwrap_or(present.conditional),
        };
        world
            .exchange
            .set_allowance(wallet.account, wanted)
            .map_err(|error| bad(error.to_string()))?;
        Ok(shown(&world, address, &wallet))
    }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pairs {
    address: String,
    condition_id: String,
    /// Shares of each outcome, in decimal text.
    shares: String,
}

async fn split(State(shared): State<Shared>, body: Bytes) -> Response {
    answer(pairs(&shared, &body, true))
}

async fn merge(State(shared): State<Shared>, body: Bytes) -> Response {
    answer(pairs(&shared, &body, false))
}

fn pairs(shared: &Shared, body: &Bytes, split: bool) -> Result<Value, Refused> {
    let request = read::<Pairs>(body)?;
    let shares = Shares::parse(&request.shares).map_err(|error| bad(error.to_string()))?;
    let mut world = shared.write();
    let desk = shared.trading().desk();
    let (address, wallet) = wallet(&desk, &request.address)?;
    let market = world
        .by_condition(&request.condition_id.to_lowercase())
        .map(|(market, _)| market.idx())
        .ok_or_else(|| bad("no such market"))?;
    let moved = if split {
        world.exchange.split(wallet.account, market, shares)
    } else {
        world.exchange.merge(wallet.account, market, shares)
    };
    moved.map_err(|error| bad(error.to_string()))?;
    Ok(shown(&world, address, &wallet))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Redeem {
    address: String,
    /// One market; all resolved ones without it.
    condition_id: Option<String>,
}

/// Pays out shares of resolved markets. On the venue this is a call to a contract, which the CLOB
/// never makes.
async fn redeem(State(shared): State<Shared>, body: Bytes) -> Response {
    answer(read::<Redeem>(&body).and_then(|request| {
        let mut world = shared.write();
        let desk = shared.trading().desk();
        let (address, wallet) = wallet(&desk, &request.address)?;
        let one = match &request.condition_id {
            None => None,
            Some(id) => Some(
                world
                    .by_condition(&id.to_lowercase())
                    .map(|(market, _)| market.idx())
                    .ok_or_else(|| bad("no such market"))?,
            ),
        };
        let mut markets: Vec<_> = world
            .exchange
            .positions(wallet.account)
            .into_iter()
            .map(|(market, _, _)| market)
            .filter(|market| one.is_none_or(|wanted| wanted == *market))
            .collect();
        markets.dedup();
        let mut paid = Usdc::ZERO;
        let mut open = false;
        for market in markets {
            match world.exchange.state(market) {
                Some(MarketState::Settled(_)) => {
                    paid = paid.plus(world.exchange.redeem(wallet.account, market));
                }
                _ => open = true,
            }
        }
        if one.is_some() && open {
            return Err(bad("the market is not resolved"));
        }
        let mut answer = shown(&world, address, &wallet);
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("paid".to_owned(), paid.to_string().into());
        }
        Ok(answer)
    }))
}
