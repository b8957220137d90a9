//! The binary as an HTTP server, and requests by hand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::server::Server;
use super::wait_for;

pub struct HttpServer {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub authority: String,
}

/// An answer to a request by hand.
pub struct Answer {
    pub status: u16,
    /// Lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl HttpServer {
    /// Starts `serve --http` on a free port.
    pub fn spawn(server: Server) -> Self {
        let server = server.args(&["--http", "127.0.0.1:0"]);
        let mut command = server.command();
        let log = server.log();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.unwrap();
        let authority = wait_for("the address of the server", || {
            let text = std::fs::read_to_string(&log).unwrap();
            let rest = text.split_once("MCP at http://")?.1;
            Some(rest.split_once("/mcp")?.0.to_owned())
        });
        HttpServer { child, authority }
    }

    pub fn mcp(&self) -> String {
        format!("http://{}/mcp", self.authority)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request(&format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.authority
        ))
    }

    /// Sends bytes as they are.
    pub fn request(&self, bytes: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.authority).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // It may have ended already, which the test itself looks at.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
