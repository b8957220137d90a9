//! The order book of one token.

use serde::{Deserialize, Serialize};

use super::ids::TokenId;
use super::money::{Price, Shares};
use super::order::Side;
use super::time::Timestamp;

/// Shares offered at one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Price of one share.
    pub price: Price,
    /// Shares at that price.
    pub size: Shares,
}

impl Level {
    /// False without shares, and at 0 and 1, where nothing can trade.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.size.is_zero() && self.price > Price::ZERO && self.price < Price::ONE
    }
}

/// Where a book comes from; what is not the venue's own says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BookOrigin {
    /// Served by an exchange (the real one or a sandbox).
    Venue,
    /// Made from a single price with an assumed spread and depth.
    Synthetic,
    /// Put together from changes and told best prices of a recording that begins without a whole book:
    /// some levels are missing, and some sizes at best prices are assumed.
    Rebuilt,
}

/// How a book was obtained, and whether it can still be known to be current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BookFeed {
    /// Asked for and answered once: it was current at [`Book::at`].
    #[default]
    Fetched,
    /// Kept current by a stream that has not been interrupted since its last whole book.
    Streamed {
        /// The exchange's time of that whole book.
        since_snapshot: Timestamp,
    },
    /// Kept by a stream that was interrupted, or that contradicted itself: changes may be missing,
    /// so nothing may be traded on it until there is a new whole book.
    Broken,
}

impl BookFeed {
    /// True for [`BookFeed::Fetched`].
    #[must_use]
    pub fn is_fetched(&self) -> bool {
        *self == BookFeed::Fetched
    }
}

/// Bids and asks of one token, best first, each level above zero in price and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// The token.
    pub token: TokenId,
    bids: Vec<Level>,
    asks: Vec<Level>,
    /// When it was known to be current: when it was obtained, or for a streamed one when its
    /// connection was last heard. This is how old it is.
    pub at: Timestamp,
    /// When the exchange last changed it, by the exchange's clock; `at` where nobody says. Depth that
    /// paper fills took of a synthetic book stays taken until this moves on (of a real one for as long
    /// as its level stands: docs/paper-execution.md).
    pub changed_at: Timestamp,
    /// Where it comes from.
    pub origin: BookOrigin,
    /// How it was obtained. Left out of JSON where it was simply asked for.
    #[serde(default, skip_serializing_if = "BookFeed::is_fetched")]
    pub feed: BookFeed,
}

impl Book {
    /// Sorts the levels best first, merges equal prices, and drops empty levels and prices that
    /// nothing can trade at (0 and 1).
    #[must_use]
    pub fn new(
        token: TokenId,
        mut bids: Vec<Level>,
        mut asks: Vec<Level>,
        at: Timestamp,
        origin: BookOrigin,
    ) -> Self {
        tidy(&mut bids, |a, b| b.price.cmp(&a.price));
        tidy(&mut asks, |a, b| a.price.cmp(&b.price));
        Book {
            token,
            bids,
            asks,
            at,
            changed_at: at,
            origin,
            feed: BookFeed::Fetched,
        }
    }

    /// Makes another state of the same token's book of it, in the memory that it has. `fill` is given
    /// emptied bids and asks; they are put in order as by [`Book::new`].
    pub fn renew(
        &mut self,
        at: Timestamp,
        changed_at: Timestamp,
        fill: impl FnOnce(&mut Vec<Level>, &mut Vec<Level>),
    ) {
        self.bids.clear();
        self.asks.clear();
        fill(&mut self.bids, &mut self.asks);
        tidy(&mut self.bids, |a, b| b.price.cmp(&a.price));
        tidy(&mut self.asks, |a, b| a.price.cmp(&b.price));
        self.at = at;
        self.changed_at = changed_at;
    }

    /// Replaces the levels at which an order of `side` would rest (bids for a buy) at `worst` and better
    /// prices with `top`, in the memory that there is: most changes of a book are near its best prices.
    /// All are put in order as by [`Book::new`].
    pub fn renew_top(&mut self, side: Side, worst: Price, top: &[Level]) {
        match side {
            Side::Buy => {
                let is_top = |level: &Level| level.price >= worst;
                replace_top(&mut self.bids, is_top, top, |a, b| b.price.cmp(&a.price));
            }
            Side::Sell => {
                let is_top = |level: &Level| level.price <= worst;
                replace_top(&mut self.asks, is_top, top, |a, b| a.price.cmp(&b.price));
            }
        }
    }

    /// The same book, last changed at this moment.
    #[must_use]
    pub fn with_changed_at(self, changed_at: Timestamp) -> Self {
        Book { changed_at, ..self }
    }

