//! Groups: stored together, answered together, and nobody pays for another's refusal.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::super::Desk;
use super::*;
use crate::app::config::Config;
use crate::app::rebuild::rebuild;
use crate::domain::{LedgerEvent, Timestamp, Usdc};
use crate::market_data::recorded::Recorded;
use crate::market_data::recorded::tests::load;
use crate::strategy::StrategySet;
use crate::trading::ledger::{LedgerError, Recorder};

/// Prices that nothing here looks at.
const CSV: &str = "timestamp,market_id,question,yes_price,volume,token_id\n\
                   2026-01-01T00:00:00Z,a,A?,0.5,0,t1\n";
const NOW: Timestamp = Timestamp::from_secs(1_772_452_800);

fn open(path: &std::path::Path) -> Desk {
    let lock = OwnerLock::acquire(path).unwrap();
    let store = Arc::new(Store::open(path).unwrap());
    let ledger = rebuild(&store).unwrap();
    let config = Config::default();
    let setup = Setup {
        strategies: Arc::new(StrategySet::from_config(&config.strategies).unwrap()),
        trading: config.trading(),
        source: Arc::new(Recorded::new(
            Arc::new(load(&[("p.csv", CSV)]).unwrap()),
            NOW,
        )),
        time_passes: true,
        journal: None,
    };
    Desk::owner(store, lock, ledger, setup).unwrap()
}

fn pay(ledger: &mut Ledger, amount: i32) -> Stepped<u64> {
    let mut recorder = Recorder::new(ledger, NOW);
    recorder.record(LedgerEvent::Deposited {
        amount: Usdc::whole(amount),
    })?;
    let seq = recorder.ledger().seq();
    Ok((seq, recorder.into_events()))
}

/// Pays in, and then is refused: what it did to the draft must not be seen by the next.
fn refused(ledger: &mut Ledger) -> Stepped<u64> {
    pay(ledger, 1_000)?;
    Err(DeskError::Ledger(LedgerError::Unknown {
        what: "reason to go on",
        id: 1,
    }))
}

/// The ledger takes it, the tables do not: there is no such signal.
fn unstorable(ledger: &mut Ledger) -> Stepped<u64> {
    let mut recorder = Recorder::new(ledger, NOW);
    recorder.record(LedgerEvent::SignalExecuted { signal_id: 99 })?;
    Ok((0, recorder.into_events()))
}

