//! Arbitrage baskets: all legs or none, and what happens when the venue thinks otherwise.

use crate::domain::{Basket, Intent, LedgerEvent, MarketStatus, Shares, Side, Snapshot};
use crate::trading::test_support::{
    Account, Levels, NOON, Scene, basket, book, market, says, sh, signal, usd,
};

/// `m` with books for Yes (0.43 / 0.45) and No (0.48 / 0.50) of these depths on the ask.
fn scene(yes: &str, no: &str) -> Snapshot {
    let yes_book = book("m-yes", NOON, &[("0.43", "1000")], &[("0.45", yes)]);
    let no_book = book("m-no", NOON, &[("0.48", "1000")], &[("0.50", no)]);
    Scene::new(NOON)
        .with(market("m"), vec![yes_book, no_book])
        .build()
}

fn pair(shares: &str) -> Basket {
    basket(
        "arb",
        &[("m-yes", "0.45", "100"), ("m-no", "0.50", "100")],
        shares,
    )
}

fn run(
    account: &mut Account,
    scene: &Snapshot,
    baskets: Vec<Basket>,
) -> crate::trading::report::TickReport {
    let intents = baskets.into_iter().map(Intent::Basket).collect();
    account.tick(scene, vec![says("arb", intents)])
}

fn accepted(account: &Account) -> Vec<(String, Side, String, Option<u64>)> {
    account.since(0, |event| match event {
        LedgerEvent::OrderAccepted { order } => Some((
            order.token_id.to_string(),
            order.side,
            order.shares.to_string(),
            order.basket,
        )),
        _ => None,
    })
}

fn leg(token: &str, side: Side, shares: &str, basket: u64) -> (String, Side, String, Option<u64>) {
    (token.to_owned(), side, shares.to_owned(), Some(basket))
}

#[test]
fn all_legs_are_bought_in_equal_shares() {
    let mut account = Account::new("100");
    let report = run(&mut account, &scene("100", "100"), vec![pair("20")]);
    // 20 × 0.45 + 20 × 0.50 = 19
    assert_eq!(account.ledger.cash(), usd("81"));
    assert_eq!(
        (account.held("m-yes"), account.held("m-no")),
        (sh("20"), sh("20"))
    );
    assert_eq!(
        accepted(&account),
        [
            leg("m-yes", Side::Buy, "20", 1),
            leg("m-no", Side::Buy, "20", 1)
        ]
    );
    assert_eq!(
        account.verdicts(0),
        [(1, "executed".into()), (2, "executed".into())]
    );
    assert!(report.notes.is_empty());
    // Whatever happens it pays 20.
    for yes_pays in ["1", "0"] {
        let mut account = Account::new("100");
        run(&mut account, &scene("100", "100"), vec![pair("20")]);
        account.look(&Scene::new(NOON).resolved("m", yes_pays).build());
        assert_eq!(account.ledger.cash(), usd("101"));
    }
}

#[test]
fn a_fraction_of_a_lot_is_left_out_of_every_leg() {
    let mut account = Account::new("100");
    run(&mut account, &scene("100", "100"), vec![pair("20.019")]);
    assert_eq!(
        (account.held("m-yes"), account.held("m-no")),
        (sh("20.01"), sh("20.01"))
    );
}

#[test]
fn when_the_first_leg_does_not_fill_nothing_is_bought() {
    let mut account = Account::new("100");
    let report = run(&mut account, &scene("19.99", "100"), vec![pair("20")]);
    assert_eq!(
        (account.ledger.cash(), account.held("m-no")),
        (usd("100"), Shares::ZERO)
    );
    assert_eq!(report.strategies[0].not_traded["leg unfilled"], 2);
    let why = &account.verdicts(0)[0].1;
    assert!(
        why.contains("the book does not hold 20 shares at 0.45 or better"),
        "{why}"
    );
}

#[test]
fn when_a_later_leg_does_not_fill_the_earlier_ones_are_sold_again() {
    let mut account = Account::new("100");
    // Two baskets on the same books: the first leaves 10 of the 30 No shares.
    let report = run(
        &mut account,
        &scene("100", "30"),
        vec![pair("20"), pair("20")],
    );
    assert_eq!(
        accepted(&account),
        [
            leg("m-yes", Side::Buy, "20", 1),
            leg("m-no", Side::Buy, "20", 1),
            leg("m-yes", Side::Buy, "20", 2),
            leg("m-no", Side::Buy, "20", 2),
            leg("m-yes", Side::Sell, "20", 2),
        ]
    );
    let runs: Vec<(u64, bool, f64, f64)> = report
        .baskets
        .iter()
        .map(|run| (run.basket, run.filled, run.lost, run.left))
        .collect();
    // 20 × (0.45 − 0.43)
    assert_eq!(runs, [(1, true, 0.0, 0.0), (2, false, 0.4, 0.0)]);
    // 100 − 19 − 9 + 20 × 0.43 = 80.6
    assert_eq!(account.ledger.cash(), usd("80.6"));
    assert_eq!(account.ledger.realized(), usd("-0.4"));
    assert_eq!(
        (account.held("m-yes"), account.held("m-no")),
        (sh("20"), sh("20"))
    );
    assert_eq!(
        report.notes,
        [
            "basket unwound: 20 shares of yes sold for 8.6 pUSD (bought for at most 9)",
            "basket 2 of arb: the leg no did not fill; the attempt took 0.4 pUSD of cash, fees \
             included",
        ]
    );
    let verdicts = account.verdicts(0);
    let executed: Vec<u64> = verdicts
        .iter()
        .filter(|(_, v)| v == "executed")
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(
        executed,
        [1, 2, 3],
        "the third leg was traded, though it was unwound"
    );
    assert!(
        verdicts[3].1.contains("the others were unwound"),
        "{verdicts:?}"
    );
}

