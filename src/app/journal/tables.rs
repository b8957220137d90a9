//! What was written before, and need not be written again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::domain::{
    Book, History, Level, Market, MarketId, MarketView, Price, PricePoint, Shares, Snapshot,
    TokenId,
};

use super::line::{BookRef, Line, MarketRef, View};

/// A place of a table with what stands there.
struct Slot<T> {
    number: u32,
    value: T,
    /// The last input that referred to it.
    used_in: u64,
}

/// The places of one kind of thing, by what it belongs to.
struct Slots<K, T> {
    known: HashMap<K, Slot<T>>,
    next: u32,
}

impl<K, T> Default for Slots<K, T> {
    fn default() -> Self {
        Slots {
            known: HashMap::new(),
            next: 0,
        }
    }
}

impl<K: Eq + Hash + Clone, T: Clone> Slots<K, T> {
    /// The place at which `value` stands; `write` is given the place, and what stood there, when it
    /// must be written there first.
    fn place(
        &mut self,
        key: &K,
        value: &T,
        input: u64,
        same: impl Fn(&T, &T) -> bool,
        write: impl FnOnce(u32, Option<&T>),
    ) -> u32 {
        if let Some(slot) = self.known.get_mut(key) {
            if same(&slot.value, value) {
                slot.used_in = input;
                return slot.number;
            }
            // Two of one name in one input: each needs a place of its own.
            if slot.used_in != input {
                write(slot.number, Some(&slot.value));
                slot.value = value.clone();
                slot.used_in = input;
                return slot.number;
            }
        }
        let number = self.next;
        self.next += 1;
        write(number, None);
        let slot = Slot {
            number,
            value: value.clone(),
            used_in: input,
        };
        self.known.insert(key.clone(), slot);
        number
    }
}

/// Everything that a file has told so far. It holds the things themselves, so that those which
/// did not change are recognised without looking into them.
#[derive(Default)]
pub(super) struct Tables {
    markets: Slots<MarketId, Arc<Market>>,
    ladders: Slots<TokenId, Arc<Book>>,
    histories: Slots<MarketId, History>,
}

impl Tables {
    /// The snapshot of input number `input`, and before it in `lines` what it refers to and is new.
    pub(super) fn view(&mut self, snapshot: &Snapshot, input: u64, lines: &mut Vec<Line>) -> View {
        let markets = snapshot.markets().iter();
        View {
            at: snapshot.at,
            source: snapshot.source,
            markets: markets
                .map(|view| self.market(view, input, lines))
                .collect(),
            resolutions: snapshot.resolutions.clone(),
            pending: snapshot.pending.clone(),
            prints: snapshot.prints.clone(),
        }
    }

    fn market(&mut self, view: &MarketView, input: u64, lines: &mut Vec<Line>) -> MarketRef {
        let id = &view.market.id;
        let same = |a: &Arc<Market>, b: &Arc<Market>| Arc::ptr_eq(a, b) || a == b;
        let market = self
            .markets
            .place(id, &view.market, input, same, |slot, _| {
                let market = view.market.clone();
                lines.push(Line::Market { slot, market });
            });
        let books = view.books.iter();
        let books = books
            .map(|book| Some(self.book(book.as_ref()?, input, lines)))
            .collect();
        let history = view
            .history
            .as_ref()
            .map(|history| self.history(id, history, input, lines));
        MarketRef(market, view.candidate, books, history)
    }

    fn book(&mut self, book: &Arc<Book>, input: u64, lines: &mut Vec<Line>) -> BookRef {
        let same = |a: &Arc<Book>, b: &Arc<Book>| {
            Arc::ptr_eq(a, b) || (a.bids() == b.bids() && a.asks() == b.asks())
        };
        let slot = self
            .ladders
            .place(&book.token, book, input, same, |slot, _| {
                lines.push(Line::Ladder {
                    slot,
                    token: book.token.clone(),
                    bids: pairs(book.bids()),
                    asks: pairs(book.asks()),
                });
            });
        BookRef(
            slot,
            book.at,
            book.changed_at,
            book.origin.clone(),
            book.feed,
        )
    }

    fn history(
        &mut self,
        market: &MarketId,
        history: &History,
        input: u64,
        lines: &mut Vec<Line>,
    ) -> u32 {
        let same = |a: &History, b: &History| same_points(a.points(), b.points());
        self.histories
            .place(market, history, input, same, |slot, before| {
                let now = history.points();
                let kept = before.and_then(|before| kept(before.points(), now));
                let (drop, add) = match kept {
                    Some((drop, kept)) => (Some(drop), now.get(kept..).unwrap_or_default()),
                    None => (None, now),
                };
                let add = add.iter().map(|point| (point.at, point.price)).collect();
                lines.push(Line::History { slot, drop, add });
            })
    }
}

fn pairs(levels: &[Level]) -> Vec<(Price, Shares)> {
    levels
        .iter()
        .map(|level| (level.price, level.size))
        .collect()
}

/// Bit by bit: what is read back must be what was seen.
fn same_point(a: &PricePoint, b: &PricePoint) -> bool {
    a.at == b.at && a.price.to_bits() == b.price.to_bits()
}

fn same_points(a: &[PricePoint], b: &[PricePoint]) -> bool {
    // The same memory holds the same points: both are kept alive while they are compared.
    let one = a.as_ptr() == b.as_ptr() && a.len() == b.len();
    one || (a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_point(a, b)))
}

/// How many points of `before` are gone at its start, and how many of `now` are those left over;
/// `None` when the two do not continue each other.
fn kept(before: &[PricePoint], now: &[PricePoint]) -> Option<(usize, usize)> {
    let first = now.first()?;
    let drop = before.partition_point(|point| point.at < first.at);
    let rest = before.get(drop..)?;
    let continues = !rest.is_empty()
        && rest.len() <= now.len()
        && rest.iter().zip(now).all(|(a, b)| same_point(a, b));
    continues.then_some((drop, rest.len()))
}
