//! Where prices and books come from: one trait, one folder or file per source.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::domain::{
    Book, Event, EventId, Market, MarketId, PendingResolution, PricePoint, Print, Resolution,
    Shares, Side, SourceKind, Timestamp, TokenId, Usdc,
};

pub mod download;
mod error;
pub mod polymarket;
pub mod recorded;
pub mod recorder;
pub mod stream_event;

pub use error::DataError;
pub use stream_event::{StreamEvent, StreamHealth};

/// Which markets to list: open ones, most traded in the last 24 hours first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketQuery {
    /// At most so many.
    pub limit: usize,
}

/// A stretch of price history: the venue's named intervals, or from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistorySpan {
    /// The last hour.
    Hour,
    /// The last six hours.
    SixHours,
    /// The last day.
    Day,
    /// The last week.
    Week,
    /// The last month.
    Month,
    /// All there is.
    All,
    /// From the first moment to the second.
    Between(Timestamp, Timestamp),
}

/// What a tick sees of the past, on every source and in every backtest: a strategy that looked
/// further back would decide otherwise on paper than in its backtest.
pub const TICK_HISTORY: HistorySpan = HistorySpan::Week;
/// [`TICK_HISTORY`] in ms: its first moment is this long before the tick, both ends included.
pub const TICK_HISTORY_MS: i64 = 7 * 24 * 60 * 60_000;
/// Spacing of the points of [`TICK_HISTORY`]: the latest in each such step of the clock.
pub const TICK_HISTORY_FIDELITY_MINUTES: u32 = 10;

/// Somebody's holding as the venue states it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WalletPosition {
    /// Untrusted title of the market.
    pub market: String,
    /// Condition id.
    pub condition_id: Option<String>,
    /// Token id.
    pub token_id: Option<String>,
    /// Untrusted outcome name.
    pub outcome: String,
    /// Shares.
    pub shares: f64,
    /// Average price paid, 0–1.
    pub avg_price: Option<f64>,
    /// Price now, 0–1.
    pub current_price: Option<f64>,
    /// Unrealised profit, pUSD.
    pub pnl: Option<f64>,
    /// `OPEN`, `REDEEMABLE`, … as the venue says.
    pub status: Option<String>,
}

/// One line of the leaderboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trader {
    /// 1 is best.
    pub rank: u32,
    /// Untrusted name.
    pub name: String,
    /// Proxy wallet.
    pub address: Option<String>,
    /// Volume in the period, pUSD.
    pub volume: Option<f64>,
    /// Profit in the period, pUSD.
    pub pnl: Option<f64>,
    /// Markets traded, where the venue says.
    pub markets_traded: Option<u64>,
}

/// Period of the leaderboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// Today.
    Day,
    /// Seven days.
    Week,
    /// Thirty days.
    Month,
    /// Since the beginning.
    All,
}

/// Traded volume of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventVolume {
    /// The event.
    pub event_id: EventId,
    /// pUSD.
    pub total: Option<Usdc>,
    /// pUSD by market or condition id.
    pub by_market: Vec<(String, Usdc)>,
}

/// What a wallet is, beside its positions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WalletSummary {
    /// What its positions are worth by the venue's account, pUSD; `None` when it does not say.
    pub value: Option<f64>,
    /// The proxy (deposit) wallet of the profile that the address belongs to: the address itself,
    /// or another one, which then holds the positions. `None` when the venue knows no profile.
    pub proxy: Option<String>,
}

/// One side of a trade that somebody took.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenTrade {
    /// Token.
    pub token: TokenId,
    /// Bought or sold.
    pub side: Side,
    /// Shares.
    pub shares: f64,
    /// Price, 0–1.
    pub price: f64,
    /// When.
    pub at: Timestamp,
}

/// A large holder of one outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Holder {
    /// Token held.
    pub token: TokenId,
    /// Proxy wallet.
    pub address: String,
    /// Shares.
    pub shares: f64,
}

/// Who trades and who holds a market. A list is `None` when the venue did not say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MarketActivity {
    /// Recent trades, newest first.
    pub trades: Option<Vec<TakenTrade>>,
    /// Largest holders of each outcome, largest first.
    pub holders: Option<Vec<Holder>>,
    /// What takers traded since the market began, shares.
    pub taker_volume: Option<Shares>,
}

/// How the source is doing, for `health_check`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DataHealth {
    /// Requests sent (files read, for a recording).
    pub requests: u64,
    /// Requests that failed in the end.
    pub failures: u64,
    /// Rows skipped because they made no sense, by cause.
    pub skipped_rows: BTreeMap<String, u64>,
    /// What went wrong last, if anything has.
    pub last_error: Option<String>,
    /// When something last went right.
    pub last_success: Option<Timestamp>,
    /// Remarks that hold for all answers, e.g. that books are synthesised.
    pub notes: Vec<String>,
    /// How the stream of books does; `None` where there is none or nothing is followed yet.
    pub stream: Option<StreamHealth>,
}

/// A source of market data. All methods may be called concurrently; dropping a call's future
/// cancels its requests.
#[async_trait]
pub trait MarketData: Send + Sync {
    /// What kind of source this is.
    fn kind(&self) -> SourceKind;

    /// The present, as this source sees it: the wall clock for the venue, simulated time for a
    /// sandbox, the chosen moment for a recording.
    async fn now(&self) -> Result<Timestamp, DataError>;

    /// Open markets, most traded first.
    async fn active_markets(&self, query: &MarketQuery) -> Result<Vec<Arc<Market>>, DataError>;

