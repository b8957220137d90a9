//! What must hold of each event of a random life, worked out anew beside the desk.

use super::*;

impl Life {
    pub(super) fn begin_basket(&mut self, order: &Order) {
        if order.side == Side::Buy
            && let Some(basket) = order.basket
            && self
                .judged
                .as_ref()
                .is_none_or(|(known, _)| *known != basket)
        {
            self.judged = Some((basket, self.follower.clone()));
        }
    }

    /// Every limit, worked out anew from the account event by event and from the books.
    pub(super) fn is_allowed(&self, order: &Order, at: Timestamp, limits: &RiskConfig) {
        let ledger = &self.follower;
        assert!(
            !self.over.contains_key(order.market_id.as_str()),
            "traded after the end"
        );
        assert!(order.limit.is_multiple_of(cent(1)));
        let seen = &self.books[&order.token_id];
        assert!(at.since(seen.at) <= 600_000, "max_book_age: {order:?}");
        if order.side == Side::Sell {
            assert!(
                order.shares <= ledger.sellable(&order.token_id),
                "{order:?}"
            );
            return;
        }
        let cost = notional(order.limit, order.shares, Rounding::Up).unwrap();
        assert!(cost <= limits.max_position_size, "{order:?}");
        // What is at stake: positions at cost and what waits to buy.
        let held = ledger.positions().values();
        let held = held.map(|p| (&p.market_id, &p.event_id, &p.entry_strategy, p.cost));
        let waiting = ledger.open_orders().filter(|(o, _)| o.side == Side::Buy);
        let waiting = waiting.map(|(o, left)| {
            let cost = notional(o.limit, left, Rounding::Up).unwrap();
            (&o.market_id, &o.event_id, &o.strategy, cost)
        });
        let (mut market, mut event, mut strategy, mut total) = (cost, cost, cost, cost);
        for (of_market, of_event, of_strategy, cost) in held.chain(waiting) {
            total = total.plus(cost);
            if *of_market == order.market_id {
                market = market.plus(cost);
            }
            if *of_event == order.event_id {
                event = event.plus(cost);
            }
            if *of_strategy == order.strategy {
                strategy = strategy.plus(cost);
            }
        }
        assert!(market <= limits.max_market_exposure, "market: {order:?}");
        assert!(event <= limits.max_event_exposure, "event: {order:?}");
        assert!(
            strategy <= limits.max_strategy_exposure,
            "strategy: {order:?}"
        );
        assert!(total <= limits.max_total_exposure, "total: {order:?}");
        assert!(cost <= ledger.available_cash(), "{order:?}");
        let recent = self.accepted.iter().filter(|t| at.since(**t) < 60_000);
        let rate = recent.count() + 1;
        assert!(rate <= limits.max_orders_per_minute as usize, "rate {rate}");
        // Legs are judged together, before the first of them takes anything or pays its fee.
        let before = match (&self.judged, order.basket) {
            (Some((_, before)), Some(_)) => before,
            _ => ledger,
        };
        assert!(before.halt().is_none(), "halted: {order:?}");
        assert!(
            before.daily_loss() < limits.max_daily_loss,
            "loss: {order:?}"
        );
        if let Some(peak) = before.peak().filter(|peak| *peak > Usdc::ZERO) {
            let equity = i128::from(before.equity().total.micros()) * 1_000_000;
            let left = 1_000_000 - i128::from(limits.max_drawdown_pct.micros());
            let floor = i128::from(peak.micros()) * left;
            assert!(equity > floor, "drawdown: {order:?}");
        }
        let market = odd_market(order.market_id.as_str());
        let opposite = market
            .opposite_of(&order.token_id)
            .map(|other| &other.token);
        let book = remaining_book(seen, opposite, before);
        let (bid, ask) = (book.best_bid(), book.best_ask());
        if let Some(one) = bid.or(ask) {
            // Twice the mid, or the only side there is.
            let twice = bid.unwrap_or(one).micros() + ask.unwrap_or(one).micros();
            let reach = 2 * limits.max_price_distance.micros();
            let limit = 2 * order.limit.micros();
            assert!(limit <= twice + reach, "distance: {order:?}");
            assert!(
                !order.order_type.rests() || limit + reach >= twice,
                "distance: {order:?}"
            );
        }
        let spread = ask.unwrap_or(Price::ONE).minus(bid.unwrap_or(Price::ZERO));
        assert!(spread <= limits.max_spread, "spread: {order:?}");
        let near = |levels: &[Level]| -> i64 {
            let best = levels.first().map_or(0, |level| level.price.micros());
            levels
                .iter()
                .filter(|level| level.price.micros().abs_diff(best) <= 50_000)
                .map(|l| i64::from(l.price.micros()) * l.size.micros() / 1_000_000)
                .sum()
        };
        let depth = near(book.bids()) + near(book.asks());
        assert!(depth >= limits.min_liquidity.micros(), "depth: {order:?}");
    }

