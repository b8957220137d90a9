//! The account by hand: what each kind of event does, and what is refused.

use crate::domain::{
    ConditionalKind, Estimate, Fill, OrderType, Rounding, Side, Signal, UsedLevel, notional,
};

use super::super::test_support::{NOON, after, audit, order, p, sh, signal, usd};
use super::*;

/// A ledger with the events that made it.
#[derive(Default)]
struct Log {
    ledger: Ledger,
    events: Vec<StampedEvent>,
}

impl Log {
    fn with(deposit: &str) -> Self {
        let mut log = Log::default();
        let amount = usd(deposit);
        log.add(LedgerEvent::Deposited { amount });
        log
    }

    fn stamped(&self, at: Timestamp, event: LedgerEvent) -> StampedEvent {
        StampedEvent {
            seq: self.ledger.seq() + 1,
            at,
            event,
        }
    }

    fn at(&mut self, at: Timestamp, event: LedgerEvent) {
        let stamped = self.stamped(at, event);
        self.ledger.apply(&stamped).unwrap();
        self.events.push(stamped);
        audit_loose(&self.ledger, &self.events);
    }

    fn add(&mut self, event: LedgerEvent) {
        self.at(NOON, event);
    }

    /// Tries an event that must be refused, and checks that nothing changed.
    fn refused(&mut self, event: LedgerEvent) -> LedgerError {
        let before = self.ledger.clone();
        let stamped = self.stamped(NOON, event);
        let error = self.ledger.apply(&stamped).unwrap_err();
        assert_eq!(self.ledger, before, "a refused event changed the ledger");
        error
    }

    fn accept(&mut self, order: Order) {
        self.add(LedgerEvent::OrderAccepted { order });
    }

    /// Accepts a FAK that reaches any price, fills it and closes it.
    fn trade(&mut self, side: Side, price: &str, shares: &str, fee: &str) {
        let id = self.ledger.next_order_id();
        let limit = if side == Side::Buy { "0.99" } else { "0.01" };
        self.accept(order(id, side, limit, shares, OrderType::Fak));
        let fill = fill(id, side, price, shares, fee);
        self.add(LedgerEvent::Filled { fill });
        self.add(closed(id, OrderOutcome::Filled));
    }

    fn position(&self) -> (String, String) {
        let position = &self.ledger.positions()[&TokenId::new("m-yes")];
        (position.shares.to_string(), position.cost.to_string())
    }

    /// Cash, realised P&L, fees.
    fn totals(&self) -> (String, String, String) {
        let ledger = &self.ledger;
        (
            ledger.cash().to_string(),
            ledger.realized().to_string(),
            ledger.fees().to_string(),
        )
    }
}

/// [`audit`], except that an order in flight may be about to use cash it has a claim on.
fn audit_loose(ledger: &Ledger, events: &[StampedEvent]) {
    if ledger.in_flight.is_empty() {
        audit(ledger, events);
    } else {
        ledger.check_balance().unwrap();
    }
}

fn fill(order_id: u64, side: Side, price: &str, shares: &str, fee: &str) -> Fill {
    Fill {
        order_id,
        strategy: "test".into(),
        market_id: "m".into(),
        token_id: "m-yes".into(),
        outcome: "Yes".into(),
        side,
        price: p(price),
        shares: sh(shares),
        notional: notional(p(price), sh(shares), Rounding::Down).unwrap(),
        fee: usd(fee),
        maker: false,
        print: false,
        reason: "test".to_owned(),
    }
}

fn closed(order_id: u64, outcome: OrderOutcome) -> LedgerEvent {
    LedgerEvent::OrderClosed {
        order_id,
        outcome,
        unfilled: Shares::ZERO,
        reason: String::new(),
    }
}

fn settled(payout: &str, shares: &str, proceeds: &str) -> LedgerEvent {
    LedgerEvent::Settled {
        market_id: "m".into(),
        token_id: "m-yes".into(),
        payout: p(payout),
        shares: sh(shares),
        proceeds: usd(proceeds),
        evidence: "test".to_owned(),
    }
}

fn conditional(id: u64) -> ConditionalOrder {
    ConditionalOrder {
        id,
        token_id: "m-yes".into(),
        market_id: "m".into(),
        kind: ConditionalKind::StopLoss,
        trigger_price: p("0.40"),
        shares: sh("10"),
        high_watermark: None,
        trail_percent: None,
        parent_strategy: "test".into(),
        group: None,
        doubted_since: None,
        sales: None,
        reason: String::new(),
        created_at: NOON,
    }
}

