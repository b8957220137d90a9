//! All tools, and the one way to call them.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use serde_json::Value;

use super::arguments;
use super::caller::{Caller, CallerKind};
use super::schema::{JsonObject, SchemaError, describe_parameters};
use super::stats::{Counters, ToolStats};
use super::tool::{ToolAnnotations, ToolError, ToolOutput, ToolSpec};
use crate::domain::text::clean;

/// Longest tool name that all clients accept.
const MAX_NAME: usize = 64;

/// The tools cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two tools have one name.
    #[error("two tools are called `{0}`")]
    Duplicate(&'static str),
    /// A name that some client would refuse.
    #[error("`{0}` is no tool name: 1 to 64 of a-z, 0-9 and _")]
    Name(&'static str),
    /// Arguments or result have no usable schema.
    #[error("tool `{tool}`: {source}")]
    Schema {
        /// The tool.
        tool: &'static str,
        /// What is wrong.
        source: SchemaError,
    },
}

/// A registered tool: its schemas are known to be good.
pub(crate) struct Entry<S> {
    pub(crate) spec: ToolSpec<S>,
    pub(crate) input: Arc<JsonObject>,
    pub(crate) output: Arc<JsonObject>,
    counters: Counters,
}

/// All tools in a fixed order.
pub struct Registry<S> {
    entries: Vec<Entry<S>>,
    by_name: HashMap<&'static str, usize>,
}

impl<S> std::fmt::Debug for Registry<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.entries.iter().map(|entry| entry.spec.name))
            .finish()
    }
}

impl<S: Send + Sync + 'static> Registry<S> {
    /// Registers tools in the order in which clients shall see them. Errors: [`RegistryError`].
    pub fn new(tools: Vec<ToolSpec<S>>) -> Result<Self, RegistryError> {
        let mut entries = Vec::with_capacity(tools.len());
        let mut by_name = HashMap::with_capacity(tools.len());
        for spec in tools {
            let tool = spec.name;
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if tool.is_empty() || tool.len() > MAX_NAME || !tool.chars().all(good) {
                return Err(RegistryError::Name(tool));
            }
            if by_name.insert(tool, entries.len()).is_some() {
                return Err(RegistryError::Duplicate(tool));
            }
            let schema = |source| RegistryError::Schema { tool, source };
            entries.push(Entry {
                input: spec.input.clone().map_err(schema)?,
                output: spec.output.clone().map_err(schema)?,
                spec,
                counters: Counters::default(),
            });
        }
        Ok(Registry { entries, by_name })
    }

    /// The tool of that name, listed or not.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ToolSpec<S>> {
        self.entry(name).map(|entry| &entry.spec)
    }

    /// Names of the tools that clients see, in order.
    pub fn listed_names(&self) -> impl Iterator<Item = &'static str> {
        self.listed().map(|entry| entry.spec.name)
    }

    pub(crate) fn listed(&self) -> impl Iterator<Item = &Entry<S>> {
        self.entries.iter().filter(|entry| entry.spec.listed)
    }

    /// What each tool cost so far, in order.
    #[must_use]
    pub fn stats(&self) -> Vec<ToolStats> {
        self.entries
            .iter()
            .map(|entry| entry.counters.snapshot(entry.spec.name))
            .collect()
    }

    /// Checks a call without making it: the tool exists for this caller, the arguments fit.
    /// Errors: what [`Registry::call`] would say.
    pub fn check(&self, name: &str, args: Value, caller: &CallerKind) -> Result<(), ToolError> {
        let entry = self.find(name, caller)?;
        let accepted = arguments::accept(args, &entry.input, entry.spec.max_string);
        accepted
            .and_then(entry.spec.check.as_ref())
            .map_err(|error| with_parameters(entry, error))
    }

    /// Calls a tool. The handler runs under a guard: a panic, the time limit and the caller's
    /// cancellation all end in an error, never in silence.
    ///
    /// Errors: the handler's own, or one with code `unknown_tool`, `bad_arguments`, `timeout`,
    /// `cancelled` or `internal`.
    pub async fn call(
        &self,
        state: Arc<S>,
        name: &str,
        args: Value,
        caller: Caller,
    ) -> Result<ToolOutput, ToolError> {
        let entry = self.find(name, &caller.kind)?;
        let running = entry.counters.start();
        tracing::debug!(tool = entry.spec.name, caller = %caller.kind, "tool called");
        let result = guarded(entry, state, args, caller)
            .await
            .map_err(|error| with_parameters(entry, error));
        match &result {
            Ok(_) => running.succeeded(),
            Err(error) => {
                let duration_ms = u64::try_from(running.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::debug!(
                    tool = entry.spec.name,
                    code = error.code,
                    duration_ms,
                    error = error.message,
                    "tool failed"
                );
            }
        }
        result
    }

    fn entry(&self, name: &str) -> Option<&Entry<S>> {
        self.by_name
            .get(name)
            .and_then(|index| self.entries.get(*index))
    }

    fn find(&self, name: &str, caller: &CallerKind) -> Result<&Entry<S>, ToolError> {
        let hidden = !caller.may_use_unlisted();
        let visible = |entry: &&Entry<S>| entry.spec.listed || !hidden;
        self.entry(name).filter(visible).ok_or_else(|| {
            let names = self
                .entries
                .iter()
                .filter(visible)
                .map(|entry| entry.spec.name);
            unknown_tool(name, names)
        })
    }
}

