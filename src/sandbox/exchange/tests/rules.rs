//! What is refused, killed, expired and cancelled.

use super::*;

#[test]
fn a_post_only_order_that_would_take_is_refused() {
    let mut table = Table::new();
    table.gtc(CROWD, Yes, Sell, "0.50", "10");
    let order = |table: &Table, at: &str| NewOrder {
        post_only: true,
        ..table.order(CROWD, Yes, Buy, at, "10", Tif::Gtc)
    };
    let crossing = order(&table, "0.50");
    assert_eq!(
        table.exchange.place(crossing),
        Err(Refusal::PostOnlyCrosses)
    );
    assert_eq!(table.depth(Yes), (vec![], vec![level("0.5", "10")]));
    let behind = order(&table, "0.49");
    assert!(table.exchange.place(behind).is_ok());
    let fok = NewOrder {
        tif: Tif::Fok,
        ..crossing
    };
    assert_eq!(table.exchange.place(fok), Err(Refusal::PostOnlyType));
}

#[test]
fn a_fok_order_short_by_one_lot_takes_nothing() {
    let mut table = Table::new();
    let agent = table.account("100");
    table.gtc(CROWD, Yes, Sell, "0.50", "10");
    table.gtc(CROWD, Yes, Sell, "0.51", "10");
    assert_eq!(
        table.place(agent, Yes, Buy, "0.51", "20.01", Tif::Fok),
        Err(Refusal::FokUnfilled)
    );
    assert_eq!(table.cash(agent), "100");
    assert_eq!(table.free(agent), "100");
    assert!(table.exchange.orders(agent).is_empty());
    let placed = table
        .place(agent, Yes, Buy, "0.51", "20", Tif::Fok)
        .unwrap();
    // 5 + 5.1
    assert_eq!(placed.notional, usd("10.1"));
    assert_eq!(
        table.place(agent, Yes, Buy, "0.51", "5", Tif::Fak),
        Err(Refusal::FakNoMatch)
    );
}

#[test]
fn a_fak_order_takes_what_is_there() {
    let mut table = Table::new();
    let agent = table.account("100");
    table.gtc(CROWD, Yes, Sell, "0.50", "10");
    let placed = table
        .place(agent, Yes, Buy, "0.60", "25", Tif::Fak)
        .unwrap();
    assert_eq!(placed.status, PlacedStatus::PartlyKilled);
    assert_eq!(placed.filled, shares("10"));
    assert_eq!(table.depth(Yes), (vec![], vec![]));
    let record = table.exchange.order(placed.order).unwrap();
    assert_eq!(record.status, OrderStatus::Canceled(CancelCause::Killed));
    assert_eq!(record.matched, shares("10"));
    // 100 − 5 − 10 × 0.25 × 0.05
    assert_eq!(table.free(agent), "94.875");
}

#[test]
fn a_budget_buys_whole_hundredths_and_pays_the_fee_on_top() {
    let mut table = Table::new();
    let agent = table.account("100");
    table.gtc(CROWD, Yes, Sell, "0.82", "100");
    let placed = table.budget(agent, "0.82", "1", Tif::Fok).unwrap();
    // 1 / 0.82 = 1.2195: 1.21 shares for 0.9922; fee 1.21 × 0.1476 × 0.05 = 0.0089298 → 0.00892.
    assert_eq!(placed.filled, shares("1.21"));
    assert_eq!(placed.notional, usd("0.9922"));
    assert_eq!(placed.fee, usd("0.00892"));
    assert_eq!(placed.status, PlacedStatus::Matched);
    // 98.79 shares are left, worth 81.0078.
    assert_eq!(
        table.budget(agent, "0.82", "81.02", Tif::Fok),
        Err(Refusal::FokUnfilled)
    );
    let placed = table.budget(agent, "0.82", "81.01", Tif::Fok).unwrap();
    assert_eq!(placed.notional, usd("81.0078"));
    assert_eq!(
        table.budget(agent, "0.82", "0.99", Tif::Fak),
        Err(Refusal::MinNotional(usd("0.99")))
    );
    let selling = NewOrder {
        quantity: Quantity::Budget(usd("5")),
        ..table.order(agent, Yes, Sell, "0.1", "1", Tif::Fak)
    };
    assert_eq!(table.exchange.place(selling), Err(Refusal::BudgetType));
}

