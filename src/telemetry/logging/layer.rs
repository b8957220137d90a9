//! From tracing's events and spans to lines.

use std::fmt;

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::Sink;
use super::line::Line;

/// Fields that must never show what they hold, should one be logged by mistake.
const SECRET_NAMES: [&str; 10] = [
    "api_key",
    "api_secret",
    "authorization",
    "bearer",
    "passphrase",
    "password",
    "private_key",
    "secret",
    "webhook",
    "webhook_url",
];

/// Whether this is what the scheduler's parts report when they end, as errors, at an orderly stop:
/// that the channel they listened to is closed, or that nobody waits any more to hear that a job is
/// done. Its other errors are errors.
fn is_farewell(target: &str, message: &str) -> bool {
    let closed = message.starts_with("Error receiving ") && message.ends_with("Closed");
    let unheard = message.starts_with("Error notifying done ");
    target.starts_with("tokio_cron_scheduler::") && (closed || unheard)
}

/// Writes every event to all sinks.
pub(super) struct LineLayer {
    structured: bool,
    sinks: Vec<Sink>,
}

impl LineLayer {
    pub(super) fn new(structured: bool, sinks: Vec<Sink>) -> Self {
        LineLayer { structured, sinks }
    }
}

/// A span's fields, kept with the span.
struct SpanFields(Fields);

impl<S> Layer<S> for LineLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(SpanFields(fields)) = span.extensions_mut().get_mut::<SpanFields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        // Outer spans first, so that the nearest word on a name wins.
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(Scope::from_root)
        {
            if let Some(SpanFields(of_span)) = span.extensions().get::<SpanFields>() {
                fields.data.extend(of_span.data.clone());
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        if is_farewell(metadata.target(), &fields.message) {
            return;
        }
        let line = Line {
            timestamp: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            level: metadata.level().as_str(),
            // Records of the `log` crate carry their real target as a field.
            logger: fields.target.as_deref().unwrap_or(metadata.target()),
            message: &fields.message,
            exception: fields.exception.as_deref(),
            data: &fields.data,
        };
        for sink in &self.sinks {
            sink.write(&if self.structured {
                line.json()
            } else {
                line.text(sink.ansi)
            });
        }
    }
}

/// What an event or span carries.
#[derive(Default)]
struct Fields {
    message: String,
    exception: Option<String>,
    target: Option<String>,
    data: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        match name {
            "message" => self.message = text(value),
            "error" | "exception" => self.exception = Some(text(value)),
            "log.target" => self.target = Some(text(value)),
            _ if name.starts_with("log.") => {}
            _ => {
                let last = name.rsplit('.').next().unwrap_or(name);
                let shown = if SECRET_NAMES.contains(&last) {
                    Value::from("[redacted]")
                } else {
                    value
                };
                self.data.insert(name.to_owned(), shown);
            }
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // NaN and the infinities are no JSON numbers: shown as text, not as null.
        let shown = serde_json::Number::from_f64(value)
            .map_or_else(|| Value::from(value.to_string()), Value::Number);
        self.put(field, shown);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::from(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        self.put(field, Value::from(text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::from(format!("{value:?}")));
    }
}
