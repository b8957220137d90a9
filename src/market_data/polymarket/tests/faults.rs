//! What happens when the venue is slow, ill, absent or hostile.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::*;

/// A server that holds every request until it is told to answer, and sees connections close.
struct Holding {
    base: String,
    requests: Arc<AtomicUsize>,
    arrived: mpsc::UnboundedReceiver<()>,
    closed: mpsc::UnboundedReceiver<()>,
    release: watch::Sender<bool>,
}

impl Holding {
    async fn start(body: Value) -> Holding {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let (arrive, arrived) = mpsc::unbounded_channel();
        let (close, closed) = mpsc::unbounded_channel();
        let (release, released) = watch::channel(false);
        let body = body.to_string();
        let counter = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (arrive, close) = (arrive.clone(), close.clone());
                let (mut released, body) = (released.clone(), body.clone());
                let counter = Arc::clone(&counter);
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    while !seen.ends_with(b"\r\n\r\n") {
                        let mut byte = [0];
                        if socket.read(&mut byte).await.unwrap_or(0) == 0 {
                            return;
                        }
                        seen.push(byte[0]);
                    }
                    counter.fetch_add(1, Ordering::SeqCst);
                    arrive.send(()).unwrap();
                    let mut more = [0];
                    let released = async { released.wait_for(|yes| *yes).await.map(drop) };
                    tokio::select! {
                        _ = socket.read(&mut more) => close.send(()).unwrap(),
                        _ = released => {
                            let answer = format!(
                                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                                body.len()
                            );
                            socket.write_all(answer.as_bytes()).await.unwrap();
                        }
                    }
                });
            }
        });
        Holding {
            base,
            requests,
            arrived,
            closed,
            release,
        }
    }
}

#[tokio::test]
async fn ten_callers_are_one_request_and_some_may_leave() {
    let mut venue = Holding::start(row(7)).await;
    let client = Arc::new(client(&venue.base));
    let mut callers: Vec<_> = (0..10)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.market("7").await.unwrap() })
        })
        .collect();
    venue.arrived.recv().await.unwrap();
    // The first one drives the request; others go on with it.
    for caller in callers.drain(..3) {
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    venue.release.send(true).unwrap();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().id, MarketId::new("7"));
    }
    assert_eq!(venue.requests.load(Ordering::SeqCst), 1);
    assert!(venue.closed.try_recv().is_err(), "nobody hung up");
    assert_eq!(client.health().requests, 1);
}

#[tokio::test]
async fn when_the_last_caller_leaves_the_connection_is_closed() {
    let mut venue = Holding::start(row(7)).await;
    let client = Arc::new(client(&venue.base));
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.market("7").await })
        })
        .collect();
    venue.arrived.recv().await.unwrap();
    for caller in &callers {
        caller.abort();
    }
    let closed = tokio::time::timeout(Duration::from_secs(10), venue.closed.recv()).await;
    assert_eq!(closed, Ok(Some(())));
    // A POST, which is never shared, ends the same way.
    let tokens = [TokenId::new("1"), TokenId::new("2")];
    let asked = client.books(&tokens);
    tokio::select! {
        _ = asked => panic!("it was not to be answered"),
        Some(()) = venue.arrived.recv() => {}
    }
    let closed = tokio::time::timeout(Duration::from_secs(10), venue.closed.recv()).await;
    assert_eq!(closed, Ok(Some(())));
    assert_eq!(client.health().failures, 0, "giving up is no failure");
}