async fn guarded<S: Send + Sync + 'static>(
    entry: &Entry<S>,
    state: Arc<S>,
    args: Value,
    mut caller: Caller,
) -> Result<ToolOutput, ToolError> {
    let spec = &entry.spec;
    let args = arguments::accept(args, &entry.input, spec.max_string)?;
    let cancelled = caller.cancelled.clone();
    if cancelled.is_cancelled() {
        return Err(cut_short(spec.name, spec.annotations, Cut::BeforeStart));
    }
    // The handler sees a token of its own, cancelled too when this future is dropped or the time
    // limit passes, so that work it moved elsewhere stops with it.
    let work_token = cancelled.child_token();
    let stop_work = work_token.clone().drop_guard();
    caller.cancelled = work_token;
    let work = AssertUnwindSafe(async move { (spec.run)(state, args, caller).await });
    let outcome = tokio::select! {
        biased;
        outcome = tokio::time::timeout(spec.time_limit, work.catch_unwind()) => outcome,
        () = cancelled.cancelled() => {
            return Err(cut_short(spec.name, spec.annotations, Cut::Cancelled));
        }
    };
    match outcome {
        Ok(Ok(result)) => {
            stop_work.disarm();
            result
        }
        Ok(Err(panic)) => {
            tracing::error!(
                tool = spec.name,
                panic = panic_text(panic.as_ref()),
                "tool panicked"
            );
            Err(ToolError::internal(format!(
                "{} failed inside the server",
                spec.name
            )))
        }
        Err(_) => Err(cut_short(
            spec.name,
            spec.annotations,
            Cut::Timeout(spec.time_limit),
        )),
    }
}

/// Why a call ended early.
enum Cut {
    BeforeStart,
    Cancelled,
    Timeout(Duration),
}

