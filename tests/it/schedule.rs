//! Jobs run by themselves, and do what the same calls by hand do.

use serde_json::json;

use crate::support::{Ledger, RawServer, Recording, Workspace, at, wait_for};

const EVERY_SECOND: &str = "
scheduler:
  jobs:
    - {name: each-second, cron: '* * * * * *', tool: tick}
    - {name: look, cron: '* * * * * *', tool: get_portfolio, arguments: {}}
    - {name: never-now, cron: '* * * * * *', tool: tick, enabled: false}
";

#[test]
fn scheduled_ticks_trade_as_ticks_by_hand_do() {
    const FIRST: i64 = 30;
    let recording = Recording::new();
    let workspace = Workspace::with_config(EVERY_SECOND);
    let moment = at(FIRST);
    let server = workspace
        .server()
        .args(&recording.source(&moment))
        .step(3600);
    let mut raw = RawServer::spawn(&server);
    raw.initialize();
    wait_for("three ticks by the clock", || {
        let health = raw.call("health_check", json!({}));
        assert_eq!(health["status"], "ok");
        assert_eq!(
            health["jobs"],
            json!([
                "each-second: * * * * * * → tick",
                "look: * * * * * * → get_portfolio",
                "never-now: * * * * * * → tick (off)",
            ])
        );
        (health["ticks"].as_u64().unwrap() >= 3).then_some(())
    });
    raw.close();
    let log = std::fs::read_to_string(workspace.path("server.log")).unwrap();
    for job in ["each-second", "look"] {
        assert!(
            log.contains(&format!("scheduled job ran job={job}")),
            "{log}"
        );
    }
    assert!(!log.contains("never-now"), "{log}");
    // An orderly end is no error, and who the client says it is, is not written down.
    assert!(!log.contains(" ERROR "), "{log}");
    assert!(!log.contains("by-hand"), "{log}");
    let status = workspace.cli(&["status", "--json"]).ok().json();
    let ticks = status["ticks"].as_i64().unwrap();

    let by_hand = Workspace::new();
    for hour in FIRST..FIRST + ticks {
        let moment = at(hour);
        let mut args = vec!["tick"];
        args.extend(recording.source(&moment));
        by_hand.cli(&args).ok();
    }
    let (scheduled, called) = (Ledger::read(&workspace.db()), Ledger::read(&by_hand.db()));
    // One market rises in each of the first six hours.
    assert_eq!(
        scheduled.trades.len() as i64,
        ticks.min(6) + i64::from(ticks > 4)
    );
    assert_eq!(scheduled, called);
}

#[test]
fn a_job_that_cannot_work_keeps_the_server_from_starting() {
    let recording = Recording::new();
    let moment = at(30);
    for (job, words) in [
        (
            "{name: typo, cron: '* * * * * *', tool: get_portfolo}",
            ["`typo`", "did you mean get_portfolio?"],
        ),
        (
            "{name: when, cron: 'each minute', tool: tick}",
            ["`when`", "5 fields"],
        ),
        (
            "{name: never, cron: '0 0 0 30 2 *', tool: tick}",
            ["`never`", "never comes"],
        ),
        (
            "{name: args, cron: '* * * * * *', tool: get_price, arguments: {token: '1'}}",
            ["`args`", "unknown parameter `token`"],
        ),
    ] {
        let workspace = Workspace::with_config(&format!("scheduler: {{jobs: [{job}]}}\n"));
        for command in ["serve", "run"] {
            let mut args = vec![command];
            args.extend(recording.source(&moment));
            let run = workspace.cli(&args).failed();
            // `run` leaves jobs that tick to its own loop and need not look at them.
            for word in words {
                assert!(run.stderr.contains(word), "{command}: {}", run.stderr);
            }
            assert!(run.stderr.contains("scheduler.jobs"), "{}", run.stderr);
            if job.contains("tool: tick") {
                break;
            }
        }
    }
}
