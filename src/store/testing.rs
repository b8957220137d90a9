//! Events for the tests of this part.

use crate::domain::{
    ConditionalKind, ConditionalOrder, Fill, LedgerEvent, Price, Rounding, Shares, Side, Signal,
    StampedEvent, Timestamp, Usdc, notional,
};

/// 2026-02-27T08:00:00Z; event `seq` comes `seq` seconds later.
pub(super) const START: i64 = 1_772_179_200_000;

pub(super) fn at(seq: u64) -> Timestamp {
    Timestamp::from_millis(START).plus_millis(i64::try_from(seq).unwrap() * 1000)
}

/// Numbers `events` from `first` on.
pub(super) fn stamped(
    first: u64,
    events: impl IntoIterator<Item = LedgerEvent>,
) -> Vec<StampedEvent> {
    (first..)
        .zip(events)
        .map(|(seq, event)| StampedEvent {
            seq,
            at: at(seq),
            event,
        })
        .collect()
}

pub(super) fn price(text: &str) -> Price {
    Price::parse(text).unwrap()
}

pub(super) fn usdc(text: &str) -> Usdc {
    Usdc::parse(text).unwrap()
}

pub(super) fn deposit(amount: i32) -> LedgerEvent {
    LedgerEvent::Deposited {
        amount: Usdc::whole(amount),
    }
}

pub(super) fn fill_of(
    strategy: &str,
    token: &str,
    side: Side,
    at: Price,
    shares: Shares,
    fee: &str,
) -> LedgerEvent {
    LedgerEvent::Filled {
        fill: Fill {
            order_id: 7,
            strategy: strategy.into(),
            market_id: "559652".into(),
            token_id: token.into(),
            outcome: "Yes".into(),
            side,
            price: at,
            shares,
            notional: notional(at, shares, Rounding::Down).unwrap(),
            fee: usdc(fee),
            maker: false,
            print: false,
            reason: "because".to_owned(),
        },
    }
}

pub(super) fn fill(
    strategy: &str,
    token: &str,
    side: Side,
    at: &str,
    shares: &str,
    fee: &str,
) -> LedgerEvent {
    fill_of(
        strategy,
        token,
        side,
        price(at),
        Shares::parse(shares).unwrap(),
        fee,
    )
}

pub(super) fn signal(id: u64, strategy: &str) -> LedgerEvent {
    LedgerEvent::SignalGenerated {
        signal_id: id,
        signal: Signal {
            strategy: strategy.into(),
            market_id: "559652".into(),
            token_id: "71321".into(),
            outcome: "Yes".into(),
            side: Side::Buy,
            confidence: 0.62,
            fair_price: 0.58,
            target_price: price("0.55"),
            edge: 0.021,
            size: Usdc::whole(25),
            reason: "model says so".into(),
            stop_loss: None,
            take_profit: None,
        },
    }
}

pub(super) fn conditional(id: u64, kind: ConditionalKind) -> LedgerEvent {
    let trailing = kind == ConditionalKind::TrailingStop;
    LedgerEvent::ConditionalCreated {
        conditional: ConditionalOrder {
            id,
            token_id: "71321".into(),
            market_id: "559652".into(),
            kind,
            trigger_price: price("0.4"),
            shares: Shares::whole(10),
            high_watermark: trailing.then(|| price("0.5")),
            trail_percent: trailing.then(|| price("0.1")),
            parent_strategy: "mcp_manual".into(),
            group: None,
            doubted_since: None,
            sales: None,
            reason: "guard".to_owned(),
            created_at: at(0),
        },
    }
}

pub(super) fn snapshot(balance: &str, total: &str) -> LedgerEvent {
    LedgerEvent::SnapshotTaken {
        balance: usdc(balance),
        total_value: usdc(total),
    }
}
