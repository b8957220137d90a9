//! The binary as an MCP server, with a client that nobody here wrote.

use std::path::PathBuf;

use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, Implementation,
    ProtocolVersion, Tool,
};
use rmcp::service::{RunningService, ServiceError};
use rmcp::transport::{IntoTransport, StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientLifecycleMode, ClientServiceExt, RoleClient, ServiceExt};
use serde_json::Value;

use super::workspace::{binary, clean};

/// What an agent is told when a tool did not do its work.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolFailure {
    pub code: String,
    pub message: String,
    pub hint: String,
}

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct Server {
    config: Option<PathBuf>,
    db: Option<PathBuf>,
    args: Vec<String>,
    modern: bool,
}

impl Server {
    pub fn builder() -> Self {
        Server::default()
    }

    pub fn config(mut self, path: PathBuf) -> Self {
        self.config = Some(path);
        self
    }

    pub fn db(mut self, path: PathBuf) -> Self {
        self.db = Some(path);
        self
    }

    /// A simulated exchange inside the server.
    pub fn source_sandbox(self, seed: u64) -> Self {
        self.args(&["--source", "sandbox", "--seed", &seed.to_string()])
    }

    /// The sandbox's labelled mispricings.
    pub fn inefficiency(self) -> Self {
        self.args(&["--inefficiency"])
    }

    /// Seconds by which a tick moves the source's clock, which stands still otherwise.
    pub fn step(self, seconds: u64) -> Self {
        self.args(&["--step", &seconds.to_string()])
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// Speak the protocol of 2026-07-28, without a handshake.
    pub fn modern(mut self) -> Self {
        self.modern = true;
        self
    }

    /// The command, its standard error going to `server.log` beside the database.
    pub fn command(&self) -> std::process::Command {
        let db = self.db.as_ref().unwrap();
        let dir = db.parent().unwrap();
        let mut command = std::process::Command::new(binary());
        clean(&mut command, dir);
        command
            .arg("serve")
            .args(&self.args)
            .arg("--db")
            .arg(db)
            .arg("--config")
            .arg(self.config.as_ref().unwrap());
        command.stderr(self.log_file());
        command
    }

    /// Where the standard error of the server goes.
    pub fn log(&self) -> PathBuf {
        self.db.as_ref().unwrap().with_file_name("server.log")
    }

    fn log_file(&self) -> std::fs::File {
        let mut options = std::fs::File::options();
        options.create(true).append(true).open(self.log()).unwrap()
    }

    /// Starts the server, for a client of the test's own.
    pub fn transport(&self) -> TokioChildProcess {
        let command = tokio::process::Command::from(self.command());
        let builder = TokioChildProcess::builder(command);
        let (transport, _) = builder.stderr(self.log_file()).spawn().unwrap();
        transport
    }

    /// Starts the server and opens a session over its standard input and output.
    pub async fn spawn_stdio(self) -> Session {
        Session::over(self.transport(), self.modern).await
    }
}

/// An open session.
pub struct Session {
    running: RunningService<RoleClient, ClientConfig>,
}

impl Session {
    /// Opens a session with a server over HTTP.
    pub async fn http(url: String, modern: bool) -> Session {
        // The client is built without a cryptography of its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Session::over(StreamableHttpClientTransport::from_uri(url), modern).await
    }

    async fn over<T, E, A>(transport: T, modern: bool) -> Session
    where
        T: IntoTransport<RoleClient, E, A>,
        E: std::error::Error + Send + Sync + 'static,
    {
        let client = ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("integration", "1"),
        );
        let running = if modern {
            let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
            let mode = ClientLifecycleMode::Discover { preferred_versions };
            client.serve_with_lifecycle(transport, mode).await.unwrap()
        } else {
            client.serve(transport).await.unwrap()
        };
        Session { running }
    }

    /// What the server says of itself: name, version, negotiated protocol.
    pub fn server(&self) -> Value {
        let info = self.running.peer().peer_info().unwrap();
        serde_json::to_value(&*info).unwrap()
    }

    pub async fn tools(&self) -> Vec<Tool> {
        self.running.list_all_tools().await.unwrap()
    }

    /// The raw result, or the protocol's own error.
    pub async fn raw(&self, tool: &str, arguments: Value) -> Result<CallToolResult, ServiceError> {
        let mut params = CallToolRequestParams::new(tool.to_owned());
        params.arguments = arguments.as_object().cloned();
        self.running.call_tool(params).await
    }

    /// The structured result of a call that must succeed; its text form must not be empty.
    pub async fn call(&self, tool: &str, arguments: Value) -> Value {
        let result = self.raw(tool, arguments.clone()).await.unwrap();
        let text = text_of(&result).to_owned();
        assert_eq!(result.is_error, Some(false), "{tool} {arguments}: {text}");
        assert!(!text.is_empty(), "{tool}");
        result.structured_content.unwrap()
    }

    /// The failure of a call that must fail, as an in-band error with code, message and hint, all
    /// of them said in the text too.
    pub async fn fails(&self, tool: &str, arguments: Value) -> ToolFailure {
        let shown: String = arguments.to_string().chars().take(200).collect();
        let result = self.raw(tool, arguments).await.unwrap();
        let text = text_of(&result).to_owned();
        assert_eq!(result.is_error, Some(true), "{tool} {shown}: {text}");
        let failure = failure_of(&result.structured_content.unwrap());
        assert!(text.contains(&failure.message), "{tool} {shown}: {text}");
        assert!(text.contains(&failure.hint), "{tool} {shown}: {text}");
        failure
    }

    /// Ends the session and waits for the server to end.
    pub async fn close(self) {
        self.running.cancel().await.unwrap();
    }
}

/// The text form of a result.
pub fn text_of(result: &CallToolResult) -> &str {
    &result.content[0].as_text().unwrap().text
}

/// Reads `{code, message, hint}`; an empty part fails the test.
#[track_caller]
pub fn failure_of(value: &Value) -> ToolFailure {
    let part = |name: &str| {
        let text = value[name].as_str().unwrap_or_default().to_owned();
        assert!(!text.is_empty(), "{name} is missing in {value}");
        text
    };
    ToolFailure {
        code: part("code"),
        message: part("message"),
        hint: part("hint"),
    }
}
