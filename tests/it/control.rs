//! One owner per ledger, reachable by all: a second server and the shell work through its control
//! socket, and take over when it is gone.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::support::{CALM, Ledger, RawServer, Recording, Server, Workspace, at, close, wait_for};

fn order(recording: &Recording, id: &str) -> Value {
    json!({
        "market_id": CALM, "token_id": recording.token(CALM, 0), "side": "buy",
        "size": 25.5, "price": 0.51, "client_order_id": id,
    })
}

/// A server that is known to own the ledger and to listen.
fn owner(server: &Server, workspace: &Workspace) -> RawServer {
    let mut owner = RawServer::spawn(server);
    owner.initialize();
    let health = owner.call("health_check", json!({}));
    assert_eq!(health["owns_ledger"], true, "{health}");
    let socket = workspace.path("ledger.db.sock");
    wait_for("the control socket", || {
        UnixStream::connect(&socket).ok().map(drop)
    });
    owner
}

#[test]
fn a_second_server_trades_through_the_owner_and_takes_over_when_it_is_killed() {
    let recording = Recording::new();
    let workspace = Workspace::new();
    let moment = at(20);
    let server = workspace.server().args(&recording.source(&moment));
    let mut first = owner(&server, &workspace);
    let mut second = RawServer::spawn(&server);
    second.initialize();
    let health = second.call("health_check", json!({}));
    assert_eq!(health["owns_ledger"], false, "{health}");
    assert_eq!(health["problems"], json!([]), "{health}");
    let notes = health["source"]["notes"].to_string();
    assert!(notes.contains("handed to it"), "{notes}");

    // 50 shares at 0.51 = 25.50; the fee is 50 × 0.07 × 0.51 × 0.49 = 0.874650, floored to five
    // decimals 0.87465.
    let placed = second.call("place_trade", order(&recording, "through"));
    assert_eq!(placed["status"], "filled", "{placed}");
    close(placed["shares"].as_f64().unwrap(), 50.0);
    for server in [&mut first, &mut second] {
        let portfolio = server.call("get_portfolio", json!({}));
        close(
            portfolio["balance"].as_f64().unwrap(),
            1000.0 - 25.5 - 0.87465,
        );
        assert_eq!(portfolio["recent_trades"].as_array().unwrap().len(), 1);
    }
    let repeated = first.call("place_trade", order(&recording, "through"));
    assert_eq!(repeated["order_id"], placed["order_id"]);
    assert_eq!(repeated["fills"], placed["fills"]);

    // The owner's refusal comes with its hint, word for word.
    let mut too_large = order(&recording, "too-large");
    too_large["size"] = json!(500);
    let refusals: Vec<Value> = [&mut first, &mut second]
        .into_iter()
        .map(|server| {
            let call = json!({"name": "place_trade", "arguments": too_large.clone()});
            server.request("tools/call", call)["result"].clone()
        })
        .collect();
    assert_eq!(refusals[0]["isError"], true, "{}", refusals[0]);
    assert!(refusals[0]["structuredContent"]["hint"].is_string());
    assert_eq!(refusals[0], refusals[1]);
    let signals = Ledger::read(&workspace.db()).signals.join("\n");
    assert!(signals.contains("mcp:by-hand"), "{signals}");

    first.kill();
    // The dead owner's socket lies there still.
    assert!(workspace.path("ledger.db.sock").exists());
    let again = second.call("place_trade", order(&recording, "through"));
    assert_eq!(again["order_id"], placed["order_id"]);
    let more = second.call("place_trade", order(&recording, "own"));
    assert_eq!(more["status"], "filled", "{more}");
    let health = second.call("health_check", json!({}));
    assert_eq!(health["owns_ledger"], true, "{health}");
    assert_eq!(Ledger::read(&workspace.db()).trades.len(), 2);
    // And it listens in the other's place.
    wait_for("the new owner's socket", || {
        UnixStream::connect(workspace.path("ledger.db.sock")).ok()
    });
    second.close();
    assert!(!workspace.path("ledger.db.sock").exists());
}

