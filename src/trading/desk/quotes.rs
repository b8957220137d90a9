//! Two-sided quotes: resting orders that replace the strategy's earlier ones.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use foldhash::fast::RandomState;

use crate::domain::{
    Order, OrderType, Quote, QuoteSide, Reason, RestingOrder, Rounding, Side, Signal, TokenId,
    notional,
};

use super::super::config::Mode;
use super::agent::AGENT;
use super::wishes::{Late, LateLooks, NOT_GATHERED, Quoting};
use super::{DeskError, Step};

mod shut;

use shut::Shut;

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
        // Sides of quotes that are to be placed, with the places of these among the wishes.
        let mut to_place: Vec<(usize, Side, QuoteSide)> = Vec::new();
        let standing = self.standing();
        for (place, wish) in wishes.iter().enumerate() {
            // Nothing of a quiet market waits that could stand for what is wanted of it.
            let Quoting::Known(quote) = wish else {
                continue;
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
                    None => to_place.push((place, side, wanted)),
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
        self.place_quotes(wishes, &to_place, late)
    }

    /// In monitor mode all of it is logged, and nothing done; a replay never monitors.
    fn log_quotes(&mut self, wishes: &[Quoting<'_>]) -> Result<(), DeskError> {
        for wish in wishes {
            let Quoting::Known(quote) = wish else {
                continue;
            };
            for (side, wanted) in sides(quote) {
                let row = self.log_signal(&signal_of(quote, side, wanted)?)?;
                self.reject_unmonitored(row)?;
            }
        }
        Ok(())
    }

    /// Places what is new, as long as it may pass: bids on quiet markets, and of the other quotes those
    /// sides that are `to_place`.
    fn place_quotes(
        &mut self,
        wishes: &[Quoting<'_>],
        to_place: &[(usize, Side, QuoteSide)],
        late: &LateLooks<'_>,
    ) -> Result<(), DeskError> {
        let mut shut = Shut::default();
        let mut to_place = to_place.iter().peekable();
        for (place, wish) in wishes.iter().enumerate() {
            if self.snapshot.is_interrupted() {
                break;
            }
            match wish {
                Quoting::Known(quote) => {
                    while let Some((_, side, wanted)) = to_place.next_if(|(of, ..)| *of == place) {
                        let strategy = quote.strategy.as_str();
                        if !shut.counts(strategy, *side, *wanted) {
                            self.place_and_learn(strategy, quote, (*side, *wanted), &mut shut)?;
                        }
                    }
                }
                Quoting::Quiet(strategy, places) => {
                    self.place_quiet(*strategy, places.clone(), late, &mut shut)?;
                }
            }
        }
        for (strategy, code, count) in shut.counted() {
            self.report.many_not_traded(strategy, code, count);
        }
        Ok(())
    }

    /// Places the bids that a strategy found in the quiet markets at these places.
    fn place_quiet<'w>(
        &mut self,
        strategy: usize,
        places: Range<usize>,
        late: &LateLooks<'_>,
        shut: &mut Shut<'w>,
    ) -> Result<(), DeskError> {
        let name = late.name(strategy);
        let Some((findings, entries)) = late.found(strategy, places.clone()) else {
            return Ok(());
        };
        for (done, (place, entry)) in places.zip(entries).enumerate() {
            if self.snapshot.is_interrupted() {
                break;
            }
            if shut.refuses_bids() {
                // All that are left, without a look at each.
                let left = entries.iter().skip(done).map(|entry| *entry as usize);
                shut.count_bids(name, findings.count_bids(left));
                return Ok(());
            }
            let market = Late { strategy, place };
            let bids = findings.bids(*entry as usize);
            if bids
                .least
                .is_some_and(|least| shut.counts_both(name, least))
            {
                continue;
            }
            let mut only_counted = bids.least.is_some();
            let mut quotes = None;
            let bids = match bids.sides {
                Some(sides) => sides,
                None => {
                    let found = quotes.insert(late.quotes(market)).each_ref();
                    let sides = found.map(|quote| quote.as_ref()?.bid);
                    // As below: both were certain.
                    for _ in sides.iter().filter(|side| side.is_none()) {
                        self.report.not_traded(name, NOT_GATHERED);
                    }
                    sides
                }
            };
            for (outcome, wanted) in bids.into_iter().enumerate() {
                let Some(wanted) = wanted else { continue };
                if shut.counts(name, Side::Buy, wanted) {
                    continue;
                }
                only_counted = false;
                let quotes = quotes.get_or_insert_with(|| late.quotes(market));
                match quotes.get_mut(outcome).and_then(Option::take) {
                    Some(quote) => {
                        self.place_and_learn(name, &quote, (Side::Buy, wanted), shut)?;
                    }
                    // In a step that is given up; should it ever be in another, it is told.
                    None => self.report.not_traded(name, NOT_GATHERED),
                }
            }
            if only_counted {
                late.note_priced();
            }
        }
        Ok(())
    }

    /// Places one side of a quote, and learns from its refusal.
    fn place_and_learn<'w>(
        &mut self,
        strategy: &'w str,
        quote: &Quote,
        (side, wanted): (Side, QuoteSide),
        shut: &mut Shut<'w>,
    ) -> Result<(), DeskError> {
        if let Some(refusal) = self.place_quote(quote, side, wanted)? {
            let room = || self.gate().room(&refusal, &quote.strategy);
            shut.learn(strategy, side, &refusal, room);
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
