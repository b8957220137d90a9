//! Which folders an agent may have read: those that the operator named, and nothing that leads out.

use std::path::{Component, Path, PathBuf};

use crate::app::AppError;
use crate::domain::text::clean;
use crate::market_data::recorded::files_read;

const HINT: &str = "run_backtest reads folders below backtest.data_dirs in config.yaml (and what the \
                    server was started on with --data); ask the operator to add one.";

/// The folder that `asked` means, whole and without links, when it and every file that would be read of
/// it lie below one of `roots`. A relative name counts from each of the roots, then from where the
/// process runs.
///
/// Errors: it has `..` in it, does not exist, or leads out of the roots, by itself or through a link.
pub fn allowed(asked: &Path, roots: &[PathBuf]) -> Result<PathBuf, AppError> {
    let shown = clean(&asked.display().to_string(), 200);
    let refuse = |why: &str| AppError::BadRequest {
        message: format!("data_dir `{shown}` {why}"),
        hint: HINT.to_owned(),
    };
    if asked.components().any(|part| part == Component::ParentDir) {
        return Err(refuse("has `..` in it"));
    }
    if asked.as_os_str().is_empty() {
        return Err(refuse("names nothing"));
    }
    let roots: Vec<PathBuf> = roots
        .iter()
        .filter_map(|root| root.canonicalize().ok())
        .collect();
    let inside = |path: &Path| roots.iter().any(|root| path.starts_with(root));
    let places = roots.iter().map(|root| root.join(asked));
    let places = places.chain(std::iter::once(asked.to_path_buf()));
    // Whether something lies elsewhere is not told: it is the same answer as for nothing.
    let outside = || refuse("is no folder that may be read");
    let whole = places
        .filter_map(|place| place.canonicalize().ok())
        .find(|place| inside(place));
    let whole = whole.ok_or_else(outside)?;
    for file in files_read(&whole)? {
        if !file.canonicalize().is_ok_and(|file| inside(&file)) {
            return Err(refuse(&format!(
                "is no folder that may be read: its {} lies elsewhere",
                clean(&file.file_name().unwrap_or_default().to_string_lossy(), 80)
            )));
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        _dir: tempfile::TempDir,
        root: PathBuf,
        other: PathBuf,
    }

    /// `open/` may be read, `closed/` may not; both hold `prices/p.csv`.
    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        for name in ["open", "closed"] {
            let folder = top.join(name).join("prices");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("p.csv"), "x").unwrap();
        }
        Place {
            root: top.join("open"),
            other: top.join("closed"),
            _dir: dir,
        }
    }

    fn refused(asked: &Path, place: &Place) -> String {
        let error = allowed(asked, std::slice::from_ref(&place.root)).unwrap_err();
        assert_eq!(error.code(), "bad_arguments");
        assert!(error.hint().contains("backtest.data_dirs"));
        error.to_string()
    }

    #[test]
    fn what_lies_below_is_read_by_its_whole_name_or_its_relative_one() {
        let place = place();
        let wanted = place.root.join("prices");
        let roots = [PathBuf::from("/nowhere/at/all"), place.root.clone()];
        for asked in [wanted.clone(), "prices".into(), "./prices/".into()] {
            assert_eq!(allowed(&asked, &roots).unwrap(), wanted, "{asked:?}");
        }
        let file = wanted.join("p.csv");
        assert_eq!(allowed(&file, &roots).unwrap(), file);
        assert_eq!(allowed(&place.root, &roots).unwrap(), place.root);
    }

    #[test]
    fn nothing_else_is() {
        let place = place();
        let up = place.root.join("../closed/prices");
        assert!(refused(&up, &place).contains("`..`"));
        assert!(refused(Path::new("../closed"), &place).contains("`..`"));
        // Harmless, and refused all the same.
        assert!(refused(&place.root.join("prices/../prices"), &place).contains("`..`"));
        for asked in [
            place.other.join("prices"),
            "/etc".into(),
            "/".into(),
            place.root.join("missing"),
            // Begins like the root, and is another one.
            PathBuf::from(format!("{}er", place.root.display())),
        ] {
            assert!(refused(&asked, &place).contains("may be read"), "{asked:?}");
        }
        assert!(refused(Path::new(""), &place).contains("names nothing"));
        assert!(allowed(&place.root, &[]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_out_are_refused_and_others_followed() {
        use std::os::unix::fs::symlink;
        let place = place();
        let link = place.root.join("link");
        symlink(place.other.join("prices"), &link).unwrap();
        assert!(refused(&link, &place).contains("may be read"));
        // A file that is a link.
        let folder = place.root.join("mixed");
        std::fs::create_dir(&folder).unwrap();
        symlink(place.other.join("prices/p.csv"), folder.join("q.csv")).unwrap();
        assert!(refused(&folder, &place).contains("q.csv lies elsewhere"));
        // Within the root both are fine.
        let own = place.root.join("own");
        symlink(place.root.join("prices"), &own).unwrap();
        let found = allowed(&own, std::slice::from_ref(&place.root)).unwrap();
        assert_eq!(found, place.root.join("prices"));
    }

    #[test]
    fn metadata_above_the_root_is_not_read() {
        let place = place();
        let above = place.root.parent().unwrap().join("markets.json");
        std::fs::write(above, "[]").unwrap();
        std::fs::write(place.root.join("p.csv"), "x").unwrap();
        assert!(refused(&place.root, &place).contains("markets.json lies elsewhere"));
        // One level down the folder above is the root itself.
        assert!(allowed(Path::new("prices"), std::slice::from_ref(&place.root)).is_ok());
    }
}
