//! A refusing test for each limit and rule, and its passing twin at exactly what is allowed.

use crate::domain::{BookFeed, BookOrigin, MarketStatus, OrderType, Outcome, Shares};
use crate::trading::ledger::Scope;

use super::super::test_support::{
    Account, Levels, NOON, Scene, after, book, charging, market, order, p, quote, says, sh, usd,
};
use super::*;

/// An account, a market and a book, seen at a moment.
struct Desk {
    account: Account,
    market: Market,
    book: Option<Book>,
    mode: Mode,
    source: SourceKind,
    now: Timestamp,
}

impl Desk {
    /// `deposit` pUSD paid in, books fresh at [`NOON`] with bid 0.48 and ask 0.50.
    fn new(deposit: &str) -> Self {
        Desk {
            account: Account::new(deposit),
            market: market("m"),
            book: Some(book("m-yes", NOON, BIDS, ASKS)),
            mode: Mode::Paper,
            source: SourceKind::Polymarket,
            now: NOON,
        }
    }

    fn holding(mut self, size: &str, price: &str) -> Self {
        self.account = self.account.bought(size, price, NOON);
        self
    }

    fn limits(mut self, change: impl FnOnce(&mut RiskConfig)) -> Self {
        change(&mut self.account.config.risk);
        self
    }

    fn gate(&self) -> RiskGate<'_> {
        RiskGate {
            limits: &self.account.config.risk,
            mode: self.mode,
            source: self.source,
            ledger: &self.account.ledger,
            now: self.now,
        }
    }

    /// The largest buy of `m-yes` at 0.50 for the strategy `test`.
    fn largest(&self) -> Usdc {
        let order = buy("0.50", "1");
        let at_stake = self.account.ledger.exposures(&Scope::of(&order));
        self.gate().largest_buy(&self.market, &at_stake, p("0.50"))
    }

    fn judge(&self, order: Order) -> Result<Approved<Order>, Refusal> {
        self.gate()
            .approve(&order, &self.market, self.book.as_ref())
    }

    #[track_caller]
    fn passes(&self, order: Order) {
        let approved = self.judge(order.clone()).unwrap();
        // As it was asked for, on the market's fee terms.
        let order = Order {
            fee: Some(self.market.fee),
            ..order
        };
        assert_eq!(approved.get(), &order);
        assert_eq!(approved.into_inner(), order);
    }

    #[track_caller]
    fn refuses(&self, order: Order, code: &str, message: &str, hint: &str) {
        let refusal = self.judge(order).unwrap_err();
        assert_eq!(refusal.code, code, "{refusal:?}");
        assert_eq!(refusal.message, message);
        assert!(
            refusal.hint.contains(hint),
            "{:?} lacks {hint:?}",
            refusal.hint
        );
    }
}

const BIDS: Levels<'_> = &[("0.48", "1000")];
const ASKS: Levels<'_> = &[("0.50", "1000")];

fn buy(limit: &str, shares: &str) -> Order {
    order(99, Side::Buy, limit, shares, OrderType::Fak)
}

fn sell(limit: &str, shares: &str) -> Order {
    order(99, Side::Sell, limit, shares, OrderType::Fak)
}

fn rest(side: Side, limit: &str, shares: &str) -> Order {
    order(99, side, limit, shares, OrderType::PostOnly)
}

// ---- the operator's limits ----

#[test]
fn max_position_size() {
    let desk = Desk::new("1000");
    desk.passes(buy("0.50", "200"));
    desk.refuses(
        buy("0.50", "200.01"),
        "max_position_size",
        "max_position_size: 100.005 pUSD, allowed is at most 100 pUSD",
        "Lower the size",
    );
}

#[test]
fn max_market_exposure_counts_what_is_held_and_what_waits() {
    let desk = Desk::new("1000").holding("150", "0.50");
    // 150 + 100 × 0.50 = 200
    desk.passes(buy("0.50", "100"));
    desk.refuses(
        buy("0.50", "100.01"),
        "max_market_exposure",
        "max_market_exposure: 200.005 pUSD, allowed is at most 200 pUSD",
        "Lower the size",
    );
}

#[test]
fn max_total_exposure() {
    let desk = Desk::new("1000").holding("750", "0.50").limits(|limits| {
        limits.max_market_exposure = usd("100000");
        limits.max_event_exposure = usd("100000");
    });
    desk.passes(buy("0.50", "100"));
    desk.refuses(
        buy("0.50", "100.01"),
        "max_total_exposure",
        "max_total_exposure: 800.005 pUSD, allowed is at most 800 pUSD",
        "Lower the size",
    );
}

