//! A reader that stops at what no honest recording has: a packed file of a megabyte can hold a
//! field of a gigabyte, which a CSV reader would put together in memory.

use std::cell::Cell;
use std::io::{Error, ErrorKind, Read, Result};
use std::rc::Rc;

/// How much may be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    /// Bytes since the last [`Progress::record_done`]; what a reader buffers ahead counts too.
    pub(super) record: u64,
    /// Bytes in all, unpacked.
    pub(super) file: u64,
}

/// What a file of a recording may hold: records of 1 MiB, 8 GiB in all.
pub(super) const CAPS: Caps = Caps {
    record: 1 << 20,
    file: 8 << 30,
};

/// Through which whoever reads records says that one is complete.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Rc<Cell<u64>>);

impl Progress {
    /// A record is complete: the bytes that one may have are counted anew.
    pub(super) fn record_done(&self) {
        self.0.set(0);
    }
}

/// Hands on what `inner` gives until a cap is reached, then fails with an error that names it.
#[derive(Debug)]
pub(super) struct Capped<R> {
    inner: R,
    caps: Caps,
    total: u64,
    since_record: Progress,
}

impl<R: Read> Capped<R> {
    pub(super) fn new(inner: R, caps: Caps) -> (Self, Progress) {
        let since_record = Progress::default();
        let capped = Capped {
            inner,
            caps,
            total: 0,
            since_record: since_record.clone(),
        };
        (capped, since_record)
    }
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.inner.read(buffer)?;
        let count = u64::try_from(read).unwrap_or(u64::MAX);
        self.total = self.total.saturating_add(count);
        let since = self.since_record.0.get().saturating_add(count);
        self.since_record.0.set(since);
        if since > self.caps.record {
            return Err(over(
                "a record is longer than the cap of",
                self.caps.record,
                "; a quote may not be closed",
            ));
        }
        if self.total > self.caps.file {
            return Err(over(
                "the file is larger, unpacked, than the cap of",
                self.caps.file,
                "; split it",
            ));
        }
        Ok(read)
    }
}

fn over(what: &str, cap: u64, hint: &str) -> Error {
    let size = match cap {
        _ if cap.is_multiple_of(1 << 30) => format!("{} GiB", cap >> 30),
        _ if cap.is_multiple_of(1 << 20) => format!("{} MiB", cap >> 20),
        _ => format!("{cap} bytes"),
    };
    Error::new(ErrorKind::InvalidData, format!("{what} {size}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_by_tens(caps: Caps, reset: bool) -> (usize, Option<String>) {
        let (mut reader, progress) = Capped::new(std::io::repeat(b'0').take(100), caps);
        let mut buffer = [0_u8; 10];
        let mut had = 0;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return (had, None),
                Ok(read) => had += read,
                Err(error) => return (had, Some(error.to_string())),
            }
            if reset {
                progress.record_done();
            }
        }
    }

    #[test]
    fn a_cap_counts_since_the_last_record_or_in_all() {
        let caps = |record, file| Caps { record, file };
        assert_eq!(read_by_tens(caps(100, 100), false), (100, None));
        let (had, error) = read_by_tens(caps(30, 100), false);
        assert_eq!(had, 30);
        assert_eq!(
            error.unwrap(),
            "a record is longer than the cap of 30 bytes; a quote may not be closed"
        );
        assert_eq!(read_by_tens(caps(30, 100), true), (100, None));
        let (had, error) = read_by_tens(caps(30, 50), true);
        assert_eq!(had, 50);
        assert_eq!(
            error.unwrap(),
            "the file is larger, unpacked, than the cap of 50 bytes; split it"
        );
    }

    #[test]
    fn sizes_are_said_in_round_units() {
        let said = |cap| over("cap", cap, "").to_string();
        assert_eq!(said(CAPS.record), "cap 1 MiB");
        assert_eq!(said(CAPS.file), "cap 8 GiB");
        assert_eq!(said(1_500), "cap 1500 bytes");
    }
}
