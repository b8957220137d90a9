//! What can go wrong with a capture.

use std::path::Path;

/// Failure of writing or reading a capture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// The system refused to read or write.
    #[error("{path}: {detail}")]
    File {
        /// Which file or folder.
        path: String,
        /// What the system said.
        detail: String,
    },
    /// No more could be written, e.g. because the disk is full. What had been written before is
    /// readable.
    #[error("{path} could not be written on: {detail}; what was written before stays readable")]
    Write {
        /// Which file.
        path: String,
        /// What the system said.
        detail: String,
    },
    /// Another process records into the folder.
    #[error("{path} is being recorded into by another process")]
    Busy {
        /// The folder.
        path: String,
    },
    /// The folder holds something that cannot be continued.
    #[error("{path} cannot be continued: {detail}")]
    NotOurs {
        /// The folder.
        path: String,
        /// Why not.
        detail: String,
    },
    /// The manifest makes no sense or is of another format version.
    #[error("{path}: {detail}")]
    Manifest {
        /// The file.
        path: String,
        /// What is wrong.
        detail: String,
    },
    /// A line makes no sense.
    #[error("{file}:{number}: {detail}")]
    Line {
        /// File name.
        file: String,
        /// Line, from 1.
        number: u64,
        /// What is wrong.
        detail: String,
    },
    /// Compressed data that cannot be unpacked, in a file that was finished.
    #[error("{file} is damaged at byte {offset}: {detail}")]
    Damaged {
        /// File name.
        file: String,
        /// Where the last good part ends.
        offset: u64,
        /// What the decoder said.
        detail: String,
    },
    /// A file that is not what the manifest says.
    #[error("{file}: {detail}")]
    Mismatch {
        /// File name.
        file: String,
        /// Expected and found.
        detail: String,
    },
}

impl CaptureError {
    /// An error about `path`.
    pub(super) fn file(path: &Path, error: impl ToString) -> Self {
        CaptureError::File {
            path: path.display().to_string(),
            detail: error.to_string(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            CaptureError::File { .. } => "Check the path and its permissions.",
            CaptureError::Write { .. } => {
                "Make room and start the same command again: it goes on in a new file and notes \
                 the gap."
            }
            CaptureError::Busy { .. } => "Choose another --out, or stop the other recorder.",
            CaptureError::NotOurs { .. } | CaptureError::Manifest { .. } => {
                "Choose an empty or new folder for --out."
            }
            CaptureError::Line { .. } | CaptureError::Damaged { .. } => {
                "The file was changed or damaged after it was written; restore it from a copy."
            }
            CaptureError::Mismatch { .. } => {
                "The file is missing or was changed after it was written; restore it from a copy."
            }
        }
        .to_owned()
    }
}
