//! What a killed recorder left: made whole from the lines themselves.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::packed::{Frames, Next};
use super::{CaptureError, CapturedFile, Line, Manifest, message_files};

/// A file that was found unfinished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// File name.
    pub name: String,
    /// Lines that could be read, all of which stay.
    pub lines: u64,
    /// Bytes at the end that were not a complete frame and were cut off.
    pub torn_bytes: u64,
}

/// Adds the message files that `manifest` does not list: they were being written when their
/// recorder was killed. Each is cut to its last complete frame; one without any is removed.
///
/// Errors: a listed file is missing or of another size, a file cannot be read or written, or holds
/// a line that makes no sense.
pub(super) fn repair(dir: &Path, manifest: &mut Manifest) -> Result<Vec<Repaired>, CaptureError> {
    for listed in &manifest.files {
        check_size(dir, listed)?;
    }
    let mut repaired = Vec::new();
    for (_, name) in message_files(dir)? {
        if manifest.files.iter().any(|listed| listed.name == name) {
            continue;
        }
        repaired.push(adopt(dir, name, manifest)?);
    }
    Ok(repaired)
}

fn adopt(dir: &Path, name: String, manifest: &mut Manifest) -> Result<Repaired, CaptureError> {
    let path = dir.join(&name);
    let failed = |error: std::io::Error| CaptureError::file(&path, error);
    let mut frames = Frames::open(&path).map_err(failed)?;
    let (mut lines, mut first, mut last) = (0, None, None);
    while let Next::Frame(bytes) = frames.next().map_err(failed)? {
        for text in bytes.split(|byte| *byte == b'\n') {
            if text.is_empty() {
                continue;
            }
            lines += 1;
            let line = parse(&name, lines, text)?;
            first.get_or_insert(line.at);
            last = Some(line.at);
            manifest.add(&line);
        }
    }
    let size = std::fs::metadata(&path).map_err(failed)?.len();
    let bytes = frames.good_bytes();
    let (Some(first), Some(last)) = (first, last) else {
        std::fs::remove_file(&path).map_err(failed)?;
        return Ok(Repaired {
            name,
            lines,
            torn_bytes: size,
        });
    };
    if bytes < size {
        let cut = File::options().write(true).open(&path).and_then(|file| {
            file.set_len(bytes)?;
            file.sync_all()
        });
        cut.map_err(failed)?;
    }
    manifest.files.push(CapturedFile {
        name: name.clone(),
        lines,
        bytes,
        sha256: hash_of(&path)?,
        first,
        last,
    });
    Ok(Repaired {
        name,
        lines,
        torn_bytes: size - bytes,
    })
}

/// Reads line `number` of `file`.
pub(super) fn parse(file: &str, number: u64, text: &[u8]) -> Result<Line, CaptureError> {
    std::str::from_utf8(text)
        .map_err(|error| error.to_string())
        .and_then(Line::parse)
        .map_err(|detail| CaptureError::Line {
            file: file.to_owned(),
            number,
            detail,
        })
}

/// Demands that a finished file is there with its size.
pub(super) fn check_size(dir: &Path, listed: &CapturedFile) -> Result<(), CaptureError> {
    let found = std::fs::metadata(dir.join(&listed.name)).map(|metadata| metadata.len());
    let detail = match found {
        Ok(found) if found == listed.bytes => return Ok(()),
        Ok(found) => format!("it has {found} bytes, the manifest says {}", listed.bytes),
        Err(error) => error.to_string(),
    };
    Err(CaptureError::Mismatch {
        file: listed.name.clone(),
        detail,
    })
}

/// SHA-256 of a file, lower-case hex.
pub(super) fn hash_of(path: &Path) -> Result<String, CaptureError> {
    let failed = |error: std::io::Error| CaptureError::file(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok(hex(hasher));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

/// The hash as lower-case hex.
pub(super) fn hex(hasher: Sha256) -> String {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(64);
    for byte in hasher.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
