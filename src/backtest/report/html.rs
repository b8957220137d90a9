//! The report as one self-contained HTML page: no script, nothing fetched, light or dark as the
//! reader's device is.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::backtest::metrics::GroupRow;
use crate::domain::text::clean;

use super::{
    ClosedRow, EXTREMES, MAX_ROWS, ReportInput, chart, compared, extremes, latest, maybe_money,
    measures, missing, money, number, percent, period_text, rounded, score, series, side_text,
    synthetic_warning,
};

mod tables;

const STYLE: &str = include_str!("html/style.css");

/// Longest reason that is shown, in characters.
const MAX_REASON: usize = 300;
/// Markets that are shown: the best and the worst.
const MARKETS: usize = 20;
/// Latest trades that are shown.
const LATEST: usize = 100;

/// The whole page. Its first line says when books were synthesised.
#[must_use]
pub fn html(input: &ReportInput) -> String {
    page(input).into_string()
}

fn page(input: &ReportInput) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'";
                title { (input.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                @if let Some(warning) = synthetic_warning(input) {
                    p.warning { (warning) }
                }
                h1 { (input.title) }
                p.dim { "Data: " (input.data) " · " (period_text(input)) " · " (input.frames)
                    " moments" }
                (headline(input))
                (diagnoses(input))
                (curves(input))
                (tables::comparisons(input))
                h2 { "Measures" }
                (tables::measures(input))
                (tables::months(input))
                (distributions(input))
                (tables::groups("Result by strategy", &input.by_strategy))
                (tables::groups("Result by category", &input.by_category))
                (tables::markets(&input.by_market))
                (tables::extremes(input))
                (tables::strategies(input))
                (tables::positions(input))
                (tables::trades(input))
                (list("Configuration", &input.config))
                (list("Notes", &input.notes))
                (skipped(input))
            }
        }
    }
}

fn headline(input: &ReportInput) -> Markup {
    let m = &input.metrics;
    let class = |value: Option<f64>| match value {
        Some(value) if value < 0.0 => "down",
        Some(value) if value > 0.0 => "up",
        _ => "",
    };
    let tile = |name: &str, value: String, class: &str| {
        html! { div { span.dim { (name) } strong class=(class) { (value) } } }
    };
    html! {
        div.tiles {
            (tile("Return", percent(m.total_return), class(m.total_return)))
            (tile("Equity, pUSD", number(m.final_equity), ""))
            (tile("Sharpe", number(m.sharpe_ratio), ""))
            (tile("Max drawdown", percent(m.max_drawdown), ""))
            (tile("Closed trades", m.total_trades.to_string(), ""))
            (tile("Win rate", percent(m.win_rate), ""))
        }
    }
}

fn diagnoses(input: &ReportInput) -> Markup {
    html! {
        @if !input.diagnoses.is_empty() {
            h2 { "What is doubtful" }
            ul.doubts { @for one in &input.diagnoses { li { (one.text) } } }
        }
    }
}

fn curves(input: &ReportInput) -> Markup {
    let equity = series::numbers(&input.equity);
    let first = equity.first().map(|(_, value)| *value);
    let last = equity.last().map(|(_, value)| *value);
    let two = |value: f64| rounded(value, 2);
    let drawn = chart::line(
        &equity,
        &chart::Look {
            label: format!("Equity from {} to {} pUSD", number(first), number(last)),
            class: if last < first { "down" } else { "up" },
            level: first,
            filled: false,
            stepped: false,
            words: two,
        },
    );
    let below = chart::line(
        &series::below_peak(&input.equity),
        &chart::Look {
            label: format!("Drawdown, at most {}", percent(input.metrics.max_drawdown)),
            class: "down",
            level: Some(0.0),
            filled: true,
            stepped: false,
            words: |value| format!("{} %", rounded(value * 100.0, 1)),
        },
    );
    let invested = chart::line(
        &series::numbers(&input.exposure),
        &chart::Look {
            label: "Positions at their marks through time".to_owned(),
            class: "one",
            level: Some(0.0),
            filled: true,
            stepped: true,
            words: two,
        },
    );
    html! {
        @if let Some(picture) = drawn { h2 { "Equity, pUSD" } (picture) }
        @if let Some(picture) = below { h2 { "Drawdown" } div.low { (picture) } }
        @if let Some(picture) = invested {
            h2 { "Exposure: positions at their marks, pUSD" }
            div.low { (picture) }
        }
    }
}

fn distributions(input: &ReportInput) -> Markup {
    let results: Vec<f64> = input.closed.iter().map(|row| row.pnl.to_f64()).collect();
    let bars = chart::bars(&series::distribution(&results));
    let dots = chart::calibration(&series::calibration(&input.forecasts));
    html! {
        @if bars.is_some() || dots.is_some() {
            div.pair {
                @if let Some(picture) = bars {
                    section { h2 { "Results of closed trades" } (picture) }
                }
                @if let Some(picture) = dots {
                    section {
                        h2 { "Calibration of the fair prices acted upon" }
                        (picture)
                        p.dim { "On the dashed line tokens paid what they were thought worth; large \
                            dots are many." }
                    }
                }
            }
        }
    }
}

fn list(title: &str, lines: &[String]) -> Markup {
    html! {
        @if !lines.is_empty() {
            h2 { (title) }
            ul { @for line in lines { li { (line) } } }
        }
    }
}

fn skipped(input: &ReportInput) -> Markup {
    html! {
        @if !input.skipped_rows.is_empty() {
            h2 { "Skipped rows" }
            ul {
                @for (cause, count) in &input.skipped_rows {
                    li { (count) " × " (cause) }
                }
            }
        }
    }
}

/// A reason in one line of bearable length.
fn reason(text: &str) -> String {
    clean(text, MAX_REASON)
}
