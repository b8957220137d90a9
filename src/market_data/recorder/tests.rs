//! Recording from a small WebSocket server on loopback.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::domain::{FeeSchedule, MarketId, MarketStatus, Outcome, Price, ProtocolVersion, Shares};
use crate::market_data::polymarket::backoff::Backoff;
use crate::market_data::recorded::capture::Capture;

const BOOK: &str = r#"[{"event_type":"book","asset_id":"71","market":"0x01","timestamp":"1000","bids":[],"asks":[]},{"event_type":"book","asset_id":"72","market":"0x01","timestamp":"1000","bids":[],"asks":[]}]"#;
const TRADE: &str = r#"{"event_type":"last_trade_price","asset_id":"71","price":"0.41","size":"5","side":"BUY","timestamp":"1500"}"#;

fn market() -> Arc<Market> {
    let outcome = |name: &str, token: &str| Outcome {
        name: name.into(),
        token: TokenId::new(token),
        synthetic: false,
        indicative_price: None,
    };
    Arc::new(Market {
        id: MarketId::new("7"),
        condition_id: None,
        slug: Some("rain".to_owned()),
        question: "Rain?".to_owned(),
        description: None,
        event_id: None,
        category: None,
        outcomes: vec![outcome("Yes", "71"), outcome("No", "72")],
        tick: Price::parse("0.01").unwrap(),
        min_size: Shares::whole(5),
        fee: FeeSchedule::FREE,
        neg_risk: false,
        placeholder: false,
        volume: None,
        volume_24h: None,
        liquidity: None,
        start: None,
        end: None,
        status: MarketStatus::Open,
        version: ProtocolVersion::V1,
        label: None,
    })
}

/// A server that sends these frames on each connection once it is asked for tokens; it cuts the
/// connections but the last. Tells what it was asked.
async fn serve(connections: Vec<Vec<&'static str>>) -> (String, mpsc::UnboundedReceiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws/market", listener.local_addr().unwrap());
    let (asked, questions) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let last = connections.len() - 1;
        for (number, frames) in connections.into_iter().enumerate() {
            let (socket, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(socket).await.unwrap();
            let question = socket.next().await.unwrap().unwrap();
            let question = serde_json::from_str(question.to_text().unwrap()).unwrap();
            asked.send(question).unwrap();
            for frame in frames {
                socket.send(Message::text(frame)).await.unwrap();
            }
            if number == last {
                while socket.next().await.is_some() {}
            }
        }
    });
    (url, questions)
}

