//! Books made from a single price, for recordings that have none.

use crate::domain::{Book, BookOrigin, Level, Price, Shares, Timestamp, TokenId, Usdc};

/// Best bid and best ask around a mid price: half the spread each way, rounded outward to ticks.
///
/// Both stay within `[tick, 1 − tick]`, and the bid below, the ask above the price itself; a side
/// for which there is no such tick is `None`. With a spread of 0 the next ticks on either side are
/// taken: a book that trades at the mid price would be free money.
#[must_use]
pub fn quotes(price: Price, spread: Price, tick: Price) -> (Option<Price>, Option<Price>) {
    (
        bid(price, spread, tick),
        // The ask for Yes is the complement of the bid for No.
        bid(price.complement(), spread, tick).map(Price::complement),
    )
}

fn bid(price: Price, spread: Price, tick: Price) -> Option<Price> {
    let step = tick.micros();
    if step == 0 {
        return None;
    }
    let half = spread.micros().div_ceil(2);
    let below = price.micros().saturating_sub(half) / step * step;
    let highest = Price::ONE.minus(tick).micros() / step * step;
    let mut best = below.clamp(step, highest.max(step));
    while best >= price.micros() && best > 0 {
        best -= step;
    }
    (best >= step)
        .then_some(best)
        .and_then(|micros| Price::from_micros(micros).ok())
}

/// Best bid and ask for the first token and the shares at each: all that is known of both tokens' books,
/// since the second one mirrors the first, as the venue's two books do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Top {
    /// Best bid for the first token; `None`: nobody bids.
    pub bid: Option<Price>,
    /// Best ask for the first token; `None`: nobody offers.
    pub ask: Option<Price>,
    /// Shares at each.
    pub depth: Shares,
    /// When it was so.
    pub at: Timestamp,
}

impl Top {
    /// The book of the first token, or of the second.
    #[must_use]
    pub fn book(&self, second: bool, token: &TokenId) -> Book {
        let (bid, ask) = self.levels(second);
        let levels = |level: Option<Level>| level.into_iter().collect();
        let origin = BookOrigin::Synthetic;
        Book::new(token.clone(), levels(bid), levels(ask), self.at, origin)
    }

    /// Makes the same of an earlier book of that token, in its memory.
    pub fn renew(&self, second: bool, book: &mut Book) {
        let (bid, ask) = self.levels(second);
        book.renew(self.at, self.at, |bids, asks| {
            bids.extend(bid);
            asks.extend(ask);
        });
    }

    /// Best bid and best ask of the first token, or of the second; nothing where nothing can trade.
    #[must_use]
    pub fn levels(&self, second: bool) -> (Option<Level>, Option<Level>) {
        let (bid, ask) = match second {
            false => (self.bid, self.ask),
            true => (
                self.ask.map(Price::complement),
                self.bid.map(Price::complement),
            ),
        };
        let size = self.depth;
        let level = |price| Some(Level { price, size }).filter(Level::is_good);
        (bid.and_then(level), ask.and_then(level))
    }
}

/// Shares on each side where the volume of 24 hours is known: one part in a hundred of it, one share
/// for each pUSD (a share costs at most that, so no more than was traded), and at least the smallest
/// order.
#[must_use]
pub fn depth_of(volume_24h: Usdc, min_size: Shares) -> Shares {
    let part = Shares::from_micros((volume_24h.micros() / DEPTH_ONE_IN).max(0));
    part.map_or(min_size, Shares::floor_to_lot).max(min_size)
}

/// A synthesised book shows one part in so many of the volume of 24 hours.
const DEPTH_ONE_IN: i64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Price {
        Price::parse(text).unwrap()
    }

    fn shown(price: &str, spread: &str, tick: &str) -> String {
        let (bid, ask) = quotes(p(price), p(spread), p(tick));
        let side = |side: Option<Price>| side.map_or("-".to_owned(), |s| s.to_string());
        format!("{} {}", side(bid), side(ask))
    }

    #[test]
    fn quotes_are_rounded_outward_and_stay_on_the_grid() {
        assert_eq!(shown("0.5", "0.02", "0.01"), "0.49 0.51");
        // 0.505 ± 0.01 = 0.495 / 0.515: outward to 0.49 / 0.52.
        assert_eq!(shown("0.505", "0.02", "0.01"), "0.49 0.52");
        assert_eq!(shown("0.505", "0.02", "0.001"), "0.495 0.515");
        // 0.3475 ± 0.0015 = 0.346 / 0.349
        assert_eq!(shown("0.3475", "0.003", "0.001"), "0.346 0.349");
        // 0.005 − 0.01 is below every tick: the bid is kept at one tick.
        assert_eq!(shown("0.005", "0.02", "0.001"), "0.001 0.015");
        assert_eq!(shown("0.995", "0.02", "0.001"), "0.985 0.999");
    }

    #[test]
    fn a_side_that_would_not_be_worse_than_the_price_is_absent() {
        assert_eq!(shown("0.001", "0.02", "0.001"), "- 0.011");
        assert_eq!(shown("0.003", "0.02", "0.01"), "- 0.02");
        assert_eq!(shown("0.999", "0.02", "0.001"), "0.989 -");
        assert_eq!(shown("0", "0.02", "0.01"), "- 0.01");
        assert_eq!(shown("1", "0.02", "0.01"), "0.99 -");
    }

    #[test]
    fn a_spread_of_zero_still_costs_a_tick() {
        assert_eq!(shown("0.5", "0", "0.01"), "0.49 0.51");
        assert_eq!(shown("0.505", "0", "0.01"), "0.5 0.51");
    }

    #[test]
    fn depth_is_a_hundredth_of_the_volume_in_lots_but_an_order_at_least() {
        let depth = |volume: &str| depth_of(Usdc::parse(volume).unwrap(), Shares::whole(5));
        assert_eq!(depth("123456"), Shares::parse("1234.56").unwrap());
        assert_eq!(depth("123456.99"), Shares::parse("1234.56").unwrap());
        assert_eq!(depth("499.99"), Shares::whole(5));
        assert_eq!(depth("0"), Shares::whole(5));
    }

    #[test]
    fn the_second_book_mirrors_the_first() {
        let (yes, no) = (TokenId::new("1"), TokenId::new("2"));
        let at = Timestamp::from_secs(7);
        let (bid, ask) = quotes(p("0.3"), p("0.02"), p("0.01"));
        let depth = Shares::whole(1000);
        let top = Top {
            bid,
            ask,
            depth,
            at,
        };
        let (first, second) = (top.book(false, &yes), top.book(true, &no));
        assert_eq!(first.best_ask(), Some(p("0.31")));
        assert_eq!(second.best_bid(), Some(p("0.69")));
        assert_eq!(second.best_ask(), Some(p("0.71")));
        assert_eq!(second.asks()[0].size, Shares::whole(1000));
        assert_eq!(second.origin, BookOrigin::Synthetic);
        assert_eq!(second.at, at);
        // An earlier book of the token becomes the same, whatever it held.
        let earlier = Top {
            bid: Some(p("0.9")),
            ask: None,
            depth: Shares::whole(1),
            at: Timestamp::from_secs(1),
        };
        for (is_second, token, expected) in [(false, &yes, first), (true, &no, second)] {
            let mut book = earlier.book(is_second, token);
            top.renew(is_second, &mut book);
            assert_eq!(book, expected);
        }
    }
}
