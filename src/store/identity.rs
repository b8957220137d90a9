//! Whether the open database is still the file under its name.
//!
//! A deleted file lives on for the process that has it open, and SQLite goes on committing to it: all
//! of that is gone with the process. So the name is looked up before and after each write, which
//! costs a few microseconds.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::StoreError;

/// The files of an open database as they were when it was opened.
#[derive(Debug)]
pub(super) struct Identity {
    /// The database and its write-ahead log, with what tells a file from another of the same name.
    files: Vec<(PathBuf, FileId)>,
}

impl Identity {
    /// Looks at the files of an open database. Errors: it is gone already.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        let vanished = || StoreError::Vanished {
            path: path.to_path_buf(),
        };
        let mut files = vec![(path.to_path_buf(), file_id(path).ok_or_else(vanished)?)];
        let mut name = OsString::from(path.as_os_str());
        name.push("-wal");
        let log = PathBuf::from(name);
        // Open connections keep it from being removed; on systems where it is made late it is not
        // watched.
        if let Some(id) = file_id(&log) {
            files.push((log, id));
        }
        Ok(Identity { files })
    }

    /// Errors: [`StoreError::Vanished`] with the file that is no longer the one that was opened.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self
            .files
            .iter()
            .find(|(path, id)| file_id(path).as_ref() != Some(id))
        {
            Some((path, _)) => Err(StoreError::Vanished { path: path.clone() }),
            None => Ok(()),
        }
    }
}

/// Device and number of a file on Unix; elsewhere only that it exists.
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn file_id(path: &Path) -> Option<FileId> {
    path.exists().then_some((0, 0))
}
