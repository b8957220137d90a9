//! Matching: an admitted order takes by price and then by time, and rests with what is left.

use std::cmp::Reverse;

use crate::domain::{Price, Shares, Side, Timestamp, Usdc};

use super::Exchange;
use super::admit::{GTD_MARGIN, Want, fee_of, reserve, worth};
use super::change::{ChangeKind, LevelChange, OrderEvent};
use super::ids::{MarketIdx, OrderNo, TradeNo};
use super::market::{LastTrade, Route, worth_one};
use super::order::{
    CancelCause, Fill, MatchKind, NewOrder, OrderRecord, OrderStatus, OutcomeSide, Placed,
    PlacedStatus, Quantity, Tif,
};
use super::refusal::Refusal;
use super::slab::{NONE, Slot};
use super::trade::{Party, TradeRecord, TradeStatus};

/// What an arriving order got.
#[derive(Debug, Clone, Copy)]
struct Taken {
    want: Want,
    /// Own price of the latest match.
    price: Option<Price>,
    filled: Shares,
    notional: Usdc,
    fee: Usdc,
}

impl Exchange {
    /// Matches an order as far as it goes and rests what its type lets rest. Nothing has changed
    /// when it is refused, except that GTD orders of the market that are due by then are gone.
    pub fn place(&mut self, order: NewOrder) -> Result<Placed, Refusal> {
        self.fills.clear();
        self.expire(order.market, order.at);
        let route = self.admit(&order)?;
        let no = if order.tif.rests() {
            self.slab
                .acquire(Slot {
                    no: None,
                    remaining: Shares::ZERO,
                    price: route.price,
                    account: order.account,
                    market: order.market,
                    previous: NONE,
                    next: NONE,
                    outcome: order.outcome,
                    side: order.side,
                })
                .ok_or(Refusal::Full)?
        } else {
            self.slab.number_only()
        };
        self.open_record(no, &order);
        let taken = self.take(no, &order, route);
        let resting = match (order.tif, taken.want.0) {
            (Tif::Gtc | Tif::Gtd(_), Quantity::Shares(left)) => left,
            _ => Shares::ZERO,
        };
        if resting.is_zero() {
            self.slab.release(no);
        } else {
            self.rest(no, &order, route, resting);
        }
        let met = taken.price.is_some_and(|price| taken.want.is_met(price));
        let status = match (taken.filled.is_zero(), resting.is_zero()) {
            (true, _) => PlacedStatus::Resting,
            (false, false) => PlacedStatus::PartlyResting,
            (false, true) if met => PlacedStatus::Matched,
            (false, true) => PlacedStatus::PartlyKilled,
        };
        if !order.account.is_crowd() {
            self.close_record(no, &order, &taken, resting, status);
        }
        Ok(Placed {
            order: no,
            status,
            filled: taken.filled,
            notional: taken.notional,
            fee: taken.fee,
            resting,
        })
    }

    /// Takes from the other side of the book while price and quantity allow.
    fn take(&mut self, no: OrderNo, order: &NewOrder, route: Route) -> Taken {
        let mut taken = Taken {
            want: Want(order.quantity),
            price: None,
            filled: Shares::ZERO,
            notional: Usdc::ZERO,
            fee: Usdc::ZERO,
        };
        let mut touched = None;
        while let Some(market) = self.markets.get_mut(order.market.0 as usize) {
            let schedule = market.terms.fee;
            let ladder = market.ladder_mut(route.book, !route.bid);
            let Some(level) = ladder.best().filter(|level| route.crosses(level.price)) else {
                break;
            };
            let (at_price, own) = (level.price, route.own(level.price));
            let Some(&maker) = self.slab.at(level.queue.head) else {
                break;
            };
            let Some(maker_no) = maker.no else { break };
            let size = taken.want.size(own, maker.remaining);
            if size.is_zero() {
                break;
            }
            ladder.take_from_first(&mut self.slab, maker_no, size);
            market.changed_at = order.at;

            let paid = worth(own, size);
            let fee = fee_of(schedule, own, size);
            taken.want = taken.want.less(size, paid);
            taken.price = Some(own);
            taken.filled = taken.filled.plus(size);
            taken.notional = taken.notional.plus(paid);
            taken.fee = taken.fee.plus(fee);

            if let Some(before) = touched.replace(at_price)
                && before != at_price
            {
                self.report_level(order.market, route.book, !route.bid, before, order.at);
            }
            let taker = Party {
                account: order.account,
                order: no,
                outcome: order.outcome,
                side: order.side,
                price: own,
                notional: paid,
                fee,
            };
            self.matched(order.market, taker, maker_no, &maker, size, order.at);
        }
        if let Some(price) = touched {
            self.report_level(order.market, route.book, !route.bid, price, order.at);
        }
        taken
    }

