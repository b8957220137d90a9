//! The venue's recorded answers must be readable by the client's types.
//!
//! The folder is `POLYMARKET_FIXTURES`, by default `../shared/fixtures` beside the project. It is
//! not part of the project: where it is absent the tests say that they were skipped, except with
//! `CI` set, where absence is a failure. The type is chosen by folder and file name, so a new
//! recording is read as soon as it lies there; one that no rule names is a failure too.

use std::path::{Path, PathBuf};

use polymarket_agent::domain::{
    BookOrigin, FeeSchedule, MarketStatus, Price, ProtocolVersion, Rounding, Shares, Timestamp,
    Usdc, notional,
};
use polymarket_agent::market_data::polymarket::row::{Oddities, RowFault};
use polymarket_agent::market_data::polymarket::ws_messages::{self, MarketMessage};
use polymarket_agent::market_data::polymarket::{
    activity_rows, clob_rows, data_rows, gamma_rows, order_version, tag_id, terms_rows,
};
use serde_json::Value;

/// Folders that must be there: the routes and channels that the client reads.
const FOLDERS: [&str; 5] = ["gamma", "clob", "data", "ws", "protocol_v2"];

type Read = fn(&str, &Value) -> Result<usize, String>;

/// What is to be done with a recording.
enum Plan {
    /// Read it; the count of things read must not be 0 unless the name says that it is empty.
    Parse(Read),
    /// There is no type for it, because of this.
    NoType(&'static str),
}

/// First rule that fits counts: `*` at the end stands for anything.
fn plan(path: &str) -> Option<Plan> {
    use Plan::{NoType, Parse};
    const ACCOUNT: &str = "user channel: comes with live trading";
    const PEOPLE: &str = "people and teams: no tool shows them";
    const UNUSED: &str = "route not used by any tool";
    const TRADING: &str = "orders and accounts: come with live trading";
    let rules = vec![
        ("gamma/markets_keyset*", Parse(market_page)),
        ("gamma/market*", Parse(markets)),
        ("gamma/events_keyset*", Parse(event_page)),
        ("gamma/event*", Parse(events)),
        ("gamma/public_search*", Parse(search)),
        ("gamma/search*", Parse(search)),
        ("gamma/tags*", Parse(tags)),
        ("gamma/sport*", NoType(PEOPLE)),
        ("gamma/team*", NoType(PEOPLE)),
        ("gamma/user*", Parse(profile)),
        ("gamma/comment*", NoType(PEOPLE)),
        ("clob/book*", Parse(books)),
        ("clob/prices_history*", Parse(clob_history)),
        (
            "clob/chain_order_filled_taker_fees.json",
            NoType("on-chain fills: read by `recorded_fees_are_charged_to_the_micro_unit`"),
        ),
        ("clob/clob_market_details*", Parse(terms)),
        (
            "clob/markets_by_token*",
            NoType("`/markets-by-token`: Gamma finds the market of a token in one request"),
        ),
        ("clob/market*", Parse(clob_market)),
        ("clob/clob_market*", Parse(clob_market)),
        ("clob/version*", Parse(version)),
        ("clob/time*", Parse(server_time)),
        ("data/v1_*", NoType("Data API v1 was retired on 2026-10-24")),
        ("data/v2/resolutions*", Parse(resolutions)),
        ("data/v2/live_volume*", Parse(taker_volume)),
        ("data/v2/positions*", Parse(positions)),
        (
            "data/v2/leaderboard_user*",
            NoType("one trader's standing: no tool asks for it"),
        ),
        ("data/v2/leaderboard*", Parse(traders)),
        ("data/v2/prices_history*", Parse(data_history)),
        ("data/v2/tokens*", Parse(tokens)),
        ("data/v2/activity*", NoType(UNUSED)),
        ("data/v2/approvals*", NoType(UNUSED)),
        ("data/v2/biggest_winners*", NoType(UNUSED)),
        ("data/v2/builders*", NoType(UNUSED)),
        ("data/v2/combo*", NoType(UNUSED)),
        ("data/v2/holders*", Parse(holders)),
        ("data/v2/open_interest*", NoType(UNUSED)),
        ("data/v2/status*", NoType(UNUSED)),
        ("data/v2/trades*", Parse(trades)),
        ("data/v2/user*", NoType(UNUSED)),
        ("data/v2/value*", Parse(value)),
        ("ws/user*", NoType(ACCOUNT)),
        (
            "ws/sports*",
            NoType("sports scores: another channel, not used"),
        ),
        ("ws/*", Parse(channel)),
        ("protocol_v2/book*", Parse(books)),
        ("protocol_v2/clob_markets*", Parse(terms)),
        ("protocol_v2/data_resolutions*", Parse(resolutions)),
        ("protocol_v2/market*", Parse(markets)),
        ("protocol_v2/ws*", Parse(channel)),
        ("orders/*", NoType(TRADING)),
        ("signing/*", NoType(TRADING)),
        (
            "polybolt/*",
            NoType("reference prices: the channel needs an account"),
        ),
        ("SOURCES.md", NoType("says where the recordings come from")),
    ];
    rules
        .into_iter()
        .find(|(rule, _)| match rule.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == *rule,
        })
        .map(|(_, plan)| plan)
}

