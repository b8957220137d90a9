//! The Data API, second generation.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::params::Params;
use super::{Shared, history};
use crate::sandbox::model::{OutcomeSide, SimEvent, SimMarket, World};
use crate::sandbox::noise::mix;
use crate::sandbox::wire::data as rows;
use crate::sandbox::wire::data::{Data, Page, Pagination};

/// Most conditions of one request.
const MAX_CONDITIONS: usize = 20;
/// Most tokens of one request.
const MAX_TOKENS: usize = 50;
/// Rows of a page when none are asked for, and at most.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;
/// Most holders of a token on a page when their profits are asked for.
const MAX_WITH_PNL: usize = 100;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v2/resolutions", get(resolutions))
        .route("/v2/tokens", get(tokens))
        .route("/v2/live-volume", get(live_volume))
        .route("/v2/positions", get(positions))
        .route("/v2/trades", get(trades))
        .route("/v2/value", get(value))
        .route("/v2/holders", get(holders))
        .route("/v2/prices-history", get(history::second))
        .route("/v2/leaderboard", get(leaderboard))
}

pub(super) fn refuse(message: &str, parameter: &str) -> Box<Response> {
    let body = json!({
        "error": message,
        "code": "invalid_parameter",
        "retryable": false,
        "trace_id": "sandbox",
        "parameter": parameter,
    });
    Box::new((StatusCode::BAD_REQUEST, Json(body)).into_response())
}

/// `offset` is refused on every route: paging goes by cursor.
fn no_offset(params: &Params) -> Result<(), Box<Response>> {
    match params.one("offset") {
        Some(_) => Err(refuse("offset is not supported, use cursor", "offset")),
        None => Ok(()),
    }
}

/// Which rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slice {
    limit: usize,
    offset: usize,
}

impl Slice {
    /// At most `most` rows. `limit` counts on the first page only; the cursor carries it on.
    fn read(params: &Params, most: usize) -> Result<Self, Box<Response>> {
        no_offset(params)?;
        let known = |limit: &usize| (1..=most).contains(limit);
        if let Some(text) = params.one("cursor") {
            return text
                .strip_prefix("sim-")
                .and_then(|rest| rest.split_once('-'))
                .and_then(|(limit, offset)| {
                    Some(Slice {
                        limit: limit.parse().ok().filter(known)?,
                        offset: offset.parse().ok()?,
                    })
                })
                .ok_or_else(|| refuse("invalid cursor", "cursor"));
        }
        let limit =
            match params.one("limit") {
                None => DEFAULT_LIMIT,
                Some(text) => text.parse().ok().filter(known).ok_or_else(|| {
                    refuse(&format!("limit must be between 1 and {most}"), "limit")
                })?,
            };
        Ok(Slice { limit, offset: 0 })
    }

    fn next(self) -> usize {
        self.offset.saturating_add(self.limit)
    }

    fn of<T>(self, rows: Vec<T>) -> Vec<T> {
        rows.into_iter()
            .skip(self.offset)
            .take(self.limit)
            .collect()
    }

    fn answer<T: Serialize>(self, data: Vec<T>, has_more: bool) -> Response {
        let Slice { limit, offset } = self;
        Json(Page {
            data,
            pagination: Pagination {
                limit,
                offset,
                has_more,
                next_cursor: has_more.then(|| format!("sim-{limit}-{}", self.next())),
            },
        })
        .into_response()
    }
}

/// A page of `rows`.
fn page<T: Serialize>(params: &Params, rows: Vec<T>) -> Result<Response, Box<Response>> {
    page_up_to(params, rows, MAX_LIMIT)
}

/// A page of `rows`, of at most `most`.
pub(super) fn page_up_to<T: Serialize>(
    params: &Params,
    rows: Vec<T>,
    most: usize,
) -> Result<Response, Box<Response>> {
    let slice = Slice::read(params, most)?;
    let has_more = rows.len() > slice.next();
    Ok(slice.answer(slice.of(rows), has_more))
}

pub(super) fn either(result: Result<Response, Box<Response>>) -> Response {
    result.unwrap_or_else(|refusal| *refusal)
}