#[test]
fn max_daily_loss_is_reached_at_the_limit_itself() {
    // 400 shares for 200; at a bid of 0.375 they are worth 150: 50 lost.
    let mut desk = Desk::new("1000")
        .holding("200", "0.50")
        .limits(|limits| limits.max_market_exposure = usd("100000"));
    let look = |bid| {
        Scene::new(after(5))
            .yes(&[(bid, "1000")], &[("0.50", "1000")])
            .build()
    };
    // 400 × 0.375001 = 150.0004: 49.9996 lost
    desk.account.look(&look("0.375001"));
    desk.passes(buy("0.50", "10"));
    // With a higher limit nothing halts: the gate itself judges by the limits that it is given.
    desk.account.config.risk.max_daily_loss = usd("51");
    desk.account.look(&look("0.375"));
    desk.account.config.risk.max_daily_loss = usd("50");
    desk.refuses(
        buy("0.50", "10"),
        "max_daily_loss",
        "max_daily_loss: 50 pUSD lost since midnight UTC, allowed is below 50 pUSD",
        "Only sales that reduce a position pass until midnight UTC",
    );
}

#[test]
fn max_open_orders() {
    let mut desk = Desk::new("1000").limits(|limits| limits.max_open_orders = 1);
    desk.passes(rest(Side::Buy, "0.40", "10"));
    let scene = Scene::new(NOON).yes(BIDS, ASKS).build();
    let maker = says(
        "maker",
        vec![quote("maker", "m", Some(("0.40", "10")), None)],
    );
    desk.account.tick(&scene, vec![maker]);
    assert_eq!(desk.account.ledger.resting().len(), 1);
    desk.refuses(
        rest(Side::Buy, "0.40", "10"),
        "max_open_orders",
        "max_open_orders: 2 resting orders, allowed is at most 1",
        "Wait until a resting order fills, or cancel one",
    );
    // One that takes does not rest, so the limit is not about it.
    desk.passes(buy("0.50", "10"));
}

#[test]
fn cash_with_the_worst_fee() {
    let mut desk = Desk::new("61.5");
    desk.market = charging(market("m"), "0.05");
    // 120 × 0.50 = 60, fee 120 × 0.05 × 0.25 = 1.5
    desk.passes(buy("0.50", "120"));
    // 120.01 × 0.50 = 60.005, fee 1.500125 → 1.50012
    desk.refuses(
        buy("0.50", "120.01"),
        "cash",
        "cash: 61.50512 pUSD with fee, allowed is at most 61.5 pUSD",
        "get_portfolio shows the cash",
    );
    // At 0.60 the fee is counted at 0.50, where the formula peaks: 60 + 1.25 = 61.25.
    desk.passes(buy("0.60", "100"));
    // 100.5 × 0.60 = 60.3, fee 1.25625: 61.55625
    desk.refuses(
        buy("0.60", "100.5"),
        "cash",
        "cash: 61.55625 pUSD with fee, allowed is at most 61.5 pUSD",
        "Lower the size",
    );
}

#[test]
fn a_sale_whose_fee_exceeds_its_proceeds_needs_the_cash_for_it() {
    let mut desk = Desk::new("10").holding("10", "0.50");
    desk.market.fee = crate::domain::FeeSchedule::new("0.05", 0).unwrap();
    // 20 × 0.01 = 0.2, fee 20 × 0.05 = 1, and no cash
    desk.refuses(
        sell("0.01", "20"),
        "cash",
        "cash: 0.8 pUSD of fee beyond the proceeds, allowed is at most 0 pUSD",
        "sell something first",
    );
    // at 0.05 the proceeds pay it: 20 × 0.05 = 1
    desk.passes(sell("0.05", "20"));
}

#[test]
fn a_reducing_sale_passes_when_every_loss_and_exposure_limit_is_exceeded() {
    let mut desk = Desk::new("1000").holding("900", "0.50");
    let fallen = Scene::new(after(5))
        .yes(&[("0.10", "10000")], &[("0.50", "1")])
        .build();
    desk.account.look(&fallen);
    // 1800 shares for 900 at a bid of 0.10: 720 lost of at most 50.
    assert_eq!(desk.account.ledger.daily_loss(), usd("720"));
    assert!(desk.account.ledger.halt().is_some());
    let desk = desk.limits(|limits| {
        limits.max_position_size = usd("1");
        limits.max_market_exposure = usd("1");
        limits.max_total_exposure = usd("1");
        limits.max_open_orders = 0;
    });
    assert!(desk.judge(buy("0.50", "2")).is_err());
    desk.passes(sell("0.10", "1800"));
    desk.passes(sell("0.10", "0.5"));
}

