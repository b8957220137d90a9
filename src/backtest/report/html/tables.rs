//! The tables of the page.

use maud::{Markup, html};

use crate::domain::{Timestamp, Usdc};

use super::{
    ClosedRow, EXTREMES, GroupRow, LATEST, MARKETS, MAX_ROWS, ReportInput, compared, latest,
    maybe_money, missing, money, number, percent, reason, score, series, side_text,
};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

fn colour(value: f64) -> &'static str {
    if value < 0.0 { "n down" } else { "n up" }
}

fn amount_colour(value: Usdc) -> &'static str {
    colour(value.to_f64())
}

pub(super) fn measures(input: &ReportInput) -> Markup {
    let reasons = &input.metrics.reasons;
    html! {
        div.cards {
            @for (title, rows) in super::measures(input) {
                section {
                    h3 { (title) }
                    table {
                        @for (name, value) in rows { tr { td { (name) } td.n { (value) } } }
                    }
                }
            }
        }
        @if !reasons.is_empty() {
            details {
                summary { "Why some are missing" }
                ul { @for (name, why) in reasons { li { (name) ": " (why) } } }
            }
        }
    }
}

pub(super) fn comparisons(input: &ReportInput) -> Markup {
    let rows = compared(input);
    html! {
        @if !rows.is_empty() {
            h2 { "Compared with" }
            table { @for (name, value) in rows { tr { td { (name) } td.n { (value) } } } }
        }
    }
}

pub(super) fn months(input: &ReportInput) -> Markup {
    let years = series::years(&input.equity);
    let short = |value: f64| super::rounded(value * 100.0, 1);
    html! {
        @if !years.is_empty() {
            h2 { "Return by month, %" }
            div.scroll {
                table {
                    tr {
                        th { "year" }
                        @for month in MONTHS { th.n { (month) } }
                        th.n { "year" }
                    }
                    @for (name, year) in &years {
                        tr {
                            td { (name) }
                            @for month in year.months {
                                @match month {
                                    Some(value) => { td class=(colour(value)) { (short(value)) } }
                                    None => { td.n { "" } }
                                }
                            }
                            td class=(colour(year.whole)) { (short(year.whole)) }
                        }
                    }
                }
            }
        }
    }
}

/// A bar from the middle to the left (a loss) or to the right (a profit).
fn share(value: f64, most: f64) -> Markup {
    let width = |part: f64| format!("width:{:.0}%", (part / most * 100.0).clamp(0.0, 100.0));
    html! {
        div.share {
            i.down { b style=(width(-value)) {} }
            i.up { b style=(width(value)) {} }
        }
    }
}

fn group_rows<'a>(rows: impl Iterator<Item = &'a GroupRow> + Clone) -> Markup {
    let most = rows
        .clone()
        .map(|row| row.result().abs())
        .fold(0.0, f64::max);
    html! {
        div.scroll {
            table {
                tr {
                    th { "" } th.n { "result" } th { "" } th.n { "closed" } th.n { "open" }
                    th.n { "trades" } th.n { "win rate" } th.n { "profit factor" } th.n { "volume" }
                    th.n { "fees" } th.n { "slippage" } th.n { "Brier" } th.n { "advantage" }
                }
                @for row in rows {
                    tr {
                        td.q { (row.name) }
                        td class=(colour(row.result())) { (number(Some(row.result()))) }
                        td { (share(row.result(), most)) }
                        td.n { (number(Some(row.pnl))) } td.n { (number(Some(row.open_pnl))) }
                        td.n { (row.trades) } td.n { (percent(row.win_rate)) }
                        td.n { (number(row.profit_factor)) } td.n { (number(Some(row.volume))) }
                        td.n { (number(Some(row.fees))) } td.n { (number(row.slippage_paid)) }
                        td.n { (score(row.brier_score)) } td.n { (score(row.brier_advantage)) }
                    }
                }
            }
        }
    }
}

pub(super) fn groups(title: &str, rows: &[GroupRow]) -> Markup {
    html! {
        @if !rows.is_empty() { h2 { (title) ", pUSD" } (group_rows(rows.iter().take(MAX_ROWS))) }
    }
}

