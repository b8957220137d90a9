//! Hand-worked scenarios: each file under `tests/golden` tells a short story of one account, with the
//! arithmetic beside it, and what every step must record, to the micro-dollar.
//!
//! A person can follow each with a pocket calculator; nothing in the files was written by the program.
//! `peak` is the highest equity so far, from which a drawdown is counted: the first step notes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use polymarket_agent::strategy::{StrategiesConfig, StrategySet};
use polymarket_agent::trading::desk::{Input, Output, Rules, step};
use polymarket_agent::trading::ledger::Ledger;

use crate::support::golden::{Scenario, State, words};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    files
}

/// Plays one file; gives what is not as it says.
fn play(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let scenario: Scenario =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let strategies = match &scenario.strategies {
        Some(config) => StrategySet::from_config(config).unwrap(),
        None => StrategySet::from_config(&none()).unwrap(),
    };
    scenario.config.validate().unwrap();
    let rules = Rules {
        strategies: strategies.as_slice(),
        config: &scenario.config,
    };
    let mut state = State::new(&scenario);
    let mut ledger = Ledger::default();
    let opening = Input::Open {
        source: polymarket_agent::domain::SourceKind::Polymarket,
        balance: scenario.account.0,
        at: scenario.opened,
    };
    step(&mut ledger, &opening, rules).unwrap();
    let mut wrong = Vec::new();
    for (number, told) in scenario.steps.iter().enumerate() {
        let place = format!(
            "{} step {} ({})",
            path.file_name().unwrap().display(),
            number + 1,
            told.at
        );
        let input = state.input(told, &ledger);
        let (output, events) =
            step(&mut ledger, &input, rules).unwrap_or_else(|error| panic!("{place}: {error}"));
        let got: Vec<String> = events.iter().filter_map(|e| words(&e.event)).collect();
        let wanted: Vec<String> = told
            .events
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect();
        if got != wanted {
            wrong.push(format!(
                "{place}: events\n  wanted\n    {}\n  got\n    {}",
                wanted.join("\n    "),
                got.join("\n    ")
            ));
        }
        if let Some(code) = &told.refused {
            let refused = match &output {
                Output::Ordered(verdict) => verdict.as_ref().as_ref().err().cloned(),
                Output::Conditional(verdict) => verdict.as_ref().as_ref().err().cloned(),
                Output::Cancelled(verdict) => verdict.as_ref().err().cloned(),
                Output::Accepted(verdict) => verdict.as_ref().err().cloned(),
                _ => None,
            };
            let found = refused.as_ref().map(|refusal| refusal.code.as_str());
            if found != Some(code.as_str()) {
                wrong.push(format!(
                    "{place}: wanted the refusal {code}, got {refused:?}"
                ));
            }
        }
        for (what, wanted, found) in account(&ledger, &told.account) {
            if wanted != found {
                wrong.push(format!("{place}: {what} is {found}, wanted {wanted}"));
            }
        }
    }
    wrong
}

fn none() -> StrategiesConfig {
    StrategiesConfig {
        signal_trader: None,
        market_maker: None,
        arbitrageur: None,
        ai_analyst: None,
    }
}

/// What, wanted, found: for each thing that the file states of the account.
fn account(ledger: &Ledger, told: &BTreeMap<String, String>) -> Vec<(String, String, String)> {
    told.iter()
        .map(|(what, wanted)| {
            let found = match what.as_str() {
                "cash" => ledger.cash().to_string(),
                "realised" => ledger.realized().to_string(),
                "fees" => ledger.fees().to_string(),
                "equity" => ledger.equity().total.to_string(),
                "daily_loss" => ledger.daily_loss().to_string(),
                "resting" => ledger.resting().len().to_string(),
                "conditional" => ledger.conditionals().len().to_string(),
                "halted" => ledger
                    .halt()
                    .map_or_else(|| "no".to_owned(), |halt| halt.cause.as_str().to_owned()),
                token => ledger.positions().get(token).map_or_else(
                    || "none".to_owned(),
                    |position| format!("{} for {}", position.shares, position.cost),
                ),
            };
            (what.clone(), wanted.clone(), found)
        })
        .collect()
}

#[test]
fn every_hand_worked_scenario_comes_out_to_the_micro_dollar() {
    let files = files();
    assert!(files.len() >= 6, "{} golden files", files.len());
    let wrong: Vec<String> = files.iter().flat_map(|path| play(path)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
