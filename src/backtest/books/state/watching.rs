//! What the desk waits for, kept beside the books: each change of one is compared with it.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::domain::{LedgerEvent, StampedEvent, TokenId};
use crate::trading::config::TradingConfig;
use crate::trading::ledger::Ledger;

use super::super::watch_list::{self, Board, Effect, Top, Watch, Watches};
use super::{Books, IS_MET, IS_OUT, IS_SHOWN, IS_UNMARKED, IS_WATCHED, Token, UNKNOWN};

/// Numbers of tokens.
pub type Numbers = HashMap<TokenId, u32, RandomState>;

impl Books<'_> {
    /// Follows what a step did to the account. `watches` is what was waited for before it.
    pub fn follow(
        &mut self,
        events: &[StampedEvent],
        watches: &mut Watches,
        (ledger, config): (&Ledger, &TradingConfig),
        numbers: &Numbers,
    ) {
        if events.is_empty() {
            return;
        }
        let effects = events
            .iter()
            .map(|stamped| watch_list::effect(&stamped.event));
        match effects.max().unwrap_or_default() {
            Effect::Nothing => {}
            Effect::Marks => {
                for stamped in events {
                    self.note_marks(&stamped.event, numbers);
                }
            }
            Effect::Watches => {
                for (number, _) in self.watched.drain(..) {
                    if let Some(token) = self.tokens.get_mut(number as usize) {
                        token.flags &= !IS_WATCHED;
                    }
                }
                *watches = Watches::of(ledger, config, numbers, self);
            }
        }
        self.compare_marks();
    }

    fn note_marks(&mut self, event: &LedgerEvent, numbers: &Numbers) {
        match event {
            LedgerEvent::Marked { marks } => {
                for (token, price) in marks {
                    let held = numbers.get(token).and_then(|number| self.held(*number));
                    if let Some(held) = held {
                        *held = Some((price.micros(), false));
                    }
                }
            }
            LedgerEvent::BidsGone { tokens } => {
                for token in tokens {
                    let held = numbers.get(token).and_then(|number| self.held(*number));
                    if let Some(Some((_, gone))) = held {
                        *gone = true;
                    }
                }
            }
            _ => {}
        }
    }

    /// The mark of a token that is held and watched.
    fn held(&mut self, number: u32) -> Option<&mut Option<(u32, bool)>> {
        let token = self.tokens.get_mut(number as usize)?;
        token.looked = UNKNOWN;
        let watched = token.flags & IS_WATCHED != 0;
        let (_, watch) = self
            .watched
            .get_mut(token.watch as usize)
            .filter(|_| watched)?;
        watch.held.as_mut()
    }

    /// Finds the held tokens whose bids are not their marks.
    fn compare_marks(&mut self) {
        for (number, watch) in &self.watched {
            let Some(token) = self.tokens.get_mut(*number as usize) else {
                continue;
            };
            let seen = token.flags & IS_SHOWN != 0 && !token.asked_for;
            token.looked = UNKNOWN;
            if !(seen && watch.moved(token.bid())) {
                token.flags &= !IS_UNMARKED;
            } else if token.flags & IS_UNMARKED == 0 {
                token.flags |= IS_UNMARKED;
                self.unmarked.push(*number);
            }
        }
        let tokens = &mut self.tokens;
        self.unmarked.retain(|number| {
            let Some(token) = tokens.get_mut(*number as usize) else {
                return false;
            };
            if token.flags & IS_WATCHED == 0 {
                token.flags &= !IS_UNMARKED;
            }
            token.flags & IS_UNMARKED != 0
        });
    }

    /// True when the bid of something held has moved since marks were recorded.
    pub fn has_unmarked(&self) -> bool {
        !self.unmarked.is_empty()
    }

    /// Adds the held tokens whose bids have moved since the last time to `found`.
    pub fn take_unmarked(&mut self, found: &mut Vec<u32>) {
        take(&mut self.unmarked, &mut self.tokens, IS_UNMARKED, found);
    }

    /// Adds the tokens at which something may happen to `found`.
    pub fn take_attention(&mut self, found: &mut Vec<u32>) {
        self.marks_ready = false;
        take(&mut self.attention, &mut self.tokens, IS_MET, found);
    }
}

/// Moves what is in a list of tokens, each of which says by `flag` that it is in it.
fn take(list: &mut Vec<u32>, tokens: &mut [Token], flag: u32, found: &mut Vec<u32>) {
    for number in list.drain(..) {
        if let Some(token) = tokens.get_mut(number as usize) {
            token.flags &= !flag;
            token.looked = UNKNOWN;
        }
        found.push(number);
    }
}

impl Board for Books<'_> {
    fn watch(&mut self, number: u32) -> Option<&mut Watch> {
        let token = self.tokens.get_mut(number as usize)?;
        if token.flags & IS_OUT != 0 {
            return None;
        }
        if token.flags & IS_WATCHED == 0 {
            token.flags |= IS_WATCHED;
            token.looked = UNKNOWN;
            token.watch = u32::try_from(self.watched.len()).ok()?;
            self.watched.push((number, Watch::default()));
        }
        let (_, watch) = self.watched.get_mut(token.watch as usize)?;
        Some(watch)
    }
}
