//! An account on recorded prices, for the tests of what is read over MCP and HTTP.

use std::sync::Arc;

use crate::app::config::Config;
use crate::app::{App, OpenOptions, Source};
use crate::domain::{ConditionalKind, Estimate, MarketId, Price, Side, Timestamp, TokenId};
use crate::market_data::recorded::{Dataset, DatasetOptions, Recorded};
use crate::store::NewBacktest;
use crate::trading::desk::{AgentOrder, NewConditional};
use crate::trading::test_support::wanted;

/// The question of market m1: every way out of a table cell, a link or an element.
pub(super) const HOSTILE: &str = "<script>alert(1)</script> | [win](javascript:alert) `now`";
/// What must never be shown of the configured webhook.
pub(super) const WEBHOOK_SECRET: &str = "s3cr3t-t0ken";

/// 2026-01-01T02:00:00Z: before recorded markets pay fees.
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_767_232_800);

pub(super) struct Account {
    pub(super) app: Arc<App>,
    _dir: tempfile::TempDir,
}

/// A fresh account with 1,000 pUSD at [`NOW`]; m1 trades at 0.40, m2 at 0.30, both flat for hours.
pub(super) async fn account() -> Account {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let mut csv = "timestamp,market_id,question,yes_price,volume,token_id\n".to_owned();
    for hours in 0..4 {
        let at = 1_767_225_600 + hours * 3_600;
        csv += &format!("{at},m1,{HOSTILE},0.40,20000,t1\n{at},m2,Will it rain?,0.30,30000,t2\n");
    }
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("prices.csv"), csv).unwrap();
    let dataset = Dataset::load(&data, DatasetOptions::default()).unwrap();
    let mut config = Config::default();
    config.backtest.data_dirs = vec![std::env::temp_dir()];
    config.monitoring.alert_webhooks = vec![format!("http://127.0.0.1:9/{WEBHOOK_SECRET}")];
    let app = App::open(OpenOptions {
        config,
        source: Source {
            data: Arc::new(Recorded::new(Arc::new(dataset), NOW)),
            advance: None,
        },
        db: dir.path().join("ledger.db"),
        access: crate::app::Access::Own,
    })
    .await
    .unwrap();
    Account { app, _dir: dir }
}

impl Account {
    /// Buys 50 shares of m1's Yes at 0.41 for 20.50 pUSD without a fee, guards them with a stop at
    /// 0.20, and ticks: their bid is 0.39, so that the account is worth 979.50 + 19.50.
    pub(super) async fn buy_and_tick(&self) {
        let price = |text| Price::parse(text).unwrap();
        let bought = self.app.place_order(AgentOrder {
            market_id: MarketId::new("m1"),
            token_id: TokenId::new("t1"),
            ..wanted(Side::Buy, "20.5", "0.41")
        });
        assert_eq!(bought.await.unwrap().status, "filled");
        let market = self.app.market("m1").await.unwrap();
        let stop = self.app.create_conditional(NewConditional {
            token_id: TokenId::new("t1"),
            market: (*market).clone(),
            kind: ConditionalKind::StopLoss,
            trigger_price: price("0.2"),
            shares: None,
            trail_percent: None,
            oco_with: None,
            bid: Some(price("0.39")),
            reason: "a guard".to_owned(),
        });
        stop.await.unwrap();
        self.app.tick().await.unwrap();
    }

    /// Leaves an estimate far above the price and ticks: ai_analyst signals, once.
    pub(super) async fn estimate_and_tick(&self, market: &str, token: &str) {
        let estimate = Estimate {
            market_id: MarketId::new(market),
            token_id: TokenId::new(token),
            outcome: "Yes".into(),
            probability: 0.6,
            confidence: Some(0.9),
            author: "tester".to_owned(),
            rationale: "a test".to_owned(),
            ask_then: None,
            bid_then: None,
            created_at: NOW,
            expires_at: NOW.plus_millis(3_600_000),
        };
        self.app.store_estimate(estimate).await.unwrap();
        assert_eq!(self.app.tick().await.unwrap().signals, 1);
    }

    /// Keeps a backtest and returns its number.
    pub(super) fn keep_backtest(&self, title: &str) -> i64 {
        let backtest = NewBacktest {
            created_at: NOW,
            data_dir: "prices",
            title,
            result_json: r#"{"total_trades":3}"#,
            report_md: "# a report",
            report_html: "<h1>a report</h1>",
            config_json: "{}",
            data_hash: "00",
            version: "0",
        };
        self.app.store().insert_backtest(&backtest).unwrap()
    }
}
