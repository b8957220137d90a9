//! Arbitrage baskets: all legs or none, and what happens when the venue thinks otherwise.

use crate::domain::{
    Basket, EarlierLeg, FeeSchedule, Intent, LedgerEvent, MarketStatus, Price, Rounding, Shares,
    Side, Snapshot, Usdc, notional,
};
use crate::trading::test_support::{
    Account, Levels, NOON, Scene, basket, book, charging, market, p, says, sh, signal, usd,
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

/// A refusal, as the log tells it.
#[derive(Debug)]
struct Refused {
    token: String,
    signal: Option<u64>,
    limit: Price,
    shares: Shares,
    fee: Option<FeeSchedule>,
    earlier: Vec<EarlierLeg>,
    code: String,
    message: String,
}

/// The one refusal of an account.
fn the_refusal(account: &Account) -> Refused {
    let mut found = account.since(0, |event| match event {
        LedgerEvent::OrderRefused {
            token_id,
            signal_id,
            limit: Some(limit),
            shares: Some(shares),
            fee,
            earlier_legs,
            code,
            message,
            ..
        } => Some(Refused {
            token: token_id.to_string(),
            signal: *signal_id,
            limit: *limit,
            shares: *shares,
            fee: *fee,
            earlier: earlier_legs.clone(),
            code: code.clone(),
            message: message.clone(),
        }),
        _ => None,
    });
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// What limits count an order as: `price × shares` rounded up, and the fee at its worst price.
fn claim(limit: Price, shares: Shares, fee: Option<FeeSchedule>) -> (Usdc, Usdc) {
    let cost = notional(limit, shares, Rounding::Up).unwrap();
    let fee = fee.unwrap().fee(limit.min(p("0.5")), shares).unwrap();
    (cost, fee)
}

#[test]
fn a_refusal_is_of_the_leg_that_broke_the_limit_and_is_recomputed_from_the_log() {
    // Two markets of one event, 20 shares each: 20 × 0.45 = 9 and 20 × 0.30 = 6, and the thinner one goes
    // first. 14.99 are allowed, so the first passes with 6 and the second makes 15.
    let of_event = |id: &str| {
        let mut market = market(id);
        market.event_id = Some("e".into());
        market
    };
    let asks = |id: &str, ask: &str| vec![book(&format!("{id}-yes"), NOON, &[], &[(ask, "100")])];
    let scene = Scene::new(NOON)
        .with(of_event("a"), asks("a", "0.45"))
        .with(of_event("b"), asks("b", "0.30"))
        .build();
    let legs = [("a-yes", "0.45", "100"), ("b-yes", "0.30", "60")];
    let mut account = Account::new("100").configured(|c| c.risk.max_event_exposure = usd("14.99"));
    let report = run(&mut account, &scene, vec![basket("arb", &legs, "20")]);
    let refused = the_refusal(&account);
    let why = "max_event_exposure: 15 pUSD, allowed is at most 14.99 pUSD";
    assert_eq!((refused.token.as_str(), refused.signal), ("a-yes", Some(2)));
    assert_eq!(refused.message, why);
    let [first] = refused.earlier.as_slice() else {
        panic!("{refused:?}");
    };
    assert_eq!(
        (first.signal_id, first.token_id.as_str()),
        (Some(1), "b-yes")
    );
    assert_eq!(first.event_id, Some("e".into()));
    // From the event alone: nothing was held before.
    let (own, _) = claim(refused.limit, refused.shares, refused.fee);
    let (before, _) = claim(first.limit, first.shares, first.fee);
    assert_eq!(
        (own, before, own.plus(before)),
        (usd("9"), usd("6"), usd("15"))
    );
    // Both signals end, and the other one names the leg.
    assert_eq!(
        account.verdicts(0),
        [
            (
                1,
                format!("another leg of its basket was refused (yes of market a, signal 2): {why}")
            ),
            (2, why.to_owned()),
        ]
    );
    assert_eq!(report.strategies[0].not_traded["max_event_exposure"], 2);
}

#[test]
fn the_cash_that_a_leg_lacks_is_recomputed_with_the_fees_of_both() {
    // Fees at 5 %: the first leg claims 20 × 0.45 = 9 and 20 × 0.05 × 0.45 × 0.55 = 0.2475, the second
    // 10 and 20 × 0.05 × 0.25 = 0.25. Of 19.49 there are 10.2425 left for its 10.25.
    let books = scene("60", "100");
    let yes_and_no = &books.market(&"m".into()).unwrap().books;
    let dear = charging(market("m"), "0.05");
    let books = yes_and_no
        .iter()
        .flatten()
        .map(|book| book.as_ref().clone())
        .collect();
    let scene = Scene::new(NOON).with(dear, books).build();
    let legs = [("m-yes", "0.45", "60"), ("m-no", "0.50", "100")];
    let mut account = Account::new("19.49");
    run(&mut account, &scene, vec![basket("arb", &legs, "20")]);
    let refused = the_refusal(&account);
    assert_eq!(refused.token, "m-no");
    assert_eq!(
        refused.message,
        "cash: 10.25 pUSD with fee, allowed is at most 10.2425 pUSD"
    );
    let first = &refused.earlier[0];
    let (cost, fee) = claim(first.limit, first.shares, first.fee);
    assert_eq!((cost, fee), (usd("9"), usd("0.2475")));
    let left = usd("19.49").minus(cost).minus(fee);
    let (cost, fee) = claim(refused.limit, refused.shares, refused.fee);
    assert_eq!(left, usd("10.2425"));
    assert_eq!(cost.plus(fee), usd("10.25"));
}

#[test]
fn a_rule_about_one_token_is_not_told_of_another() {
    // 0.455 is no price of m-yes; what is said of it is no word about m-no at 0.50.
    let legs = [("m-yes", "0.455", "100"), ("m-no", "0.50", "200")];
    let mut account = Account::new("100");
    run(
        &mut account,
        &scene("100", "200"),
        vec![basket("arb", &legs, "20")],
    );
    let refused = the_refusal(&account);
    assert_eq!(
        (refused.token.as_str(), refused.limit),
        ("m-yes", p("0.455"))
    );
    assert_eq!(refused.code, "tick_size");
    assert!(refused.earlier.is_empty(), "{refused:?}");
    let other = &account.verdicts(0)[1].1;
    assert!(
        other.starts_with(
            "another leg of its basket was refused (yes of market m, signal 1): price 0.455 is not"
        ),
        "{other}"
    );
    // A market that nobody looked at: known before anything is judged.
    let legs = [("m-yes", "0.45", "50"), ("z-yes", "0.50", "200")];
    let mut account = Account::new("100");
    run(
        &mut account,
        &scene("100", "200"),
        vec![basket("arb", &legs, "20")],
    );
    let refused = the_refusal(&account);
    assert_eq!(
        (refused.token.as_str(), refused.code.as_str(), refused.fee),
        ("z-yes", "market_not_gathered", None)
    );
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
