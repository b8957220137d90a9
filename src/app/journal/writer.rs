//! Writing a journal.

use std::convert::Infallible;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::market_data::recorded::capture::packed::{Frames, Next, pack};
use crate::trading::desk::Input;

use super::line::{Head, InputLine, Line};
use super::tables::Tables;
use super::{FORMAT, JournalError, JournalRules, LOCK, files, name_of};

/// Compressed bytes after which a new file is begun. Each file repeats what it refers to, and a
/// reader of one holds no more than that.
const FILE_BYTES: u64 = 64 << 20;

/// Writes a journal. The folder belongs to one writer at a time; a lock that the system frees when
/// the process ends sees to that.
pub struct Journal {
    dir: PathBuf,
    db: String,
    account: Option<String>,
    rules: JournalRules,
    number: u32,
    path: PathBuf,
    file: File,
    /// Bytes in complete frames.
    bytes: u64,
    /// Inputs in this file.
    inputs: u64,
    tables: Tables,
    most: u64,
    /// Held, never read.
    _lock: File,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("path", &self.path)
            .field("inputs", &self.inputs)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Begins a file in `dir`, which is made when missing, or holds a journal of the same account that
    /// goes on. `seq` is the last event of the ledger, `db` its database, `account` its name
    /// ([`super::account::of_store`]). A torn end of the file before is told in the log, and stays as it
    /// is. Errors: another process writes there, the folder holds something else or another account's
    /// journal, or the system refuses.
    pub fn open(
        dir: &Path,
        rules: JournalRules,
        db: &Path,
        account: Option<String>,
        seq: u64,
    ) -> Result<Self, JournalError> {
        std::fs::create_dir_all(dir).map_err(|error| JournalError::file(dir, error))?;
        // Nothing is put into somebody else's folder, not even a lock.
        files(dir)?;
        let lock = lock(dir)?;
        let mut before = files(dir)?;
        super::account::check(dir, &before, db, account.as_deref())?;
        let before = before.pop();
        let number = before.as_ref().map_or(0, |(number, _)| *number) + 1;
        if let Some((_, path)) = &before {
            warn_if_torn(path)?;
        }
        let path = dir.join(name_of(number));
        let mut journal = Journal {
            dir: dir.to_owned(),
            // The next process may be started elsewhere.
            db: std::path::absolute(db)
                .unwrap_or_else(|_| db.to_owned())
                .display()
                .to_string(),
            account,
            rules,
            number,
            file: create(&path)?,
            path,
            bytes: 0,
            inputs: 0,
            tables: Tables::default(),
            most: FILE_BYTES,
            _lock: lock,
        };
        journal.head(false, seq)?;
        Ok(journal)
    }

    /// Writes an input that meets a ledger whose last event is `seq`, and waits until the disk has
    /// it. Errors: [`JournalError::Write`]; the file then ends with the input before.
    pub fn write(&mut self, input: &Input, seq: u64) -> Result<(), JournalError> {
        if self.bytes >= self.most {
            self.rotate(seq)?;
        }
        let n = self.inputs + 1;
        let mut lines = Vec::new();
        let Ok(what) = input
            .convert(|snapshot| Ok::<_, Infallible>(self.tables.view(snapshot, n, &mut lines)));
        lines.push(Line::Input(Box::new(InputLine { n, seq, what })));
        self.frame(&lines)?;
        self.inputs = n;
        if self.account.is_none() {
            self.account = super::account::of_input(input);
        }
        Ok(())
    }

    fn rotate(&mut self, seq: u64) -> Result<(), JournalError> {
        let number = self.number + 1;
        let path = self.dir.join(name_of(number));
        self.file = create(&path)?;
        self.path = path;
        self.number = number;
        self.bytes = 0;
        self.inputs = 0;
        self.tables = Tables::default();
        self.head(true, seq)
    }

    fn head(&mut self, continues: bool, seq: u64) -> Result<(), JournalError> {
        let head = Head {
            format: FORMAT,
            number: self.number,
            continues,
            program: concat!("polymarket-agent ", env!("CARGO_PKG_VERSION")).to_owned(),
            db: self.db.clone(),
            account: self.account.clone(),
            seq,
        };
        self.frame(&[Line::File(head), Line::Rules(Box::new(self.rules.clone()))])
    }

    fn frame(&mut self, lines: &[Line]) -> Result<(), JournalError> {
        let failed = |detail: String| JournalError::Write {
            path: self.path.display().to_string(),
            detail,
        };
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line).map_err(|error| failed(error.to_string()))?;
            text.push(b'\n');
        }
        let frame = pack(&text).map_err(|error| failed(error.to_string()))?;
        let written = self
            .file
            .write_all(&frame)
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a frame helps nobody; if it cannot be cut off, readers tell it.
            drop(self.file.set_len(self.bytes));
            return Err(failed(error.to_string()));
        }
        self.bytes += frame.len() as u64;
        Ok(())
    }

    /// Begins a new file after so many bytes.
    #[cfg(test)]
    pub(super) fn with_file_bytes(mut self, most: u64) -> Self {
        self.most = most;
        self
    }

    /// Makes the disk full.
    #[cfg(test)]
    pub(in crate::app) fn fill_disk(&mut self) {
        self.file = File::options().write(true).open("/dev/full").unwrap();
    }
}

fn create(path: &Path) -> Result<File, JournalError> {
    let failed = |error: std::io::Error| JournalError::Write {
        path: path.display().to_string(),
        detail: error.to_string(),
    };
    let file = File::create_new(path).map_err(failed)?;
    // So that the name survives a power cut too, where the system can do that for a folder.
    if let Some(dir) = path.parent().and_then(|dir| File::open(dir).ok()) {
        drop(dir.sync_all());
    }
    Ok(file)
}

fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join(LOCK);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| JournalError::file(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Busy {
            path: dir.display().to_string(),
        }),
        Err(TryLockError::Error(error)) => Err(JournalError::file(&path, error)),
    }
}

/// What a killed process was writing when it was killed is no input that was carried out; but
/// nobody shall think that nothing was lost.
fn warn_if_torn(path: &Path) -> Result<(), JournalError> {
    let failed = |error: std::io::Error| JournalError::file(path, error);
    let mut frames = Frames::open(path).map_err(failed)?;
    loop {
        match frames.next().map_err(failed)? {
            Next::Frame(_) => {}
            Next::End => return Ok(()),
            Next::Torn(detail) => {
                tracing::warn!(
                    file = %path.display(),
                    after_byte = frames.good_bytes(),
                    detail,
                    "the journal's last input is torn: its process ended over writing it, and \
                     never carried it out"
                );
                return Ok(());
            }
        }
    }
}
