use super::*;
use crate::server::test_support::{Toy, server};
use crate::server::{ChangeFeed, McpServer};
use axum::routing::{get, post};
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientLifecycleMode, ClientServiceExt, ServiceExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn start() -> (HttpHandle, CancellationToken) {
    let extra = Router::new()
        .route("/api/health", get(|| async { "fine" }))
        .route(
            "/api/echo",
            post(|body: String| async move { body.len().to_string() }),
        );
    let shutdown = CancellationToken::new();
    let toy: McpServer<Toy> = server(ChangeFeed::default());
    let addr = parse_listen_address("localhost:0").unwrap();
    let handle = serve_http(toy, extra, addr, shutdown.clone())
        .await
        .unwrap();
    (handle, shutdown)
}

/// Sends bytes as they are and gives status and body.
async fn raw(addr: SocketAddr, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let length = body.len();
    let request = format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    // A refused large body may be cut off while we still write it.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).unwrap_or("0").parse().unwrap();
    (status, answer)
}

const MCP: &str = "Content-Type: application/json\r\nAccept: application/json, text/event-stream";
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"0"}}}"#;

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused_on_every_route() {
    let (handle, _shutdown) = start().await;
    let addr = handle.local_addr();
    let port = addr.port();
    let good = format!("Host: 127.0.0.1:{port}");
    for (names, status) in [
        (good.clone(), 200),
        (format!("Host: localhost:{port}"), 200),
        ("Host: [::1]".to_owned(), 200),
        ("Host: LOCALHOST".to_owned(), 200),
        (format!("{good}\r\nOrigin: http://localhost:3000"), 200),
        (format!("{good}\r\nOrigin: https://127.0.0.1"), 200),
        ("Host: rebind.example".to_owned(), 403),
        ("Host: localhost.rebind.example".to_owned(), 403),
        ("Host: 127.0.0.1.rebind.example".to_owned(), 403),
        ("Host: localhost@rebind.example".to_owned(), 403),
        ("Host: rebind@localhost".to_owned(), 403),
        ("Host: 0.0.0.0".to_owned(), 403),
        ("Host: 192.168.1.5".to_owned(), 403),
        (format!("{good}\r\nHost: rebind.example"), 403),
        (format!("{good}\r\nOrigin: https://rebind.example"), 403),
        (format!("{good}\r\nOrigin: null"), 403),
        (
            format!("{good}\r\nOrigin: http://localhost.rebind.example"),
            403,
        ),
        (format!("{good}\r\nOrigin: ftp://localhost"), 403),
    ] {
        let head = format!("GET /api/health HTTP/1.1\r\n{names}");
        let (got, answer) = raw(addr, &head, "").await;
        assert_eq!(got, status, "{names}: {answer}");
        let head = format!("POST /mcp HTTP/1.1\r\n{names}\r\n{MCP}");
        let (got, answer) = raw(addr, &head, INITIALIZE).await;
        assert_eq!(got, status, "/mcp {names}: {answer}");
    }
    let (status, answer) = raw(addr, "GET /api/health HTTP/1.0", "").await;
    assert_eq!(status, 403, "no Host at all: {answer}");
    assert!(answer.contains("\"code\":\"forbidden\"") && answer.contains("hint"));
    let head = format!("GET http://rebind.example/api/health HTTP/1.1\r\n{good}");
    assert_eq!(raw(addr, &head, "").await.0, 403, "absolute address");
}

#[tokio::test]
async fn bodies_over_256_kibibytes_are_refused() {
    let (handle, _shutdown) = start().await;
    let addr = handle.local_addr();
    let fits = "x".repeat(256 << 10);
    let over = "x".repeat((256 << 10) + 1);
    let echo = "POST /api/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain";
    let (status, answer) = raw(addr, echo, &fits).await;
    assert!(status == 200 && answer.ends_with("262144"), "{status}");
    assert_eq!(raw(addr, echo, &over).await.0, 413);
    let mcp = format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{MCP}");
    assert_eq!(raw(addr, &mcp, &over).await.0, 413);
}

