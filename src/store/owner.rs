//! One owner per ledger.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::location::{check_single_name, real_path};

/// The right to write a ledger, held until it is dropped or the process ends.
///
/// The kernel holds the lock, not the file's presence: `<db>.lock` stays behind, and a dead owner's
/// lock is free. The file tells the owner's process id for messages only. It is named after the file
/// that a path leads to in the end ([`real_path`]), so that a link makes no second owner.
#[derive(Debug)]
pub struct OwnerLock {
    path: PathBuf,
    file: File,
}

impl OwnerLock {
    /// Takes the lock of the ledger at `db_path`, without waiting. Errors: [`StoreError::Owned`]
    /// when another process (or another handle in this one) holds it, [`StoreError::ManyNames`] for
    /// a database with hard links, [`StoreError::CannotOpen`], [`StoreError::Full`],
    /// [`StoreError::ReadOnly`] or [`StoreError::DirectoryMissing`] when the lock file cannot be made.
    pub fn acquire(db_path: &Path) -> Result<OwnerLock, StoreError> {
        let db = real_path(db_path)?;
        check_single_name(&db)?;
        let path = lock_file(&db);
        let cannot = |error: std::io::Error| StoreError::from_io(&path, &error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Unreadable only means that the message cannot name the owner.
                let pid = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(StoreError::Owned {
                    path: db_path.to_path_buf(),
                    pid,
                });
            }
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        let text = format!("{}\n", std::process::id());
        file.rewind()
            .and_then(|()| file.write_all(text.as_bytes()))
            .and_then(|()| file.set_len(text.len() as u64))
            .map_err(cannot)?;
        Ok(OwnerLock { path, file })
    }

    /// True while some process owns the ledger at `db_path`. Makes no file; a lock file that cannot be
    /// read counts as nobody's.
    #[must_use]
    pub fn is_held(db_path: &Path) -> bool {
        let Some(file) = lock_of(db_path).and_then(|path| File::open(path).ok()) else {
            return false;
        };
        // For a moment the lock is ours; whoever starts just then tries again.
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// The process that last took the lock of the ledger at `db_path`, for messages: where it was
    /// killed the file still names it.
    #[must_use]
    pub fn named_owner(db_path: &Path) -> Option<u32> {
        let text = std::fs::read_to_string(lock_of(db_path)?).ok()?;
        text.trim().parse().ok()
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// `<db>.lock` of a database by its real name.
fn lock_file(db: &Path) -> PathBuf {
    let mut name = OsString::from(db.as_os_str());
    name.push(".lock");
    PathBuf::from(name)
}

/// The lock file of the database that a path leads to.
fn lock_of(db_path: &Path) -> Option<PathBuf> {
    real_path(db_path).ok().map(|db| lock_file(&db))
}

impl Drop for OwnerLock {
    fn drop(&mut self) {
        // Closing the file frees the lock in any case; the emptied file only stops naming us.
        drop(self.file.set_len(0));
        drop(self.file.unlock());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_second_owner_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("ledger.db");
        assert!(!OwnerLock::is_held(&db));
        let lock = OwnerLock::acquire(&db).unwrap();
        assert!(OwnerLock::is_held(&db));
        assert_eq!(
            std::fs::read_to_string(lock.path()).unwrap().trim(),
            std::process::id().to_string()
        );
        let refused = OwnerLock::acquire(&db).unwrap_err();
        assert!(
            matches!(refused, StoreError::Owned { pid: Some(pid), .. } if pid == std::process::id()),
            "{refused}"
        );
        assert!(OwnerLock::acquire(&dir.path().join("other.db")).is_ok());
        drop(lock);
        assert!(!OwnerLock::is_held(&db));
        assert!(OwnerLock::acquire(&db).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_leads_to_the_same_lock_and_hard_links_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (db, link) = (dir.path().join("ledger.db"), dir.path().join("link.db"));
        std::os::unix::fs::symlink("ledger.db", &link).unwrap();
        // Before the file is there, and after.
        for existing in [false, true] {
            for (ours, theirs) in [(&db, &link), (&link, &db)] {
                let lock = OwnerLock::acquire(ours).unwrap();
                let refused = OwnerLock::acquire(theirs).unwrap_err();
                assert_eq!(refused.code(), "store_owned", "{refused}");
                assert!(OwnerLock::is_held(theirs));
                assert_eq!(OwnerLock::named_owner(theirs), Some(std::process::id()));
                drop(lock);
            }
            if !existing {
                std::fs::write(&db, "").unwrap();
            }
        }
        assert!(!dir.path().join("link.db.lock").exists());

        let twin = dir.path().join("twin.db");
        std::fs::hard_link(&db, &twin).unwrap();
        for name in [&db, &link, &twin] {
            let refused = OwnerLock::acquire(name).unwrap_err();
            assert_eq!(refused.code(), "store_many_names", "{refused}");
            assert!(refused.to_string().contains("2 names"), "{refused}");
            assert!(refused.hint().contains("-samefile"));
        }
        assert!(!dir.path().join("twin.db.lock").exists());
        std::fs::remove_file(&twin).unwrap();
        assert!(OwnerLock::acquire(&db).is_ok());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named_as_such() {
        let dir = tempfile::tempdir().unwrap();
        // A device on which every write finds the disk full.
        std::os::unix::fs::symlink("/dev/full", dir.path().join("ledger.db.lock")).unwrap();
        let error = OwnerLock::acquire(&dir.path().join("ledger.db")).unwrap_err();
        assert_eq!(error.code(), "store_full", "{error}");
        assert!(error.to_string().contains("ledger.db.lock"), "{error}");
        assert!(error.hint().contains("Free space"), "{}", error.hint());
    }

    #[test]
    fn the_lock_needs_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let error = OwnerLock::acquire(&dir.path().join("no").join("ledger.db")).unwrap_err();
        assert_eq!(error.code(), "store_directory_missing");
    }

    #[test]
    #[ignore = "the other process of a_dead_owners_lock_is_free"]
    fn hold_the_lock_until_killed() {
        let db = PathBuf::from(std::env::var_os("OWNER_TEST_DB").unwrap());
        let _lock = OwnerLock::acquire(&db).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(60));
    }

    #[test]
    fn a_dead_owners_lock_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("ledger.db");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact"])
            .arg("store::owner::tests::hold_the_lock_until_killed")
            .env("OWNER_TEST_DB", &db)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Read rather than tried, so that the child never finds the lock taken by us.
        let lock_file = dir.path().join("ledger.db.lock");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while std::fs::read_to_string(&lock_file).unwrap_or_default() != format!("{}\n", child.id())
        {
            assert!(std::time::Instant::now() < deadline, "the child never came");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let refused = OwnerLock::acquire(&db).unwrap_err();
        assert!(
            matches!(refused, StoreError::Owned { pid: Some(pid), .. } if pid == child.id()),
            "{refused}"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(OwnerLock::acquire(&db).is_ok());
    }
}