// ---- what the venue would refuse ----

#[test]
fn shares_held() {
    let desk = Desk::new("100").holding("20", "0.50");
    desk.passes(sell("0.40", "40"));
    // what is held comes to 40 × 0.40 = 16
    desk.refuses(
        sell("0.40", "40.01"),
        "shares_held",
        "40.01 shares wanted for sale, 40 held and free",
        "Sell at most 16 pUSD of notional at this price (40 shares).",
    );
    let empty = Desk::new("100");
    empty.refuses(
        sell("0.40", "1"),
        "shares_held",
        "1 shares wanted for sale, 0 held and free",
        "To bet against an outcome, buy the other one.",
    );
}

#[test]
fn max_book_age() {
    let mut desk = Desk::new("100");
    desk.now = after(30);
    desk.passes(buy("0.50", "10"));
    desk.now = Timestamp::from_millis(after(30).millis() + 1);
    desk.refuses(
        buy("0.50", "10"),
        "max_book_age",
        "the book is 30.001 s old, allowed is 30 s",
        "Call again for a fresh book",
    );
}

#[test]
fn a_recordings_synthetic_book_may_be_three_days_old_and_only_there() {
    let mut desk = Desk::new("100");
    desk.now = after(3 * 86_400);
    desk.source = SourceKind::Recorded;
    assert_eq!(
        desk.judge(buy("0.50", "10")).unwrap_err().code,
        "max_book_age"
    );
    if let Some(book) = &mut desk.book {
        book.origin = BookOrigin::Synthetic;
    }
    desk.passes(buy("0.50", "10"));
    desk.now = desk.now.plus_millis(1);
    assert_eq!(
        desk.judge(buy("0.50", "10")).unwrap_err().code,
        "max_book_age"
    );
    desk.now = after(31);
    desk.source = SourceKind::Sandbox;
    assert_eq!(
        desk.judge(buy("0.50", "10")).unwrap_err().code,
        "max_book_age"
    );
}

#[test]
fn crossed_book() {
    let mut desk = Desk::new("100");
    desk.book = Some(book("m-yes", NOON, &[("0.49", "1")], ASKS));
    desk.passes(buy("0.50", "10"));
    desk.book = Some(book("m-yes", NOON, &[("0.50", "1")], ASKS));
    desk.refuses(
        buy("0.50", "10"),
        "crossed_book",
        "the book is crossed (a bid at or above an ask), so its prices cannot be trusted",
        "Wait a few seconds",
    );
}

#[test]
fn broken_stream() {
    let mut desk = Desk::new("100");
    let live = BookFeed::Streamed {
        since_snapshot: NOON,
    };
    desk.book = Some(book("m-yes", NOON, BIDS, ASKS).with_feed(live));
    desk.passes(buy("0.50", "10"));
    desk.book = Some(book("m-yes", NOON, BIDS, ASKS).with_feed(BookFeed::Broken));
    desk.refuses(
        buy("0.50", "10"),
        "broken_stream",
        "the stream that kept this book was interrupted, so changes to it may be missing",
        "Call again in a few seconds",
    );
}

#[test]
fn no_book() {
    let mut desk = Desk::new("100");
    desk.book = None;
    desk.refuses(
        buy("0.50", "10"),
        "no_book",
        "there is no order book for token m-yes",
        "get_market_detail",
    );
    desk.book = Some(book("m-yes", NOON, &[], &[]));
    desk.passes(buy("0.50", "10"));
}

#[test]
fn tick_size_names_the_nearest_legal_prices() {
    let mut desk = Desk::new("100").holding("20", "0.50");
    desk.passes(buy("0.52", "10"));
    let message = "price 0.527 is not a multiple of the market's tick 0.01; the nearest legal \
                   prices are 0.52 and 0.53";
    desk.refuses(
        buy("0.527", "10"),
        "tick_size",
        message,
        "Use 0.52 (or 0.53).",
    );
    desk.refuses(
        sell("0.527", "10"),
        "tick_size",
        message,
        "Use 0.53 (or 0.52).",
    );
    desk.market.tick = p("0.0025");
    desk.passes(buy("0.5225", "10"));
    desk.refuses(
        buy("0.524", "10"),
        "tick_size",
        "price 0.524 is not a multiple of the market's tick 0.0025; the nearest legal prices are \
         0.5225 and 0.525",
        "Use 0.5225 (or 0.525).",
    );
}

