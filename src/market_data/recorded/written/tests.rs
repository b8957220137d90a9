//! What is written is what the reader makes of it.

use super::*;
use crate::domain::{
    ConditionId, EventId, FeeSchedule, MarketId, MarketStatus, Outcome, ProtocolVersion, Shares,
    TokenId,
};
use crate::market_data::recorded::{Dataset, DatasetOptions};

fn market(number: u32, slug: Option<&str>, question: &str, outcomes: [&str; 2]) -> Market {
    let outcome = |index: usize, name: &str| Outcome {
        name: name.into(),
        token: TokenId::new(format!("{number}{index}")),
        synthetic: false,
        indicative_price: None,
    };
    let [yes, no] = outcomes;
    Market {
        id: MarketId::new(number.to_string()),
        condition_id: Some(ConditionId::new(format!("0x{number:064x}"))),
        slug: slug.map(str::to_owned),
        question: question.to_owned(),
        description: Some("It resolves by, \"the rules\".".to_owned()),
        event_id: Some(EventId::new("77")),
        category: Some("weather".to_owned()),
        outcomes: vec![outcome(1, yes), outcome(2, no)],
        tick: Price::parse("0.001").unwrap(),
        min_size: Shares::whole(5),
        fee: FeeSchedule::new("0.03", 2).unwrap(),
        neg_risk: true,
        placeholder: false,
        volume: None,
        volume_24h: None,
        liquidity: None,
        start: Timestamp::parse("2026-01-01"),
        end: Timestamp::parse("2026-06-30T12:00:00Z"),
        status: MarketStatus::Closed,
        version: ProtocolVersion::V1,
        label: None,
    }
}

fn at(hour: i64) -> Timestamp {
    Timestamp::from_secs(1_780_272_000 + hour * 3_600)
}

fn kept() -> Kept {
    Kept {
        from: at(0),
        to: at(10),
        fidelity_minutes: 60,
        at: at(20),
    }
}

fn points() -> [PricePoint; 3] {
    [(0, 0.4), (1, 0.123_456), (2, 1.0)].map(|(hour, price)| PricePoint {
        at: at(hour).plus_millis(37_000),
        price,
    })
}

fn resolved(market: &Market, payouts: [&str; 2]) -> Resolution {
    Resolution {
        market_id: market.id.clone(),
        payouts: market
            .outcomes
            .iter()
            .zip(payouts)
            .map(|(outcome, paid)| (outcome.token.clone(), Price::parse(paid).unwrap()))
            .collect(),
        resolved_at: None,
        evidence: "data /v2/resolutions".to_owned(),
    }
}

fn put(files: &mut DatasetFiles, market: &Market, resolution: Option<&Resolution>) {
    let event = Event {
        id: EventId::new("77"),
        slug: Some("rain".to_owned()),
        title: "Rain?".to_owned(),
        description: None,
        closed: false,
        neg_risk: true,
        augmented: false,
        volume: None,
        volume_24h: None,
        liquidity: None,
        start: None,
        end: None,
        markets: Vec::new(),
    };
    files
        .put(&MarketFile {
            market,
            event: Some(&event),
            points: &points(),
            resolution: resolution.map(|how| (how, at(3))),
            kept: kept(),
        })
        .unwrap();
}