#[test]
fn the_shell_works_while_a_server_runs_and_without_one() {
    let recording = Recording::new();
    let workspace = Workspace::new();
    let moment = at(20);
    let source = recording.source(&moment);
    let server = workspace.server().args(&source);
    let mut running = owner(&server, &workspace);

    let placed = workspace
        .call(&source, "place_trade", &order(&recording, "shell"))
        .ok();
    assert_eq!(placed.json()["status"], "filled");
    let health = workspace.call(&source, "health_check", &json!({})).ok();
    // It is the server that answers, not a process that has just begun.
    assert_eq!(health.json()["owns_ledger"], true);
    let mut args = vec!["tick"];
    args.extend(&source);
    let text = workspace.cli(&args).ok().stdout;
    assert!(text.starts_with("Tick 1 at "), "{text}");
    args.push("--json");
    assert_eq!(workspace.cli(&args).ok().json()["tick"], 2);
    assert_eq!(running.call("health_check", json!({}))["ticks"], 2);
    let portfolio = running.call("get_portfolio", json!({}));
    assert_eq!(portfolio["recent_trades"].as_array().unwrap().len(), 1);

    // A tool's error keeps its three parts.
    let failed = workspace
        .call(&source, "get_market_detail", &json!({"market_id": "none"}))
        .failed();
    assert_eq!(failed.json()["code"], "not_found");
    let unknown = workspace.call(&source, "no_such_tool", &json!({})).failed();
    assert_eq!(unknown.json()["code"], "unknown_tool");

    // The owner's source counts: another moment is said, another kind is refused.
    let other = at(25);
    let other = recording.source(&other);
    let said = workspace.call(&other, "get_portfolio", &json!({})).ok();
    assert!(said.stderr.contains("another source"), "{}", said.stderr);
    let sandbox = ["--source", "sandbox"];
    let refused = workspace
        .call(&sandbox, "get_portfolio", &json!({}))
        .failed();
    assert_eq!(refused.json()["code"], "wrong_source");

    running.kill();
    args.pop();
    let text = workspace.cli(&args).ok().stdout;
    assert!(text.starts_with("Tick 3 at "), "{text}");
    assert!(!workspace.path("ledger.db.sock").exists());
}

#[test]
fn garbage_on_the_socket_disturbs_nobody() {
    let workspace = Workspace::new();
    let recording = Recording::new();
    let moment = at(20);
    let server = workspace.server().args(&recording.source(&moment));
    let mut running = owner(&server, &workspace);
    let path = workspace.path("ledger.db.sock");
    let long = vec![b'{'; 3 << 20];
    let deep = format!("{{\"v\":1,\"ask\":{}\n", "[".repeat(400_000));
    for bytes in [
        &b"\n"[..],
        b"\xff\xfe\xfd\x00\n",
        b"{\"v\":1,\"ask\":{\"call\":{}}}\n",
        b"{\"v\":99}\n",
        deep.as_bytes(),
        &long,
    ] {
        let mut stream = UnixStream::connect(&path).unwrap();
        // It may hang up in the middle of it.
        let _ = stream.write_all(bytes);
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        if let Ok(reply) = serde_json::from_slice::<Value>(&said) {
            assert!(reply["reply"]["failed"]["hint"].is_string(), "{reply}");
        }
    }
    assert_eq!(running.call("health_check", json!({}))["status"], "ok");
    running.close();
}

