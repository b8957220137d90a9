use super::*;

fn read(json: &str) -> Result<StrategiesConfig, serde_json::Error> {
    serde_json::from_str(json)
}

#[test]
fn the_default_runs_three_and_knows_four() {
    let config = StrategiesConfig::default();
    assert!(config.market_maker.is_some());
    let set = StrategySet::from_config(&config).unwrap();
    assert_eq!(set.names(), ["signal_trader", "arbitrageur", "ai_analyst"]);
    assert_eq!(set.len(), 3);
    assert!(set.get("market_maker").is_none());
    assert!(set.get("ai_analyst").is_some());
    assert_eq!(
        config.signal_trader.map(|params| params.volume_threshold),
        Some(10_000.0)
    );
}

#[test]
fn the_original_parameter_names_and_defaults_are_read() {
    let config = read(
        r#"{
            "signal_trader": {"enabled": true, "volume_threshold": 5000, "price_move_threshold": 0.05, "order_size": 25},
            "market_maker": {"enabled": true, "spread": 0.05, "min_liquidity": 1000, "order_size": 50},
            "arbitrageur": {"enabled": true, "price_sum_tolerance": 0.02, "min_deviation": 0.03, "order_size": 25},
            "ai_analyst": {"enabled": true, "min_divergence": 0.15, "order_size": 25}
        }"#,
    )
    .unwrap();
    assert_eq!(config, StrategiesConfig::all_on());
    assert_eq!(
        StrategySet::from_config(&config).unwrap().names(),
        ["signal_trader", "market_maker", "arbitrageur", "ai_analyst"]
    );
}

