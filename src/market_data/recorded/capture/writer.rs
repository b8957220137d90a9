//! Writing a capture.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::domain::Timestamp;

use super::super::atomic::sync_folder;
use super::packed::pack;
use super::repair::{Repaired, hex, repair};
use super::{
    Body, CaptureError, CapturedFile, FORMAT, LOCK, Line, MANIFEST, Manifest, message_files,
    name_of,
};

/// So many bytes of lines make a frame at the latest.
const FRAME_BYTES: usize = 4 << 20;

/// Writes a capture: lines into compressed files, and the manifest beside them.
///
/// What was [flushed](CaptureWriter::flush) survives a kill. The folder belongs to one writer at a
/// time; a lock that the system frees when the process ends sees to that.
#[derive(Debug)]
pub struct CaptureWriter {
    dir: PathBuf,
    program: String,
    manifest: Manifest,
    file: OpenFile,
    /// Held, never read.
    _lock: File,
}

/// The file that is being written.
#[derive(Debug)]
struct OpenFile {
    number: u32,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    /// Bytes in complete frames.
    bytes: u64,
    lines: u64,
    first: Timestamp,
    last: Timestamp,
    /// Lines that are in no frame yet.
    pending: Vec<u8>,
}

impl CaptureWriter {
    /// Starts a capture in `dir`, which is made when missing, or goes on with the one in it: what
    /// a killed recorder left is repaired first (and told), and the time since its last line is a
    /// gap. `sources` are base URLs by name, `program` is who records.
    ///
    /// Errors: another process records there, the folder holds something else or a capture that
    /// cannot be read, or the system refuses.
    pub fn open(
        dir: &Path,
        program: &str,
        sources: BTreeMap<String, String>,
        at: Timestamp,
    ) -> Result<(Self, Vec<Repaired>), CaptureError> {
        std::fs::create_dir_all(dir).map_err(|error| CaptureError::file(dir, error))?;
        // Nothing is put into somebody else's folder, not even a lock. The manifest is looked at
        // second: another recorder that begins just now makes it before its other files.
        let strange = refuse_strange(dir);
        if Manifest::read(dir)?.is_none() {
            strange?;
        }
        let lock = lock(dir)?;
        let (mut manifest, repaired) = match Manifest::read(dir)? {
            Some(mut manifest) => {
                let repaired = repair(dir, &mut manifest)?;
                (manifest, repaired)
            }
            None => {
                refuse_strange(dir)?;
                (Manifest::new(program, sources.clone(), at), Vec::new())
            }
        };
        manifest.clean = false;
        manifest.ended_by = None;
        manifest.sources = sources;
        program.clone_into(&mut manifest.program);
        // Before any line of the new file: a repair adds exactly the files that are not listed.
        manifest.write(dir)?;
        let number = message_files(dir)?.last().map_or(0, |(number, _)| *number) + 1;
        // Those of the run before; the clock may have been set back since.
        let (since, session) = (manifest.end, manifest.sessions + 1);
        let mut writer = CaptureWriter {
            dir: dir.to_owned(),
            program: program.to_owned(),
            file: OpenFile::create(dir, number, at)?,
            manifest,
            _lock: lock,
        };
        writer.head(session, at)?;
        let tokens = writer.manifest.covered();
        if session > 1 && !tokens.is_empty() {
            let body = Body::Gap {
                since,
                reason: "nothing was recording".to_owned(),
                tokens,
            };
            writer.write(&Line { at, body })?;
        }
        writer.flush()?;
        Ok((writer, repaired))
    }

