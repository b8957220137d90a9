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
/// Below a root no link is followed, wherever it leads: what it means may change between this look and the
/// reading. The root itself may be one, which is the operator's choice.
///
/// Errors: it has `..` in it, does not exist, lies outside of the roots, or is or holds a link.
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
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let from_here = here.map_or_else(|_| asked.to_path_buf(), |here| here.join(asked));
    let places = places.chain([from_here]);
    // Whether something lies elsewhere is not told: it is the same answer as for nothing.
    let outside = || refuse("is no folder that may be read");
    let mut found = places.filter_map(|place| Some((place.canonicalize().ok()?, place)));
    let found = found.find(|(whole, _)| inside(whole));
    let (whole, named) = found.ok_or_else(outside)?;
    let is_link = !roots.contains(&whole) && plain(&named, &roots).as_ref() != Some(&whole);
    if is_link {
        return Err(refuse("is a link, or leads through one"));
    }
    for file in files_read(&whole)? {
        let name = || clean(&file.file_name().unwrap_or_default().to_string_lossy(), 80);
        match file.canonicalize() {
            Ok(real) if !inside(&real) => {
                return Err(refuse(&format!(
                    "is no folder that may be read: its {} lies elsewhere",
                    name()
                )));
            }
            Ok(real) if real == file => {}
            _ => return Err(refuse(&format!("holds a link: {}", name()))),
        }
    }
    Ok(whole)
}

/// The path without its dots, with the root that it lies below in its real form; `None` below none.
fn plain(path: &Path, roots: &[PathBuf]) -> Option<PathBuf> {
    let path: PathBuf = path.components().collect();
    // The root may have been named through a link of its own.
    path.ancestors().find_map(|above| {
        let real = above.canonicalize().ok()?;
        let rest = path.strip_prefix(above).ok()?;
        roots
            .contains(&real)
            .then(|| match rest.as_os_str().is_empty() {
                true => real.clone(),
                false => real.join(rest),
            })
    })
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
    fn links_are_refused_wherever_they_lead() {
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
        // Within the root too, whatever they point to.
        let own = place.root.join("own");
        symlink(place.root.join("prices"), &own).unwrap();
        assert!(refused(&own, &place).contains("is a link"));
        assert!(refused(&own.join("p.csv"), &place).contains("is a link"));
        let folder = place.root.join("inner");
        std::fs::create_dir(&folder).unwrap();
        symlink(place.root.join("prices/p.csv"), folder.join("r.csv")).unwrap();
        assert!(refused(&folder, &place).contains("holds a link: r.csv"));
        assert!(refused(&folder.join("r.csv"), &place).contains("is a link"));
        // The root itself may be one: the operator has named it.
        let named = place.root.parent().unwrap().join("named");
        symlink(&place.root, &named).unwrap();
        let roots = [named.clone()];
        for asked in [named.join("prices"), "prices".into()] {
            let found = allowed(&asked, &roots).unwrap();
            assert_eq!(found, place.root.join("prices"), "{asked:?}");
        }
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
