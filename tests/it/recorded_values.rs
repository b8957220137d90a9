//! What the recorded answers of the routes behind tools and orders say, number by number.

use polymarket_agent::domain::{
    FeeSchedule, Price, ProtocolVersion, Shares, Side, Timestamp, Usdc,
};
use polymarket_agent::market_data::polymarket::row::{Oddities, RowFault};
use polymarket_agent::market_data::polymarket::{
    activity_rows, clob_rows, data_rows, gamma_rows, order_version, tag_id, terms_rows,
};
use serde_json::Value;

use crate::recorded::{fixtures, json};

fn rows<T>(answer: &Value, parse: impl Fn(&Value) -> Result<T, RowFault>) -> Vec<T> {
    let mut oddities = Oddities::default();
    let rows = data_rows::rows(answer, "row", parse, &mut oddities).unwrap();
    assert_eq!(oddities.causes(), &[] as &[String]);
    rows
}

fn price(text: &str) -> Price {
    Price::parse(text).unwrap()
}

#[test]
fn recorded_terms_are_the_exchanges() {
    let Some(root) = fixtures() else { return };
    let first = terms_rows::terms(&json(&root.join("clob/clob_market_details.json"))).unwrap();
    assert_eq!(first.tick, price("0.001"));
    assert_eq!(first.min_size, Shares::whole(5));
    assert_eq!(first.fee, FeeSchedule::new("0.04", 1).unwrap());
    assert_eq!(first.version, ProtocolVersion::V1);
    assert!(first.accepting);
    assert!(first.tokens[1].as_str().ends_with("7341231962"));
    let second = terms_rows::terms(&json(&root.join("protocol_v2/clob_markets_v2.json"))).unwrap();
    assert_eq!(second.version, ProtocolVersion::V2);
    assert_eq!(second.tick, price("0.01"));
    assert_eq!(second.fee, FeeSchedule::new("0.07", 1).unwrap());
    assert_eq!(second.condition_id.as_str().len(), 66);
    assert!(second.tokens[0].as_str().ends_with("9000625152"));
    let version = json(&root.join("clob/version.json"));
    assert_eq!(order_version(&version).as_deref(), Some("2"));
    // An empty book of the second generation is a book.
    let body = std::fs::read(root.join("protocol_v2/book_v2_empty.json")).unwrap();
    let mut oddities = Oddities::default();
    let books = clob_rows::one_book(&body, &mut oddities).unwrap();
    assert_eq!((books[0].bids.len(), books[0].asks.len()), (0, 0));
    assert_eq!(
        books[0].timestamp,
        Some(Timestamp::from_millis(1_791_238_858_575))
    );
}

#[test]
fn recorded_wallets_holders_and_trades_mean_what_the_venue_said() {
    let Some(root) = fixtures() else { return };
    let read = |name: &str| json(&root.join("data/v2").join(name));
    let wallet = "0x379a410a36c101e3b8dfb6c90d1176eb0def4b1a";
    let worth = read("value.json");
    assert_eq!(worth["data"]["proxy_wallet"], wallet);
    assert_eq!(activity_rows::wallet_value(&worth), Ok(Some(844.4295)));
    let profile = json(&root.join("gamma/user_response_full.json"));
    assert_eq!(
        activity_rows::proxy_wallet(&profile).unwrap().as_deref(),
        Some("0xc7e53ac4a7c76d6df8b794de2e7d0794265d2d3a")
    );
    let positions = rows(&read("positions.json"), data_rows::position);
    assert_eq!(positions.len(), 2);
    assert_eq!(positions[0].shares, 28.09);
    assert_eq!(positions[0].avg_price, Some(0.6699));
    assert_eq!(positions[0].current_price, Some(0.715));
    assert_eq!(positions[0].pnl, Some(1.264));
    assert_eq!(positions[0].outcome, "No");
    assert_eq!(positions[0].status.as_deref(), Some("OPEN"));
    let cursor = data_rows::next_cursor(&read("positions.json")).unwrap();
    assert!(cursor.starts_with("eyJkYXRhIjp7InR5cGUi"));
    let mut oddities = Oddities::default();
    let holders = activity_rows::holders(&read("holders.json"), &mut oddities).unwrap();
    assert_eq!(holders.len(), 4);
    assert_eq!(holders[0].shares, 784.38);
    assert_eq!(
        holders[0].address,
        "0x4c48e79c441db833e630257a7f09c652af591c17"
    );
    assert_eq!(holders[2].shares, 894.775228);
    assert!(holders[2].token.as_str().starts_with("10525505321"));
    let trades = rows(
        &read("trades_captured_sanitized.json"),
        activity_rows::trade,
    );
    let told: Vec<(Side, f64, f64, i64)> = trades
        .iter()
        .map(|trade| (trade.side, trade.shares, trade.price, trade.at.secs()))
        .collect();
    assert_eq!(
        told,
        [
            (Side::Sell, 92.59, 0.7, 1_786_179_735),
            (Side::Buy, 1.464786, 0.709999959, 1_786_179_730),
            (Side::Buy, 244.0, 0.2972581967, 1_786_179_726),
        ]
    );
    assert_eq!(
        data_rows::next_cursor(&read("trades_captured_sanitized.json")),
        None
    );
    let traders = rows(&read("leaderboard.json"), data_rows::trader);
    assert_eq!((traders[0].rank, traders[1].rank), (1, 2));
    assert_eq!(traders[0].pnl, Some(2_492_743.867_76));
    assert_eq!(traders[1].name, "BreakTheBank");
    let mut oddities = Oddities::default();
    let volume = data_rows::taker_volume(&read("live_volume.json"), &mut oddities);
    let volume = volume.unwrap().unwrap();
    assert_eq!(volume.total.to_string(), "15369.464376");
    assert_eq!(volume.by_condition.len(), 11);
    assert_eq!(volume.by_condition[0].1.to_string(), "6090.203686");
}

