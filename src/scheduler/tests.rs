use super::*;
use crate::server::test_support::{Toy, registry};
use serde_json::json;
use std::sync::atomic::Ordering;

fn job(value: Value) -> JobConfig {
    serde_json::from_value(value).unwrap()
}

async fn start(jobs: &[JobConfig]) -> Result<(Scheduler, Arc<Toy>), SchedulerError> {
    let toy = Arc::new(Toy::default());
    let token = CancellationToken::new();
    Scheduler::start(jobs, registry(), Arc::clone(&toy), token)
        .await
        .map(|scheduler| (scheduler, toy))
}

async fn refusal(value: Value) -> String {
    match start(&[job(value)]).await {
        Ok(_) => panic!("started"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn configuration_is_read_strictly() {
    let config = job(json!({"name": "hourly", "cron": "0 * * * *", "tool": "tick"}));
    assert!(config.enabled && config.arguments.is_empty());
    assert_eq!(config.checked_cron().unwrap(), "0 0 * * * *");
    let typo = json!({"name": "a", "cron": "* * * * *", "tool": "tick", "args": {}});
    assert!(serde_json::from_value::<JobConfig>(typo).is_err());
}

#[tokio::test]
async fn bad_jobs_are_refused_by_name() {
    for (value, words) in [
        (
            json!({"name": "j1", "cron": "every day", "tool": "tick"}),
            "job `j1`: `every day` is no",
        ),
        (
            json!({"name": "j2", "cron": "61 * * * * *", "tool": "tick"}),
            "job `j2`: `61 * ",
        ),
        (
            json!({"name": "j3", "cron": "0 0 30 2 *", "tool": "tick"}),
            "job `j3`: `0 0 30 2 *` never",
        ),
        (
            json!({"name": "j4", "cron": "* * * * *", "tool": "tock"}),
            "job `j4`: there is no tool",
        ),
        (
            json!({"name": "j5", "cron": "* * * * *", "tool": "add", "arguments": {"a": "x", "b": 1}}),
            "job `j5`: `a`: expected a number",
        ),
        (
            json!({"name": "j 6", "cron": "* * * * *", "tool": "tick"}),
            "`j 6` is no job name",
        ),
        (
            json!({"name": "off", "cron": "nonsense", "tool": "tick", "enabled": false}),
            "job `off`",
        ),
    ] {
        let error = refusal(value.clone()).await;
        assert!(error.contains(words), "{value}: {error}");
    }
    let twice = job(json!({"name": "j", "cron": "* * * * *", "tool": "tick"}));
    let error = start(&[twice.clone(), twice]).await.unwrap_err();
    assert_eq!(error.to_string(), "two jobs are called `j`");
}

#[tokio::test]
async fn a_job_runs_each_second_and_stops() {
    let jobs = [
        job(json!({"name": "tick", "cron": "* * * * * *", "tool": "tick"})),
        job(json!({"name": "off", "cron": "* * * * * *", "tool": "tick", "enabled": false})),
        job(
            json!({"name": "fails", "cron": "* * * * * *", "tool": "quote",
            "arguments": {"market_id": "m9"}}),
        ),
    ];
    let (scheduler, toy) = start(&jobs).await.unwrap();
    tokio::time::sleep(Duration::from_millis(4_200)).await;
    let status = scheduler.status().await;
    let ticks = toy.ticks.load(Ordering::SeqCst);
    // The clockwork looks twice a second: in 4.2 s it finds 3 to 5 full seconds.
    assert!((3..=5).contains(&ticks), "{ticks}");
    assert_eq!(status[0].runs, u64::from(ticks));
    assert_eq!((status[0].failures, status[0].skipped), (0, 0));
    assert!(status[0].last_run.is_some() && status[0].last_error.is_none());
    let next = Timestamp::parse(status[0].next_run.as_deref().unwrap()).unwrap();
    let now = Timestamp::from_millis(chrono::Utc::now().timestamp_millis());
    assert!((-1_500..=1_500).contains(&next.since(now)), "{next} {now}");
    assert_eq!((status[1].runs, status[1].next_run.as_deref()), (0, None));
    assert_eq!(status[2].failures, status[2].runs);
    assert!(status[2].failures >= 3);
    assert_eq!(
        status[2].last_error.as_deref(),
        Some("not_found: there is no market m9")
    );
    scheduler.stop(Duration::from_secs(1)).await;
    let stopped = toy.ticks.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    assert_eq!(toy.ticks.load(Ordering::SeqCst), stopped);
}

#[tokio::test]
async fn runs_never_overlap() {
    let slow = job(
        json!({"name": "slow", "cron": "* * * * * *", "tool": "tick",
        "arguments": {"ms": 2_500}}),
    );
    let (scheduler, toy) = start(&[slow]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(4_200)).await;
    let status = scheduler.status().await;
    assert_eq!(toy.most_at_once.load(Ordering::SeqCst), 1);
    assert!(status[0].skipped >= 1, "{status:?}");
    assert!(status[0].runs <= 1);
    // A run that is going on is let finish.
    let before = toy.ticks.load(Ordering::SeqCst);
    let was_running = status[0].running;
    scheduler.stop(Duration::from_secs(5)).await;
    assert_eq!(
        toy.ticks.load(Ordering::SeqCst),
        before + u32::from(was_running)
    );
    assert!(!scheduler.status().await[0].running);
}

#[tokio::test]
async fn a_run_that_outlasts_the_grace_is_cancelled() {
    let slow = job(
        json!({"name": "slow", "cron": "* * * * * *", "tool": "tick",
        "arguments": {"ms": 30_000}}),
    );
    let (scheduler, toy) = start(&[slow]).await.unwrap();
    while toy.running.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    scheduler.stop(Duration::from_millis(50)).await;
    let status = scheduler.status().await;
    assert!(!status[0].running);
    assert_eq!(
        status[0].last_error.as_deref(),
        Some("cancelled: tick was cancelled")
    );
    assert_eq!(toy.ticks.load(Ordering::SeqCst), 0);
}