/// The session that an answer opened.
fn session_of(answer: &str) -> String {
    let header = answer
        .lines()
        .find_map(|line| line.strip_prefix("mcp-session-id: "));
    header.unwrap().to_owned()
}

#[tokio::test]
async fn one_session_more_than_the_limit_is_refused_until_one_is_closed() {
    let (handle, shutdown) = start().await;
    let addr = handle.local_addr();
    let open = format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{MCP}");
    let (status, answer) = raw(addr, &open, INITIALIZE).await;
    assert_eq!(status, 200, "{answer}");
    let first = session_of(&answer);
    // All the others at once, four too many.
    let others = (1..132).map(|_| raw(addr, &open, INITIALIZE));
    let answers = futures::future::join_all(others).await;
    let opened = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(opened, 127);
    let refused: Vec<&String> = answers
        .iter()
        .filter(|(status, _)| *status == 503)
        .map(|(_, answer)| answer)
        .collect();
    assert_eq!(refused.len(), 4);
    for answer in refused {
        assert!(answer.contains("retry-after: 60\r\n"), "{answer}");
        assert!(
            answer.contains("content-type: application/json"),
            "{answer}"
        );
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["code"], "too_many_sessions");
        assert_eq!(body["message"], "128 sessions are open already");
        assert!(body["hint"].as_str().unwrap().contains("2026-07-28"));
    }
    // Whoever is in is still answered, and so is everything that needs no session.
    let list = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
    let inside = format!("{open}\r\nMcp-Session-Id: {first}");
    let (status, answer) = raw(addr, &inside, list).await;
    assert!(status == 200 && answer.contains("\"tools\""), "{answer}");
    let health = "GET /api/health HTTP/1.1\r\nHost: localhost";
    assert_eq!(raw(addr, health, "").await.0, 200);

    let close =
        format!("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n{MCP}\r\nMcp-Session-Id: {first}");
    let (status, answer) = raw(addr, &close, "").await;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(raw(addr, &open, INITIALIZE).await.0, 200);
    assert_eq!(raw(addr, &open, INITIALIZE).await.0, 503);
    shutdown.cancel();
    handle.wait().await.unwrap();
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    for text in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let addr = parse_listen_address(text).unwrap();
        let toy = server(ChangeFeed::default());
        let error = serve_http(toy, Router::new(), addr, CancellationToken::new())
            .await
            .unwrap_err();
        assert!(matches!(error, HttpError::NotLoopback(_)), "{text}");
        assert!(
            error.to_string().contains("no authentication yet"),
            "{error}"
        );
    }
    assert!(matches!(
        parse_listen_address("8080"),
        Err(HttpError::Address(_))
    ));
    let (handle, _shutdown) = start().await;
    let toy = server(ChangeFeed::default());
    let taken = serve_http(
        toy,
        Router::new(),
        handle.local_addr(),
        CancellationToken::new(),
    )
    .await;
    assert!(matches!(taken.unwrap_err(), HttpError::Bind { .. }));
}

#[tokio::test]
async fn clients_of_both_eras_share_one_state_over_http() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (handle, shutdown) = start().await;
    let uri = format!("http://{}/mcp", handle.local_addr());
    let older = ().serve(StreamableHttpClientTransport::from_uri(uri.clone())).await.unwrap();
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    let mode = ClientLifecycleMode::Discover { preferred_versions };
    let newer =
        ().serve_with_lifecycle(StreamableHttpClientTransport::from_uri(uri), mode)
            .await
            .unwrap();
    for client in [&older, &newer] {
        assert_eq!(client.list_all_tools().await.unwrap().len(), 6);
        let call = CallToolRequestParams::new("add");
        let arguments = json!({"a": 20, "b": 22}).as_object().unwrap().clone();
        let result = client
            .call_tool(call.with_arguments(arguments))
            .await
            .unwrap();
        assert_eq!(result.structured_content, Some(json!({"sum": 42})));
    }
    // Shutdown ends the server although a session's stream is open.
    shutdown.cancel();
    let started = std::time::Instant::now();
    handle.wait().await.unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
}
