//! `record`: stopped, killed, cut off, out of room; what was written is always readable.
#![cfg(unix)]

use std::path::Path;
use std::process::{Child, Command, Stdio};

use polymarket_agent::market_data::polymarket::ws_messages::MarketMessage;
use polymarket_agent::market_data::recorded::capture::{Body, Capture, Line};
use serde_json::Value;

use crate::support::{Exchange, Venue, Workspace, binary, wait_for};

const RECORD: [&str; 6] = ["record", "--markets", "rain", "--out", "capture", "--json"];

fn start(workspace: &Workspace) -> Child {
    workspace
        .command(&RECORD)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(sent.success());
}

/// Waits for the end; demands success and gives the summary and standard error.
fn ended(child: Child) -> (Value, String) {
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    (serde_json::from_slice(&output.stdout).unwrap(), stderr)
}

fn lines(dir: &Path) -> Vec<Line> {
    let capture = Capture::open(dir).unwrap();
    capture.lines().map(Result::unwrap).collect()
}

/// The numbers of the trades, which the venue counts up in their sizes.
fn trades(lines: &[Line]) -> Vec<u64> {
    lines
        .iter()
        .flat_map(|line| line.body.messages())
        .filter_map(|message| match message.unwrap() {
            MarketMessage::LastTradePrice { level, .. } => {
                Some(u64::try_from(level.size.micros()).unwrap() / 1_000_000)
            }
            _ => None,
        })
        .collect()
}

