//! A directory of its own for each test, and the binary as a command in it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::server::Server;

/// Longest that any command of these tests may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A temporary directory with a `config.yaml` without jobs and room for a database.
pub struct Workspace {
    dir: TempDir,
}

impl Workspace {
    /// The defaults, but nothing runs by the clock.
    pub fn new() -> Self {
        Self::with_config("")
    }

    /// These keys on top of the defaults; without a `scheduler` section nothing runs by the clock.
    pub fn with_config(yaml: &str) -> Self {
        let workspace = Workspace {
            dir: tempfile::tempdir().unwrap(),
        };
        workspace.configure(yaml);
        workspace
    }

    /// Writes another configuration.
    pub fn configure(&self, yaml: &str) {
        let jobs = if yaml.contains("scheduler:") {
            ""
        } else {
            "scheduler: {jobs: []}\n"
        };
        // Stories buy at any price up to 0.99; what a fat finger is kept from has stories of its own.
        let risk = if yaml.contains("risk:") {
            ""
        } else {
            "risk: {max_price_distance: 0}\n"
        };
        // Recordings of tests lie where all of their folders do.
        let backtest = match yaml.contains("backtest:") {
            true => String::new(),
            false => format!(
                "backtest: {{data_dirs: ['{}']}}\n",
                std::env::temp_dir().display()
            ),
        };
        std::fs::write(self.config(), format!("{jobs}{risk}{backtest}{yaml}")).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path("config.yaml")
    }

    pub fn db(&self) -> PathBuf {
        self.path("ledger.db")
    }

    /// The binary in this directory, with no configuration from outside.
    pub fn bare(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        clean(&mut command, self.dir.path());
        command.args(args);
        command
    }

    /// The same with this workspace's configuration and database.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bare(args);
        command
            .arg("--config")
            .arg(self.config())
            .arg("--db")
            .arg(self.db());
        command
    }

    /// Runs the binary with this workspace's configuration and database.
    pub fn cli(&self, args: &[&str]) -> Run {
        finish(self.command(args), args)
    }

    /// Runs the binary with only these arguments.
    pub fn cli_bare(&self, args: &[&str]) -> Run {
        finish(self.bare(args), args)
    }

    /// `call TOOL --json ARGUMENTS` with the options of `source`.
    pub fn call(&self, source: &[&str], tool: &str, arguments: &Value) -> Run {
        let json = arguments.to_string();
        let mut args = vec!["call", tool, "--json", &json];
        args.extend_from_slice(source);
        self.cli(&args)
    }

    /// A server on this workspace's configuration and database.
    pub fn server(&self) -> Server {
        Server::builder().config(self.config()).db(self.db())
    }
}

/// The program under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_polymarket-agent"))
}

/// Nothing of the developer's environment reaches the program.
pub fn clean(command: &mut Command, dir: &Path) {
    command.current_dir(dir);
    for name in ["POLYMARKET_CONFIG", "POLYMARKET_DB", "RUST_LOG"] {
        command.env_remove(name);
    }
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
}

/// How a command ended.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Demands success.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(
            self.code,
            Some(0),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Demands exit status 1, a message and a hint on stderr.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert_eq!(
            self.code,
            Some(1),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        assert!(self.stderr.contains("error: "), "{}", self.stderr);
        assert!(self.stderr.contains("hint: "), "{}", self.stderr);
        self
    }

    /// The standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

fn finish(mut command: Command, args: &[&str]) -> Run {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = drain(child.stdout.take().unwrap());
    let stderr = drain(child.stderr.take().unwrap());
    let code = wait(&mut child, args);
    Run {
        code,
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child, args: &[&str]) -> Option<i32> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{args:?} took longer than {LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
