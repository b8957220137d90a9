//! The real venue over HTTP: Gamma for metadata, the CLOB for books and histories, the Data API for
//! resolutions, wallets and the leaderboard. A sandbox that speaks the same protocol is asked by
//! the same client.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use moka::future::Cache;
use tokio::sync::broadcast;

use super::{
    DataError, DataHealth, EventVolume, HistorySpan, MarketActivity, MarketData, MarketQuery,
    Period, StreamEvent, Trader, WalletPosition, WalletSummary,
};
use crate::domain::{
    Book, Clock, Event, Market, MarketId, PendingResolution, PricePoint, Print, Resolution,
    SourceKind, SystemClock, Timestamp, TokenId,
};

pub mod activity_rows;
pub mod backoff;
mod clob;
pub mod clob_rows;
mod config;
mod data;
pub mod data_rows;
mod gamma;
pub mod gamma_rows;
mod history;
mod history_v2;
pub mod number;
mod people;
mod resolution;
pub mod row;
mod search;
pub mod stream;
pub mod terms_rows;
mod transport;
mod venue;
pub mod ws_messages;

#[cfg(test)]
mod tests;

pub use config::PolymarketConfig;
pub use data_rows::TakerVolume;
pub use search::tag_id;
pub use venue::order_version;

use stream::{ConnectionSettings, Stream};
use transport::Transport;

/// Most markets that are remembered; all open ones are about 80,000, a tick looks at 1,000.
const CACHED_MARKETS: u64 = 20_000;
/// Most events and lists that are remembered.
const CACHED_ANSWERS: u64 = 500;
/// A streamed book counts for so long after its connection last told anything, ms. Of two hundred
/// followed books some change all the time; when none does, or when the exchange answers `PING` and
/// tells nothing, books are asked for.
const QUIET_MS: i64 = 12_000;
/// Requests that one call has under way at the same time.
const CONCURRENCY: usize = 8;

/// Polymarket, or a sandbox that speaks its protocol.
pub struct Polymarket {
    kind: SourceKind,
    transport: Transport,
    cache: Option<Metadata>,
    /// Books kept current; `None` where they are asked for each time.
    stream: Option<Stream>,
    /// How far the venue was with markets that have not resolved.
    pending: resolution::Pending,
    /// The venue's clock, and when it was read.
    clock: venue::VenueClock,
}

/// Markets and events of the last seconds. Prices in them are not traded on, books are not in it.
struct Metadata {
    /// By `id:`, `slug:`, `condition:` and `token:` key.
    markets: Cache<String, Arc<Market>>,
    /// By `id:` and `slug:` key.
    events: Cache<String, Arc<Event>>,
    /// The most traded markets, by how many were asked for.
    lists: Cache<usize, Arc<Vec<Arc<Market>>>>,
}

impl Polymarket {
    /// Checks the settings; connects to nothing. `kind` is [`SourceKind::Polymarket`] or
    /// [`SourceKind::Sandbox`]: a sandbox has its own time, is asked without limits, and nothing
    /// of it is remembered, because simulated time may run faster than any cache.
    ///
    /// Errors: [`DataError::BadRequest`] naming the setting, or for another kind.
    pub fn new(config: PolymarketConfig, kind: SourceKind) -> Result<Self, DataError> {
        if kind == SourceKind::Recorded {
            return Err(DataError::BadRequest(
                "a recording is read from files, not over HTTP".to_owned(),
            ));
        }
        let remember = config.cache_seconds > 0 && kind == SourceKind::Polymarket;
        let lifetime = Duration::from_secs(config.cache_seconds);
        let cache = remember.then(|| Metadata {
            // Four keys per market.
            markets: Cache::builder()
                .max_capacity(CACHED_MARKETS * 4)
                .time_to_live(lifetime)
                .build(),
            events: Cache::builder()
                .max_capacity(CACHED_ANSWERS)
                .time_to_live(lifetime)
                .build(),
            lists: Cache::builder()
                .max_capacity(CACHED_ANSWERS)
                .time_to_live(lifetime)
                .build(),
        });
        // Simulated time may run at any speed and in steps, so its books have no age to go by.
        let streams = config.streams() && kind == SourceKind::Polymarket;
        let stream = streams.then(|| Stream::new(ConnectionSettings::new(&config)));
        Ok(Polymarket {
            kind,
            stream,
            pending: resolution::Pending::default(),
            clock: venue::VenueClock::default(),
            transport: Transport::new(&config, kind)?,
            cache,
        })
    }
}

/// The books of these tokens that the stream keeps and has heard about lately.
fn current(stream: &Stream, tokens: &[TokenId]) -> HashMap<TokenId, Arc<Book>> {
    let mut books = stream.books(tokens);
    let now = SystemClock.now();
    books.retain(|_, book| now.since(book.at) <= QUIET_MS);
    books
}

#[async_trait]
impl MarketData for Polymarket {
    fn kind(&self) -> SourceKind {
        self.kind
    }

