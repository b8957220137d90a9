//! A consistent copy of a ledger, beside whoever is writing to it.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::error::{Fault, StoreError};
use super::{BUSY_TIMEOUT, Store, check_directory, schema};

/// A copy that was made and looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The copy.
    pub path: PathBuf,
    /// Number of its last event.
    pub last_seq: u64,
    /// Its size, bytes.
    pub bytes: u64,
}

impl Store {
    /// Copies the whole database to `out`, as it is at one moment, and checks the copy. The file
    /// appears under its name only when it is whole, sound and on disk. Errors:
    /// [`StoreError::Exists`], [`StoreError::DirectoryMissing`], [`StoreError::BadBackup`], a full
    /// disk; then there is no new file.
    pub fn back_up(&self, out: &Path) -> Result<Backup, StoreError> {
        check_directory(out)?;
        if out.symlink_metadata().is_ok() {
            return Err(StoreError::Exists {
                path: out.to_path_buf(),
            });
        }
        let mut name = OsString::from(out.as_os_str());
        name.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(name);
        let made = self.copy_to(&part).and_then(|last_seq| {
            put_in_place(&part, out)?;
            Ok(last_seq)
        });
        // In place it has a second name; failed, it is of no use to anyone.
        let removed = std::fs::remove_file(&part);
        let last_seq = made?;
        if let Err(error) = removed
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %part.display(), error = %error, "a second name of the backup stays");
        }
        let bytes = std::fs::metadata(out).map_err(|error| other(out, &error))?;
        Ok(Backup {
            path: out.to_path_buf(),
            last_seq,
            bytes: bytes.len(),
        })
    }

    fn copy_to(&self, part: &Path) -> Result<u64, StoreError> {
        let before = self.last_seq()?;
        self.outside_transaction(|conn| {
            // One read transaction of SQLite's own: a writer goes on beside it.
            conn.execute("VACUUM INTO ?1", [part.to_string_lossy()])?;
            Ok(())
        })?;
        let after = self.last_seq()?;
        let last_seq = inspect(part).map_err(|fault| match fault.at(part) {
            error @ StoreError::Full { .. } => error,
            error => bad(part, error.to_string()),
        })?;
        if !(before..=after).contains(&last_seq) {
            return Err(bad(
                part,
                format!("its last event is {last_seq}; the ledger's was {before} to {after}"),
            ));
        }
        let file = File::open(part).map_err(|error| other(part, &error))?;
        file.sync_all().map_err(|error| other(part, &error))?;
        Ok(last_seq)
    }
}

/// Whether a copy is sound, and its last event.
fn inspect(part: &Path) -> Result<u64, Fault> {
    let conn = Connection::open_with_flags(
        part,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    schema::inspect(part, &conn)?;
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Fault::Store(bad(part, verdict)));
    }
    let last: i64 = conn.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| {
        row.get(0)
    })?;
    Ok(u64::try_from(last).unwrap_or(0))
}

/// Gives the finished copy its name without ever replacing another file.
fn put_in_place(part: &Path, out: &Path) -> Result<(), StoreError> {
    match std::fs::hard_link(part, out) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(StoreError::Exists {
                path: out.to_path_buf(),
            });
        }
        // File systems without a second name for a file.
        Err(_) => {
            if out.symlink_metadata().is_ok() {
                return Err(StoreError::Exists {
                    path: out.to_path_buf(),
                });
            }
            std::fs::rename(part, out).map_err(|error| other(out, &error))?;
        }
    }
    if let Some(parent) = out.parent() {
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        // The name, too, is to survive a power cut; where a directory cannot be synced it is not.
        if let Err(error) = File::open(parent).and_then(|directory| directory.sync_all()) {
            tracing::debug!(error = %error, "the directory of the backup was not synced");
        }
    }
    Ok(())
}

fn bad(part: &Path, detail: String) -> StoreError {
    StoreError::BadBackup {
        path: part.to_path_buf(),
        detail,
    }
}

fn other(path: &Path, error: &std::io::Error) -> StoreError {
    let path = path.to_path_buf();
    if error.kind() == std::io::ErrorKind::StorageFull {
        return StoreError::Full { path };
    }
    StoreError::Other {
        path,
        detail: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{LedgerEvent, StampedEvent};
    use crate::store::testing::*;

    fn files(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_copy_beside_a_busy_owner_is_whole_and_one_of_its_moments() {
        let dir = tempfile::tempdir().unwrap();
        let copies = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let store = Store::open(&path).unwrap();
        store.append(&stamped(1, [deposit(1), deposit(1)])).unwrap();
        let beside = Store::open_read_only(&path).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut next = 3;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    // In pairs: an odd last number would be half a group.
                    store
                        .append(&stamped(next, [deposit(1), deposit(1)]))
                        .unwrap();
                    next += 2;
                }
            });
            for number in 0..5 {
                let out = copies.path().join(format!("{number}.db"));
                let backup = beside.back_up(&out).unwrap();
                let copy = Store::open_read_only(&out).unwrap();
                assert_eq!(copy.last_seq().unwrap(), backup.last_seq);
                assert_eq!(backup.last_seq % 2, 0);
                assert_eq!(backup.bytes, std::fs::metadata(&out).unwrap().len());
                let events: Vec<StampedEvent> = copy.events(0, u32::MAX).unwrap();
                assert_eq!(events.len() as u64, backup.last_seq);
                assert!(matches!(events[0].event, LedgerEvent::Deposited { .. }));
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert!(
            files(copies.path())
                .iter()
                .all(|name| !name.contains("part")),
            "{:?}",
            files(copies.path())
        );
        // It can be written on, as the ledger could.
        let again = Store::open(copies.path().join("4.db")).unwrap();
        let last = again.last_seq().unwrap();
        again.append(&stamped(last + 1, [deposit(1)])).unwrap();
    }

    #[test]
    fn nothing_is_overwritten_and_a_failure_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("ledger.db")).unwrap();
        store
            .append(&stamped(1, (0..3000).map(|_| deposit(1))))
            .unwrap();
        let taken = dir.path().join("notes.txt");
        std::fs::write(&taken, "mine").unwrap();
        assert_eq!(store.back_up(&taken).unwrap_err().code(), "store_exists");
        assert_eq!(std::fs::read_to_string(&taken).unwrap(), "mine");
        let itself = store.path().to_path_buf();
        assert_eq!(store.back_up(&itself).unwrap_err().code(), "store_exists");
        let nowhere = dir.path().join("no").join("copy.db");
        assert_eq!(
            store.back_up(&nowhere).unwrap_err().code(),
            "store_directory_missing"
        );

        // A damaged page that the copy meets.
        drop(store);
        let path = dir.path().join("ledger.db");
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 8192].fill(0xA5);
        std::fs::write(&path, bytes).unwrap();
        let before = files(dir.path());
        let error = Store::open_read_only(&path)
            .unwrap()
            .back_up(&dir.path().join("copy.db"))
            .unwrap_err();
        assert_eq!(error.code(), "store_corrupt", "{error}");
        let after: Vec<String> = files(dir.path())
            .into_iter()
            .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
            .collect();
        assert_eq!(after, before);
    }
}
