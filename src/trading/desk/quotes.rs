//! Two-sided quotes: resting orders that replace the strategy's earlier ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::RandomState;

use crate::domain::{
    Order, OrderType, Quote, QuoteSide, Reason, RestingOrder, Rounding, Side, Signal, StrategyName,
    TokenId, Usdc, notional,
};

use super::super::config::Mode;
use super::agent::AGENT;
use super::{DeskError, Step};

impl Step<'_> {
    /// Keeps resting orders whose price still stands and that are neither larger than is wanted now
    /// nor below the market's minimum, withdraws the others, places what is new.
    pub(super) fn trade_quotes(&mut self, quotes: &[&Quote]) -> Result<(), DeskError> {
        if self.config.mode == Mode::Monitor {
            for quote in quotes {
                for (side, wanted) in sides(quote) {
                    let row = self.log_signal(&signal_of(quote, side, wanted)?)?;
                    self.reject_unmonitored(row)?;
                }
            }
            return Ok(());
        }
        let mut kept = BTreeSet::new();
        let mut to_place: Vec<(&Quote, Side, QuoteSide)> = Vec::new();
        let standing = self.standing();
        for quote in quotes {
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
                    None => to_place.push((quote, side, wanted)),
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
        let mut shut = Shut::default();
        for (quote, side, wanted) in to_place {
            if let Some(code) = shut.cause(&quote.strategy, side, wanted) {
                self.report.not_traded(quote.strategy.as_str(), code);
            } else if let Some(refusal) = self.place_quote(quote, side, wanted)? {
                shut.learn(&quote.strategy, side, wanted, &refusal);
            }
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
            self.reject(row, "market not gathered", reason)?;
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

/// What this tick's refusals say of the quotes after them. Nothing is given back while quotes are
/// placed, so what a limit on orders or on money refused, it would refuse every order that asks for
/// as much: those are counted, not judged and logged one by one, tick after tick.
#[derive(Debug, Default)]
struct Shut {
    sides: BTreeMap<Side, String>,
    /// Notional of a bid that a limit on the strategy refused, the smallest.
    strategies: BTreeMap<StrategyName, (Usdc, String)>,
    /// The same for a limit on the account.
    account: Option<(Usdc, String)>,
}

impl Shut {
    /// The limit that would refuse this side of a quote, as far as is known.
    fn cause(&self, strategy: &StrategyName, side: Side, wanted: QuoteSide) -> Option<&str> {
        if let Some(code) = self.sides.get(&side) {
            return Some(code);
        }
        if side == Side::Sell {
            return None;
        }
        let asked = cost(wanted);
        [self.account.as_ref(), self.strategies.get(strategy)]
            .into_iter()
            .flatten()
            .find(|(refused, _)| asked >= *refused)
            .map(|(_, code)| code.as_str())
    }

    fn learn(&mut self, strategy: &StrategyName, side: Side, wanted: QuoteSide, code: &str) {
        let refused = (cost(wanted), code.to_owned());
        match code {
            "max_open_orders" => {
                for side in [Side::Buy, Side::Sell] {
                    self.sides.insert(side, code.to_owned());
                }
            }
            _ if side == Side::Sell => {}
            "halted" | "max_orders_per_minute" | "max_daily_loss" | "max_drawdown_pct" => {
                self.sides.insert(side, code.to_owned());
            }
            // An order that was judged asked for less than any refused before.
            "max_position_size" | "max_total_exposure" | "cash" => self.account = Some(refused),
            "max_strategy_exposure" => {
                self.strategies.insert(strategy.clone(), refused);
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
