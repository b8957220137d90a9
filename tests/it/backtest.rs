//! `backtest` and `sweep` through the built binary: settings, periods, stops, look-ahead, threads.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Recording, Workspace, at, close};

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn settings_of_one_run_count_and_stand_in_the_result() {
    let (recording, workspace) = (Recording::new(), Workspace::new());
    let data = recording.path();
    let run = |set: &[&str]| {
        let mut args = vec!["backtest", text(&data), "--json"];
        args.extend(set.iter().flat_map(|one| ["--set", one]));
        workspace.cli(&args)
    };
    let plain = run(&[]).ok().json();
    assert_eq!(plain["executions"], 8);
    assert_eq!(plain["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(plain["data_hash"].as_str().unwrap().len(), 64);
    assert_eq!(plain["config"]["starting_balance"], 1000.0);
    // A move of 0.15 is not enough for a threshold of 0.3; the fall of 0.4 is.
    let fewer = run(&[
        "strategies.signal_trader.price_move_threshold=0.3",
        "starting_balance=500",
    ]);
    let fewer = fewer.ok().json();
    assert_eq!(fewer["executions"], 1);
    assert_eq!(fewer["data_hash"], plain["data_hash"]);
    assert_eq!(
        fewer["config"]["strategies"]["signal_trader"]["price_move_threshold"],
        0.3
    );
    // 30.86 shares of No at 0.81 with a fee of 0.23746, marked at 0.79; see tools_good.
    let cash = 500.0 - 30.86 * 0.81 - 0.23746;
    close(fewer["final_cash"].as_f64().unwrap(), cash);
    let free = run(&["backtest.fee_model=none"]).ok().json();
    assert_eq!(free["metrics"]["fees"], 0.0);
    assert!(free["notes"][0].as_str().unwrap().starts_with("NO FEES"));
    for (set, words) in [
        ("strategies.signal_trader.min_egde=1", "min_egde"),
        ("venue.gamma_url=http://127.0.0.1:1", "decides nothing"),
        ("backtest.tick_seconds=-1", "tick_seconds"),
    ] {
        let refused = run(&[set]).failed();
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    // Not even of the form: wrong usage.
    assert_eq!(run(&["nonsense"]).code, Some(2));
}

#[test]
fn an_honest_run_passes_the_look_ahead_check() {
    let (recording, workspace) = (Recording::new(), Workspace::new());
    let data = recording.path();
    let args = ["backtest", text(&data), "--check-lookahead", "7", "--json"];
    let done = workspace.cli(&args).ok().json();
    assert_eq!(done["lookahead"]["difference"], Value::Null);
    assert_eq!(done["lookahead"]["cuts"].as_array().unwrap().len(), 7);
    assert!(
        done["lookahead"]["compared"].as_u64().unwrap() > 200,
        "{}",
        done["lookahead"]
    );
    let words = done["notes"][0].as_str().unwrap();
    assert!(words.starts_with("No look-ahead found"), "{words}");
    // The default is five, and the check changes nothing.
    let plain = workspace
        .cli(&["backtest", text(&data), "--json"])
        .ok()
        .json();
    let args = ["backtest", text(&data), "--json", "--check-lookahead"];
    let five = workspace.cli(&args).ok().json();
    assert_eq!(five["lookahead"]["cuts"].as_array().unwrap().len(), 5);
    assert_eq!(five["metrics"], plain["metrics"]);
}

/// On the real recordings with all strategies, where they are there.
#[test]
fn the_real_recordings_pass_the_look_ahead_check() {
    let data = std::env::var_os("POLYMARKET_DATA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/prices"),
        std::path::PathBuf::from,
    );
    let data = data.join("headline_hourly_2026.csv");
    if !data.is_file() {
        assert!(std::env::var_os("CI").is_none(), "set POLYMARKET_DATA");
        println!("SKIPPED: {} is not there", data.display());
        return;
    }
    let workspace = Workspace::new();
    let done = workspace.cli(&[
        "backtest",
        text(&data),
        "--end",
        "2026-03-01",
        "--set",
        "strategies.market_maker.enabled=true",
        "--check-lookahead",
        "3",
        "--json",
    ]);
    let done = done.ok().json();
    assert_eq!(done["lookahead"]["difference"], Value::Null);
}

/// Interrupted from the terminal: what there was is told, as a part.
#[cfg(unix)]
#[test]
fn an_interrupted_run_tells_what_there_was() {
    let workspace = Workspace::new();
    let mut rows = "timestamp,market_id,question,yes_price,volume,token_id\n".to_owned();
    for second in 0..400_000 {
        rows += &format!(
            "{},a,A?,0.{},0,t\n",
            1_767_225_600 + second,
            40 + second / 7 % 20
        );
    }
    let data = workspace.path("long.csv");
    std::fs::write(&data, rows).unwrap();
    let mut command = workspace.command(&["backtest", text(&data), "--json"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let told = Instant::now();
    let id = child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    // Metrics are made of what there was, in a debug build on a busy machine.
    assert!(
        told.elapsed() < Duration::from_secs(20),
        "{:?}",
        told.elapsed()
    );
    if !output.status.success() {
        // Still reading: there was nothing yet.
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("cancelled"), "{error}");
        return;
    }
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(done["partial"] == true || done["frames"] == 400_000);
    if done["partial"] == true {
        assert!(done["frames"].as_u64().unwrap() < 400_000);
        assert!(done["notes"].to_string().contains("cancelled"));
    }
}

const SWEPT: &str = "strategies.signal_trader.price_move_threshold=0.05,0.3";

#[test]
fn a_sweep_tells_both_results_and_the_same_on_any_number_of_threads() {
    let (recording, workspace) = (Recording::new(), Workspace::new());
    let data = recording.path();
    let sweep = |more: &[&str]| {
        let args = ["sweep", text(&data), "--param", SWEPT, "--folds", "2"];
        workspace.cli(&[&args[..], more].concat())
    };
    let one = sweep(&["--json", "--threads", "1"]).ok();
    let two = sweep(&["--json", "--threads", "2"]).ok();
    assert_eq!(one.stdout, two.stdout);
    let told = one.json();
    assert_eq!(told["trials"], 2);
    assert_eq!(told["runs"], 8);
    assert_eq!(told["purged"], true);
    assert_eq!(told["data_hash"].as_str().unwrap().len(), 64);
    // All markets live from the first row to the last: nothing may be traded in the tests.
    for choice in told["walk_forward"].as_array().unwrap() {
        assert_eq!(choice["fold"]["tested"], 0);
        assert_eq!(choice["fold"]["left_out"], 8);
    }
    let notes = told["notes"].to_string();
    assert!(notes.contains("No setting traded out of sample"), "{notes}");
    for row in told["rows"].as_array().unwrap() {
        assert_eq!(row["out_of_sample"]["executions"], 0);
        assert_eq!(row["in_sample"]["steps"], 48);
    }

    let open = sweep(&["--json", "--no-purge", "--score", "return"])
        .ok()
        .json();
    assert!(open["notes"][0].as_str().unwrap().starts_with("NOT PURGED"));
    let rows = open["rows"].as_array().unwrap();
    // Tests begin at 23:40 and 47:20 of 71 hours. In the first lie six rises, the fall and a settlement; a
    // fresh account in the second buys what rose or fell within a day: 1003 to 1006, 1010, and from hour 54 on
    // 1001, which stood at 0.55 in the hours 30 to 32.
    let traded = rows
        .iter()
        .find(|row| row["parameters"].to_string().contains("0.05"));
    assert_eq!(traded.unwrap()["out_of_sample"]["executions"], 14);
    assert_eq!(rows[0]["rank"], 1);

    let table = sweep(&["--no-purge", "--top", "1"]).ok().stdout;
    assert!(
        table.contains("out: score") && table.contains("in: score"),
        "{table}"
    );
    assert!(table.contains("best in sample"), "{table}");
    assert!(table.contains("note: NOT PURGED"), "{table}");
}

#[test]
fn a_sweep_refuses_what_makes_no_sense() {
    let (recording, workspace) = (Recording::new(), Workspace::new());
    let data = recording.path();
    for (args, words) in [
        (vec![], "no parameter"),
        (
            vec!["--param", "strategies.signal_trader.nothing=1,2"],
            "nothing",
        ),
        (
            vec!["--param", "backtest.default_spread=0.01,0.02"],
            "--set",
        ),
        (vec!["--range", "starting_balance=1:2"], "--random"),
        (vec!["--param", SWEPT, "--folds", "0"], "folds"),
        (vec!["--param", SWEPT, "--start", "2030-01-01"], "stretches"),
    ] {
        let args = [&["sweep", text(&data)][..], &args[..]].concat();
        let refused = workspace.cli(&args);
        let refused = refused.failed().stderr;
        assert!(refused.contains(words), "{args:?}: {refused}");
    }
    let drawn = workspace.cli(&[
        "sweep",
        text(&data),
        "--range",
        "strategies.signal_trader.min_edge=0.01:0.05",
        "--random",
        "5",
        "--folds",
        "1",
        "--set",
        "backtest.seed=3",
        "--json",
    ]);
    let drawn = drawn.ok().json();
    assert_eq!(drawn["trials"], 5);
    for row in drawn["rows"].as_array().unwrap() {
        let edge = row["parameters"]["strategies.signal_trader.min_edge"]
            .as_f64()
            .unwrap();
        assert!((0.01..=0.05).contains(&edge));
    }
    assert_eq!(
        json!(at(0)),
        drawn["walk_forward"][0]["fold"]["training"][0]
    );
}

/// What an agent may have read, over the protocol: nothing outside of the folders of the configuration.
#[tokio::test]
async fn an_agent_reads_only_where_it_may() {
    let recording = Recording::new();
    let workspace = Workspace::new();
    let open = workspace.path("open");
    std::fs::create_dir(&open).unwrap();
    let own = open.join("prices");
    std::fs::create_dir(&own).unwrap();
    for name in ["prices.csv", "markets.json", "resolutions.csv"] {
        std::fs::copy(recording.path().join(name), own.join(name)).unwrap();
    }
    workspace.configure(&format!(
        "backtest: {{data_dirs: ['{}']}}\n",
        open.display()
    ));
    #[cfg(unix)]
    std::os::unix::fs::symlink(recording.path(), open.join("link")).unwrap();
    let session = workspace.server().source_sandbox(1).spawn_stdio().await;
    let good = session
        .call("run_backtest", json!({"data_dir": "prices"}))
        .await;
    assert_eq!(good["executions"], 8);
    assert_eq!(good["resources"].as_array().unwrap().len(), 4);
    let set = json!({"strategies.signal_trader.price_move_threshold": 0.3});
    let asked = json!({"data_dir": own, "set": set, "end": "2026-06-02"});
    let fewer = session.call("run_backtest", asked).await;
    // The fall of hour 40 is on the second day.
    assert_eq!(fewer["executions"], 1);
    let up = format!("{}/prices/../../x", open.display());
    for folder in [
        json!(recording.path()),
        json!("/etc"),
        json!("link"),
        json!(open.join("link")),
        json!("../open/prices"),
        json!(up),
    ] {
        let refused = session
            .fails("run_backtest", json!({"data_dir": folder}))
            .await;
        assert_eq!(refused.code, "bad_arguments", "{folder}");
        assert!(refused.hint.contains("data_dirs"), "{refused:?}");
    }
    let refused = session
        .fails(
            "run_backtest",
            json!({"data_dir": "prices", "set": {"backtest.data_dirs": ["/"]}}),
        )
        .await;
    assert!(
        refused.message.contains("configuration file only"),
        "{refused:?}"
    );
    session.close().await;
}
