//! Where the control socket of a ledger lies.
//!
//! `<db>.sock`, by the database's real name, unless that is longer than a socket's path may be (107 bytes on Linux): then in a
//! private folder with a short name, which `<db>.sock-path` beside the database names.

#[cfg(unix)]
pub(super) use unix::{Bound, bind, find};

#[cfg(unix)]
mod unix {
    use std::ffi::{OsStr, OsString};
    use std::fs::{DirBuilder, File, OpenOptions, Permissions};
    use std::io::{self, ErrorKind, Read, Write};
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::os::unix::fs::{
        DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt,
    };
    use std::os::unix::net::SocketAddr;
    use std::path::{Path, PathBuf};

    use tokio::net::UnixListener;

    use crate::store;

    /// Longest text of a `.sock-path` file that is read, bytes.
    const MAX_POINTER: u64 = 4096;
    /// How the private folders are called, before a random number.
    const FOLDER: &str = "polymarket-agent-";
    /// The socket in such a folder.
    const NAME: &str = "control.sock";

    fn beside(db: &Path, ending: &str) -> PathBuf {
        let mut name = OsString::from(db.as_os_str());
        name.push(ending);
        PathBuf::from(name)
    }

    /// Whether a path is short enough to be a socket's.
    fn fits(path: &Path) -> bool {
        SocketAddr::from_pathname(path).is_ok()
    }

    fn pointer(db: &Path) -> PathBuf {
        beside(db, ".sock-path")
    }

    /// The database by its real name: a link to it leads to the same owner.
    fn real(db: &Path) -> io::Result<PathBuf> {
        store::real_path(db).map_err(io::Error::other)
    }

    /// Where to connect. Errors: `NotFound` when no owner has said where.
    pub fn find(db: &Path) -> io::Result<PathBuf> {
        let db = real(db)?;
        let path = beside(&db, ".sock");
        if fits(&path) {
            return Ok(path);
        }
        named_in(&pointer(&db))
    }