fn settings(url: String) -> ConnectionSettings {
    ConnectionSettings {
        url,
        user_agent: "test".to_owned(),
        connect_timeout: Duration::from_secs(5),
        silence: Duration::from_secs(20),
        ping_every: Duration::from_secs(10),
        check_every: Duration::from_millis(50),
        steady: Duration::from_secs(30),
        backoff: Backoff {
            first: Duration::from_millis(10),
            longest: Duration::from_millis(50),
        },
        max_message: 1 << 20,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_is_a_gap_in_the_lines_and_in_the_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let (url, mut asked) = serve(vec![vec![BOOK, TRADE], vec![BOOK]]).await;
    let sources = BTreeMap::new();
    let (writer, _) = CaptureWriter::open(dir.path(), "test", sources, SystemClock.now()).unwrap();
    let stop = CancellationToken::new();
    let ended = stop.clone();
    // Stops once a progress report shows both connections' frames.
    let mut progress = move |writer: &CaptureWriter| {
        if writer.manifest().frames == 3 {
            ended.cancel();
        }
    };
    let limits = RecordLimits {
        duration: Some(Duration::from_secs(30)),
        ..RecordLimits::default()
    };
    let markets = [market()];
    let done = record(
        writer,
        &markets,
        settings(url),
        limits,
        &stop,
        &mut progress,
    )
    .await;
    let manifest = done.unwrap();
    for _ in 0..2 {
        let question = asked.recv().await.unwrap();
        assert_eq!(question["type"], "market");
        assert_eq!(question["assets_ids"], serde_json::json!(["71", "72"]));
    }
    assert_eq!(manifest.ended_by.as_deref(), Some("interrupted"));
    assert!(manifest.clean);
    assert_eq!((manifest.connections, manifest.reconnects), (2, 1));
    assert_eq!(
        manifest.messages,
        BTreeMap::from([("book".to_owned(), 4), ("last_trade_price".to_owned(), 1)])
    );
    let [gap] = manifest.gaps.as_slice() else {
        panic!("{:?}", manifest.gaps);
    };
    assert_eq!(gap.tokens, [TokenId::new("71"), TokenId::new("72")]);
    assert!(gap.end.unwrap() >= gap.start);

    let capture = Capture::open(dir.path()).unwrap();
    let lines: Vec<Line> = capture.lines().map(Result::unwrap).collect();
    let kinds: Vec<&str> = lines
        .iter()
        .map(|line| match &line.body {
            Body::File { .. } => "file",
            Body::Market(_) => "market",
            Body::Connected { .. } => "connected",
            Body::Frame { text, .. } if text == BOOK => "book",
            Body::Frame { text, .. } if text == TRADE => "trade",
            Body::Frame { .. } => "other",
            Body::Gap { .. } => "gap",
            Body::End { .. } => "end",
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "file",
            "market",
            "connected",
            "book",
            "trade",
            "gap",
            "connected",
            "book",
            "end"
        ]
    );
    // The gap begins when the trade was heard: the last moment at which nothing was missing.
    assert_eq!(gap.start, lines[4].at);
    assert_eq!(gap.end, Some(lines[6].at));
    assert!(lines.windows(2).all(|pair| pair[0].at <= pair[1].at));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_ends_at_its_duration_and_files_rotate() {
    let dir = tempfile::tempdir().unwrap();
    let (url, _asked) = serve(vec![vec![BOOK]]).await;
    let (writer, _) =
        CaptureWriter::open(dir.path(), "test", BTreeMap::new(), SystemClock.now()).unwrap();
    let limits = RecordLimits {
        duration: Some(Duration::from_millis(700)),
        max_bytes: None,
        rotate_every: Some(Duration::from_millis(300)),
    };
    let stop = CancellationToken::new();
    let markets = [market()];
    let done = record(writer, &markets, settings(url), limits, &stop, &mut |_| {}).await;
    let manifest = done.unwrap();
    assert_eq!(
        manifest.ended_by.as_deref(),
        Some("the duration was reached")
    );
    assert!((2..=3).contains(&manifest.files.len()));
    assert_eq!(manifest.sessions, 1);
    assert_eq!(manifest.gaps, []);
    Capture::open(dir.path()).unwrap().verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_ends_at_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let (url, _asked) = serve(vec![vec![BOOK]]).await;
    let (writer, _) =
        CaptureWriter::open(dir.path(), "test", BTreeMap::new(), SystemClock.now()).unwrap();
    let limits = RecordLimits {
        duration: Some(Duration::from_secs(30)),
        max_bytes: Some(1),
        rotate_every: None,
    };
    let stop = CancellationToken::new();
    let markets = [market()];
    let done = record(writer, &markets, settings(url), limits, &stop, &mut |_| {}).await;
    assert_eq!(
        done.unwrap().ended_by.as_deref(),
        Some("the size was reached")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_that_no_clock_reaches_never_come() {
    // As `--duration` and `--rotate-minutes` take them; the second only just fits the clock.
    for seconds in [u64::MAX, u64::try_from(i64::MAX).unwrap() - 1] {
        let time = Duration::from_secs(seconds);
        let dir = tempfile::tempdir().unwrap();
        let (url, _asked) = serve(vec![vec![BOOK]]).await;
        let (writer, _) =
            CaptureWriter::open(dir.path(), "test", BTreeMap::new(), SystemClock.now()).unwrap();
        let limits = RecordLimits {
            duration: Some(time),
            max_bytes: Some(1),
            rotate_every: Some(time),
        };
        let stop = CancellationToken::new();
        let markets = [market()];
        let done = record(writer, &markets, settings(url), limits, &stop, &mut |_| {}).await;
        let manifest = done.unwrap();
        assert_eq!(manifest.ended_by.as_deref(), Some("the size was reached"));
        assert_eq!(manifest.files.len(), 1);
    }
    let begun = Instant::now();
    let mut second = 1_u64 << 63;
    // The last moment that fits, to the second.
    let mut last = Duration::ZERO;
    while second > 0 {
        let time = last.saturating_add(Duration::from_secs(second));
        if begun.checked_add(time).is_some() {
            last = time;
        }
        second /= 2;
    }
    assert_eq!(later(begun, last), None);
    let hour = Duration::from_secs(3600);
    assert_eq!(later(begun, hour), Some(begun + hour));
}

#[test]
fn what_the_disk_cannot_take_becomes_a_gap_and_the_books_are_asked_for_anew() {
    let (lines, mut inbox) = mpsc::unbounded_channel();
    let waiting: Arc<AtomicU64> = Arc::default();
    let mut tap = Tap::new(4, lines, waiting.clone());
    tap.most_waiting = 10;
    let at = Timestamp::from_millis;
    let tokens = [TokenId::new("71"), TokenId::new("72")];
    tap.event(ConnectionEvent::Followed(&tokens));
    // Lost before it ever stood: nothing is missing that had been there.
    let lost = |at| ConnectionEvent::Lost {
        reason: "refused",
        at,
        retry_in: Duration::ZERO,
    };
    tap.event(lost(at(1)));
    assert!(inbox.try_recv().is_err());
    tap.event(ConnectionEvent::Connected { at: at(2) });
    let frame = |text, millis| ConnectionEvent::Frame {
        text,
        at: at(millis),
    };
    tap.event(frame("123456", 3));
    tap.event(frame("789012", 4));
    tap.event(frame("3", 5));
    assert!(tap.resubscribe(at(6)).is_empty(), "there is no room yet");
    waiting.store(0, Ordering::Relaxed);
    assert_eq!(tap.resubscribe(at(7)), tokens);
    assert!(tap.resubscribe(at(8)).is_empty());
    tap.event(frame("4", 9));
    tap.event(ConnectionEvent::Heard { at: at(10) });
    tap.event(lost(at(11)));
    let connected = Body::Connected {
        connection: 4,
        tokens: tokens.to_vec(),
    };
    let told = |text: &str| Body::Frame {
        connection: 4,
        text: text.to_owned(),
    };
    let gap = |since, reason: &str| Body::Gap {
        since: at(since),
        reason: reason.to_owned(),
        tokens: tokens.to_vec(),
    };
    let expected = [
        (2, connected.clone()),
        (3, told("123456")),
        (4, gap(3, "the disk was too slow")),
        (7, connected),
        (9, told("4")),
        (11, gap(10, "refused")),
    ];
    let mut found = Vec::new();
    while let Ok(line) = inbox.try_recv() {
        found.push((line.at.millis(), line.body));
    }
    assert_eq!(found, expected);
}
