//! The report as one self-contained HTML page: no script, nothing fetched.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    ReportInput, chart, latest, maybe_money, measures, money, period_text, side_text,
    synthetic_warning,
};

const STYLE: &str = "
:root { color-scheme: dark; }
body { background: #1b1d21; color: #d8dade; font: 15px/1.45 system-ui, sans-serif;
       max-width: 1100px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #33363c;
         vertical-align: top; }
th { color: #9a9ea6; font-weight: 600; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.warning { background: #4a3a12; color: #ffd479; padding: .5rem .8rem; border-radius: 4px; }
.up { color: #99cc99; } .down { color: #f2777a; } .axis, .dim { color: #9a9ea6; }
.scroll { overflow-x: auto; } svg { width: 100%; background: #202329; border-radius: 4px; }
";

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
                    " frames" }
                @if let Some(curve) = chart::equity(&input.equity) {
                    h2 { "Equity, pUSD" }
                    (curve)
                }
                h2 { "Measures" }
                table {
                    @for (name, value) in measures(input) {
                        tr { td { (name) } td.n { (value) } }
                    }
                }
                (strategies(input))
                (positions(input))
                (trades(input))
                (list("Configuration", &input.config))
                (list("Notes", &input.notes))
                (skipped(input))
            }
        }
    }
}

fn strategies(input: &ReportInput) -> Markup {
    html! {
        @if !input.strategies.is_empty() {
            h2 { "Strategies" }
            table {
                tr {
                    th { "strategy" } th.n { "looked at" } th.n { "signals" } th.n { "executed" }
                    th.n { "volume" } th.n { "fees" } th.n { "result after fees" }
                }
                @for row in &input.strategies {
                    tr {
                        td {
                            (row.strategy)
                            @for (cause, count) in &row.passed_over {
                                div.dim { "passed over " (count) ": " (cause) }
                            }
                        }
                        td.n { (row.looked_at) } td.n { (row.signals) } td.n { (row.executed) }
                        td.n { (money(row.volume)) } td.n { (money(row.fees)) }
                        td.n { (maybe_money(row.pnl)) }
                    }
                }
            }
        }
    }
}

fn positions(input: &ReportInput) -> Markup {
    let (rows, left_out) = latest(&input.open_positions);
    html! {
        @if !rows.is_empty() {
            h2 { "Open positions" }
            table {
                tr { th { "market" } th { "outcome" } th.n { "shares" } th.n { "cost" }
                    th.n { "value" } }
                @for row in rows {
                    tr {
                        td { (row.market) } td { (row.outcome) } td.n { (row.shares) }
                        td.n { (money(row.cost)) } td.n { (maybe_money(row.value)) }
                    }
                }
            }
            (not_shown(left_out))
        }
    }
}

fn trades(input: &ReportInput) -> Markup {
    let (rows, left_out) = latest(&input.trades);
    html! {
        @if !rows.is_empty() {
            h2 { "Trades" }
            div.scroll {
                table {
                    tr {
                        th { "time" } th { "strategy" } th { "market" } th { "side" }
                        th.n { "price" } th.n { "shares" } th.n { "pUSD" } th.n { "fee" }
                        th.n { "result" } th { "reason" }
                    }
                    @for row in rows {
                        tr {
                            td { (row.at) } td { (row.strategy) }
                            td { (row.market) " " span.dim { (row.outcome) } }
                            td { (side_text(row.side)) } td.n { (row.price) }
                            td.n { (row.shares) } td.n { (money(row.notional)) } td.n { (row.fee) }
                            @let lost = row.pnl.is_some_and(|pnl| pnl.micros() < 0);
                            @let colour = if lost { "n down" } else { "n up" };
                            td class=(colour) { (maybe_money(row.pnl)) }
                            td { (row.reason) }
                        }
                    }
                }
            }
            (not_shown(left_out))
        }
    }
}

fn not_shown(left_out: usize) -> Markup {
    html! {
        @if left_out > 0 {
            p.dim { (left_out) " earlier rows are not shown." }
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
