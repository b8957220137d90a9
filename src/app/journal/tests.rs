//! What is read back is what was given, and what a kill or a disk does to a journal is told.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Entries, Journal, JournalError, JournalRules, name_of};
use crate::app::config::Config;
use crate::domain::{
    Book, BookFeed, BookOrigin, ConditionalKind, Estimate, History, Level, Market, MarketId,
    MarketView, OrderOutcome, OrderType, PendingResolution, Price, PricePoint, Print, Resolution,
    Shares, Side, Snapshot, SourceKind, StrategyName, Timestamp, TokenId, Usdc,
};
use crate::market_data::recorded::tests::market;
use crate::trading::desk::{AgentOrder, CancelScope, Input, NewConditional};
use crate::trading::ledger::ClientOrder;

fn rules() -> JournalRules {
    let config = Config::default();
    JournalRules {
        strategies: config.strategies.clone(),
        trading: config.trading(),
    }
}

fn open(dir: &Path) -> Result<Journal, JournalError> {
    let account = Some("sandbox account of a test".to_owned());
    Journal::open(dir, rules(), Path::new("ledger.db"), account, 7)
}

/// Everything that a step can see of an input, as text.
fn shown(input: &Input) -> String {
    let see = |snapshot: &Snapshot| {
        let mut text = format!("{:?} {:?}\n", snapshot.at, snapshot.source);
        for view in snapshot.markets() {
            let points = view.history.as_ref().map(History::points);
            text += &format!(
                "{:?} {} {:?} {points:?}\n",
                view.market, view.candidate, view.books
            );
            for outcome in &view.market.outcomes {
                text += &format!("{:?}\n", snapshot.book(&outcome.token));
            }
        }
        text + &format!(
            "{:?} {:?} {:?}",
            snapshot.resolutions, snapshot.pending, snapshot.prints
        )
    };
    match input {
        Input::Tick(snapshot) => format!("tick {}", see(snapshot)),
        Input::Books(snapshot) => format!("books {}", see(snapshot)),
        Input::Arrive(snapshot) => format!("arrive {}", see(snapshot)),
        Input::Order {
            order,
            known,
            snapshot,
        } => format!("{order:?} {known:?} {}", see(snapshot)),
        other => format!("{other:?}"),
    }
}

/// All inputs of a journal with the ledger's last event, as text.
fn read(dir: &Path) -> Vec<(u64, String)> {
    let entries = Entries::open(dir).unwrap();
    entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.seq, shown(&entry.input)))
        .collect()
}

/// The same levels, asked for at another time.
fn refetched(book: &Book, at: Timestamp) -> Arc<Book> {
    let (bids, asks) = (book.bids().to_vec(), book.asks().to_vec());
    let again = Book::new(book.token.clone(), bids, asks, at, book.origin.clone());
    Arc::new(again.with_changed_at(book.changed_at).with_feed(book.feed))
}

/// A tiny random source: what it gives follows from the seed alone.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }

    fn price(&mut self) -> Price {
        Price::from_micros(1 + u32::try_from(self.roll(999_998)).unwrap()).unwrap()
    }
}

/// Markets that change now and then, as they do between two ticks.
struct World {
    dice: Dice,
    now: i64,
    views: Vec<MarketView>,
}

impl World {
    fn new(seed: u64) -> Self {
        World {
            dice: Dice(seed),
            now: 1_790_000_000_000,
            views: (0..3)
                .map(|n| MarketView {
                    market: Arc::new(market(&format!("m{n}"))),
                    books: vec![None, None],
                    history: None,
                    candidate: true,
                })
                .collect(),
        }
    }

    fn levels(&mut self) -> Vec<Level> {
        (0..self.dice.roll(4))
            .map(|_| Level {
                price: self.dice.price(),
                size: Shares::whole(1 + u32::try_from(self.dice.roll(50)).unwrap()),
            })
            .collect()
    }

