//! Prices of conditional orders: where exits are placed, when they fire, and how far a triggered
//! sale may go.

use crate::domain::{
    Book, ConditionalKind, ConditionalOrder, MICRO_U64, Order, Price, Shares, Side, Timestamp,
};

use super::conditional_config::ConditionalConfig;

/// What exits of a new position are placed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitPrices {
    /// Average price paid for these shares, rounded to micro-units.
    pub paid: Price,
    /// Best bid after the fill; `None` when nobody bids.
    pub bid: Option<Price>,
    /// The market's tick.
    pub tick: Price,
}

/// One exit to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// True for a configured default, false for one that the order names.
    pub automatic: bool,
    /// Kind.
    pub kind: ConditionalKind,
    /// Trigger price.
    pub trigger: Price,
    /// Watermark (trailing stop only).
    pub watermark: Option<Price>,
    /// Distance (trailing stop only).
    pub trail: Option<Price>,
    /// Why.
    pub reason: String,
}

/// `price × fraction`, rounded down.
#[must_use]
pub fn scaled(price: Price, fraction: u64) -> Price {
    let micros = u64::from(price.micros()) * fraction / MICRO_U64;
    u32::try_from(micros)
        .ok()
        .and_then(|m| Price::from_micros(m).ok())
        .unwrap_or(Price::ONE)
}

/// The exits for a buy: what the order names itself, else the configured defaults.
///
/// Stops hang below the *bid* where it is lower than the price paid: measured from the price paid,
/// the spread alone would set off a close stop at once. A default whose price, put on the tick,
/// would not lie beyond the reference is left out: it would fire at once.
#[must_use]
pub fn exits_for(
    order: &Order,
    prices: &ExitPrices,
    defaults: Option<&ConditionalConfig>,
) -> Vec<Exit> {
    let reference = prices.bid.map_or(prices.paid, |bid| bid.min(prices.paid));
    let mut exits = Vec::new();
    let stop = order.stop_loss.or_else(|| {
        let below = defaults?.default_stop_loss_pct.complement();
        let price = scaled(reference, u64::from(below.micros())).floor_to(prices.tick);
        (price < reference).then_some(price)
    });
    if let Some(trigger) = stop {
        let automatic = order.stop_loss.is_none();
        exits.push(Exit {
            automatic,
            kind: ConditionalKind::StopLoss,
            trigger,
            watermark: None,
            trail: None,
            reason: format!(
                "{} stop-loss at {trigger}",
                if automatic { "Auto" } else { "Ordered" }
            ),
        });
    }
    let profit = order.take_profit.or_else(|| {
        let above = MICRO_U64 + u64::from(defaults?.default_take_profit_pct.micros());
        let price = scaled(prices.paid, above).ceil_to(prices.tick);
        (price > prices.paid && prices.bid.is_none_or(|bid| price > bid)).then_some(price)
    });
    if let Some(trigger) = profit {
        let automatic = order.take_profit.is_none();
        exits.push(Exit {
            automatic,
            kind: ConditionalKind::TakeProfit,
            trigger,
            watermark: None,
            trail: None,
            reason: format!(
                "{} take-profit at {trigger}",
                if automatic { "Auto" } else { "Ordered" }
            ),
        });
    }
    let trail = order.trail_percent.or_else(|| {
        defaults
            .filter(|d| d.trailing_stop_enabled)
            .map(|d| d.trailing_stop_pct)
    });
    if let Some(trail) = trail {
        let automatic = order.trail_percent.is_none();
        exits.push(Exit {
            automatic,
            kind: ConditionalKind::TrailingStop,
            trigger: reference,
            watermark: Some(reference),
            trail: Some(trail),
            reason: format!(
                "{} trailing stop ({} %)",
                if automatic { "Auto" } else { "Ordered" },
                trail.to_f64() * 100.0
            ),
        });
    }
    exits
}

/// How low a triggered sale may go: so much below the bid that set it off, on the tick and never
/// further than the slippage allows. A bid that lies between ticks (a recording's, or one from
/// before the tick changed) is reached by the tick below it.
#[must_use]
pub fn sale_limit(bid: Price, tick: Price, max_slippage: Price) -> Price {
    let lowest = scaled(bid, u64::from(max_slippage.complement().micros()));
    let on_tick = lowest.ceil_to(tick);
    if on_tick <= bid {
        on_tick
    } else {
        lowest.floor_to(tick)
    }
}

/// What one look at a book tells a conditional order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Its price is not reached.
    Waits {
        /// A new watermark for a trailing stop.
        raised: Option<Price>,
    },
    /// Its price is reached, on a book too wide or too thin to believe at once.
    Doubts {
        /// Executable bid.
        bid: Price,
        /// Best ask; `None` when nobody asks.
        ask: Option<Price>,
        /// True when fewer shares are bid in all than the trigger asks for.
        thin: bool,
    },
    /// It fires, at this executable bid.
    Fires {
        /// Executable bid.
        bid: Price,
    },
}