fn consecutive(numbers: &[u64]) -> bool {
    numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// Waits until the disk holds so many trades.
fn wait_for_trades(dir: &Path, wanted: usize) {
    wait_for("trades on the disk", || {
        let capture = Capture::open(dir).ok()?;
        let lines: Vec<Line> = capture.lines().map_while(Result::ok).collect();
        (trades(&lines).len() >= wanted).then_some(())
    });
}

#[test]
fn a_cut_connection_is_a_gap_and_ctrl_c_ends_the_recording_cleanly() {
    let venue = Venue::start();
    let workspace = Workspace::with_config(&venue.config());
    let dir = workspace.path("capture");
    let child = start(&workspace);
    wait_for_trades(&dir, 20);
    venue.cut();
    wait_for("a new connection", || {
        (venue.connections() == 2).then_some(())
    });
    // A second recorder has no business in the folder meanwhile.
    let busy = workspace.cli(&RECORD).failed();
    assert!(busy.stderr.contains("another process"), "{}", busy.stderr);
    signal(&child, "-INT");
    let (summary, stderr) = ended(child);
    assert!(
        stderr.contains("recording 1 markets (2 tokens)"),
        "{stderr}"
    );
    assert_eq!(summary["ended_by"], "interrupted");
    assert_eq!(summary["connections"], 2);
    assert_eq!(summary["reconnects"], 1);
    assert_eq!(summary["gaps"], 1);

    let capture = Capture::open(&dir).unwrap();
    let manifest = capture.manifest();
    assert!(manifest.clean);
    assert_eq!(capture.verify().unwrap(), summary["bytes"]);
    let tokens: Vec<&str> = manifest.gaps[0].tokens.iter().map(|t| t.as_str()).collect();
    assert_eq!(tokens, ["5011", "5012"]);
    let all = lines(&dir);
    let count = trades(&all).len() as u64;
    assert_eq!(summary["messages"]["last_trade_price"], count);
    assert_eq!(summary["messages"]["book"], 4);
    // Whole up to the gap, and whole after it, which begins with both books.
    let gap = all
        .iter()
        .position(|line| matches!(line.body, Body::Gap { .. }))
        .unwrap();
    assert!(consecutive(&trades(&all[..gap])));
    assert!(consecutive(&trades(&all[gap..])));
    assert_eq!(manifest.gaps[0].start, all[gap - 1].at);
    assert!(matches!(&all[gap + 1].body, Body::Connected { .. }));
    assert_eq!(manifest.gaps[0].end, Some(all[gap + 1].at));
    let books = all[gap + 2].body.messages();
    assert!(matches!(
        books.as_slice(),
        [Ok(MarketMessage::Book(_)), Ok(MarketMessage::Book(_))]
    ));
    let Body::Market(market) = &all[1].body else {
        panic!("{:?}", all[1]);
    };
    assert_eq!(market["slug"], "rain");
    assert_eq!(market["fee_rate"], 0.02);

    let replayed = workspace
        .cli(&["backtest", "capture", "--json"])
        .ok()
        .json();
    let notes = replayed["notes"].to_string();
    assert!(
        notes.contains("1 gaps") && notes.contains("2 tokens"),
        "{notes}"
    );
}

#[test]
fn after_a_kill_everything_flushed_is_there_and_the_next_run_goes_on() {
    let venue = Venue::start();
    let workspace = Workspace::with_config(&venue.config());
    let dir = workspace.path("capture");
    let mut child = start(&workspace);
    wait_for_trades(&dir, 20);
    child.kill().unwrap();
    child.wait().unwrap();
    let before = lines(&dir);
    assert!(!Capture::open(&dir).unwrap().manifest().clean);
    assert!(trades(&before).len() >= 20);
    assert!(consecutive(&trades(&before)));

    let child = start(&workspace);
    wait_for_trades(&dir, trades(&before).len() + 20);
    signal(&child, "-TERM");
    let (summary, stderr) = ended(child);
    assert!(stderr.contains("left unfinished"), "{stderr}");
    assert_eq!(summary["sessions"], 2);
    assert_eq!(summary["repaired"].as_array().unwrap().len(), 1);
    assert_eq!(summary["files"], 2);
    let capture = Capture::open(&dir).unwrap();
    capture.verify().unwrap();
    let [gap] = capture.manifest().gaps.as_slice() else {
        panic!("{:?}", capture.manifest().gaps);
    };
    assert_eq!(gap.reason, "nothing was recording");
    assert_eq!(gap.start, before.last().unwrap().at);
    assert!(gap.end.is_some());
    let all = lines(&dir);
    assert_eq!(all[..before.len()], before);
    assert!(consecutive(&trades(&all[before.len()..])));
}

#[test]
fn without_room_it_says_so_and_what_was_written_is_readable() {
    let venue = Venue::start();
    let workspace = Workspace::with_config(&venue.config());
    let dir = workspace.path("capture");
    // No file may grow beyond 32 blocks (16 or 32 KiB, depending on the shell).
    let script = "trap '' XFSZ; ulimit -f 32; exec \"$@\"";
    let recorder = workspace.command(&RECORD);
    let run = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(binary())
        .args(recorder.get_args())
        .current_dir(recorder.get_current_dir().unwrap())
        .output()
        .unwrap();
    let stderr = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("messages-000001.jsonl.zst"), "{stderr}");
    assert!(stderr.contains("stays readable"), "{stderr}");
    assert!(stderr.contains("hint: Make room"), "{stderr}");
    let capture = Capture::open(&dir).unwrap();
    let manifest = capture.manifest();
    assert!(!manifest.clean);
    let why = manifest.ended_by.as_deref().unwrap();
    assert!(why.contains("File too large"), "{why}");
    let read = lines(&dir);
    assert!(trades(&read).len() >= 100);
    assert!(consecutive(&trades(&read)));
    assert_eq!(
        manifest.messages["last_trade_price"],
        trades(&read).len() as u64
    );
    capture.verify().unwrap();
}