fn is_seen(log: &Log, cash: &str, realized: &str, fees: &str) {
    assert_eq!(log.totals(), (cash.into(), realized.into(), fees.into()));
}

#[test]
fn a_life_of_a_position_by_hand() {
    let mut log = Log::with("100");
    is_seen(&log, "100", "0", "0");

    // 30 × 0.40 = 12, fee 0.36: cash 100 − 12.36
    log.trade(Side::Buy, "0.40", "30", "0.36");
    is_seen(&log, "87.64", "0", "0.36");
    assert_eq!(log.position(), ("30".into(), "12".into()));

    // 20 × 0.50 = 10, fee 0.25: 50 shares cost 22
    log.trade(Side::Buy, "0.50", "20", "0.25");
    is_seen(&log, "77.39", "0", "0.61");
    assert_eq!(log.position(), ("50".into(), "22".into()));

    // 7 × 0.60 = 4.2, fee 0.084. Cost of 7 of 50: 22 × 7 / 50 = 3.08; profit 1.12.
    log.trade(Side::Sell, "0.60", "7", "0.084");
    is_seen(&log, "81.506", "1.12", "0.694");
    assert_eq!(log.position(), ("43".into(), "18.92".into()));

    // The rest pays 1: 43 − 18.92 = 24.08 more.
    log.add(settled("1", "43", "43"));
    is_seen(&log, "124.506", "25.2", "0.694");
    assert!(log.ledger.positions().is_empty());
    // deposits 100 + realised 25.2 − fees 0.694
    assert_eq!(log.ledger.equity().total, usd("124.506"));
    let totals = &log.ledger.strategies()[&StrategyName::new("test")];
    assert_eq!(totals.fills, 3);
    assert_eq!(totals.volume, usd("26.2"));
    assert_eq!(totals.fees, usd("0.694"));
    assert_eq!(totals.realized, usd("25.2"));
}

#[test]
fn a_partial_sale_takes_out_the_floor_of_its_cost_and_the_last_one_the_rest() {
    let mut log = Log::with("10");
    // 3 × 0.333333 = 0.999999
    log.trade(Side::Buy, "0.333333", "3", "0");
    log.trade(Side::Sell, "0.5", "1.1", "0");
    // 0.999999 × 1.1 / 3 = 0.3666663 → 0.366666; 0.55 − 0.366666 = 0.183334
    assert_eq!(log.position(), ("1.9".into(), "0.633333".into()));
    is_seen(&log, "9.550001", "0.183334", "0");
    log.trade(Side::Sell, "0.5", "0.7", "0");
    // 0.633333 × 0.7 / 1.9 = 0.23333321… → 0.233333; 0.35 − 0.233333 = 0.116667
    assert_eq!(log.position(), ("1.2".into(), "0.4".into()));
    is_seen(&log, "9.900001", "0.300001", "0");
    log.trade(Side::Sell, "0.1", "1.2", "0");
    // all that is left of the cost goes: 0.12 − 0.4 = −0.28
    is_seen(&log, "10.020001", "0.020001", "0");
    assert!(log.ledger.positions().is_empty());
}

#[test]
fn a_loss_and_a_half_payout_are_booked() {
    let mut log = Log::with("100");
    log.trade(Side::Buy, "0.80", "10.01", "0");
    // 10.01 × 0.5 = 5.005; cost 8.008; −3.003
    log.add(settled("0.5", "10.01", "5.005"));
    is_seen(&log, "96.997", "-3.003", "0");
    log.trade(Side::Buy, "0.80", "10", "0");
    log.add(settled("0", "10", "0"));
    is_seen(&log, "88.997", "-11.003", "0");
}

#[test]
fn events_out_of_order_are_refused() {
    let mut log = Log::with("100");
    let amount = usd("1");
    for (seq, last) in [(1, 1), (0, 1), (3, 1), (u64::MAX, 1)] {
        let before = log.ledger.clone();
        let event = LedgerEvent::Deposited { amount };
        let stamped = StampedEvent {
            seq,
            at: NOON,
            event,
        };
        let error = log.ledger.apply(&stamped).unwrap_err();
        assert_eq!(error, LedgerError::OutOfOrder { last, got: seq });
        assert_eq!(log.ledger, before);
    }
    let error = LedgerError::OutOfOrder { last: 1, got: 3 };
    assert_eq!(
        error.to_string(),
        "event 3 follows event 1; the log has a gap or a repetition"
    );
    log.add(LedgerEvent::Deposited { amount });
    assert_eq!(log.ledger.seq(), 2);
}

