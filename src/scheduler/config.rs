//! What a job looks like in the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::SchedulerError;

/// One scheduled job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobConfig {
    /// Its name in logs and audit rows: 1 to 64 of a-z, A-Z, 0-9, - and _.
    pub name: String,
    /// When, in UTC: second minute hour day month weekday; with five fields the second is 0.
    /// Where both day and weekday are given, both must hold. Sunday is 0 or 7.
    pub cron: String,
    /// What to call: `tick`, or any tool.
    pub tool: String,
    /// Arguments of the tool.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// Whether it runs.
    #[serde(default = "enabled")]
    pub enabled: bool,
}

fn enabled() -> bool {
    true
}

impl JobConfig {
    /// The schedule with its seconds. Errors: a bad name, or not five or six fields; whether the
    /// fields make sense is for the clockwork to say.
    pub(super) fn checked_cron(&self) -> Result<String, SchedulerError> {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(good) {
            return Err(SchedulerError::Name(self.name.clone()));
        }
        let fields: Vec<&str> = self.cron.split_whitespace().collect();
        match fields.len() {
            5 => Ok(format!("0 {}", fields.join(" "))),
            6 => Ok(fields.join(" ")),
            _ => Err(SchedulerError::Cron {
                job: self.name.clone(),
                cron: self.cron.clone(),
            }),
        }
    }
}
