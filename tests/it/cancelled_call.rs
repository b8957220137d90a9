//! A tool call that is cancelled takes its request to the venue with it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::support::{RawServer, Workspace};

/// Reads one request's head; `None` when the other side hung up instead.
fn head(socket: &mut TcpStream) -> Option<String> {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if socket.read(&mut byte).ok()? == 0 {
            return None;
        }
        seen.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&seen).into_owned())
}

#[test]
fn the_venue_sees_the_connection_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (arrived, arrives) = std::sync::mpsc::channel();
    let (closed, closes) = std::sync::mpsc::channel();
    // Everything but the market that the tool asks for does not exist here; that one gets no
    // answer.
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            let (arrived, closed) = (arrived.clone(), closed.clone());
            std::thread::spawn(move || {
                while let Some(head) = head(&mut socket) {
                    if head.starts_with("GET /markets/slug/cancelled-market ") {
                        arrived.send(()).unwrap();
                        let ended = socket.read(&mut [0]);
                        closed.send(matches!(ended, Ok(0) | Err(_))).unwrap();
                        return;
                    }
                    let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}";
                    if socket.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let workspace = Workspace::with_config(&format!(
        "venue: {{gamma_url: '{url}', clob_url: '{url}', data_url: '{url}', retries: 0}}\n"
    ));
    let mut server = RawServer::spawn(&workspace.server());
    server.initialize();
    let call = json!({"jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": {
        "name": "get_market_detail", "arguments": {"market_id": "cancelled-market"}}});
    server.send_line(&call.to_string());
    arrives.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(closes.try_recv().is_err(), "it waits for the answer");
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": 77, "reason": "changed my mind"}});
    server.send_line(&cancel.to_string());
    assert_eq!(closes.recv_timeout(Duration::from_secs(30)), Ok(true));
    // The server is well.
    let account = server.call("get_portfolio", json!({}));
    assert!(account.to_string().contains("1000"), "{account}");
    server.close();
}