#[tokio::test]
async fn a_breaker_opens_probes_once_and_closes() {
    let (venue, base) = Venue::start(|seen, before| {
        if seen.path.starts_with("/clob") {
            ok(json!(1_792_173_951))
        } else if before < 3 {
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        } else {
            ok(row(7))
        }
    })
    .await;
    let config = PolymarketConfig {
        retries: 0,
        breaker_failures: 2,
        breaker_seconds: 1,
        ..config(&base)
    };
    let client = Polymarket::new(config, SourceKind::Sandbox).unwrap();
    for _ in 0..2 {
        let error = client.market("7").await.unwrap_err();
        assert_eq!(error.code(), "venue_error");
    }
    let begun = Instant::now();
    let error = client.market("7").await.unwrap_err();
    let DataError::CircuitOpen {
        failures, retry_in, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((*failures, *retry_in), (2, Duration::from_secs(1)));
    assert_eq!(error.code(), "venue_unreachable");
    assert!(error.to_string().contains("tried again in 1 s"), "{error}");
    assert!(error.hint().starts_with("Call again in 1 s."));
    let health = client.health();
    assert!(
        health.notes[0].starts_with("circuit breaker of gamma open: 127.0.0.1:"),
        "{:?}",
        health.notes
    );
    assert_eq!(venue.seen().len(), 2, "the third was not sent");
    // Another host is well.
    assert!(client.now().await.is_ok());
    // Half open: the first probe fails (the fourth request, counting the clock), the next does not.
    let mut open = 0;
    while let Err(error) = client.market("7").await {
        open += usize::from(matches!(error, DataError::CircuitOpen { .. }));
        assert!(begun.elapsed() < Duration::from_secs(20), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(open > 0);
    let gamma = |seen: &&Seen| seen.path.starts_with("/gamma");
    assert_eq!(venue.seen().iter().filter(gamma).count(), 3);
    assert!(begun.elapsed() >= Duration::from_millis(900), "it rested");
    assert!(client.health().notes.is_empty());
    assert_eq!(client.health().last_error, None, "it is over");
}

#[tokio::test]
async fn restarts_are_waited_out_beyond_the_retries_until_the_deadline() {
    let (venue, base) = Venue::start(|_, before| match before {
        0 | 2 => StatusCode::TOO_EARLY.into_response(),
        1 | 3 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => ok(row(7)),
    })
    .await;
    let patient = PolymarketConfig {
        retries: 0,
        ..config(&base)
    };
    let patient = Polymarket::new(patient, SourceKind::Polymarket).unwrap();
    assert!(patient.market("7").await.unwrap().is_some());
    assert_eq!(venue.seen().len(), 5);
    assert_eq!(patient.health().failures, 0);

    let (_, base) =
        Venue::start(|_, _| (StatusCode::SERVICE_UNAVAILABLE, "restart").into_response()).await;
    let config = PolymarketConfig {
        deadline_seconds: 1,
        ..config(&base)
    };
    let client = Polymarket::new(config, SourceKind::Polymarket).unwrap();
    let begun = Instant::now();
    let error = client.market("7").await.unwrap_err();
    assert!(error.to_string().contains("503: restart"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(client.health().requests >= 2, "it was patient");
}

#[tokio::test]
async fn other_failures_are_tried_again_as_often_as_allowed() {
    let (venue, base) = Venue::start(|_, _| StatusCode::BAD_GATEWAY.into_response()).await;
    let error = client(&base).market("7").await.unwrap_err();
    assert!(error.to_string().contains("502"), "{error}");
    assert_eq!(venue.seen().len(), 3, "two retries");
}

#[tokio::test]
async fn a_long_retry_after_holds_for_all_who_ask_the_same_routes() {
    let (venue, base) = Venue::start(|seen, _| {
        if seen.path.starts_with("/gamma/markets") {
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "90")], "").into_response()
        } else {
            ok(json!({"id": "5", "title": "E", "markets": []}))
        }
    })
    .await;
    let client = client(&base);
    assert_eq!(client.market("7").await.unwrap_err().code(), "rate_limited");
    let error = client.market("8").await.unwrap_err();
    assert!(error.to_string().contains("not sent"), "{error}");
    assert!(
        ["Wait 89 s", "Wait 90 s"].contains(&&error.hint()[..9]),
        "{}",
        error.hint()
    );
    assert_eq!(venue.seen().len(), 1);
    assert!(client.event("5").await.unwrap().is_some(), "other routes");
}

#[tokio::test]
async fn a_redirect_is_followed_on_the_same_host_only() {
    let (elsewhere, other) = Venue::start(|_, _| ok(row(7))).await;
    let (_, base) = Venue::start(move |seen, _| match seen.path.as_str() {
        "/gamma/markets/7" => {
            (StatusCode::FOUND, [("location", format!("{other}/x"))]).into_response()
        }
        "/gamma/markets/8" => (
            StatusCode::TEMPORARY_REDIRECT,
            [("location", "/gamma/markets/9")],
        )
            .into_response(),
        "/gamma/markets/10" => {
            (StatusCode::FOUND, [("location", "/gamma/markets/10")]).into_response()
        }
        _ => ok(row(9)),
    })
    .await;
    let client = client(&base);
    let error = client.market("7").await.unwrap_err();
    assert_eq!(error.code(), "venue_malformed");
    assert!(
        error.to_string().contains("another host (127.0.0.1)"),
        "{error}"
    );
    assert!(elsewhere.seen().is_empty());
    let moved = client.market("8").await.unwrap().unwrap();
    assert_eq!(moved.id, MarketId::new("9"));
    let error = client.market("10").await.unwrap_err();
    assert!(error.to_string().contains("again and again"), "{error}");
}

#[tokio::test]
async fn a_small_answer_that_unpacks_to_a_huge_one_is_cut_off() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..64 {
        packer.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    let packed = packer.finish().unwrap();
    assert!(packed.len() < 1 << 20, "{} bytes", packed.len());
    let (_, base) =
        Venue::start(move |_, _| ([("content-encoding", "gzip")], packed.clone()).into_response())
            .await;
    let error = client(&base).market("7").await.unwrap_err();
    assert!(error.to_string().contains("longer than 32 MiB"), "{error}");
}

#[tokio::test]
async fn an_answer_that_trickles_ends_with_the_timeout() {
    let (_, base) = Venue::start(|_, _| {
        let bytes = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
        });
        axum::body::Body::from_stream(bytes).into_response()
    })
    .await;
    let config = PolymarketConfig {
        timeout_seconds: 1,
        retries: 0,
        ..config(&base)
    };
    let client = Polymarket::new(config, SourceKind::Polymarket).unwrap();
    let begun = Instant::now();
    let error = client.market("7").await.unwrap_err();
    assert!(
        error.to_string().contains("no answer within 1 s"),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
}
