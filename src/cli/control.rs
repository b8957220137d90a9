//! What a shell asks of the account: of its owner over the control socket, or, where there is none,
//! of an account that this process opens for the moment.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::app::control::{Answer, Asker, Call, ask_owner};
use crate::app::{Access, AppError};
use crate::server::control::{RegistryHandler, with_whole_paths};
use crate::server::{Caller, CallerKind, ToolError};

use super::serve::registry;
use super::source::SourceArgs;
use super::{Common, Failure, output, start_logging};

/// How long calls of others may go on once this process has done its own.
const GRACE: Duration = Duration::from_secs(5);

/// Calls an entry of the registry, by the owner of the ledger or here. The inner error is the
/// tool's own. Errors: the configuration, the source or the account cannot be opened.
pub async fn call(
    common: &Common,
    source: &SourceArgs,
    tool: &str,
    arguments: Value,
) -> Result<Result<Answer, ToolError>, Failure> {
    let config = common.load()?;
    start_logging(&config, "warn")?;
    let db = common.db_for(source.domain());
    let wanted = Call {
        tool: tool.to_owned(),
        arguments: with_whole_paths(arguments.clone()),
        asker: Asker::Shell,
        progress: false,
        source: source.named(&config, common.config.is_some()),
    };
    match ask_owner(&db, wanted, &|_| {}).await {
        Ok(None) => {}
        Ok(Some(Ok(answer))) => {
            if let Some(note) = &answer.note {
                output::error(&format!("note: {note}"));
            }
            return Ok(Ok(answer));
        }
        Ok(Some(Err(failure))) => return Ok(Err(failure.into())),
        // It was asked, and may have done it: for whoever reads the JSON too.
        Err(error @ AppError::OutcomeUnknown { .. }) => return Ok(Err(error.into())),
        Err(error) => return Err(error.into()),
    }
    let (app, sandbox) = source
        .open_app(common, config, Access::OwnOrReadNow, None)
        .await?;
    let registry = Arc::new(registry()?);
    // For as long as this call holds the ledger others reach it here.
    let control = app.listen(RegistryHandler::new(registry.clone(), app.clone()));
    // Tools that read what is known ask nobody; in a process that has just begun nothing is known.
    if tool == "health_check" {
        tokio::spawn(app.probe());
    }
    let caller = Caller::new(CallerKind::Shell);
    let result = registry.call(app.clone(), tool, arguments, caller).await;
    app.flush_alerts(Duration::from_secs(12)).await;
    control.stop(GRACE).await;
    drop(sandbox);
    Ok(result.map(|output| Answer {
        structured: output.structured,
        text: output.text,
        note: None,
    }))
}
