//! analyze_market: a dossier for the agent, and the place where it leaves its estimate.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{App, AppError};
use crate::domain::text::clean;
use crate::domain::{Estimate, Intent, Market, MarketStatus, PricePoint, Timestamp, TokenId};
use crate::market_data::HistorySpan;
use crate::server::{Caller, ToolAnnotations, ToolError, ToolSpec, lenient};
use crate::strategy::StrategyContext;
use crate::trading::estimates::Scoring;

use super::activity_words;
use super::markets::books_of;
use super::views::{BookView, SignalView, status_word, tidy};

/// How long an estimate is acted on unless its author says otherwise, hours.
const DEFAULT_HOURS: f64 = 24.0;
/// Longest life of an estimate, hours.
const MAX_HOURS: f64 = 24.0 * 90.0;
/// Longest rationale that is kept, characters.
const MAX_RATIONALE: usize = 2_000;
/// Related markets that a dossier lists.
const RELATED: usize = 10;
/// Levels of each book in a dossier.
const LEVELS: usize = 5;

/// The tools of this file.
pub fn tools() -> Vec<ToolSpec<App>> {
    vec![ToolSpec::new(
        "analyze_market",
        "Analyse a market",
        "Gives a dossier of one market: rules, books, price statistics, related markets, your \
         position, earlier estimates. Pass `probability` to leave your own estimate of the first \
         outcome (or of `outcome`): it is stored, compared with the executable price, and traded by \
         the ai_analyst strategy at coming ticks until it expires. Estimate before looking at the \
         price if you can. Example: {\"market_id\": \"559652\", \"probability\": 0.31, \
         \"rationale\": \"…\", \"author\": \"my-agent\"}.",
        ToolAnnotations {
            read_only: false,
            destructive: false,
            idempotent: true,
            open_world: true,
        },
        analyze_market,
    )]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AnalyzeArgs {
    /// Market id (from search_markets), slug or condition id.
    #[serde(deserialize_with = "lenient::text")]
    market_id: String,
    /// Your estimate that the outcome happens, above 0 and below 1. Leave out for the dossier only.
    #[serde(default, deserialize_with = "lenient::number")]
    probability: Option<f64>,
    /// Outcome that the estimate is of; the first one when left out.
    #[serde(default)]
    outcome: Option<String>,
    /// How sure you are of the estimate itself, 0–1.
    #[serde(default, deserialize_with = "lenient::number")]
    confidence: Option<f64>,
    /// Why, for the record; at most 2000 characters are kept.
    #[serde(default)]
    rationale: Option<String>,
    /// Who estimates; estimates are kept by author.
    #[serde(default)]
    author: Option<String>,
    /// Hours until the estimate is no longer acted on, above 0, at most 2160; 24 when left out.
    #[serde(default, deserialize_with = "lenient::number")]
    expires_in_hours: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct HistoryStats {
    /// Points that the statistics are made of.
    points: usize,
    /// First outcome's price one day ago, 0–1; null when unknown.
    price_1d_ago: Option<f64>,
    /// First outcome's price one week ago, 0–1; null when unknown.
    price_1w_ago: Option<f64>,
    /// Lowest price of the week, 0–1.
    low_1w: Option<f64>,
    /// Highest price of the week, 0–1.
    high_1w: Option<f64>,
    /// Standard deviation of the changes between points; null with fewer than three points.
    volatility: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct EstimateView {
    /// UNTRUSTED text: who estimated.
    author: String,
    /// UNTRUSTED text: outcome.
    outcome: String,
    /// Estimated probability, 0–1.
    probability: f64,
    /// How sure its author was, 0–1; null when not stated.
    confidence: Option<f64>,
    /// UNTRUSTED text: why.
    rationale: String,
    /// Best ask of the outcome then, 0–1.
    ask_then: Option<f64>,
    /// RFC 3339 UTC.
    created_at: String,
    /// RFC 3339 UTC.
    expires_at: String,
    /// True while it is acted on.
    fresh: bool,
    /// The probability by its author's calibration, 0–1: what ai_analyst trades on.
    calibrated: f64,
    /// How well its author scored so far, and which calibration that gave.
    record: String,
}

impl EstimateView {
    fn of(estimate: &Estimate, scoring: &Scoring, now: Timestamp) -> Self {
        let calibration = scoring.calibration(&estimate.author);
        EstimateView {
            calibrated: tidy(calibration.map.apply(estimate.probability)),
            record: record_of(scoring, &estimate.author),
            author: estimate.author.clone(),
            outcome: estimate.outcome.to_string(),
            probability: estimate.probability,
            confidence: estimate.confidence,
            rationale: estimate.rationale.clone(),
            ask_then: estimate.ask_then.map(|price| price.to_f64()),
            created_at: estimate.created_at.to_rfc3339(),
            expires_at: estimate.expires_at.to_rfc3339(),
            fresh: estimate.is_fresh(now),
        }
    }
}

/// An author's record in a line.
fn record_of(scoring: &Scoring, author: &str) -> String {
    let Some(record) = scoring.authors().get(author) else {
        return "no market resolved yet; taken as stated".to_owned();
    };
    let summary = record.summary();
    let mut words = format!("{} markets resolved", summary.resolved);
    if let Some(brier) = summary.brier {
        words += &format!(", Brier {brier:.3}");
    }
    if let Some(beside) = summary.against_market {
        let (own, market) = (beside.brier, beside.market_brier);
        words += &format!(" (where comparable {own:.3}, market {market:.3})");
    }
    words += &format!("; calibration {}", record.calibration());
    words
}

#[derive(Debug, Serialize, JsonSchema)]
struct HeldView {
    /// Token id.
    token_id: String,
    /// UNTRUSTED text: outcome.
    outcome: String,
    /// Shares.
    shares: f64,
    /// Average price paid, 0–1.
    avg_price: Option<f64>,
}

/// Another market of the same event.
#[derive(Debug, Serialize, JsonSchema)]
struct RelatedView {
    /// Market id.
    id: String,
    /// UNTRUSTED text: the question.
    question: String,
    /// First outcome's indicative price, 0–1; null when unknown.
    price: Option<f64>,
    /// open, paused or closed.
    status: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct AnalyzeOut {
    /// Market id.
    market_id: String,
    /// UNTRUSTED text: the question.
    question: String,
    /// Midpoint of the first outcome, 0–1; null when a side of its book is empty.
    current_price: Option<f64>,
    /// What ai_analyst would do on the stored estimates now; null when nothing.
    signal: Option<SignalView>,
    /// In words: what came of the estimate, or why there is no signal.
    result: String,
    /// True when `probability` was passed and is now stored.
    estimate_stored: bool,
    /// Stored estimates of this market, each author's latest, newest first.
    estimates: Vec<EstimateView>,
    /// open, paused or closed.
    status: String,
    /// Scheduled end, RFC 3339 UTC; trading may end later.
    end_date: Option<String>,
    /// pUSD in the last 24 hours; null when unknown.
    volume_24h: Option<f64>,
    /// Set when the data is not the venue's own, e.g. `simulated` or `recorded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// UNTRUSTED text: the rules.
    description: Option<String>,
    /// The book of each outcome.
    books: Vec<BookView>,
    /// Statistics of the first outcome's price.
    history: Option<HistoryStats>,
    /// Other markets of the same event.
    related: Vec<RelatedView>,
    /// What is held of this market.
    position: Vec<HeldView>,
    /// UNTRUSTED text: who trades and holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    activity: Option<String>,
}

async fn analyze_market(
    app: Arc<App>,
    args: AnalyzeArgs,
    caller: Caller,
) -> Result<AnalyzeOut, ToolError> {
    let market = app.market(&args.market_id).await?;
    let wanted = estimate_of(&args, &market, &caller)?;
    let (gathered, history, related, activity) = tokio::join!(
        app.gather_market(market.clone()),
        history_of(&app, &market),
        related_to(&app, &market),
        app.source().market_activity(&market)
    );
    let gathered = gathered?;
    let now = gathered.snapshot.at;
    let stored = match wanted {
        Some(mut estimate) => {
            let book = gathered.snapshot.book(&estimate.token_id);
            estimate.ask_then = book.and_then(|book| book.best_ask());
            estimate.bid_then = book.and_then(|book| book.best_bid());
            let life = estimate.expires_at.since(estimate.created_at);
            estimate.created_at = now;
            estimate.expires_at = now.plus_millis(life);
            app.store_estimate(estimate).await?;
            true
        }
        None => false,
    };
    let (signal, result) = judge(&app, &gathered.snapshot, &market)?;
    let books = books_of(&app, &market).await.unwrap_or_default();
    let ledger = app.ledger()?;
    let mut estimates: Vec<&Estimate> = ledger
        .estimates()
        .get(&market.id)
        .into_iter()
        .flatten()
        .collect();
    estimates.sort_by_key(|estimate| std::cmp::Reverse(estimate.created_at));
    Ok(AnalyzeOut {
        market_id: market.id.to_string(),
        question: market.question.clone(),
        current_price: books
            .iter()
            .find(|book| {
                market
                    .outcomes
                    .first()
                    .is_some_and(|o| o.token == book.token)
            })
            .and_then(|book| book.mid())
            .map(tidy),
        signal,
        result,
        estimate_stored: stored,
        estimates: estimates
            .into_iter()
            .map(|e| EstimateView::of(e, ledger.scoring(), now))
            .collect(),
        status: status_word(market.status).to_owned(),
        end_date: market.end.map(|end| end.to_rfc3339()),
        volume_24h: market.volume_24h.map(|amount| amount.to_f64()),
        label: market.label.clone(),
        description: market.description.clone(),
        books: books
            .iter()
            .map(|book| {
                let name = market
                    .outcome_of(&book.token)
                    .map_or("", |(_, o)| o.name.as_str());
                BookView::of(book, name, LEVELS)
            })
            .collect(),
        history,
        related,
        position: ledger
            .positions()
            .values()
            .filter(|position| position.market_id == market.id)
            .map(|position| HeldView {
                token_id: position.token_id.to_string(),
                outcome: position.outcome.to_string(),
                shares: position.shares.to_f64(),
                avg_price: position.average_price().map(tidy),
            })
            .collect(),
        // A dossier without it is a dossier all the same.
        activity: activity
            .ok()
            .and_then(|activity| activity_words::of(&market, &activity, now)),
    })
}

/// The estimate that the arguments state, with its life counted from zero.
fn estimate_of(
    args: &AnalyzeArgs,
    market: &Market,
    caller: &Caller,
) -> Result<Option<Estimate>, ToolError> {
    let Some(probability) = args.probability else {
        return Ok(None);
    };
    if market.status == MarketStatus::Closed {
        return Err(ToolError::new(
            "market_not_tradable",
            "the market is closed: an estimate of it would be neither traded nor scored",
            "Leave `probability` out for the dossier, or estimate a market that is open.",
        ));
    }
    let range = |what: &str, value: f64, hint: &str| {
        ToolError::new(
            "bad_arguments",
            format!("{what} is {value}, which is out of range"),
            hint,
        )
    };
    if !(probability > 0.0 && probability < 1.0) {
        let hint = "A probability lies strictly between 0 and 1, e.g. 0.31.";
        return Err(range("probability", probability, hint));
    }
    if let Some(confidence) = args.confidence
        && !(0.0..=1.0).contains(&confidence)
    {
        return Err(range(
            "confidence",
            confidence,
            "Confidence lies between 0 and 1.",
        ));
    }
    let hours = args.expires_in_hours.unwrap_or(DEFAULT_HOURS);
    if !(hours > 0.0 && hours <= MAX_HOURS) {
        let hint = "Use a number of hours above 0, at most 2160 (90 days).";
        return Err(range("expires_in_hours", hours, hint));
    }
    let outcome = match &args.outcome {
        Some(name) => market.outcome_named(name).ok_or_else(|| {
            let names: Vec<&str> = market.outcomes.iter().map(|o| o.name.as_str()).collect();
            ToolError::new(
                "bad_arguments",
                format!("the market has no outcome `{}`", clean(name, 60)),
                format!("Its outcomes are: {}.", names.join(", ")),
            )
        })?,
        None => market.outcomes.iter().enumerate().next().ok_or_else(|| {
            ToolError::new(
                "market_not_tradable",
                "the market has no outcomes",
                "Choose another.",
            )
        })?,
    };
    let author = args
        .author
        .as_deref()
        .map(|name| clean(name, 60))
        .filter(|name| !name.is_empty());
    Ok(Some(Estimate {
        market_id: market.id.clone(),
        token_id: outcome.1.token.clone(),
        outcome: outcome.1.name.clone(),
        probability,
        confidence: args.confidence,
        author: author.unwrap_or_else(|| caller.kind.to_string()),
        rationale: clean(args.rationale.as_deref().unwrap_or_default(), MAX_RATIONALE),
        ask_then: None,
        bid_then: None,
        created_at: Timestamp::default(),
        expires_at: Timestamp::from_millis((hours * 3_600_000.0) as i64),
    }))
}

/// What ai_analyst makes of the market now.
fn judge(
    app: &App,
    snapshot: &crate::domain::Snapshot,
    market: &Market,
) -> Result<(Option<SignalView>, String), ToolError> {
    let Some(analyst) = app.strategies().get("ai_analyst") else {
        let text = "the ai_analyst strategy is not enabled in config.yaml, so estimates are kept but \
                    not traded";
        return Ok((None, text.to_owned()));
    };
    let ledger = app.ledger()?;
    let calibrations = ledger.calibrations();
    let context = StrategyContext {
        calibrations: &calibrations,
        snapshot,
        positions: ledger.positions(),
        resting: ledger.resting(),
        estimates: ledger.estimates(),
    };
    let analysis = analyst
        .analyze(&context)
        .map_err(|error| ToolError::internal(error.to_string()))?;
    let signal = analysis.intents.iter().find_map(|intent| match intent {
        Intent::Directional(signal) if signal.market_id == market.id => Some(signal),
        _ => None,
    });
    match signal {
        Some(signal) => {
            let words = format!(
                "ai_analyst would {} {} at {} or better: edge {:.4} pUSD per share after fee",
                signal.side.as_str(),
                signal.outcome,
                signal.target_price,
                signal.edge
            );
            Ok((Some(SignalView::of(signal)), words))
        }
        None => {
            let cause = analysis.passed_over.keys().next().cloned();
            let cause = cause.unwrap_or_else(|| "the market is not open".to_owned());
            Ok((None, format!("no trade: {cause}")))
        }
    }
}

async fn history_of(app: &App, market: &Market) -> Option<HistoryStats> {
    let token: TokenId = market.outcomes.first()?.token.clone();
    let points = app
        .source()
        .price_history(&token, HistorySpan::Week, 60)
        .await
        .ok()?;
    Some(stats(&points))
}

fn stats(points: &[PricePoint]) -> HistoryStats {
    const DAY_MS: i64 = 86_400_000;
    let last = points.last().map(|point| point.at);
    let ago = |millis: i64| {
        let moment = last?.plus_millis(-millis);
        points
            .iter()
            .rev()
            .find(|point| point.at <= moment)
            .map(|point| tidy(point.price))
    };
    let changes: Vec<f64> = points
        .windows(2)
        .filter_map(|pair| Some(pair.get(1)?.price - pair.first()?.price))
        .collect();
    let volatility = (changes.len() >= 2).then(|| {
        let count = changes.len() as f64;
        let mean = changes.iter().sum::<f64>() / count;
        tidy((changes.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt())
    });
    let prices = || points.iter().map(|point| point.price);
    HistoryStats {
        points: points.len(),
        price_1d_ago: ago(DAY_MS),
        price_1w_ago: ago(7 * DAY_MS - 3_600_000),
        low_1w: prices().min_by(f64::total_cmp).map(tidy),
        high_1w: prices().max_by(f64::total_cmp).map(tidy),
        volatility,
    }
}

async fn related_to(app: &App, market: &Market) -> Vec<RelatedView> {
    let Some(event_id) = &market.event_id else {
        return Vec::new();
    };
    let event = app
        .source()
        .event(event_id.as_str())
        .await
        .map_err(AppError::from);
    event
        .ok()
        .flatten()
        .map(|event| {
            event
                .markets
                .iter()
                .filter(|other| other.id != market.id)
                .take(RELATED)
                .map(|other| RelatedView {
                    id: other.id.to_string(),
                    question: other.question.clone(),
                    price: other
                        .outcomes
                        .first()
                        .and_then(|outcome| outcome.indicative_price)
                        .map(|price| price.to_f64()),
                    status: status_word(other.status).to_owned(),
                })
                .collect()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_statistics_by_hand() {
        let day = 86_400_000;
        let point = |days: f64, price: f64| PricePoint {
            at: Timestamp::from_millis((days * day as f64) as i64),
            price,
        };
        let seen = stats(&[
            point(0.0, 0.40),
            point(1.0, 0.50),
            point(2.0, 0.45),
            point(3.0, 0.55),
        ]);
        assert_eq!(seen.points, 4);
        assert_eq!(seen.price_1d_ago, Some(0.45));
        assert_eq!((seen.low_1w, seen.high_1w), (Some(0.40), Some(0.55)));
        // changes 0.10, −0.05, 0.10: mean 0.05, squares 0.0025 + 0.01 + 0.0025, / 2 → 0.0075
        assert_eq!(seen.volatility, Some(0.086603));
        assert_eq!(stats(&[]).price_1d_ago, None);
    }
}