#[test]
fn a_section_that_is_not_there_or_not_enabled_does_not_run() {
    assert!(
        StrategySet::from_config(&read("{}").unwrap())
            .unwrap()
            .is_empty()
    );
    let silent = read(r#"{"arbitrageur": {"order_size": 10}}"#).unwrap();
    assert!(StrategySet::from_config(&silent).unwrap().is_empty());
}

#[test]
fn a_typing_error_in_a_key_is_refused() {
    let unknown = read(r#"{"market_taker": {}}"#).unwrap_err().to_string();
    assert!(unknown.contains("market_taker"), "{unknown}");
    for section in ["signal_trader", "market_maker", "arbitrageur", "ai_analyst"] {
        let text = format!(r#"{{"{section}": {{"oder_size": 1}}}}"#);
        let unknown = read(&text).unwrap_err().to_string();
        assert!(unknown.contains("oder_size"), "{section}: {unknown}");
    }
}

#[test]
fn a_value_out_of_range_is_named_even_in_a_disabled_section() {
    let config = read(r#"{"market_maker": {"enabled": false, "spread": 2}}"#).unwrap();
    assert_eq!(
        config.validate().unwrap_err().to_string(),
        "strategies.market_maker: spread is 2, allowed is 0.002 to 0.5"
    );
    let config = read(r#"{"ai_analyst": {"order_size": -1}}"#).unwrap();
    assert_eq!(
        config.validate().unwrap_err().to_string(),
        "strategies.ai_analyst: order_size is -1, allowed is 0.01 to 1000000"
    );
    let config = read(r#"{"arbitrageur": {"min_deviation": 0}}"#).unwrap();
    assert_eq!(
        config.validate().unwrap_err().to_string(),
        "strategies.arbitrageur: min_deviation is 0, allowed is 0.001 to 0.5"
    );
    for (section, minutes) in [("signal_trader", 0), ("market_maker", 8_641)] {
        let text = format!(r#"{{"{section}": {{"lookback_minutes": {minutes}}}}}"#);
        assert_eq!(
            read(&text).unwrap().validate().unwrap_err().to_string(),
            format!(
                "strategies.{section}: lookback_minutes is {minutes}, allowed is 1 to 8640: a \
                 tick gathers a week of history"
            )
        );
    }
    let config = read(r#"{"signal_trader": {"lookback_minutes": 8640}}"#).unwrap();
    assert!(config.validate().is_ok());
}

#[test]
fn what_is_written_is_read_back() {
    let config = StrategiesConfig::default();
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(read(&text).unwrap(), config);
}

#[test]
fn every_field_of_the_schema_is_described() {
    let schema = serde_json::to_value(schemars::schema_for!(StrategiesConfig)).unwrap();
    let definitions = schema["$defs"].as_object().unwrap();
    assert_eq!(definitions.len(), 4);
    for (name, definition) in definitions {
        assert_eq!(definition["additionalProperties"], false, "{name}");
        for (field, property) in definition["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}.{field}");
        }
    }
}

/// A row of a parameter table in the reference page.
struct Row {
    name: String,
    default: String,
    /// Lowest and highest value; `None` for switches.
    range: Option<(f64, f64)>,
}

/// The rows of every strategy's table.
fn told() -> std::collections::BTreeMap<&'static str, Vec<Row>> {
    let page = include_str!("../../../docs/strategies.md");
    let rows_of = |section: &'static str| {
        let (_, after) = page.split_once(&format!("\n## {section}\n")).unwrap();
        let text = after.split("\n## ").next().unwrap();
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let read = |line: &str| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let range = cells[4].split_once(" to ").map(|(low, high)| {
                let number = |text: &str| text.parse::<f64>().unwrap();
                (number(low), number(high))
            });
            Row {
                name: cells[1].trim_matches('`').to_owned(),
                default: cells[3].split(' ').next().unwrap().to_owned(),
                range,
            }
        };
        (section, rows.map(read).collect())
    };
    ["signal_trader", "market_maker", "arbitrageur", "ai_analyst"]
        .map(rows_of)
        .into()
}

fn every_section() -> serde_json::Value {
    serde_json::to_value(StrategiesConfig {
        signal_trader: Some(SignalTraderParams::default()),
        market_maker: Some(MarketMakerParams::default()),
        arbitrageur: Some(ArbitrageurParams::default()),
        ai_analyst: Some(AiAnalystParams::default()),
    })
    .unwrap()
}

/// The reference page has a row for every parameter, with the default that the code has.
#[test]
fn the_page_tells_every_parameter_and_its_default() {
    let told = told();
    for (section, params) in every_section().as_object().unwrap() {
        let rows = &told[section.as_str()];
        let params = params.as_object().unwrap();
        assert_eq!(rows.len(), params.len(), "{section}");
        for (name, default) in params {
            let row = rows
                .iter()
                .find(|row| row.name == *name)
                .unwrap_or_else(|| panic!("{section}.{name} has no row"));
            let same = match (default.as_f64(), default.as_bool()) {
                (Some(number), _) => row.default.parse() == Ok(number),
                (None, Some(flag)) => row.default.parse() == Ok(flag),
                (None, None) => panic!("{section}.{name}: {default}"),
            };
            assert!(same, "{section}.{name}: {} is not {default}", row.default);
        }
    }
}

/// Every number has a range on the page; at both ends it is taken, beyond either it is refused by
/// a message that names it and the range.
#[test]
fn every_range_on_the_page_is_the_one_that_is_checked() {
    let mut checked = 0;
    for (section, rows) in told() {
        for row in rows {
            let Some((low, high)) = row.range else {
                let default = &every_section()[section][&row.name];
                assert!(default.is_boolean(), "{section}.{} has no range", row.name);
                continue;
            };
            let whole = every_section()[section][&row.name].is_u64();
            let with = |value: f64| {
                let mut config = every_section();
                config[section][&row.name] = if whole {
                    serde_json::json!(value as u64)
                } else {
                    serde_json::json!(value)
                };
                read(&config.to_string()).unwrap().validate()
            };
            let name = format!("{section}.{}", row.name);
            assert_eq!(with(low), Ok(()), "{name} at {low}");
            assert_eq!(with(high), Ok(()), "{name} at {high}");
            let step: f64 = if whole { 1.0 } else { 0.000_001 };
            let mut beyond = vec![high + step.max(high * 1e-9)];
            if !whole || low >= 1.0 {
                beyond.push(low - step);
            }
            for value in beyond {
                let refusal = with(value).unwrap_err();
                assert_eq!(refusal.strategy, section);
                let start = format!("{} is ", row.name);
                let range = format!("allowed is {low} to {high}");
                assert!(refusal.message.starts_with(&start), "{name}: {refusal}");
                assert!(refusal.message.contains(&range), "{name}: {refusal}");
                checked += 1;
            }
        }
    }
    assert!(checked > 60, "{checked}");
}

/// The file that is shipped runs what the code runs by default, and says every key.
#[test]
fn the_shipped_configuration_is_the_default() {
    let text = include_str!("../../../config.yaml");
    let file: serde_json::Value = serde_saphyr::from_str(text).unwrap();
    let config: StrategiesConfig = serde_json::from_value(file["strategies"].clone()).unwrap();
    assert_eq!(config, StrategiesConfig::default());
    for (section, params) in every_section().as_object().unwrap() {
        for name in params.as_object().unwrap().keys() {
            let said = &file["strategies"][section][name];
            assert!(!said.is_null(), "{section}.{name} is not in config.yaml");
        }
    }
}

/// The guide shows a whole strategy: the very file that is compiled and tested here.
#[test]
fn the_guides_example_is_the_file_that_compiles() {
    let guide = include_str!("../../../docs/writing-a-strategy.md");
    let file = include_str!("../favourite.rs");
    assert!(
        guide.contains(&format!("```rust\n{file}```\n")),
        "docs/writing-a-strategy.md does not show src/strategy/favourite.rs as it is"
    );
}