    fn book(&mut self, token: TokenId) -> Option<Arc<Book>> {
        if self.dice.roll(8) == 0 {
            return None;
        }
        let (bids, asks) = (self.levels(), self.levels());
        let at = Timestamp::from_millis(self.now);
        let origin = [BookOrigin::Venue, BookOrigin::Synthetic][self.dice.roll(2) as usize].clone();
        let feed = match self.dice.roll(3) {
            0 => BookFeed::Fetched,
            1 => BookFeed::Broken,
            _ => BookFeed::Streamed {
                since_snapshot: at.plus_millis(-5),
            },
        };
        let book = Book::new(token, bids, asks, at, origin);
        Some(Arc::new(
            book.with_changed_at(at.plus_millis(-9)).with_feed(feed),
        ))
    }

    /// Continues, shortens, rewrites or drops a history.
    fn history(&mut self, before: Option<&History>) -> Option<History> {
        let mut points = before.map(|h| h.points().to_vec()).unwrap_or_default();
        match self.dice.roll(6) {
            0 => return None,
            1 => points.clear(),
            2 => drop(points.drain(..points.len() / 2)),
            3 => {
                if let Some(point) = points.last_mut() {
                    point.price += 1e-9;
                }
            }
            _ => {}
        }
        for _ in 0..self.dice.roll(4) {
            self.now += 1;
            points.push(PricePoint {
                at: Timestamp::from_millis(self.now),
                // Numbers that decimal text has to be long for, and a signed zero.
                price: [0.1 + 0.2, 1.0 / 3.0, -0.0, f64::MIN_POSITIVE, 0.5]
                    [self.dice.roll(5) as usize],
            });
        }
        Some(History::new(points))
    }

    fn snapshot(&mut self) -> Snapshot {
        self.now += 1 + i64::try_from(self.dice.roll(60_000)).unwrap();
        for index in 0..self.views.len() {
            let mut view = self.views[index].clone();
            match self.dice.roll(5) {
                0 => {
                    let mut changed = Market::clone(&view.market);
                    changed.question = format!("Will it \"{}\"?\n", self.dice.roll(99));
                    changed.volume = Some(Usdc::from_micros(self.now));
                    view.market = Arc::new(changed);
                }
                // The same thing in another place of the memory.
                1 => view.market = Arc::new(Market::clone(&view.market)),
                _ => {}
            }
            for side in 0..2 {
                let token = view.market.outcomes[side].token.clone();
                match self.dice.roll(4) {
                    0 => view.books[side] = self.book(token),
                    1 => {
                        let at = Timestamp::from_millis(self.now);
                        let older = view.books[side].take();
                        view.books[side] = older.map(|book| refetched(&book, at));
                    }
                    _ => {}
                }
            }
            if self.dice.roll(2) == 0 {
                view.history = self.history(view.history.as_ref());
            }
            view.candidate = self.dice.roll(2) == 0;
            self.views[index] = view;
        }
        let mut views = self.views.clone();
        if self.dice.roll(4) == 0 {
            // Two of one name: the first counts, and both are there.
            let mut twin = views[0].clone();
            twin.market = Arc::new(Market {
                question: "the twin".to_owned(),
                ..Market::clone(&twin.market)
            });
            twin.books[0] = self.book(twin.market.outcomes[0].token.clone());
            twin.history = self.history(twin.history.as_ref());
            views.push(twin);
        }
        let resolutions = vec![Resolution {
            market_id: MarketId::new("m9"),
            payouts: vec![(TokenId::new("m9-yes"), Price::ONE)],
            resolved_at: None,
            evidence: "a test".to_owned(),
        }];
        let prints = vec![Print {
            token: TokenId::new("m0-yes"),
            taker: Some(Side::Sell),
            price: self.dice.price(),
            shares: Shares::whole(3),
            at: Timestamp::from_millis(self.now - 1),
        }];
        let at = Timestamp::from_millis(self.now);
        let pending = PendingResolution {
            market_id: MarketId::new("m1"),
            state: "disputed".to_owned(),
            seen_at: at,
            evidence: format!("roll {}", self.dice.roll(9)),
        };
        Snapshot::new(at, SourceKind::Sandbox, views, resolutions)
            .with_prints(prints)
            .with_pending(vec![pending])
    }

