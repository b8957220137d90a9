//! Routes that a tool or the core asks for one thing: terms, wallets, activity, tags, fallbacks.

use super::*;
use crate::domain::{FeeSchedule, Market, Shares, Side};
use crate::market_data::WalletSummary;

fn market_of(row: &Value) -> Arc<Market> {
    let mut oddities = crate::market_data::polymarket::row::Oddities::default();
    Arc::new(crate::market_data::polymarket::gamma_rows::market(row, &mut oddities).unwrap())
}

fn terms(number: usize) -> Value {
    json!({"c": condition(number), "mos": 15, "mts": 0.001, "ao": true, "v": "v1",
        "t": [{"t": format!("{number}1"), "o": "Yes"}, {"t": format!("{number}2"), "o": "No"}],
        "fd": {"r": 0.07, "e": 1, "to": true}})
}

#[tokio::test]
async fn an_order_meets_the_exchanges_terms() {
    let (venue, base) = Venue::start(|seen, _| {
        let number = (1..=5)
            .find(|number| seen.path == format!("/clob/clob-markets/{}", condition(*number)));
        let mut row = terms(number.unwrap());
        match number.unwrap() {
            1 => {}
            2 => row["ao"] = json!(false),
            3 => row["fd"]["e"] = json!(1.5),
            4 => row["t"][1]["t"] = json!("99"),
            _ => return missing(),
        }
        ok(row)
    })
    .await;
    let client = client(&base);
    let now = client.current_terms(&market_of(&row(1))).await.unwrap();
    assert_eq!(now.tick.to_string(), "0.001");
    assert_eq!(now.min_size, Shares::whole(15));
    assert_eq!(now.fee, FeeSchedule::new("0.07", 1).unwrap());
    assert!(now.is_tradable());
    assert_eq!(now.question, "Question 1?");
    let paused = client.current_terms(&market_of(&row(2))).await.unwrap();
    assert_eq!(paused.status, MarketStatus::Paused);
    for number in [3, 4] {
        let error = client.current_terms(&market_of(&row(number))).await;
        assert_eq!(error.unwrap_err().code(), "venue_malformed");
    }
    // Not known there: what Gamma said.
    let known = market_of(&row(5));
    assert_eq!(client.current_terms(&known).await.unwrap(), known);
    let closed = market_of(&changed(1, "closed", json!(true)));
    assert_eq!(client.current_terms(&closed).await.unwrap(), closed);
    assert_eq!(venue.seen().len(), 5, "a closed market has no terms");
}

