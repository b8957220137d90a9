//! A reader that stops at what no honest recording has: a packed file of a megabyte can hold a
//! gigabyte.

use std::io::{Error, ErrorKind, Read, Result};

/// What a file of a recording may hold in all, unpacked, bytes.
pub(super) const MAX_FILE: u64 = 8 << 30;
/// What a record may hold, bytes.
pub(super) const MAX_RECORD: usize = 1 << 20;

/// Hands on what `inner` gives until the cap is reached, then fails with an error that names it.
#[derive(Debug)]
pub(super) struct Capped<R> {
    inner: R,
    cap: u64,
    total: u64,
}

impl<R: Read> Capped<R> {
    pub(super) fn new(inner: R, cap: u64) -> Self {
        Capped {
            inner,
            cap,
            total: 0,
        }
    }
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.inner.read(buffer)?;
        let count = u64::try_from(read).unwrap_or(u64::MAX);
        self.total = self.total.saturating_add(count);
        if self.total > self.cap {
            return Err(over(
                "the file is larger, unpacked, than the cap of",
                self.cap,
                "; split it",
            ));
        }
        Ok(read)
    }
}

/// The error for a record that does not end.
pub(super) fn endless(cap: usize) -> Error {
    over(
        "a record is longer than the cap of",
        u64::try_from(cap).unwrap_or(u64::MAX),
        "; a quote may not be closed",
    )
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

    fn read_by_tens(cap: u64) -> (usize, Option<String>) {
        let mut reader = Capped::new(std::io::repeat(b'0').take(100), cap);
        let mut buffer = [0_u8; 10];
        let mut had = 0;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return (had, None),
                Ok(read) => had += read,
                Err(error) => return (had, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn a_cap_counts_all_that_was_read() {
        assert_eq!(read_by_tens(100), (100, None));
        let (had, error) = read_by_tens(50);
        assert_eq!(had, 50);
        assert_eq!(
            error.unwrap(),
            "the file is larger, unpacked, than the cap of 50 bytes; split it"
        );
    }

    #[test]
    fn sizes_are_said_in_round_units() {
        let said = |cap| over("cap", cap, "").to_string();
        assert_eq!(said(MAX_FILE), "cap 8 GiB");
        assert_eq!(said(1_500), "cap 1500 bytes");
        assert_eq!(
            endless(MAX_RECORD).to_string(),
            "a record is longer than the cap of 1 MiB; a quote may not be closed"
        );
    }
}