#[test]
fn cash_never_goes_below_zero() {
    let mut log = Log::with("10");
    log.accept(order(1, Side::Buy, "0.50", "20", OrderType::Fak));
    // 20 × 0.50 = 10, and one micro-unit of fee more than there is
    let error = log.refused(LedgerEvent::Filled {
        fill: fill(1, Side::Buy, "0.50", "20", "0.000001"),
    });
    let (needed, cash) = (usd("10.000001"), usd("10"));
    assert_eq!(error, LedgerError::NotEnoughCash { needed, cash });
    log.add(LedgerEvent::Filled {
        fill: fill(1, Side::Buy, "0.50", "20", "0"),
    });
    log.add(closed(1, OrderOutcome::Filled));
    is_seen(&log, "0", "0", "0");

    // A sale whose fee exceeds what it brings in, with no cash to pay it from.
    log.accept(order(2, Side::Sell, "0.01", "1", OrderType::Fak));
    let sale = fill(2, Side::Sell, "0.01", "1", "0.010001");
    let error = log.refused(LedgerEvent::Filled { fill: sale });
    assert!(
        matches!(error, LedgerError::NotEnoughCash { .. }),
        "{error}"
    );

    let amount = usd("-0.000001");
    let error = log.refused(LedgerEvent::Deposited { amount });
    assert_eq!(
        error,
        LedgerError::Money(MoneyError::Negative("-0.000001".into()))
    );
}

#[test]
fn shares_never_go_below_zero() {
    let mut log = Log::with("10");
    log.trade(Side::Buy, "0.50", "10", "0");
    log.accept(order(2, Side::Sell, "0.01", "10.000001", OrderType::Fak));
    let error = log.refused(LedgerEvent::Filled {
        fill: fill(2, Side::Sell, "0.50", "10.000001", "0"),
    });
    let (token, needed, held) = (TokenId::new("m-yes"), sh("10.000001"), sh("10"));
    assert_eq!(
        error,
        LedgerError::NotEnoughShares {
            token,
            needed,
            held
        }
    );
    let error = log.refused(settled("1", "10.01", "10.01"));
    assert!(
        matches!(error, LedgerError::NotEnoughShares { .. }),
        "{error}"
    );
}

#[test]
fn what_contradicts_its_order_or_payout_is_refused() {
    let mut log = Log::with("100");
    log.accept(order(1, Side::Buy, "0.50", "10", OrderType::Fak));
    let good = fill(1, Side::Buy, "0.50", "10", "0");
    let bad = [
        Fill {
            price: p("0.51"),
            ..good.clone()
        },
        Fill {
            side: Side::Sell,
            ..good.clone()
        },
        Fill {
            token_id: "m-no".into(),
            ..good.clone()
        },
        Fill {
            shares: sh("10.01"),
            ..good.clone()
        },
        Fill {
            fee: usd("-1"),
            ..good.clone()
        },
        Fill {
            notional: usd("-1"),
            ..good.clone()
        },
        Fill {
            order_id: 2,
            ..good.clone()
        },
    ];
    for fill in bad {
        log.refused(LedgerEvent::Filled { fill });
    }
    let remaining = sh("9");
    log.refused(LedgerEvent::OrderRested {
        order_id: 1,
        remaining,
        queue_ahead: Shares::ZERO,
        prints_to: None,
    });
    log.add(LedgerEvent::Filled { fill: good.clone() });
    log.refused(LedgerEvent::Filled { fill: good });
    log.add(closed(1, OrderOutcome::Filled));
    log.refused(closed(1, OrderOutcome::Filled));
    log.refused(settled("1", "10", "10.000001"));
    log.refused(LedgerEvent::OrderAccepted {
        order: order(1, Side::Buy, "0.50", "10", OrderType::Fak),
    });
    let unknown = log.refused(LedgerEvent::ConditionalCancelled {
        id: 7,
        reason: String::new(),
    });
    assert_eq!(
        unknown.to_string(),
        "no active conditional order with number 7"
    );
}

