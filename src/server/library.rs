//! What MCP clients can read by address: the account, its record, the dashboard, reports, markets.

use std::sync::Arc;

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Serialize;

use crate::app::App;
use crate::backtest::report::png_of_curve;
use crate::domain::text::{MAX_NAME, clean};
use crate::domain::{Timestamp, Usdc};
use crate::store::{BacktestRow, BacktestSummary};

use super::page::{PAGE, ui_meta};
use super::record;
use super::resources::{
    ResourceBody, ResourceError, ResourceInfo, ResourceProvider, ResourceTemplateInfo, UI_MIME,
};
use super::tool::ToolError;
use super::tools::markets::market_detail;
use super::tools::{blocking, portfolio, system};

mod config;
mod portfolio_page;

/// The account as a page to read.
pub const PORTFOLIO: &str = "polymarket://portfolio";
/// The account as JSON.
pub const PORTFOLIO_JSON: &str = "polymarket://portfolio.json";
/// The dashboard as hosts of MCP Apps show it.
pub const DASHBOARD_UI: &str = "ui://polymarket-agent/dashboard.html";
/// The dashboard as a plain page.
pub const DASHBOARD: &str = "polymarket://dashboard";
/// The newest signals.
pub const SIGNALS: &str = "polymarket://signals";
/// The newest trades.
pub const TRADES: &str = "polymarket://trades";
/// The newest snapshots of the account.
pub const SNAPSHOTS: &str = "polymarket://snapshots";
/// State of the server.
pub const HEALTH: &str = "polymarket://health";
/// The configuration in force.
pub const CONFIG: &str = "polymarket://config";

const BACKTESTS: &str = "polymarket://backtests/";
const MARKETS: &str = "polymarket://markets/";

const JSON: &str = "application/json";
const MARKDOWN: &str = "text/markdown";
const HTML: &str = "text/html";
const PNG: &str = "image/png";

/// Backtests that the list names; older ones are read by number.
const LISTED_BACKTESTS: u32 = 20;
/// Trades that the resource shows.
const TRADE_ROWS: u32 = 50;
/// Signals and snapshots that the resources show.
const RECORD_ROWS: u32 = 100;

/// Address, name, title, description and type of what is always there.
const FIXED: [(&str, &str, &str, &str, &str); 9] = [
    (
        PORTFOLIO,
        "portfolio",
        "Portfolio",
        "The account as a page: cash, value, positions, newest trades.",
        MARKDOWN,
    ),
    (
        PORTFOLIO_JSON,
        "portfolio-json",
        "Portfolio (JSON)",
        "The account as get_portfolio gives it.",
        JSON,
    ),
    (
        DASHBOARD_UI,
        "dashboard-app",
        "Dashboard (app)",
        "The dashboard for clients that show MCP Apps.",
        UI_MIME,
    ),
    (
        DASHBOARD,
        "dashboard",
        "Dashboard",
        "The dashboard as a self-contained page; `serve --http` shows it at /.",
        HTML,
    ),
    (
        SIGNALS,
        "signals",
        "Signals",
        "The 100 newest signals with what became of them; get_signal_log pages further back.",
        JSON,
    ),
    (
        TRADES,
        "trades",
        "Trades",
        "The 50 newest fills and settlements.",
        JSON,
    ),
    (
        SNAPSHOTS,
        "snapshots",
        "Account history",
        "The 100 newest snapshots of the account; get_portfolio_snapshots pages further back.",
        JSON,
    ),
    (
        HEALTH,
        "health",
        "Health",
        "State of the server as health_check gives it.",
        JSON,
    ),
    (
        CONFIG,
        "config",
        "Configuration",
        "The configuration in force. Of webhooks only the host is shown.",
        JSON,
    ),
];

/// The families: template, name, title, description, type.
const FAMILIES: [(&str, &str, &str, &str, &str); 5] = [
    (
        "polymarket://backtests/{id}",
        "backtest",
        "Backtest report",
        "The report of a backtest, by the number that run_backtest gave.",
        MARKDOWN,
    ),
    (
        "polymarket://backtests/{id}.html",
        "backtest-html",
        "Backtest report (page)",
        "The same report as a self-contained page with its equity curve.",
        HTML,
    ),
    (
        "polymarket://backtests/{id}.json",
        "backtest-json",
        "Backtest result (JSON)",
        "The whole result of a backtest.",
        JSON,
    ),
    (
        "polymarket://backtests/{id}.png",
        "backtest-png",
        "Backtest chart",
        "Equity and drawdown of a backtest as a picture.",
        PNG,
    ),
    (
        "polymarket://markets/{id}",
        "market",
        "Market",
        "One market with its rules and books, as get_market_detail gives it; asks the source.",
        JSON,
    ),
];

/// The resources of an account. Holds nothing itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Library;

