//! Looks at markets in which nothing is at stake, ahead of the account.

use super::quoting::{Sides, Standing};
use super::{MarketMaker, is_high_enough, is_low_enough};
use crate::domain::{Intent, Market, MarketView, Timestamp, Usdc};
use crate::strategy::scout::{Finding, Scout};
use crate::strategy::sight::{Sight, TopBook};
use crate::strategy::{StrategyContext, pricing};

impl MarketMaker {
    /// What the cheaper of its bids costs at least, where it bids for both outcomes wherever between bid and ask the
    /// fair price lies: the moving average need not be known.
    fn least_cost(&self, now: Timestamp, sight: &Sight<'_, TopBook<'_>>) -> Option<Usdc> {
        let market = sight.market;
        pricing::tradable_pair(market).ok()?;
        self.check_market(market, now).ok()?;
        let [first, second] = sight.books;
        let (first, second) = (
            pricing::sane(first, now).ok()?,
            pricing::sane(second, now).ok()?,
        );
        let best = pricing::two_sided(first).ok()?;
        let (lowest, highest) = (best.bid.to_f64(), best.ask.to_f64());
        if !pricing::reaches(self.params.max_spread, best.spread)
            || !is_high_enough(lowest)
            || !is_low_enough(highest)
        {
            return None;
        }
        let shares = self.sure.shares;
        if shares.is_zero() || shares < market.min_size {
            return None;
        }
        let deviation = sight.past?.known_deviation_since(self.recent(now))?;
        let half_spread = self.half_spread(self.params.volatility_multiplier * deviation);
        let least = |fair, book| {
            self.least_cost_from(fair, market.tick, half_spread, pricing::best_ask(book))
        };
        Some(least(lowest, first)?.min(least(1.0 - highest, second)?))
    }
}

impl Scout for MarketMaker {
    fn stands_alone(&self, _: &Market) -> bool {
        true
    }

    fn least_cost_of_both(
        &self,
        context: &StrategyContext<'_>,
        sight: &Sight<'_, TopBook<'_>>,
    ) -> Option<Usdc> {
        self.least_cost(context.snapshot.at, sight)
    }

    fn find(&self, context: &StrategyContext<'_>, sight: &Sight<'_, TopBook<'_>>) -> Finding<'_> {
        let terms = match self.terms(context, &Standing::default(), sight) {
            Ok(terms) => terms,
            Err(cause) => return Finding::Nothing(cause),
        };
        let bid = |sides: Result<Sides, &'static str>| match sides {
            Ok(Sides {
                bid: Some(bid),
                ask: None,
            }) => Some(Ok(bid)),
            Ok(_) => None,
            Err(cause) => Some(Err(cause)),
        };
        let [first, second] = terms.sides;
        match (bid(first), bid(second)) {
            (Some(first), Some(second)) => Finding::Bids([first, second]),
            _ => Finding::Other,
        }
    }

    fn purchase_size(&self) -> Option<Usdc> {
        None
    }

    fn look_at(&self, context: &StrategyContext<'_>, view: &MarketView) -> Vec<Intent> {
        let quotes = self.look(context, &Standing::of(context), view);
        let quotes = quotes.into_iter().flatten().flatten();
        quotes.map(Intent::Quote).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::MarketMakerParams;
    use super::*;
    use crate::domain::{Level, Price, QuoteSide, Rounding, Shares, notional};
    use crate::strategy::scout::NoStake;
    use crate::strategy::sight::{Past, Squares, Starts};
    use crate::strategy::test_support::{market, now, world};

    /// Numbers from 0 to below a bound (a linear congruential generator with the constants of D. E. Knuth, MMIX).
    struct Draw(u64);

    impl Draw {
        fn below(&mut self, bound: u32) -> u32 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap()
        }

        /// Of these one.
        fn of<T: Copy>(&mut self, all: &[T]) -> T {
            all[self.below(u32::try_from(all.len()).unwrap()) as usize]
        }

        fn params(&mut self) -> MarketMakerParams {
            MarketMakerParams {
                spread: self.of(&[0.002, 0.02, 0.05, 0.2]),
                order_size: self.of(&[0.01, 1.0, 5.0, 50.0, 900.0]),
                max_spread: self.of(&[0.05, 0.2, 1.0]),
                max_inventory: self.of(&[5.0, 200.0, 1e7]),
                max_market_inventory: self.of(&[9.0, 11.0, 300.0, 1e7]),
                volatility_multiplier: self.of(&[0.0, 2.0, 20.0]),
                lookback_minutes: self.of(&[60, 1440]),
                min_edge: self.of(&[0.0, 0.01, 0.1]),
                ..MarketMakerParams::default()
            }
        }
    }

