//! The files of `--output`.

use std::fs::OpenOptions;
use std::path::Path;

use crate::backtest::report::{self, PictureError};

use super::super::Failure;
use super::{Told, json_of};

/// What `--output` asks for.
#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    Markdown,
    Html,
    Png,
    /// All of them.
    Folder,
}

/// Whether a report can be written there, as far as can be told before there is one. Errors: no report has
/// this form, a folder is not there, or nothing may be written.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    let closed = |place: &Path, error: &std::io::Error| {
        Failure::new(
            format!("{}: nothing can be written there: {error}", place.display()),
            "Name a place that you may write to.",
        )
    };
    let folder = match form_of(path)? {
        Form::Folder => path.ancestors().find(|folder| folder.exists()),
        // One that is there is written over.
        _ if path.exists() => {
            let opened = OpenOptions::new().append(true).open(path);
            return opened.map(drop).map_err(|error| closed(path, &error));
        }
        _ => path.parent(),
    };
    let named = folder.filter(|folder| !folder.as_os_str().is_empty());
    let folder = named.unwrap_or(Path::new("."));
    let probe = folder.join(format!(".polymarket-agent-{}", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).open(&probe);
    made.and_then(|_| std::fs::remove_file(&probe))
        .map_err(|error| closed(folder, &error))
}

/// The form that the path's ending names; without one, a folder. Errors: no report has this form, or the
/// folder of a file is not there.
fn form_of(path: &Path) -> Result<Form, Failure> {
    let ending = path.extension().map(|ending| ending.to_string_lossy());
    let form = match ending.as_deref() {
        _ if path.is_dir() => Form::Folder,
        // A folder is made with all that is missing above it.
        None => return Ok(Form::Folder),
        Some("json") => Form::Json,
        Some("md") => Form::Markdown,
        Some("html") => Form::Html,
        Some("png") => Form::Png,
        Some(_) => {
            return Err(Failure::new(
                format!("{}: no report has this form", path.display()),
                "Name a file that ends in .json, .md, .html or .png, or a folder for all of them.",
            ));
        }
    };
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    if above.is_some_and(|above| !above.is_dir()) {
        return Err(Failure::new(
            format!("{}: there is no such folder", path.display()),
            "Make the folder first, or name another one.",
        ));
    }
    Ok(form)
}

/// Writes one file, of the form that its ending names, or everything into a folder: `report.md`,
/// `report.html`, `chart.png` and `result.json` with every trade.
pub(super) fn write(path: &Path, told: &Told, trades: bool) -> Result<(), Failure> {
    let report = &told.result.report;
    let named =
        |path: &Path, error: String| Failure::new(format!("{}: {error}", path.display()), "");
    let pretty = |whole: bool| -> Result<Vec<u8>, Failure> {
        serde_json::to_vec_pretty(&json_of(told, whole)?)
            .map_err(|error| named(path, error.to_string()))
    };
    let store = |path: &Path, bytes: Vec<u8>| {
        std::fs::write(path, bytes).map_err(|error| named(path, error.to_string()))
    };
    let (markdown, html) = (|| report::markdown(report), || report::html(report));
    match form_of(path)? {
        Form::Markdown => store(path, markdown().into_bytes()),
        Form::Html => store(path, html().into_bytes()),
        Form::Png => {
            let picture = report::png(report).map_err(|error| named(path, error.to_string()))?;
            store(path, picture)
        }
        Form::Json => store(path, pretty(trades)?),
        Form::Folder => {
            std::fs::create_dir_all(path).map_err(|error| named(path, error.to_string()))?;
            store(&path.join("report.md"), markdown().into_bytes())?;
            store(&path.join("report.html"), html().into_bytes())?;
            store(&path.join("result.json"), pretty(true)?)?;
            match report::png(report) {
                // A run of one moment has no curve; the rest is there.
                Err(PictureError::NoCurve) => Ok(()),
                other => store(
                    &path.join("chart.png"),
                    other.map_err(|error| named(path, error.to_string()))?,
                ),
            }
        }
    }
}