    /// Adds a line. It is safe after the next flush, which comes by itself after some MiB.
    pub fn write(&mut self, line: &Line) -> Result<(), CaptureError> {
        self.manifest.add(line);
        self.file.add(line);
        if self.file.pending.len() >= FRAME_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes all lines so far as one complete frame and waits until the disk has it.
    ///
    /// Errors: [`CaptureError::Write`]; the file then ends with the last complete frame.
    pub fn flush(&mut self) -> Result<(), CaptureError> {
        self.file.flush()
    }

    /// Finishes the present file and begins the next.
    pub fn rotate(&mut self, at: Timestamp) -> Result<(), CaptureError> {
        self.close()?;
        self.manifest.write(&self.dir)?;
        self.file = OpenFile::create(&self.dir, self.file.number + 1, at)?;
        self.head(self.manifest.sessions, at)
    }

    /// Ends the capture for `reason` and gives its summary.
    pub fn finish(mut self, at: Timestamp, reason: &str) -> Result<Manifest, CaptureError> {
        let reason = reason.to_owned();
        let body = Body::End { reason };
        self.write(&Line { at, body })?;
        self.close()?;
        self.manifest.clean = true;
        self.manifest.write(&self.dir)?;
        Ok(self.manifest)
    }

    /// Ends the capture after an error, as well as can be: the manifest is made anew from what is
    /// on the disk, and says that the end was not clean.
    pub fn abandon(self, reason: &str) -> Result<Manifest, CaptureError> {
        drop(self.file);
        let missing = || CaptureError::file(&self.dir, "the manifest is gone");
        let mut manifest = Manifest::read(&self.dir)?.ok_or_else(missing)?;
        repair(&self.dir, &mut manifest)?;
        manifest.ended_by = Some(reason.to_owned());
        manifest.write(&self.dir)?;
        Ok(manifest)
    }

    /// The summary so far, lines that are not flushed yet included.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Compressed bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let finished: u64 = self.manifest.files.iter().map(|file| file.bytes).sum();
        finished + self.file.bytes
    }

    /// First line of a file.
    fn head(&mut self, session: u32, at: Timestamp) -> Result<(), CaptureError> {
        let body = Body::File {
            format: FORMAT,
            number: self.file.number,
            session,
            program: self.program.clone(),
        };
        self.write(&Line { at, body })
    }

    fn close(&mut self) -> Result<(), CaptureError> {
        self.flush()?;
        let file = &self.file;
        self.manifest.files.push(CapturedFile {
            name: name_of(file.number),
            lines: file.lines,
            bytes: file.bytes,
            sha256: hex(file.hasher.clone()),
            first: file.first,
            last: file.last,
        });
        Ok(())
    }

    /// Makes the disk full.
    #[cfg(test)]
    pub(super) fn fill_disk(&mut self) {
        self.file.file = File::options().write(true).open("/dev/full").unwrap();
    }
}

impl OpenFile {
    fn create(dir: &Path, number: u32, at: Timestamp) -> Result<Self, CaptureError> {
        let path = dir.join(name_of(number));
        let file = File::create_new(&path).map_err(|error| CaptureError::Write {
            path: path.display().to_string(),
            detail: error.to_string(),
        })?;
        sync_folder(&path);
        Ok(OpenFile {
            number,
            path,
            file,
            hasher: Sha256::new(),
            bytes: 0,
            lines: 0,
            first: at,
            last: at,
            pending: Vec::new(),
        })
    }

    fn add(&mut self, line: &Line) {
        if self.lines == 0 {
            self.first = line.at;
        }
        self.last = line.at;
        self.lines += 1;
        self.pending.extend_from_slice(line.to_text().as_bytes());
    }

    fn flush(&mut self) -> Result<(), CaptureError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let failed = |detail: String| CaptureError::Write {
            path: self.path.display().to_string(),
            detail,
        };
        let frame = pack(&self.pending).map_err(|error| failed(error.to_string()))?;
        let written = self
            .file
            .write_all(&frame)
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a frame helps nobody; if it cannot be cut off, readers stop before it.
            drop(self.file.set_len(self.bytes));
            return Err(failed(error.to_string()));
        }
        self.hasher.update(&frame);
        self.bytes += frame.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

fn lock(dir: &Path) -> Result<File, CaptureError> {
    let path = dir.join(LOCK);
    let failed = |error: std::io::Error| CaptureError::file(&path, error);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CaptureError::Busy {
            path: dir.display().to_string(),
        }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// A folder without a manifest must be empty: nothing of anybody's is written over.
fn refuse_strange(dir: &Path) -> Result<(), CaptureError> {
    let failed = |error: std::io::Error| CaptureError::file(dir, error);
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        // Left by a run that was killed in its first moment.
        if name != LOCK && !name.starts_with(MANIFEST) {
            return Err(CaptureError::NotOurs {
                path: dir.display().to_string(),
                detail: format!("it holds `{name}` but no {MANIFEST}"),
            });
        }
    }
    Ok(())
}