/// The markets of `condition` (or `condition_id`), in the order asked; unknown ones are left out.
fn by_conditions<'a>(
    world: &'a World,
    params: &Params,
    most: usize,
) -> Result<Vec<(&'a SimMarket, &'a SimEvent)>, Box<Response>> {
    let mut wanted = params.list("condition");
    wanted.extend(params.list("condition_id"));
    if wanted.len() > most {
        return Err(refuse(&format!("at most {most} conditions"), "condition"));
    }
    for condition in &wanted {
        let digits = condition.strip_prefix("0x").unwrap_or_default();
        // The 62-digit form of v2 conditions is refused here, as on the venue.
        if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(refuse(
                "condition must be 0x and 64 hex digits",
                "condition",
            ));
        }
    }
    Ok(wanted
        .into_iter()
        .filter_map(|condition| world.by_condition(&condition.to_lowercase()))
        .collect())
}

/// The event with the id in `event_id`.
fn by_event<'a>(world: &'a World, params: &Params) -> Result<Option<&'a SimEvent>, Box<Response>> {
    let Some(text) = params.one("event_id") else {
        return Ok(None);
    };
    let id: u64 = text
        .parse()
        .map_err(|_| refuse("event_id must be a number", "event_id"))?;
    Ok(world.events.iter().find(|event| event.id == id))
}

async fn resolutions(State(shared): State<Shared>, params: Params) -> Response {
    either(resolutions_of(&shared.read(), &params))
}

fn resolutions_of(world: &World, params: &Params) -> Result<Response, Box<Response>> {
    no_offset(params)?;
    let named = [
        params
            .one("condition")
            .or(params.one("condition_id"))
            .is_some(),
        params.one("question_id").is_some(),
        params.one("event_id").is_some(),
    ];
    if named.into_iter().filter(|given| *given).count() != 1 {
        return Err(refuse(
            "exactly one of question_id, condition, event_id is required",
            "condition",
        ));
    }
    let mut markets = by_conditions(world, params, MAX_CONDITIONS)?;
    let questions = params.list("question_id");
    if questions.len() > MAX_CONDITIONS {
        return Err(refuse("at most 20 questions", "question_id"));
    }
    if !questions.is_empty() {
        markets.extend(
            world
                .all()
                .filter(|(market, _)| questions.contains(&market.question_id.as_str())),
        );
    }
    if let Some(event) = by_event(world, params)? {
        markets.extend(world.markets_of(event).iter().map(|market| (market, event)));
    }
    let data: Vec<_> = markets
        .into_iter()
        .map(|(market, event)| rows::resolution(world, market, event))
        .collect();
    Ok(Json(Data { data }).into_response())
}

async fn tokens(State(shared): State<Shared>, params: Params) -> Response {
    either(tokens_of(&shared.read(), &params))
}

fn tokens_of(world: &World, params: &Params) -> Result<Response, Box<Response>> {
    no_offset(params)?;
    let wanted = params.list("token_id");
    if wanted.len() > MAX_TOKENS {
        return Err(refuse("at most 50 tokens", "token_id"));
    }
    let mut data: Vec<rows::Token> = wanted
        .iter()
        .filter_map(|token| world.by_token(token))
        .map(|(market, event, side)| rows::token(world, market, event, side))
        .collect();
    let conditions = by_conditions(world, params, 10)?;
    if wanted.is_empty()
        && params
            .one("condition")
            .or(params.one("condition_id"))
            .is_none()
    {
        return Err(refuse("token_id or condition is required", "token_id"));
    }
    for (market, event) in conditions {
        for side in [OutcomeSide::First, OutcomeSide::Second] {
            data.push(rows::token(world, market, event, side));
        }
    }
    Ok(Json(Data { data }).into_response())
}

async fn live_volume(State(shared): State<Shared>, params: Params) -> Response {
    let world = shared.read();
    if params.one("event_id").is_none() {
        return *refuse("event_id is required", "event_id");
    }
    either(by_event(&world, &params).map(|event| {
        let data = event.map_or_else(
            || rows::LiveVolume {
                taker_volume_total: 0.0,
                conditions: Vec::new(),
            },
            |event| rows::live_volume(&world, event),
        );
        Json(Data { data }).into_response()
    }))
}