#[test]
fn a_path_too_long_for_a_socket_is_got_round() {
    let recording = Recording::new();
    let workspace = Workspace::new();
    let deep = workspace.path(&"d".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let db = deep.join("ledger.db");
    let moment = at(20);
    let source = recording.source(&moment);
    let server = Server::builder()
        .config(workspace.config())
        .db(db.clone())
        .args(&source);
    let mut first = RawServer::spawn(&server);
    first.initialize();
    assert_eq!(first.call("health_check", json!({}))["owns_ledger"], true);
    wait_for("the file that names the socket", || {
        deep.join("ledger.db.sock-path").exists().then_some(())
    });
    let mut second = RawServer::spawn(&server);
    second.initialize();
    let placed = second.call("place_trade", order(&recording, "deep"));
    assert_eq!(placed["status"], "filled", "{placed}");
    assert_eq!(Ledger::read(&db).trades.len(), 1);
    second.close();
    first.close();
    assert!(!deep.join("ledger.db.sock-path").exists());
}

/// Jobs are the owner's: beside it the same jobs of another server do nothing.
#[test]
fn two_servers_tick_once() {
    let recording = Recording::new();
    let workspace = Workspace::with_config(
        "scheduler: {jobs: [{name: each-second, cron: '* * * * * *', tool: tick}]}\n",
    );
    let moment = at(20);
    let server = workspace.server().args(&recording.source(&moment));
    let first = owner(&server, &workspace);
    let mut second = RawServer::spawn(&server);
    second.initialize();
    let ticks = |server: &mut RawServer| server.call("health_check", json!({}))["ticks"].clone();
    let before = ticks(&mut second).as_u64().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(4_000));
    let after = ticks(&mut second).as_u64().unwrap();
    // One a second, not two; a slow machine may miss some.
    assert!((1..=5).contains(&(after - before)), "{before} → {after}");
    first.kill();
    wait_for("the second server to go on with its jobs", || {
        (ticks(&mut second).as_u64().unwrap() > after + 2).then_some(())
    });
    assert_eq!(second.call("health_check", json!({}))["owns_ledger"], true);
    second.close();
}

/// The kill switch from a shell, through the owner and without one; it survives a restart.
#[test]
fn a_halt_from_the_shell_holds_until_it_is_lifted() {
    let recording = Recording::new();
    let workspace = Workspace::new();
    let moment = at(20);
    let source = recording.source(&moment);
    let server = workspace.server().args(&source);
    let mut running = owner(&server, &workspace);
    let run = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(&source);
        workspace.cli(&all)
    };
    let text = run(&["halt", "--reason", "lunch"]).ok().stdout;
    assert_eq!(text.trim(), "Trading is halted: lunch. No order rested.");
    let health = running.call("health_check", json!({}));
    let problems = health["problems"].to_string();
    assert!(
        problems.contains("lunch") && problems.contains("shell"),
        "{health}"
    );
    let twice = run(&["halt"]).failed();
    assert!(twice.stderr.contains("halted since"), "{}", twice.stderr);
    let status = workspace.cli(&["status", "--json"]).ok().json();
    assert_eq!(status["halt"]["cause"], "kill_switch");
    assert_eq!(status["halt"]["reason"], "lunch");
    assert_eq!(status["resting"], json!([]));
    let text = workspace.cli(&["status"]).ok().stdout;
    assert!(text.starts_with("HALTED (kill_switch) since "), "{text}");
    running.kill();

    // No owner: the shell opens the account itself, and the halt is still there.
    let cancelled = run(&["cancel", "--all", "--json"]).ok().json();
    assert_eq!(cancelled, json!({"status": "cancelled", "cancelled": []}));
    let none = run(&["cancel", "7"]).failed();
    assert!(none.stderr.contains("order 7 rests"), "{}", none.stderr);
    assert_eq!(run(&["cancel"]).code, Some(2));
    assert_eq!(run(&["resume"]).ok().stdout.trim(), "Trading goes on.");
    run(&["resume"]).failed();
    let status = workspace.cli(&["status", "--json"]).ok().json();
    assert_eq!(status["halt"], Value::Null);
}

/// A ledger that cannot be written halts the owner, and whoever hands something on to it is told.
#[test]
fn a_ledger_that_cannot_be_written_refuses_everybody() {
    let recording = Recording::new();
    let workspace = Workspace::new();
    let moment = at(20);
    let source = recording.source(&moment);
    let server = workspace.server().args(&source);
    let mut running = owner(&server, &workspace);
    let mut second = RawServer::spawn(&server);
    second.initialize();
    // Another program holds the database for longer than the owner waits (5 s).
    let intruder = rusqlite::Connection::open(workspace.db()).unwrap();
    intruder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let failed = workspace
        .call(&source, "place_trade", &order(&recording, "locked-out"))
        .failed();
    assert_eq!(failed.json()["code"], "store_locked");
    intruder.execute_batch("ROLLBACK").unwrap();
    let refused = workspace
        .call(&source, "place_trade", &order(&recording, "later"))
        .failed();
    assert_eq!(refused.json()["code"], "halted");
    let mut tick = vec!["tick"];
    tick.extend(&source);
    let said = workspace.cli(&tick).failed().stderr;
    assert!(said.contains("could not be stored"), "{said}");
    let call = json!({"name": "place_trade", "arguments": order(&recording, "second")});
    let answer = second.request("tools/call", call)["result"]["structuredContent"].clone();
    assert_eq!(answer["code"], "halted", "{answer}");
    assert!(answer["message"].to_string().contains("locked"), "{answer}");
    for server in [&mut running, &mut second] {
        let health = server.call("health_check", json!({}));
        assert_eq!(health["status"], "degraded");
        assert!(
            health["problems"].to_string().contains("halted"),
            "{health}"
        );
    }
    assert_eq!(Ledger::read(&workspace.db()).trades, Vec::<String>::new());
}

