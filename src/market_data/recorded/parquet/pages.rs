//! Pages of a column, looked at before they are decoded.
//!
//! The decoder sets memory aside for as many values as a page claims to have, and a file of a kilobyte can
//! claim two thousand million: that took 16 GB. A page may claim no more than its row group has rows, and the
//! encodings that claim once more inside of the page are looked into.

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};

/// Most texts of one page whose lengths are decoded at once. Writers end a page after some thousand.
const MOST_TEXTS: u64 = 1 << 24;

/// Passes on pages that claim no more than they can have.
pub(super) struct Sound {
    pages: Box<dyn PageReader>,
    rows: u64,
    /// Whether levels, which tell nulls, come before the values.
    has_levels: bool,
}

impl Sound {
    /// Over the pages of a column, which may be null or not, in a row group of so many rows.
    pub(super) fn new(pages: Box<dyn PageReader>, rows: u64, has_levels: bool) -> Self {
        Sound {
            pages,
            rows,
            has_levels,
        }
    }

    fn check(&self, page: &Page) -> Result<()> {
        let claimed = u64::from(page.num_values());
        // Each value of a dictionary takes a byte at least.
        let most = match page {
            Page::DictionaryPage { buf, .. } => buf.len() as u64,
            Page::DataPage { .. } | Page::DataPageV2 { .. } => self.rows,
        };
        if claimed > most {
            return Err(general(format!(
                "a page claims {claimed} values where there is room for {most}"
            )));
        }
        let is_text = match page.encoding() {
            Encoding::DELTA_BINARY_PACKED => false,
            Encoding::DELTA_LENGTH_BYTE_ARRAY => true,
            // Its second count cannot be seen before its first part is decoded.
            Encoding::DELTA_BYTE_ARRAY => {
                return Err(general(
                    "texts in the encoding DELTA_BYTE_ARRAY are not read; write the file with \
                     dictionaries or plain texts"
                        .to_owned(),
                ));
            }
            _ => return Ok(()),
        };
        let values = self.values_of(page);
        let values = values.ok_or_else(|| general("a page ends before its values".to_owned()))?;
        // Without values there is no header either.
        let inside = if values.is_empty() {
            Some(0)
        } else {
            count_of(values)
        };
        let most = if is_text {
            claimed.min(MOST_TEXTS)
        } else {
            claimed
        };
        match inside.filter(|count| *count <= most) {
            Some(_) => Ok(()),
            None => Err(general(
                "a page holds more values than it claims, or more than 16 million texts".to_owned(),
            )),
        }
    }

    /// The encoded values of a page, behind its levels; `None` where those claim more than there is.
    /// Lists are not read, so there are no levels of repetition.
    fn values_of<'p>(&self, page: &'p Page) -> Option<&'p [u8]> {
        let bytes: &[u8] = page.buffer();
        match page {
            Page::DataPage {
                def_level_encoding: Encoding::RLE,
                ..
            } if self.has_levels => {
                let (length, rest) = bytes.split_first_chunk::<4>()?;
                rest.get(u32::from_le_bytes(*length) as usize..)
            }
            // The old packed levels went out of use before these encodings came.
            Page::DataPage { .. } if self.has_levels => None,
            Page::DataPageV2 {
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => {
                let levels = def_levels_byte_len.checked_add(*rep_levels_byte_len)?;
                bytes.get(levels as usize..)
            }
            Page::DataPage { .. } | Page::DictionaryPage { .. } => Some(bytes),
        }
    }
}

impl Iterator for Sound {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Sound {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            self.check(page)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

/// How many values a block of deltas says that it has: block size, number of miniblocks, count.
fn count_of(bytes: &[u8]) -> Option<u64> {
    let mut rest = bytes;
    let mut next = || {
        let mut value = 0_u64;
        for shift in (0..63).step_by(7) {
            let (byte, after) = rest.split_first()?;
            rest = after;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    };
    let (_, _, count) = (next()?, next()?, next()?);
    Some(count)
}

fn general(words: String) -> ParquetError {
    ParquetError::General(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Given(Vec<Page>);

    impl Iterator for Given {
        type Item = Result<Page>;

        fn next(&mut self) -> Option<Self::Item> {
            self.get_next_page().transpose()
        }
    }

    impl PageReader for Given {
        fn get_next_page(&mut self) -> Result<Option<Page>> {
            Ok(self.0.pop())
        }

        fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
            Ok(None)
        }

        fn skip_next_page(&mut self) -> Result<()> {
            Ok(())
        }
    }

    fn page(encoding: Encoding, num_values: u32, bytes: &[u8]) -> Page {
        Page::DataPage {
            buf: bytes.to_vec().into(),
            num_values,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        }
    }

    /// What a page in a row group of 1,000 rows comes to.
    fn refused(page: Page, has_levels: bool) -> Option<String> {
        let mut pages = Sound::new(Box::new(Given(vec![page])), 1_000, has_levels);
        pages.next()?.err().map(|error| error.to_string())
    }

    /// 128 values in a block of 4, then the count, as the format writes them: seven bits a byte.
    const FIVE: [u8; 4] = [0x80, 0x01, 4, 5];
    /// The same with 2³¹ − 1.
    const MANY: [u8; 8] = [0x80, 0x01, 4, 0xff, 0xff, 0xff, 0xff, 0x07];

    #[test]
    fn what_a_page_claims_is_held_against_its_rows() {
        let plain = |count| refused(page(Encoding::PLAIN, count, &[]), false);
        assert_eq!(plain(1_000), None);
        assert!(plain(1_001).unwrap().contains("claims 1001 values"));
        let dictionary = |num_values| {
            let buf = vec![0; 10].into();
            let page = Page::DictionaryPage {
                buf,
                num_values,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            refused(page, true)
        };
        assert_eq!(dictionary(10), None);
        assert!(dictionary(11).unwrap().contains("room for 10"));
    }

    #[test]
    fn what_it_claims_inside_is_held_against_what_it_claims_outside() {
        for encoding in [
            Encoding::DELTA_BINARY_PACKED,
            Encoding::DELTA_LENGTH_BYTE_ARRAY,
        ] {
            let told = |count, bytes: &[u8]| refused(page(encoding, count, bytes), false);
            assert_eq!(told(5, &FIVE), None);
            assert_eq!(told(0, &[]), None);
            assert!(told(4, &FIVE).unwrap().contains("more values"));
            assert!(told(1_000, &MANY).unwrap().contains("more values"));
            assert!(told(5, &FIVE[..3]).is_some(), "it ends within its header");
            // Three bytes of levels, with their length before them.
            let behind = [&[3, 0, 0, 0, 9, 9, 9], &FIVE[..]].concat();
            assert_eq!(refused(page(encoding, 5, &behind), true), None);
            let cut = [200, 0, 0, 0, 9];
            let cut = refused(page(encoding, 5, &cut), true).unwrap();
            assert!(cut.contains("ends before its values"), "{cut}");
        }
        let texts = refused(page(Encoding::DELTA_BYTE_ARRAY, 1, &FIVE), false).unwrap();
        assert!(texts.contains("write the file with dictionaries"));
    }
}
