//! What can go wrong with a journal.

use std::path::Path;

/// Failure of writing or reading a journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The system refused to read.
    #[error("{path}: {detail}")]
    File {
        /// Which file or folder.
        path: String,
        /// What the system said.
        detail: String,
    },
    /// An input could not be written down.
    #[error("the journal {path} could not be written: {detail}")]
    Write {
        /// Which file.
        path: String,
        /// What the system said.
        detail: String,
    },
    /// Another process writes into the folder.
    #[error("another process writes a journal into {path}")]
    Busy {
        /// The folder.
        path: String,
    },
    /// The folder holds something that is no part of a journal.
    #[error("{path} is no folder for a journal: it holds `{found}`")]
    NotOurs {
        /// The folder.
        path: String,
        /// What lies there.
        found: String,
    },
    /// The folder holds the journal of another account.
    #[error("the journal in {path} is that of {of}, not of the account in {db}")]
    OtherAccount {
        /// The folder.
        path: String,
        /// Whose it is.
        of: String,
        /// The database of this account.
        db: String,
    },
    /// A file was written by another version.
    #[error("{file} has format {found}; this version reads {}", super::FORMAT)]
    Version {
        /// File.
        file: String,
        /// Its format.
        found: u32,
    },
    /// Files or inputs are missing.
    #[error("{file}: {detail}")]
    Missing {
        /// Where it was noticed.
        file: String,
        /// What is missing.
        detail: String,
    },
    /// Data that cannot be read where nothing can have been torn by a kill.
    #[error("{file} is damaged: {detail}")]
    Damaged {
        /// File.
        file: String,
        /// What was found.
        detail: String,
    },
}

impl JournalError {
    /// An error about `path`.
    pub(super) fn file(path: &Path, error: impl ToString) -> Self {
        JournalError::File {
            path: path.display().to_string(),
            detail: error.to_string(),
        }
    }

    /// Short name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            JournalError::File { .. } => "journal_file",
            JournalError::Write { .. } => "journal_write",
            JournalError::Busy { .. } => "journal_busy",
            JournalError::NotOurs { .. } => "journal_not_ours",
            JournalError::OtherAccount { .. } => "journal_other_account",
            JournalError::Version { .. } => "journal_version",
            JournalError::Missing { .. } => "journal_missing",
            JournalError::Damaged { .. } => "journal_damaged",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            JournalError::File { .. } => "Check the path and its permissions.",
            JournalError::Write { .. } => {
                "Nothing was carried out. Make room on that disk and start again, or start without \
                 --journal."
            }
            JournalError::Busy { .. } => "Name another folder with --journal, or stop the other.",
            JournalError::NotOurs { .. } => "Name an empty or new folder with --journal.",
            JournalError::OtherAccount { .. } => {
                "Each account has a journal of its own: name another folder with --journal, or the \
                 other database with --db."
            }
            JournalError::Version { .. } => "Use the version of polymarket-agent that wrote it.",
            JournalError::Missing { .. } => "Restore the whole folder from a copy.",
            JournalError::Damaged { .. } => {
                "The file was changed or damaged after it was written; restore it from a copy."
            }
        }
    }
}
