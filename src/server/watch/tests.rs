use std::collections::BTreeSet;

use super::*;
use crate::server::changes::Change;
use crate::server::test_app::account;

#[tokio::test]
async fn each_change_touches_what_shows_it() {
    let account = account().await;
    let app = &account.app;
    let (start, touched) = look(app, None).unwrap();
    assert_eq!(touched, Touched::default());
    assert_eq!(start.newest_backtest, None);
    assert_eq!(look(app, Some(start)).unwrap(), (start, touched));

    account.buy_and_tick().await;
    let (bought, touched) = look(app, Some(start)).unwrap();
    assert_eq!(bought.seq, app.ledger().unwrap().seq());
    let expected = Touched {
        portfolio: true,
        trades: true,
        signals: true,
        snapshots: true,
        backtests: false,
    };
    assert_eq!(touched, expected);

    app.cancel_conditional(1).await.unwrap();
    let (cancelled, touched) = look(app, Some(bought)).unwrap();
    let expected = Touched {
        portfolio: true,
        ..Touched::default()
    };
    assert_eq!(touched, expected);

    let id = account.keep_backtest("a run");
    let (kept, touched) = look(app, Some(cancelled)).unwrap();
    assert_eq!(kept.newest_backtest, Some(id));
    let expected = Touched {
        backtests: true,
        ..Touched::default()
    };
    assert_eq!(touched, expected);
}

#[tokio::test]
async fn changes_are_announced_within_seconds_and_the_task_ends_with_the_account() {
    let account = account().await;
    let feed = ChangeFeed::default();
    let mut heard = feed.subscribe();
    let task = tokio::spawn(watch_changes(account.app.clone(), feed));
    // The first look only says from where on there are changes.
    tokio::time::sleep(Duration::from_millis(300)).await;
    account.buy_and_tick().await;
    account.keep_backtest("a run");
    let mut changes = BTreeSet::new();
    while changes.len() < 6 {
        let change = tokio::time::timeout(Duration::from_secs(10), heard.recv());
        changes.insert(match change.await.unwrap().unwrap() {
            Change::Resource(uri) => uri.to_string(),
            Change::List => "list".to_owned(),
        });
    }
    let expected = [
        "list",
        PORTFOLIO,
        PORTFOLIO_JSON,
        SIGNALS,
        SNAPSHOTS,
        TRADES,
    ];
    assert_eq!(changes, expected.map(str::to_owned).into());
    drop(account);
    tokio::time::timeout(Duration::from_secs(10), task)
        .await
        .unwrap()
        .unwrap();
}
