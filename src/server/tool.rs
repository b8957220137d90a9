//! A tool is a value: what it is called, what it takes and gives, and the handler.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::arguments::{self, MAX_STRING};
use super::caller::Caller;
use super::schema::{JsonObject, SchemaError, input_schema, output_schema};

/// How long a call may take unless the tool says otherwise.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(60);

/// What a client may assume about a tool. Hints: the limits are enforced elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolAnnotations {
    /// Changes nothing.
    pub read_only: bool,
    /// May undo or use up something, rather than only add.
    pub destructive: bool,
    /// A second identical call changes nothing more.
    pub idempotent: bool,
    /// Its answer holds text from outside, or its effect reaches outside.
    pub open_world: bool,
}

impl ToolAnnotations {
    /// Reads what this program holds itself.
    pub const READ_LOCAL: Self = ToolAnnotations {
        read_only: true,
        destructive: false,
        idempotent: true,
        open_world: false,
    };
    /// Reads what others wrote: markets, names, books.
    pub const READ_OUTSIDE: Self = ToolAnnotations {
        open_world: true,
        ..Self::READ_LOCAL
    };
    /// Adds something; a second call adds it again.
    pub const ADD: Self = ToolAnnotations {
        read_only: false,
        destructive: false,
        idempotent: false,
        open_world: false,
    };
    /// Spends, sells or cancels; a second call may do it again.
    pub const DESTRUCTIVE: Self = ToolAnnotations {
        destructive: true,
        ..Self::ADD
    };
}