#[test]
fn price_range() {
    let mut desk = Desk::new("100");
    desk.book = Some(book("m-yes", NOON, &[], &[]));
    desk.passes(buy("0.99", "10"));
    desk.passes(buy("0.01", "100"));
    let hint = "Use a price between 0.01 and 0.99.";
    for price in ["0", "0.005", "0.991", "1"] {
        let message = format!("price {price} is outside the tradable range 0.01 to 0.99");
        desk.refuses(buy(price, "10"), "price_range", &message, hint);
    }
}

#[test]
fn min_notional_is_about_whole_lots_and_its_hint_is_a_size_that_passes() {
    let desk = Desk::new("100");
    desk.passes(buy("0.50", "2"));
    // 3.33 × 0.30 = 0.999, which is what 1 pUSD comes to in lots; 3.34 × 0.30 = 1.002
    desk.refuses(
        buy("0.30", "3.33"),
        "min_notional",
        "a marketable buy of 0.999 pUSD (3.33 shares in whole lots) is below the venue's minimum \
         of 1 pUSD",
        "Use a size of at least 1.002 pUSD (3.34 shares at this price).",
    );
    let hinted = venue_rules::shares_for(Side::Buy, usd("1.002"), p("0.30"), Shares::ZERO);
    assert_eq!(hinted, sh("3.34"));
    desk.passes(buy("0.30", "3.34"));
    // The rule is about buys that take: not about sales, nor about orders that rest.
    let desk = desk.holding("20", "0.50");
    desk.passes(sell("0.30", "0.01"));
}

#[test]
fn min_size_of_a_resting_order() {
    let desk = Desk::new("100");
    desk.passes(rest(Side::Buy, "0.40", "5"));
    desk.refuses(
        rest(Side::Buy, "0.40", "4.99"),
        "min_size",
        "4.99 shares is below the market's minimum of 5 for an order that may rest",
        "Use at least 5 shares (2 pUSD at this price)",
    );
}

#[test]
fn a_size_of_nothing() {
    let desk = Desk::new("100");
    desk.refuses(
        buy("0.50", "0"),
        "size",
        "the size comes to less than 0.01 share",
        "Use a larger size",
    );
}

#[test]
fn market_not_tradable() {
    let mut desk = Desk::new("100");
    desk.passes(buy("0.50", "10"));
    let hint = "search_markets lists open markets";
    for (status, message) in [
        (MarketStatus::Paused, "market m accepts no orders now"),
        (MarketStatus::Closed, "market m is closed"),
    ] {
        desk.market.status = status;
        desk.refuses(buy("0.50", "10"), "market_not_tradable", message, hint);
    }
    desk.market.status = MarketStatus::Open;
    desk.market.outcomes.push(Outcome {
        name: "Maybe".into(),
        ..desk.market.outcomes[0].clone()
    });
    let message = "market m has 3 outcomes, not 2";
    desk.refuses(buy("0.50", "10"), "market_not_tradable", message, hint);
}

#[test]
fn wrong_token() {
    let desk = Desk::new("100");
    let stray = Order {
        token_id: "n-yes".into(),
        ..buy("0.50", "10")
    };
    desk.refuses(
        stray,
        "wrong_token",
        "token n-yes does not belong to market m",
        "get_market_detail lists the market's outcomes",
    );
}

#[test]
fn monitor_and_live_mode_trade_nothing() {
    let mut desk = Desk::new("100").holding("20", "0.50");
    let hint = "`mode: paper`";
    desk.mode = Mode::Monitor;
    let message = "the server runs in monitor mode, in which nothing is traded";
    desk.refuses(buy("0.50", "10"), "monitor_mode", message, hint);
    desk.refuses(sell("0.40", "10"), "monitor_mode", message, hint);
    desk.mode = Mode::Live;
    let message = "live trading is not available in this version";
    desk.refuses(buy("0.50", "10"), "live_mode", message, hint);
    desk.mode = Mode::Paper;
    desk.passes(buy("0.50", "10"));
}