    fn input(&mut self) -> Input {
        let at = Timestamp::from_millis(self.now);
        let by = "shell".to_owned();
        let reason = "a \"reason\"".to_owned();
        match self.dice.roll(14) {
            0 => Input::Open {
                source: SourceKind::Sandbox,
                balance: Usdc::whole(1000),
                at,
            },
            1 => Input::Configure {
                settings: "{\"mode\":\"paper\"}".to_owned(),
                at,
            },
            2 => Input::Order {
                order: self.order(),
                known: (self.dice.roll(2) == 0).then(|| {
                    Box::new(ClientOrder {
                        order: crate::trading::test_support::order(
                            3,
                            Side::Buy,
                            "0.4",
                            "10",
                            OrderType::Fak,
                        ),
                        fills: Vec::new(),
                        outcome: Some(OrderOutcome::Unfilled),
                    })
                }),
                snapshot: self.snapshot(),
            },
            3 => {
                let scope = match self.dice.roll(4) {
                    0 => CancelScope::Order(4),
                    1 => CancelScope::Client("mine".to_owned()),
                    2 => CancelScope::Market(MarketId::new("m1")),
                    _ => CancelScope::All,
                };
                Input::Cancel { scope, by, at }
            }
            4 => Input::CreateConditional {
                wanted: NewConditional {
                    token_id: TokenId::new("m0-yes"),
                    market: Market::clone(&self.views[0].market),
                    kind: ConditionalKind::TrailingStop,
                    trigger_price: self.dice.price(),
                    shares: Some(Shares::whole(5)),
                    trail_percent: None,
                    oco_with: None,
                    bid: Some(self.dice.price()),
                    reason,
                },
                at,
            },
            5 => Input::CancelConditional { id: 3, at },
            6 => Input::Estimate {
                estimate: Estimate {
                    market_id: MarketId::new("m0"),
                    token_id: TokenId::new("m0-yes"),
                    outcome: "Yes".into(),
                    probability: 1.0 / 3.0,
                    confidence: None,
                    author: "me".to_owned(),
                    rationale: reason,
                    ask_then: Some(self.dice.price()),
                    bid_then: None,
                    created_at: at,
                    expires_at: at.plus_millis(5),
                },
                at,
            },
            7 => Input::Halt { by, reason, at },
            8 => Input::Resume { by, reason, at },
            9 => Input::Books(self.snapshot()),
            10 => Input::Arrive(self.snapshot()),
            _ => Input::Tick(self.snapshot()),
        }
    }