    async fn now(&self) -> Result<Timestamp, DataError> {
        if self.kind == SourceKind::Sandbox {
            self.venue_time().await
        } else {
            Ok(SystemClock.now())
        }
    }

    async fn active_markets(&self, query: &MarketQuery) -> Result<Vec<Arc<Market>>, DataError> {
        self.most_traded(query.limit).await
    }

    async fn search(
        &self,
        query: &str,
        limit: usize,
        include_closed: bool,
    ) -> Result<Vec<Arc<Market>>, DataError> {
        self.search_markets(query, limit, include_closed).await
    }

    async fn market(&self, id_or_slug: &str) -> Result<Option<Arc<Market>>, DataError> {
        self.find_market(id_or_slug).await
    }

    async fn markets(&self, ids: &[MarketId]) -> Result<HashMap<MarketId, Arc<Market>>, DataError> {
        self.markets_by_id(ids).await
    }

    async fn market_of_token(&self, token: &TokenId) -> Result<Option<Arc<Market>>, DataError> {
        self.market_with_token(token).await
    }

    async fn event(&self, id_or_slug: &str) -> Result<Option<Event>, DataError> {
        Ok(self.find_event(id_or_slug).await?.map(Arc::unwrap_or_clone))
    }

    async fn books(&self, tokens: &[TokenId]) -> Result<HashMap<TokenId, Arc<Book>>, DataError> {
        let Some(stream) = &self.stream else {
            return self.fetch_books(tokens).await;
        };
        let mut books = current(stream, tokens);
        let rest: Vec<TokenId> = tokens
            .iter()
            .filter(|token| !books.contains_key(*token))
            .cloned()
            .collect();
        if !rest.is_empty() {
            books.extend(self.fetch_books(&rest).await?);
        }
        Ok(books)
    }

    async fn price_history(
        &self,
        token: &TokenId,
        span: HistorySpan,
        fidelity_minutes: u32,
    ) -> Result<Vec<PricePoint>, DataError> {
        self.history_of(token, span, fidelity_minutes).await
    }

    async fn price_histories(
        &self,
        tokens: &[TokenId],
        span: HistorySpan,
        fidelity_minutes: u32,
    ) -> Result<HashMap<TokenId, Vec<PricePoint>>, DataError> {
        self.histories_of(tokens, span, fidelity_minutes).await
    }

    async fn resolutions(&self, markets: &[Arc<Market>]) -> Result<Vec<Resolution>, DataError> {
        self.resolutions_of(markets).await
    }

    async fn event_volume(&self, id_or_slug: &str) -> Result<Option<EventVolume>, DataError> {
        self.volume_of_event(id_or_slug).await
    }

    async fn wallet_positions(
        &self,
        address: &str,
        limit: usize,
    ) -> Result<Vec<WalletPosition>, DataError> {
        self.positions_of(address, limit).await
    }

    async fn leaderboard(&self, period: Period, limit: usize) -> Result<Vec<Trader>, DataError> {
        self.top_traders(period, limit).await
    }

    fn follow(&self, tokens: &[TokenId]) {
        if let Some(stream) = &self.stream {
            stream.follow(tokens);
        }
    }

    fn live_books(&self, tokens: &[TokenId]) -> HashMap<TokenId, Arc<Book>> {
        let stream = self.stream.as_ref();
        stream.map_or_else(HashMap::new, |stream| current(stream, tokens))
    }

    fn pending(&self, market: &MarketId) -> Option<PendingResolution> {
        self.pending.get(market)
    }

    fn changes(&self) -> Option<broadcast::Receiver<StreamEvent>> {
        self.stream.as_ref().map(Stream::changes)
    }

    async fn current_terms(&self, market: &Arc<Market>) -> Result<Arc<Market>, DataError> {
        self.terms_of(market).await
    }

    async fn wallet_summary(&self, address: &str) -> Result<WalletSummary, DataError> {
        self.summary_of(address).await
    }

    async fn market_activity(&self, market: &Market) -> Result<MarketActivity, DataError> {
        self.activity_in(market).await
    }

    async fn trades_since(
        &self,
        market: &Market,
        since: Timestamp,
    ) -> Result<Vec<Print>, DataError> {
        self.prints_since(market, since).await
    }

    async fn check(&self) -> Result<(), DataError> {
        self.check_venue().await
    }

    fn clock_ahead(&self) -> Option<i64> {
        self.clock.ahead()
    }

    async fn measured_clock(&self, gross_ms: i64) -> Option<i64> {
        self.measured(gross_ms).await
    }

    fn health(&self) -> DataHealth {
        let mut health = self.transport.health();
        health.stream = self.stream.as_ref().and_then(Stream::health);
        if let Some(stream) = &health.stream {
            health.notes.push(stream.in_words());
            for (cause, count) in &stream.dropped {
                *health.skipped_rows.entry(cause.clone()).or_insert(0) += count;
            }
        }
        health
    }
}
