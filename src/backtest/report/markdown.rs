//! The report as markdown, short: an agent pays for every line.

use std::fmt::{self, Write};

use crate::backtest::metrics::GroupRow;
use crate::domain::text::{MAX_QUESTION, clean};

use super::{
    ClosedRow, ReportInput, compared, extremes, latest, maybe_money, measures, money, number,
    percent, period_text, score, synthetic_warning,
};

/// Best and worst trades that are listed.
const EXTREMES: usize = 5;
/// Markets that are listed, the best and the worst.
const MARKETS: usize = 5;
/// Categories that are listed.
const CATEGORIES: usize = 20;
/// Open positions that are listed.
const POSITIONS: usize = 20;

/// The whole report. Its first line says when books were synthesised.
#[must_use]
pub fn markdown(input: &ReportInput) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(&mut page, input);
    page
}

fn write_page(page: &mut String, input: &ReportInput) -> fmt::Result {
    if let Some(warning) = synthetic_warning(input) {
        writeln!(page, "> **{warning}**\n")?;
    }
    writeln!(page, "# {}\n", escaped(&input.title))?;
    writeln!(
        page,
        "Data: {} · {} · {} moments",
        escaped(&input.data),
        period_text(input),
        input.frames
    )?;
    let doubts: Vec<String> = input.diagnoses.iter().map(|one| one.text.clone()).collect();
    write_long_list(page, "What is doubtful", &doubts)?;
    for (title, rows) in measures(input) {
        writeln!(page, "\n| {title} | |\n|---|---:|")?;
        for (name, value) in rows {
            writeln!(page, "| {name} | {value} |")?;
        }
    }
    let rows = compared(input);
    if !rows.is_empty() {
        writeln!(page, "\n## Compared with\n\n| | return |\n|---|---:|")?;
        for (name, value) in rows {
            writeln!(page, "| {name} | {value} |")?;
        }
    }
    write_groups(page, "By strategy", input.by_strategy.iter())?;
    write_groups(
        page,
        "By category",
        input.by_category.iter().take(CATEGORIES),
    )?;
    let worst = input.by_market.len().saturating_sub(MARKETS).max(MARKETS);
    let markets = input.by_market.iter();
    let shown = markets.clone().take(MARKETS).chain(markets.skip(worst));
    write_groups(page, "Best and worst markets", shown)?;
    let [best, worst] = extremes(input, EXTREMES);
    write_closed(page, "Best trades", &best)?;
    write_closed(page, "Worst trades", &worst)?;
    write_strategies(page, input)?;
    write_positions(page, input)?;
    write_list(page, "Configuration", &input.config)?;
    write_list(page, "Notes", &input.notes)?;
    let skipped: Vec<String> = input
        .skipped_rows
        .iter()
        .map(|(cause, count)| format!("{count} × {cause}"))
        .collect();
    write_list(page, "Skipped rows", &skipped)
}

fn write_groups<'a>(
    page: &mut String,
    title: &str,
    rows: impl Iterator<Item = &'a GroupRow>,
) -> fmt::Result {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    writeln!(
        page,
        "\n## {title}\n\n| | result | closed | open | trades | win rate | fees | Brier | advantage \
         |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    )?;
    for row in rows {
        writeln!(
            page,
            "| {} | {:.2} | {:.2} | {:.2} | {} | {} | {} | {} | {} |",
            escaped(&row.name),
            row.result(),
            row.pnl,
            row.open_pnl,
            row.trades,
            percent(row.win_rate),
            number(Some(row.fees)),
            score(row.brier_score),
            score(row.brier_advantage),
        )?;
    }
    Ok(())
}

fn write_closed(page: &mut String, title: &str, rows: &[&ClosedRow]) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "\n## {title}\n\n| result | market | outcome | bought | closed | strategy | why bought | why \
         closed |\n|---:|---|---|---|---|---|---|---|"
    )?;
    for row in rows {
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            money(row.pnl),
            escaped(&row.market),
            escaped(&row.outcome),
            row.opened_at,
            row.closed_at,
            escaped(&row.strategy),
            escaped(&row.entry_reason),
            escaped(&row.exit_reason)
        )?;
    }
    Ok(())
}

fn write_strategies(page: &mut String, input: &ReportInput) -> fmt::Result {
    if input.strategies.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "\n## What the strategies did\n\n| strategy | looked at | signals | executed | volume | fees \
         | closed result |\n|---|---:|---:|---:|---:|---:|---:|"
    )?;
    for row in &input.strategies {
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} |",
            escaped(&row.strategy),
            row.looked_at,
            row.signals,
            row.executed,
            money(row.volume),
            money(row.fees),
            maybe_money(row.pnl)
        )?;
    }
    for row in &input.strategies {
        for (verb, causes) in [
            ("passed over", &row.passed_over),
            ("not traded", &row.not_traded),
        ] {
            let told: Vec<String> = causes
                .iter()
                .map(|(cause, count)| format!("{count} {}", escaped(cause)))
                .collect();
            if !told.is_empty() {
                let name = escaped(&row.strategy);
                writeln!(page, "\n{name} {verb}: {}", told.join("; "))?;
            }
        }
    }
    Ok(())
}

fn write_positions(page: &mut String, input: &ReportInput) -> fmt::Result {
    let (rows, left_out) = latest(&input.open_positions, POSITIONS);
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "\n## Open positions\n\n| market | outcome | shares | cost | value |\n|---|---|---:|---:|---:|"
    )?;
    for row in rows {
        writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            escaped(&row.market),
            escaped(&row.outcome),
            row.shares,
            money(row.cost),
            maybe_money(row.value)
        )?;
    }
    if left_out > 0 {
        writeln!(page, "\n{left_out} earlier rows are not shown.")?;
    }
    Ok(())
}

fn write_list(page: &mut String, title: &str, lines: &[String]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n## {title}\n")?;
    for line in lines {
        writeln!(page, "- {}", escaped(line))?;
    }
    Ok(())
}

/// A list of our own sentences, which may be longer than a question.
fn write_long_list(page: &mut String, title: &str, lines: &[String]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n## {title}\n")?;
    for line in lines {
        writeln!(page, "- {}", escaped_to(line, 2 * MAX_QUESTION))?;
    }
    Ok(())
}

/// Text of strangers as text: nothing in it is a table cell, a link, markup or HTML. Longer text
/// than a question may have is cut.
#[must_use]
pub fn escaped(text: &str) -> String {
    escaped_to(text, MAX_QUESTION)
}

fn escaped_to(text: &str, most: usize) -> String {
    let text = clean(text, most);
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '!' => {
                safe.push('\\');
                safe.push(character);
            }
            _ => safe.push(character),
        }
    }
    safe
}
