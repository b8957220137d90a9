//! What happens after a match: confirmed, failed, settled, redeemed.

use super::*;

#[test]
fn what_was_bought_can_be_sold_once_the_trade_is_confirmed() {
    let mut table = Table::new();
    let agent = table.account("100");
    table.gtc(CROWD, Yes, Sell, "0.50", "10");
    table.gtc(agent, Yes, Buy, "0.50", "10");
    assert_eq!(
        table.place(agent, Yes, Sell, "0.6", "10", Tif::Gtc),
        Err(Refusal::ShareBalance {
            needed: shares("10"),
            available: Shares::ZERO
        })
    );
    table.confirm_all();
    table.gtc(agent, Yes, Sell, "0.6", "10");
    // Committed shares cannot be sold again.
    assert!(table.place(agent, Yes, Sell, "0.6", "5", Tif::Gtc).is_err());
    // 100 − 5 − 0.125; then 6 come in, and are free only later.
    table.place(CROWD, Yes, Buy, "0.6", "10", Tif::Fok).unwrap();
    assert_eq!(table.cash(agent), "100.875");
    assert_eq!(table.free(agent), "94.875");
    table.confirm_all();
    assert_eq!(table.free(agent), "100.875");
    assert!(table.exchange.positions(agent).is_empty());
}

#[test]
fn a_failed_trade_is_undone_to_the_last_unit() {
    let mut table = Table::new();
    let (alice, bob) = (table.account("100"), table.account("100"));
    let rest = table.gtc(alice, No, Buy, "0.40", "50");
    let taken = table.place(bob, Yes, Buy, "0.60", "20", Tif::Fok).unwrap();
    let trade = table.exchange.fills()[0].trade.unwrap();
    let states = [
        (TradeStatus::Retrying, true),
        (TradeStatus::Matched, false),
        (TradeStatus::Failed, true),
        (TradeStatus::Confirmed, false),
    ];
    for (status, allowed) in states {
        let moved = table.exchange.set_trade_status(trade, status, seconds(5));
        assert_eq!(moved.is_ok(), allowed, "{status:?}");
    }
    assert_eq!(table.cash(bob), "100");
    assert_eq!(table.cash(alice), "100");
    assert!(table.exchange.positions(bob).is_empty());
    assert!(table.exchange.positions(alice).is_empty());
    // Alice's other 30 go on resting: 12 and a fee of 30 × 0.24 × 0.05 = 0.36.
    assert_eq!(table.free(alice), "87.64");
    assert_eq!(
        table.exchange.order(rest).unwrap().status,
        OrderStatus::Live
    );
    assert_eq!(table.exchange.order(rest).unwrap().matched, Shares::ZERO);
    assert_eq!(
        table.exchange.order(taken.order).unwrap().status,
        OrderStatus::Canceled(CancelCause::MatchFailed)
    );
    let totals = table.exchange.totals();
    assert_eq!((totals.fees, totals.collateral, totals.crowd), (0, 0, 0));
    assert!(table.exchange.pending_trades().is_empty());
}

#[test]
fn an_even_split_pays_half() {
    let mut table = Table::new();
    let agent = table.account("100");
    table.gtc(CROWD, Yes, Sell, "0.30", "10");
    table.gtc(agent, Yes, Buy, "0.30", "10");
    table.gtc(agent, Yes, Buy, "0.20", "50");
    let market = table.market;
    table.confirm_all();
    assert_eq!(table.exchange.redeem(agent, market), Usdc::ZERO);
    assert_eq!(
        table.exchange.settle(market, [500_000, 400_000], NOON),
        Err(SettleError::Payouts(500_000, 400_000))
    );
    table
        .exchange
        .settle(market, [500_000, 500_000], NOON)
        .unwrap();
    assert_eq!(
        table.exchange.settle(market, [1_000_000, 0], NOON),
        Err(SettleError::AlreadySettled)
    );
    // 100 − 3 − 10 × 0.21 × 0.05 = 96.895, all of it free: the resting order was cancelled.
    assert_eq!(table.free(agent), "96.895");
    assert_eq!(table.exchange.redeem(agent, market), usd("5"));
    assert_eq!(table.exchange.redeem(agent, market), Usdc::ZERO);
    assert_eq!(table.cash(agent), "101.895");
    // The crowd minted for 10, sold for 3 and got 5 for its half.
    let totals = table.exchange.totals();
    assert_eq!((totals.crowd, totals.collateral), (-2_000_000, 0));
    assert!(totals.is_balanced());
    assert_eq!(
        table.place(agent, Yes, Buy, "0.5", "10", Tif::Gtc),
        Err(Refusal::NotAccepting)
    );
}

#[test]
fn a_trade_that_fails_after_the_settlement_still_balances() {
    let mut table = Table::new();
    let agent = table.account("100");
    let market = table.market;
    table.gtc(CROWD, Yes, Sell, "0.30", "10");
    table.gtc(agent, Yes, Buy, "0.30", "10");
    let trade = table.exchange.fills()[0].trade.unwrap();
    table.exchange.settle(market, [1_000_000, 0], NOON).unwrap();
    // Not confirmed: nothing to redeem yet.
    assert_eq!(table.exchange.redeem(agent, market), Usdc::ZERO);
    table
        .exchange
        .set_trade_status(trade, TradeStatus::Failed, NOON)
        .unwrap();
    assert_eq!(table.cash(agent), "100");
    let totals = table.exchange.totals();
    assert_eq!((totals.crowd, totals.collateral, totals.fees), (0, 0, 0));
}