#[test]
fn recorded_histories_and_final_prices_mean_what_the_venue_said() {
    let Some(root) = fixtures() else { return };
    let points = rows(
        &json(&root.join("data/v2/prices_history.json")),
        activity_rows::point,
    );
    let told: Vec<(i64, f64)> = points.iter().map(|p| (p.at.secs(), p.price)).collect();
    assert_eq!(told, [(1_789_295_100, 0.34), (1_789_295_160, 0.34)]);
    let history = json(&root.join("clob/prices_history.json"));
    let mut oddities = Oddities::default();
    let points = clob_rows::points(&history["history"], &mut oddities).unwrap();
    assert_eq!(points.len(), 68);
    assert_eq!(points[0].at.secs(), 1_791_918_037);
    assert_eq!(points[0].price, 0.1415);
    assert_eq!(points[67].price, 0.1545);
    let tokens = rows(
        &json(&root.join("data/v2/tokens.json")),
        activity_rows::token,
    );
    let paid: Vec<(bool, Option<Price>)> = tokens
        .iter()
        .map(|token| (token.resolved, token.final_price))
        .collect();
    let (one, nought) = ((true, Some(Price::ONE)), (true, Some(Price::ZERO)));
    assert_eq!(paid, [one, nought, one, nought]);
    let v2 = rows(
        &json(&root.join("protocol_v2/data_resolutions_v2_resolved.json")),
        data_rows::resolution,
    );
    assert_eq!(v2[0].payouts, Some(vec![Price::ONE, Price::ZERO]));
    assert_eq!(v2[0].resolved_at, Timestamp::parse("2026-10-05T21:35:56Z"));
    assert_eq!(v2[0].condition_id.as_str().len(), 66);
}

#[test]
fn recorded_events_searches_and_tags_mean_what_the_venue_said() {
    let Some(root) = fixtures() else { return };
    let gamma = |name: &str| json(&root.join("gamma").join(name));
    let event = |value: &Value| {
        let mut oddities = Oddities::default();
        gamma_rows::event(value, &mut oddities).unwrap()
    };
    let page = gamma("events_keyset_page.CONSTRUCTED.json");
    assert_eq!(page["next_cursor"], "OPAQUE_CURSOR_1");
    let nominee = event(&page["events"][0]);
    assert_eq!(nominee.id.as_str(), "30829");
    assert_eq!(nominee.title, "Democratic Presidential Nominee 2028");
    assert!(nominee.neg_risk && nominee.augmented && !nominee.closed);
    assert_eq!(
        nominee.volume,
        Some(Usdc::parse("1294574707.489875").unwrap())
    );
    let ids: Vec<&str> = nominee.markets.iter().map(|m| m.id.as_str()).collect();
    assert_eq!(ids, ["559652", "559653", "559654"]);
    let last = gamma("markets_keyset_last_page.CONSTRUCTED.json");
    assert_eq!(last.get("next_cursor"), None);
    let search = gamma("public_search.json");
    assert_eq!(search["pagination"]["hasMore"], true);
    let found = event(&search["events"][0]);
    assert_eq!(found.id.as_str(), "246060");
    assert_eq!(
        found.markets[0].question,
        "Will the price of Bitcoin be above $64,000 on March 11?"
    );
    let game = gamma("event_game_full.json");
    let game = event(if game.is_array() { &game[0] } else { &game });
    assert_eq!(game.title, "Milwaukee Brewers vs. San Diego Padres");
    assert!(game.closed && game.markets.is_empty());
    let tags = gamma("tags.json");
    assert_eq!(tag_id(&tags[0]).as_deref(), Some("101259"));
}
