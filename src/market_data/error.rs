//! What can go wrong between us and a source of market data.

use std::time::Duration;

/// Failure of a data request, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// No connection, no answer in time, or no name resolution.
    #[error("{host} could not be reached: {detail}")]
    Unreachable {
        /// Host, without path or query.
        host: String,
        /// What the transport said.
        detail: String,
    },
    /// Not asked: it failed too often in a row, and is left alone for a while.
    #[error(
        "{host} failed {failures} times in a row and is left alone; it is tried again in {} s \
         ({cause})",
        .retry_in.as_secs()
    )]
    CircuitOpen {
        /// Host and port.
        host: String,
        /// Failures in a row.
        failures: u32,
        /// When the next request may go out.
        retry_in: Duration,
        /// The failure that was the last straw.
        cause: String,
    },
    /// An answer with an error status.
    #[error("{route} answered with status {status}: {detail}")]
    Status {
        /// Method and path, without query.
        route: String,
        /// HTTP status.
        status: u16,
        /// What the body said, shortened.
        detail: String,
        /// How long the venue asks to wait.
        retry_after: Option<Duration>,
    },
    /// An answer that is not what the route promises.
    #[error("{route} gave an answer that could not be read: {detail}")]
    Malformed {
        /// Method and path, without query; or a file.
        route: String,
        /// What was wrong.
        detail: String,
    },
    /// This source does not have this kind of data.
    #[error("{what} is not available from the {from} source")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// Which source.
        from: String,
    },
    /// The question itself makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// A file or directory could not be read.
    #[error("{path}: {detail}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        detail: String,
    },
    /// Whoever asked did not want the answer any more.
    #[error("the loading was cancelled")]
    Cancelled,
}

impl DataError {
    /// Short name for programs: `unreachable`, `venue_error`, …
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            DataError::Unreachable { .. } | DataError::CircuitOpen { .. } => "venue_unreachable",
            DataError::Status { status: 429, .. } => "rate_limited",
            DataError::Status { .. } => "venue_error",
            DataError::Malformed { .. } => "venue_malformed",
            DataError::Unsupported { .. } => "not_available",
            DataError::BadRequest(_) => "bad_arguments",
            DataError::File { .. } => "file_error",
            DataError::Cancelled => "cancelled",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            DataError::Unreachable { .. } => {
                "Check the network and `venue` in config.yaml; without a network use `--source \
                 sandbox` or `--source recorded --data DIR`."
                    .to_owned()
            }
            DataError::CircuitOpen { retry_in, .. } => format!(
                "Call again in {} s. If it stays so: check the network, or use `--source sandbox` or \
                 `--source recorded --data DIR`.",
                retry_in.as_secs().max(1)
            ),
            DataError::Status {
                status: 429,
                retry_after,
                ..
            } => match retry_after {
                Some(wait) => format!("Wait {} s and call again.", wait.as_secs().max(1)),
                None => "Wait ten seconds and call again, with a smaller limit.".to_owned(),
            },
            // 425: the matching engine restarts; 408: it did not get to the question in time.
            DataError::Status { status, .. } if *status >= 500 || matches!(status, 408 | 425) => {
                "The venue has a problem or restarts; wait a minute and call again.".to_owned()
            }
            DataError::Status { .. } => {
                "Check the id: search_markets lists markets with their ids and tokens.".to_owned()
            }
            DataError::Malformed { .. } => {
                "The source's format may have changed; health_check counts what was skipped."
                    .to_owned()
            }
            DataError::Unsupported { .. } => {
                "Start the server with `--source polymarket` to get it from the venue.".to_owned()
            }
            DataError::BadRequest(_) => "Correct the argument and call again.".to_owned(),
            DataError::File { .. } => {
                "Check the path and that it holds CSV or Parquet files with the columns \
                 timestamp,market_id,question,yes_price,volume,token_id, or recorded order books; \
                 docs/data.md describes both."
                    .to_owned()
            }
            DataError::Cancelled => "Nothing was changed; call again when it is wanted.".to_owned(),
        }
    }
}
