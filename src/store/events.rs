//! The event log: appended in groups, read back in order.

use rusqlite::{Connection, params};

use super::Store;
use super::error::{Fault, StoreError};
use super::projection;
use crate::domain::{LedgerEvent, StampedEvent, Timestamp};

impl Store {
    /// Appends `events` and updates the read models in one synced transaction. Errors:
    /// [`StoreError::Gap`] when they do not continue the log, [`StoreError::Refused`] when one
    /// contradicts it, or what SQLite reports; then nothing at all has been written.
    pub fn append(&self, events: &[StampedEvent]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            let mut last = last_seq(tx)?;
            let mut insert = tx.prepare_cached(
                "INSERT INTO events (seq, at_ms, kind, payload) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for stamped in events {
                let seq = row_id(stamped.seq, stamped.seq)?;
                if last.checked_add(1) != Some(stamped.seq) {
                    return Err(Fault::Store(StoreError::Gap {
                        expected: last.saturating_add(1),
                        found: stamped.seq,
                    }));
                }
                check_numbers(stamped)?;
                let payload = serde_json::to_string(&stamped.event)
                    .map_err(|error| refused(stamped.seq, error.to_string()))?;
                insert.execute(params![
                    seq,
                    stamped.at.millis(),
                    kind(&stamped.event),
                    payload
                ])?;
                projection::apply(tx, stamped).map_err(|fault| name_event(fault, stamped.seq))?;
                last = stamped.seq;
            }
            Ok(())
        })
    }

    /// Number of the last event; 0 in an empty log.
    pub fn last_seq(&self) -> Result<u64, StoreError> {
        self.read(|tx| last_seq(tx))
    }

    /// Calls `visit` with every event after number `after`, in order, without holding them all in
    /// memory. Stops at the first error of `visit` and returns it. Errors of the store itself:
    /// [`StoreError::Gap`] or [`StoreError::Corrupt`] when the log is damaged.
    pub fn for_each_event<E: From<StoreError>>(
        &self,
        after: u64,
        mut visit: impl FnMut(StampedEvent) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut stopped = None;
        self.read(|tx| {
            walk(&self.path, tx, after, u64::MAX, |event| {
                match visit(event) {
                    Ok(()) => true,
                    Err(error) => {
                        stopped = Some(error);
                        false
                    }
                }
            })
        })?;
        stopped.map_or(Ok(()), Err)
    }

    /// At most `limit` events after number `after`, oldest first.
    pub fn events(&self, after: u64, limit: u32) -> Result<Vec<StampedEvent>, StoreError> {
        self.read(|tx| {
            let mut events = Vec::new();
            walk(&self.path, tx, after, u64::from(limit), |event| {
                events.push(event);
                true
            })?;
            Ok(events)
        })
    }
}

/// Calls `visit` with every event after `after`, at most `limit`, until it returns false.
pub(super) fn walk(
    path: &std::path::Path,
    conn: &Connection,
    after: u64,
    limit: u64,
    mut visit: impl FnMut(StampedEvent) -> bool,
) -> Result<(), Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, at_ms, payload FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let clamp = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![clamp(after), clamp(limit)])?;
    let mut last = after;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let seq = u64::try_from(seq).unwrap_or(0);
        if last.checked_add(1) != Some(seq) {
            return Err(Fault::Store(StoreError::Gap {
                expected: last.saturating_add(1),
                found: seq,
            }));
        }
        last = seq;
        let payload: String = row.get(2)?;
        let event: LedgerEvent =
            serde_json::from_str(&payload).map_err(|error| StoreError::Corrupt {
                path: path.to_path_buf(),
                detail: format!("event {seq} cannot be read: {error}"),
            })?;
        let event = StampedEvent {
            seq,
            at: Timestamp::from_millis(row.get(1)?),
            event,
        };
        if !visit(event) {
            break;
        }
    }
    Ok(())
}

fn last_seq(conn: &Connection) -> Result<u64, Fault> {
    let last: i64 = conn
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM events")?
        .query_row([], |row| row.get(0))?;
    Ok(u64::try_from(last).unwrap_or(0))
}

/// A refusal of event `seq`.
pub(super) fn refused(seq: u64, detail: impl Into<String>) -> Fault {
    Fault::Store(StoreError::Refused {
        seq,
        detail: detail.into(),
    })
}

