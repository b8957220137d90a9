//! What a stream of books tells, whichever source it comes from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{ConditionId, Level, Price, Side, Timestamp, TokenId};

/// Something happened to followed tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// The book of this token is another one now.
    BookChanged(TokenId),
    /// Somebody traded.
    Trade {
        /// The token.
        token: TokenId,
        /// What the taker did; `None` when not told.
        side: Option<Side>,
        /// At this price, and so many shares.
        level: Level,
        /// When, by the exchange's clock.
        at: Timestamp,
        /// On-chain transaction, where known already.
        transaction: Option<String>,
    },
    /// The price step changed; orders off the new one are refused from now on.
    TickSize {
        /// The token.
        token: TokenId,
        /// The step before.
        old: Price,
        /// The step now.
        new: Price,
        /// When, by the exchange's clock.
        at: Timestamp,
    },
    /// The exchange announces that a market ended. To be confirmed by
    /// [`resolutions`](super::MarketData::resolutions) before money moves.
    Resolved {
        /// The market.
        condition_id: ConditionId,
        /// The token that pays.
        winner: TokenId,
        /// Untrusted name of its outcome, cleaned.
        outcome: Option<String>,
        /// When, by the exchange's clock.
        at: Timestamp,
    },
    /// These books are not current any more: their connection was lost, or the stream contradicted
    /// what it had told before. Each comes back with [`StreamEvent::Live`].
    Broken {
        /// The tokens.
        tokens: Vec<TokenId>,
    },
    /// The token's book is current from now on.
    Live {
        /// The token.
        token: TokenId,
    },
}

/// How a stream does, in figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHealth {
    /// Connections that are open now.
    pub connections: u64,
    /// Tokens that are followed.
    pub followed: u64,
    /// Of those, with a current book.
    pub live: u64,
    /// Of those, without one: its first book has not come yet, or its stream was interrupted.
    pub broken: u64,
    /// Times that a connection was lost or could not be made.
    pub reconnects: u64,
    /// Times that a book was asked for anew because the stream contradicted it or never sent it.
    pub resyncs: u64,
    /// Messages read.
    pub messages: u64,
    /// Messages that changed nothing because they were wrong, late or unknown, by cause.
    pub dropped: BTreeMap<String, u64>,
    /// When anything was last heard.
    pub last_message: Option<Timestamp>,
    /// Why a connection was last lost.
    pub last_lost: Option<String>,
}

impl StreamHealth {
    /// The figures in one line for people.
    #[must_use]
    pub fn in_words(&self) -> String {
        let dropped: u64 = self.dropped.values().sum();
        let mut words = format!(
            "market stream: {} connections, {} of {} books live, {} reconnects, {} resyncs, \
             {} messages, {dropped} dropped",
            self.connections,
            self.live,
            self.followed,
            self.reconnects,
            self.resyncs,
            self.messages
        );
        if let Some(at) = self.last_message {
            words.push_str(&format!(", last heard {at}"));
        }
        if let Some(reason) = &self.last_lost {
            words.push_str(&format!(", last lost: {reason}"));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_fit_one_line() {
        let health = StreamHealth {
            connections: 5,
            followed: 1_000,
            live: 998,
            broken: 2,
            reconnects: 1,
            resyncs: 3,
            messages: 12_345,
            dropped: BTreeMap::from([("late".to_owned(), 2), ("not JSON".to_owned(), 1)]),
            last_message: Some(Timestamp::from_secs(1_772_179_200)),
            last_lost: Some("silent for 30 s".to_owned()),
        };
        assert_eq!(
            health.in_words(),
            "market stream: 5 connections, 998 of 1000 books live, 1 reconnects, 3 resyncs, \
             12345 messages, 3 dropped, last heard 2026-02-27T08:00:00Z, last lost: silent for 30 s"
        );
    }
}
