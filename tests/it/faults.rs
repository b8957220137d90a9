//! What the venue does on a bad day, over HTTP, and what an agent and its ledger make of it. The
//! binary talks to a sandbox exchange with its real client: limits, retries, breaker, parsers.
//!
//! Two faults of the issue are not here because this version's client sends no live orders: an
//! order accepted whose answer never arrives, and a match that later fails. They are proved at the
//! exchange's own wire: `sandbox::faults::tests::a_lost_answer_was_carried_out_and_a_dropped_request_was_not`
//! and `sandbox::trading::tests::lifecycle::a_match_that_fails_is_undone_to_the_last_micro_unit`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Exchange, Trader, Workspace, said, wait_for};

/// A few markets, an agent, nothing in the background.
fn trader(venue: &str) -> Trader {
    Trader::alone(Exchange::start(12), venue)
}

/// The reads that a purchase needs one after the other: the market, its terms, its books.
const READS: [(&str, &str); 3] = [
    ("gamma", "/markets"),
    ("clob", "/clob-markets"),
    ("clob", "/books"),
];

fn fault(fault: Value, (host, path): (&str, &str), budget: Value) -> Value {
    json!({"fault": fault, "scope": {"host": host, "path": path}, "budget": budget})
}

#[test]
fn late_answers_are_waited_for() {
    let mut trader = trader("");
    let ask = trader.exchange.ask(&trader.listed.token);
    for ms in [json!({"fixed": 200}), json!({"uniform": [50, 100]})] {
        let late = json!({"fault": {"kind": "latency", "ms": ms}});
        trader.exchange.arm(late);
    }
    let begun = Instant::now();
    let trade = trader.buy("late");
    // Three reads one after the other, each 250 ms late at least.
    assert!(begun.elapsed() >= Duration::from_millis(750));
    trader.exchange.clear();
    trader.bought_once(&trade, ask);
    assert_eq!(trader.health()["status"], "ok");
}

#[test]
fn an_answer_that_never_arrives_changes_nothing_and_the_same_order_is_placed_once() {
    let mut trader = trader("retries: 1, deadline_seconds: 4, breaker_failures: 0");
    let before = trader.account();
    let ask = trader.exchange.ask(&trader.listed.token);
    for read in READS {
        let never = json!({"kind": "latency", "ms": {"fixed": 600_000}});
        trader.exchange.arm(fault(never, read, json!({})));
        let failure = trader.cannot_buy("patient");
        assert_eq!(failure.code, "venue_unreachable", "{read:?}");
        assert!(failure.message.contains("no answer within"), "{failure:?}");
        assert!(failure.hint.contains("network"), "{failure:?}");
        assert_eq!(trader.account(), before, "{read:?}");
        let health = trader.health();
        assert_eq!(health["status"], "degraded");
        assert!(said(&health).contains("no answer within"), "{health}");
        trader.exchange.clear();
    }
    let trade = trader.buy("patient");
    trader.bought_once(&trade, ask);
    let again = trader.buy("patient");
    assert_eq!(again["order_id"], trade["order_id"]);
    trader.bought_once(&trade, ask);
    assert_eq!(trader.health()["status"], "ok");
}

#[test]
fn too_many_requests_are_waited_out_or_told() {
    let mut trader = trader("");
    let before = trader.account();
    // Longer than a read is waited for: the agent is told how long.
    let long = json!({"kind": "status", "code": 429, "retry_after": 90});
    let id = trader
        .exchange
        .arm(fault(long, ("clob", "/clob-markets"), json!({"next": 1})));
    let failure = trader.cannot_buy("hasty");
    assert_eq!(failure.code, "rate_limited");
    assert_eq!(failure.hint, "Wait 90 s and call again.");
    assert_eq!(trader.account(), before);
    // Until then nothing is sent: the fault would not strike again, the answer would be good.
    assert_eq!(trader.exchange.fired(id), 1);
    let failure = trader.cannot_buy("hasty");
    assert_eq!(failure.code, "rate_limited");
    assert!(failure.message.contains("not sent"), "{failure:?}");
    assert_eq!(trader.account(), before);

    let mut trader = Trader::alone(Exchange::start(12), "");
    // Another exchange, which has started a moment later: its prices may have moved on.
    let ask = trader.exchange.ask(&trader.listed.token);
    for read in READS {
        let short = json!({"kind": "status", "code": 429, "retry_after": 1});
        trader.exchange.arm(fault(short, read, json!({"next": 1})));
    }
    let begun = Instant::now();
    let trade = trader.buy("patient");
    assert!(begun.elapsed() >= Duration::from_secs(3), "1 s each");
    trader.bought_once(&trade, ask);
    let health = trader.health();
    assert_eq!(health["status"], "ok", "{health}");
    assert_eq!(health["source"]["failures"], 0, "{health}");
}

