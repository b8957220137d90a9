//! Which file a name of a database stands for.
//!
//! Lock, control socket and SQLite's own files are named after the database. Two names of one file
//! would make two of each, and so two owners: symbolic links are followed first, and a file with
//! several hard links is not opened at all, since nothing tells which of its names counts.

use std::io;
use std::path::{Path, PathBuf};

use super::error::StoreError;

/// Most links that are followed one after the other, as on Linux.
const MAX_LINKS: u32 = 40;

/// The one name of the database at `db`: absolute, without symbolic links. The file need not exist
/// yet. Errors: [`StoreError::DirectoryMissing`], or [`StoreError::CannotOpen`] where the name stands
/// for no file (links that go round in circles, folders that may not be entered).
pub fn real_path(db: &Path) -> Result<PathBuf, StoreError> {
    let cannot = |detail: String| StoreError::CannotOpen {
        path: db.to_path_buf(),
        detail,
    };
    let mut path = db.to_path_buf();
    for _ in 0..MAX_LINKS {
        match path.canonicalize() {
            Ok(whole) => return Ok(whole),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // A file where a folder should be, among others.
            Err(error) => {
                super::check_directory(&path)?;
                return Err(cannot(error.to_string()));
            }
        }
        // A link to a file that is still to be made.
        if let Ok(target) = path.read_link() {
            path = folder_of(&path).join(target);
            continue;
        }
        super::check_directory(&path)?;
        let name = path
            .file_name()
            .ok_or_else(|| cannot("it names no file".to_owned()))?;
        let folder = folder_of(&path).canonicalize();
        return Ok(folder
            .map_err(|error| cannot(error.to_string()))?
            .join(name));
    }
    Err(cannot("too many symbolic links".to_owned()))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Errors: [`StoreError::ManyNames`] when the database has hard links. A file that does not exist has
/// none.
#[cfg(unix)]
pub(super) fn check_single_name(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() && found.nlink() > 1 => Err(StoreError::ManyNames {
            path: path.to_path_buf(),
            names: found.nlink(),
        }),
        // What cannot be looked at is told by whoever opens it.
        _ => Ok(()),
    }
}

/// Nothing tells the number of a file's names here.
#[cfg(not(unix))]
pub(super) fn check_single_name(_: &Path) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_to_be_made_has_the_name_that_it_will_have() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().canonicalize().unwrap();
        let db = folder.join("ledger.db");
        let spelled = dir.path().join(".").join("ledger.db");
        assert_eq!(real_path(&spelled).unwrap(), db);
        std::fs::write(&db, "").unwrap();
        assert_eq!(real_path(&spelled).unwrap(), db);
        // Beside the current folder, whatever that is.
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(real_path(Path::new("no.db")).unwrap(), here.join("no.db"));
        let nowhere = real_path(&dir.path().join("no").join("ledger.db")).unwrap_err();
        assert_eq!(nowhere.code(), "store_directory_missing");
        let in_a_file = real_path(&db.join("ledger.db")).unwrap_err();
        assert_eq!(in_a_file.code(), "store_directory_missing");
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_to_the_file_whether_or_not_it_exists() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().canonicalize().unwrap();
        let db = folder.join("ledger.db");
        std::fs::create_dir(folder.join("links")).unwrap();
        symlink("../ledger.db", folder.join("links/relative.db")).unwrap();
        symlink(folder.join("links/relative.db"), folder.join("second.db")).unwrap();
        symlink(&folder, folder.join("links/folder")).unwrap();
        symlink("circle.db", folder.join("circle.db")).unwrap();
        let names = ["links/relative.db", "second.db", "links/folder/ledger.db"];
        for existing in [false, true] {
            for name in names {
                assert_eq!(real_path(&folder.join(name)).unwrap(), db, "{name}");
            }
            if !existing {
                std::fs::write(&db, "").unwrap();
            }
        }
        let circle = real_path(&folder.join("circle.db")).unwrap_err();
        assert_eq!(circle.code(), "store_cannot_open");
    }
}
