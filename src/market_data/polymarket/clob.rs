//! The CLOB: its clock and its books, in batches.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::clob_rows::{self, ServedBook};
use super::row::{Oddities, is_asset_id};
use super::transport::{Request, Scope};
use super::{CONCURRENCY, Polymarket};
use crate::domain::{Book, Clock, SourceKind, SystemClock, Timestamp, TokenId};
use crate::market_data::DataError;

/// Tokens per `POST /books`; one more is refused.
const BOOKS_PER_REQUEST: usize = 500;

impl Polymarket {
    /// The exchange's clock.
    pub(super) async fn venue_time(&self) -> Result<Timestamp, DataError> {
        let request = Request::get(Scope::Clob, "/time");
        let answer = self.transport.json_expected(&request).await?;
        clob_rows::server_time(&answer).ok_or_else(|| {
            self.transport
                .malformed(&request, "not a number of seconds")
        })
    }

    /// Books by token. Ids that the venue does not know, or has no book for, are missing.
    ///
    /// A book of the real venue counts from the moment that it was received: freshness is about
    /// when we saw it, and the venue's own `timestamp` is that of the last change, hours old in a
    /// quiet market: it is kept as [`Book::changed_at`]. A sandbox's time is simulated: its books
    /// count from what its clock said before they were asked for.
    pub(super) async fn fetch_books(
        &self,
        tokens: &[TokenId],
    ) -> Result<HashMap<TokenId, Arc<Book>>, DataError> {
        // Made-up ids of recordings have no book here and would spoil the batch.
        let mut wanted: Vec<&TokenId> = tokens
            .iter()
            .filter(|token| is_asset_id(token.as_str()))
            .collect();
        wanted.sort();
        wanted.dedup();
        let requests = book_requests(&wanted);
        let simulated = match self.kind {
            SourceKind::Sandbox if !requests.is_empty() => Some(self.venue_time().await?),
            _ => None,
        };
        let batches: Vec<(Vec<ServedBook>, Timestamp)> = stream::iter(requests)
            .map(|request| async move { self.book_batch(&request).await })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        let wanted: HashSet<&TokenId> = wanted.into_iter().collect();
        let mut books = HashMap::with_capacity(wanted.len());
        for (batch, received) in batches {
            for served in batch {
                // Neither order nor number is that of the question: match by id.
                if !wanted.contains(&served.token) {
                    continue;
                }
                let at = simulated.unwrap_or(received);
                let changed_at = served.timestamp.unwrap_or(at);
                let book = served.clone().at(at).with_changed_at(changed_at);
                books.insert(served.token, Arc::new(book));
            }
        }
        Ok(books)
    }

    async fn book_batch(
        &self,
        request: &Request,
    ) -> Result<(Vec<ServedBook>, Timestamp), DataError> {
        let answer = if request.is_get() {
            match self.transport.send(request).await? {
                Some(answer) => answer,
                // Closed, proposed or unknown: no book.
                None => return Ok((Vec::new(), SystemClock.now())),
            }
        } else {
            self.transport.send_expected(request).await?
        };
        let mut oddities = Oddities::default();
        let books = if request.is_get() {
            clob_rows::one_book(&answer.body, &mut oddities)
        } else {
            clob_rows::books(&answer.body, &mut oddities)
        };
        let books = books.map_err(|detail| self.transport.malformed(request, &detail))?;
        self.transport.count(&oddities);
        Ok((books, answer.received))
    }
}

/// `GET /book` for one token, which callers share while it is under way; `POST /books` for more.
fn book_requests(wanted: &[&TokenId]) -> Vec<Request> {
    if let [token] = wanted {
        let single = Request::get(Scope::ClobBook, "/book").with("token_id", token.as_str());
        return vec![single];
    }
    wanted
        .chunks(BOOKS_PER_REQUEST)
        .map(|chunk| {
            let ids: Vec<_> = chunk
                .iter()
                .map(|token| json!({"token_id": token.as_str()}))
                .collect();
            Request::post(Scope::ClobBooks, "/books", json!(ids))
        })
        .collect()
}