/// The kill switch works by whatever name the database is called, whatever source is the default, and
/// however many connections lie idle.
#[test]
fn a_halt_through_a_link_past_idle_connections_reaches_the_owner() {
    let recording = Recording::new();
    let workspace = Workspace::new();
    let moment = at(20);
    let source = recording.source(&moment);
    let server = workspace.server().args(&source);
    let mut running = owner(&server, &workspace);
    let idle: Vec<UnixStream> = (0..40)
        .map(|_| UnixStream::connect(workspace.path("ledger.db.sock")).unwrap())
        .collect();
    let link = workspace.path("link.db");
    std::os::unix::fs::symlink("ledger.db", &link).unwrap();
    let link = link.to_str().unwrap();
    let said = workspace
        .cli_bare(&["halt", "--db", link, "--reason", "by link"])
        .ok();
    assert_eq!(
        said.stdout.trim(),
        "Trading is halted: by link. No order rested."
    );
    // No source was named, so none is compared.
    assert_eq!(said.stderr, "");
    let health = running.call("health_check", json!({}));
    assert!(
        health["problems"].to_string().contains("by link"),
        "{health}"
    );
    for args in [&["cancel", "--all"][..], &["resume"]] {
        assert_eq!(workspace.cli(args).ok().stderr, "", "{args:?}");
    }
    drop(idle);
    let placed = running.call("place_trade", order(&recording, "after"));
    assert_eq!(placed["status"], "filled", "{placed}");
    assert!(!workspace.path("link.db.lock").exists());

    // Nobody can tell which of two names counts.
    let twin = workspace.path("twin.db");
    std::fs::hard_link(workspace.db(), &twin).unwrap();
    let mut args = vec!["halt", "--db", twin.to_str().unwrap()];
    args.extend(&source);
    let refused = workspace.cli_bare(&args).failed();
    for words in ["2 names", "hint: Remove the other names"] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    let read = workspace
        .cli_bare(&["status", "--db", twin.to_str().unwrap()])
        .failed();
    assert!(read.stderr.contains("2 names"), "{}", read.stderr);
    workspace.cli(&["halt"]).ok();
    let health = running.call("health_check", json!({}));
    assert_eq!(health["halt"]["cause"], "kill_switch", "{health}");

    // The owner was not asked, so nothing is said of its socket.
    std::fs::remove_file(&twin).unwrap();
    let reset = workspace.cli(&["account", "reset"]).failed().stderr;
    assert!(reset.contains("owns this ledger"), "{reset}");
    assert!(reset.contains("Stop that process"), "{reset}");
    assert!(!reset.contains("socket"), "{reset}");
    running.close();
}

/// An account that is named by a link is started over itself, and the link stays.
#[test]
fn a_reset_through_a_link_moves_the_file_aside() {
    let recording = Recording::new();
    let workspace = Workspace::new();
    let moment = at(20);
    workspace
        .call(
            &recording.source(&moment),
            "place_trade",
            &order(&recording, "x"),
        )
        .ok();
    let link = workspace.path("link.db");
    std::os::unix::fs::symlink("ledger.db", &link).unwrap();
    let done = workspace
        .cli_bare(&["account", "reset", "--json", "--db", link.to_str().unwrap()])
        .ok()
        .json();
    let archived = std::path::PathBuf::from(done["archived"].as_str().unwrap());
    let archived = archived.symlink_metadata().unwrap();
    assert!(archived.is_file(), "{done}");
    assert!(link.is_symlink());
    assert_eq!(Ledger::read(&workspace.db()).trades, Vec::<String>::new());
}