    fn order(&mut self) -> AgentOrder {
        AgentOrder {
            strategy: StrategyName::new("mcp_manual"),
            market_id: MarketId::new("m0"),
            token_id: TokenId::new("m0-yes"),
            side: Side::Buy,
            size: Usdc::from_micros(12_345_678),
            limit: self.dice.price(),
            order_type: OrderType::Gtc,
            expires_at: None,
            client_order_id: Some("é".to_owned()),
            stop_loss: Some(self.dice.price()),
            take_profit: None,
            trail_percent: None,
            reason: "Manual".to_owned(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever comes, in whatever files: each input is read back as it was given, to the last bit.
    #[test]
    fn inputs_are_read_back_as_they_were_given(
        seed in any::<u64>(),
        count in 1_usize..25,
        file_bytes in prop_oneof![Just(1_u64), Just(4_000), Just(1 << 30)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::new(seed);
        let mut given = Vec::new();
        let mut journal = open(dir.path()).unwrap().with_file_bytes(file_bytes);
        for seq in 0..count as u64 {
            let input = world.input();
            journal.write(&input, seq).unwrap();
            given.push((seq, shown(&input)));
        }
        drop(journal);
        // Another process goes on.
        let mut journal = open(dir.path()).unwrap();
        let input = world.input();
        journal.write(&input, 99).unwrap();
        given.push((99, shown(&input)));
        prop_assert_eq!(read(dir.path()), given);
    }
}

fn size(dir: &Path, number: u32) -> u64 {
    std::fs::metadata(dir.join(name_of(number))).unwrap().len()
}

/// 1,000 markets with books and a day of history each.
fn crowd(at: Timestamp) -> Vec<MarketView> {
    let book = |token: &TokenId| {
        let level = |micros| Level {
            price: Price::from_micros(micros).unwrap(),
            size: Shares::whole(100),
        };
        let (bids, asks) = (vec![level(480_000)], vec![level(520_000)]);
        let book = Book::new(token.clone(), bids, asks, at, BookOrigin::Venue);
        Some(Arc::new(book))
    };
    (0..1_000)
        .map(|n| {
            let market = market(&format!("market-{n}"));
            let points = (0..1_440_i64).map(|minute| PricePoint {
                at: Timestamp::from_secs(minute * 60 + n),
                price: f64::from(i32::try_from((minute * 7 + n) % 1000).unwrap()) / 1000.0,
            });
            MarketView {
                books: market.outcomes.iter().map(|o| book(&o.token)).collect(),
                market: Arc::new(market),
                history: Some(History::new(points.collect())),
                candidate: true,
            }
        })
        .collect()
}

#[test]
fn what_did_not_change_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path()).unwrap();
    let at = Timestamp::from_secs(1_790_000_000);
    let mut views = crowd(at);
    let tick = |views: &[MarketView], seconds: i64| {
        let at = at.plus_millis(seconds * 1000);
        Input::Tick(Snapshot::new(
            at,
            SourceKind::Sandbox,
            views.to_vec(),
            vec![],
        ))
    };
    let mut grown = Vec::new();
    let mut before = size(dir.path(), 1);
    let mut write = |input: &Input| {
        journal.write(input, 0).unwrap();
        let now = size(dir.path(), 1);
        grown.push(now - before);
        before = now;
    };
    write(&tick(&views, 0));
    write(&tick(&views, 60));
    // Fetched anew: the same levels at another time, and a history that one point has joined.
    for view in &mut views {
        for book in view.books.iter_mut().flatten() {
            let at = at.plus_millis(120_000);
            *book = refetched(book, at);
        }
        let mut points = view.history.as_ref().unwrap().points().to_vec();
        points.remove(0);
        points.push(PricePoint {
            at: Timestamp::from_secs(1_440 * 60 + 5_000),
            price: 0.5,
        });
        view.history = Some(History::new(points));
    }
    write(&tick(&views, 120));
    let [first, second, third] = grown[..] else {
        panic!("{grown:?}")
    };
    // 1,440,000 points the first time; a list of numbers the second; 1,000 points the third.
    assert!(first > 1_000_000, "{grown:?}");
    assert!(second < 15_000, "{grown:?}");
    assert!(third < 60_000, "{grown:?}");
    let inputs = read(dir.path());
    assert_eq!(inputs[2].1, shown(&tick(&views, 120)));
}

fn halt(reason: &str) -> Input {
    Input::Halt {
        by: "shell".to_owned(),
        reason: reason.to_owned(),
        at: Timestamp::from_secs(1),
    }
}

#[test]
fn a_torn_end_is_told_and_gone_on_after() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path()).unwrap();
    journal.write(&halt("one"), 1).unwrap();
    journal.write(&halt("two"), 2).unwrap();
    let good = size(dir.path(), 1);
    journal.write(&halt("three"), 3).unwrap();
    drop(journal);
    let path = dir.path().join(name_of(1));
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(size(dir.path(), 1) - 3).unwrap();

    let mut entries = Entries::open(dir.path()).unwrap();
    let seen: Vec<u64> = entries.by_ref().map(|entry| entry.unwrap().seq).collect();
    assert_eq!(seen, [1, 2]);
    assert_eq!(entries.torn().len(), 1);
    assert_eq!(entries.torn()[0].file, name_of(1));
    assert_eq!(entries.torn()[0].after_byte, good);