/// No row may be skipped and no value left out of a recorded answer.
fn clean(oddities: &Oddities) -> Result<(), String> {
    match oddities.causes() {
        [] => Ok(()),
        causes => Err(causes.join("; ")),
    }
}

fn fault(fault: RowFault) -> String {
    fault.to_string()
}

fn list<'a>(value: &'a Value, field: &str) -> Result<&'a [Value], String> {
    match value.get(field) {
        Some(Value::Array(items)) => Ok(items),
        _ => Err(format!("there is no list `{field}`")),
    }
}

fn one_or_many(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        single => std::slice::from_ref(single),
    }
}

fn read_markets(rows: &[Value]) -> Result<usize, String> {
    let mut oddities = Oddities::default();
    let markets = gamma_rows::markets(rows, &mut oddities);
    clean(&oddities)?;
    Ok(markets.len())
}

fn read_events(rows: &[Value]) -> Result<usize, String> {
    let mut oddities = Oddities::default();
    let mut count = 0;
    for row in rows {
        let event = gamma_rows::event(row, &mut oddities).map_err(fault)?;
        count += 1 + event.markets.len();
    }
    clean(&oddities)?;
    Ok(count)
}

fn markets(_: &str, value: &Value) -> Result<usize, String> {
    read_markets(one_or_many(value))
}

fn market_page(_: &str, value: &Value) -> Result<usize, String> {
    read_markets(list(value, "markets")?)
}

fn events(_: &str, value: &Value) -> Result<usize, String> {
    read_events(one_or_many(value))
}

fn event_page(_: &str, value: &Value) -> Result<usize, String> {
    read_events(list(value, "events")?)
}

fn search(_: &str, value: &Value) -> Result<usize, String> {
    // A search may find profiles only; then there is nothing of ours in it.
    let count = read_events(list(value, "events")?)?;
    Ok(count.max(usize::from(value.get("pagination").is_some())))
}

fn books(_: &str, value: &Value) -> Result<usize, String> {
    let list = Value::Array(one_or_many(value).to_vec()).to_string();
    let mut oddities = Oddities::default();
    let books = clob_rows::books(list.as_bytes(), &mut oddities)?;
    clean(&oddities)?;
    Ok(books.len())
}

fn clob_history(_: &str, value: &Value) -> Result<usize, String> {
    let mut oddities = Oddities::default();
    let history = value.get("history").unwrap_or(&Value::Null);
    let points = clob_rows::points(history, &mut oddities).map_err(fault)?;
    clean(&oddities)?;
    Ok(points.len())
}

