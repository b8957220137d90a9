//! What a key's holder may look up.

use alloy_primitives::U256;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::http::{IdPath, Signed, order_id};
use super::order::Fault;
use super::rows;
use super::signing::Contract;
use crate::domain::Timestamp;
use crate::sandbox::exchange::TradeNo;
use crate::sandbox::routes::{Params, Shared};

/// Rows of one page.
const PAGE: usize = 100;
/// The cursor after the last page: `-1` in base64.
const END: &str = "LTE=";

/// One page from the cursor on. Cursors are offsets in base64, as the venue's (`MA==` is 0).
fn page<T: Serialize>(params: &Params, rows: Vec<T>, fault: &str) -> Response {
    let offset = match params.one("next_cursor") {
        None => Some(0),
        Some(END) => Some(rows.len()),
        Some(cursor) => STANDARD
            .decode(cursor)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok()?.parse::<usize>().ok()),
    };
    let Some(offset) = offset else {
        return Fault::bad(fault).into_response();
    };
    let next = offset.saturating_add(PAGE);
    let cursor = if next < rows.len() {
        STANDARD.encode(next.to_string())
    } else {
        END.to_owned()
    };
    let data: Vec<T> = rows.into_iter().skip(offset).take(PAGE).collect();
    Json(json!({ "data": data, "next_cursor": cursor })).into_response()
}

/// `GET /data/orders`: what rests, filtered by id, market and token.
pub(super) async fn open_orders(
    State(shared): State<Shared>,
    params: Params,
    signed: Signed,
) -> Response {
    let world = shared.read();
    let desk = shared.trading().desk();
    let rows: Vec<_> = desk
        .wallets_of(signed.caller.address)
        .into_iter()
        .flat_map(|(_, wallet)| {
            let mut trades = rows::trades_by_order(&desk, &world.exchange, wallet.account);
            world
                .exchange
                .open_orders(wallet.account)
                .into_iter()
                .filter_map(|record| {
                    let file = desk.file_of(record.order)?;
                    let trades = trades.remove(&record.order).unwrap_or_default();
                    rows::open_order(&world, record, file, trades)
                })
                .collect::<Vec<_>>()
        })
        .filter(|row| {
            row.matches(
                params.one("id"),
                params.one("market"),
                params.one("asset_id"),
            )
        })
        .collect();
    page(&params, rows, "invalid order params payload")
}

/// `GET /data/order/{id}`, ended orders too. What the venue says of an unknown one is not recorded;
/// here it is 404.
pub(super) async fn order(State(shared): State<Shared>, id: IdPath, signed: Signed) -> Response {
    let hash = match order_id(&id.0) {
        Ok(hash) => hash,
        Err(fault) => return fault.into_response(),
    };
    let world = shared.read();
    let desk = shared.trading().desk();
    let row = desk.own_file(&hash, &signed.caller).and_then(|file| {
        let record = world.exchange.order(file.no)?;
        let trades = rows::trades_by_order(&desk, &world.exchange, record.placed.account)
            .remove(&file.no)
            .unwrap_or_default();
        rows::open_order(&world, record, file, trades)
    });
    match row {
        Some(row) => Json(row).into_response(),
        None => Fault {
            status: StatusCode::NOT_FOUND,
            ..Fault::bad("order not found")
        }
        .into_response(),
    }
}

/// `GET /data/trades`, newest first, filtered by id, market, token, maker address and time.
pub(super) async fn trades(
    State(shared): State<Shared>,
    params: Params,
    signed: Signed,
) -> Response {
    let fault = "Invalid trade params payload";
    let time = |name: &str| -> Result<Option<Timestamp>, ()> {
        match params.one(name) {
            None => Ok(None),
            Some(text) => text
                .parse()
                .map(|secs| Some(Timestamp::from_secs(secs)))
                .map_err(drop),
        }
    };
    let (Ok(before), Ok(after)) = (time("before"), time("after")) else {
        return Fault::bad(fault).into_response();
    };
    let world = shared.read();
    let desk = shared.trading().desk();
    let mut rows: Vec<(TradeNo, rows::TradeRow)> = desk
        .wallets_of(signed.caller.address)
        .into_iter()
        .flat_map(|(_, wallet)| {
            let account = wallet.account;
            world
                .exchange
                .trades(account)
                .into_iter()
                .filter(|trade| before.is_none_or(|moment| trade.matched_at < moment))
                .filter(|trade| after.is_none_or(|moment| trade.matched_at > moment))
                .filter_map(|trade| {
                    Some((trade.trade, rows::trade(&world, &desk, trade, account)?))
                })
                .collect::<Vec<_>>()
        })
        .filter(|(_, row)| {
            let is =
                |name: &str, value: &str| params.one(name).is_none_or(|wanted| wanted == value);
            is("id", &row.id)
                && is("market", &row.market)
                && params
                    .one("asset_id")
                    .is_none_or(|token| row.mentions(token))
                && params
                    .one("maker_address")
                    .is_none_or(|address| row.mentions(&address.to_lowercase()))
        })
        .collect();
    // A trade between two wallets of one signer is listed once.
    rows.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    rows.dedup_by_key(|(number, _)| *number);
    page(
        &params,
        rows.into_iter().map(|(_, row)| row).collect(),
        fault,
    )
}