#[test]
fn what_cannot_be_recorded_is_refused_before_anything_is_written() {
    let venue = Venue::start();
    let workspace = Workspace::with_config(&venue.config());
    let run = workspace
        .cli(&[
            "record",
            "--markets",
            "rain",
            "no-such",
            "a/b",
            "--out",
            "capture",
        ])
        .failed();
    assert!(run.stderr.contains("no-such: there is no such market"));
    assert!(run.stderr.contains("a/b: `a/b` is neither"));
    assert!(!workspace.path("capture").exists());

    let download = ["download", "--market", "rain", "--out", "data"];
    let span = ["--from", "2026-05-01", "--to", "2026-05-02"];
    workspace.cli(&[download.as_slice(), &span].concat()).ok();
    let run = workspace
        .cli(&["record", "--markets", "rain", "--out", "data"])
        .failed();
    assert!(
        run.stderr.contains("but no manifest.json"),
        "{}",
        run.stderr
    );

    workspace.configure(&venue.config().replace("ws_url: 'ws://", "ws_url: 'wss://x"));
    let run = workspace.cli(&RECORD).failed();
    assert!(run.stderr.contains("two exchanges"), "{}", run.stderr);

    let config = venue.config();
    let base = config.split("ws_url: '").nth(1).unwrap();
    let base = base.split('\'').next().unwrap();
    workspace.configure(&config.replace(base, "ws://127.0.0.1:9/ws"));
    let run = workspace
        .cli(&[
            "record",
            "--markets",
            "rain",
            "--out",
            "dead",
            "--duration",
            "1",
        ])
        .failed();
    assert!(run.stderr.contains("nothing came from ws://127.0.0.1:9/ws"));
    assert!(
        Capture::open(&workspace.path("dead"))
            .unwrap()
            .manifest()
            .clean
    );
}

/// Hours of the simulated exchange: recorded as they come, and once more as raw messages by the
/// exchange's own clock, on which the market maker has the time that it needs.
#[test]
fn a_recording_of_the_sandbox_is_replayed_and_the_market_maker_fills_on_it() {
    let exchange = Exchange::start(12);
    let quoting = "strategies: {market_maker: {enabled: true, spread: 0.02, order_size: 20, \
                   min_hours_to_end: 0}}\nconditional_orders: {enabled: false}\n";
    let workspace = Workspace::with_config(&format!("{}{quoting}", exchange.venue("retries: 0")));
    let folder = workspace.path("capture");
    let child = workspace
        .command(&["record", "--top", "6", "--out", "capture", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let frames = || {
        Some(
            Capture::open(&folder)
                .ok()?
                .lines()
                .map_while(Result::ok)
                .count(),
        )
    };
    wait_for("books", || frames().filter(|count| *count > 8).map(drop));
    for _ in 0..240 {
        exchange.step(60);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    signal(&child, "-INT");
    ended(child);

    let run = workspace.cli(&["backtest", "capture", "--json"]).ok();
    let told = run.json();
    assert!(
        told["notes"][0].as_str().unwrap().contains("a capture"),
        "{told}"
    );
    assert_eq!(told["partial"], false);

    let raw = workspace.path("raw");
    std::fs::create_dir(&raw).unwrap();
    let (mut messages, mut markets) = (String::new(), Vec::new());
    for line in lines(&folder) {
        match line.body {
            Body::Frame { text, .. } => {
                messages += &text;
                messages.push('\n');
            }
            Body::Market(entry) => markets.push(entry),
            _ => {}
        }
    }
    std::fs::write(raw.join("messages.jsonl"), messages).unwrap();
    std::fs::write(raw.join("markets.json"), Value::from(markets).to_string()).unwrap();
    let run = workspace.cli(&["backtest", "raw", "--json"]).ok();
    let told = run.json();
    assert!(
        told["notes"][0].as_str().unwrap().contains("raw messages"),
        "{told}"
    );
    assert!(told["executions"].as_u64().unwrap() >= 2, "{told}");
    // Twice the same.
    let again = workspace.cli(&["backtest", "raw", "--json"]).ok().json();
    assert_eq!(told, again);
    // And nothing of it knew what came later.
    workspace
        .cli(&["backtest", "raw", "--check-lookahead", "3", "--json"])
        .ok();
}