fn clob_market(_: &str, value: &Value) -> Result<usize, String> {
    let market = clob_rows::clob_market(value).map_err(fault)?;
    Ok(market.tokens.len())
}

fn server_time(_: &str, value: &Value) -> Result<usize, String> {
    clob_rows::server_time(value)
        .map(|_| 1)
        .ok_or_else(|| "no time".to_owned())
}

fn rows<T>(value: &Value, parse: impl Fn(&Value) -> Result<T, RowFault>) -> Result<usize, String> {
    let mut oddities = Oddities::default();
    let rows = data_rows::rows(value, "row", parse, &mut oddities).map_err(fault)?;
    clean(&oddities)?;
    Ok(rows.len())
}

fn resolutions(_: &str, value: &Value) -> Result<usize, String> {
    rows(value, data_rows::resolution)
}

fn positions(_: &str, value: &Value) -> Result<usize, String> {
    rows(value, data_rows::position)
}

fn traders(_: &str, value: &Value) -> Result<usize, String> {
    rows(value, data_rows::trader)
}

fn tokens(_: &str, value: &Value) -> Result<usize, String> {
    rows(value, activity_rows::token)
}

fn trades(_: &str, value: &Value) -> Result<usize, String> {
    rows(value, activity_rows::trade)
}

fn data_history(_: &str, value: &Value) -> Result<usize, String> {
    rows(value, activity_rows::point)
}

fn holders(_: &str, value: &Value) -> Result<usize, String> {
    let mut oddities = Oddities::default();
    let holders = activity_rows::holders(value, &mut oddities).map_err(fault)?;
    clean(&oddities)?;
    Ok(holders.len())
}

fn value(_: &str, value: &Value) -> Result<usize, String> {
    let worth = activity_rows::wallet_value(value).map_err(fault)?;
    Ok(usize::from(worth.is_some()))
}

fn profile(_: &str, value: &Value) -> Result<usize, String> {
    let proxy = activity_rows::proxy_wallet(value).map_err(fault)?;
    Ok(usize::from(proxy.is_some()))
}

fn terms(_: &str, value: &Value) -> Result<usize, String> {
    terms_rows::terms(value)
        .map(|terms| terms.tokens.len())
        .map_err(fault)
}

fn version(_: &str, value: &Value) -> Result<usize, String> {
    Ok(usize::from(order_version(value).is_some()))
}

fn tags(_: &str, value: &Value) -> Result<usize, String> {
    let tags = one_or_many(value);
    if tags.iter().all(|tag| tag_id(tag).is_some()) {
        Ok(tags.len())
    } else {
        Err("a tag has no id".to_owned())
    }
}

fn taker_volume(_: &str, value: &Value) -> Result<usize, String> {
    let mut oddities = Oddities::default();
    let volume = data_rows::taker_volume(value, &mut oddities).map_err(fault)?;
    clean(&oddities)?;
    Ok(volume.map_or(0, |volume| 1 + volume.by_condition.len()))
}

/// Messages of the market channel, wherever they stand in the file. Some recordings of a single
/// message leave out `event_type`; their name says it.
fn channel(path: &str, value: &Value) -> Result<usize, String> {
    let named = [
        ("ws/book", "book"),
        ("ws/last_trade", "last_trade_price"),
        ("ws/tick_size", "tick_size_change"),
        ("ws/quotes", "price_change"),
        ("ws/best_bid_ask", "best_bid_ask"),
    ];
    if value.get("asset_id").or(value.get("market")).is_some() && value.get("event_type").is_none()
    {
        let kind = named
            .iter()
            .find(|(start, _)| path.starts_with(start))
            .map(|(_, kind)| *kind)
            .ok_or("a message without `event_type` whose name does not say what it is")?;
        return known(ws_messages::message_of(kind, value));
    }
    nested(value)
}

