//! `polymarket-agent sandbox` as a process: its flags, its faults, its socket's address.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::Workspace;

/// The running process and the addresses that it printed.
struct Running {
    child: Child,
    lines: Vec<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Running {
    fn start(workspace: &Workspace, args: &[&str]) -> Self {
        let mut all = vec!["sandbox", "--listen", "127.0.0.1:0", "--markets", "8"];
        all.extend_from_slice(args);
        let mut child = workspace
            .bare(&all)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut lines = Vec::new();
        while !lines
            .last()
            .is_some_and(|line: &String| line.starts_with("state: "))
        {
            let mut line = String::new();
            assert!(out.read_line(&mut line).unwrap() > 0, "it ended: {lines:?}");
            lines.push(line.trim_end().to_owned());
        }
        Running { child, lines }
    }

    fn url(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        self.lines
            .iter()
            .find_map(|line| line.strip_prefix(&start))
            .unwrap()
    }

    /// Status line, headers and body of a request.
    fn ask(&self, request: &str) -> String {
        let address = self.url("gamma_url").strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address.strip_suffix("/gamma").unwrap()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ))
    }
}

fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn flags_set_the_time_and_the_faults_and_the_socket_opens() {
    let workspace = Workspace::new();
    let fault = r#"{"fault": {"kind": "status", "code": 429, "retry_after": 7}, "scope": {"path": "/time"}, "budget": {"next": 1}}"#;
    let args = [
        "--speed",
        "0",
        "--start",
        "2026-12-01T12:00:00Z",
        "--fault",
        fault,
    ];
    let running = Running::start(&workspace, &args);
    let refused = running.get("/clob/time");
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(
        refused.to_lowercase().contains("retry-after: 7\r\n"),
        "{refused}"
    );
    // 2026-12-01T12:00:00Z, and it stands still.
    assert_eq!(body(&running.get("/clob/time")), 1_796_126_400);
    let listed = body(&running.get("/sandbox/faults"));
    assert_eq!(listed["faults"][0]["fired"], 1);
    assert_eq!(listed["faults"][0]["armed"], false);
    // A page in a browser must not move the clock, nor a name that points here.
    for header in [
        "Host: 127.0.0.1\r\nOrigin: http://rebind.example",
        "Host: rebind.example",
    ] {
        let step = format!(
            "POST /sandbox/step HTTP/1.1\r\n{header}\r\nContent-Length: 15\r\nConnection: \
             close\r\n\r\n{{\"millis\": 1000}}"
        );
        let answer = running.ask(&step);
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    assert_eq!(body(&running.get("/clob/time")), 1_796_126_400);
    // The handshake of RFC 6455, section 1.3, with its own example of a key.
    let path = running.url("ws_url").split_once("/ws").unwrap().1;
    assert_eq!(path, "");
    let address = running.url("ws_url").strip_prefix("ws://").unwrap();
    let mut stream = TcpStream::connect(address.strip_suffix("/ws").unwrap()).unwrap();
    stream
        .write_all(
            b"GET /ws/market HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )
        .unwrap();
    let mut head = String::new();
    let mut reader = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
}

#[test]
fn what_is_no_fault_and_no_time_is_refused_with_a_hint() {
    let workspace = Workspace::new();
    for (flag, value, word) in [
        ("--fault", r#"{"fault": {"kind": "nothing"}}"#, "nothing"),
        (
            "--fault",
            r#"{"fault": {"kind": "status", "code": 12}}"#,
            "400 to 599",
        ),
        ("--start", "yesterday", "RFC 3339"),
        ("--latency-ms", "99999999", "3600000"),
        ("--speed=NaN", "--markets=1", "at least 0"),
        ("--speed=-5", "--markets=1", "at least 0"),
        ("--speed=inf", "--markets=1", "at least 0"),
    ] {
        let run = workspace
            .cli_bare(&["sandbox", "--listen", "127.0.0.1:0", flag, value])
            .failed();
        assert!(run.stderr.contains(word), "{flag} {value}: {}", run.stderr);
        assert_eq!(run.stdout, "");
    }
}
