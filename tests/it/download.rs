//! `download`: what it writes is what `backtest` reads, and a stop leaves nothing half done.

use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::{Venue, Workspace, close, wait_for};

const SPAN: [&str; 6] = [
    "--from",
    "2026-05-01",
    "--to",
    "2026-06-03T00:00:00Z",
    "--fidelity",
    "60",
];

fn args<'a>(markets: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["download", "--out", "data", "--market"];
    args.extend(markets);
    args.extend(SPAN);
    args.extend(rest);
    args
}

/// Names in the folder, sorted.
fn names(workspace: &Workspace) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(workspace.path("data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_download_is_a_backtest_that_settles_with_the_markets_own_fee() {
    let venue = Venue::start();
    let workspace = Workspace::with_config(&venue.config());
    let run = workspace.cli(&args(&["rain", "formula"], &["--json"])).ok();
    assert_eq!(run.stderr, "", "no bar where nobody looks");
    let summary = run.json();
    assert_eq!(summary["downloaded"], 2);
    assert_eq!(summary["failed"], 0);
    let rain = &summary["markets"][0];
    assert_eq!(rain["file"], "rain.csv");
    // 32 days of hours, both ends included.
    assert_eq!(rain["points"], 32 * 24 + 1);
    assert_eq!(rain["first"], "2026-05-01T00:00:00Z");
    assert_eq!(rain["last"], "2026-06-02T00:00:00Z");
    assert_eq!(rain["resolution"], "Yes");
    assert_eq!(rain["resolved_at"], "2026-06-02T12:00:00Z");
    assert_eq!(summary["markets"][1]["resolution"], Value::Null);

    // 33 days in windows of at most 15.
    let day = 86_400;
    let start = 1_777_593_600;
    let mut asked: Vec<String> = venue.seen();
    asked.retain(|question| question.starts_with("history 5011 "));
    asked.sort();
    let window = |from: i64, to: i64| {
        format!(
            "history 5011 {} {} 60",
            start + from * day,
            start + to * day
        )
    };
    assert_eq!(asked, [window(0, 15), window(15, 30), window(30, 33)]);

    let text = std::fs::read_to_string(workspace.path("data/rain.csv")).unwrap();
    let mut lines = text.lines();
    let header = lines.next().unwrap();
    assert_eq!(
        header,
        "timestamp,market_id,question,yes_price,volume,token_id"
    );
    let first = lines.next().unwrap();
    assert_eq!(first, "2026-05-01T00:00:00Z,501,Will it rain?,0.4,0,5011");
    let formula = std::fs::read_to_string(workspace.path("data/formula.csv")).unwrap();
    let guarded = "502,\"'=HYPERLINK(\"\"http://127.0.0.1\"\")\",0.3,0,5021";
    assert!(formula.lines().nth(1).unwrap().ends_with(guarded));

    let tested = workspace.cli(&["backtest", "data", "--json"]).ok().json();
    assert_eq!(tested["frames"], 32 * 24 + 1 + 1, "each hour, and the end");
    // The jump to 0.55 is bought at 0.56: 25 / 0.56 = 44.64 shares for 24.9984, with
    // 44.64 × 0.02 × 0.56 × 0.44 = 0.21998 of fee; each pays 1.
    assert_eq!(tested["executions"], 2, "the purchase and its settlement");
    assert_eq!(tested["settlements"], 1);
    assert_eq!(tested["open_positions"], 0);
    let cash = 1000.0 - 24.9984 - 0.21998 + 44.64;
    close(tested["final_cash"].as_f64().unwrap(), cash);

    let moment = "2026-05-10T00:30:00Z";
    let source = ["--source", "recorded", "--data", "data", "--at", moment];
    let detail = workspace
        .call(
            &source,
            "get_market_detail",
            &serde_json::json!({"market_id": "formula"}),
        )
        .ok()
        .json()
        .to_string();
    assert!(detail.contains("\"=HYPERLINK("), "{detail}");
    assert!(detail.contains("0.001"), "the market's own tick: {detail}");
}

#[test]
fn what_is_missing_is_named_and_the_others_come() {
    let venue = Venue::start();
    let workspace = Workspace::with_config(&venue.config());
    let run = workspace
        .cli(&args(&["no-such", "quiet", "rain", "a/b"], &["--json"]))
        .failed();
    for words in [
        "no-such: there is no such market",
        "quiet: the venue has no price of it between 2026-05-01T00:00:00Z",
        "a/b: `a/b` is neither the id nor the slug",
        "3 of 4 markets",
    ] {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    let summary = run.json();
    assert_eq!(summary["downloaded"], 1);
    assert_eq!(summary["failed"], 3);
    let expected = [
        "download.lock",
        "markets.json",
        "rain.csv",
        "resolutions.csv",
    ];
    assert_eq!(names(&workspace), expected);
}

#[test]
fn what_is_there_is_kept_unless_forced() {
    let venue = Venue::start();
    let workspace = Workspace::with_config(&venue.config());
    workspace.cli(&args(&["rain"], &[])).ok();
    let asked = venue.seen().len();
    std::fs::write(workspace.path("data/rain.csv"), "mine").unwrap();
    let again = workspace.cli(&args(&["rain"], &["--json"])).ok().json();
    assert_eq!(again["kept"], 1);
    assert_eq!(venue.seen().len(), asked + 1, "only what it is was asked");
    let read = || std::fs::read_to_string(workspace.path("data/rain.csv")).unwrap();
    assert_eq!(read(), "mine");
    // Another span is not what is there.
    let mut other = vec!["download", "--out", "data", "--market", "rain"];
    other.extend(["--from", "2026-05-01", "--to", "2026-06-01"]);
    let refused = workspace.cli(&other).failed();
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    assert_eq!(read(), "mine");
    workspace.cli(&args(&["rain"], &["--force"])).ok();
    assert_eq!(read().lines().count(), 1 + 32 * 24 + 1);
    // Prices that somebody else put there are never replaced unasked.
    std::fs::write(workspace.path("data/formula.csv"), "theirs").unwrap();
    let refused = workspace.cli(&args(&["formula"], &[])).failed();
    assert!(refused.stderr.contains("not made by"), "{}", refused.stderr);
    for wrong in [
        ["--from", "2026-06-01", "--to", "2026-05-01"],
        ["--from", "2999-01-01", "--to", "2999-02-01"],
        ["--from", "noon", "--to", "2026-05-01"],
    ] {
        let mut args = vec!["download", "--out", "data", "--market", "rain"];
        args.extend(wrong);
        let refused = workspace.cli(&args).failed();
        assert!(refused.stderr.contains("--from"), "{}", refused.stderr);
    }
}

#[test]
fn a_span_goes_from_the_markets_start_to_now_and_is_never_over_ten_years() {
    let venue = Venue::start();
    let workspace = Workspace::with_config(&venue.config());
    let span = |from, to| {
        let out = ["download", "--out", "data", "--market", "slow"];
        [&out[..], &["--from", from, "--to", to]].concat()
    };
    let refused = workspace.cli(&span("1800-01-01", "9999-01-01")).failed();
    for words in ["more than ten years", "later --from"] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    assert_eq!(venue.seen().len(), 0, "nothing was asked");
    workspace.cli(&span("2020-01-01", "2026-06-03")).ok();
    let mut asked = venue.seen();
    asked.retain(|question| question.starts_with("history 5041 "));
    asked.sort();
    // A window before its start on 2026-05-20, and one to the end of June 3.
    let start = 1_779_235_200;
    let window = |from: i64, to: i64| format!("history 5041 {from} {to} 10");
    let day = 86_400;
    assert_eq!(
        asked,
        [
            window(start - 15 * day, start),
            window(start, start + 15 * day - 1)
        ]
    );
}

#[cfg(unix)]
#[test]
fn a_stop_leaves_complete_files_and_the_next_run_goes_on() {
    let venue = Venue::start();
    venue.hang(true);
    let workspace = Workspace::with_config(&venue.config());
    let child = workspace
        .command(&args(&["rain", "slow"], &[]))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the second market", || {
        let seen = venue.seen();
        seen.iter()
            .any(|asked| asked.starts_with("history 5041"))
            .then_some(())
    });
    let stderr = stopped(child);
    assert!(stderr.contains("interrupted"), "{stderr}");
    assert!(stderr.contains("same command"), "{stderr}");
    let expected = [
        "download.lock",
        "markets.json",
        "rain.csv",
        "resolutions.csv",
    ];
    assert_eq!(names(&workspace), expected);
    venue.hang(false);
    let summary = workspace
        .cli(&args(&["rain", "slow"], &["--json"]))
        .ok()
        .json();
    assert_eq!(
        (&summary["kept"], &summary["downloaded"]),
        (&1.into(), &1.into())
    );
    let tested = workspace.cli(&["backtest", "data", "--json"]).ok().json();
    assert_eq!(tested["settlements"], 1);
}

/// Sends SIGINT, demands exit status 1 and gives standard error.
#[cfg(unix)]
fn stopped(child: Child) -> String {
    let pid = child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(sent.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}