    /// A trade gives no more than its volume: to an order that waited, by a taker of the other side
    /// or beyond the order's price. The newest that fits is taken to be the one.
    pub(super) fn is_in_a_print(&mut self, fill: &Fill) {
        assert!(fill.maker && fill.fee == Usdc::ZERO, "{fill:?}");
        let resting = &self.follower.resting()[&fill.order_id];
        let fits = |print: &Print| {
            let beyond = print.price != fill.price && fill.side.accepts(fill.price, print.price);
            let at_or_beyond = fill.side.accepts(fill.price, print.price);
            print.token == fill.token_id
                && print.at > resting.placed_at
                && resting.order.expires_at.is_none_or(|end| print.at < end)
                && match print.taker {
                    None => beyond,
                    Some(taker) => taker != fill.side && at_or_beyond,
                }
        };
        let mut left = fill.shares;
        for (print, printed) in self.prints.iter().zip(&mut self.printed).rev() {
            if fits(print) {
                let here = left.min(print.shares.minus(*printed));
                *printed = printed.plus(here);
                left = left.minus(here);
            }
        }
        assert!(left.is_zero(), "more than was traded: {fill:?}");
    }

    /// What a book gave, this fill included, must fit into it: each level for those who took it,
    /// and all that passed the worst resting price for takers and makers together.
    /// A fill finds its shares in the book, and each share of a level is found once for as long as the
    /// level stands: whatever else of the book changes.
    pub(super) fn is_in_the_book(&mut self, fill: &Fill) {
        let book = self.books[&fill.token_id].clone();
        let passed = |price: Price| price != fill.price && fill.side.accepts(fill.price, price);
        let mut missing = fill.shares;
        for level in book.against(fill.side) {
            let mine = if fill.maker {
                passed(level.price)
            } else {
                level.price == fill.price
            };
            if !mine {
                continue;
            }
            let here = missing.min(self.left(&book, fill.side, level));
            missing = missing.minus(here);
            let given = self
                .given
                .entry((fill.token_id.clone(), fill.side, level.price));
            let given = given.or_default();
            *given = given.plus(here);
        }
        assert!(
            missing.is_zero(),
            "{missing} more than the book held: {fill:?}"
        );
    }

    /// What nobody was given yet of a level: of the same order as the other outcome's book shows it
    /// neither.
    pub(super) fn left(&self, book: &Book, side: Side, level: &Level) -> Shares {
        let given = |token: &TokenId, side: Side, price: Price| {
            self.given
                .get(&(token.clone(), side, price))
                .copied()
                .unwrap_or(Shares::ZERO)
        };
        let other = TokenId::new(match book.token.as_str().split_once('-').unwrap() {
            (market, "yes") => format!("{market}-no"),
            (market, _) => format!("{market}-yes"),
        });
        let flipped = side.opposite();
        level
            .size
            .minus(given(&book.token, side, level.price))
            .minus(given(&other, flipped, level.price.complement()))
    }

    /// Of a level that shows less than was given of it, the rest is somebody else's.
    pub(super) fn see(&mut self, book: &Book) {
        for ((token, side, price), given) in &mut self.given {
            if *token == book.token {
                let level = book
                    .against(*side)
                    .iter()
                    .find(|level| level.price == *price);
                *given = (*given).min(level.map_or(Shares::ZERO, |level| level.size));
            }
        }
    }
}