#[test]
fn amounts_that_do_not_fit_are_refused_whole() {
    let mut log = Log::default();
    let amount = Usdc::from_micros(i64::MAX);
    log.add(LedgerEvent::Deposited { amount });
    let amount = Usdc::from_micros(1);
    let error = log.refused(LedgerEvent::Deposited { amount });
    assert_eq!(error, LedgerError::Money(MoneyError::Overflow));
}

#[test]
fn a_client_order_keeps_its_fills_and_its_end_and_its_id_is_used_once() {
    let mut log = Log::with("100");
    let placed = Order {
        client_order_id: Some("a-1".to_owned()),
        ..order(1, Side::Buy, "0.50", "30", OrderType::Fak)
    };
    log.accept(placed.clone());
    let first = fill(1, Side::Buy, "0.48", "10", "0");
    let second = fill(1, Side::Buy, "0.49", "15", "0");
    log.add(LedgerEvent::Filled {
        fill: first.clone(),
    });
    let kept = log.ledger.client_order("a-1").unwrap();
    assert_eq!((kept.fills.len(), kept.outcome), (1, None));
    log.add(LedgerEvent::Filled {
        fill: second.clone(),
    });
    log.add(closed(1, OrderOutcome::PartiallyFilled));
    assert_eq!(
        log.ledger.client_order("a-1"),
        Some(&ClientOrder {
            order: placed.clone(),
            fills: vec![first, second],
            outcome: Some(OrderOutcome::PartiallyFilled),
        })
    );
    assert_eq!(log.ledger.client_order("a-2"), None);
    let error = log.refused(LedgerEvent::OrderAccepted {
        order: Order { id: 2, ..placed },
    });
    assert_eq!(error.to_string(), "client order a-1 was there before");
}

#[test]
fn what_fills_use_up_is_added_by_level_and_forgotten_after_a_week() {
    let mut log = Log::with("100");
    let mut buy = |at: Timestamp, price: &str, shares: &str| {
        let id = log.ledger.next_order_id();
        log.at(
            at,
            LedgerEvent::OrderAccepted {
                order: order(id, Side::Buy, "0.99", shares, OrderType::Fak),
            },
        );
        let fill = fill(id, Side::Buy, price, shares, "0");
        log.at(at, LedgerEvent::Filled { fill });
        log.at(at, closed(id, OrderOutcome::Filled));
        log.ledger.clone()
    };
    buy(after(0), "0.50", "1");
    buy(after(10), "0.51", "2");
    let ledger = buy(after(20), "0.51", "3");
    let token = TokenId::new("m-yes");
    let used = |ledger: &Ledger| -> Vec<(String, String, Timestamp)> {
        let used = ledger.used(&token).iter();
        used.map(|used| (used.price.to_string(), used.shares.to_string(), used.at))
            .collect()
    };
    let row = |price: &str, shares: &str, at| (price.to_owned(), shares.to_owned(), at);
    assert_eq!(
        used(&ledger),
        [row("0.5", "1", after(0)), row("0.51", "5", after(20))]
    );
    let week = 7 * 86_400;
    let ledger = buy(after(week + 10), "0.52", "4");
    assert_eq!(
        used(&ledger),
        [
            row("0.51", "5", after(20)),
            row("0.52", "4", after(week + 10))
        ],
        "the first is older than a week"
    );
    // Two of the five are gone; none is left of the others.
    let levels = [("0.51", "3"), ("0.52", "0")].map(|(price, shares)| UsedLevel {
        side: Side::Buy,
        price: p(price),
        shares: sh(shares),
    });
    log.at(
        after(week + 11),
        LedgerEvent::DepthUsed {
            token_id: token.clone(),
            levels: levels.to_vec(),
        },
    );
    assert_eq!(used(&log.ledger), [row("0.51", "3", after(20))]);
}

