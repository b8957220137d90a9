//! Which files of a folder are a recording of books, and of what kind.

use std::path::{Path, PathBuf};

use crate::market_data::DataError;
use crate::market_data::recorded::capture::{MANIFEST, is_capture_file};
use crate::market_data::recorded::load::{listed, price_files};
use crate::market_data::recorded::rows::{file_error, file_name};

/// What a folder, or one file, holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingKind {
    /// Price files.
    Prices,
    /// A capture, as `record` writes it.
    Capture,
    /// Messages of the market channel or answers of the book routes, one JSON value a line.
    Messages,
}

/// How names of message files end.
const ENDS: [&str; 3] = [".jsonl", ".jsonl.gz", ".jsonl.zst"];

fn is_messages(name: &str) -> bool {
    ENDS.iter().any(|end| name.ends_with(end))
}

/// What `dir` holds. Where nothing can be told it is taken for prices, whose reader says what is missing.
///
/// Errors: it cannot be read, holds both prices and books, or is one file of a capture.
pub fn kind_of(dir: &Path) -> Result<RecordingKind, DataError> {
    let name = file_name(dir).to_ascii_lowercase();
    if dir.is_file() {
        if is_capture_file(&name) {
            return Err(file_error(
                dir,
                "one file of a capture cannot be replayed without the others; name its folder",
            ));
        }
        return Ok(match is_messages(&name) {
            true => RecordingKind::Messages,
            false => RecordingKind::Prices,
        });
    }
    let all = listed(dir).map_err(|error| file_error(dir, error))?;
    let names: Vec<String> = all
        .iter()
        .map(|path| file_name(path).to_ascii_lowercase())
        .collect();
    let captured = names.iter().any(|name| is_capture_file(name));
    let messages = |name: &&String| is_messages(name) && !is_capture_file(name);
    let raw = names.iter().find(messages);
    let (_, prices) = price_files(dir)?;
    match (captured, raw, prices.first()) {
        (true, None, None) => Ok(RecordingKind::Capture),
        (false, Some(_), None) => Ok(RecordingKind::Messages),
        (false, None, None) if names.iter().any(|name| name == MANIFEST) => {
            Ok(RecordingKind::Capture)
        }
        (false, None, _) => Ok(RecordingKind::Prices),
        (true, Some(raw), _) => Err(mixed(dir, "a capture", raw)),
        (true, None, Some(prices)) => Err(mixed(dir, "a capture", &file_name(prices))),
        (false, Some(raw), Some(prices)) => Err(mixed(
            dir,
            &format!("price files ({})", file_name(prices)),
            raw,
        )),
    }
}

fn mixed(dir: &Path, one: &str, other: &str) -> DataError {
    file_error(
        dir,
        format!(
            "the folder holds {one} and also {other}, which is of another kind; a backtest reads one \
             kind: put them into folders of their own"
        ),
    )
}

/// The files with messages below `dir` that is of `kind`, in order, a capture's manifest first.
///
/// Errors: `dir` cannot be read.
pub fn message_files(dir: &Path, kind: RecordingKind) -> Result<Vec<PathBuf>, DataError> {
    if dir.is_file() {
        return Ok(vec![dir.to_owned()]);
    }
    let mut all = listed(dir).map_err(|error| file_error(dir, error))?;
    all.retain(|path| {
        let name = file_name(path).to_ascii_lowercase();
        match kind {
            RecordingKind::Capture => name == MANIFEST || is_capture_file(&name),
            RecordingKind::Messages => is_messages(&name),
            RecordingKind::Prices => false,
        }
    });
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(files: &[&str]) -> Result<RecordingKind, DataError> {
        let dir = tempfile::tempdir().unwrap();
        for name in files {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        kind_of(dir.path())
    }

    #[test]
    fn a_folder_is_of_one_kind() {
        assert_eq!(
            kind(&["a.csv", "resolutions.csv"]).unwrap(),
            RecordingKind::Prices
        );
        assert_eq!(kind(&[]).unwrap(), RecordingKind::Prices);
        assert_eq!(
            kind(&["a.jsonl.gz", "b.JSONL", "resolutions.csv", "markets.json"]).unwrap(),
            RecordingKind::Messages
        );
        let capture = ["manifest.json", "messages-000001.jsonl.zst"];
        assert_eq!(kind(&capture).unwrap(), RecordingKind::Capture);
        for mixed in [
            &["a.csv", "a.jsonl"][..],
            &["a.csv", "messages-000001.jsonl.zst"],
            &["a.jsonl", "messages-000001.jsonl.zst"],
        ] {
            let error = kind(mixed).unwrap_err().to_string();
            assert!(error.contains("another kind"), "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("messages-000001.jsonl.zst");
        std::fs::write(&part, "x").unwrap();
        assert!(
            kind_of(&part)
                .unwrap_err()
                .to_string()
                .contains("name its folder")
        );
        assert!(kind_of(&dir.path().join("missing")).is_err());
    }
}
