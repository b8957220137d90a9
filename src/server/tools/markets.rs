//! Market data: search_markets, get_market_detail, get_price_history, get_event, get_price,
//! get_spread, get_volume.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{App, AppError};
use crate::domain::text::clean;
use crate::domain::{Book, Market, Timestamp, TokenId};
use crate::market_data::HistorySpan;
use crate::server::{Caller, Limit, ToolAnnotations, ToolError, ToolSpec, lenient};

use super::views::{BookView, MarketSummary, tidy};

/// Levels of a book that a detail shows.
const LEVELS: usize = 5;

/// The tools of this file.
pub fn tools() -> Vec<ToolSpec<App>> {
    let reads = ToolAnnotations::READ_OUTSIDE;
    vec![
        ToolSpec::new(
            "search_markets",
            "Search markets",
            "Find prediction markets by words of their question. Returns ids, token ids, indicative \
             prices and volumes of open markets, most relevant first. Example: {\"query\": \
             \"fed rate cut\", \"limit\": 10}.",
            reads,
            search_markets,
        ),
        ToolSpec::new(
            "get_market_detail",
            "Market detail",
            "One market with its rules, tick, minimum size, fee and the order book of each outcome.",
            reads,
            get_market_detail,
        ),
        ToolSpec::new(
            "get_price_history",
            "Price history",
            "Past prices of one token, oldest first: by interval (1h, 6h, 1d, 1w, 1m = one month, \
             all) or by start and end. Long answers are thinned evenly to `limit` points.",
            reads,
            get_price_history,
        ),
        ToolSpec::new(
            "get_event",
            "Event",
            "One event by id or slug with the markets that belong to it.",
            reads,
            get_event,
        ),
        ToolSpec::new(
            "get_price",
            "Price of a token",
            "Best bid, best ask and spread of one token from its order book. A side that nobody \
             quotes is null, never 0.",
            reads,
            get_price,
        ),
        ToolSpec::new(
            "get_spread",
            "Spread of a token",
            "Best ask − best bid of one token, 0–1; null when a side is empty.",
            reads,
            get_spread,
        ),
        ToolSpec::new(
            "get_volume",
            "Volume of an event",
            "Traded volume of an event in pUSD, in total and by market.",
            reads,
            get_volume,
        ),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchArgs {
    /// Words, e.g. "bitcoin 100k", or "tag:crypto"; left out, the most traded open markets.
    #[serde(default)]
    query: String,
    /// Most markets to return, 1–100.
    #[serde(default)]
    limit: Limit<25, 100>,
    /// True to find closed markets too.
    #[serde(default, deserialize_with = "lenient::boolean")]
    include_closed: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct SearchOut {
    /// Matching markets.
    markets: Vec<MarketSummary>,
    /// How many there are here.
    count: usize,
    /// polymarket, sandbox or recorded.
    source: String,
}

async fn search_markets(
    app: Arc<App>,
    args: SearchArgs,
    _: Caller,
) -> Result<SearchOut, ToolError> {
    let query = clean(&args.query, 200);
    let limit = args.limit.get();
    let named = if names_one_market(&query) {
        app.known_market(&query).await
    } else {
        None
    };
    let markets = match named {
        Some(market) => vec![market],
        None if query.is_empty() => app.most_traded(limit).await?,
        None => app
            .source()
            .search(&query, limit, args.include_closed)
            .await
            .map_err(AppError::from)?,
    };
    let markets: Vec<MarketSummary> = markets.iter().map(|m| MarketSummary::of(m)).collect();
    Ok(SearchOut {
        count: markets.len(),
        markets,
        source: app.source_kind().as_str().to_owned(),
    })
}

/// True for what can only be meant as an id, a slug or a condition id, not as words: a year or a
/// round number is looked for in questions.
fn names_one_market(query: &str) -> bool {
    let id = query.len() >= 6 && query.bytes().all(|b| b.is_ascii_digit());
    let slug = query.contains('-') && !query.contains(char::is_whitespace);
    (id && !query.ends_with("000")) || slug || query.starts_with("0x")
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MarketArgs {
    /// Market id (from search_markets), slug or condition id.
    #[serde(deserialize_with = "lenient::text")]
    market_id: String,
}

/// The top of a book.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BestPrices {
    /// Highest bid, 0–1; null when nobody bids.
    best_bid: Option<f64>,
    /// Lowest ask, 0–1; null when nobody offers.
    best_ask: Option<f64>,
    /// Mean of both; null when one is missing.
    midpoint: Option<f64>,
    /// Ask − bid; null when one is missing.
    spread: Option<f64>,
}

impl BestPrices {
    fn of(book: &Book) -> Self {
        BestPrices {
            best_bid: book.best_bid().map(|price| price.to_f64()),
            best_ask: book.best_ask().map(|price| price.to_f64()),
            midpoint: book.mid().map(tidy),
            spread: book.spread().map(tidy),
        }
    }
}

/// A market with its terms and books.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DetailOut {
    #[serde(flatten)]
    market: MarketSummary,
    /// UNTRUSTED text: the rules.
    description: Option<String>,
    /// Smallest price step, 0–1.
    tick_size: f64,
    /// Smallest resting order, shares.
    min_order_size: f64,
    /// Taker fee = shares × rate × (p·(1−p))^exponent, pUSD.
    fee_rate: f64,
    /// Exponent of the fee formula.
    fee_exponent: u8,
    /// True when this is one of several mutually exclusive outcomes of its event.
    neg_risk: bool,
    /// Best prices of the first outcome; null when it has no book.
    orderbook: Option<BestPrices>,
    /// The book of each outcome that has one.
    books: Vec<BookView>,
}

async fn get_market_detail(
    app: Arc<App>,
    args: MarketArgs,
    _: Caller,
) -> Result<DetailOut, ToolError> {
    market_detail(&app, &args.market_id).await
}

/// One market by id, slug or condition id, as the tool and the resource show it; asks the source.
/// Errors: `not_found` when there is none, else what the source said.
pub async fn market_detail(app: &App, id: &str) -> Result<DetailOut, ToolError> {
    let market = app.market(id).await?;
    let books = books_of(app, &market).await?;
    let first = market.outcomes.first().and_then(|outcome| {
        books
            .iter()
            .find(|book| book.token == outcome.token)
            .map(|book| BestPrices::of(book))
    });
    Ok(DetailOut {
        market: MarketSummary::of(&market),
        description: market.description.clone(),
        tick_size: market.tick.to_f64(),
        min_order_size: market.min_size.to_f64(),
        fee_rate: market.fee.rate(),
        fee_exponent: market.fee.exponent(),
        neg_risk: market.neg_risk,
        orderbook: first,
        books: books
            .iter()
            .map(|book| {
                let name = market
                    .outcome_of(&book.token)
                    .map_or("", |(_, o)| o.name.as_str());
                BookView::of(book, name, LEVELS)
            })
            .collect(),
    })
}

/// The books of a market's outcomes, in their order; those that have none are missing.
pub(super) async fn books_of(app: &App, market: &Market) -> Result<Vec<Arc<Book>>, ToolError> {
    let tokens: Vec<TokenId> = market.outcomes.iter().map(|o| o.token.clone()).collect();
    let mut found = app.source().books(&tokens).await.map_err(AppError::from)?;
    Ok(tokens
        .iter()
        .filter_map(|token| found.remove(token))
        .collect())
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HistoryArgs {
    /// Token id.
    #[serde(deserialize_with = "lenient::text")]
    token_id: String,
    /// 1h, 6h, 1d, 1w, 1m (one month) or all.
    #[serde(default = "one_day")]
    interval: String,
    /// Instead of interval: from this moment, RFC 3339 or unix seconds.
    #[serde(default, deserialize_with = "lenient::text")]
    start: Option<String>,
    /// With start: to this moment; now when left out.
    #[serde(default, deserialize_with = "lenient::text")]
    end: Option<String>,
    /// Wanted minutes between points, 1–1440.
    #[serde(default)]
    fidelity: Limit<60, 1440>,
    /// Most points to return, 1–5000.
    #[serde(default)]
    limit: Limit<200, 5000>,
}

fn one_day() -> String {
    "1d".to_owned()
}

#[derive(Debug, Serialize, JsonSchema)]
struct Point {
    /// RFC 3339 UTC.
    timestamp: String,
    /// Price, 0–1.
    price: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct HistoryOut {
    /// Token id.
    token_id: String,
    /// Points, oldest first.
    points: Vec<Point>,
    /// Points that the source had, before thinning.
    available: usize,
}

async fn get_price_history(
    app: Arc<App>,
    args: HistoryArgs,
    _: Caller,
) -> Result<HistoryOut, ToolError> {
    let span = span_of(&app, &args).await?;
    let token = TokenId::new(&args.token_id);
    let fidelity = u32::try_from(args.fidelity.get()).unwrap_or(60);
    let points = app
        .source()
        .price_history(&token, span, fidelity)
        .await
        .map_err(AppError::from)?;
    let available = points.len();
    let points = thin(&points, args.limit.get())
        .into_iter()
        .map(|point| Point {
            timestamp: point.at.to_rfc3339(),
            price: tidy(point.price),
        })
        .collect();
    Ok(HistoryOut {
        token_id: args.token_id,
        points,
        available,
    })
}

async fn span_of(app: &App, args: &HistoryArgs) -> Result<HistorySpan, ToolError> {
    if args.start.is_none() && args.end.is_some() {
        return Err(ToolError::bad_arguments("end needs start"));
    }
    let Some(start) = &args.start else {
        return match args.interval.as_str() {
            "1h" => Ok(HistorySpan::Hour),
            "6h" => Ok(HistorySpan::SixHours),
            "1d" => Ok(HistorySpan::Day),
            "1w" => Ok(HistorySpan::Week),
            "1m" => Ok(HistorySpan::Month),
            "all" | "max" => Ok(HistorySpan::All),
            other => Err(ToolError::new(
                "bad_arguments",
                format!("interval {} is not known", clean(other, 20)),
                "Use 1h, 6h, 1d, 1w, 1m (one month) or all; or start and end.",
            )),
        };
    };
    let moment = |name: &str, text: &str| {
        Timestamp::parse(text).ok_or_else(|| {
            ToolError::new(
                "bad_arguments",
                format!("{name} `{}` is not a moment", clean(text, 40)),
                "Use RFC 3339, e.g. 2026-02-27T08:00:00Z, or unix seconds.",
            )
        })
    };
    let start = moment("start", start)?;
    let end = match &args.end {
        Some(end) => moment("end", end)?,
        None => app.source().now().await.map_err(AppError::from)?,
    };
    if end <= start {
        return Err(ToolError::bad_arguments(format!(
            "end {end} is not after start {start}"
        )));
    }
    Ok(HistorySpan::Between(start, end))
}

/// At most `limit` items, evenly spread, first and last kept.
pub(super) fn thin<T: Clone>(items: &[T], limit: usize) -> Vec<T> {
    if items.len() <= limit {
        return items.to_vec();
    }
    let last = items.len() - 1;
    let steps = limit.max(2) - 1;
    (0..limit)
        .filter_map(|index| items.get(index * last / steps).cloned())
        .collect()
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EventArgs {
    /// Event id or slug.
    #[serde(deserialize_with = "lenient::text")]
    event_id: String,
    /// Most markets to return, 1–200.
    #[serde(default)]
    limit: Limit<50, 200>,
}

/// A market as its event lists it.
#[derive(Debug, Serialize, JsonSchema)]
struct EventMarket {
    /// Market id.
    id: String,
    /// UNTRUSTED text: the question.
    question: String,
    /// UNTRUSTED text: outcome names.
    outcomes: Vec<String>,
    /// Indicative prices in the same order, 0–1; null when unknown.
    outcome_prices: Vec<Option<f64>>,
    /// Token ids in the same order.
    clob_token_ids: Vec<String>,
    /// open, paused or closed.
    status: String,
}

impl EventMarket {
    fn of(market: &Market) -> Self {
        let MarketSummary {
            id,
            question,
            outcomes,
            outcome_prices,
            clob_token_ids,
            status,
            ..
        } = MarketSummary::of(market);
        EventMarket {
            id,
            question,
            outcomes,
            outcome_prices,
            clob_token_ids,
            status,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct EventOut {
    /// Event id.
    id: String,
    /// Slug, where known.
    slug: Option<String>,
    /// UNTRUSTED text: the title.
    title: String,
    /// UNTRUSTED text: the description.
    description: Option<String>,
    /// True while trading goes on.
    active: bool,
    /// True when trading on the whole event is over.
    closed: bool,
    /// True when its markets are mutually exclusive.
    neg_risk: bool,
    /// pUSD since the start; null when unknown.
    volume: Option<f64>,
    /// pUSD in the last 24 hours; null when unknown.
    volume_24h: Option<f64>,
    /// pUSD in the books; null when unknown.
    liquidity: Option<f64>,
    /// RFC 3339 UTC.
    start_date: Option<String>,
    /// RFC 3339 UTC.
    end_date: Option<String>,
    /// Its markets.
    markets: Vec<EventMarket>,
    /// How many markets the event has; more than are listed when `limit` cut the list.
    market_count: usize,
}

async fn get_event(app: Arc<App>, args: EventArgs, _: Caller) -> Result<EventOut, ToolError> {
    let event = app
        .source()
        .event(&args.event_id)
        .await
        .map_err(AppError::from)?;
    let event = event.ok_or_else(|| unknown_event(&args.event_id))?;
    Ok(EventOut {
        id: event.id.to_string(),
        slug: event.slug,
        title: event.title,
        description: event.description,
        active: !event.closed,
        closed: event.closed,
        neg_risk: event.neg_risk,
        volume: event.volume.map(|amount| amount.to_f64()),
        volume_24h: event.volume_24h.map(|amount| amount.to_f64()),
        liquidity: event.liquidity.map(|amount| amount.to_f64()),
        start_date: event.start.map(|moment| moment.to_rfc3339()),
        end_date: event.end.map(|moment| moment.to_rfc3339()),
        market_count: event.markets.len(),
        markets: event
            .markets
            .iter()
            .take(args.limit.get())
            .map(EventMarket::of)
            .collect(),
    })
}

fn unknown_event(id: &str) -> ToolError {
    ToolError::new(
        "not_found",
        format!("Event {} not found", clean(id, 80)),
        "search_markets gives the event_id of each market.",
    )
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TokenArgs {
    /// Token id (clob_token_ids of search_markets).
    #[serde(deserialize_with = "lenient::text")]
    token_id: String,
}

async fn book_of(app: &App, token_id: &str) -> Result<Arc<Book>, ToolError> {
    let token = TokenId::new(token_id);
    let mut books = app
        .source()
        .books(std::slice::from_ref(&token))
        .await
        .map_err(AppError::from)?;
    books.remove(&token).ok_or_else(|| {
        ToolError::new(
            "no_book",
            format!("there is no order book for token {}", clean(token_id, 90)),
            "The market may be closed, or the id wrong: get_market_detail lists token ids.",
        )
    })
}

#[derive(Debug, Serialize, JsonSchema)]
struct PriceOut {
    /// Token id.
    token_id: String,
    /// Highest bid, 0–1; null when nobody bids.
    bid: Option<f64>,
    /// Lowest ask, 0–1; null when nobody offers.
    ask: Option<f64>,
    /// Ask − bid; null when one is missing.
    spread: Option<f64>,
    /// Mean of both; null when one is missing.
    midpoint: Option<f64>,
    /// When the book was obtained, RFC 3339 UTC.
    at: String,
}

async fn get_price(app: Arc<App>, args: TokenArgs, _: Caller) -> Result<PriceOut, ToolError> {
    let book = book_of(&app, &args.token_id).await?;
    Ok(PriceOut {
        token_id: args.token_id,
        bid: book.best_bid().map(|price| price.to_f64()),
        ask: book.best_ask().map(|price| price.to_f64()),
        spread: book.spread().map(tidy),
        midpoint: book.mid().map(tidy),
        at: book.at.to_rfc3339(),
    })
}

#[derive(Debug, Serialize, JsonSchema)]
struct SpreadOut {
    /// Token id.
    token_id: String,
    /// Ask − bid, 0–1; null when one is missing.
    spread: Option<f64>,
}

async fn get_spread(app: Arc<App>, args: TokenArgs, _: Caller) -> Result<SpreadOut, ToolError> {
    let book = book_of(&app, &args.token_id).await?;
    Ok(SpreadOut {
        token_id: args.token_id,
        spread: book.spread().map(tidy),
    })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct VolumeArgs {
    /// Event id or slug.
    #[serde(deserialize_with = "lenient::text")]
    event_id: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct MarketVolume {
    /// Market or condition id.
    market: String,
    /// pUSD.
    volume: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct VolumeOut {
    /// Event id.
    event_id: String,
    /// pUSD in total; null when unknown.
    total: Option<f64>,
    /// By market.
    markets: Vec<MarketVolume>,
}

async fn get_volume(app: Arc<App>, args: VolumeArgs, _: Caller) -> Result<VolumeOut, ToolError> {
    let volume = app
        .source()
        .event_volume(&args.event_id)
        .await
        .map_err(AppError::from)?;
    let volume = volume.ok_or_else(|| unknown_event(&args.event_id))?;
    Ok(VolumeOut {
        event_id: volume.event_id.to_string(),
        total: volume.total.map(|amount| amount.to_f64()),
        markets: volume
            .by_market
            .iter()
            .map(|(market, amount)| MarketVolume {
                market: market.clone(),
                volume: amount.to_f64(),
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::thin;

    #[test]
    fn thinning_keeps_the_ends_and_the_number() {
        let all: Vec<u32> = (0..101).collect();
        assert_eq!(thin(&all, 5), [0, 25, 50, 75, 100]);
        assert_eq!(thin(&all, 200).len(), 101);
        assert_eq!(thin(&all, 1).len(), 1);
    }
}