#[tokio::test]
async fn one_book_is_asked_for_by_itself() {
    let (venue, base) = Venue::start(|seen, _| match seen.value("token_id") {
        Some("11") => ok(book("11", "0.4", 1_792_173_951_815)),
        _ => {
            let body = json!({"error": "No orderbook exists for the requested token id"});
            (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
        }
    })
    .await;
    let client = client(&base);
    let books = client.books(&[TokenId::new("11")]).await.unwrap();
    assert_eq!(books["11"].best_bid().unwrap().to_string(), "0.4");
    assert_eq!(venue.seen()[0].path, "/clob/book");
    assert!(
        client
            .books(&[TokenId::new("12")])
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(client.health().failures, 0, "no book is no failure");
}

#[tokio::test]
async fn a_signing_address_is_told_from_a_proxy_wallet() {
    let wallet = |digit: &str| format!("0x{}", digit.repeat(40));
    let proxy = wallet("b");
    let (venue, base) = Venue::start(move |seen, _| match seen.path.as_str() {
        "/data/v2/value" => {
            let rich = seen.value("user").unwrap().starts_with("0xb");
            let value = if rich { 844.4295 } else { 0.0 };
            ok(json!({"data": {"proxy_wallet": seen.value("user"), "value": value}}))
        }
        "/gamma/public-profile" => match seen.value("address") {
            Some(address) if address.starts_with("0xa") => ok(json!({"proxyWallet": proxy})),
            _ => missing(),
        },
        other => panic!("{other} was not to be asked"),
    })
    .await;
    let client = client(&base);
    let summary = |value, proxy| WalletSummary { value, proxy };
    assert_eq!(
        client.wallet_summary(&wallet("B")).await.unwrap(),
        summary(Some(844.4295), Some(wallet("b")))
    );
    assert_eq!(
        venue.seen().len(),
        1,
        "what holds something is a proxy wallet"
    );
    assert_eq!(
        client.wallet_summary(&wallet("A")).await.unwrap(),
        summary(Some(0.0), Some(wallet("b")))
    );
    assert_eq!(
        client.wallet_summary(&wallet("c")).await.unwrap(),
        summary(Some(0.0), None)
    );
    assert!(client.wallet_summary("0x12").await.is_err());
}

#[tokio::test]
async fn activity_is_what_the_venue_tells_of_it() {
    let (_, base) = Venue::start(|seen, _| match seen.path.as_str() {
        "/data/v2/trades" => {
            assert_eq!(seen.value("condition"), Some(condition(1).as_str()));
            let trade = |time: i64, side: &str| {
                json!({"side": side, "token_id": "11", "size": 3, "price": 0.4,
                    "timestamp": time})
            };
            ok(json!({"data": [trade(10, "BUY"), trade(20, "SELL"), trade(30, "HOLD")]}))
        }
        "/data/v2/holders" => missing(),
        _ => StatusCode::BAD_REQUEST.into_response(),
    })
    .await;
    let client = client(&base);
    let mut row = row(1);
    row["events"] = json!([{"id": "5"}]);
    let activity = client.market_activity(&market_of(&row)).await.unwrap();
    let trades = activity.trades.unwrap();
    assert_eq!(
        trades
            .iter()
            .map(|t| (t.at.secs(), t.side))
            .collect::<Vec<_>>(),
        [(20, Side::Sell), (10, Side::Buy)],
        "newest first"
    );
    assert_eq!((activity.holders, activity.taker_volume), (None, None));
    assert_eq!(
        client.health().skipped_rows,
        [("data trade: side is out of range".to_owned(), 1)].into()
    );
}

#[tokio::test]
async fn the_other_history_serves_where_the_first_fails_or_is_empty() {
    let (venue, base) = Venue::start(|seen, _| match seen.path.as_str() {
        "/clob/prices-history" if seen.value("market") == Some("1") => {
            StatusCode::BAD_REQUEST.into_response()
        }
        "/clob/prices-history" => ok(json!({"history": []})),
        "/data/v2/prices-history" if seen.value("token_id") == Some("3") => missing(),
        "/data/v2/prices-history" => {
            let second = seen.value("cursor").is_some();
            let time = if second { 200 } else { 100 };
            ok(
                json!({"data": [{"timestamp": time, "price": 0.34, "resolution_seconds": 600}],
                "pagination": {"has_more": !second, "next_cursor": "n"}}),
            )
        }
        other => panic!("{other} was not to be asked"),
    })
    .await;
    let client = client(&base);
    for token in ["1", "2"] {
        let token = TokenId::new(token);
        let points = client.price_history(&token, HistorySpan::Month, 1).await;
        let seconds: Vec<i64> = points.unwrap().iter().map(|p| p.at.secs()).collect();
        assert_eq!(seconds, [100, 200]);
    }
    let asked = venue
        .seen()
        .into_iter()
        .find(|seen| seen.path.starts_with("/data"))
        .unwrap();
    assert_eq!(
        asked.value("bucket_seconds"),
        Some("600"),
        "a month's least"
    );
    assert_eq!(asked.value("interval"), Some("1m"));
    let nothing = client
        .price_history(&TokenId::new("3"), HistorySpan::Day, 60)
        .await;
    assert_eq!(nothing, Ok(Vec::new()));
}

#[tokio::test]
async fn a_search_that_is_down_is_done_by_titles() {
    let (venue, base) = Venue::start(|seen, _| match seen.path.as_str() {
        "/gamma/public-search" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "/gamma/events/keyset" => ok(json!({"events": [
            {"id": "1", "title": "Rain in May", "markets": [row(1), changed(2, "active", json!(false))]},
            // A filter that is not known is ignored.
            {"id": "2", "title": "Snow", "markets": [row(3)]},
        ]})),
        other => panic!("{other} was not to be asked"),
    })
    .await;
    let config = PolymarketConfig {
        retries: 0,
        ..config(&base)
    };
    let client = Polymarket::new(config, SourceKind::Polymarket).unwrap();
    let found = client.search("rain QUESTION", 9, false).await.unwrap();
    assert_eq!(found.len(), 1, "open and matching");
    assert_eq!(found[0].id, MarketId::new("1"));
    let last = venue.seen().pop().unwrap();
    assert_eq!(last.value("title_search"), Some("rain QUESTION"));
    assert_eq!(last.value("closed"), Some("false"));
}

#[tokio::test]
async fn a_tag_lists_its_most_traded_markets() {
    let (venue, base) = Venue::start(|seen, _| match seen.path.as_str() {
        "/gamma/tags/slug/us-politics" => ok(json!({"id": "101", "slug": "us-politics"})),
        "/gamma/markets/keyset" if seen.value("closed") == Some("false") => {
            ok(json!({"markets": [row(1), changed(2, "acceptingOrders", json!(false))]}))
        }
        "/gamma/markets/keyset" => ok(json!({"markets": [changed(3, "closed", json!(true))]})),
        _ => missing(),
    })
    .await;
    let client = client(&base);
    let ids = |found: Vec<Arc<Market>>| -> Vec<String> {
        found.iter().map(|market| market.id.to_string()).collect()
    };
    assert_eq!(
        ids(client.search("tag:US Politics", 9, false).await.unwrap()),
        ["1"]
    );
    let asked = venue.seen().pop().unwrap();
    assert_eq!(asked.value("tag_id"), Some("101"));
    assert_eq!(asked.value("order"), Some("volume24hr"));
    assert_eq!(
        ids(client.search("tag:us-politics", 9, true).await.unwrap()),
        ["1", "2", "3"]
    );
    let error = client.search("tag:nonsense", 9, false).await.unwrap_err();
    assert!(error.to_string().contains("no tag `nonsense`"), "{error}");
    assert!(client.search("tag:../x", 9, false).await.is_err());
}

#[tokio::test]
async fn a_check_notes_a_wrong_clock_and_a_new_order_format() {
    let (_, base) = Venue::start(|seen, _| match seen.path.as_str() {
        "/clob/time" => ok(json!(SystemClock.now().secs() - 90)),
        "/clob/version" => ok(json!({"version": 3})),
        _ => ok(json!({"markets": [row(1)]})),
    })
    .await;
    let client = client(&base);
    client.check().await.unwrap();
    let notes = client.health().notes;
    assert!(
        ["90", "91"].iter().any(|seconds| notes[0]
            == format!("this machine's clock is {seconds} s ahead of the exchange's")),
        "{notes:?}"
    );
    assert!(notes[1].contains("orders in version 3"), "{notes:?}");
    let ahead = client.clock_ahead().unwrap();
    assert!((90_000..93_000).contains(&ahead), "{ahead}");
}

#[tokio::test]
async fn the_clock_is_asked_about_until_it_is_known_and_while_it_is_grossly_wrong() {
    // 90 s behind at first, then right.
    let (venue, base) = Venue::start(|seen, number| match seen.path.as_str() {
        "/clob/time" if number < 2 => ok(json!(SystemClock.now().secs() - 90)),
        "/clob/time" => ok(json!(SystemClock.now().secs())),
        _ => missing(),
    })
    .await;
    let client = client(&base);
    assert_eq!(client.clock_ahead(), None);
    for (wanted, asked) in [(90, 1), (90, 2), (0, 3), (0, 3)] {
        let ahead = client.measured_clock(60_000).await.unwrap();
        // The exchange states whole seconds.
        assert!((0..3_000).contains(&(ahead - wanted * 1000)), "{ahead}");
        assert_eq!(client.clock_ahead().unwrap() / 60_000, ahead / 60_000);
        assert_eq!(venue.seen().len(), asked);
    }
}

#[tokio::test]
async fn the_leaderboard_and_wallets_follow_cursors() {
    let (venue, base) = Venue::start(|seen, _| {
        let second = seen.value("cursor").is_some();
        let pagination = json!({"has_more": !second, "next_cursor": "n"});
        if seen.path == "/data/v2/leaderboard" {
            let rank = if second { 2 } else { 1 };
            return ok(json!({"pagination": pagination, "data": [
                {"rank": rank, "user_id": "0xaa", "user_name": "", "pnl": 5.5, "volume": 9}]}));
        }
        ok(
            json!({"pagination": pagination, "data": [{"token_id": "1", "current_size": 3,
            "avg_price": 0.5, "outcome": "No", "title": "T", "status": "OPEN"}]}),
        )
    })
    .await;
    let client = client(&base);
    let traders = client.leaderboard(Period::Week, 5).await.unwrap();
    assert_eq!(traders.iter().map(|t| t.rank).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(traders[0].name, "0xaa");
    assert_eq!(traders[0].pnl, Some(5.5));
    let wallet = format!("0x{}", "A".repeat(40));
    let positions = client.wallet_positions(&wallet, 1).await.unwrap();
    assert_eq!(positions.len(), 1);
    assert_eq!(positions[0].pnl, None);
    let seen = venue.seen();
    assert_eq!(seen.len(), 3, "one position was wanted, so one page");
    assert_eq!(seen[0].value("time_period"), Some("week"));
    assert_eq!(seen[2].value("user"), Some(wallet.to_lowercase().as_str()));
    assert!(client.leaderboard(Period::All, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn volume_of_an_event_is_in_pusd_and_that_of_takers_in_shares() {
    let (venue, base) = Venue::start(|seen, _| match seen.path.as_str() {
        "/data/v2/live-volume" => ok(json!({"data": {"taker_volume_total": 223.500000000003,
            "conditions": [{"condition_id": condition(1), "taker_volume": 223.5},
                {"condition_id": condition(2), "taker_volume": -1}]}})),
        _ => ok(
            json!({"id": "30829", "title": "Rain", "slug": "rain", "volume": 1500.25,
            "markets": [row(1), changed(2, "volumeNum", Value::Null)]}),
        ),
    })
    .await;
    let client = client(&base);
    let volume = client.event_volume("rain").await.unwrap().unwrap();
    assert_eq!(volume.event_id, EventId::new("30829"));
    assert_eq!(volume.total.unwrap().to_string(), "1500.25");
    assert_eq!(volume.by_market.len(), 1, "an unknown volume is not 0");
    assert_eq!(volume.by_market[0].1.to_string(), "1");
    let takers = client
        .taker_volume(&volume.event_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(takers.total.to_string(), "223.5");
    assert_eq!(takers.by_condition.len(), 1);
    assert_eq!(venue.seen()[0].path, "/gamma/events/slug/rain");
    assert!(client.taker_volume(&EventId::new("rain")).await.is_err());
}