#[test]
fn a_resting_buy_claims_cash_and_a_resting_sale_claims_shares() {
    let mut log = Log::with("100");
    log.trade(Side::Buy, "0.50", "40", "0");
    log.accept(order(2, Side::Buy, "0.40", "50", OrderType::PostOnly));
    // 80 in cash, 50 × 0.40 = 20 of it promised
    assert_eq!(log.ledger.available_cash(), usd("60"));
    assert_eq!(
        log.ledger.total_exposure(),
        usd("40"),
        "20 held + 20 waiting"
    );
    let remaining = sh("50");
    log.add(LedgerEvent::OrderRested {
        order_id: 2,
        remaining,
        queue_ahead: Shares::ZERO,
        prints_to: None,
    });
    assert_eq!(log.ledger.available_cash(), usd("60"));
    log.add(LedgerEvent::Filled {
        fill: Fill {
            maker: true,
            ..fill(2, Side::Buy, "0.40", "20", "0")
        },
    });
    assert_eq!(log.ledger.cash(), usd("72"));
    // 30 × 0.40 = 12 still promised
    assert_eq!(log.ledger.available_cash(), usd("60"));
    assert_eq!(log.ledger.market_exposure(&"m".into()), usd("40"));
    assert_eq!(log.ledger.market_exposure(&"other".into()), Usdc::ZERO);

    log.accept(order(3, Side::Sell, "0.60", "25", OrderType::PostOnly));
    let remaining = sh("25");
    log.add(LedgerEvent::OrderRested {
        order_id: 3,
        remaining,
        queue_ahead: Shares::ZERO,
        prints_to: None,
    });
    let token = TokenId::new("m-yes");
    assert_eq!(
        (log.ledger.held(&token), log.ledger.sellable(&token)),
        (sh("60"), sh("35"))
    );
    log.add(closed(3, OrderOutcome::Cancelled));
    assert_eq!(log.ledger.sellable(&token), sh("60"));
    log.add(closed(2, OrderOutcome::Cancelled));
    assert_eq!(log.ledger.available_cash(), usd("72"));
    assert!(log.ledger.resting().is_empty());
}

#[test]
fn equity_counts_marks_and_says_when_one_is_missing() {
    let mut log = Log::with("100");
    log.trade(Side::Buy, "0.50", "40", "1");
    let at_cost = Equity {
        total: usd("99"),
        complete: false,
    };
    assert_eq!(log.ledger.equity(), at_cost);
    log.add(LedgerEvent::Marked {
        marks: vec![("m-yes".into(), p("0.45")), ("elsewhere".into(), p("0.9"))],
    });
    // 79 + 40 × 0.45
    let marked = Equity {
        total: usd("97"),
        complete: true,
    };
    assert_eq!(log.ledger.equity(), marked);
    // A mark moves no money.
    is_seen(&log, "79", "0", "1");
}

#[test]
fn signals_are_counted_once_each_for_who_gave_them() {
    let mut log = Log::with("100");
    let given = |strategy: &str| -> Signal { signal(strategy, "Yes", Side::Buy, "0.5", "10") };
    for (signal_id, name) in [(1, "one"), (2, "one"), (3, "two")] {
        let signal = given(name);
        log.add(LedgerEvent::SignalGenerated { signal_id, signal });
    }
    assert_eq!(log.ledger.open_signal(3), Some(&StrategyName::new("two")));
    log.add(LedgerEvent::SignalExecuted { signal_id: 1 });
    log.add(LedgerEvent::SignalExecuted { signal_id: 1 });
    log.add(LedgerEvent::SignalRejected {
        signal_id: 2,
        reason: String::new(),
    });
    log.add(LedgerEvent::SignalExecuted { signal_id: 2 });
    let one = &log.ledger.strategies()[&StrategyName::new("one")];
    assert_eq!((one.signals_generated, one.signals_executed), (2, 1));
    assert_eq!(log.ledger.next_signal_id(), 4);
    log.refused(LedgerEvent::SignalGenerated {
        signal_id: 3,
        signal: given("two"),
    });
}

#[test]
fn conditional_orders_are_made_moved_reduced_and_ended() {
    let mut log = Log::with("100");
    log.add(LedgerEvent::ConditionalCreated {
        conditional: conditional(1),
    });
    log.add(LedgerEvent::ConditionalCreated {
        conditional: conditional(2),
    });
    log.refused(LedgerEvent::ConditionalCreated {
        conditional: conditional(2),
    });
    log.add(LedgerEvent::WatermarkRaised {
        id: 1,
        watermark: p("0.7"),
    });
    log.add(LedgerEvent::ConditionalReduced {
        id: 1,
        shares: sh("4"),
        sale: None,
    });
    let first = &log.ledger.conditionals()[&1];
    assert_eq!(
        (first.high_watermark, first.shares),
        (Some(p("0.7")), sh("4"))
    );
    log.add(LedgerEvent::ConditionalTriggered {
        id: 1,
        bid: p("0.4"),
        sold: sh("4"),
        proceeds: None,
        trigger: None,
    });
    log.add(LedgerEvent::ConditionalCancelled {
        id: 2,
        reason: String::new(),
    });
    assert!(log.ledger.conditionals().is_empty());
    assert_eq!(
        log.ledger.next_conditional_id(),
        3,
        "numbers are never used again"
    );
}