/// Holdings that `user` or `condition` selects; refused when neither is given.
fn holdings_of<T>(
    world: &World,
    agents: &[crate::sandbox::model::Wallet],
    params: &Params,
    row: impl Fn(&crate::sandbox::model::Wallet, &crate::sandbox::model::Holding) -> Option<T>,
) -> Result<Vec<T>, Box<Response>> {
    let user = params.one("user").map(str::to_lowercase);
    let conditions: Vec<usize> = by_conditions(world, params, MAX_CONDITIONS)?
        .into_iter()
        .map(|(market, _)| market.index)
        .collect();
    let event = by_event(world, params)?;
    let by_market = params
        .one("condition")
        .or(params.one("condition_id"))
        .is_some()
        || params.one("event_id").is_some();
    if user.is_none() && !by_market {
        return Err(refuse("user or condition is required", "user"));
    }
    Ok(world
        .wallets
        .iter()
        .chain(agents)
        .filter(|wallet| user.as_ref().is_none_or(|user| *user == wallet.address))
        .flat_map(|wallet| wallet.holdings.iter().map(move |holding| (wallet, holding)))
        .filter(|(_, holding)| {
            !by_market
                || conditions.contains(&holding.market)
                || event.is_some_and(|event| event.markets.contains(&holding.market))
        })
        .filter_map(|(wallet, holding)| row(wallet, holding))
        .collect())
}

/// Those who trade here, beside the made-up traders.
fn agents(shared: &Shared, world: &World, params: &Params) -> Vec<crate::sandbox::model::Wallet> {
    let user = params.one("user").map(str::to_lowercase);
    shared.trading().desk().traders(world, user.as_deref())
}

async fn positions(State(shared): State<Shared>, params: Params) -> Response {
    let world = shared.read();
    let agents = agents(&shared, &world, &params);
    either(
        holdings_of(&world, &agents, &params, |wallet, holding| {
            rows::position(&world, wallet, holding)
        })
        .and_then(|mut rows| {
            let status = params.list("status");
            rows.retain(|row| status.is_empty() || status.contains(&row.status));
            rows.sort_by(|a, b| b.current_value.total_cmp(&a.current_value));
            page(&params, rows)
        }),
    )
}

/// The market's prints and what the fictional traders bought; of one user only the latter.
async fn trades(State(shared): State<Shared>, params: Params) -> Response {
    let world = shared.read();
    let agents = agents(&shared, &world, &params);
    either(
        holdings_of(&world, &agents, &params, |wallet, holding| {
            rows::trade(&world, wallet, holding)
        })
        .and_then(|mut rows| {
            if params.one("user").is_none() {
                rows.extend(prints_of(&world, &params)?);
            }
            if let Some(side) = params.one("side") {
                rows.retain(|row| row.side == side);
            }
            rows.sort_by_key(|row| std::cmp::Reverse(row.timestamp));
            page(&params, rows)
        }),
    )
}

/// Latest prints of the markets that `condition` or `event_id` names.
fn prints_of(world: &World, params: &Params) -> Result<Vec<rows::Trade>, Box<Response>> {
    let mut markets = by_conditions(world, params, MAX_CONDITIONS)?;
    if let Some(event) = by_event(world, params)? {
        markets.extend(world.markets_of(event).iter().map(|market| (market, event)));
    }
    Ok(markets
        .into_iter()
        .flat_map(|(market, event)| {
            let row = move |print| rows::print(world, market, event, print);
            market.tape.prints().map(row)
        })
        .collect())
}

async fn value(State(shared): State<Shared>, params: Params) -> Response {
    let world = shared.read();
    let Some(user) = params.one("user").map(str::to_lowercase) else {
        return *refuse("user is required", "user");
    };
    let agents = agents(&shared, &world, &params);
    let total: f64 = world
        .wallets
        .iter()
        .chain(&agents)
        .filter(|wallet| wallet.address == user)
        .flat_map(|wallet| wallet.holdings.iter().map(move |holding| (wallet, holding)))
        .filter_map(|(wallet, holding)| rows::position(&world, wallet, holding))
        .map(|row| row.current_value)
        .sum();
    let total = (total * 1e4).round() / 1e4;
    Json(json!({"data": {"proxy_wallet": user, "value": total}})).into_response()
}

