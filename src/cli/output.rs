//! What people and pipes read: stdout for data, stderr for the rest.

use std::io::Write;

use serde::Serialize;

use super::Failure;

/// A line of data.
pub fn line(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(Failure::from)
}

/// A result as indented JSON.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Failure::new(error.to_string(), ""))?;
    line(&text)
}

/// A line that is not data. A closed stderr stops nothing.
pub fn error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// `12.5` as `12.50`, with the sign of a loss before it.
pub fn money(amount: f64) -> String {
    if amount < 0.0 {
        format!("-${:.2}", -amount)
    } else {
        format!("${amount:.2}")
    }
}
