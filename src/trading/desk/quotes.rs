//! Two-sided quotes: resting orders that replace the strategy's earlier ones.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;

use crate::domain::{
    Order, OrderType, Quote, QuoteSide, Reason, RestingOrder, Rounding, Side, Signal, TokenId,
    Usdc, notional,
};

use super::super::config::Mode;
use super::agent::AGENT;
use super::wishes::{Late, LateLooks, NOT_GATHERED, Quoting, Wish};
use super::{DeskError, Step};

impl Step<'_> {
    /// Keeps resting orders whose price still stands and that are neither larger than is wanted now
    /// nor below the market's minimum, withdraws the others, places what is new.
    pub(super) fn trade_quotes(
        &mut self,
        wishes: &[Quoting<'_>],
        late: &LateLooks<'_>,
    ) -> Result<(), DeskError> {
        if self.config.mode == Mode::Monitor {
            return self.log_quotes(wishes);
        }
        let mut kept = BTreeSet::new();
        let mut to_place: Vec<Placing<'_>> = Vec::with_capacity(wishes.len() * 2);
        let standing = self.standing();
        for wish in wishes {
            let quote = match wish {
                Wish::Known(quote) => *quote,
                // Nothing of a quiet market waits that could stand for it.
                Wish::Late(of, bids) => {
                    let bids = bids.iter().enumerate();
                    to_place.extend(bids.filter_map(|(outcome, bid)| {
                        Some(Placing {
                            whose: Whose::Found(*of, outcome),
                            side: Side::Buy,
                            wanted: (*bid)?,
                        })
                    }));
                    continue;
                }
            };
            for (side, wanted) in sides(quote) {
                let stands =
                    standing
                        .get(&quote.token_id)
                        .into_iter()
                        .flatten()
                        .find(|(_, resting)| {
                            let order = &resting.order;
                            order.side == side
                                && order.strategy == quote.strategy
                                && order.limit == wanted.price
                                && resting.remaining <= wanted.shares
                                && self
                                    .view(&order.market_id)
                                    .is_some_and(|view| resting.remaining >= view.market.min_size)
                        });
                match stands {
                    Some((id, _)) => {
                        kept.insert(*id);
                    }
                    None if self.is_quoting(quote, side) => {}
                    None => to_place.push(Placing {
                        whose: Whose::Known(quote),
                        side,
                        wanted,
                    }),
                }
            }
        }
        let gone: Vec<u64> = self
            .ledger()
            .resting()
            .iter()
            .filter(|(id, resting)| {
                // An agent's orders are its own to withdraw.
                !kept.contains(id) && resting.order.strategy.as_str() != AGENT
            })
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.cancel_resting(id, "replaced or withdrawn by its strategy")?;
        }
        self.place_quotes(&to_place, late)
    }

    /// In monitor mode all of it is logged, and nothing done; a replay never monitors.
    fn log_quotes(&mut self, wishes: &[Quoting<'_>]) -> Result<(), DeskError> {
        for wish in wishes {
            let Wish::Known(quote) = wish else { continue };
            for (side, wanted) in sides(quote) {
                let row = self.log_signal(&signal_of(quote, side, wanted)?)?;
                self.reject_unmonitored(row)?;
            }
        }
        Ok(())
    }

    /// Places what is new, as long as it may pass.
    fn place_quotes(
        &mut self,
        to_place: &[Placing<'_>],
        late: &LateLooks<'_>,
    ) -> Result<(), DeskError> {
        let mut shut = Shut::default();
        for Placing {
            whose,
            side,
            wanted,
        } in to_place
        {
            let strategy = match whose {
                Whose::Known(quote) => quote.strategy.as_str(),
                Whose::Found(of, _) => late.name(*of),
            };
            if shut.counts(strategy, *side, *wanted) {
                continue;
            }
            let found;
            let quote = match whose {
                Whose::Known(quote) => *quote,
                Whose::Found(of, outcome) => match late.quote(*of, *outcome) {
                    Some(quote) => {
                        found = quote;
                        &found
                    }
                    // In a step that is given up; should it ever be in another, it is told.
                    None => {
                        self.report.not_traded(strategy, NOT_GATHERED);
                        continue;
                    }
                },
            };
            if let Some(refusal) = self.place_quote(quote, *side, *wanted)? {
                shut.learn(strategy, *side, *wanted, &refusal);
            }
        }
        for (strategy, code, count) in shut.counted {
            self.report.many_not_traded(&strategy, &code, count);
        }
        Ok(())
    }

    /// Resting orders by token, in order of their numbers.
    fn standing(&self) -> HashMap<&TokenId, Vec<(u64, &RestingOrder)>, RandomState> {
        let mut standing: HashMap<_, Vec<_>, _> = HashMap::default();
        for (id, resting) in self.ledger().resting() {
            standing
                .entry(&resting.order.token_id)
                .or_default()
                .push((*id, resting));
        }
        standing
    }

    /// Places one side of a quote. The code of the refusal, if there was one.
    fn place_quote(
        &mut self,
        quote: &Quote,
        side: Side,
        wanted: QuoteSide,
    ) -> Result<Option<String>, DeskError> {
        let row = self.log_signal(&signal_of(quote, side, wanted)?)?;
        let Some(view) = self.view(&quote.market_id) else {
            let reason = "the market is not among those gathered for this tick".to_owned();
            self.reject(row, NOT_GATHERED, reason)?;
            return Ok(None);
        };
        let mut order = Order {
            id: self.ledger().next_order_id(),
            client_order_id: None,
            signal_id: Some(row),
            supporters: Vec::new(),
            strategy: quote.strategy.clone(),
            market_id: quote.market_id.clone(),
            event_id: view.market.event_id.clone(),
            token_id: quote.token_id.clone(),
            outcome: quote.outcome.clone(),
            side,
            limit: wanted.price,
            // The venue takes whole lots only.
            shares: wanted.shares.floor_to_lot(),
            order_type: OrderType::PostOnly,
            expires_at: None,
            arrives_at: None,
            fired_by: None,
            fee: None,
            basket: None,
            reason: String::new(),
            stop_loss: None,
            take_profit: None,
            trail_percent: None,
        };
        let book = self.left_of(&quote.token_id);
        match self.approve(&order, &view.market, book.as_deref()) {
            Ok(approved) => {
                order.reason = quote.reason.to_string();
                let approved = approved.because(order.reason.clone());
                let report = self.submit(approved, &view.market)?;
                self.conclude_signals(&order, &report)?;
                Ok(None)
            }
            Err(refusal) => {
                self.record_refusal(&order, &refusal)?;
                self.reject(row, &refusal.code, refusal.message)?;
                Ok(Some(refusal.code))
            }
        }
    }
}

/// One side of a quote to be placed.
struct Placing<'w> {
    whose: Whose<'w>,
    side: Side,
    wanted: QuoteSide,
}