    /// Whatever the market and the parameters: what was said without the bids holds for those that it makes.
    #[test]
    fn bids_that_were_not_worked_out_are_made_and_cost_what_was_said() {
        let draw = &mut Draw(5);
        let world = world(Vec::new());
        let account = NoStake::default();
        let (mut sure, mut bidding) = (0, 0);
        for _ in 0..40_000 {
            let strategy = MarketMaker::new(draw.params()).unwrap();
            let tick = draw.of(&[100_u32, 1_000, 10_000, 100_000]);
            let view = market("m").with(|market| {
                market.tick = Price::from_micros(tick).unwrap();
                market.min_size = Shares::whole(draw.of(&[0, 1, 5, 15]));
            });
            let market = view.view().market;
            // Past prices wander, jump or stay; the book's prices are near the last, mostly on the tick.
            let step = draw.of(&[0, 2_000, 20_000, 400_000]);
            let mut micros = 20_000 + draw.below(960_000);
            let prices: Vec<f64> = (0..1 + draw.below(30))
                .map(|_| {
                    let moved = micros + draw.below(step + 1);
                    micros = moved.saturating_sub(step / 2).min(1_000_000);
                    f64::from(micros) / 1e6
                })
                .collect();
            let mut squares = vec![Squares::default()];
            for pair in prices.windows(2) {
                squares.push(squares.last().unwrap().and(pair[0], pair[1]));
            }
            let count = i64::try_from(prices.len()).unwrap();
            let times: Vec<Timestamp> = (0..count)
                .map(|place| now().plus_millis((place + 1 - count) * 600_000))
                .collect();
            let starts = Starts::default();
            let mut level = |micros: u32| {
                let grid = if draw.below(5) == 0 { 1 } else { tick };
                let price = Price::from_micros((micros / grid * grid).min(1_000_000)).unwrap();
                let size = Shares::whole(7);
                Some(Level { price, size }).filter(Level::is_good)
            };
            let half = [500, 10_000, 30_000][(micros % 3) as usize];
            let bid = level(micros.saturating_sub(half));
            let ask = level(micros + half);
            // The other outcome's book mirrors it, or does not.
            let mirrored = draw.below(4) > 0;
            let mirror = |level: Option<Level>| {
                level.map(|level| Level {
                    price: level.price.complement(),
                    ..level
                })
            };
            let (no_bid, no_ask) = if mirrored {
                (mirror(ask), mirror(bid))
            } else {
                (bid, ask)
            };
            let book = |token, bid, ask| TopBook {
                token,
                bid,
                ask,
                at: now(),
            };
            let first = book(&market.outcomes[0].token, bid, ask);
            let second = book(&market.outcomes[1].token, no_bid, no_ask);
            let sight = Sight {
                market: &market,
                books: [Some(&first), Some(&second)],
                past: Some(Past::Columns {
                    times: &times,
                    prices: &prices,
                    squares: &squares,
                    starts: &starts,
                }),
            };
            let context = account.context(&world.snapshot);
            let found = strategy.find(&context, &sight);
            bidding += u32::from(matches!(found, Finding::Bids([Ok(_), Ok(_)])));
            let Some(least) = strategy.least_cost_of_both(&context, &sight) else {
                continue;
            };
            sure += 1;
            let Finding::Bids([Ok(one), Ok(other)]) = found else {
                panic!("{found:?} of {sight:?} with {:?}", strategy.params);
            };
            let cost = |bid: QuoteSide| notional(bid.price, bid.shares, Rounding::Down).unwrap();
            let cheaper = cost(one).min(cost(other));
            assert!(
                least <= cheaper,
                "{least} {one:?} {other:?} {:?}",
                strategy.params
            );
        }
        // Else it would say nothing.
        assert!(sure > 5_000 && sure * 2 > bidding, "{sure} of {bidding}");
    }

    /// At worst Yes is worth its bid of 0.48, and No 1 − 0.52: half a spread of 0.025 below that 0.455 is left, 0.45 on
    /// the tick.
    #[test]
    fn the_least_that_bids_cost_by_hand() {
        let least = |max_market_inventory: f64, prices: &[f64]| {
            let strategy = MarketMaker::new(MarketMakerParams {
                max_market_inventory,
                ..MarketMakerParams::default()
            });
            let view = market("m").view();
            let level = |cents: u32| {
                let price = Price::from_micros(cents * 10_000).unwrap();
                Some(Level {
                    price,
                    size: Shares::whole(100),
                })
            };
            let book = |token| TopBook {
                token,
                bid: level(48),
                ask: level(52),
                at: now(),
            };
            let first = book(&view.market.outcomes[0].token);
            let second = book(&view.market.outcomes[1].token);
            let squares = vec![Squares::default(); prices.len()];
            let count = i64::try_from(prices.len()).unwrap();
            let times: Vec<Timestamp> = (1..=count)
                .map(|place| now().plus_millis((place - count) * 600_000))
                .collect();
            let sight = Sight {
                market: &view.market,
                books: [Some(&first), Some(&second)],
                past: Some(Past::Columns {
                    times: &times,
                    prices,
                    squares: &squares,
                    starts: &Starts::default(),
                }),
            };
            let world = world(Vec::new());
            let account = NoStake::default();
            strategy
                .unwrap()
                .least_cost_of_both(&account.context(&world.snapshot), &sight)
        };
        let calm = [0.5, 0.5, 0.5];
        // 150 shares of each may be held: 67.50, more than an order of 50 less a lot at a price of 1 at most.
        assert_eq!(least(300.0, &calm), Some(Usdc::from_micros(49_990_000)));
        // 50 shares of each at 0.45.
        assert_eq!(least(100.0, &calm), Some(Usdc::from_micros(22_500_000)));
        // Two changes at least say how much prices vary.
        assert_eq!(least(300.0, &[0.5, 0.5]), None);
        // Half of what may be held is less than the smallest order of 5 shares.
        assert_eq!(least(9.0, &calm), None);
    }
}