    fn named_in(file: &Path) -> io::Result<PathBuf> {
        let mut bytes = Vec::new();
        File::open(file)?
            .take(MAX_POINTER)
            .read_to_end(&mut bytes)?;
        while bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        let path = PathBuf::from(OsString::from_vec(bytes));
        if path.is_absolute() && fits(&path) {
            return Ok(path);
        }
        Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("{} names no socket", file.display()),
        ))
    }

    /// A socket that listens. Dropped, it is gone from the disk: only the owner of the ledger may
    /// hold one.
    #[derive(Debug)]
    pub struct Bound {
        pub(in super::super) listener: UnixListener,
        /// User that this process runs as.
        pub(in super::super) user: u32,
        path: PathBuf,
        /// The file that names it, where it does not lie beside the database.
        pointer: Option<PathBuf>,
    }

    impl Bound {
        /// Where it lies.
        pub(in super::super) fn path(&self) -> &Path {
            &self.path
        }
    }

    impl Drop for Bound {
        fn drop(&mut self) {
            // What cannot be removed is stale for the next owner, which removes it.
            drop(std::fs::remove_file(&self.path));
            if let Some(pointer) = &self.pointer {
                drop(std::fs::remove_file(pointer));
                remove_folder_of(&self.path);
            }
        }
    }

    /// Binds the socket of the ledger at `db`, in place of one that a dead owner left. To be called
    /// by the owner only. Errors: the system refuses, or something else lies there.
    pub fn bind(db: &Path) -> io::Result<Bound> {
        let db = real(db)?;
        let beside_db = beside(&db, ".sock");
        let (path, pointer) = if fits(&beside_db) {
            (beside_db, None)
        } else {
            let pointer = pointer(&db);
            clear_named(&pointer);
            (private_folder()?.join(NAME), Some(pointer))
        };
        remove_socket(&path)?;
        let listener = UnixListener::bind(&path)?;
        let bound = |user| Bound {
            listener,
            user,
            path: path.clone(),
            pointer: pointer.clone(),
        };
        // Made by this process just now, so it says which user that is. Whoever connected before
        // the permissions were narrowed is told apart by its user.
        let bound = bound(std::fs::symlink_metadata(&path)?.uid());
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        if let Some(pointer) = &pointer {
            write_pointer(pointer, &path)?;
        }
        Ok(bound)
    }

    /// Removes a socket; nothing else.
    fn remove_socket(path: &Path) -> io::Result<()> {
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
            Ok(_) => Err(io::Error::new(
                ErrorKind::AlreadyExists,
                format!("{} is no socket, and stays as it is", path.display()),
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes the socket and folder that a dead owner's file names, as far as they are ours.
    fn clear_named(pointer: &Path) {
        if let Ok(path) = named_in(pointer)
            && path.file_name() == Some(OsStr::new(NAME))
            && remove_socket(&path).is_ok()
        {
            remove_folder_of(&path);
        }
    }

    fn remove_folder_of(path: &Path) {
        let folder = path.parent().filter(|folder| {
            folder
                .file_name()
                .is_some_and(|name| name.as_bytes().starts_with(FOLDER.as_bytes()))
        });
        if let Some(folder) = folder {
            // Only an empty one is removed.
            drop(std::fs::remove_dir(folder));
        }
    }

    /// A new folder that only this user may enter, where paths are short.
    fn private_folder() -> io::Result<PathBuf> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let runtime = runtime.filter(|dir| dir.is_absolute() && dir.is_dir());
        let bases = runtime
            .into_iter()
            .chain([std::env::temp_dir(), PathBuf::from("/tmp")]);
        let mut refused = io::Error::new(
            ErrorKind::InvalidInput,
            "no folder for temporary files has a path short enough for a socket",
        );
        for base in bases {
            let folder = base.join(format!("{FOLDER}{:016x}", rand::random::<u64>()));
            if !fits(&folder.join(NAME)) {
                continue;
            }
            // Fails where something of that name lies: nobody can have prepared it.
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => return Ok(folder),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn write_pointer(pointer: &Path, path: &Path) -> io::Result<()> {
        let mut draft = OsString::from(pointer.as_os_str());
        draft.push(".new");
        let draft = PathBuf::from(draft);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(path.as_os_str().as_bytes())?;
        file.write_all(b"\n")?;
        drop(file);
        std::fs::rename(&draft, pointer)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn mode(path: &Path) -> u32 {
            std::fs::symlink_metadata(path)
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        }

        fn files(dir: &Path) -> Vec<String> {
            let mut names: Vec<String> = std::fs::read_dir(dir)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }

        #[tokio::test]
        async fn it_lies_beside_the_database_for_this_user_only_and_goes_with_its_owner() {
            let dir = tempfile::tempdir().unwrap();
            let db = dir.path().join("ledger.db");
            let bound = bind(&db).unwrap();
            assert_eq!(bound.path(), dir.path().join("ledger.db.sock"));
            assert_eq!(find(&db).unwrap(), bound.path());
            assert_eq!(mode(bound.path()), 0o600);
            drop(bound);
            assert_eq!(files(dir.path()), Vec::<String>::new());
        }

        #[tokio::test]
        async fn a_link_to_the_database_leads_to_the_same_socket() {
            let dir = tempfile::tempdir().unwrap();
            let (db, link) = (dir.path().join("ledger.db"), dir.path().join("link.db"));
            std::os::unix::fs::symlink("ledger.db", &link).unwrap();
            for name in [&db, &link] {
                let bound = bind(name).unwrap();
                assert_eq!(files(dir.path()), ["ledger.db.sock", "link.db"]);
                for asked in [&db, &link] {
                    assert_eq!(find(asked).unwrap(), bound.path());
                }
            }
        }

        #[tokio::test]
        async fn a_dead_owners_socket_is_replaced_and_another_file_is_not() {
            let dir = tempfile::tempdir().unwrap();
            let db = dir.path().join("ledger.db");
            let dead = std::os::unix::net::UnixListener::bind(dir.path().join("ledger.db.sock"));
            drop(dead.unwrap());
            let bound = bind(&db).unwrap();
            std::os::unix::net::UnixStream::connect(bound.path()).unwrap();
            drop(bound);
            std::fs::write(dir.path().join("ledger.db.sock"), "mine").unwrap();
            let refused = bind(&db).unwrap_err().to_string();
            assert!(refused.contains("is no socket"), "{refused}");
            let kept = std::fs::read_to_string(dir.path().join("ledger.db.sock"));
            assert_eq!(kept.unwrap(), "mine");
        }

        #[tokio::test]
        async fn a_path_that_is_too_long_is_replaced_by_a_short_one_in_a_private_folder() {
            let dir = tempfile::tempdir().unwrap();
            let deep = dir.path().join("d".repeat(120));
            std::fs::create_dir(&deep).unwrap();
            let db = deep.join("ledger.db");
            assert_eq!(find(&db).unwrap_err().kind(), ErrorKind::NotFound);
            let dead = bind(&db).unwrap();
            let old = dead.path().to_owned();
            // Killed: nothing is cleaned up.
            std::mem::forget(dead);
            let bound = bind(&db).unwrap();
            assert!(!old.exists() && !old.parent().unwrap().exists());
            let path = bound.path().to_owned();
            assert_eq!(find(&db).unwrap(), path);
            assert_eq!(mode(&path), 0o600);
            assert_eq!(mode(path.parent().unwrap()), 0o700);
            assert_eq!(files(&deep), ["ledger.db.sock-path"]);
            assert_eq!(mode(&deep.join("ledger.db.sock-path")), 0o600);
            drop(bound);
            assert!(!path.parent().unwrap().exists());
            assert_eq!(files(&deep), Vec::<String>::new());
        }

        #[test]
        fn a_file_that_names_no_socket_is_said_to() {
            let dir = tempfile::tempdir().unwrap();
            let deep = dir.path().join("d".repeat(120));
            std::fs::create_dir(&deep).unwrap();
            let db = deep.join("ledger.db");
            for text in ["", "relative/path", &format!("/{}", "x".repeat(200))] {
                std::fs::write(deep.join("ledger.db.sock-path"), text).unwrap();
                assert_eq!(find(&db).unwrap_err().kind(), ErrorKind::InvalidData);
            }
        }
    }
}