    /// Everything that one match brings about outside of the book.
    fn matched(
        &mut self,
        market: MarketIdx,
        taker: Party,
        maker_no: OrderNo,
        slot: &Slot,
        size: Shares,
        at: Timestamp,
    ) {
        let kind = match (taker.outcome == slot.outcome, taker.side) {
            (true, _) => MatchKind::Transfer,
            (false, Side::Buy) => MatchKind::Mint,
            (false, Side::Sell) => MatchKind::Merge,
        };
        let (price, notional) = if kind == MatchKind::Transfer {
            (taker.price, taker.notional)
        } else {
            let rest = worth_one(size).minus(taker.notional);
            (taker.price.complement(), rest)
        };
        let maker = Party {
            account: slot.account,
            order: maker_no,
            outcome: slot.outcome,
            side: slot.side,
            price,
            notional,
            fee: Usdc::ZERO,
        };
        self.move_assets(market, kind, size, &taker, &maker);
        if let Some(state) = self.market_mut(market) {
            state.last = Some(LastTrade {
                outcome: taker.outcome,
                side: taker.side,
                price: taker.price,
                size,
                at,
            });
            state.turnover.trades += 1;
            state.turnover.shares = state.turnover.shares.plus(size);
            state.turnover.notional = state.turnover.notional.plus(taker.notional);
            if state.watched {
                self.feed.push(
                    market,
                    at,
                    ChangeKind::Trade {
                        outcome: taker.outcome,
                        side: taker.side,
                        price: taker.price,
                        size,
                        fee: taker.fee,
                        kind,
                    },
                );
            }
        }
        let trade = self.keep_trade(market, kind, size, taker, maker, at);
        if !maker.account.is_crowd() {
            self.revise(maker_no, at, Some(OrderEvent::Update), |record| {
                record.matched = record.matched.plus(size);
                record.resting = record.resting.minus(size);
                if record.resting.is_zero() {
                    record.status = OrderStatus::Matched;
                }
            });
        }
        self.fills.push(Fill {
            taker: taker.order,
            maker: maker_no,
            maker_account: maker.account,
            price: taker.price,
            size,
            notional: taker.notional,
            fee: taker.fee,
            kind,
            trade,
        });
    }

    /// Keeps a match when an agent took part.
    fn keep_trade(
        &mut self,
        market: MarketIdx,
        kind: MatchKind,
        size: Shares,
        taker: Party,
        maker: Party,
        at: Timestamp,
    ) -> Option<TradeNo> {
        if taker.account.is_crowd() && maker.account.is_crowd() {
            return None;
        }
        let trade = TradeNo(self.trades.len() as u64 + 1);
        let record = TradeRecord {
            trade,
            market,
            matched_at: at,
            updated_at: at,
            kind,
            size,
            taker,
            maker,
            status: TradeStatus::Matched,
        };
        self.trades.push(record);
        self.pending.insert(trade);
        if let Some(account) = self.account_mut(taker.account) {
            account.trades.push(trade);
        }
        if maker.account != taker.account
            && let Some(account) = self.account_mut(maker.account)
        {
            account.trades.push(trade);
        }
        self.report_trade(&record);
        Some(trade)
    }

    /// Puts the rest of an order into the book.
    fn rest(&mut self, no: OrderNo, order: &NewOrder, route: Route, size: Shares) {
        if let Some(slot) = self.slab.get_mut(no) {
            slot.remaining = size;
        }
        let Some(market) = self.markets.get_mut(order.market.0 as usize) else {
            return;
        };
        market
            .ladder_mut(route.book, route.bid)
            .add(&mut self.slab, no, route.price, size);
        market.changed_at = order.at;
        if let Tif::Gtd(expiration) = order.tif {
            let due = expiration.plus_millis(-GTD_MARGIN);
            market.due.push(Reverse((due, no)));
        }
        self.report_level(order.market, route.book, route.bid, route.price, order.at);
    }