fn nested(value: &Value) -> Result<usize, String> {
    match value {
        Value::Object(object) if object.contains_key("event_type") => {
            known(ws_messages::message(value))
        }
        Value::Object(object) => object.values().map(nested).sum(),
        Value::Array(items) => items.iter().map(nested).sum(),
        _ => Ok(0),
    }
}

fn known(read: Result<MarketMessage, ws_messages::FrameError>) -> Result<usize, String> {
    match read.map_err(|error| error.to_string())? {
        MarketMessage::Unknown(kind) => Err(format!("unknown kind of message `{kind}`")),
        _ => Ok(1),
    }
}

/// The folder with the recordings; `None`, said aloud, where it may be absent.
pub fn fixtures() -> Option<PathBuf> {
    let folder = std::env::var_os("POLYMARKET_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci.is_empty()),
        "CI is set and the recordings are not at {}; name their folder in POLYMARKET_FIXTURES",
        folder.display()
    );
    println!(
        "SKIPPED: no recordings at {}; POLYMARKET_FIXTURES can name their folder",
        folder.display()
    );
    None
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, into);
        } else {
            into.push(path);
        }
    }
}

pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn recorded_answers_parse() {
    let Some(root) = fixtures() else { return };
    let mut failures = Vec::new();
    let mut parsed = 0;
    let mut untyped = 0;
    for folder in FOLDERS {
        let mut paths = Vec::new();
        files(&root.join(folder), &mut paths);
        assert!(!paths.is_empty(), "{folder} holds no recordings");
    }
    let mut paths = Vec::new();
    files(&root, &mut paths);
    for path in paths {
        let name = path
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/");
        match plan(&name) {
            None => failures.push(format!("{name}: no rule says how to read it")),
            Some(Plan::NoType(reason)) => {
                println!("no type: {name}: {reason}");
                untyped += 1;
            }
            Some(Plan::Parse(read)) => match read(&name, &json(&path)) {
                Ok(0) => failures.push(format!("{name}: nothing in it was read")),
                Ok(_) => parsed += 1,
                Err(error) => failures.push(format!("{name}: {error}")),
            },
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    println!("{parsed} recordings parsed, {untyped} without a type, see the reasons above");
}

#[test]
fn recorded_markets_mean_what_the_venue_said() {
    let Some(root) = fixtures() else { return };
    let read = |name: &str| {
        let mut oddities = Oddities::default();
        let value = json(&root.join("gamma").join(name));
        gamma_rows::market(&one_or_many(&value)[0], &mut oddities).unwrap()
    };
    let first = read("markets_list.json");
    assert_eq!(first.id.as_str(), "559652");
    assert_eq!(first.status, MarketStatus::Open);
    assert!(first.neg_risk && !first.placeholder);
    assert_eq!(first.tick, Price::parse("0.001").unwrap());
    assert_eq!(first.min_size, Shares::whole(5));
    assert_eq!(first.fee, FeeSchedule::new("0.04", 1).unwrap());
    assert_eq!(first.volume, Some(Usdc::parse("27987344.821055").unwrap()));
    assert_eq!(first.event_id.unwrap().as_str(), "30829");
    assert_eq!(
        first.outcomes[0].token.as_str(),
        "54533043819946592547517511176940999955633860128497669742211153063842200957669"
    );
    let price = first.outcomes[1].indicative_price;
    assert_eq!(price, Some(Price::parse("0.8455").unwrap()));

    // Carries foreign `positionIds`, which a V1 market must not use.
    let v1 = read("market_protocol_v1.json");
    assert_eq!(v1.version, ProtocolVersion::V1);
    assert!(v1.outcomes[0].token.as_str().starts_with("32338220190"));
    let v2 = read("market_protocol_v2_31byte.CONSTRUCTED.json");
    assert_eq!(v2.version, ProtocolVersion::V2);
    assert_eq!(v2.condition_id.unwrap().as_str().len(), 64);
    assert!(v2.outcomes[1].token.as_str().ends_with("194945"));

    // Accepts orders by its own account, and is closed.
    let closed = read("market_closed_binary_accepting_true.json");
    assert_eq!(closed.status, MarketStatus::Closed);
    // Old rows say 0 and 0: indications, not payouts.
    let legacy = read("market_closed_zero_zero_legacy.json");
    assert_eq!(legacy.outcomes[0].indicative_price, Some(Price::ZERO));
    // A schedule without `feesEnabled` is charged.
    let crypto = read("market_crypto_twap.json");
    assert_eq!(crypto.fee, FeeSchedule::new("0.07", 1).unwrap());
}

#[test]
fn recorded_book_and_resolutions_mean_what_the_venue_said() {
    let Some(root) = fixtures() else { return };
    let book = clob_rows::book(&json(&root.join("clob/book.json"))).unwrap();
    assert_eq!(
        book.timestamp,
        Some(Timestamp::from_millis(1_792_173_951_815))
    );
    let book = book.at(Timestamp::from_secs(1));
    assert_eq!(book.best_bid(), Some(Price::parse("0.154").unwrap()));
    assert_eq!(book.best_ask(), Some(Price::parse("0.155").unwrap()));
    assert_eq!(book.asks()[0].size, Shares::parse("1113.08").unwrap());
    assert_eq!((book.bids().len(), book.asks().len()), (10, 10));
    assert_eq!(book.origin, BookOrigin::Venue);

    let market = json(&root.join("clob/clob_market_closed_binary_accepting_false.json"));
    let payouts = clob_rows::clob_market(&market).unwrap().payouts().unwrap();
    assert_eq!((payouts[0].1, payouts[1].1), (Price::ZERO, Price::ONE));
    let open = json(&root.join("clob/market.json"));
    assert_eq!(clob_rows::clob_market(&open).unwrap().payouts(), None);

    let read = |name: &str| {
        let mut oddities = Oddities::default();
        data_rows::rows(
            &json(&root.join(name)),
            "row",
            data_rows::resolution,
            &mut oddities,
        )
        .unwrap()
    };
    let resolved = read("data/v2/resolutions.json");
    assert_eq!(resolved[0].payouts, Some(vec![Price::ONE, Price::ZERO]));
    assert_eq!(
        resolved[0].resolved_at,
        Timestamp::parse("2026-09-09T21:19:19Z")
    );
    let pending = read("data/v2/resolutions_pending.json");
    let statuses: Vec<&str> = pending.iter().map(|row| row.status.as_str()).collect();
    assert_eq!(statuses, ["disputed", "proposed"]);
    assert!(pending.iter().all(|row| row.payouts.is_none()));
}

/// 21 fills from the chain: the taker's order gives `maker_amount_filled` and gets
/// `taker_amount_filled`, so a BUY pays pUSD for shares and a SELL shares for pUSD, in millionths.
#[test]
fn recorded_fees_are_charged_to_the_micro_unit() {
    let Some(root) = fixtures() else { return };
    let fills = json(&root.join("clob/chain_order_filled_taker_fees.json"));
    let fills = fills.as_array().unwrap();
    assert_eq!(fills.len(), 21);
    for fill in fills {
        let text = |field: &str| fill[field].as_str().unwrap();
        let amount = |field: &str| text(field).parse::<i64>().unwrap();
        let (gave, got) = (amount("maker_amount_filled"), amount("taker_amount_filled"));
        let (shares, paid) = match text("side") {
            "BUY" => (got, gave),
            "SELL" => (gave, got),
            other => panic!("side {other}"),
        };
        let shares = Shares::from_micros(shares).unwrap();
        let price = Price::parse(text("price")).unwrap();
        let schedule = FeeSchedule::new(text("fee_rate"), 1).unwrap();
        assert_eq!(
            schedule.fee(price, shares).unwrap().micros(),
            amount("fee"),
            "fee of {fill}"
        );
        assert_eq!(
            notional(price, shares, Rounding::Down).unwrap().micros(),
            paid,
            "notional of {fill}"
        );
    }
}