#[test]
fn short_bursts_of_failures_are_retried() {
    let mut trader = trader("");
    let ask = trader.exchange.ask(&trader.listed.token);
    let kinds = [
        json!({"kind": "status", "code": 500}),
        json!({"kind": "dropped"}),
        json!({"kind": "truncated", "cut": "connection"}),
    ];
    let mut ids = Vec::new();
    for (kind, read) in kinds.into_iter().zip(READS) {
        ids.push(trader.exchange.arm(fault(kind, read, json!({"next": 2}))));
    }
    let trade = trader.buy("steady");
    for id in ids {
        assert_eq!(trader.exchange.fired(id), 2);
    }
    trader.bought_once(&trade, ask);
    let health = trader.health();
    assert_eq!(health["status"], "ok", "{health}");
    assert_eq!(health["source"]["failures"], 0, "{health}");
}

#[test]
fn a_host_that_stays_ill_is_left_alone_and_comes_back() {
    let mut trader = trader("breaker_failures: 4, breaker_seconds: 3");
    let before = trader.account();
    let ask = trader.exchange.ask(&trader.listed.token);
    let ill = json!({"fault": {"kind": "status", "code": 502}, "scope": {"host": "clob"}});
    let id = trader.exchange.arm(ill);
    let failure = trader.cannot_buy("stubborn");
    assert_eq!(failure.code, "venue_error");
    assert!(failure.message.contains("status 502"), "{failure:?}");
    assert!(failure.hint.contains("call again"), "{failure:?}");
    // Two retries make three requests; the fourth failure opens the breaker.
    assert_eq!(trader.exchange.fired(id), 3);
    trader.cannot_buy("stubborn");
    assert_eq!(trader.exchange.fired(id), 4);
    let failure = trader.cannot_buy("stubborn");
    assert_eq!(failure.code, "venue_unreachable");
    assert!(failure.message.contains("left alone"), "{failure:?}");
    assert!(failure.hint.starts_with("Call again in "), "{failure:?}");
    assert_eq!(trader.exchange.fired(id), 4, "it was not asked");
    assert_eq!(trader.account(), before);
    let health = trader.health();
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["source"]["reachable"], false);
    let told = said(&health);
    assert!(told.contains("circuit breaker of clob open"), "{told}");
    assert!(told.contains("failed 4 times in a row"), "{told}");
    // The other hosts are not left alone.
    let found = trader.call("search_markets", json!({"limit": 5}));
    assert_eq!(found["count"], 5);
    trader.exchange.clear();
    let order = json!({"token_id": trader.listed.token});
    wait_for("the breaker to close", || {
        let params = json!({"name": "get_price", "arguments": order});
        let answer = trader.raw("tools/call", params);
        (answer["result"]["isError"] == false).then_some(())
    });
    let trade = trader.buy("stubborn");
    trader.bought_once(&trade, ask);
    let health = trader.health();
    assert_eq!(health["status"], "ok", "{health}");
    assert!(!said(&health).contains("breaker"), "{health}");
}

#[test]
fn restarts_of_the_exchange_are_waited_out_until_the_deadline() {
    let mut trader = trader("retries: 0, deadline_seconds: 10");
    let ask = trader.exchange.ask(&trader.listed.token);
    // 425 while the engine restarts, then 503 while it takes post-only orders; here for the reads.
    let restarting = json!({"kind": "restarting"});
    let terms = fault(restarting.clone(), READS[1], json!({"next": 3}));
    let post_only = json!({"kind": "status", "code": 503});
    let books = fault(post_only, READS[2], json!({"next": 3}));
    let ids = [trader.exchange.arm(terms), trader.exchange.arm(books)];
    let trade = trader.buy("waiting");
    for id in ids {
        assert_eq!(trader.exchange.fired(id), 3, "however often that takes");
    }
    trader.bought_once(&trade, ask);
    assert_eq!(trader.health()["source"]["failures"], 0);

    let mut trader = Trader::alone(Exchange::start(12), "retries: 0, deadline_seconds: 1");
    let before = trader.account();
    trader.exchange.arm(fault(restarting, READS[1], json!({})));
    let failure = trader.cannot_buy("waiting");
    assert_eq!(failure.code, "venue_error");
    assert!(failure.message.contains("status 425"), "{failure:?}");
    assert!(failure.hint.contains("restarts"), "{failure:?}");
    assert_eq!(trader.account(), before);
}