/// What a caller is told when a tool did not do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolError {
    /// Short name for programs: `bad_arguments`, `not_found`, `refused`, …
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl ToolError {
    /// From its three parts.
    pub fn new(
        code: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        ToolError {
            code: code.into(),
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// The arguments make no sense. The registry adds a hint that lists the parameters.
    pub fn bad_arguments(message: impl Into<String>) -> Self {
        ToolError::new("bad_arguments", message, "")
    }

    /// A fault of this program, not of the caller.
    pub fn internal(message: impl Into<String>) -> Self {
        ToolError::new(
            "internal",
            message,
            "this is a bug in the server, not in your arguments; the server's log has the details",
        )
    }

    /// As text for a model: the message, then the hint on a line of its own.
    #[must_use]
    pub fn to_text(&self) -> String {
        if self.hint.is_empty() {
            return self.message.clone();
        }
        format!("{}\nhint: {}", self.message, self.hint)
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ToolError {}

/// What a tool gave: the data, and a text short enough to read.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOutput {
    /// The result as JSON, always an object.
    pub structured: Value,
    /// The result for a reader; compact JSON unless the tool renders its own.
    pub text: String,
}

/// For tools that take nothing.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoArguments {}

type Run<S> = dyn Fn(Arc<S>, JsonObject, Caller) -> BoxFuture<'static, Result<ToolOutput, ToolError>>
    + Send
    + Sync;
type Check = dyn Fn(JsonObject) -> Result<(), ToolError> + Send + Sync;

/// A tool over the application state `S`.
pub struct ToolSpec<S> {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) annotations: ToolAnnotations,
    pub(crate) input: Result<Arc<JsonObject>, SchemaError>,
    pub(crate) output: Result<Arc<JsonObject>, SchemaError>,
    pub(crate) listed: bool,
    pub(crate) urgent: bool,
    pub(crate) time_limit: Duration,
    pub(crate) max_string: usize,
    pub(crate) meta: Option<JsonObject>,
    pub(crate) check: Box<Check>,
    pub(crate) run: Box<Run<S>>,
}

impl<S: Send + Sync + 'static> ToolSpec<S> {
    /// A tool whose text form is its compact JSON.
    ///
    /// The handler's future is dropped when the caller cancels or the time limit passes, at
    /// whatever `await` it stands: work that must not be left half done belongs to a task of its
    /// own. Blocking work belongs to `spawn_blocking`.
    pub fn new<In, Out, F, Fut>(
        name: &'static str,
        title: &'static str,
        description: &'static str,
        annotations: ToolAnnotations,
        handler: F,
    ) -> Self
    where
        In: DeserializeOwned + JsonSchema + Send + 'static,
        Out: Serialize + JsonSchema + Send + 'static,
        F: Fn(Arc<S>, In, Caller) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Out, ToolError>> + Send + 'static,
    {
        Self::build(name, title, description, annotations, handler, None)
    }

    /// A tool with a text form of its own, for results that read better than as JSON.
    pub fn with_text<In, Out, F, Fut>(
        name: &'static str,
        title: &'static str,
        description: &'static str,
        annotations: ToolAnnotations,
        handler: F,
        render: fn(&Out) -> String,
    ) -> Self
    where
        In: DeserializeOwned + JsonSchema + Send + 'static,
        Out: Serialize + JsonSchema + Send + 'static,
        F: Fn(Arc<S>, In, Caller) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Out, ToolError>> + Send + 'static,
    {
        Self::build(name, title, description, annotations, handler, Some(render))
    }

    fn build<In, Out, F, Fut>(
        name: &'static str,
        title: &'static str,
        description: &'static str,
        annotations: ToolAnnotations,
        handler: F,
        render: Option<fn(&Out) -> String>,
    ) -> Self
    where
        In: DeserializeOwned + JsonSchema + Send + 'static,
        Out: Serialize + JsonSchema + Send + 'static,
        F: Fn(Arc<S>, In, Caller) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Out, ToolError>> + Send + 'static,
    {
        ToolSpec {
            name,
            title,
            description,
            annotations,
            input: input_schema::<In>().map(Arc::new),
            output: output_schema::<Out>().map(Arc::new),
            listed: true,
            urgent: false,
            time_limit: DEFAULT_TIME_LIMIT,
            max_string: MAX_STRING,
            meta: None,
            check: Box::new(|arguments| arguments::parse::<In>(arguments).map(drop)),
            run: Box::new(move |state, arguments, caller| {
                let input = match arguments::parse::<In>(arguments) {
                    Ok(input) => input,
                    Err(error) => return ready(Err(error)).boxed(),
                };
                let work = handler(state, input, caller);
                async move { output(name, &work.await?, render) }.boxed()
            }),
        }
    }

    /// Callable by scheduled jobs and the shell, hidden from clients.
    #[must_use]
    pub fn unlisted(mut self) -> Self {
        self.listed = false;
        self
    }

    /// Gets through to the owner of the ledger however many other calls are under way there.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }

    /// With another time limit than [`DEFAULT_TIME_LIMIT`].
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// With another cap on string arguments, in characters.
    #[must_use]
    pub fn max_string(mut self, characters: usize) -> Self {
        self.max_string = characters;
        self
    }

    /// Shown by hosts of MCP Apps with the page at this `ui://` address.
    #[must_use]
    pub fn ui(mut self, uri: &str) -> Self {
        let view = json!({ "resourceUri": uri, "visibility": ["model", "app"] });
        self.meta
            .get_or_insert_default()
            .insert("ui".to_owned(), view);
        self
    }

    /// With an entry in the tool's `_meta`.
    #[must_use]
    pub fn meta(mut self, key: &str, value: Value) -> Self {
        self.meta
            .get_or_insert_default()
            .insert(key.to_owned(), value);
        self
    }
}

impl<S> ToolSpec<S> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its title.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// What clients may assume about it.
    #[must_use]
    pub fn annotations(&self) -> ToolAnnotations {
        self.annotations
    }

    /// Whether it gets through to the owner of the ledger when others do not.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Whether clients see it.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.listed
    }
}

impl<S> fmt::Debug for ToolSpec<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolSpec")
            .field("name", &self.name)
            .field("listed", &self.listed)
            .finish_non_exhaustive()
    }
}

fn output<Out: Serialize>(
    name: &str,
    result: &Out,
    render: Option<fn(&Out) -> String>,
) -> Result<ToolOutput, ToolError> {
    let structured = serde_json::to_value(result)
        .map_err(|error| ToolError::internal(format!("{name} gave no valid JSON: {error}")))?;
    let text = match render {
        Some(render) => render(result),
        None => structured.to_string(),
    };
    Ok(ToolOutput { structured, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_message_and_hint() {
        let error = ToolError::new("not_found", "no market 7", "call search_markets");
        assert_eq!(error.to_text(), "no market 7\nhint: call search_markets");
        assert_eq!(ToolError::new("x", "only this", "").to_text(), "only this");
        assert_eq!(error.to_string(), "no market 7");
    }
}