    let mut journal = open(dir.path()).unwrap();
    journal.write(&halt("again"), 3).unwrap();
    let mut entries = Entries::open(dir.path()).unwrap();
    let seen: Vec<u64> = entries.by_ref().map(|entry| entry.unwrap().seq).collect();
    assert_eq!(seen, [1, 2, 3]);
    assert_eq!(entries.torn().len(), 1, "still told");
}

#[test]
fn a_tear_that_no_kill_can_have_made_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path()).unwrap().with_file_bytes(1);
    journal.write(&halt("one"), 1).unwrap();
    journal.write(&halt("two"), 2).unwrap();
    drop(journal);
    // The second file was written by the process that had finished the first.
    let path = dir.path().join(name_of(2));
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 6;
    bytes[last] ^= 0xff;
    std::fs::write(&path, bytes).unwrap();
    let all: Vec<_> = Entries::open(dir.path()).unwrap().collect();
    let error = all.last().unwrap().as_ref().unwrap_err();
    assert_eq!(error.code(), "journal_damaged", "{error}");
    assert!(error.to_string().contains(&name_of(2)), "{error}");
    std::fs::remove_file(&path).unwrap();
    let missing = Entries::open(dir.path()).err().unwrap();
    assert_eq!(missing.code(), "journal_missing");
}

#[test]
fn a_folder_that_is_not_ours_or_taken_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap();
    assert_eq!(open(dir.path()).unwrap_err().code(), "journal_busy");
    drop(first);
    assert!(open(dir.path()).is_ok());
    std::fs::write(dir.path().join("thesis.txt"), "mine").unwrap();
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.code(), "journal_not_ours");
    assert!(error.to_string().contains("thesis.txt"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(
        Entries::open(empty.path()).err().unwrap().code(),
        "journal_missing"
    );
}

#[test]
fn a_full_disk_is_told_and_what_was_written_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path()).unwrap();
    journal.write(&halt("one"), 1).unwrap();
    journal.fill_disk();
    let error = journal.write(&halt("two"), 2).unwrap_err();
    assert_eq!(error.code(), "journal_write");
    assert!(error.hint().contains("room"));
    assert_eq!(read(dir.path()).len(), 1);
}

#[test]
fn another_format_is_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let text = b"{\"file\":{\"format\":99,\"anything\":1}}\n";
    let packed = crate::market_data::recorded::capture::packed::pack(text).unwrap();
    std::fs::write(dir.path().join(name_of(1)), packed).unwrap();
    let error = Entries::open(dir.path()).unwrap().next().unwrap();
    assert_eq!(error.unwrap_err().code(), "journal_version");
}

#[test]
fn the_journal_of_another_account_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let begin = |db: &str, account: Option<&str>| {
        let db = dir.path().join(db);
        Journal::open(&journal, rules(), &db, account.map(str::to_owned), 0)
    };
    let opened = |at: i64| Input::Open {
        source: SourceKind::Sandbox,
        balance: Usdc::whole(1),
        at: Timestamp::from_millis(at),
    };
    std::fs::write(dir.path().join("a.db"), "").unwrap();
    std::fs::write(dir.path().join("b.db"), "").unwrap();
    // Killed before it opened the account: nobody's yet.
    drop(begin("a.db", None).unwrap());
    begin("a.db", None)
        .unwrap()
        .write(&opened(1_000), 0)
        .unwrap();
    let mine = "sandbox account of 1970-01-01T00:00:01Z";
    drop(begin("a.db", Some(mine)).unwrap());
    // A new account, another one, and one that was opened at the same moment.
    for (db, account) in [
        ("b.db", None),
        ("a.db", None),
        ("b.db", Some("sandbox account of 1970-01-01T00:00:02Z")),
        ("b.db", Some(mine)),
    ] {
        let error = begin(db, account).unwrap_err();
        assert_eq!(error.code(), "journal_other_account", "{db} {account:?}");
        assert!(error.to_string().contains("a.db"), "{error}");
    }
    assert_eq!(read(&journal).len(), 1, "nothing was written");
    // A database that was moved keeps its journal.
    std::fs::remove_file(dir.path().join("a.db")).unwrap();
    drop(begin("b.db", Some(mine)).unwrap());
}
