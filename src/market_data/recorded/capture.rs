//! Captures: the market channel as it came over the WebSocket, with our receive times.
//!
//! A capture is a folder of zstd-compressed JSON lines (`messages-000001.jsonl.zst`, …) and a
//! `manifest.json` that sums them up; `docs/recording.md` describes both with examples. The lines
//! are the truth: the manifest can be made from them anew, which is what happens after a kill.
//!
//! [`CaptureWriter`] writes one, [`Capture`] reads one. Times are UTC ms of this machine's clock.

mod error;
mod line;
mod manifest;
pub(crate) mod packed;
mod reader;
mod repair;
mod writer;

#[cfg(test)]
mod tests;

pub use error::CaptureError;
pub use line::{Body, Line};
pub use manifest::{CapturedFile, CapturedMarket, CapturedToken, Gap, Manifest};
pub use reader::{Capture, Lines};
pub use repair::Repaired;
pub use writer::CaptureWriter;

/// Version of the format that is written; others are refused.
pub const FORMAT: u32 = 1;
/// Name of the summary.
pub const MANIFEST: &str = "manifest.json";
/// Name of the file whose lock a recorder holds.
const LOCK: &str = "recording.lock";
const PREFIX: &str = "messages-";
const SUFFIX: &str = ".jsonl.zst";

/// `messages-000012.jsonl.zst`
fn name_of(number: u32) -> String {
    format!("{PREFIX}{number:06}{SUFFIX}")
}

/// The number in such a name.
fn number_of(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?
        .strip_suffix(SUFFIX)?
        .parse()
        .ok()
}

/// Whether a file name is that of a part of a capture.
pub(crate) fn is_capture_file(name: &str) -> bool {
    number_of(name).is_some()
}

/// Numbers and names of the message files in `dir`, in order.
fn message_files(dir: &std::path::Path) -> Result<Vec<(u32, String)>, CaptureError> {
    let failed = |error: std::io::Error| CaptureError::file(dir, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        if let Some(number) = number_of(&name) {
            found.push((number, name.into_owned()));
        }
    }
    found.sort();
    Ok(found)
}
