//! Reading a capture.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::packed::{Frames, Next};
use super::repair::{check_size, hash_of, parse};
use super::{CaptureError, Line, MANIFEST, Manifest, message_files};

/// A capture on disk. It may still be growing, or have been cut off by a kill.
#[derive(Debug)]
pub struct Capture {
    dir: PathBuf,
    manifest: Manifest,
    /// Names of the files, in order; finished ones are in the manifest.
    files: Vec<String>,
}

impl Capture {
    /// Opens the capture in `dir`. Errors: there is no manifest, it is of another format version
    /// or makes no sense, or a file that it lists is missing or of another size.
    pub fn open(dir: &Path) -> Result<Self, CaptureError> {
        let manifest = Manifest::read(dir)?.ok_or_else(|| CaptureError::Manifest {
            path: dir.display().to_string(),
            detail: format!("there is no {MANIFEST}: not a capture"),
        })?;
        for listed in &manifest.files {
            check_size(dir, listed)?;
        }
        let files = message_files(dir)?;
        Ok(Capture {
            dir: dir.to_owned(),
            manifest,
            files: files.into_iter().map(|(_, name)| name).collect(),
        })
    }

    /// The summary as it stands on the disk: of finished files, unless it is
    /// [clean](Manifest::clean).
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// All lines in the order in which they were written, gaps among them.
    #[must_use]
    pub fn lines(&self) -> Lines {
        let finished = |name: &String| self.manifest.files.iter().any(|file| file.name == *name);
        Lines {
            dir: self.dir.clone(),
            files: self
                .files
                .iter()
                .map(|name| (name.clone(), finished(name)))
                .collect(),
            current: None,
            torn: None,
        }
    }

    /// Compares every finished file with its SHA-256 in the manifest. Gives the number of bytes
    /// that were read. Errors: the first file that differs or cannot be read.
    pub fn verify(&self) -> Result<u64, CaptureError> {
        let mut bytes = 0;
        for listed in &self.manifest.files {
            let found = hash_of(&self.dir.join(&listed.name))?;
            if found != listed.sha256 {
                return Err(CaptureError::Mismatch {
                    file: listed.name.clone(),
                    detail: format!(
                        "its SHA-256 is {found}, the manifest says {}",
                        listed.sha256
                    ),
                });
            }
            bytes += listed.bytes;
        }
        Ok(bytes)
    }
}

/// The lines of a capture, oldest first. Holds one frame (some MiB) at a time.
///
/// An unfinished file ends with its last complete frame, and [`Lines::torn`] says so. After an
/// error the iteration goes on: with the next line, or with the next file where one is damaged.
pub struct Lines {
    dir: PathBuf,
    /// Files to come, and whether they are finished.
    files: VecDeque<(String, bool)>,
    current: Option<Open>,
    torn: Option<(String, u64)>,
}

struct Open {
    name: String,
    finished: bool,
    frames: Frames,
    bytes: Vec<u8>,
    position: usize,
    lines: u64,
}

impl Lines {
    /// Name of an unfinished file and the byte after which it could not be read.
    #[must_use]
    pub fn torn(&self) -> Option<(&str, u64)> {
        self.torn
            .as_ref()
            .map(|(name, byte)| (name.as_str(), *byte))
    }

    fn open(&self, name: String, finished: bool) -> Result<Open, CaptureError> {
        let path = self.dir.join(&name);
        let frames = Frames::open(&path).map_err(|error| CaptureError::file(&path, error))?;
        Ok(Open {
            name,
            finished,
            frames,
            bytes: Vec::new(),
            position: 0,
            lines: 0,
        })
    }
}

impl Iterator for Lines {
    type Item = Result<Line, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(open) = &mut self.current else {
                let (name, finished) = self.files.pop_front()?;
                match self.open(name, finished) {
                    Ok(open) => self.current = Some(open),
                    Err(error) => return Some(Err(error)),
                }
                continue;
            };
            if let Some(line) = open.line() {
                return Some(line);
            }
            match open.frames.next() {
                Ok(Next::Frame(bytes)) => {
                    open.bytes = bytes;
                    open.position = 0;
                }
                Ok(Next::End) => self.current = None,
                Ok(Next::Torn(detail)) => {
                    let (file, offset) = (open.name.clone(), open.frames.good_bytes());
                    let finished = open.finished;
                    self.current = None;
                    if finished {
                        return Some(Err(CaptureError::Damaged {
                            file,
                            offset,
                            detail,
                        }));
                    }
                    self.torn = Some((file, offset));
                }
                Err(error) => {
                    let path = self.dir.join(&open.name);
                    self.current = None;
                    return Some(Err(CaptureError::file(&path, error)));
                }
            }
        }
    }
}

impl Open {
    /// The next line of the present frame.
    fn line(&mut self) -> Option<Result<Line, CaptureError>> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        if rest.is_empty() {
            return None;
        }
        let length = rest.iter().position(|byte| *byte == b'\n');
        let text = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
        self.position += text.len() + 1;
        self.lines += 1;
        Some(parse(&self.name, self.lines, text))
    }
}