#[async_trait]
impl ResourceProvider<App> for Library {
    fn list(&self, app: &App) -> Vec<ResourceInfo> {
        let fixed = FIXED
            .iter()
            .map(|&(uri, name, title, description, mime)| ResourceInfo {
                uri: uri.to_owned(),
                name: name.to_owned(),
                title: title.to_owned(),
                description: description.to_owned(),
                mime: mime.to_owned(),
            });
        // Twenty rows by primary key: short enough not to be sent to another thread.
        let backtests = app
            .store()
            .backtests(LISTED_BACKTESTS)
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "the backtests cannot be listed");
                Vec::new()
            });
        fixed.chain(backtests.iter().map(backtest_info)).collect()
    }

    fn shows_pages(&self) -> bool {
        true
    }

    fn templates(&self) -> Vec<ResourceTemplateInfo> {
        FAMILIES
            .iter()
            .map(
                |&(uri_template, name, title, description, mime)| ResourceTemplateInfo {
                    uri_template: uri_template.to_owned(),
                    name: name.to_owned(),
                    title: title.to_owned(),
                    description: description.to_owned(),
                    mime: mime.to_owned(),
                },
            )
            .collect()
    }

    async fn read(&self, app: &Arc<App>, uri: &str) -> Result<ResourceBody, ResourceError> {
        let failed = |error: ToolError| ResourceError::Failed(error.to_text());
        match uri {
            PORTFOLIO => {
                let account = blocking(app, portfolio::portfolio).await.map_err(failed)?;
                let page = portfolio_page::render(&account, app.config().mode, app.source_kind());
                Ok(body(page, MARKDOWN))
            }
            PORTFOLIO_JSON => json(&blocking(app, portfolio::portfolio).await.map_err(failed)?),
            DASHBOARD_UI => Ok(ResourceBody {
                meta: Some(ui_meta()),
                ..body(PAGE.to_owned(), UI_MIME)
            }),
            DASHBOARD => Ok(body(PAGE.to_owned(), HTML)),
            SIGNALS => json(
                &record::signals(app, None, RECORD_ROWS)
                    .await
                    .map_err(failed)?,
            ),
            TRADES => json(&record::trades(app, TRADE_ROWS).await.map_err(failed)?),
            SNAPSHOTS => json(&record::snapshots(app, RECORD_ROWS).await.map_err(failed)?),
            HEALTH => json(&blocking(app, system::health).await.map_err(failed)?),
            CONFIG => json(&config::shown(app.config()).map_err(failed)?),
            _ => self.read_family(app, uri).await,
        }
    }
}

impl Library {
    async fn read_family(&self, app: &Arc<App>, uri: &str) -> Result<ResourceBody, ResourceError> {
        let nothing = || ResourceError::NotFound(clean(uri, MAX_NAME));
        if let Some(id) = uri.strip_prefix(MARKETS) {
            if id.is_empty() || id.contains(['/', '?', '#']) {
                return Err(nothing());
            }
            return match market_detail(app, id).await {
                Ok(detail) => json(&detail),
                Err(error) if error.code == "not_found" => Err(nothing()),
                Err(error) => Err(ResourceError::Failed(error.to_text())),
            };
        }
        let name = uri.strip_prefix(BACKTESTS).ok_or_else(nothing)?;
        let (id, extension) = name.split_once('.').unwrap_or((name, ""));
        type Form = fn(BacktestRow) -> Result<String, ResourceError>;
        let (mime, text): (_, Form) = match extension {
            "" if !name.contains('.') => (MARKDOWN, |row| Ok(row.report_md)),
            "html" => (HTML, |row| Ok(row.report_html)),
            "json" => (JSON, |row| Ok(row.result_json)),
            "png" => (PNG, |row| picture(&row)),
            _ => return Err(nothing()),
        };
        let id: i64 = id
            .bytes()
            .all(|digit| digit.is_ascii_digit())
            .then(|| id.parse().ok())
            .flatten()
            .ok_or_else(nothing)?;
        let row = blocking(app, move |app| Ok(app.store().backtest(id)?))
            .await
            .map_err(|error| ResourceError::Failed(error.to_text()))?
            .ok_or_else(nothing)?;
        Ok(body(text(row)?, mime))
    }
}

/// A backtest in the list.
fn backtest_info(backtest: &BacktestSummary) -> ResourceInfo {
    let id = backtest.id;
    ResourceInfo {
        uri: format!("{BACKTESTS}{id}"),
        name: format!("backtest-{id}"),
        title: format!("Backtest {id}: {}", clean(&backtest.title, MAX_NAME)),
        description: format!(
            "Report of the backtest of {}; {BACKTESTS}{id}.html, .json and .png hold it as a \
             page, as data and as a chart.",
            backtest.created_at.to_rfc3339()
        ),
        mime: MARKDOWN.to_owned(),
    }
}

/// The equity curve of a stored result as a PNG, in base64.
fn picture(row: &BacktestRow) -> Result<String, ResourceError> {
    #[derive(serde::Deserialize)]
    struct Curve {
        #[serde(default)]
        equity: Vec<(String, f64)>,
    }
    let failed = |error: String| ResourceError::Failed(error);
    let curve: Curve = serde_json::from_str(&row.result_json)
        .map_err(|error| failed(format!("the stored result is not readable: {error}")))?;
    let points: Vec<(Timestamp, Usdc)> = curve
        .equity
        .iter()
        .filter_map(|(at, equity)| Some((Timestamp::parse(at)?, Usdc::from_f64(*equity).ok()?)))
        .collect();
    png_of_curve(&clean(&row.summary.title, MAX_NAME), &points)
        .map(|bytes| BASE64_STANDARD.encode(bytes))
        .map_err(|error| failed(error.to_string()))
}

fn body(text: String, mime: &str) -> ResourceBody {
    ResourceBody {
        text,
        mime: mime.to_owned(),
        meta: None,
    }
}

fn json(value: &impl Serialize) -> Result<ResourceBody, ResourceError> {
    serde_json::to_string(value)
        .map(|text| body(text, JSON))
        .map_err(|error| ResourceError::Failed(format!("it gave no valid JSON: {error}")))
}

#[cfg(test)]
mod tests;