#[test]
fn answers_that_are_no_json_are_named_and_nothing_is_bought_on_them() {
    let mut trader = trader("");
    let before = trader.account();
    let ask = trader.exchange.ask(&trader.listed.token);
    let kinds = [
        json!({"kind": "truncated", "cut": "honest"}),
        json!({"kind": "malformed"}),
    ];
    for kind in kinds {
        for read in READS {
            trader
                .exchange
                .arm(fault(kind.clone(), read, json!({"next": 1})));
            let failure = trader.cannot_buy("careful");
            assert_eq!(failure.code, "venue_malformed", "{kind} {read:?}");
            assert!(failure.message.contains(read.1), "{failure:?}");
            assert!(failure.hint.contains("health_check"), "{failure:?}");
            assert_eq!(trader.account(), before, "{kind} {read:?}");
        }
    }
    assert_eq!(trader.health()["source"]["failures"], 6);
    let trade = trader.buy("careful");
    trader.bought_once(&trade, ask);
}

#[test]
fn odd_rows_are_left_out_counted_by_cause_and_the_rest_is_served() {
    let mut trader = Trader::alone(Exchange::start(40), "");
    let ids = |found: &Value| -> Vec<String> {
        let rows = found["markets"].as_array().unwrap().iter();
        rows.map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let served = trader
        .exchange
        .get("/gamma/markets/keyset?closed=false&limit=100&order=volume24hr&ascending=false");
    let served = served["markets"].as_array().unwrap().len();
    let all = trader.call("search_markets", json!({"limit": 100}));
    let sound = ids(&all);
    let spoil = [
        "wrong_type",
        "price_above_one",
        "nan_text",
        "negative_size",
        "missing_id",
        "broken_inner_json",
        "unknown_version",
        "unknown_field",
        "unknown_row",
        "null_row",
    ];
    trader.exchange.arm(fault(
        json!({"kind": "rows", "spoil": spoil}),
        READS[0],
        json!({"next": 1}),
    ));
    let odd = trader.call("search_markets", json!({"limit": 100}));
    assert_eq!(sound.len(), served, "all are open and sound");
    // Entry k of 10 strikes row k·n/10. Only the row with one more field stays.
    let struck: Vec<usize> = (0..10).map(|k| k * served / 10).collect();
    let expected: Vec<&String> = sound
        .iter()
        .enumerate()
        .filter(|(row, _)| *row == struck[7] || !struck.contains(row))
        .map(|(_, id)| id)
        .collect();
    assert_eq!(ids(&odd).iter().collect::<Vec<_>>(), expected);
    for market in odd["markets"].as_array().unwrap() {
        for price in market["outcome_prices"].as_array().unwrap() {
            let price = price.as_f64();
            assert!(price.is_none_or(|p| (0.0..=1.0).contains(&p)), "{market}");
        }
    }
    let health = trader.health();
    let skipped = health["source"]["skipped_rows"].as_object().unwrap();
    let counted: Vec<(&str, u64)> = skipped
        .iter()
        .map(|(cause, count)| (cause.as_str(), count.as_u64().unwrap()))
        .collect();
    let unknown = "gamma market: version is unknown to this version, so the row is not tradable";
    assert_eq!(
        counted,
        [
            // The text that breaks off, and the list in an id's place.
            ("gamma market: id is missing", 2),
            ("gamma market: id is of the wrong type", 1),
            ("gamma market: market is of the wrong type", 1),
            ("gamma market: orderMinSize is out of range", 1),
            ("gamma market: outcomePrices is not a number", 1),
            ("gamma market: outcomePrices is out of range", 1),
            ("gamma market: outcomes is of the wrong type", 1),
            (unknown, 1),
        ]
    );
    assert_eq!(health["status"], "ok", "{health}");
}

#[test]
fn no_order_meets_a_book_with_values_that_cannot_be() {
    let mut trader = trader("");
    let ask = trader.exchange.ask(&trader.listed.token);
    let causes = [
        ("price_above_one", "clob book: asks is out of range"),
        ("nan_text", "clob book: asks is not a number"),
        ("negative_size", "clob book: asks is out of range"),
        ("missing_id", "clob book: asset_id is missing"),
        ("wrong_type", "clob book: asset_id is of the wrong type"),
        ("null_row", "clob book: book is of the wrong type"),
    ];
    for (spoil, cause) in causes {
        let count = |trader: &mut Trader| {
            let health = trader.health();
            health["source"]["skipped_rows"][cause]
                .as_u64()
                .unwrap_or(0)
        };
        let before = count(&mut trader);
        // Both books of the market.
        let rows = json!({"kind": "rows", "spoil": [spoil, spoil]});
        trader
            .exchange
            .arm(fault(rows, READS[2], json!({"next": 1})));
        let failure = trader.cannot_buy(spoil);
        assert_eq!(failure.code, "no_book", "{spoil}: {failure:?}");
        trader.bought_nothing();
        assert_eq!(count(&mut trader), before + 2, "{spoil}");
        // The single book that get_price asks for is one object.
        let rows = json!({"kind": "rows", "spoil": [spoil]});
        trader
            .exchange
            .arm(fault(rows, ("clob", "/book"), json!({"next": 1})));
        let token = json!({"token_id": trader.listed.token});
        assert_eq!(trader.fails("get_price", token).code, "no_book", "{spoil}");
    }
    // A field more is none the worse.
    let rows = json!({"kind": "rows", "spoil": ["unknown_field", "unknown_field"]});
    trader
        .exchange
        .arm(fault(rows, READS[2], json!({"next": 1})));
    let trade = trader.buy("sound");
    trader.bought_once(&trade, ask);
}

#[test]
fn a_clock_that_is_off_is_told_and_moves_no_time_of_ours() {
    for (ms, way) in [
        (40_000_i64, "behind the exchange's"),
        (-40_000, "ahead of the exchange's"),
    ] {
        let exchange = Exchange::start(12);
        exchange.arm(json!({"fault": {"kind": "clock_skew", "ms": ms}}));
        let mut trader = Trader::alone(exchange, "");
        let health = trader.health();
        let told = said(&health);
        assert!(told.contains("this machine's clock is "), "{told}");
        assert!(told.contains(way), "{told}");
        let ask = trader.exchange.ask(&trader.listed.token);
        let trade = trader.buy("on time");
        trader.bought_once(&trade, ask);
        let as_of = trader.call("get_portfolio", json!({}))["as_of"].clone();
        let as_of = chrono::DateTime::parse_from_rfc3339(as_of.as_str().unwrap()).unwrap();
        let age = chrono::Utc::now()
            .signed_duration_since(as_of)
            .num_seconds();
        assert!((0..600).contains(&age), "by this machine's clock: {age} s");
    }
}

/// By a clock that is an hour off nothing is bought: what is newer than what could not be told.
#[test]
fn a_clock_that_is_grossly_off_trades_nothing() {
    for (ms, way) in [
        (3_600_000_i64, "behind the exchange's"),
        (-3_600_000, "ahead of the exchange's"),
    ] {
        let exchange = Exchange::start(12);
        exchange.arm(json!({"fault": {"kind": "clock_skew", "ms": ms}}));
        let mut trader = Trader::alone(exchange, "");
        let health = trader.health();
        let problems = health["problems"].to_string();
        assert!(problems.contains(way), "{health}");
        assert_ne!(health["status"], "ok");
        let failure = trader.cannot_buy("by a wrong clock");
        assert_eq!(failure.code, "clock_skew", "{failure:?}");
        trader.bought_nothing();
        trader.exchange.clear();
    }
}

#[test]
fn a_tick_says_what_it_missed_and_one_without_books_does_nothing() {
    let exchange = Exchange::start(12);
    let yaml = format!(
        "{}gather: {{max_markets: 12}}\n",
        exchange.venue("retries: 0, breaker_failures: 0")
    );
    let workspace = Workspace::with_config(&yaml);
    let ledger = |workspace: &Workspace| crate::support::Ledger::read(&workspace.db());
    let whole = workspace.cli(&["tick", "--json"]).ok().json();
    assert_eq!(whole["markets"], 12, "{whole}");
    let notes = |tick: &Value| tick["notes"].to_string();
    assert!(!notes(&whole).contains("no price histories"), "{whole}");
    let broken = json!({"kind": "malformed"});
    exchange.arm(fault(broken.clone(), ("clob", "/batch"), json!({})));
    exchange.arm(fault(broken.clone(), ("clob", "/prices"), json!({})));
    exchange.arm(fault(broken.clone(), ("data", "/v2"), json!({})));
    let partial = workspace.cli(&["tick", "--json"]).ok().json();
    assert!(notes(&partial).contains("no price histories"), "{partial}");
    exchange.clear();
    let before = ledger(&workspace);
    exchange.arm(fault(broken, ("clob", "/books"), json!({})));
    let none = workspace.cli(&["tick", "--json"]).failed();
    assert!(none.stderr.contains("could not be read"), "{}", none.stderr);
    assert_eq!(ledger(&workspace), before);
    // The same of a single call from a shell.
    let listed = exchange.busy();
    let order = json!({"market_id": listed.market, "token_id": listed.token, "side": "buy",
        "size": 5, "price": 0.99});
    let call = workspace.call(&[], "place_trade", &order).failed();
    assert!(call.stderr.contains("could not be read"), "{}", call.stderr);
    assert_eq!(ledger(&workspace), before);
}