    /// The same book, obtained this way.
    #[must_use]
    pub fn with_feed(self, feed: BookFeed) -> Self {
        Book { feed, ..self }
    }

    /// Bids, best (highest) first.
    #[must_use]
    pub fn bids(&self) -> &[Level] {
        &self.bids
    }

    /// Asks, best (lowest) first.
    #[must_use]
    pub fn asks(&self) -> &[Level] {
        &self.asks
    }

    /// Highest bid; `None` when nobody bids.
    #[must_use]
    pub fn best_bid(&self) -> Option<Price> {
        self.bids.first().map(|level| level.price)
    }

    /// Lowest ask; `None` when nobody offers.
    #[must_use]
    pub fn best_ask(&self) -> Option<Price> {
        self.asks.first().map(|level| level.price)
    }

    /// Mean of best bid and best ask as a number for statistics; `None` when a side is empty.
    #[must_use]
    pub fn mid(&self) -> Option<f64> {
        Some((self.best_bid()?.to_f64() + self.best_ask()?.to_f64()) / 2.0)
    }

    /// Best ask − best bid; `None` when a side is empty, negative when crossed.
    #[must_use]
    pub fn spread(&self) -> Option<f64> {
        Some(
            (i64::from(self.best_ask()?.micros()) - i64::from(self.best_bid()?.micros())) as f64
                / 1e6,
        )
    }

    /// True when somebody bids at or above what somebody asks: no honest state of a book.
    #[must_use]
    pub fn is_crossed(&self) -> bool {
        matches!((self.best_bid(), self.best_ask()), (Some(bid), Some(ask)) if bid >= ask)
    }

    /// True when its prices may be believed, age aside: it is neither crossed nor left over from a
    /// broken stream. Nothing fills on any other book.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.feed != BookFeed::Broken && !self.is_crossed()
    }

    /// The levels that an order of this side would take, best first.
    #[must_use]
    pub fn against(&self, side: Side) -> &[Level] {
        match side {
            Side::Buy => &self.asks,
            Side::Sell => &self.bids,
        }
    }

    /// Shares that an order of this side could take at `limit` or better.
    #[must_use]
    pub fn depth_to(&self, side: Side, limit: Price) -> Shares {
        depth_to(self.against(side), side, limit)
    }

    /// Shares that rest at exactly `price` on the side on which an order of `side` would rest.
    #[must_use]
    pub fn size_at(&self, side: Side, price: Price) -> Shares {
        let levels = match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        };
        levels
            .iter()
            .find(|level| level.price == price)
            .map_or(Shares::ZERO, |level| level.size)
    }

    /// Takes `size` shares away at `price` from the levels that an order of `side` trades with, so
    /// that the same depth is not sold twice before the book is refreshed.
    pub fn consume(&mut self, side: Side, price: Price, size: Shares) {
        let levels = match side {
            Side::Buy => &mut self.asks,
            Side::Sell => &mut self.bids,
        };
        if let Some(level) = levels.iter_mut().find(|level| level.price == price) {
            level.size = level.size.minus(size);
        }
        levels.retain(|level| !level.size.is_zero());
    }
}

/// Shares of these levels, best first, that an order of this side could take at `limit` or better.
#[must_use]
pub fn depth_to(levels: &[Level], side: Side, limit: Price) -> Shares {
    levels
        .iter()
        .take_while(|level| side.accepts(limit, level.price))
        .fold(Shares::ZERO, |sum, level| sum.plus(level.size))
}

fn replace_top(
    levels: &mut Vec<Level>,
    is_top: impl Fn(&Level) -> bool,
    top: &[Level],
    best_first: impl Fn(&Level, &Level) -> std::cmp::Ordering,
) {
    let until = levels.partition_point(is_top);
    levels.splice(..until, top.iter().copied());
    // What is below was looked at when it came.
    let new = levels.get(..=top.len()).unwrap_or(levels);
    if !is_tidy(new, &best_first) {
        tidy(levels, best_first);
    }
}

fn is_tidy(levels: &[Level], best_first: impl Fn(&Level, &Level) -> std::cmp::Ordering) -> bool {
    levels.iter().all(Level::is_good) && levels.is_sorted_by(|a, b| best_first(a, b).is_lt())
}

