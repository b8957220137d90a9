//! What the operator sees without asking: log lines and alerts.
//!
//! Everything here goes to stderr, to a file or to a webhook; stdout belongs to the protocol.

pub mod alerts;
pub mod logging;

pub use alerts::{Alert, AlertError, Alerts};
pub use logging::{LoggingConfig, LoggingError};

/// For tests that capture log lines in one thread of many: with no listener anywhere at the moment a
/// log statement is first reached, tracing would take it for unwanted and remember that.
#[cfg(test)]
fn keep_listening() {
    use tracing_subscriber::layer::{Layer, SubscriberExt};

    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let ours = tracing_subscriber::filter::filter_fn(|metadata| {
            metadata.target().starts_with("polymarket_agent")
        });
        let sink = tracing_subscriber::fmt::layer()
            .with_writer(std::io::sink)
            .with_filter(ours);
        // Another test of this process may have set one: that one listens too.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(sink));
        tracing::callsite::rebuild_interest_cache();
    });
}
