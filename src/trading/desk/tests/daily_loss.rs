//! The loss since midnight UTC: realised plus marked, fees included, deposits apart.

use crate::domain::{Intent, Side, Snapshot, Timestamp};
use crate::trading::test_support::{
    Account, Levels, NOON, Scene, after, book, charging, market, says, signal, usd, wanted,
};

/// Market `m` at a fee rate of 5 %.
fn scene(at: Timestamp, bids: Levels<'_>, asks: Levels<'_>) -> Snapshot {
    let fresh = book("m-yes", at, bids, asks);
    Scene::new(at)
        .with(charging(market("m"), "0.05"), vec![fresh])
        .build()
}

#[test]
fn a_day_by_hand() {
    let mut account = Account::new("1000");
    assert_eq!(account.ledger.daily_loss(), usd("0"));
    let midday = scene(NOON, &[("0.48", "1000")], &[("0.50", "1000")]);
    account
        .order(&wanted(Side::Buy, "100", "0.50"), &midday)
        .unwrap();
    // 200 shares for 100, fee 200 × 0.05 × 0.25 = 2.5; worth 96 at the bid.
    assert_eq!(account.ledger.daily_loss(), usd("6.5"));

    account.deposit("500", after(60));
    assert_eq!(
        account.ledger.daily_loss(),
        usd("6.5"),
        "money paid in is not a gain"
    );

    let later = scene(after(120), &[("0.48", "1000")], &[("0.50", "1000")]);
    account
        .order(&wanted(Side::Sell, "48", "0.48"), &later)
        .unwrap();
    // 100 shares for 48, fee 100 × 0.05 × 0.48 × 0.52 = 1.248; nothing else changed.
    assert_eq!(account.ledger.daily_loss(), usd("7.748"));

    // 23:59:59: 100 shares fall from 0.48 to 0.40.
    account.look(&scene(after(43_199), &[("0.40", "1000")], &[]));
    assert_eq!(account.ledger.daily_loss(), usd("15.748"));

    // 00:00:01: they fall to 0.35. The day starts from the 0.40 seen before midnight.
    account.look(&scene(after(43_201), &[("0.35", "1000")], &[]));
    assert_eq!(account.ledger.daily_loss(), usd("5"));

    account.look(&scene(after(43_300), &[("0.50", "1000")], &[]));
    assert_eq!(
        account.ledger.daily_loss(),
        usd("-10"),
        "a gain is a loss below zero"
    );
}

#[test]
fn the_limit_stops_purchases_until_midnight_and_never_sales() {
    let mut account = Account::new("1000");
    let at_noon = scene(NOON, &[("0.48", "1000")], &[("0.50", "1000")]);
    account
        .order(&wanted(Side::Buy, "100", "0.50"), &at_noon)
        .unwrap();
    // 200 shares at 0.20: 100 + 2.5 − 40 = 62.5 lost of at most 50
    let fallen = |at| scene(at, &[("0.20", "1000")], &[("0.22", "1000")]);
    let refusal = account
        .order(&wanted(Side::Buy, "10", "0.22"), &fallen(after(60)))
        .unwrap_err();
    assert_eq!(refusal.code, "halted");
    assert!(
        refusal
            .message
            .contains("62.5 pUSD lost since midnight UTC"),
        "{refusal}"
    );

    let buy = || {
        says(
            "one",
            vec![Intent::Directional(signal(
                "one",
                "Yes",
                Side::Buy,
                "0.22",
                "10",
            ))],
        )
    };
    let report = account.tick(&fallen(after(120)), vec![buy()]);
    assert_eq!(report.strategies[0].not_traded["halted"], 1);
    account
        .order(&wanted(Side::Sell, "20", "0.20"), &fallen(after(180)))
        .unwrap();

    // The next UTC day begins at 43,200 s after noon, not a day after the loss.
    let report = account.tick(&fallen(after(43_199)), vec![buy()]);
    assert!(report.orders.is_empty());
    let report = account.tick(&fallen(after(43_200)), vec![buy()]);
    assert_eq!(report.orders.len(), 1);
}

#[test]
fn spending_is_no_loss_and_a_winning_sale_no_shelter() {
    let mut account = Account::new("1000");
    let tight = |at, bid, ask| {
        Scene::new(at)
            .yes(&[(bid, "10000")], &[(ask, "10000")])
            .build()
    };
    account
        .order(
            &wanted(Side::Buy, "100", "0.50"),
            &tight(NOON, "0.499", "0.50"),
        )
        .unwrap();
    // 200 shares marked 0.001 lower
    assert_eq!(account.ledger.daily_loss(), usd("0.2"));
    account
        .order(
            &wanted(Side::Sell, "60", "0.60"),
            &tight(after(1), "0.60", "0.61"),
        )
        .unwrap();
    // 100 sold at 0.60 and 100 marked at 0.60: 20 won
    assert_eq!(account.ledger.daily_loss(), usd("-20"));
    account.look(&tight(after(2), "0.10", "0.61"));
    // the 100 left are worth 50 less
    assert_eq!(account.ledger.daily_loss(), usd("30"));
}

#[test]
fn money_paid_in_on_a_new_day_before_its_first_tick_is_no_gain() {
    let mut account = Account::new("100").bought("50", "0.50", NOON);
    account.look(&Scene::new(after(1)).yes(&[("0.50", "1")], &[]).build());
    account.deposit("1000", after(43_200));
    account.look(&Scene::new(after(43_201)).yes(&[("0.40", "1")], &[]).build());
    // 100 shares from 0.50 to 0.40
    assert_eq!(account.ledger.daily_loss(), usd("10"));
}