fn cut_short(name: &str, annotations: ToolAnnotations, cut: Cut) -> ToolError {
    let may_have_acted = !annotations.read_only && !matches!(cut, Cut::BeforeStart);
    let (code, message) = match cut {
        Cut::BeforeStart => ("cancelled", format!("{name} was cancelled before it began")),
        Cut::Cancelled => ("cancelled", format!("{name} was cancelled")),
        Cut::Timeout(limit) => (
            "timeout",
            format!("{name} took longer than {} s", limit.as_secs_f64()),
        ),
    };
    let hint = match (may_have_acted, code) {
        (true, _) => "it may have taken effect all the same: look before you repeat it",
        (false, "timeout") => "ask for less at a time, or try again later",
        (false, _) => "nothing was changed",
    };
    ToolError::new(code, message, hint)
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// An error about arguments lists what would be accepted, unless it has a better hint.
fn with_parameters<S>(entry: &Entry<S>, mut error: ToolError) -> ToolError {
    if error.code == "bad_arguments" && error.hint.is_empty() {
        error.hint = format!(
            "{} takes: {}",
            entry.spec.name,
            describe_parameters(&entry.input)
        );
    }
    error
}

fn unknown_tool(wanted: &str, names: impl Iterator<Item = &'static str>) -> ToolError {
    let wanted = clean(wanted, MAX_NAME);
    let names: Vec<&str> = names.collect();
    let mut near: Vec<(usize, &str)> = names
        .iter()
        .map(|name| (distance(&wanted, name), *name))
        .filter(|(steps, name)| {
            let part = wanted.len() >= 4 && (name.contains(&wanted) || wanted.contains(name));
            *steps <= 1 + name.len() / 4 || part
        })
        .collect();
    near.sort_unstable();
    let hint = if near.is_empty() {
        format!("the tools are: {}", names.join(", "))
    } else {
        let near: Vec<&str> = near.iter().take(3).map(|(_, name)| *name).collect();
        format!("did you mean {}?", near.join(" or "))
    };
    ToolError::new("unknown_tool", format!("there is no tool `{wanted}`"), hint)
}

/// Levenshtein distance: single characters added, dropped or replaced.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, from) in a.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        let mut next = Vec::with_capacity(row.len());
        next.push(left);
        for (above, to) in row.iter().skip(1).zip(&b) {
            let replaced = diagonal + usize::from(from != *to);
            left = replaced.min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::test_support::{Toy, registry};
    use serde_json::json;
    use std::sync::atomic::Ordering;
    use std::time::Instant;
    use tokio_util::sync::CancellationToken;

    async fn call(kind: CallerKind, name: &str, args: Value) -> Result<ToolOutput, ToolError> {
        registry()
            .call(Arc::new(Toy::default()), name, args, Caller::new(kind))
            .await
    }

    #[tokio::test]
    async fn a_typed_call_gives_data_and_text() {
        let output = call(CallerKind::Shell, "add", json!({"a": "2", "b": 3}))
            .await
            .unwrap();
        assert_eq!(output.structured, json!({"sum": 5}));
        assert_eq!(output.text, "{\"sum\":5}");
        let output = call(CallerKind::Shell, "quote", json!({"market_id": "m1"}))
            .await
            .unwrap();
        assert_eq!(
            output.structured,
            json!({"market_id": "m1", "bid": 0.4, "ask": null})
        );
        assert_eq!(output.text, "m1: bid 0.4, no ask");
    }

    #[tokio::test]
    async fn bad_arguments_of_each_kind_say_what_is_accepted() {
        for (args, words) in [
            (json!({"a": 1}), "missing field `b`"),
            (json!({"a": 1, "b": 2, "c": 3}), "unknown parameter `c`"),
            (
                json!({"a": "x", "b": 2}),
                "`a`: expected a number, got \"x\"",
            ),
            (json!({"a": 1, "b": "NaN"}), "`b`:"),
            (json!({"a": 1.5, "b": 2}), "`a`: expected a whole number"),
            (json!([1, 2]), "must be a JSON object"),
        ] {
            let error = call(CallerKind::Shell, "add", args.clone())
                .await
                .unwrap_err();
            assert_eq!(error.code, "bad_arguments", "{args}");
            assert!(error.message.contains(words), "{args}: {}", error.message);
            assert_eq!(
                error.hint,
                "add takes: a (integer, required), b (integer, required)"
            );
        }
        let huge = "x".repeat(1_000_000);
        let error = call(CallerKind::Shell, "quote", json!({"market_id": huge}))
            .await
            .unwrap_err();
        assert_eq!(error.code, "bad_arguments");
        assert!(error.message.len() < 200 && error.message.contains("1000000"));
        assert!(error.hint.contains("shorten"));
    }

    #[tokio::test]
    async fn unknown_and_hidden_tools_are_refused_with_near_names() {
        let mcp = CallerKind::Mcp { client: None };
        let error = call(mcp.clone(), "quot", json!({})).await.unwrap_err();
        assert_eq!(error.code, "unknown_tool");
        assert_eq!(error.hint, "did you mean quote?");
        let error = call(mcp.clone(), "tick", json!({})).await.unwrap_err();
        assert_eq!(error.code, "unknown_tool");
        assert!(!error.hint.contains("tick"), "{}", error.hint);
        assert!(call(CallerKind::Shell, "tick", json!({})).await.is_ok());
        let error = call(mcp, &"z".repeat(1_000_000), json!({}))
            .await
            .unwrap_err();
        assert!(error.message.len() < 200 && error.hint.contains("the tools are: add, quote"));
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error() {
        for args in [json!({"early": true}), json!({"early": false})] {
            let error = call(CallerKind::Shell, "explode", args).await.unwrap_err();
            assert_eq!(error.code, "internal");
            assert!(error.hint.contains("bug"));
            assert!(!error.message.contains("secret"), "{}", error.message);
        }
    }

    #[tokio::test]
    async fn the_time_limit_ends_a_call_and_its_work() {
        let toy = Arc::new(Toy::default());
        let started = Instant::now();
        let error = registry()
            .call(
                Arc::clone(&toy),
                "slow",
                json!({"ms": 5_000}),
                Caller::new(CallerKind::Shell),
            )
            .await
            .unwrap_err();
        assert_eq!(error.code, "timeout");
        assert_eq!(error.message, "slow took longer than 0.2 s");
        assert!(error.hint.contains("may have taken effect"));
        assert!(started.elapsed() < Duration::from_secs(2));
        toy.stopped.notified().await;
    }

    #[tokio::test]
    async fn cancellation_ends_a_call_and_its_work() {
        let toy = Arc::new(Toy::default());
        let token = CancellationToken::new();
        let caller = Caller::new(CallerKind::Shell).with_cancellation(token.clone());
        let registry = registry();
        let call = registry.call(Arc::clone(&toy), "slow", json!({"ms": 5_000}), caller);
        let (result, ()) = tokio::join!(call, async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            token.cancel();
        });
        assert_eq!(result.unwrap_err().code, "cancelled");
        toy.stopped.notified().await;
        let caller = Caller::new(CallerKind::Shell).with_cancellation(token);
        let error = registry
            .call(Arc::clone(&toy), "tick", json!({}), caller)
            .await
            .unwrap_err();
        assert!(error.message.contains("before it began"));
        assert_eq!(toy.ticks.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn calls_and_errors_are_counted_per_tool() {
        let registry = registry();
        let toy = Arc::new(Toy::default());
        for args in [json!({"a": 1, "b": 2}), json!({"a": 1})] {
            let caller = Caller::new(CallerKind::Shell);
            let _ = registry.call(Arc::clone(&toy), "add", args, caller).await;
        }
        let stats = registry.stats();
        assert_eq!(stats[0].name, "add");
        assert_eq!(
            (stats[0].calls, stats[0].errors, stats[0].running),
            (2, 1, 0)
        );
        assert_eq!(stats[1].calls, 0);
    }

    #[test]
    fn a_check_finds_the_same_faults_without_running() {
        let registry = registry();
        assert!(
            registry
                .check("add", json!({"a": 1, "b": 2}), &CallerKind::Shell)
                .is_ok()
        );
        let error = registry
            .check("add", json!({"a": 1, "b": true}), &CallerKind::Shell)
            .unwrap_err();
        assert!(error.message.starts_with("`b`:") && error.hint.starts_with("add takes:"));
    }

    #[test]
    fn unusable_tools_cannot_be_registered() {
        use crate::server::test_support::named;
        assert_eq!(
            Registry::new(vec![named("a"), named("a")]).unwrap_err(),
            RegistryError::Duplicate("a")
        );
        assert_eq!(
            Registry::new(vec![named("Get Price")]).unwrap_err(),
            RegistryError::Name("Get Price")
        );
    }

    #[test]
    fn distances_are_levenshtein() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
