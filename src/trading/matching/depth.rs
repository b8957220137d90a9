//! What is left of a book after what paper fills used up of it.
//!
//! Used shares stay used for as long as their level stands: an unrelated change of the book gives
//! nothing back. Where a level shows fewer shares than are used, the others have left or were taken
//! by somebody else, and only so many count; shares that it gained since are new. (The lowest size
//! seen since then bounds what is used: looks in between may have been missed, so in doubt less is left
//! than there was.) A book that was made from a price is made anew with each row.

use std::borrow::Cow;

use crate::domain::{Book, BookOrigin, Price, Shares, Side, TokenId, UsedLevel};

use super::super::ledger::{Ledger, Used};
use super::passes;

/// What is left of a book.
///
/// An order stands in the books of both outcomes: a bid for Yes at `p` is an offer of No at `1 − p`
/// (each of the venue's `price_change` messages shows one order at both, with one size). What was
/// taken from the book of `opposite`, the market's other token, is therefore gone from this one too.
#[must_use]
pub fn remaining_book(book: &Book, opposite: Option<&TokenId>, ledger: &Ledger) -> Book {
    left_of(book, opposite, ledger).into_owned()
}

/// The same; nothing is copied where nothing was used.
#[must_use]
pub fn left_of<'b>(book: &'b Book, opposite: Option<&TokenId>, ledger: &Ledger) -> Cow<'b, Book> {
    let mut left = Cow::Borrowed(book);
    let own = ledger.used(&book.token).iter().copied();
    let mirrored = opposite
        .map_or(&[][..], |token| ledger.used(token))
        .iter()
        .map(|used| Used {
            side: used.side.opposite(),
            price: used.price.complement(),
            ..*used
        });
    for used in own.chain(mirrored) {
        let shares = still_used(book, &used);
        left.to_mut().consume(used.side, used.price, shares);
    }
    left
}

/// How much of what was used of a level still is, as far as this book tells.
fn still_used(book: &Book, used: &Used) -> Shares {
    match book.origin {
        BookOrigin::Synthetic if used.at < book.changed_at => Shares::ZERO,
        // A book from before says nothing about what happened since.
        BookOrigin::Venue | BookOrigin::Rebuilt if book.at > used.at => {
            let stands = book.size_at(used.side.opposite(), used.price);
            used.shares.min(stands)
        }
        _ => used.shares,
    }
}

/// The levels of the token's own book of which less is used now than the ledger knows, with what
/// still is.
#[must_use]
pub fn freed(book: &Book, ledger: &Ledger) -> Vec<UsedLevel> {
    if !book.is_sound() {
        return Vec::new();
    }
    let used = ledger.used(&book.token).iter();
    used.filter_map(|used| {
        let shares = still_used(book, used);
        (shares < used.shares).then_some(UsedLevel {
            side: used.side,
            price: used.price,
            shares,
        })
    })
    .collect()
}

/// The levels beyond the `limit` of a resting order that gave it `shares`, best first, with all that
/// is used of them now. `left` is what was left of the book before.
#[must_use]
pub fn passed(
    left: &Book,
    ledger: &Ledger,
    side: Side,
    limit: Price,
    mut shares: Shares,
) -> Vec<UsedLevel> {
    let mut levels = Vec::new();
    for level in left.against(side) {
        let here = shares.min(level.size);
        if here.is_zero() || !passes(side, level.price, limit) {
            break;
        }
        shares = shares.minus(here);
        let before = ledger.used_at(&left.token, side, level.price);
        levels.push(UsedLevel {
            side,
            price: level.price,
            shares: before.plus(here),
        });
    }
    levels
}