#[test]
fn the_reader_sees_the_market_its_prices_fee_tick_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let rain = market(7, Some("rain"), "Will it rain, \"much\"?", ["Yes", "No"]);
    let evil = market(
        8,
        Some("resolutions"),
        "=HYPERLINK(\"http://x\",\"y\")",
        ["+Up", "-Down"],
    );
    let plain = market(9, None, "'Twas?", ["A", "B"]);
    let mut files = DatasetFiles::open(dir.path()).unwrap();
    put(&mut files, &rain, Some(&resolved(&rain, ["0", "1"])));
    put(&mut files, &evil, Some(&resolved(&evil, ["1", "0"])));
    drop(files);
    // A second run adds to what is there.
    let mut files = DatasetFiles::open(dir.path()).unwrap();
    put(&mut files, &plain, Some(&resolved(&plain, ["0.5", "0.5"])));

    let text = std::fs::read_to_string(dir.path().join("rain.csv")).unwrap();
    assert_eq!(
        text,
        "timestamp,market_id,question,yes_price,volume,token_id\n\
         2026-06-01T00:00:37Z,7,\"Will it rain, \"\"much\"\"?\",0.4,0,71\n\
         2026-06-01T01:00:37Z,7,\"Will it rain, \"\"much\"\"?\",0.123456,0,71\n\
         2026-06-01T02:00:37Z,7,\"Will it rain, \"\"much\"\"?\",1,0,71\n"
    );
    let text = std::fs::read_to_string(dir.path().join("resolutions.csv")).unwrap();
    assert_eq!(
        text,
        "market_id,token_id,resolved_at,outcome,basis\n\
         7,71,2026-06-01T03:00:00Z,No,data /v2/resolutions\n\
         8,81,2026-06-01T03:00:00Z,'+Up,data /v2/resolutions\n\
         9,91,2026-06-01T03:00:00Z,50-50,data /v2/resolutions\n"
    );
    for name in ["market-8.csv", "market-9.csv"] {
        assert!(dir.path().join(name).exists(), "{name}");
    }

    let dataset = Dataset::load(dir.path(), DatasetOptions::default()).unwrap();
    assert_eq!(dataset.report().skips.total(), 0);
    assert_eq!((dataset.report().rows, dataset.series().len()), (9, 3));
    for (written, payouts) in [
        (&rain, ["0", "1"]),
        (&evil, ["1", "0"]),
        (&plain, ["0.5", "0.5"]),
    ] {
        let index = dataset.index_of(written.id.as_str()).unwrap();
        let series = &dataset.series()[index];
        assert_eq!(series.points().as_slice(), points());
        let read = dataset.market(index, at(2)).unwrap();
        let expected = Market {
            status: MarketStatus::Open,
            label: Some("recorded".to_owned()),
            ..written.clone()
        };
        assert_eq!(read, expected);
        let (resolved_at, how) = series.resolution().unwrap();
        assert_eq!(resolved_at, at(3));
        assert_eq!(how.payouts, resolved(written, payouts).payouts);
    }
    let open = dataset.visible(0, at(2).plus_millis(40_000)).unwrap().1;
    assert_eq!((open.volume, open.status), (None, MarketStatus::Open));
    assert_eq!(open.fee, FeeSchedule::new("0.03", 2).unwrap());
}

#[test]
fn a_market_is_replaced_with_its_resolution() {
    let dir = tempfile::tempdir().unwrap();
    let rain = market(7, Some("rain"), "Rain?", ["Yes", "No"]);
    let mut files = DatasetFiles::open(dir.path()).unwrap();
    assert!(!files.has_prices(&rain));
    assert_eq!(files.kept(&rain), None);
    put(&mut files, &rain, Some(&resolved(&rain, ["0", "1"])));
    assert!(files.has_prices(&rain));
    assert_eq!(files.kept(&rain), Some(kept()));
    put(&mut files, &rain, None);
    let text = std::fs::read_to_string(dir.path().join("resolutions.csv")).unwrap();
    assert_eq!(text, "market_id,token_id,resolved_at,outcome,basis\n");
    let wanted = |to: i64, asked: i64| Kept {
        to: at(to),
        at: at(asked),
        ..kept()
    };
    assert!(kept().covers(&wanted(10, 99)));
    assert!(!kept().covers(&wanted(11, 99)));
    // Asked for before its end: prices have come since.
    assert!(!wanted(30, 20).covers(&wanted(30, 99)));
}

#[test]
fn endings_that_the_format_cannot_say_are_not_said() {
    let one = market(7, None, "?", ["Yes", "No"]);
    let said = |market: &Market, payouts| outcome_text(market, &resolved(market, payouts));
    assert_eq!(said(&one, ["1", "0"]).as_deref(), Some("Yes"));
    assert_eq!(said(&one, ["0.5", "0.5"]).as_deref(), Some("50-50"));
    assert_eq!(said(&one, ["0.3", "0.7"]), None);
    assert_eq!(said(&one, ["1", "1"]), None);
    assert_eq!(said(&one, ["0", "0"]), None);
    let same = market(8, None, "?", ["Draw", "draw"]);
    assert_eq!(said(&same, ["1", "0"]), None);
}

#[test]
fn foreign_files_and_second_writers_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = DatasetFiles::open(dir.path()).unwrap();
    let error = DatasetFiles::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("another process"), "{error}");
    drop(first);
    std::fs::write(dir.path().join(RESOLUTIONS), "market,outcome\n1,Yes\n").unwrap();
    let error = DatasetFiles::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("its columns are not"), "{error}");
    std::fs::remove_file(dir.path().join(RESOLUTIONS)).unwrap();
    std::fs::write(dir.path().join(MARKETS), "{}").unwrap();
    assert!(DatasetFiles::open(dir.path()).is_err());
}
