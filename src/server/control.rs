//! The registry over the control socket: what comes in is called here, and what this process may
//! not do itself goes out to the owner of the ledger.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::control::{Answer, Asker, Call, Failure, Handler, Relayed, Reports};
use crate::domain::text::{MAX_NAME, clean};

use super::caller::{Caller, CallerKind, Progress, ProgressSink};
use super::registry::Registry;
use super::schema::JsonObject;
use super::tool::{ToolError, ToolOutput, ToolSpec};

/// Code of a scheduled job's error in a process beside the owner, which runs jobs of its own.
pub const STANDBY: &str = "standby";

/// Carries out what comes over the control socket by calling the registry.
pub struct RegistryHandler {
    registry: Arc<Registry<App>>,
    app: Arc<App>,
}

impl RegistryHandler {
    /// For these tools on this account.
    #[must_use]
    pub fn new(registry: Arc<Registry<App>>, app: Arc<App>) -> Arc<Self> {
        Arc::new(RegistryHandler { registry, app })
    }
}

#[async_trait]
impl Handler for RegistryHandler {
    fn is_urgent(&self, call: &Call) -> bool {
        let tool = self.registry.get(&call.tool);
        tool.is_some_and(ToolSpec::is_urgent)
    }

    async fn call(
        &self,
        call: Call,
        reports: Reports,
        cancelled: CancellationToken,
    ) -> Result<Answer, Failure> {
        let mut caller = Caller::new(kind_of(call.asker)).with_cancellation(cancelled);
        let (sink, mut latest) = ProgressSink::channel();
        if call.progress {
            caller = caller.with_progress(sink);
        }
        let work = self
            .registry
            .call(self.app.clone(), &call.tool, call.arguments, caller);
        tokio::pin!(work);
        let result = loop {
            tokio::select! {
                biased;
                result = &mut work => break result,
                Ok(()) = latest.changed() => {
                    let report = latest.borrow_and_update().clone().map(progress_out);
                    reports.send_replace(report);
                }
            }
        };
        result.map_err(Failure::from).map(|output| Answer {
            structured: output.structured,
            text: output.text,
            note: None,
        })
    }
}

/// A tool that changes something is carried out by the owner of the ledger, wherever it is called.
pub(super) fn by_the_owner(mut tool: ToolSpec<App>) -> ToolSpec<App> {
    type Run = dyn Fn(Arc<App>, JsonObject, Caller) -> BoxFuture<'static, Result<ToolOutput, ToolError>>
        + Send
        + Sync;
    if tool.annotations.read_only {
        return tool;
    }
    let name = tool.name;
    let here: Arc<Run> = Arc::from(tool.run);
    tool.run = Box::new(move |app, arguments, caller| {
        if app.desk().is_owner() {
            return here(app, arguments, caller);
        }
        let here = here.clone();
        async move {
            match hand_on(&app, name, &arguments, &caller).await? {
                Some(output) => Ok(output),
                None => here(app, arguments, caller).await,
            }
        }
        .boxed()
    });
    tool
}

/// `None` when it is to be done here after all.
async fn hand_on(
    app: &App,
    tool: &str,
    arguments: &JsonObject,
    caller: &Caller,
) -> Result<Option<ToolOutput>, ToolError> {
    if let CallerKind::Schedule(_) = &caller.kind {
        // The owner has jobs of its own: twice the jobs would be twice the ticks.
        return app.desk().own().await.map(|()| None).map_err(|error| {
            let error = ToolError::from(error);
            if error.code != "read_only" {
                return error;
            }
            ToolError::new(
                STANDBY,
                "another process owns this ledger and runs the jobs of its own configuration",
                "This one goes on with its jobs when that process has ended.",
            )
        });
    }
    let call = Call {
        tool: tool.to_owned(),
        arguments: with_whole_paths(Value::Object(arguments.clone())),
        asker: asker_of(&caller.kind),
        progress: caller.progress.is_some(),
        source: Some(app.source_label()),
    };
    let report = |step: crate::app::control::Progress| {
        caller.report(step.done, step.total, &step.message);
    };
    match app.relay(call, &report).await? {
        Relayed::Here => Ok(None),
        Relayed::There(Ok(answer)) => Ok(Some(ToolOutput {
            structured: answer.structured,
            text: answer.text,
        })),
        Relayed::There(Err(failure)) => Err(failure.into()),
    }
}

