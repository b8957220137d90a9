//! Compares the sandbox's rows with recorded answers of the venue: names of fields and JSON types.
//!
//! The recordings are not part of the project: they lie in the folder that `POLYMARKET_FIXTURES`
//! names, or in `../shared/fixtures` beside the project.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::{clob, data, gamma};
use crate::sandbox::config::SandboxConfig;
use crate::sandbox::model::{OutcomeSide, Phase, Shape, SimEvent, SimMarket, Version, World};

/// The folder of recordings; `None` (said aloud) where there is none, a failure under CI.
fn folder() -> Option<PathBuf> {
    let path = std::env::var_os("POLYMARKET_FIXTURES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"),
        PathBuf::from,
    );
    if path.is_dir() {
        return Some(path);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "recordings are missing: set POLYMARKET_FIXTURES"
    );
    println!("skipped: no recordings (POLYMARKET_FIXTURES is not set to a folder)");
    None
}

pub(in crate::sandbox) fn recording(name: &str) -> Option<Value> {
    let text = std::fs::read_to_string(folder()?.join(name)).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Every path of a value with its types; elements of arrays share the path `[]`.
fn types(value: &Value, path: &str, out: &mut BTreeMap<String, Vec<&'static str>>) {
    let found = out.entry(path.to_owned()).or_default();
    if !found.contains(&kind(value)) {
        found.push(kind(value));
    }
    match value {
        Value::Array(items) => {
            for item in items {
                types(item, &format!("{path}[]"), out);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                types(field, &format!("{path}.{name}"), out);
            }
        }
        _ => {}
    }
}

/// Asserts that `ours` has every recorded path with a recorded type, and no path of its own but
/// those ending in `extra`. Paths in `absent` need not be there.
pub(in crate::sandbox) fn same_shape(
    recorded: &Value,
    ours: &Value,
    extra: &[&str],
    absent: &[&str],
) {
    let (mut theirs, mut own) = (BTreeMap::new(), BTreeMap::new());
    types(recorded, "", &mut theirs);
    types(ours, "", &mut own);
    assert!(theirs.len() > 2, "nothing recorded");
    for (path, kinds) in &theirs {
        match own.get(path) {
            Some(found) => assert!(
                found.iter().all(|kind| kinds.contains(kind)),
                "{path}: {found:?}, recorded {kinds:?}"
            ),
            None => assert!(absent.contains(&path.as_str()), "{path} is missing"),
        }
    }
    for path in own.keys().filter(|path| !theirs.contains_key(*path)) {
        let allowed = path.ends_with(".simulated") || extra.iter().any(|end| path.ends_with(end));
        assert!(allowed, "{path} is not in the recording");
    }
}

fn world(resolved: bool) -> World {
    let config = SandboxConfig {
        // Enough for each kind of market to have ended within the days below.
        markets: 120,
        ..SandboxConfig::default()
    };
    let mut world = World::new(&config).unwrap();
    if resolved {
        world.step(10 * 86_400_000);
    }
    world
}

fn pick(world: &World, wanted: impl Fn(&SimMarket, &SimEvent) -> bool) -> (&SimMarket, &SimEvent) {
    world
        .all()
        .find(|(market, event)| wanted(market, event))
        .unwrap()
}

fn json(row: &impl serde::Serialize) -> Value {
    serde_json::to_value(row).unwrap()
}

#[test]
fn recorded_market_row_has_the_same_fields_and_types() {
    let Some(recorded) = recording("gamma/markets_list.json") else {
        return;
    };
    let world = world(false);
    let (market, event) = pick(&world, |_, event| event.neg_risk);
    let row = json(&gamma::market(&world, market, event, true));
    // Absent on rows whose price did not change in that time, as this recorded one.
    let extra = [".oneDayPriceChange", ".oneWeekPriceChange"];
    same_shape(&recorded[0], &row, &extra, &[]);
    // JSON inside strings, as recorded.
    for field in ["outcomes", "outcomePrices", "clobTokenIds"] {
        let inner: Vec<String> = serde_json::from_str(row[field].as_str().unwrap()).unwrap();
        assert_eq!(inner.len(), 2);
    }
}

#[test]
fn recorded_market_of_the_second_generation_lists_position_ids() {
    let Some(recorded) = recording("gamma/market_protocol_v2.json") else {
        return;
    };
    let world = world(false);
    let (market, event) = pick(&world, |market, event| {
        event.version == Version::V2 && market.index.is_multiple_of(2)
    });
    let row = json(&gamma::market(&world, market, event, true));
    for (name, value) in recorded.as_object().unwrap() {
        assert_eq!(kind(&row[name]), kind(value), "{name}");
    }
    assert_eq!(row["version"], recorded["version"]);
}

#[test]
fn recorded_closed_market_row_has_the_same_types() {
    let Some(recorded) = recording("gamma/market_closed_binary_accepting_false.json") else {
        return;
    };
    let world = world(true);
    let (market, event) = pick(&world, |market, event| {
        event.shape == Shape::Lone
            && event.version == Version::V1
            && market.phase(world.now) == Phase::Resolved
            && !market.schedule.is_challenged()
            && market.fee.name.is_none()
    });
    let row = json(&gamma::market(&world, market, event, true));
    // Not on open rows, and not made here: a stale ask, and flags of the venue's own keeping.
    let absent = [
        "bestAsk",
        "pagerDutyNotificationEnabled",
        "requiresTranslation",
    ];
    for (name, value) in recorded.as_object().unwrap() {
        if !absent.contains(&name.as_str()) {
            assert_eq!(kind(&row[name]), kind(value), "{name}");
        }
    }
    assert!(["[\"1\", \"0\"]", "[\"0\", \"1\"]"].contains(&row["outcomePrices"].as_str().unwrap()));
}

#[test]
fn recorded_event_row_has_the_same_fields_and_types() {
    let Some(recorded) = recording("gamma/event_negrisk_trimmed.json") else {
        return;
    };
    let recorded = if recorded.is_array() {
        &recorded[0]
    } else {
        &recorded
    };
    let world = world(false);
    let (_, event) = pick(&world, |_, event| event.neg_risk);
    let row = json(&gamma::event(&world, event, true));
    // `$schema` names the venue's own host; the rest of a tag is the editors' bookkeeping, present
    // on some recorded tags only.
    let absent = [
        ".$schema",
        ".tags[].publishedAt",
        ".tags[].updatedBy",
        ".tags[].forceHide",
        ".tags[].isCarousel",
    ];
    same_shape(recorded, &row, &[], &absent);
}

#[test]
fn recorded_book_has_the_same_fields_types_and_order() {
    let Some(recorded) = recording("clob/book.json") else {
        return;
    };
    let world = world(false);
    let (market, event) = pick(&world, |market, event| {
        event.version == Version::V1 && (0.2..0.8).contains(&world.prices(market)[0])
    });
    let row = json(&clob::book(&world, market, event, OutcomeSide::First).unwrap());
    same_shape(&recorded, &row, &[], &[]);
    let prices = |book: &Value, side: &str| -> Vec<f64> {
        let levels = book[side].as_array().unwrap();
        levels
            .iter()
            .map(|level| level["price"].as_str().unwrap().parse().unwrap())
            .collect()
    };
    for book in [&recorded, &row] {
        assert!(prices(book, "bids").is_sorted());
        assert!(prices(book, "asks").iter().rev().is_sorted());
        assert_eq!(book["timestamp"].as_str().unwrap().len(), 13);
    }
    let Some(recorded) = recording("protocol_v2/book_v2_empty.json") else {
        return;
    };
    let (market, event) = pick(&world, |_, event| event.version == Version::V2);
    let row = json(&clob::book(&world, market, event, OutcomeSide::First).unwrap());
    same_shape(&recorded, &row, &["[]", "[].price", "[].size"], &[]);
}

#[test]
fn recorded_clob_market_has_the_same_fields_and_types() {
    let world = world(false);
    let Some(recorded) = recording("clob/clob_market_details.json") else {
        return;
    };
    let (market, event) = pick(&world, |market, event| {
        event.version == Version::V1 && !event.neg_risk && market.fee.name.is_some()
    });
    same_shape(
        &recorded,
        &json(&clob::compact(&world, market, event)),
        &[],
        &[],
    );
    let Some(recorded) = recording("protocol_v2/clob_markets_v2.json") else {
        return;
    };
    let (market, event) = pick(&world, |market, event| {
        event.version == Version::V2 && market.fee.name.is_some()
    });
    same_shape(
        &recorded,
        &json(&clob::compact(&world, market, event)),
        &[],
        &[],
    );
}

#[test]
fn recorded_long_market_has_the_same_fields_and_types() {
    let Some(recorded) = recording("clob/market.json") else {
        return;
    };
    let world = world(false);
    let (market, event) = pick(&world, |_, event| event.neg_risk);
    same_shape(
        &recorded,
        &json(&clob::long(&world, market, event)),
        &[],
        &[],
    );
}

#[test]
fn recorded_price_history_has_the_same_fields_and_types() {
    let Some(recorded) = recording("clob/prices_history.json") else {
        return;
    };
    let world = world(false);
    let (market, _) = pick(&world, |_, _| true);
    let points: Vec<clob::Point> = market
        .history
        .between(world.now.plus_millis(-3_600_000), world.now)
        .map(|(time, first)| clob::Point {
            t: time.secs(),
            p: clob::point_price(OutcomeSide::Second, first),
        })
        .collect();
    assert_eq!(points.len(), 7);
    same_shape(
        &recorded,
        &serde_json::json!({ "history": points }),
        &[],
        &[],
    );
}

#[test]
fn recorded_resolutions_have_the_same_fields_and_types() {
    let Some(recorded) = recording("data/v2/resolutions.json") else {
        return;
    };
    let world = world(true);
    let row = |version: Version| {
        let (market, event) = pick(&world, |market, event| {
            event.version == version && market.phase(world.now) == Phase::Resolved
        });
        json(&data::resolution(&world, market, event))
    };
    same_shape(&recorded["data"][0], &row(Version::V1), &[], &[]);
    if let Some(recorded) = recording("protocol_v2/data_resolutions_v2_resolved.json") {
        same_shape(&recorded["data"][0], &row(Version::V2), &[], &[]);
    }
    let Some(recorded) = recording("data/v2/resolutions_pending.json") else {
        return;
    };
    let mut world = self::world(false);
    let end = world.markets.iter().map(|market| market.schedule.end).min();
    world.step(end.unwrap().since(world.now) as u64);
    let (market, event) = pick(&world, |market, _| {
        market.phase(world.now) == Phase::Proposed
    });
    let row = json(&data::resolution(&world, market, event));
    same_shape(&recorded["data"][1], &row, &[".market_type"], &[]);
    // The first recorded row is disputed for the second time.
    let config = SandboxConfig {
        markets: 1_000,
        ..SandboxConfig::default()
    };
    let mut world = World::with_history(&config, 0).unwrap();
    let disputed = |world: &World, index: usize| {
        let market = &world.markets[index];
        (0..300)
            .map(|minutes| market.schedule.closes.plus_millis(minutes * 60_000))
            .find(|at| market.phase(*at) == Phase::Disputed)
    };
    let (at, index) = (0..world.markets.len())
        .filter_map(|index| Some((disputed(&world, index)?, index)))
        .min()
        .unwrap();
    world.step(at.since(world.now) as u64);
    let market = &world.markets[index];
    let event = world.event_of(market).unwrap();
    let row = json(&data::resolution(&world, market, event));
    same_shape(&recorded["data"][0], &row, &[".market_type"], &[]);
    for field in ["status", "was_disputed", "settlement_time_basis", "price"] {
        assert_eq!(row[field], recorded["data"][0][field], "{field}");
    }
    assert_ne!(row["reproposed_price"], "69");
}

#[test]
fn recorded_tokens_have_the_same_fields_and_types() {
    let Some(recorded) = recording("data/v2/tokens.json") else {
        return;
    };
    let world = world(true);
    let (market, event) = pick(&world, |market, event| {
        event.neg_risk && event.version == Version::V1 && market.phase(world.now) == Phase::Resolved
    });
    let row = json(&data::token(&world, market, event, OutcomeSide::First));
    same_shape(&recorded["data"][0], &row, &[], &[]);
}

#[test]
fn recorded_positions_trades_and_volume_have_the_same_fields_and_types() {
    let Some(recorded) = recording("data/v2/positions.json") else {
        return;
    };
    let world = world(false);
    let wallet = &world.wallets[0];
    let holding = &wallet.holdings[0];
    let row = json(&data::position(&world, wallet, holding).unwrap());
    same_shape(&recorded["data"][0], &row, &[], &[]);
    if let Some(recorded) = recording("data/v2/trades_captured_sanitized.json") {
        let row = json(&data::trade(&world, wallet, holding).unwrap());
        same_shape(&recorded["data"][0], &row, &[], &[]);
    }
    if let Some(recorded) = recording("data/v2/live_volume.json") {
        let row = json(&data::live_volume(&world, &world.events[0]));
        same_shape(&recorded["data"], &row, &[], &[]);
    }
}