    /// Markets whose text matches; open ones only unless `include_closed`.
    async fn search(
        &self,
        query: &str,
        limit: usize,
        include_closed: bool,
    ) -> Result<Vec<Arc<Market>>, DataError>;

    /// One market by id, slug or condition id; `None` when there is none.
    async fn market(&self, id_or_slug: &str) -> Result<Option<Arc<Market>>, DataError>;

    /// Several markets by id; those that do not exist are missing from the answer.
    async fn markets(&self, ids: &[MarketId]) -> Result<HashMap<MarketId, Arc<Market>>, DataError>;

    /// The market that a token belongs to; `None` when there is none.
    async fn market_of_token(&self, token: &TokenId) -> Result<Option<Arc<Market>>, DataError>;

    /// One event by id or slug, with its markets; `None` when there is none.
    async fn event(&self, id_or_slug: &str) -> Result<Option<Event>, DataError>;

    /// Books of several tokens at once; tokens without a book are missing from the answer.
    async fn books(&self, tokens: &[TokenId]) -> Result<HashMap<TokenId, Arc<Book>>, DataError>;

    /// Past prices of one token, oldest first. `fidelity_minutes` is the wanted spacing.
    async fn price_history(
        &self,
        token: &TokenId,
        span: HistorySpan,
        fidelity_minutes: u32,
    ) -> Result<Vec<PricePoint>, DataError>;

    /// Past prices of several tokens over the same span; tokens without any are missing.
    async fn price_histories(
        &self,
        tokens: &[TokenId],
        span: HistorySpan,
        fidelity_minutes: u32,
    ) -> Result<HashMap<TokenId, Vec<PricePoint>>, DataError>;

    /// How the given markets ended; those that have not are missing from the answer.
    async fn resolutions(&self, markets: &[Arc<Market>]) -> Result<Vec<Resolution>, DataError>;

    /// Traded volume of an event, by id or slug; `None` when there is no such event.
    async fn event_volume(&self, id_or_slug: &str) -> Result<Option<EventVolume>, DataError>;

    /// Holdings of a wallet (`0x` and 40 hex digits).
    async fn wallet_positions(
        &self,
        address: &str,
        limit: usize,
    ) -> Result<Vec<WalletPosition>, DataError>;

    /// The most profitable traders of a period.
    async fn leaderboard(&self, period: Period, limit: usize) -> Result<Vec<Trader>, DataError>;

    /// Keeps the books of exactly these tokens current from now on, where the source can: a later
    /// call replaces the set, the same set again changes nothing, an empty one ends it. Must be
    /// called inside an async runtime. [`MarketData::books`] then answers from them at once.
    /// A source without a stream does nothing.
    fn follow(&self, _tokens: &[TokenId]) {}

    /// Those books of these tokens that a stream keeps current. Asks nobody; empty where there is no
    /// stream.
    fn live_books(&self, _tokens: &[TokenId]) -> HashMap<TokenId, Arc<Book>> {
        HashMap::new()
    }

    /// How far the source was with a market's end when it was last asked; `None` where it did not
    /// say, or the market has resolved.
    fn pending(&self, _market: &MarketId) -> Option<PendingResolution> {
        None
    }

    /// What happens to the followed tokens from now on; `None` where the source has no stream. A
    /// receiver that falls behind is told so and should look at all its books again.
    fn changes(&self) -> Option<broadcast::Receiver<StreamEvent>> {
        None
    }

    /// The market with the fee, tick, minimum size and status that an order meets now, from where the
    /// source is sure of them. As given where there is no better place.
    async fn current_terms(&self, market: &Arc<Market>) -> Result<Arc<Market>, DataError> {
        Ok(Arc::clone(market))
    }

    /// What a wallet is, beside its positions (`0x` and 40 hex digits).
    async fn wallet_summary(&self, _address: &str) -> Result<WalletSummary, DataError> {
        Err(self.lacks("the value of a wallet"))
    }

    /// Who trades and who holds a market. An error only when nothing could be found out.
    async fn market_activity(&self, _market: &Market) -> Result<MarketActivity, DataError> {
        Err(self.lacks("the activity in a market"))
    }

    /// What takers traded in a market after `since` as far as the source tells, oldest first. Times may
    /// be cut to whole seconds.
    async fn trades_since(
        &self,
        _market: &Market,
        _since: Timestamp,
    ) -> Result<Vec<Print>, DataError> {
        Err(self.lacks("trades of others"))
    }

    /// Asks the source for something small, so that [`MarketData::health`] knows whether it answers,
    /// and what is odd about it.
    async fn check(&self) -> Result<(), DataError> {
        self.active_markets(&MarketQuery { limit: 1 })
            .await
            .map(drop)
    }

    /// How far this machine's clock is ahead of the source's, ms, negative when it is behind: as measured
    /// last and carried on by a clock that nobody sets. `None` before that, and where time is simulated
    /// or recorded. Asks nobody.
    fn clock_ahead(&self) -> Option<i64> {
        None
    }

    /// The same, asked of the source where it is not known, or is more than `gross_ms` away.
    async fn measured_clock(&self, _gross_ms: i64) -> Option<i64> {
        None
    }

    /// The error for what this source does not have.
    fn lacks(&self, what: &str) -> DataError {
        DataError::Unsupported {
            what: what.to_owned(),
            from: self.kind().as_str().to_owned(),
        }
    }

    /// How the source is doing.
    fn health(&self) -> DataHealth;
}
