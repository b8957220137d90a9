//! Alerts against webhooks on loopback.

use std::sync::Mutex;

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;

use super::*;

fn alert() -> Alert {
    Alert::new(
        "signal_trader".into(),
        Side::Buy,
        Usdc::parse("12.165").unwrap(),
        "559652".into(),
        Price::parse("0.155").unwrap(),
        "Yes",
        "Will it\n rain? @everyone <!channel>",
    )
}

/// Starts `router` on a free loopback port; the answer is its base URL.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

type Seen = Arc<Mutex<Vec<Value>>>;

fn good(seen: &Seen) -> Router {
    let seen = Arc::clone(seen);
    Router::new().route(
        "/hook/good",
        post(move |Json(body): Json<Value>| async move {
            seen.lock().unwrap().push(body);
        }),
    )
}

#[test]
fn the_text_names_side_size_market_and_strategy() {
    assert_eq!(
        alert().text(),
        "Trade executed: buy 12.17 USDC on 559652 (signal_trader) at 0.155, outcome Yes: \
         Will it rain? ＠everyone ‹!channel›"
    );
    for (micros, text) in [
        (0, "0.00"),
        (4_999, "0.00"),
        (5_000, "0.01"),
        (-4_999, "0.00"),
        (1_999_999, "2.00"),
        (-12_165_000, "-12.17"),
        (1_234_560_000, "1234.56"),
    ] {
        assert_eq!(cents(Usdc::from_micros(micros)), text);
    }
}

#[tokio::test]
async fn a_failing_webhook_does_not_stop_another() {
    let seen = Seen::default();
    let base = serve(
        good(&seen)
            .route(
                "/hook/broken",
                post(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
            )
            .route(
                "/hook/moved",
                post(|| async { (StatusCode::TEMPORARY_REDIRECT, [("location", "/hook/good")]) }),
            ),
    )
    .await;
    // Bound and dropped: nobody listens there.
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/hook", listener.local_addr().unwrap())
    };
    let alerts = Alerts::new(vec![
        format!("{base}/hook/broken").into(),
        closed.into(),
        format!("{base}/hook/moved").into(),
        format!("{base}/hook/good").into(),
    ])
    .unwrap();
    alerts.send(&alert()).await;
    assert!(alerts.flush(Duration::from_secs(20)).await);
    let text = alert().text();
    assert_eq!(
        *seen.lock().unwrap(),
        [json!({"text": text, "content": text})],
        "once, and not through the redirect"
    );
    assert_eq!((alerts.failed(), alerts.dropped()), (3, 0));
}

#[tokio::test]
async fn a_hanging_webhook_delays_nobody_and_overflow_is_counted() {
    let seen = Seen::default();
    let base = serve(good(&seen).route(
        "/hook/hangs",
        post(|| async { std::future::pending::<()>().await }),
    ))
    .await;
    let alerts = Alerts::new(vec![
        format!("{base}/hook/hangs").into(),
        format!("{base}/hook/good").into(),
    ])
    .unwrap();
    let sent = QUEUE + 6;
    let deadline = std::time::Instant::now() + Duration::from_secs(8);
    for number in 1..=sent {
        alerts.send(&alert()).await;
        // The good one gets each alert at once, while the other one hangs.
        while seen.lock().unwrap().len() < number {
            assert!(std::time::Instant::now() < deadline, "delayed at {number}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    // One is under way, QUEUE wait, the others are lost.
    assert_eq!(alerts.dropped(), 5);
    assert!(!alerts.flush(Duration::from_millis(100)).await);
    assert_eq!(seen.lock().unwrap().len(), sent);
}

#[tokio::test]
async fn a_bad_url_is_refused_without_being_shown() {
    for bad in [
        "not a url secret",
        "ftp://host/secret",
        "file:///secret",
        "",
    ] {
        let error = Alerts::new(vec!["http://127.0.0.1:9/x".into(), bad.into()])
            .err()
            .unwrap();
        assert_eq!(error, AlertError::BadUrl { number: 2 });
        assert!(!error.to_string().contains("secret"));
    }
}

#[test]
fn the_console_needs_no_runtime() {
    assert!(Alerts::new(Vec::new()).is_ok());
    let with_webhook = Alerts::new(vec!["http://127.0.0.1:9/x".into()]);
    assert_eq!(with_webhook.err(), Some(AlertError::NoRuntime));
}

#[test]
fn the_console_line_is_marked_and_failures_name_the_host_only() {
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::registry().with(
        tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone()),
    );
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/T00/secret-path", listener.local_addr().unwrap())
    };
    // On one thread, so that the task logs to the same place.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    crate::telemetry::keep_listening();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let alerts = Alerts::new(vec![closed.into()]).unwrap();
            alerts.send(&alert()).await;
            assert!(alerts.flush(Duration::from_secs(20)).await);
        });
    });
    let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("WARN") && text.contains("[ALERT] Trade executed: buy 12.17 USDC on 559652"),
        "{text}"
    );
    assert!(text.contains("host=127.0.0.1"), "{text}");
    assert!(text.contains("no connection"), "{text}");
    assert!(!text.contains("secret-path"), "{text}");
}
