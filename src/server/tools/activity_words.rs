//! Who trades and who holds a market, in a few sentences for the dossier.

use std::fmt::Write;

use crate::domain::{Market, Side, Timestamp, TokenId};
use crate::market_data::{Holder, MarketActivity, TakenTrade};

/// Holders of each outcome that are named.
const HOLDERS: usize = 3;

/// The sentences; `None` when there is nothing to say. Outcome names in them are strangers' text.
pub fn of(market: &Market, activity: &MarketActivity, now: Timestamp) -> Option<String> {
    let mut words = Vec::new();
    if let Some(trades) = &activity.trades {
        words.push(trades_in_words(market, trades, now));
    }
    if let Some(shares) = activity.taker_volume {
        words.push(format!(
            "Takers traded {:.0} shares since the beginning.",
            shares.to_f64()
        ));
    }
    if let Some(holders) = &activity.holders {
        words.extend(
            market
                .outcomes
                .iter()
                .filter_map(|outcome| holders_in_words(&outcome.name, &outcome.token, holders)),
        );
    }
    (!words.is_empty()).then(|| words.join(" "))
}

fn trades_in_words(market: &Market, trades: &[TakenTrade], now: Timestamp) -> String {
    let (Some(newest), Some(oldest)) = (trades.first(), trades.last()) else {
        return "No trades yet.".to_owned();
    };
    let mut text = format!(
        "The last {} taker trades span {}.",
        trades.len(),
        span(newest.at.since(oldest.at))
    );
    for outcome in &market.outcomes {
        let of_side = |side: Side| {
            trades
                .iter()
                .filter(|trade| trade.token == outcome.token && trade.side == side)
                // Not `sum`, whose nothing is −0.
                .fold(0.0, |all, trade| all + trade.shares)
        };
        let (bought, sold) = (of_side(Side::Buy), of_side(Side::Sell));
        if bought + sold > 0.0 {
            let _ = write!(
                text,
                " {}: {bought:.0} shares bought, {sold:.0} sold.",
                outcome.name
            );
        }
    }
    let name = market
        .outcome_of(&newest.token)
        .map_or("an outcome", |(_, outcome)| outcome.name.as_str());
    let way = match newest.side {
        Side::Buy => "bought",
        Side::Sell => "sold",
    };
    let _ = write!(
        text,
        " Newest: {:.2} of {name} {way} at {}, {} ago.",
        newest.shares,
        newest.price,
        span(now.since(newest.at))
    );
    text
}

fn holders_in_words(name: &str, token: &TokenId, holders: &[Holder]) -> Option<String> {
    let named: Vec<String> = holders
        .iter()
        .filter(|holder| holder.token == *token)
        .take(HOLDERS)
        .map(|holder| format!("{} {:.0}", holder.address, holder.shares))
        .collect();
    (!named.is_empty()).then(|| {
        format!(
            "Largest holders of {name}, wallet and shares: {}.",
            named.join(", ")
        )
    })
}

/// A length of time in its largest fitting unit.
fn span(millis: i64) -> String {
    let minutes = millis.max(0) / 60_000;
    match minutes {
        0..120 => format!("{minutes} min"),
        120..2_880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1_440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Shares;
    use crate::market_data::polymarket::gamma_rows;
    use crate::market_data::polymarket::row::Oddities;

    fn market() -> Market {
        let row = serde_json::json!({"id": "1", "question": "Q?", "outcomes": ["Yes", "No"],
            "clobTokenIds": ["11", "12"], "active": true, "closed": false,
            "enableOrderBook": true, "acceptingOrders": true, "orderPriceMinTickSize": 0.01,
            "orderMinSize": 5});
        gamma_rows::market(&row, &mut Oddities::default()).unwrap()
    }

    fn trade(token: &str, side: Side, shares: f64, minute: i64) -> TakenTrade {
        TakenTrade {
            token: TokenId::new(token),
            side,
            shares,
            price: 0.52,
            at: Timestamp::from_secs(minute * 60),
        }
    }

    #[test]
    fn flows_and_holders_are_told_by_outcome() {
        let activity = MarketActivity {
            trades: Some(vec![
                trade("11", Side::Buy, 22.84, 300),
                trade("12", Side::Sell, 10.0, 200),
                trade("11", Side::Buy, 100.0, 150),
            ]),
            holders: Some(vec![Holder {
                token: TokenId::new("12"),
                address: "0xab".to_owned(),
                shares: 784.38,
            }]),
            taker_volume: Some(Shares::whole(6_090)),
        };
        let now = Timestamp::from_secs(310 * 60);
        // 300 − 150 = 150 minutes = 2 h; 22.84 + 100 = 122.84.
        assert_eq!(
            of(&market(), &activity, now).unwrap(),
            "The last 3 taker trades span 2 h. Yes: 123 shares bought, 0 sold. No: 0 shares bought, \
             10 sold. Newest: 22.84 of Yes bought at 0.52, 10 min ago. Takers traded 6090 shares \
             since the beginning. Largest holders of No, wallet and shares: 0xab 784."
        );
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let nothing = MarketActivity::default();
        assert_eq!(of(&market(), &nothing, Timestamp::from_secs(0)), None);
        let silent = MarketActivity {
            trades: Some(Vec::new()),
            ..nothing
        };
        assert_eq!(
            of(&market(), &silent, Timestamp::from_secs(0)).as_deref(),
            Some("No trades yet.")
        );
    }
}