#[test]
fn depth_that_a_signal_took_just_before_makes_a_leg_fail_too() {
    let mut account = Account::new("100");
    let take_no = Intent::Directional(signal("one", "No", Side::Buy, "0.50", "45"));
    // 90 of the 100 No shares go to the signal.
    let strategies = vec![
        says("one", vec![take_no]),
        says("arb", vec![Intent::Basket(pair("20"))]),
    ];
    account.tick(&scene("100", "100"), strategies);
    assert_eq!(
        (account.held("m-yes"), account.held("m-no")),
        (sh("0"), sh("90"))
    );
    // 100 − 45 − 9 + 8.6
    assert_eq!(account.ledger.cash(), usd("54.6"));
}

#[test]
fn a_leg_that_nobody_bids_for_stays_and_is_reported() {
    let mut account = Account::new("100");
    let yes = book("m-yes", NOON, &[], &[("0.45", "100")]);
    let no = book("m-no", NOON, &[], &[("0.50", "10")]);
    let scene = Scene::new(NOON).with(market("m"), vec![yes, no]).build();
    let report = run(&mut account, &scene, vec![pair("20")]);
    assert_eq!(
        (account.held("m-yes"), account.ledger.cash()),
        (sh("20"), usd("91"))
    );
    assert_eq!(
        report.notes[0],
        "basket leg yes of market m stays: nobody bids for it"
    );
    assert_eq!(
        (report.baskets[0].lost, report.baskets[0].left),
        (0.0, 20.0)
    );
    // Named in every tick until it is gone.
    let named = |notes: &[String]| {
        notes
            .iter()
            .filter(|n| n.contains("stay of basket 1"))
            .count()
    };
    assert_eq!(named(&report.notes), 1);
    let later = account.look(
        &Scene::new(NOON.plus_millis(1))
            .yes(&[("0.40", "12")], &[])
            .build(),
    );
    assert_eq!(named(&later.notes), 1);
    let sale = crate::trading::test_support::wanted(Side::Sell, "4.8", "0.40");
    let bids: Levels<'_> = &[("0.40", "50")];
    account
        .order(
            &sale,
            &Scene::new(NOON.plus_millis(2)).yes(bids, &[]).build(),
        )
        .unwrap();
    let later = account.look(&Scene::new(NOON.plus_millis(3)).yes(bids, &[]).build());
    assert!(
        later.notes[0].starts_with("8 shares of token m-yes stay"),
        "{:?}",
        later.notes
    );
    account.look(&Scene::new(NOON.plus_millis(4)).resolved("m", "1").build());
    let later = account.look(&Scene::new(NOON.plus_millis(5)).build());
    assert!(later.notes.is_empty());
}

#[test]
fn a_leg_that_may_not_be_bought_keeps_all_of_them_from_it() {
    let books = |id: &str| vec![book(&format!("{id}-yes"), NOON, &[], &[("0.45", "100")])];
    let mut closed = market("b");
    closed.status = MarketStatus::Closed;
    let scene = Scene::new(NOON)
        .with(market("a"), books("a"))
        .with(closed, books("b"))
        .build();
    let legs = [("a-yes", "0.45", "100"), ("b-yes", "0.45", "100")];
    let mut account = Account::new("100");
    let report = run(&mut account, &scene, vec![basket("arb", &legs, "20")]);
    assert!(accepted(&account).is_empty());
    assert_eq!(report.strategies[0].not_traded["market_not_tradable"], 2);

    // Together they cost 19, which is more than there is.
    let mut poor = Account::new("18.99");
    let report = run(&mut poor, &self::scene("100", "100"), vec![pair("20")]);
    assert_eq!(report.strategies[0].not_traded["cash"], 2);
    assert!(accepted(&poor).is_empty());
}

#[test]
fn one_leg_no_edge_or_too_little_confidence_is_no_arbitrage() {
    let odd = [
        (
            basket("arb", &[("m-yes", "0.45", "100")], "20"),
            "too few legs",
            1,
        ),
        (
            Basket {
                edge: 0.0,
                ..pair("20")
            },
            "no edge",
            2,
        ),
        (
            Basket {
                edge: -0.01,
                ..pair("20")
            },
            "no edge",
            2,
        ),
        (
            Basket {
                confidence: 0.49,
                ..pair("20")
            },
            "confidence too low",
            2,
        ),
        (pair("0.009"), "size", 2),
    ];
    for (basket, cause, rows) in odd {
        let mut account = Account::new("100");
        let report = run(&mut account, &scene("100", "100"), vec![basket]);
        assert!(accepted(&account).is_empty(), "{cause}");
        assert_eq!(
            report.strategies[0].not_traded.get(cause),
            Some(&rows),
            "{cause}"
        );
    }
}

#[test]
fn the_legs_get_no_automatic_exits() {
    let mut account = Account::new("100").configured(|c| c.conditional.enabled = true);
    run(&mut account, &scene("100", "100"), vec![pair("20")]);
    assert!(
        account.ledger.conditionals().is_empty(),
        "a stop would break the set"
    );
    let levels: Levels<'_> = &[("0.10", "100")];
    assert!(
        account
            .look(&Scene::new(NOON).yes(levels, &[]).build())
            .triggered
            .is_empty()
    );
}
