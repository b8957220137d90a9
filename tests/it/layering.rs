//! The layers of the design: no part reaches up, no file is long, no `mod.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each part may use of the others. `part::item` allows that one path only.
const ALLOWED: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    ("telemetry", &["domain"]),
    ("sandbox", &["domain"]),
    ("store", &["domain"]),
    ("market_data", &["domain"]),
    ("strategy", &["domain"]),
    ("trading", &["domain", "strategy"]),
    (
        "backtest",
        &["domain", "strategy", "trading", "market_data::recorded"],
    ),
    (
        "app",
        &[
            "domain",
            "strategy",
            "trading",
            "market_data",
            "store",
            "backtest",
            "telemetry",
        ],
    ),
    (
        "server",
        &[
            "domain",
            "strategy",
            "trading",
            "market_data",
            "store",
            "backtest",
            "app",
            "telemetry",
        ],
    ),
    ("scheduler", &["domain", "app", "server", "telemetry"]),
    (
        "cli",
        &[
            "domain",
            "strategy",
            "trading",
            "market_data",
            "store",
            "backtest",
            "app",
            "telemetry",
            "server",
            "scheduler",
            "sandbox",
        ],
    ),
];

const MOST_LINES: usize = 800;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a folder, sorted.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
}

fn files(folder: &str) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    sources(&root.join(folder), &mut found);
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
            let name = name.replace('\\', "/");
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The module path of a file below `src`: `src/trading/desk.rs` is `["trading", "desk"]`.
fn module_path(file: &str) -> Vec<String> {
    let inner = file
        .strip_prefix("src/")
        .unwrap()
        .strip_suffix(".rs")
        .unwrap();
    inner.split('/').map(str::to_owned).collect()
}

/// The code without comments and without the text of strings, so that neither is taken for a path.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let mut in_string = false;
        let mut previous = ' ';
        for (index, character) in line.char_indices() {
            if character == '"' && previous != '\\' && previous != '\'' {
                in_string = !in_string;
            } else if !in_string && line[index..].starts_with("//") {
                break;
            } else if !in_string {
                code.push(character);
            }
            previous = character;
        }
        code.push('\n');
    }
    code
}

/// What follows `prefix` in the code: the first path segments, those of a `{…}` group each.
fn paths_after(code: &str, prefix: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        if before.is_alphanumeric() || before == '_' || before == '$' {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => paths.push(segments(rest)),
            Some(group) => {
                let (mut depth, mut start) = (0, 0);
                for (index, character) in group.char_indices() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => {
                            paths.push(segments(group[start..index].trim()));
                            break;
                        }
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            paths.push(segments(group[start..index].trim()));
                            start = index + 1;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    paths.retain(|path| !path.is_empty());
    paths
}

/// `a::b::{c, d}` is `["a", "b"]`.
fn segments(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in text.split("::") {
        let name: String = part
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if name.is_empty() {
            break;
        }
        let whole = name.len() == part.len();
        found.push(name);
        if !whole {
            break;
        }
    }
    found
}

/// Paths from the root of the crate that a file uses: `crate::…`, and `super::…` as far up as that.
fn uses(file: &str, text: &str) -> Vec<Vec<String>> {
    let code = code_of(text);
    let mut found = paths_after(&code, "crate::");
    // In an inline module one `super` more is needed; any more do not compile.
    let depth = module_path(file).len();
    for supers in [depth, depth + 1] {
        found.extend(paths_after(&code, &"super::".repeat(supers)));
    }
    found
}

fn allows(rules: &[&str], path: &[String]) -> bool {
    rules.iter().any(|rule| {
        let rule: Vec<&str> = rule.split("::").collect();
        rule.len() <= path.len() && rule.iter().zip(path).all(|(rule, name)| rule == name)
    })
}

#[test]
fn no_part_reaches_up() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    let mut looked_at = 0;
    for (file, text) in files("src") {
        if file == "src/lib.rs" || file == "src/main.rs" {
            continue;
        }
        let part = module_path(&file).remove(0);
        let Some(rules) = allowed.get(part.as_str()) else {
            faults.push(format!("{file}: `{part}` is no part of the design"));
            continue;
        };
        seen.insert(part.clone());
        for path in uses(&file, &text) {
            let target = path[0].as_str();
            if target == part || !allowed.contains_key(target) {
                continue;
            }
            looked_at += 1;
            if !allows(rules, &path) {
                faults.push(format!(
                    "{file}: `{part}` may not use `{}`",
                    path.join("::")
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // It must have looked at something: every part, and the many uses there are.
    assert_eq!(seen.len(), ALLOWED.len(), "{seen:?}");
    assert!(looked_at > 200, "only {looked_at} uses found");
}

#[test]
fn this_test_would_find_a_part_that_reaches_up() {
    let text = "use crate::server::tools;\n\
                use crate::{domain::Book, app::{App, config}};\n\
                // use crate::scheduler::Job;\n\
                let x = \"crate::cli::main\";\n\
                fn f() { crate::sandbox::start(); super::super::store::open(); }\n";
    let found = uses("src/trading/desk.rs", text);
    let parts: Vec<&str> = found.iter().map(|path| path[0].as_str()).collect();
    assert_eq!(parts, ["server", "domain", "app", "sandbox", "store"]);
    let path = |text: &str| segments(text);
    assert!(allows(
        &["market_data::recorded"],
        &path("market_data::recorded::Dataset")
    ));
    assert!(!allows(
        &["market_data::recorded"],
        &path("market_data::polymarket")
    ));
    assert!(!allows(&["domain"], &path("store")));
}

/// The table itself keeps the order of the design: nobody may use a part that stands above.
#[test]
fn the_table_has_no_circle() {
    let mut below: BTreeSet<&str> = BTreeSet::new();
    for (part, rules) in ALLOWED {
        for rule in rules {
            let target = rule.split("::").next().unwrap();
            assert!(below.contains(target), "{part} uses {target}");
        }
        below.insert(part);
    }
}

#[test]
fn files_are_short_and_none_is_called_mod() {
    let mut faults = Vec::new();
    for folder in ["src", "tests"] {
        for (file, text) in files(folder) {
            let lines = text.lines().count();
            if lines > MOST_LINES {
                faults.push(format!("{file} has {lines} lines, more than {MOST_LINES}"));
            }
            if file.ends_with("/mod.rs") {
                faults.push(format!(
                    "{file}: write `folder.rs` beside `folder/` instead"
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