#[test]
fn post_only_crosses() {
    let desk = Desk::new("100").holding("20", "0.50");
    desk.passes(rest(Side::Buy, "0.49", "10"));
    desk.refuses(
        rest(Side::Buy, "0.50", "10"),
        "post_only_crosses",
        "a post-only order at 0.5 would take from the book",
        "or further from the other side",
    );
    desk.passes(rest(Side::Sell, "0.49", "10"));
    desk.refuses(
        rest(Side::Sell, "0.48", "10"),
        "post_only_crosses",
        "a post-only order at 0.48 would take from the book",
        "or further from the other side",
    );
}

// ---- several orders in one breath, previews, room ----

#[test]
fn the_legs_of_a_basket_are_counted_together() {
    let two = |desk: &Desk, shares: &str| {
        let (one, other) = (buy("0.50", shares), buy("0.50", shares));
        let candidate = |order| Candidate {
            order,
            market: &desk.market,
            book: desk.book.as_ref(),
        };
        let verdict = desk
            .gate()
            .approve_all(&[candidate(&one), candidate(&other)]);
        verdict.map(|approved| approved.len()).map_err(|broken| {
            assert_eq!(broken.leg, 1, "the first leg passes");
            broken.refusal.message
        })
    };
    let poor = Desk::new("60");
    assert_eq!(two(&poor, "60"), Ok(2));
    // The first leg claims 30.005 of the 60.
    let message = "cash: 30.005 pUSD with fee, allowed is at most 29.995 pUSD";
    assert_eq!(two(&poor, "60.01"), Err(message.to_owned()));

    let narrow = Desk::new("1000").limits(|limits| limits.max_market_exposure = usd("60"));
    assert_eq!(two(&narrow, "60"), Ok(2));
    let message = "max_market_exposure: 60.01 pUSD, allowed is at most 60 pUSD";
    assert_eq!(two(&narrow, "60.01"), Err(message.to_owned()));

    let small = Desk::new("1000").limits(|limits| limits.max_total_exposure = usd("60"));
    assert_eq!(two(&small, "60"), Ok(2));
    let message = "max_total_exposure: 60.01 pUSD, allowed is at most 60 pUSD";
    assert_eq!(two(&small, "60.01"), Err(message.to_owned()));
}

#[test]
fn a_preview_states_every_limit_and_the_rule_that_is_broken() {
    let desk = Desk::new("20");
    let order = buy("0.505", "400");
    let candidate = Candidate {
        order: &order,
        market: &desk.market,
        book: desk.book.as_ref(),
    };
    let seen: Vec<(String, bool)> = desk
        .gate()
        .assess(&candidate)
        .into_iter()
        .map(|check| (check.limit, check.passed))
        .collect();
    let expected = [
        ("tick_size", false),
        ("max_orders_per_minute", true),
        ("max_price_distance", true),
        ("max_position_size", false),
        ("max_market_exposure", false),
        ("max_event_exposure", true),
        ("max_strategy_exposure", true),
        ("max_total_exposure", true),
        ("max_daily_loss", true),
        ("cash", false),
    ];
    assert_eq!(
        seen,
        expected.map(|(limit, passed)| (limit.to_owned(), passed))
    );
}

#[test]
fn the_largest_buy_is_the_tightest_of_the_limits() {
    let desk = Desk::new("1000").holding("150", "0.50");
    // 200 − 150
    assert_eq!(desk.largest(), usd("50"));
    let strategy = desk.limits(|limits| limits.max_strategy_exposure = usd("180"));
    // What is held was bought by another strategy.
    assert_eq!(strategy.largest(), usd("50"));
    let event = strategy.limits(|limits| limits.max_event_exposure = usd("170"));
    assert_eq!(event.largest(), usd("20"));
    let free = Desk::new("1000");
    assert_eq!(free.largest(), usd("100"));
    let meek = free.limits(|limits| limits.max_strategy_exposure = usd("30"));
    assert_eq!(meek.largest(), usd("30"));
    let mut poor = Desk::new("61.5");
    poor.market = charging(market("m"), "0.05");
    // Of 61.5, 60 buy 120 shares and 1.5 pay their fee; ten micro-units are left for rounding.
    assert_eq!(poor.largest(), usd("59.99999"));
    let full = Desk::new("1000").holding("250", "0.50");
    assert_eq!(full.largest(), Usdc::ZERO);
}