#[test]
fn an_estimate_replaces_its_authors_earlier_one_only() {
    let mut log = Log::with("100");
    let estimate = |author: &str, probability| Estimate {
        market_id: "m".into(),
        token_id: "m-yes".into(),
        outcome: "Yes".into(),
        probability,
        confidence: None,
        author: author.to_owned(),
        rationale: String::new(),
        ask_then: None,
        bid_then: None,
        created_at: NOON,
        expires_at: after(60),
    };
    for (author, probability) in [("a", 0.3), ("b", 0.5), ("a", 0.4)] {
        let estimate = estimate(author, probability);
        log.add(LedgerEvent::EstimateStored { estimate });
    }
    let kept: Vec<f64> = log.ledger.estimates()[&MarketId::new("m")]
        .iter()
        .map(|estimate| estimate.probability)
        .collect();
    assert_eq!(kept, [0.5, 0.4]);
}

#[test]
fn only_the_ten_newest_trades_are_kept_newest_first() {
    let mut log = Log::with("100");
    for shares in 1..=12 {
        log.trade(Side::Buy, "0.1", &shares.to_string(), "0");
    }
    let kept: Vec<Shares> = log
        .ledger
        .recent_trades()
        .map(|trade| trade.fill.shares)
        .collect();
    let expected: Vec<Shares> = (3..=12).rev().map(Shares::whole).collect();
    assert_eq!(kept, expected);
}

#[test]
fn the_recorder_never_goes_back_in_time() {
    let mut ledger = Ledger::default();
    let amount = usd("1");
    let mut later = Recorder::new(&mut ledger, after(60));
    later.record(LedgerEvent::Deposited { amount }).unwrap();
    let mut earlier = Recorder::new(&mut ledger, NOON);
    assert_eq!(earlier.at(), after(60));
    earlier.record(LedgerEvent::Deposited { amount }).unwrap();
    assert_eq!(earlier.events()[0].seq, 2);
    assert_eq!(ledger.last_at(), after(60));
}

#[test]
fn client_orders_that_are_over_are_kept_for_a_while_and_open_ones_always() {
    let mut ledger = Ledger::default();
    let mut record = |event: LedgerEvent| {
        let seq = ledger.seq() + 1;
        let at = NOON;
        ledger.apply(&StampedEvent { seq, at, event }).unwrap();
        ledger.clone()
    };
    let kept = u64::try_from(CLIENT_ORDERS_KEPT).unwrap();
    let placed = |id: u64| Order {
        client_order_id: Some(format!("c{id}")),
        ..order(id, Side::Sell, "0.5", "5", OrderType::Gtc)
    };
    record(LedgerEvent::Deposited { amount: usd("1") });
    // Order 1 stays open; so many more are over, and one.
    for id in 1..=kept + 2 {
        record(LedgerEvent::OrderAccepted { order: placed(id) });
        if id > 1 {
            record(LedgerEvent::OrderClosed {
                order_id: id,
                outcome: OrderOutcome::Unfilled,
                unfilled: sh("5"),
                reason: "test".to_owned(),
            });
        }
    }
    let now = record(LedgerEvent::Deposited { amount: usd("1") });
    let known = |ledger: &Ledger, id: u64| ledger.client_order(&format!("c{id}")).is_some();
    assert!(known(&now, 1), "open");
    assert!(!known(&now, 2), "the oldest that is over");
    assert!((3..=kept + 2).all(|id| known(&now, id)));
    let bytes = now.to_checkpoint().unwrap();
    assert_eq!(Ledger::from_checkpoint(now.seq(), &bytes).unwrap(), now);
    // Once it is over, it is the oldest.
    let now = record(LedgerEvent::OrderClosed {
        order_id: 1,
        outcome: OrderOutcome::Cancelled,
        unfilled: sh("5"),
        reason: "test".to_owned(),
    });
    assert!(!known(&now, 1) && known(&now, 3));
}
