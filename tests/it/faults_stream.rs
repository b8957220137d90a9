//! What the venue's market channel does on a bad day, and what an agent is shown and sold. The
//! exchange's time moves only when a test steps it, so its books between two steps are known.

use serde_json::{Value, json};

use crate::support::{Exchange, Trader, wait_for};

fn streaming(venue: &str, more: &str) -> Trader {
    Trader::streaming(Exchange::start(12), venue, more)
}

/// A fault of frames and sockets that carry the agent's token, once.
fn once(trader: &Trader, kind: Value) -> Value {
    let scope = json!({"host": "ws", "token": trader.listed.token});
    json!({"fault": kind, "scope": scope, "budget": {"next": 1}})
}

#[test]
fn a_socket_cut_in_mid_book_leads_to_no_fill_on_the_old_book() {
    let mut trader = streaming("retries: 0, breaker_failures: 0", "");
    let token = trader.listed.token.clone();
    // Books come over the socket alone from here on.
    let rest = json!({"fault": {"kind": "dropped"}, "scope": {"host": "clob", "path": "/book"}});
    let asked = trader.exchange.arm(rest.clone());
    let old = trader.ask().unwrap();
    assert_eq!(trader.exchange.fired(asked), 0, "it is streamed");
    let before = trader.account();

    let away = json!({"fault": {"kind": "status", "code": 502}, "scope": {"host": "ws"}});
    trader.exchange.arm(away.clone());
    let cut = once(&trader, json!({"kind": "socket_mid_book"}));
    let cut = trader.exchange.arm(cut);
    trader.exchange.step_until_fired(cut);
    wait_for("the loss to be noticed", || {
        (trader.stream("reconnects") > 0).then_some(())
    });
    // Neither the old book nor another one: refused, and nothing is written down.
    let failure = trader.cannot_buy("cut");
    assert_eq!(failure.code, "venue_unreachable", "{failure:?}");
    assert!(
        trader.exchange.fired(asked) > 0,
        "a fresh book was asked for"
    );
    assert_eq!(trader.account(), before);
    let note = trader.stream_note();
    assert!(note.contains("0 of 24 books live"), "{note}");
    assert!(note.contains("last lost: "), "{note}");

    // Nor a book that makes no sense.
    trader.exchange.clear();
    trader.exchange.arm(away.clone());
    let rows = json!({"kind": "rows", "spoil": ["null_row", "price_above_one"]});
    let scope = json!({"host": "clob", "path": "/books"});
    let odd = json!({"fault": rows, "scope": scope});
    trader.exchange.arm(odd);
    let failure = trader.cannot_buy("cut");
    assert_eq!(failure.code, "no_book", "{failure:?}");
    trader.bought_nothing();

    // Books that can be asked for again, elsewhere than where they stood; still no socket.
    trader.exchange.clear();
    trader.exchange.arm(away);
    let new = wait_for("another price than the old one", || {
        trader.exchange.step(30);
        let ask = trader.exchange.asks(&token).first()?.0;
        (ask != old).then_some(ask)
    });
    let trade = trader.buy("cut");
    trader.bought_once(&trade, new);

    // The socket comes back, with whole books that are current.
    trader.exchange.clear();
    trader.until_live();
    trader.exchange.step_until_moved(&token);
    trader.exchange.arm(rest);
    let shown = trader.ask();
    trader.exchange.clear();
    assert!(shown.is_some());
    trader.until_current();
}

#[test]
fn sockets_that_are_closed_reset_or_broken_off_are_made_again() {
    let mut trader = streaming("", "");
    let token = trader.listed.token.clone();
    let kinds = [
        json!({"kind": "socket_close", "code": 1012}),
        json!({"kind": "socket_reset"}),
        json!({"kind": "truncated", "cut": "connection"}),
    ];
    for (lost, kind) in kinds.into_iter().enumerate() {
        let fault = once(&trader, kind.clone());
        let id = trader.exchange.arm(fault);
        wait_for("the fault to strike", || {
            trader.exchange.step(5);
            (trader.exchange.fired(id) == 1).then_some(())
        });
        wait_for("the loss to be noticed", || {
            (trader.stream("reconnects") > lost as u64).then_some(())
        });
        let note = trader.stream_note();
        assert!(note.contains("last lost: "), "{kind}: {note}");
        if lost == 0 {
            assert!(note.contains("code 1012"), "{note}");
        }
        trader.until_live();
        trader.exchange.step_until_moved(&token);
        trader.until_current();
    }
    let ask = trader.deep_ask();
    let trade = trader.buy("after");
    trader.bought_once(&trade, ask);
    assert_eq!(trader.health()["status"], "ok");
}

#[test]
fn a_socket_that_falls_silent_keeps_no_book_current() {
    let mut trader = streaming(
        "stream_silence_seconds: 20",
        "risk: {max_book_age_seconds: 4, max_price_distance: 0}\n",
    );
    let token = trader.listed.token.clone();
    let stall = once(&trader, json!({"kind": "socket_stall"}));
    let id = trader.exchange.arm(stall);
    wait_for("the fault to strike", || {
        (trader.exchange.fired(id) == 1).then_some(())
    });
    let (_, new) = trader.exchange.step_until_moved(&token);
    // What was heard last ages, whatever the socket looks like.
    wait_for("the book to be too old", || {
        let shown = trader.call("get_price", json!({"token_id": token}));
        let at = chrono::DateTime::parse_from_rfc3339(shown["at"].as_str().unwrap()).unwrap();
        let age = chrono::Utc::now().signed_duration_since(at);
        (age.num_milliseconds() > 4_000).then_some(())
    });
    let failure = trader.cannot_buy("early");
    assert_eq!(failure.code, "max_book_age", "{failure:?}");
    trader.bought_nothing();
    // A PING without an answer: books are asked for, though the socket is not given up yet.
    trader.until_current();
    assert_eq!(trader.stream("reconnects"), 0);
    let trade = trader.buy("late");
    trader.bought_once(&trade, new);
    wait_for("the socket to be given up", || {
        let note = trader.stream_note();
        note.contains("last lost: silent for 20 s").then_some(())
    });
    trader.until_live();
}