async fn holders(State(shared): State<Shared>, params: Params) -> Response {
    let world = shared.read();
    let agents = shared.trading().desk().traders(&world, None);
    either(holders_of(&world, &agents, &params))
}

/// A page has so many holders of each token, not so many tokens.
fn holders_of(
    world: &World,
    agents: &[crate::sandbox::model::Wallet],
    params: &Params,
) -> Result<Response, Box<Response>> {
    let most = match params.flag("include_pnl") {
        Some(true) => MAX_WITH_PNL,
        _ => MAX_LIMIT,
    };
    let slice = Slice::read(params, most)?;
    if params
        .one("condition")
        .or(params.one("condition_id"))
        .is_none()
    {
        return Err(refuse("condition is required", "condition"));
    }
    let mut has_more = false;
    let mut data = Vec::new();
    for (market, _) in by_conditions(world, params, MAX_CONDITIONS)? {
        for side in [OutcomeSide::First, OutcomeSide::Second] {
            let mut row = rows::holders(market, side, world.wallets.iter().chain(agents));
            has_more |= row.holders.len() > slice.next();
            row.holders = slice.of(row.holders);
            data.push(row);
        }
    }
    Ok(slice.answer(data, has_more))
}

async fn leaderboard(State(shared): State<Shared>, params: Params) -> Response {
    let world = shared.read();
    let period = params.one("time_period").unwrap_or("day");
    let Some((number, days)) = [("day", 1.0), ("week", 7.0), ("month", 30.0), ("all", 365.0)]
        .into_iter()
        .enumerate()
        .find_map(|(number, (name, days))| (name == period).then_some((number as u64, days)))
    else {
        return *refuse("time_period must be day, week, month or all", "time_period");
    };
    let by_volume = match params.one("sort_by") {
        None | Some("PNL") => false,
        Some("VOLUME") => true,
        Some(_) => return *refuse("sort_by must be PNL or VOLUME", "sort_by"),
    };
    let standing = |(place, wallet): (usize, &crate::sandbox::model::Wallet)| {
        // Good weeks and bad ones: the order differs from period to period.
        let luck = crate::sandbox::noise::normal_of(&[mix(&[world.seed, place as u64]), number]);
        let cents = |amount: f64| (amount * 100.0).round() / 100.0;
        rows::Standing {
            rank: 0,
            user_id: wallet.address.clone(),
            pnl: cents(wallet.daily_profit * days + 300.0 * luck * f64::sqrt(days)),
            volume: cents(wallet.daily_volume * days),
            user_name: wallet.name.clone(),
            profile_image: "",
            x_username: "",
            verified: false,
            simulated: true,
        }
    };
    let mut rows: Vec<rows::Standing> = world.wallets.iter().enumerate().map(standing).collect();
    rows.sort_by(|a, b| {
        if by_volume {
            b.volume.total_cmp(&a.volume)
        } else {
            b.pnl.total_cmp(&a.pnl)
        }
    });
    for (place, row) in rows.iter_mut().enumerate() {
        row.rank = place + 1;
    }
    if let Some(user) = params.one("user").map(str::to_lowercase) {
        return Json(one_standing(&rows, &user)).into_response();
    }
    either(page(&params, rows))
}

/// `/v2/leaderboard?user=`: one object with both ranks, or `null`.
fn one_standing(rows: &[rows::Standing], user: &str) -> serde_json::Value {
    let Some(row) = rows.iter().find(|row| row.user_id == user) else {
        return json!({ "data": null });
    };
    let ahead = |better: &dyn Fn(&rows::Standing) -> bool| {
        1 + rows.iter().filter(|other| better(other)).count()
    };
    json!({"data": {
        "user_id": row.user_id,
        "pnl": row.pnl,
        "volume": row.volume,
        "rank_pnl": ahead(&|other| other.pnl > row.pnl),
        "rank_volume": ahead(&|other| other.volume > row.volume),
        "user_name": row.user_name,
        "profile_image": row.profile_image,
        "x_username": row.x_username,
        "verified": row.verified,
        "simulated": true,
    }})
}