#[test]
fn orders_off_the_rules_are_refused_in_the_venues_words() {
    let mut table = Table::new();
    let agent = table.account("10");
    let mut refusal = |account, side, at: &str, size: &str, tif| {
        table
            .place(account, Yes, side, at, size, tif)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refusal(agent, Buy, "0.505", "10", Tif::Gtc),
        "Price (0.505) breaks minimum tick size rule: 0.01"
    );
    assert_eq!(
        refusal(agent, Buy, "0", "10", Tif::Gtc),
        "invalid price (0), min: 0.01 - max: 0.99"
    );
    assert_eq!(
        refusal(agent, Buy, "1", "10", Tif::Gtc),
        "invalid price (1), min: 0.01 - max: 0.99"
    );
    assert_eq!(
        refusal(agent, Buy, "0.5", "4.99", Tif::Gtc),
        "Size (4.99) lower than the minimum: 5"
    );
    assert_eq!(
        refusal(agent, Buy, "0.5", "5.001", Tif::Gtc),
        "invalid size (5.001)"
    );
    // 19.51 × 0.5 = 9.755 and the fee of 19.51 × 0.0125 = 0.24387 make 9.99887; one more
    // hundredth of a share is 10.00399.
    assert_eq!(
        table.place(agent, Yes, Buy, "0.5", "19.52", Tif::Gtc),
        Err(Refusal::Balance {
            needed: usd("10.004"),
            available: usd("10")
        })
    );
    table.gtc(agent, Yes, Buy, "0.5", "19.51");
    let mut refusal = |account, side, at: &str, size: &str, tif| {
        table
            .place(account, Yes, side, at, size, tif)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refusal(agent, Buy, "0.01", "5", Tif::Gtc),
        "not enough balance / allowance"
    );
    assert_eq!(
        refusal(agent, Sell, "0.6", "5", Tif::Gtc),
        "not enough balance / allowance"
    );
    let soon = Tif::Gtd(seconds(179));
    assert!(refusal(CROWD, Buy, "0.01", "5", soon).contains("expiration"));
    table.gtc(CROWD, No, Buy, "0.90", "50");
    assert_eq!(
        table
            .place(CROWD, Yes, Buy, "0.10", "9", Tif::Gtc)
            .unwrap_err()
            .to_string(),
        "invalid amount for a marketable BUY order ($0.9), min size: $1"
    );
}

#[test]
fn an_allowance_that_is_missing_refuses_like_a_missing_balance() {
    let mut table = Table::new();
    let agent = table.account("10");
    table
        .exchange
        .give_shares(agent, table.market, Yes, shares("10"))
        .unwrap();
    let none = Allowance {
        collateral: false,
        conditional: false,
    };
    table.exchange.set_allowance(agent, none).unwrap();
    for side in [Buy, Sell] {
        let refused = table.place(agent, Yes, side, "0.5", "5", Tif::Gtc);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "not enough balance / allowance"
        );
    }
    table
        .exchange
        .set_allowance(agent, Allowance::default())
        .unwrap();
    table.gtc(agent, Yes, Sell, "0.5", "10");
}

#[test]
fn gtd_orders_go_a_minute_early() {
    let mut table = Table::new();
    let agent = table.account("100");
    let due = Tif::Gtd(seconds(300));
    let placed = table.place(agent, Yes, Buy, "0.50", "10", due).unwrap();
    table.exchange.expire(table.market, seconds(239));
    assert_eq!(table.exchange.open_orders(agent).len(), 1);
    // A seller who comes at 240 s finds nobody, without anyone having called `expire`.
    let late = NewOrder {
        at: seconds(240),
        ..table.order(CROWD, Yes, Sell, "0.50", "10", Tif::Fak)
    };
    assert_eq!(table.exchange.place(late), Err(Refusal::FakNoMatch));
    let record = table.exchange.order(placed.order).unwrap();
    assert_eq!(record.status, OrderStatus::Canceled(CancelCause::Expired));
    assert_eq!(record.updated_at, seconds(240));
    assert_eq!(table.free(agent), "100");
}

#[test]
fn cancelling_says_why_it_cannot() {
    let mut table = Table::new();
    let agent = table.account("100");
    let filled = table.gtc(agent, Yes, Buy, "0.50", "10");
    table
        .place(CROWD, Yes, Sell, "0.50", "10", Tif::Fok)
        .unwrap();
    let open = table.gtc(agent, Yes, Buy, "0.40", "10");
    assert_eq!(
        table.exchange.cancel(filled, NOON),
        Err(NotCanceled::Matched)
    );
    assert_eq!(table.exchange.cancel(open, NOON), Ok(()));
    assert_eq!(
        table.exchange.cancel(open, NOON),
        Err(NotCanceled::Canceled(CancelCause::Requested))
    );
    assert_eq!(
        table.exchange.cancel(OrderNo(99), NOON),
        Err(NotCanceled::Unknown)
    );
    assert!(!table.exchange.has_agent_orders(table.market));

    let crowd = table.gtc(CROWD, No, Buy, "0.40", "10");
    let one = table.gtc(agent, Yes, Buy, "0.10", "10");
    let two = table.gtc(agent, No, Buy, "0.10", "10");
    assert!(table.exchange.has_agent_orders(table.market));
    let all = |table: &mut Table, who, outcome| {
        table
            .exchange
            .cancel_all(who, Some(table.market), outcome, NOON)
    };
    assert_eq!(all(&mut table, agent, Some(No)), [two]);
    assert_eq!(all(&mut table, agent, None), [one]);
    assert_eq!(all(&mut table, CROWD, None), [crowd]);
    assert_eq!(table.depth(Yes), (vec![], vec![]));
}

#[test]
fn a_coarser_tick_cancels_what_is_off_the_grid() {
    let mut table = Table::new();
    let agent = table.account("100");
    let market = table.market;
    table.exchange.set_tick(market, price("0.001"), NOON);
    let off = table.gtc(agent, No, Buy, "0.345", "10");
    let on = table.gtc(agent, Yes, Buy, "0.34", "10");
    table.exchange.set_tick(market, price("0.01"), NOON);
    assert_eq!(
        table.exchange.order(off).unwrap().status,
        OrderStatus::Canceled(CancelCause::TickChanged)
    );
    assert_eq!(table.exchange.order(on).unwrap().status, OrderStatus::Live);
    assert_eq!(table.exchange.cancel(on, NOON), Ok(()));
    table.exchange.close(market, NOON);
    assert_eq!(
        table.place(agent, Yes, Buy, "0.3", "10", Tif::Gtc),
        Err(Refusal::NotAccepting)
    );
}