    /// Begins the record of an agent's order.
    fn open_record(&mut self, no: OrderNo, order: &NewOrder) {
        let Some(account) = self.account_mut(order.account) else {
            return;
        };
        account.orders.push(no);
        let watched = account.watched;
        let size = match order.quantity {
            Quantity::Shares(size) => size,
            Quantity::Budget(_) => Shares::ZERO,
        };
        let record = OrderRecord {
            order: no,
            placed: *order,
            size,
            matched: Shares::ZERO,
            resting: Shares::ZERO,
            status: OrderStatus::Live,
            updated_at: order.at,
            reserved: Usdc::ZERO,
        };
        self.records.insert(no, record);
        if watched {
            let kind = ChangeKind::Order(OrderEvent::Placement, Box::new(record));
            self.feed.push(order.market, order.at, kind);
        }
    }

    /// Ends an agent's order's arrival: what matched, what rests, what was dropped.
    fn close_record(
        &mut self,
        no: OrderNo,
        order: &NewOrder,
        taken: &Taken,
        resting: Shares,
        status: PlacedStatus,
    ) {
        let event = (!taken.filled.is_zero()).then_some(OrderEvent::Update);
        self.revise(no, order.at, event, |record| {
            record.matched = taken.filled;
            record.resting = resting;
            if matches!(order.quantity, Quantity::Budget(_)) {
                record.size = taken.filled;
            }
            record.status = match status {
                PlacedStatus::Resting | PlacedStatus::PartlyResting => OrderStatus::Live,
                PlacedStatus::Matched => OrderStatus::Matched,
                PlacedStatus::PartlyKilled => OrderStatus::Canceled(CancelCause::Killed),
            };
        });
        if status == PlacedStatus::PartlyKilled {
            self.revise(no, order.at, Some(OrderEvent::Cancellation), |_| {});
        }
    }

    /// Changes an agent's order and everything that follows from it: what it keeps reserved, the
    /// lists it is in, the report.
    pub(super) fn revise(
        &mut self,
        no: OrderNo,
        at: Timestamp,
        event: Option<OrderEvent>,
        change: impl FnOnce(&mut OrderRecord),
    ) {
        let Some(record) = self.records.get_mut(&no) else {
            return;
        };
        let order = record.placed;
        let Some(market) = self.markets.get_mut(order.market.0 as usize) else {
            return;
        };
        let before = *record;
        change(record);
        record.updated_at = at;
        let after_is_open = !record.resting.is_zero();
        if order.side == Side::Buy {
            record.reserved = if after_is_open {
                reserve(&order, market.terms.fee, record.resting)
            } else {
                Usdc::ZERO
            };
        }
        match (before.resting.is_zero(), after_is_open) {
            (true, true) => market.agent_orders += 1,
            (false, false) => market.agent_orders = market.agent_orders.saturating_sub(1),
            _ => {}
        }
        let after = *record;
        let Some(account) = self.account_mut(order.account) else {
            return;
        };
        let cash = &mut account.cash;
        cash.reserved = cash.reserved.minus(before.reserved).plus(after.reserved);
        if order.side == Side::Sell {
            let holding = account.holding_mut(order.market, order.outcome);
            holding.reserved = holding.reserved.minus(before.resting).plus(after.resting);
            account.tidy(order.market, order.outcome);
        }
        if after_is_open {
            account.open.insert(no);
        } else {
            account.open.remove(&no);
        }
        if let (Some(event), true) = (event, account.watched) {
            let kind = ChangeKind::Order(event, Box::new(after));
            self.feed.push(order.market, at, kind);
        }
    }

    /// Reports a level's new total if its market is watched.
    pub(super) fn report_level(
        &mut self,
        market: MarketIdx,
        book: OutcomeSide,
        bids: bool,
        price: Price,
        at: Timestamp,
    ) {
        let Some(state) = self.market(market).filter(|state| state.watched) else {
            return;
        };
        let change = LevelChange {
            outcome: book,
            side: if bids { Side::Buy } else { Side::Sell },
            price,
            total: state.ladder(book, bids).total(price),
        };
        self.feed.push(market, at, ChangeKind::Level(change));
    }

    /// Reports a trade if one of its accounts is watched.
    pub(super) fn report_trade(&mut self, record: &TradeRecord) {
        let watched = [record.taker.account, record.maker.account]
            .into_iter()
            .any(|account| self.account(account).is_some_and(|account| account.watched));
        if watched {
            self.feed.push(
                record.market,
                record.updated_at,
                ChangeKind::AgentTrade(Box::new(*record)),
            );
        }
    }
}
