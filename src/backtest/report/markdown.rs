//! The report as markdown.

use std::fmt::{self, Write};

use crate::domain::text::{MAX_QUESTION, clean};

use super::{
    ReportInput, latest, maybe_money, measures, money, period_text, side_text, synthetic_warning,
};

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
        "Data: {} · {} · {} frames\n",
        escaped(&input.data),
        period_text(input),
        input.frames
    )?;
    writeln!(page, "| measure | value |\n|---|---:|")?;
    for (name, value) in measures(input) {
        writeln!(page, "| {name} | {value} |")?;
    }
    write_strategies(page, input)?;
    write_positions(page, input)?;
    write_trades(page, input)?;
    write_list(page, "Configuration", &input.config)?;
    write_list(page, "Notes", &input.notes)?;
    let skipped: Vec<String> = input
        .skipped_rows
        .iter()
        .map(|(cause, count)| format!("{count} × {cause}"))
        .collect();
    write_list(page, "Skipped rows", &skipped)
}

fn write_strategies(page: &mut String, input: &ReportInput) -> fmt::Result {
    if input.strategies.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "\n## Strategies\n\n| strategy | looked at | signals | executed | volume | fees | result \
         after fees |\n|---|---:|---:|---:|---:|---:|---:|"
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
        for (cause, count) in &row.passed_over {
            writeln!(
                page,
                "\n{} passed over {count}: {}",
                escaped(&row.strategy),
                escaped(cause)
            )?;
        }
    }
    Ok(())
}

fn write_positions(page: &mut String, input: &ReportInput) -> fmt::Result {
    let (rows, left_out) = latest(&input.open_positions);
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
    write_left_out(page, left_out)
}

fn write_trades(page: &mut String, input: &ReportInput) -> fmt::Result {
    let (rows, left_out) = latest(&input.trades);
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "\n## Trades\n\n| time | strategy | market | outcome | side | price | shares | pUSD | fee \
         | result | reason |\n|---|---|---|---|---|---:|---:|---:|---:|---:|---|"
    )?;
    for row in rows {
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            row.at,
            escaped(&row.strategy),
            escaped(&row.market),
            escaped(&row.outcome),
            side_text(row.side),
            row.price,
            row.shares,
            money(row.notional),
            row.fee,
            maybe_money(row.pnl),
            escaped(&row.reason)
        )?;
    }
    write_left_out(page, left_out)
}

fn write_left_out(page: &mut String, left_out: usize) -> fmt::Result {
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

/// Text of strangers as text: nothing in it is a table cell, a link, markup or HTML. Longer text
/// than a question may have is cut.
#[must_use]
pub fn escaped(text: &str) -> String {
    let text = clean(text, MAX_QUESTION);
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