/// Keeps the writer busy with a step that waits, so that what is sent meanwhile becomes one group.
fn hold() -> (Sender<()>, Receiver<()>) {
    channel()
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_stored_in_one_transaction_and_numbered_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let desk = Arc::new(open(&path));
    let (go, wait) = hold();
    let first = tokio::spawn({
        let desk = desk.clone();
        async move {
            desk.commit_step(move |ledger| {
                wait.recv().unwrap();
                pay(ledger, 1)
            })
            .await
        }
    });
    settle().await;
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let desk = desk.clone();
            tokio::spawn(async move {
                desk.commit_step(move |ledger| {
                    if number % 5 == 4 {
                        refused(ledger)
                    } else {
                        pay(ledger, 1)
                    }
                })
                .await
            })
        })
        .collect();
    settle().await;
    // A reader that looks all the time sees the group whole or not at all.
    let beside = Store::open_read_only(&path).unwrap();
    let looking = std::thread::spawn(move || {
        let mut seen = vec![];
        while seen.last() != Some(&17) {
            let last = beside.last_seq().unwrap();
            if seen.last() != Some(&last) {
                seen.push(last);
            }
        }
        seen
    });
    go.send(()).unwrap();
    assert_eq!(first.await.unwrap().unwrap(), 1);
    let mut numbers = vec![];
    let mut refusals = 0;
    for job in waiting {
        match job.await.unwrap() {
            Ok(seq) => numbers.push(seq),
            Err(error) => {
                assert!(error.to_string().contains("reason to go on"), "{error}");
                refusals += 1;
            }
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (2..=17).collect::<Vec<u64>>());
    assert_eq!(refusals, 4);
    let seen = looking.join().unwrap();
    assert!(seen.iter().all(|seq| [0, 1, 17].contains(seq)), "{seen:?}");
    assert_eq!(desk.ledger().unwrap().cash(), Usdc::whole(17));
    let stored = rebuild(&Store::open_read_only(&path).unwrap()).unwrap();
    assert_eq!(&stored, desk.ledger().unwrap().as_ref());
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_group_cannot_be_stored_none_of_it_counts_and_trading_halts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let desk = Arc::new(open(&path));
    let (go, wait) = hold();
    let first = tokio::spawn({
        let desk = desk.clone();
        async move {
            desk.commit_step(move |ledger| {
                wait.recv().unwrap();
                pay(ledger, 1)
            })
            .await
        }
    });
    settle().await;
    let waiting: Vec<_> = (0..5)
        .map(|number| {
            let desk = desk.clone();
            tokio::spawn(async move {
                desk.commit_step(move |ledger| {
                    if number == 3 {
                        unstorable(ledger)
                    } else {
                        pay(ledger, 1)
                    }
                })
                .await
            })
        })
        .collect();
    settle().await;
    go.send(()).unwrap();
    assert_eq!(first.await.unwrap().unwrap(), 1);
    for job in waiting {
        let error = job.await.unwrap().unwrap_err();
        assert_eq!(error.code(), "store_event_refused", "{error}");
    }
    assert_eq!(desk.ledger().unwrap().cash(), Usdc::whole(1));
    assert!(desk.halted().unwrap().contains("there is no signal 99"));
    let late = desk.commit_step(|ledger| pay(ledger, 1)).await.unwrap_err();
    assert_eq!(late.code(), "halted");
    let stored = rebuild(&Store::open_read_only(&path).unwrap()).unwrap();
    assert_eq!(
        &stored,
        desk.ledger().unwrap().as_ref(),
        "memory is what the disk holds"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_halts_and_the_next_start_goes_on_from_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let desk = open(&path);
    for _ in 0..10 {
        desk.commit_step(|ledger| pay(ledger, 1)).await.unwrap();
    }
    desk.store().limit_pages_to_those_there();
    let mut stored = 10;
    let error = loop {
        match desk.commit_step(|ledger| pay(ledger, 1)).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100_000, "the limit did not hold");
    };
    assert_eq!(error.code(), "store_full", "{error}");
    // Trying again would not do: the desk has stopped.
    for wanted in ["Free space", "restart the server"] {
        assert!(error.hint().contains(wanted), "{}", error.hint());
    }
    assert!(!error.hint().contains("try again"), "{}", error.hint());
    assert!(desk.halted().unwrap().contains("no space is left"));
    let late = desk.commit_step(|ledger| pay(ledger, 1)).await.unwrap_err();
    assert_eq!(late.code(), "halted");
    assert_eq!(late.hint(), error.hint(), "what mends it is the same");
    assert_eq!(desk.ledger().unwrap().cash(), Usdc::whole(stored));
    drop(desk);

    assert_eq!(crate::app::verify(&path).unwrap().audit.findings, []);
    let again = open(&path);
    assert_eq!(again.ledger().unwrap().cash(), Usdc::whole(stored));
    again.commit_step(|ledger| pay(ledger, 1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_locked_by_another_halts_and_is_sound_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let desk = open(&path);
    desk.commit_step(|ledger| pay(ledger, 1)).await.unwrap();
    desk.store().wait_for_locks(Duration::from_millis(50));
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = desk.commit_step(|ledger| pay(ledger, 1)).await.unwrap_err();
    assert_eq!(error.code(), "store_locked", "{error}");
    for wanted in ["Close the other program", "restart the server"] {
        assert!(error.hint().contains(wanted), "{}", error.hint());
    }
    assert!(desk.halted().is_some());
    assert_eq!(
        desk.ledger().unwrap().cash(),
        Usdc::whole(1),
        "reading goes on"
    );
    other.execute_batch("ROLLBACK").unwrap();
    drop((other, desk));
    let again = open(&path);
    again.commit_step(|ledger| pay(ledger, 1)).await.unwrap();
    assert_eq!(crate::app::verify(&path).unwrap().audit.findings, []);
}

/// Whoever writes past the lock (another program, or an owner under another name of the file) is the
/// cause of what follows, and the disk is not.
#[tokio::test(flavor = "multi_thread")]
async fn events_that_somebody_else_wrote_halt_and_the_hint_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let desk = open(&path);
    desk.commit_step(|ledger| pay(ledger, 1)).await.unwrap();
    let cash = desk.ledger().unwrap().cash();
    let mut theirs = Ledger::clone(&desk.ledger().unwrap());
    let (_, events) = pay(&mut theirs, 7).unwrap();
    Store::open(&path).unwrap().append(&events).unwrap();
    let error = desk.commit_step(|ledger| pay(ledger, 1)).await.unwrap_err();
    assert_eq!(error.code(), "store_gap", "{error}");
    let late = desk.commit_step(|ledger| pay(ledger, 1)).await.unwrap_err();
    assert_eq!(late.code(), "halted");
    for hint in [error.hint(), late.hint()] {
        assert!(hint.contains("Somebody else has written"), "{hint}");
        assert!(hint.contains("restart the server"), "{hint}");
        assert!(!hint.contains("disk space"), "{hint}");
    }
    assert_eq!(desk.ledger().unwrap().cash(), cash);
    drop(desk);
    let again = open(&path);
    assert_eq!(again.ledger().unwrap().cash(), theirs.cash());
    again.commit_step(|ledger| pay(ledger, 1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_deleted_under_way_halts_before_anything_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let aside = dir.path().join("aside.db");
    for name in ["ledger.db", "ledger.db-wal"] {
        let desk = open(&path);
        desk.commit_step(|ledger| pay(ledger, 1)).await.unwrap();
        let cash = desk.ledger().unwrap().cash();
        std::fs::rename(dir.path().join(name), &aside).unwrap();
        let error = desk.commit_step(|ledger| pay(ledger, 1)).await.unwrap_err();
        assert_eq!(error.code(), "store_vanished", "{error}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(error.hint().contains("Put the file back"));
        assert!(desk.halted().is_some());
        assert_eq!(desk.ledger().unwrap().cash(), cash);
        // Put back, as the hint says.
        std::fs::rename(&aside, dir.path().join(name)).unwrap();
        drop(desk);
        let again = open(&path);
        assert_eq!(again.ledger().unwrap().cash(), cash);
        again.commit_step(|ledger| pay(ledger, 1)).await.unwrap();
        drop(again);
        assert_eq!(crate::app::verify(&path).unwrap().audit.findings, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_file_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let desk = open(&path);
    desk.commit_step(|ledger| pay(ledger, 1)).await.unwrap();
    let other = dir.path().join("other.db");
    drop(Store::open(&other).unwrap());
    std::fs::rename(&other, &path).unwrap();
    let error = desk.commit_step(|ledger| pay(ledger, 1)).await.unwrap_err();
    assert_eq!(error.code(), "store_vanished", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_written_now_and_then_and_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let many = |count: u64| {
        move |ledger: &mut Ledger| {
            let mut recorder = Recorder::new(ledger, NOW);
            for _ in 0..count {
                recorder.record(LedgerEvent::Deposited {
                    amount: Usdc::from_micros(1),
                })?;
            }
            Ok(((), recorder.into_events()))
        }
    };
    let desk = open(&path);
    desk.commit_step(many(CHECKPOINT_AT_END - 1)).await.unwrap();
    drop(desk);
    let last = || {
        Store::open_read_only(&path)
            .unwrap()
            .last_checkpoint()
            .unwrap()
    };
    assert_eq!(last(), 0, "too few to be worth it");

    let desk = open(&path);
    desk.commit_step(many(1)).await.unwrap();
    drop(desk);
    assert_eq!(last(), CHECKPOINT_AT_END, "at the end");

    let desk = open(&path);
    desk.commit_step(many(CHECKPOINT_EVERY)).await.unwrap();
    desk.commit_step(many(1)).await.unwrap();
    let started = std::time::Instant::now();
    while last() != CHECKPOINT_AT_END + CHECKPOINT_EVERY {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "none was written"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ledger = desk.ledger().unwrap();
    drop(desk);
    assert_eq!(
        &rebuild(&Store::open_read_only(&path).unwrap()).unwrap(),
        ledger.as_ref()
    );
    assert_eq!(crate::app::verify(&path).unwrap().audit.findings, []);
}
