//! Files that are there whole or not at all.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Result, Write};
use std::path::{Path, PathBuf};

/// End of the temporary name. No reader takes such a file for data.
const PART: &str = ".part";

/// Writes `bytes` to a temporary name beside `path` and renames it, so that a kill at any moment
/// leaves the old file or the new one. What a killed run left under the temporary name is
/// overwritten.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = part_of(path);
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let done = written.and_then(|()| std::fs::rename(&part, path));
    if done.is_err() {
        // The first error is the one to tell.
        drop(std::fs::remove_file(&part));
    }
    done?;
    sync_folder(path);
    Ok(())
}

/// Makes the name of a new file survive a power cut. Systems that cannot do that for a folder
/// refuse, which changes nothing.
pub(super) fn sync_folder(file: &Path) {
    if let Some(Ok(folder)) = file.parent().map(File::open) {
        drop(folder.sync_all());
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(PART);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_file_is_replaced_and_nothing_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(dir.path().join("a.csv.part"), "left by a kill").unwrap();
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        // A folder in the way: the error comes out and no part stays.
        let taken = dir.path().join("b.csv");
        std::fs::create_dir_all(taken.join("inside")).unwrap();
        assert!(write_whole(&taken, b"x").is_err());
        assert!(!dir.path().join("b.csv.part").exists());
    }
}