/// The executable bid: the best price at which `shares` could be sold, which is the price of the
/// level where so many have been added up from the top; the best bid for no shares. `None` when
/// fewer are bid in all.
#[must_use]
pub fn executable_bid(book: &Book, shares: Shares) -> Option<Price> {
    let mut sum = Shares::ZERO;
    for level in book.against(Side::Sell) {
        sum = sum.plus(level.size);
        if sum >= shares {
            return Some(level.price);
        }
    }
    None
}

/// One look of a conditional order at a book; `None` when nobody bids: an empty side is no price.
///
/// All kinds compare the executable bid for `min_trigger_depth` shares (or all of the order's, if
/// fewer): a few shares bid high neither make a profit nor raise a watermark, and a few bid above a
/// stop do not keep it from firing.
///
/// A stop is sold at a loss and cannot be taken back, so it also wants the book to look like a
/// market: spread within `max_trigger_spread` (nobody asking counts as an ask of 1) and the depth
/// there at all. When makers pull their quotes for a moment the bid falls, the ask rises, and both
/// come back within seconds; a price that has really fallen brings its asks down with it and is
/// sold at once, or stays down and is sold once it has been so for `confirm_seconds`. The time
/// counts, not the number of looks: how often somebody looks depends on the stream.
///
/// A take-profit loses nothing by waiting and sells at its price or better only: it needs the depth
/// and no more.
#[must_use]
pub fn look(
    order: &ConditionalOrder,
    book: &Book,
    config: &ConditionalConfig,
    now: Timestamp,
) -> Option<Finding> {
    let best = book.best_bid()?;
    let firm = executable_bid(book, config.min_trigger_depth.min(order.shares));
    if order.kind == ConditionalKind::TakeProfit {
        return Some(match firm {
            Some(bid) if order.fires_at(bid) => Finding::Fires { bid },
            _ => Finding::Waits { raised: None },
        });
    }
    let bid = firm.unwrap_or(best);
    if !order.fires_at(bid) {
        let trailing = order.kind == ConditionalKind::TrailingStop;
        let raised = firm.filter(|bid| trailing && order.high_watermark.is_none_or(|w| *bid > w));
        return Some(Finding::Waits { raised });
    }
    let ask = book.best_ask();
    let spread = ask.unwrap_or(Price::ONE).minus(bid);
    let thin = firm.is_none();
    let waited = order.doubted_since.map_or(0, |since| now.since(since));
    Some(
        if (!thin && spread <= config.max_trigger_spread) || waited >= config.confirm_ms() {
            Finding::Fires { bid }
        } else {
            Finding::Doubts { bid, ask, thin }
        },
    )
}

/// The limit of a triggered sale: no further below the bid than the slippage allows, and for a
/// take-profit never below its own price.
#[must_use]
pub fn limit_of(order: &ConditionalOrder, bid: Price, tick: Price, max_slippage: Price) -> Price {
    let limit = sale_limit(bid, tick, max_slippage);
    if order.kind != ConditionalKind::TakeProfit {
        return limit;
    }
    let least = order.trigger_price.ceil_to(tick);
    // A bid between ticks is reached by the tick below it.
    if least <= bid {
        limit.max(least)
    } else {
        bid.floor_to(tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Price {
        Price::parse(text).unwrap()
    }

    #[test]
    fn a_triggered_sale_stays_within_its_slippage_and_on_the_tick() {
        assert_eq!(sale_limit(p("0.40"), p("0.01"), p("0.05")), p("0.38"));
        assert_eq!(sale_limit(p("0.01"), p("0.01"), p("0.05")), p("0.01"));
        // 0.03 × 0.95 = 0.0285: 0.02 would be a third below.
        assert_eq!(sale_limit(p("0.03"), p("0.01"), p("0.05")), p("0.03"));
        assert_eq!(sale_limit(p("0.4"), p("0.1"), p("0.05")), p("0.4"));
        // A bid between ticks: 0.4567 × 0.999 = 0.4562433, and 0.46 would never sell.
        assert_eq!(sale_limit(p("0.4567"), p("0.01"), p("0.001")), p("0.45"));
        assert_eq!(sale_limit(p("0.4567"), p("0.01"), p("0.05")), p("0.44"));
    }

    #[test]
    fn fractions_scale_downwards() {
        assert_eq!(scaled(p("0.52"), 900_000), p("0.468"));
        assert_eq!(scaled(p("0.9"), 1_200_000), Price::ONE);
    }
}
