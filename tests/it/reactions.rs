//! Between two ticks: what waits on a price acts when the live book reaches it. No job ticks here;
//! the exchange's books are told over its market channel.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Exchange, Trader, wait_for};

fn position(trader: &mut Trader) -> Option<Value> {
    let token = trader.listed.token.clone();
    let portfolio = trader.call("get_portfolio", json!({}));
    portfolio["positions"].get(&token).cloned()
}

#[test]
fn a_stop_fires_within_seconds_of_the_book_without_a_tick() {
    let mut trader = Trader::streaming(Exchange::start(12), "", "");
    let token = trader.listed.token.clone();
    trader.buy("guarded");
    let held = position(&mut trader).unwrap()["shares"].as_f64().unwrap();
    // A trailing stop a thousandth below the highest bid: any fall of the bid sets it off.
    let stop = json!({"token_id": token, "market_id": trader.listed.market,
        "order_type": "trailing_stop", "trigger_price": 0.01, "trail_percent": 0.001});
    let made = trader.call("create_conditional_order", stop);
    assert_eq!(made["order"]["size"], held);
    let started = Instant::now();
    wait_for("the stop to fire", || {
        trader.exchange.step(10);
        let gone = position(&mut trader).is_none();
        gone.then_some(())
    });
    assert!(started.elapsed() < Duration::from_secs(60));
    let health = trader.health();
    assert_eq!(health["ticks"].as_u64().unwrap_or(0), 0, "{health}");
    let waiting = trader.call("get_conditional_orders", json!({}));
    assert_eq!(waiting["orders"], json!([]));
    let trades = trader.call("get_portfolio", json!({}));
    let last = &trades["recent_trades"][0];
    assert_eq!(last["side"], "sell", "{last}");
}