/// The argument that names a folder (`run_backtest`).
const FOLDER: &str = "data_dir";

/// The same arguments for a process that may run in another folder than this one.
#[must_use]
pub fn with_whole_paths(mut arguments: Value) -> Value {
    if let Some(Value::String(path)) = arguments.get_mut(FOLDER)
        && let Ok(whole) = std::path::absolute(&*path)
        && let Some(whole) = whole.to_str()
    {
        whole.clone_into(path);
    }
    arguments
}

fn progress_out(report: Progress) -> crate::app::control::Progress {
    crate::app::control::Progress {
        done: report.done,
        total: report.total,
        message: report.message,
    }
}

/// Names that come from another process are no more to be trusted than those that clients give.
fn kind_of(asker: Asker) -> CallerKind {
    match asker {
        Asker::Mcp { client } => CallerKind::Mcp {
            client: client
                .map(|name| clean(&name, MAX_NAME))
                .filter(|name| !name.is_empty()),
        },
        Asker::Http => CallerKind::Http,
        Asker::Schedule { job } => CallerKind::Schedule(clean(&job, MAX_NAME)),
        Asker::Shell => CallerKind::Shell,
    }
}

fn asker_of(kind: &CallerKind) -> Asker {
    match kind {
        CallerKind::Mcp { client } => Asker::Mcp {
            client: client.clone(),
        },
        CallerKind::Http => Asker::Http,
        CallerKind::Schedule(job) => Asker::Schedule { job: job.clone() },
        CallerKind::Shell => Asker::Shell,
    }
}

impl From<Failure> for ToolError {
    fn from(failure: Failure) -> Self {
        ToolError::new(failure.code, failure.message, failure.hint)
    }
}

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        Failure {
            code: error.code,
            message: error.message,
            hint: error.hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_folder_means_the_same_wherever_the_owner_runs() {
        let here = std::env::current_dir().unwrap();
        let whole = with_whole_paths(json!({"data_dir": "recordings/a", "start": "a"}));
        let expected = here.join("recordings/a");
        assert_eq!(whole["data_dir"], expected.to_str().unwrap());
        assert_eq!(whole["start"], "a");
        for same in [
            json!({"data_dir": "/x"}),
            json!({"data_dir": 7}),
            json!([1]),
            json!(null),
        ] {
            assert_eq!(with_whole_paths(same.clone()), same);
        }
        // Nothing is no folder: the tool says so.
        assert_eq!(
            with_whole_paths(json!({"data_dir": ""})),
            json!({"data_dir": ""})
        );
    }

    #[test]
    fn the_kill_switch_and_cancels_are_urgent_and_nothing_else_is() {
        let registry = crate::server::tools::registry().unwrap();
        let names = registry.stats().into_iter().map(|tool| tool.name);
        let urgent: Vec<_> = names
            .filter(|name| registry.get(name).unwrap().is_urgent())
            .collect();
        assert_eq!(urgent, ["cancel_order", "halt", "resume", "cancel_resting"]);
    }

    #[test]
    fn askers_come_out_as_they_went_in_and_names_are_cleaned() {
        let kinds = [
            CallerKind::Mcp { client: None },
            CallerKind::Mcp {
                client: Some("claude".to_owned()),
            },
            CallerKind::Http,
            CallerKind::Schedule("hourly".to_owned()),
            CallerKind::Shell,
        ];
        for kind in kinds {
            assert_eq!(kind_of(asker_of(&kind)), kind);
        }
        let client = Some("a\u{7}b\n".to_owned());
        let CallerKind::Mcp { client: Some(name) } = kind_of(Asker::Mcp { client }) else {
            panic!("no name");
        };
        assert!(!name.chars().any(char::is_control), "{name:?}");
    }
}