/// `GET /order-scoring`. There is no rewards programme in the sandbox, so no order scores.
pub(super) async fn scoring(
    State(shared): State<Shared>,
    params: Params,
    signed: Signed,
) -> Response {
    let known = params
        .one("order_id")
        .and_then(|id| order_id(id).ok())
        .is_some_and(|hash| {
            shared
                .trading()
                .desk()
                .own_file(&hash, &signed.caller)
                .is_some()
        });
    if known {
        Json(json!({ "scoring": false })).into_response()
    } else {
        Fault::bad("Invalid orderID").into_response()
    }
}

/// `POST /orders-scoring`: likewise, for a list of ids; unknown ones are left out.
pub(super) async fn scoring_many(State(shared): State<Shared>, signed: Signed) -> Response {
    let Ok(ids) = serde_json::from_slice::<Vec<String>>(&signed.body) else {
        return Fault::payload().into_response();
    };
    let desk = shared.trading().desk();
    let scores: Map<String, Value> = ids
        .into_iter()
        .filter(|id| order_id(id).is_ok_and(|hash| desk.own_file(&hash, &signed.caller).is_some()))
        .map(|id| (id, Value::Bool(false)))
        .collect();
    Json(scores).into_response()
}

/// What is asked about: the wallet of a signature type, and pUSD or the shares of a token.
///
/// An address that has not traded yet will have the starting balance when it does, and is answered
/// with that: a client looks at its balance before it sends its first order.
fn balance_of(shared: &Shared, params: &Params, signed: &Signed) -> Result<Value, Fault> {
    let kind: u8 = match params.one("signature_type") {
        None | Some("0" | "EOA") => 0,
        Some("1" | "POLY_PROXY") => 1,
        Some("2" | "GNOSIS_SAFE") => 2,
        Some("3" | "POLY_1271") => 3,
        Some(_) => return Err(Fault::bad("Invalid signature_type")),
    };
    let collateral = match params.one("asset_type") {
        Some("COLLATERAL") => true,
        Some("CONDITIONAL" | "CONDITIONAL-V2") => false,
        _ => return Err(Fault::bad("Invalid asset type")),
    };
    let world = shared.read();
    let token = if collateral {
        None
    } else {
        let token = params.one("token_id").and_then(|id| world.by_token(id));
        let (market, _, outcome) = token.ok_or_else(|| Fault::bad("Invalid token id"))?;
        Some((market.idx(), outcome))
    };
    let desk = shared.trading().desk();
    let account = desk
        .wallets_of(signed.caller.address)
        .into_iter()
        .find(|(_, wallet)| wallet.kind == kind)
        .map(|(_, wallet)| wallet.account);
    // What is not final on the chain is not in the wallet.
    let balance = match (token, account) {
        (None, None) => desk.starting().micros(),
        (None, Some(account)) => world
            .exchange
            .cash(account)
            .map_or(0, |cash| cash.total.minus(cash.unsettled).micros()),
        (Some(_), None) => 0,
        (Some((market, outcome)), Some(account)) => {
            let holding = world.exchange.holding(account, market, outcome);
            holding.total.minus(holding.unsettled).micros()
        }
    };
    let allowed = account
        .and_then(|account| world.exchange.allowance(account))
        .is_none_or(|allowance| {
            if collateral {
                allowance.collateral
            } else {
                allowance.conditional
            }
        });
    let amount = if allowed { U256::MAX } else { U256::ZERO };
    let allowances: Map<String, Value> = Contract::ALL
        .into_iter()
        .map(|contract| (contract.address().to_string(), amount.to_string().into()))
        .collect();
    Ok(json!({ "balance": balance.to_string(), "allowances": allowances }))
}

/// `GET /balance-allowance`: base units in decimal text.
pub(super) async fn balance(
    State(shared): State<Shared>,
    params: Params,
    signed: Signed,
) -> Response {
    match balance_of(&shared, &params, &signed) {
        Ok(answer) => Json(answer).into_response(),
        Err(fault) => fault.into_response(),
    }
}

/// `GET /balance-allowance/update`: a GET that would have the venue look at the chain again. Here
/// the balances are always the present ones.
pub(super) async fn balance_update(
    State(shared): State<Shared>,
    params: Params,
    signed: Signed,
) -> Response {
    match balance_of(&shared, &params, &signed) {
        Ok(_) => Json("").into_response(),
        Err(fault) => fault.into_response(),
    }
}

/// `GET /notifications`.
pub(super) async fn notifications(State(shared): State<Shared>, signed: Signed) -> Response {
    let desk = shared.trading().desk();
    Json(desk.notices.of(signed.caller.address)).into_response()
}

/// `DELETE /notifications?ids=1,2`.
pub(super) async fn drop_notifications(
    State(shared): State<Shared>,
    params: Params,
    signed: Signed,
) -> Response {
    let ids: Vec<u64> = params
        .list("ids")
        .iter()
        .filter_map(|id| id.parse().ok())
        .collect();
    shared
        .trading()
        .desk()
        .notices
        .drop(signed.caller.address, &ids);
    Json("OK").into_response()
}
