//! The lines as they are written.

use std::io;
use std::sync::Arc;

use super::*;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn logged(structured: bool, ansi: bool, level: &str, speak: impl FnOnce()) -> String {
    let captured = Captured::default();
    let config = LoggingConfig {
        structured_logging: structured,
        log_file: None,
        level: level.to_owned(),
    };
    let sinks = vec![Sink::new(ansi, Box::new(captured.clone()))];
    crate::telemetry::keep_listening();
    tracing::subscriber::with_default(subscriber(&config, sinks).unwrap(), speak);
    captured.text()
}

#[test]
fn structured_lines_are_one_json_object_with_six_keys() {
    let text = logged(true, false, "info", || {
        let span = tracing::info_span!("tick", tick = 7, source = "sandbox");
        let _inside = span.enter();
        tracing::info!(
            target: "desk",
            source = "venue",
            markets = 50_u64,
            edge = 0.25,
            bad = f64::NAN,
            maker = true,
            token = %"71321",
            "tick \"done\"\nnext"
        );
        let missing = io::Error::new(io::ErrorKind::NotFound, "no such file");
        tracing::error!(
            target: "desk",
            error = &missing as &(dyn std::error::Error + 'static),
            private_key = "0xdeadbeef",
            "failed"
        );
        tracing::debug!("not at this level");
    });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    let first: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
    let keys: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "timestamp",
            "level",
            "logger",
            "message",
            "exception",
            "data"
        ]
    );
    let timestamp = first["timestamp"].as_str().unwrap();
    assert!(
        timestamp.ends_with('Z') && timestamp.len() == 24,
        "{timestamp}"
    );
    assert_eq!(first["level"], "INFO");
    assert_eq!(first["logger"], "desk");
    assert_eq!(first["message"], "tick \"done\"\nnext");
    assert_eq!(first["exception"], serde_json::Value::Null);
    assert_eq!(
        first["data"],
        serde_json::json!({"tick": 7, "source": "venue", "markets": 50, "edge": 0.25,
            "bad": "NaN", "maker": true, "token": "71321"})
    );
    let second: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
    assert_eq!(second["level"], "ERROR");
    assert_eq!(second["exception"], "no such file");
    assert_eq!(second["data"]["private_key"], "[redacted]");
    assert!(!text.contains("deadbeef"));
}

#[test]
fn lines_for_people_stay_one_line_and_plain() {
    let speak = || {
        tracing::warn!(
            target: "desk",
            question = "Will \u{1b}[31mit rain?\nERROR forged",
            shares = 3,
            error = %"timed out",
            "[ALERT] careful"
        );
    };
    let text = logged(false, false, "warn", speak);
    let (timestamp, rest) = text.split_once(' ').unwrap();
    assert_eq!(timestamp.len(), 24);
    // The quotes are Rust's own, so the escapes inside are too.
    assert_eq!(
        rest,
        " WARN desk: [ALERT] careful question=\"Will \\u{1b}[31mit rain?\\nERROR forged\" shares=3 \
         error=\"timed out\"\n"
    );
    let coloured = logged(false, true, "warn", speak);
    assert!(
        coloured.contains("\u{1b}[33m WARN\u{1b}[0m desk:"),
        "{coloured}"
    );
    let message = logged(false, false, "warn", || {
        tracing::warn!("{}", "a\nb\u{1b}[2J")
    });
    assert!(message.ends_with("a\\nb\\u{1b}[2J\n"), "{message}");
}

#[test]
fn libraries_that_print_urls_are_kept_quiet_at_every_level() {
    let text = logged(true, false, "trace", || {
        tracing::debug!(target: "hyper_util::client", "https://hooks.example/T00/secret");
        tracing::trace!(target: "h2::codec", "authorization: Bearer 1");
        tracing::info!(target: "rustls", "heard");
        tracing::trace!(target: "polymarket_agent::store", "also heard");
    });
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains("secret") && !text.contains("Bearer"));
}

#[test]
fn what_clients_call_themselves_and_the_schedulers_chatter_are_left_out() {
    for level in ["info", "trace", "rmcp=trace,tokio_cron_scheduler=trace"] {
        let text = logged(false, false, level, || {
            tracing::info!(target: "rmcp::service", peer_info = "stranger", "initialized");
            tracing::debug!(target: "rmcp::service", "new event");
            tracing::info!(target: "tokio_cron_scheduler::job::runner", "looked");
            tracing::error!(target: "tokio_cron_scheduler::job::runner", "Error receiving {:?}", Ended::Closed);
            tracing::error!(target: "tokio_cron_scheduler::simple::to_code", "Error receiving job removal {:?}", Ended::Closed);
            tracing::error!(target: "tokio_cron_scheduler::job::cron_job", "Error notifying done {:?}", true);
        });
        assert_eq!(text, "", "{level}");
    }
    // What is wrong is still said, and nobody else's words are taken for the scheduler's.
    let text = logged(false, false, "info", || {
        tracing::warn!(target: "rmcp::service", "one");
        tracing::error!(target: "tokio_cron_scheduler::job::runner", "Error receiving {:?}", Ended::Lagged(3));
        tracing::error!(target: "tokio_cron_scheduler::job::creator", "Error saving job metadata");
        tracing::error!(target: "desk", "Error receiving {:?}", Ended::Closed);
        tracing::info!(target: "rmcp_like", "five");
    });
    let said: Vec<&str> = text
        .lines()
        .map(|line| line.split_once(": ").unwrap().1)
        .collect();
    assert_eq!(
        said,
        [
            "one",
            "Error receiving Lagged(3)",
            "Error saving job metadata",
            "Error receiving Closed",
            "five"
        ]
    );
}

/// Shown as the channel's own errors are.
#[derive(Debug)]
enum Ended {
    Closed,
    Lagged(#[expect(dead_code, reason = "only shown")] u64),
}

#[test]
fn the_level_can_be_given_by_module_and_must_make_sense() {
    let text = logged(false, false, "warn,desk=debug", || {
        tracing::debug!(target: "desk", "yes");
        tracing::info!(target: "store", "no");
    });
    assert!(text.contains("yes") && !text.contains("no"), "{text}");
    let config = LoggingConfig {
        level: "desk=loud".to_owned(),
        ..LoggingConfig::default()
    };
    let error = subscriber(&config, Vec::new()).err().unwrap();
    assert!(matches!(error, LoggingError::Level { .. }), "{error}");
    assert!(!error.hint().is_empty());
}

#[test]
fn the_file_is_appended_to_and_its_directories_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a").join("b").join("agent.log");
    for message in ["first", "second"] {
        let sinks = vec![Sink::new(false, Box::new(open_log(&path).unwrap()))];
        let config = LoggingConfig {
            structured_logging: true,
            ..LoggingConfig::default()
        };
        crate::telemetry::keep_listening();
        tracing::subscriber::with_default(subscriber(&config, sinks).unwrap(), || {
            tracing::info!("{message}");
        });
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let messages: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].clone())
        .collect();
    assert_eq!(messages, ["first", "second"]);

    let config = LoggingConfig {
        log_file: Some(dir.path().to_path_buf()),
        ..LoggingConfig::default()
    };
    let error = init(&config).unwrap_err();
    assert!(matches!(error, LoggingError::File { .. }), "{error}");
}