fn tidy(levels: &mut Vec<Level>, best_first: impl Fn(&Level, &Level) -> std::cmp::Ordering) {
    // Mostly there is nothing to do, and one look tells.
    if is_tidy(levels, &best_first) {
        return;
    }
    levels.retain(Level::is_good);
    if !levels.is_sorted_by(|a, b| best_first(a, b).is_le()) {
        levels.sort_by(best_first);
    }
    levels.dedup_by(|next, kept| {
        let same = next.price == kept.price;
        if same {
            kept.size = kept.size.plus(next.size);
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(price: &str, size: u32) -> Level {
        Level {
            price: Price::parse(price).unwrap(),
            size: Shares::whole(size),
        }
    }

    fn book(bids: Vec<Level>, asks: Vec<Level>) -> Book {
        Book::new(
            TokenId::new("1"),
            bids,
            asks,
            Timestamp::default(),
            BookOrigin::Venue,
        )
    }

    #[test]
    fn best_prices_do_not_depend_on_the_order_served() {
        let served = book(
            vec![level("0.134", 5), level("0.154", 2), level("0.153", 1)],
            vec![level("0.175", 9), level("0.155", 3), level("0.155", 4)],
        );
        assert_eq!(served.best_bid().unwrap().to_string(), "0.154");
        assert_eq!(served.best_ask().unwrap().to_string(), "0.155");
        assert_eq!(
            served.asks()[0].size,
            Shares::whole(7),
            "equal prices are one level"
        );
        assert!(!served.is_crossed());
    }

    #[test]
    fn the_top_of_a_side_is_replaced_and_all_else_stays() {
        let bids = vec![level("0.4", 1), level("0.38", 2), level("0.3", 3)];
        let mut kept = book(bids, vec![level("0.5", 1), level("0.6", 2)]);
        let at = |text: &str| Price::parse(text).unwrap();
        kept.renew_top(Side::Buy, at("0.38"), &[level("0.41", 7), level("0.39", 8)]);
        assert_eq!(
            kept.bids(),
            [level("0.41", 7), level("0.39", 8), level("0.3", 3)]
        );
        kept.renew_top(Side::Buy, at("0.35"), &[]);
        assert_eq!(kept.bids(), [level("0.3", 3)]);
        assert_eq!(kept.asks(), [level("0.5", 1), level("0.6", 2)]);
        kept.renew_top(
            Side::Sell,
            at("0.55"),
            &[level("0.45", 1), level("0.55", 4)],
        );
        assert_eq!(
            kept.asks(),
            [level("0.45", 1), level("0.55", 4), level("0.6", 2)]
        );
        // As by `new`, whatever is given.
        kept.renew_top(
            Side::Sell,
            at("0.55"),
            &[level("0.55", 0), level("0.5", 2), level("0.6", 3)],
        );
        assert_eq!(kept.asks(), [level("0.5", 2), level("0.6", 5)]);
        kept.renew_top(Side::Sell, Price::ONE, &[level("0.7", 1)]);
        assert_eq!(kept.asks(), [level("0.7", 1)]);
    }

    #[test]
    fn an_empty_side_has_no_price() {
        let one_sided = book(vec![], vec![level("0.5", 1)]);
        assert_eq!(one_sided.best_bid(), None);
        assert_eq!(one_sided.mid(), None);
        assert_eq!(one_sided.spread(), None);
        assert!(!one_sided.is_crossed());
    }

    #[test]
    fn a_book_of_a_broken_stream_is_not_sound_and_a_fetched_one_says_nothing_about_its_feed() {
        let fetched = book(vec![level("0.4", 1)], vec![level("0.5", 1)]);
        assert!(fetched.is_sound());
        let json = serde_json::to_value(&fetched).unwrap();
        assert_eq!(json.get("feed"), None, "as before streams existed");
        assert_eq!(serde_json::from_value::<Book>(json).unwrap(), fetched);
        let live = fetched.clone().with_feed(BookFeed::Streamed {
            since_snapshot: Timestamp::from_secs(7),
        });
        assert!(live.is_sound());
        let json = serde_json::to_value(&live).unwrap();
        assert_eq!(
            json["feed"],
            serde_json::json!({"streamed": {"since_snapshot": 7000}})
        );
        assert_eq!(serde_json::from_value::<Book>(json).unwrap(), live);
        assert!(!live.with_feed(BookFeed::Broken).is_sound());
        assert!(!book(vec![level("0.5", 1)], vec![level("0.5", 1)]).is_sound());
    }

    #[test]
    fn depth_counts_to_the_limit_and_is_consumed_once() {
        let mut served = book(
            vec![],
            vec![level("0.5", 10), level("0.51", 20), level("0.6", 5)],
        );
        let limit = Price::parse("0.51").unwrap();
        assert_eq!(served.depth_to(Side::Buy, limit), Shares::whole(30));
        served.consume(Side::Buy, Price::parse("0.5").unwrap(), Shares::whole(10));
        assert_eq!(served.depth_to(Side::Buy, limit), Shares::whole(20));
        assert_eq!(served.best_ask(), Some(limit));
    }
}
