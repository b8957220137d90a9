//! What a job looks like in the configuration.

use crate::app::config::JobConfig;

use super::SchedulerError;

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