/// The quote that it is a side of, or where it was found and for which outcome.
enum Whose<'w> {
    Known(&'w Quote),
    Found(Late, usize),
}

/// What this tick's refusals say of the quotes after them. Nothing is given back while quotes are
/// placed, so what a limit on orders or on money refused, it would refuse every order that asks for
/// as much: those are counted, not judged and logged one by one, tick after tick.
#[derive(Debug, Default)]
struct Shut {
    bids: Option<String>,
    asks: Option<String>,
    /// Notional of a bid that a limit on the strategy refused, the smallest.
    strategies: Vec<(String, Usdc, String)>,
    /// The same for a limit on the account.
    account: Option<(Usdc, String)>,
    /// How many of each strategy were counted under each limit.
    counted: Vec<(String, String, u32)>,
}

impl Shut {
    /// The limit that would refuse this side of a quote, as far as is known.
    fn cause(&self, strategy: &str, side: Side, wanted: QuoteSide) -> Option<&str> {
        let (side_shut, is_bid) = match side {
            Side::Buy => (&self.bids, true),
            Side::Sell => (&self.asks, false),
        };
        if let Some(code) = side_shut {
            return Some(code);
        }
        if !is_bid || (self.account.is_none() && self.strategies.is_empty()) {
            return None;
        }
        let asked = cost(wanted);
        let of_account = self.account.as_ref();
        let of_account = of_account.filter(|(refused, _)| asked >= *refused);
        let of_strategy = || {
            let mut all = self.strategies.iter();
            all.find(|(of, refused, _)| of == strategy && asked >= *refused)
                .map(|(.., code)| code)
        };
        of_account
            .map(|(_, code)| code)
            .or_else(of_strategy)
            .map(String::as_str)
    }

    /// Whether this side of a quote is only counted; it is, then.
    fn counts(&mut self, strategy: &str, side: Side, wanted: QuoteSide) -> bool {
        let Some(code) = self.cause(strategy, side, wanted) else {
            return false;
        };
        let mut known = self.counted.iter();
        match known.rposition(|(of, by, _)| by == code && of == strategy) {
            Some(place) => {
                if let Some((.., count)) = self.counted.get_mut(place) {
                    *count += 1;
                }
            }
            None => {
                let counted = (strategy.to_owned(), code.to_owned(), 1);
                self.counted.push(counted);
            }
        }
        true
    }

    fn learn(&mut self, strategy: &str, side: Side, wanted: QuoteSide, code: &str) {
        let code = code.to_owned();
        match code.as_str() {
            "max_open_orders" => {
                self.asks = Some(code.clone());
                self.bids = Some(code);
            }
            _ if side == Side::Sell => {}
            "halted" | "max_orders_per_minute" | "max_daily_loss" | "max_drawdown_pct" => {
                self.bids = Some(code);
            }
            // An order that was judged asked for less than any refused before.
            "max_position_size" | "max_total_exposure" | "cash" => {
                self.account = Some((cost(wanted), code));
            }
            "max_strategy_exposure" => {
                self.strategies.retain(|(of, ..)| of != strategy);
                self.strategies
                    .push((strategy.to_owned(), cost(wanted), code));
            }
            _ => {}
        }
    }
}

/// What a bid claims: a post-only order pays no fee.
fn cost(wanted: QuoteSide) -> Usdc {
    notional(wanted.price, wanted.shares.floor_to_lot(), Rounding::Up)
        .unwrap_or(Usdc::from_micros(i64::MAX))
}

fn sides(quote: &Quote) -> impl Iterator<Item = (Side, QuoteSide)> {
    let bid = quote.bid.map(|side| (Side::Buy, side));
    let ask = quote.ask.map(|side| (Side::Sell, side));
    bid.into_iter().chain(ask)
}

fn signal_of(quote: &Quote, side: Side, wanted: QuoteSide) -> Result<Signal, DeskError> {
    let price = wanted.price.to_f64();
    let edge = match side {
        Side::Buy => quote.fair_price - price,
        Side::Sell => price - quote.fair_price,
    };
    Ok(Signal {
        strategy: quote.strategy.clone(),
        market_id: quote.market_id.clone(),
        token_id: quote.token_id.clone(),
        outcome: quote.outcome.clone(),
        side,
        confidence: quote.confidence,
        fair_price: quote.fair_price,
        target_price: wanted.price,
        edge,
        size: notional(wanted.price, wanted.shares, Rounding::Down)?,
        reason: Reason::later(quote.reason.clone()),
        stop_loss: None,
        take_profit: None,
    })
}
