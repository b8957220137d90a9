//! What the operator sees without asking: log lines and alerts.
//!
//! Everything here goes to stderr, to a file or to a webhook; stdout belongs to the protocol.

pub mod alerts;
pub mod logging;

pub use alerts::{Alert, AlertError, Alerts};
pub use logging::{LoggingConfig, LoggingError};