/// A constraint of the tables that an event breaks (a signal number used twice, say) is the event's
/// fault, not the file's.
fn name_event(fault: Fault, seq: u64) -> Fault {
    match &fault {
        Fault::Sql(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
        {
            refused(seq, error.to_string())
        }
        _ => fault,
    }
}

/// A number as SQLite holds it. Errors: above 2^63.
pub(super) fn row_id(seq: u64, number: u64) -> Result<i64, Fault> {
    i64::try_from(number).map_err(|_| refused(seq, format!("{number} is too large")))
}

/// JSON has no NaN and no infinity: they would be written as null and never be read again.
fn check_numbers(stamped: &StampedEvent) -> Result<(), Fault> {
    let numbers: &[(&str, Option<f64>)] = match &stamped.event {
        LedgerEvent::SignalGenerated { signal, .. } => &[
            ("confidence", Some(signal.confidence)),
            ("fair_price", Some(signal.fair_price)),
            ("edge", Some(signal.edge)),
        ],
        LedgerEvent::EstimateStored { estimate } => &[
            ("probability", Some(estimate.probability)),
            ("confidence", estimate.confidence),
        ],
        LedgerEvent::EstimateScored {
            estimate,
            brier,
            log_score,
            weight,
            ..
        } => &[
            ("probability", Some(estimate.probability)),
            ("confidence", estimate.confidence),
            ("brier", Some(*brier)),
            ("log_score", Some(*log_score)),
            ("weight", Some(*weight)),
        ],
        _ => &[],
    };
    match numbers
        .iter()
        .find(|(_, number)| number.is_some_and(|number| !number.is_finite()))
    {
        Some((name, _)) => Err(refused(stamped.seq, format!("{name} is not a number"))),
        None => Ok(()),
    }
}

/// The event's tag, as in its JSON.
fn kind(event: &LedgerEvent) -> &'static str {
    match event {
        LedgerEvent::AccountOpened { .. } => "account_opened",
        LedgerEvent::Deposited { .. } => "deposited",
        LedgerEvent::SignalGenerated { .. } => "signal_generated",
        LedgerEvent::SignalExecuted { .. } => "signal_executed",
        LedgerEvent::SignalRejected { .. } => "signal_rejected",
        LedgerEvent::OrderAccepted { .. } => "order_accepted",
        LedgerEvent::OrderRefused { .. } => "order_refused",
        LedgerEvent::OrderRested { .. } => "order_rested",
        LedgerEvent::DepthUsed { .. } => "depth_used",
        LedgerEvent::Filled { .. } => "filled",
        LedgerEvent::OrderClosed { .. } => "order_closed",
        LedgerEvent::ConditionalCreated { .. } => "conditional_created",
        LedgerEvent::WatermarkRaised { .. } => "watermark_raised",
        LedgerEvent::ConditionalTriggered { .. } => "conditional_triggered",
        LedgerEvent::ConditionalReduced { .. } => "conditional_reduced",
        LedgerEvent::ConditionalDoubted { .. } => "conditional_doubted",
        LedgerEvent::ConditionalCancelled { .. } => "conditional_cancelled",
        LedgerEvent::Marked { .. } => "marked",
        LedgerEvent::Settled { .. } => "settled",
        LedgerEvent::BidsGone { .. } => "bids_gone",
        LedgerEvent::EstimateStored { .. } => "estimate_stored",
        LedgerEvent::EstimateScored { .. } => "estimate_scored",
        LedgerEvent::ConfigChanged { .. } => "config_changed",
        LedgerEvent::Halted { .. } => "halted",
        LedgerEvent::Resumed { .. } => "resumed",
        LedgerEvent::PeakRaised { .. } => "peak_raised",
        LedgerEvent::QueueAdvanced { .. } => "queue_advanced",
        LedgerEvent::DayStarted { .. } => "day_started",
        LedgerEvent::SnapshotTaken { .. } => "snapshot_taken",
        LedgerEvent::TickCompleted { .. } => "tick_completed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ConditionalKind, ConfigChange, EarlierLeg, Estimate, FeeSchedule, HaltCause, Order,
        OrderOutcome, OrderType, Price, Shares, Side, SourceKind, Usdc, UsedLevel,
    };
    use crate::store::testing::*;

    fn estimated(probability: f64) -> Estimate {
        Estimate {
            market_id: "559652".into(),
            token_id: "71321".into(),
            outcome: "Yes".into(),
            probability,
            confidence: None,
            author: "an agent".to_owned(),
            rationale: "it \"rains\"\nthere — often".to_owned(),
            ask_then: Some(price("0.5")),
            bid_then: None,
            created_at: at(1),
            expires_at: at(100),
        }
    }

    fn estimate(probability: f64) -> LedgerEvent {
        LedgerEvent::EstimateStored {
            estimate: estimated(probability),
        }
    }

    fn order() -> LedgerEvent {
        LedgerEvent::OrderAccepted {
            order: Order {
                id: 7,
                client_order_id: Some("mine".to_owned()),
                signal_id: Some(1),
                supporters: Vec::new(),
                strategy: "a".into(),
                market_id: "559652".into(),
                event_id: Some("16084".into()),
                token_id: "71321".into(),
                outcome: "Yes".into(),
                side: Side::Buy,
                limit: price("0.5"),
                shares: Shares::whole(10),
                order_type: OrderType::Fak,
                expires_at: None,
                arrives_at: None,
                fired_by: None,
                fee: None,
                basket: None,
                reason: "because".to_owned(),
                stop_loss: Some(price("0.4")),
                take_profit: None,
                trail_percent: None,
            },
        }
    }

    /// One of each kind, in an order that makes sense.
    fn one_of_each() -> Vec<LedgerEvent> {
        let one = Shares::whole(1);
        vec![
            LedgerEvent::AccountOpened {
                source: SourceKind::Sandbox,
            },
            LedgerEvent::ConfigChanged {
                settings: "{\"mode\":\"paper\"}".to_owned(),
                changes: vec![ConfigChange {
                    key: "mode".to_owned(),
                    old: None,
                    new: Some("\"paper\"".to_owned()),
                }],
            },
            deposit(1000),
            LedgerEvent::PeakRaised {
                equity: Usdc::whole(1000),
            },
            estimate(0.123_456_789_012_345_6),
            signal(1, "a"),
            signal(2, "a"),
            order(),
            fill("a", "71321", Side::Buy, "0.5", "9", "0.01"),
            LedgerEvent::OrderRested {
                order_id: 7,
                remaining: one,
                queue_ahead: Shares::whole(20),
                prints_to: Some(at(6)),
            },
            LedgerEvent::DepthUsed {
                token_id: "71321".into(),
                levels: vec![UsedLevel {
                    side: Side::Buy,
                    price: Price::from_micros(500_000).unwrap(),
                    shares: one,
                }],
            },
            LedgerEvent::QueueAdvanced {
                order_id: 7,
                queue_ahead: Shares::whole(3),
                prints_to: at(7),
            },
            LedgerEvent::OrderClosed {
                order_id: 7,
                outcome: OrderOutcome::Cancelled,
                unfilled: one,
                reason: "asked to".to_owned(),
            },
            LedgerEvent::SignalExecuted { signal_id: 1 },
            LedgerEvent::SignalRejected {
                signal_id: 2,
                reason: "too large".to_owned(),
            },
            LedgerEvent::OrderRefused {
                strategy: "a".into(),
                market_id: "559652".into(),
                token_id: "71321".into(),
                side: Some(Side::Buy),
                limit: Some(price("0.5")),
                shares: Some(one),
                signal_id: None,
                event_id: Some("16084".into()),
                order_type: Some(OrderType::Gtc),
                fee: Some(FeeSchedule::new("0.05", 1).unwrap()),
                earlier_legs: vec![EarlierLeg {
                    signal_id: Some(1),
                    market_id: "559651".into(),
                    event_id: None,
                    token_id: "71320".into(),
                    limit: price("0.25"),
                    shares: one,
                    fee: None,
                }],
                code: "max_order_size".to_owned(),
                message: "too large".to_owned(),
            },
            conditional(1, ConditionalKind::TrailingStop),
            conditional(2, ConditionalKind::StopLoss),
            LedgerEvent::WatermarkRaised {
                id: 1,
                watermark: price("0.6"),
            },
            LedgerEvent::ConditionalReduced {
                id: 1,
                shares: one,
                sale: None,
            },
            LedgerEvent::ConditionalTriggered {
                id: 1,
                bid: price("0.54"),
                sold: one,
                proceeds: None,
                trigger: None,
            },
            LedgerEvent::ConditionalCancelled {
                id: 2,
                reason: "gone".to_owned(),
            },
            LedgerEvent::Marked {
                marks: vec![("71321".into(), price("0.51"))],
            },
            LedgerEvent::BidsGone {
                tokens: vec!["71321".into()],
            },
            LedgerEvent::DayStarted {
                day: 20_511,
                equity: Usdc::whole(1000),
            },
            LedgerEvent::Halted {
                cause: HaltCause::DailyLoss,
                by: "desk".to_owned(),
                reason: "26 pUSD lost today, 25 allowed".to_owned(),
            },
            LedgerEvent::Resumed {
                by: "shell".to_owned(),
                reason: "a new day".to_owned(),
            },
            LedgerEvent::Settled {
                market_id: "559652".into(),
                token_id: "71321".into(),
                payout: Price::ONE,
                shares: Shares::whole(9),
                proceeds: Usdc::whole(9),
                evidence: "resolved".to_owned(),
            },
            LedgerEvent::EstimateScored {
                estimate: estimated(0.123_456_789_012_345_6),
                payout: Price::ONE,
                brier: 0.768_328_000_137_174_2,
                log_score: 2.091_864_070_698_394,
                weight: 0.25,
                ended_at: Some(at(2)),
            },
            snapshot("1004.49", "1004.49"),
            LedgerEvent::TickCompleted {
                tick: 1,
                markets: 50,
                signals: 2,
                fills: 1,
            },
        ]
    }

    #[test]
    fn every_kind_of_event_is_read_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("ledger.db")).unwrap();
        let events = stamped(1, one_of_each());
        store.append(&events).unwrap();
        assert_eq!(store.events(0, 1000).unwrap(), events);

        let conn = Connection::open(store.path()).unwrap();
        let (all, kinds, named_alike): (i64, i64, i64) = conn
            .query_row(
                "SELECT count(*), count(DISTINCT kind), \
                 sum(kind = json_extract(payload, '$.kind')) FROM events",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap();
        assert_eq!((all, kinds, named_alike), (31, 29, 31));
    }

    #[test]
    fn a_visitor_can_stop_and_start_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("ledger.db")).unwrap();
        store.append(&stamped(1, one_of_each())).unwrap();

        enum Stop {
            Here(u64),
            Store(StoreError),
        }
        impl From<StoreError> for Stop {
            fn from(error: StoreError) -> Self {
                Stop::Store(error)
            }
        }
        let stopped = store.for_each_event(3, |event| {
            if event.seq == 6 {
                Err(Stop::Here(event.seq))
            } else {
                Ok(())
            }
        });
        match stopped {
            Err(Stop::Here(seq)) => assert_eq!(seq, 6),
            Err(Stop::Store(error)) => panic!("{error}"),
            Ok(()) => panic!("the visitor was not heard"),
        }
        let beyond = store.events(31, 10).unwrap();
        assert_eq!(beyond, []);
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("ledger.db")).unwrap();
        let error = store
            .append(&stamped(1, [estimate(f64::INFINITY)]))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "event 1 was refused: probability is not a number"
        );
        let far = StampedEvent {
            seq: u64::MAX,
            at: at(1),
            event: deposit(1),
        };
        assert_eq!(
            store.append(&[far]).unwrap_err().code(),
            "store_event_refused"
        );
        assert_eq!(store.last_seq().unwrap(), 0);
    }

    #[test]
    #[ignore = "a measurement: prints how long appends take on this machine"]
    fn measure_appends() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("ledger.db")).unwrap();
        let groups: Vec<Vec<StampedEvent>> = (0..100_u64)
            .map(|group| {
                stamped(
                    group * 200 + 1,
                    (0..200).map(|_| fill("a", "71321", Side::Buy, "0.5", "1", "0.01")),
                )
            })
            .collect();
        let start = std::time::Instant::now();
        for group in &groups {
            store.append(group).unwrap();
        }
        println!("20000 fills in groups of 200: {:?}", start.elapsed());
        let mut single: Vec<_> = (0..200_u64)
            .map(|n| {
                let events = stamped(
                    20_001 + n,
                    [fill("a", "71321", Side::Buy, "0.5", "1", "0.01")],
                );
                let start = std::time::Instant::now();
                store.append(&events).unwrap();
                start.elapsed()
            })
            .collect();
        single.sort();
        println!(
            "one fill at a time: p50 {:?}, p99 {:?}",
            single[100], single[198]
        );
        let start = std::time::Instant::now();
        let mut count = 0;
        store
            .for_each_event::<StoreError>(0, |_| {
                count += 1;
                Ok(())
            })
            .unwrap();
        println!("{count} events read in {:?}", start.elapsed());
    }
}