pub(super) fn markets(rows: &[GroupRow]) -> Markup {
    let left_out = rows.len().saturating_sub(2 * MARKETS);
    let worst = rows.len().saturating_sub(MARKETS).max(MARKETS);
    let shown = rows.iter().take(MARKETS).chain(rows.iter().skip(worst));
    html! {
        @if !rows.is_empty() {
            h2 { "Result by market, pUSD" }
            (group_rows(shown))
            @if left_out > 0 {
                p.dim { "The " (MARKETS) " best and the " (MARKETS) " worst; " (left_out)
                    " between them are not shown." }
            }
        }
    }
}

pub(super) fn extremes(input: &ReportInput) -> Markup {
    let [best, worst] = super::extremes(input, EXTREMES);
    html! {
        (closed("Best trades", &best))
        (closed("Worst trades", &worst))
    }
}

fn closed(title: &str, rows: &[&ClosedRow]) -> Markup {
    html! {
        @if !rows.is_empty() {
            h2 { (title) }
            div.scroll {
                table {
                    tr {
                        th.n { "result" } th { "market" } th { "bought, closed" } th.n { "shares" }
                        th.n { "cost" } th { "strategy" } th { "why bought" } th { "why closed" }
                    }
                    @for row in rows {
                        tr {
                            td class=(amount_colour(row.pnl)) { (money(row.pnl)) }
                            td.q { (row.market) " " span.dim { (row.outcome) } }
                            td { (moment(row.opened_at)) br; (moment(row.closed_at)) }
                            td.n { (row.shares) } td.n { (money(row.cost)) }
                            td { (row.strategy) }
                            td.why { (reason(&row.entry_reason)) }
                            td.why { (reason(&row.exit_reason)) }
                        }
                    }
                }
            }
        }
    }
}

/// `2026-01-31 08:00`.
fn moment(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    text.get(..16).unwrap_or(&text).replace('T', " ")
}

pub(super) fn strategies(input: &ReportInput) -> Markup {
    html! {
        @if !input.strategies.is_empty() {
            h2 { "What the strategies did" }
            div.scroll {
                table {
                    tr {
                        th { "strategy" } th.n { "looked at" } th.n { "signals" } th.n { "executed" }
                        th.n { "volume" } th.n { "fees" } th.n { "closed result" }
                    }
                    @for row in &input.strategies {
                        tr {
                            td.q {
                                (row.strategy)
                                @for (cause, count) in &row.passed_over {
                                    div.dim { "passed over " (count) ": " (cause) }
                                }
                                @for (cause, count) in &row.not_traded {
                                    div.dim { "not traded " (count) ": " (cause) }
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
}

pub(super) fn positions(input: &ReportInput) -> Markup {
    let (rows, left_out) = latest(&input.open_positions, MAX_ROWS);
    html! {
        @if !rows.is_empty() {
            h2 { "Open positions" }
            div.scroll {
                table {
                    tr { th { "market" } th { "outcome" } th { "strategy" } th.n { "shares" }
                        th.n { "cost" } th.n { "value" } th.n { "result" } }
                    @for row in rows {
                        tr {
                            td.q { (row.market) } td { (row.outcome) } td { (row.strategy) }
                            td.n { (row.shares) } td.n { (money(row.cost)) }
                            td.n { (maybe_money(row.value)) }
                            @match row.value {
                                Some(_) => {
                                    td class=(amount_colour(row.pnl())) { (money(row.pnl())) }
                                }
                                None => { td.n { (missing()) } }
                            }
                        }
                    }
                }
            }
            (not_shown(left_out))
        }
    }
}

pub(super) fn trades(input: &ReportInput) -> Markup {
    let (rows, left_out) = latest(&input.trades, LATEST);
    html! {
        @if !rows.is_empty() {
            details {
                summary { "Latest trades" }
                div.scroll {
                    table {
                        tr {
                            th { "time" } th { "strategy" } th { "market" } th { "side" }
                            th.n { "price" } th.n { "shares" } th.n { "pUSD" } th.n { "fee" }
                            th.n { "result" } th { "reason" }
                        }
                        @for row in rows {
                            tr {
                                td { (moment(row.at)) } td { (row.strategy) }
                                td.q { (row.market) " " span.dim { (row.outcome) } }
                                td {
                                    (side_text(row.side))
                                    @if row.maker { span.dim { " maker" } }
                                }
                                td.n { (row.price) } td.n { (row.shares) } td.n { (money(row.notional)) }
                                td.n { (row.fee) }
                                td class=(amount_colour(row.pnl.unwrap_or_default())) {
                                    (maybe_money(row.pnl))
                                }
                                td.why { (reason(&row.reason)) }
                            }
                        }
                    }
                }
                (not_shown(left_out))
            }
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