/// The limit on a book's age holds for the agent, the shell and the clock alike.
#[test]
fn a_book_that_is_too_old_is_refused_whoever_asks() {
    let exchange = Exchange::start(12);
    let listed = exchange.busy();
    // Nobody sells at 0.01: the job's order finds nothing for as long as the book is believed.
    let order = json!({"market_id": listed.market, "token_id": listed.token, "side": "buy",
        "size": 5, "price": 0.01});
    let config = format!(
        "risk: {{max_book_age_seconds: 4, max_price_distance: 0}}\nscheduler: {{jobs: [{{name: \
         buyer, cron: '* * * * * *', tool: place_trade, arguments: {order}}}]}}\n"
    );
    let mut trader = Trader::streaming(exchange, "stream_silence_seconds: 30", &config);
    assert_eq!(
        trader.call("place_trade", order.clone())["status"],
        "unfilled"
    );
    let stall = once(&trader, json!({"kind": "socket_stall"}));
    let id = trader.exchange.arm(stall);
    wait_for("the fault to strike", || {
        (trader.exchange.fired(id) == 1).then_some(())
    });
    wait_for("the book to be too old", || {
        let shown = trader.call("get_price", json!({"token_id": listed.token}));
        let at = chrono::DateTime::parse_from_rfc3339(shown["at"].as_str().unwrap()).unwrap();
        let age = chrono::Utc::now().signed_duration_since(at);
        (age.num_milliseconds() > 4_000).then_some(())
    });
    let agent = trader.fails("place_trade", order.clone());
    let shell = trader.shell("place_trade", &order);
    assert_eq!(agent.code, "max_book_age", "{agent:?}");
    assert_eq!(shell["code"], "max_book_age", "{shell}");
    assert_eq!(shell["hint"], agent.hint);
    wait_for("the job to be refused", || {
        let log = trader.log();
        let failed = |line: &&str| line.contains("scheduled job failed");
        log.lines()
            .filter(failed)
            .any(|line| line.contains("max_book_age"))
            .then_some(())
    });
    trader.bought_nothing();
}

#[test]
fn a_socket_that_answers_pings_but_tells_nothing_is_not_believed() {
    let mut trader = streaming("", "");
    let token = trader.listed.token.clone();
    let stall = once(&trader, json!({"kind": "socket_stall", "pong": true}));
    let id = trader.exchange.arm(stall);
    wait_for("the fault to strike", || {
        (trader.exchange.fired(id) == 1).then_some(())
    });
    let (old, new) = trader.exchange.step_until_moved(&token);
    assert_ne!(old, new);
    // The socket stands and answers, but what it told last ages: books are asked for.
    trader.until_current();
    assert_eq!(trader.stream("reconnects"), 0);
    let trade = trader.buy("late");
    trader.bought_once(&trade, new);
}

#[test]
fn frames_that_repeat_come_late_or_cannot_be_read_leave_no_wrong_book_behind() {
    let mut trader = streaming("", "");
    let token = trader.listed.token.clone();
    let spoiled = |spoil: &str| json!({"kind": "rows", "spoil": [spoil]});
    let kinds = [
        json!({"kind": "socket_repeat", "times": 5}),
        json!({"kind": "latency", "ms": {"fixed": 300}}),
        json!({"kind": "malformed"}),
        json!({"kind": "truncated", "cut": "honest"}),
        spoiled("price_above_one"),
        spoiled("nan_text"),
        spoiled("negative_size"),
        spoiled("broken_inner_json"),
        spoiled("null_row"),
        spoiled("unknown_row"),
        spoiled("unknown_field"),
    ];
    for kind in kinds {
        let fault = once(&trader, kind.clone());
        let id = trader.exchange.arm(fault);
        trader.exchange.step_until_fired(id);
        // A change that was lost altogether shows when the next one tells the best prices.
        trader.exchange.step_until_moved(&token);
        trader.until_current();
        trader.bought_nothing();
    }
    let ask = trader.deep_ask();
    let trade = trader.buy("after");
    trader.bought_once(&trade, ask);
    let health = trader.health();
    assert_eq!(health["status"], "ok", "{health}");
    assert_eq!(trader.stream("reconnects"), 0);
    let skipped = health["source"]["skipped_rows"].as_object().unwrap();
    let counted = |cause: &str| skipped.get(cause).and_then(Value::as_u64).unwrap_or(0);
    // Malformed and truncated.
    assert!(counted("ws frame: not JSON") >= 2, "{health}");
    assert!(
        counted("ws message of unknown kind `liquidity_aurora`") >= 1,
        "{health}"
    );
}

#[test]
fn a_venue_whose_clock_is_set_back_does_not_freeze_the_books() {
    let mut trader = streaming("", "");
    let token = trader.listed.token.clone();
    for ms in [-3_600_000_i64, 3_600_000] {
        let skew = json!({"fault": {"kind": "clock_skew", "ms": ms}});
        trader.exchange.arm(skew);
        trader.exchange.step_until_moved(&token);
        trader.until_current();
        trader.exchange.clear();
        trader.exchange.step_until_moved(&token);
        trader.until_current();
    }
    let ask = trader.deep_ask();
    let trade = trader.buy("on time");
    trader.bought_once(&trade, ask);
    assert_eq!(trader.stream("reconnects"), 0);
}
