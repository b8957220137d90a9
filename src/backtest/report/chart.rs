//! The equity curve as an inline SVG.

use std::fmt::Write;

use maud::{Markup, html};

use crate::domain::{Timestamp, Usdc};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 240.0;
const MARGIN: f64 = 8.0;
/// Stretches of the curve that are drawn; of each the lowest and the highest point.
const STRETCHES: usize = 400;

/// A line through all points, with the first equity as a dashed level; nothing for fewer than two.
pub(super) fn equity(curve: &[(Timestamp, Usdc)]) -> Option<Markup> {
    let ((start, first), (end, last)) = (curve.first()?, curve.last()?);
    let low = curve.iter().map(|(_, equity)| *equity).min()?;
    let high = curve.iter().map(|(_, equity)| *equity).max()?;
    let span = end.since(*start) as f64;
    if curve.len() < 2 || span <= 0.0 {
        return None;
    }
    let range = high.minus(low).to_f64();
    let x = |at: Timestamp| MARGIN + at.since(*start) as f64 / span * (WIDTH - 2.0 * MARGIN);
    let y = |equity: Usdc| {
        // A level curve runs through the middle.
        let share = if range > 0.0 {
            equity.minus(low).to_f64() / range
        } else {
            0.5
        };
        HEIGHT - MARGIN - share * (HEIGHT - 2.0 * MARGIN)
    };
    let mut line = String::new();
    for (at, equity) in thinned(curve) {
        // Writing to a String cannot fail.
        let _ = write!(line, "{:.1},{:.1} ", x(at), y(equity));
    }
    let level = format!("{:.1}", y(*first));
    let colour = if last < first { "#f2777a" } else { "#99cc99" };
    Some(html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
            aria-label=(format!("Equity from {first} to {last} pUSD")) {
            line x1="8" x2="792" y1=(level) y2=(level) stroke="#777" stroke-dasharray="4 4" {}
            polyline fill="none" stroke=(colour) stroke-width="1.5" points=(line.trim_end()) {}
        }
        p.axis {
            span { (start) } " · lowest " (super::money(low)) " · highest " (super::money(high))
            " · " span { (end) }
        }
    })
}

/// Few enough points to draw, with every extreme kept.
fn thinned(curve: &[(Timestamp, Usdc)]) -> Vec<(Timestamp, Usdc)> {
    let size = curve.len().div_ceil(STRETCHES).max(1);
    if size <= 2 {
        return curve.to_vec();
    }
    let mut kept = Vec::with_capacity(2 * STRETCHES + 2);
    for stretch in curve.chunks(size) {
        let lowest = stretch.iter().min_by_key(|(_, equity)| *equity);
        let highest = stretch.iter().max_by_key(|(_, equity)| *equity);
        let mut both: Vec<_> = [lowest, highest].into_iter().flatten().copied().collect();
        both.sort_unstable();
        both.dedup();
        kept.extend(both);
    }
    // The ends are what the text beside the chart names.
    for end in [curve.first(), curve.last()].into_iter().flatten() {
        if !kept.contains(end) {
            kept.push(*end);
        }
    }
    kept.sort_by_key(|(at, _)| *at);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_extremes_and_ends() {
        let curve: Vec<(Timestamp, Usdc)> = (0..10_000)
            .map(|second| {
                let equity = match second {
                    1_234 => 1,
                    7_777 => 5_000,
                    _ => 1_000,
                };
                (Timestamp::from_secs(second), Usdc::whole(equity))
            })
            .collect();
        let kept = thinned(&curve);
        assert!(kept.len() <= 802, "{}", kept.len());
        for wanted in [0_usize, 1_234, 7_777, 9_999] {
            assert!(kept.contains(&curve[wanted]), "{wanted}");
        }
        assert!(kept.is_sorted_by_key(|(at, _)| *at));
    }

    #[test]
    fn points_lie_where_they_should() {
        let at = Timestamp::from_secs;
        let svg = equity(&[
            (at(0), Usdc::whole(100)),
            (at(50), Usdc::whole(150)),
            (at(100), Usdc::whole(125)),
        ])
        .unwrap()
        .into_string();
        // 784 wide and 224 high inside the margins.
        assert!(
            svg.contains(r#"points="8.0,232.0 400.0,8.0 792.0,120.0""#),
            "{svg}"
        );
        assert!(equity(&[(at(0), Usdc::whole(1))]).is_none());
        let level = equity(&[(at(0), Usdc::whole(1)), (at(1), Usdc::whole(1))]).unwrap();
        assert!(level.into_string().contains("8.0,120.0 792.0,120.0"));
    }
}
