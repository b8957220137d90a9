//! `WHERE` clauses of tables that are read newest first.

use rusqlite::types::Value;

/// Conditions with their values; what is asked for is a value, never part of the text.
#[derive(Debug)]
pub(super) struct Filter {
    conditions: String,
    values: Vec<Value>,
}

impl Filter {
    /// At most `limit` rows, all older than row `before`.
    pub(super) fn newest(limit: u32, before: Option<i64>) -> Self {
        Filter {
            conditions: String::new(),
            values: vec![
                Value::Integer(before.unwrap_or(i64::MAX)),
                Value::Integer(i64::from(limit)),
            ],
        }
    }

    /// Adds a condition: a column with its operator.
    pub(super) fn and(&mut self, condition: &'static str, value: Value) {
        self.values.push(value);
        let number = self.values.len();
        self.conditions
            .push_str(&format!(" AND {condition} ?{number}"));
    }

    /// Adds a condition without a value.
    pub(super) fn fixed(&mut self, condition: &'static str) {
        self.conditions.push_str(" AND ");
        self.conditions.push_str(condition);
    }

    /// Adds a condition on text, if there is one.
    pub(super) fn text(&mut self, condition: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.and(condition, Value::Text(value.to_owned()));
        }
    }

    /// The whole statement.
    pub(super) fn sql(&self, table: &'static str) -> String {
        format!(
            "SELECT * FROM {table} WHERE id < ?1{} ORDER BY id DESC LIMIT ?2",
            self.conditions
        )
    }

    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }
}
