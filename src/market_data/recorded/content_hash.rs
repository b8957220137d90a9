//! A name for the content of a recording: equal names, equal data.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use blake3::{Hash, Hasher};
use rayon::prelude::*;

use crate::market_data::DataError;

use super::load::{Role, files_of};
use super::rows::file_error;

const BLOCK: usize = 1 << 20;

/// Hashes of what was read of files, taken on the way: hashing such a file does not read it once more, and
/// cannot meet another content.
#[derive(Debug, Default)]
pub struct Digests(Mutex<HashMap<PathBuf, Hash>>);

impl Digests {
    /// Notes that a file held what has this hash.
    pub(super) fn note(&self, path: &Path, hash: Hash) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(path.to_owned(), hash);
    }

    pub(super) fn get(&self, path: &Path) -> Option<Hash> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(path).copied()
    }
}

/// Every file that loading `dir` reads, those of the folder above included.
///
/// Errors: `dir` cannot be read.
pub fn files_read(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    Ok(files_of(dir)?.into_iter().map(|(_, path)| path).collect())
}

/// BLAKE3 (it is read as fast as a disk gives it) over what the files of a recording hold and are read
/// as, in the order in which they are read, 64 hex digits. That order counts because of two rows of one
/// market and moment the later one holds. Names count only as far as they give the order, and where a
/// `dataset.yaml` may speak of files by name; where they lie does not count, how they are packed does.
///
/// What `known` knows is not read. Errors: a file cannot be read; or `cancelled` said so.
pub fn content_hash(
    dir: &Path,
    known: &Digests,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<String, DataError> {
    let files = files_of(dir)?;
    let digests: Vec<Result<[u8; 33], DataError>> = files
        .par_iter()
        .map(|(role, path)| of_file(*role, path, known, cancelled))
        .collect();
    let digests = digests.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut whole = Hasher::new();
    for digest in &digests {
        whole.update(digest);
    }
    if files.iter().any(|(role, _)| *role == Role::Description) {
        for (_, path) in &files {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            whole.update(name).update(&[0]);
        }
    }
    Ok(whole.finalize().to_hex().to_string())
}

/// The role and the digest of the content.
fn of_file(
    role: Role,
    path: &Path,
    known: &Digests,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<[u8; 33], DataError> {
    let hash = match known.get(path) {
        Some(hash) => hash,
        None => read(path, cancelled)?,
    };
    let mut out = [0_u8; 33];
    let (first, rest) = out.split_at_mut(1);
    first.fill(match role {
        Role::Prices => 0,
        Role::Markets => 1,
        Role::Description => 2,
        Role::Resolutions => 3,
        Role::Books => 4,
    });
    rest.copy_from_slice(hash.as_bytes());
    Ok(out)
}

fn read(path: &Path, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<Hash, DataError> {
    let mut file = File::open(path).map_err(|error| file_error(path, error))?;
    let mut digest = Hasher::new();
    let mut block = vec![0_u8; BLOCK];
    loop {
        if cancelled() {
            return Err(DataError::Cancelled);
        }
        let read = file
            .read(&mut block)
            .map_err(|error| file_error(path, error))?;
        match block.get(..read) {
            None | Some([]) => return Ok(digest.finalize()),
            Some(bytes) => {
                digest.update(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    fn hash(files: &[(&str, &str)]) -> String {
        content_hash(folder(files).path(), &Digests::default(), &|| false).unwrap()
    }

    #[test]
    fn what_is_read_and_in_which_order_counts_and_names_do_not() {
        let one = hash(&[("a.csv", "x"), ("b.csv", "y")]);
        assert_eq!(one, hash(&[("1.csv", "x"), ("2.csv", "y")]));
        // blake3(00 blake3("x") 00 blake3("y")) by the Python package blake3.
        assert_eq!(
            one,
            "4668addd9ee2f3a72bb2ce315ebd6fa1619e8ae7a0d606ba5b485deaeab30fa3"
        );
        // The same files by other names are read in the other order, and the later row of a moment holds.
        assert_eq!(
            hash(&[("1.csv", "y"), ("2.csv", "x")]),
            "e05448e90481126a6e2fb635c4fed0c34c0c321ecd29c9483f4835d0bea6caf6"
        );
        for other in [
            hash(&[("a.csv", "x")]),
            hash(&[("a.csv", "x"), ("b.csv", "z")]),
            hash(&[("a.csv", "x"), ("b.csv", "y"), ("c.csv", "")]),
            hash(&[("a.csv", "x"), ("resolutions.csv", "y")]),
            hash(&[("a.csv", "x"), ("b.csv", "y"), ("markets.json", "[]")]),
        ] {
            assert_ne!(one, other);
        }
        // What is not read does not count.
        assert_eq!(
            one,
            hash(&[("a.csv", "x"), ("b.csv", "y"), ("notes.txt", "z")])
        );
    }

    /// It may say of `a.csv` what it does not say of `1.csv`.
    #[test]
    fn beside_a_description_of_files_their_names_count() {
        let described = |name| hash(&[(name, "x"), ("dataset.yaml", "volume_kind: none")]);
        assert_eq!(described("a.csv"), described("a.csv"));
        assert_ne!(described("a.csv"), described("1.csv"));
    }

    #[test]
    fn it_ends_when_told() {
        let dir = folder(&[("a.csv", "x")]);
        let stopped = content_hash(dir.path(), &Digests::default(), &|| true).unwrap_err();
        assert_eq!(stopped.code(), "cancelled");
        assert_eq!(files_read(dir.path()).unwrap(), [dir.path().join("a.csv")]);
    }
}
