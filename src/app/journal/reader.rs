//! Reading a journal.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::{
    Book, History, Level, Market, MarketView, Price, PricePoint, Shares, Snapshot, TokenId,
};
use crate::market_data::recorded::capture::packed::{Frames, Next};
use crate::trading::desk::Input;

use super::line::{BookRef, Head, Line, MarketRef, View};
use super::{FORMAT, JournalError, JournalRules, files};

/// An input as the desk was given it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The file that it stands in.
    pub file: String,
    /// Its number there, from 1.
    pub number: u64,
    /// Last event of the ledger that it met.
    pub seq: u64,
    /// The account that the file was begun for; `None` when there was none yet.
    pub account: Option<String>,
    /// True for the first input that a process carried out: another may have run before it that kept
    /// no journal.
    pub first: bool,
    /// The rules that held.
    pub rules: Arc<JournalRules>,
    /// The input.
    pub input: Input,
}

/// The end of a file that a kill tore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// File.
    pub file: String,
    /// Byte at which its last complete frame ends.
    pub after_byte: u64,
    /// What the decoder said.
    pub detail: String,
}

/// The inputs of a journal, oldest first. It may still be growing. After an error nothing more
/// comes.
pub struct Entries {
    files: VecDeque<(u32, PathBuf)>,
    current: Option<Open>,
    torn: Vec<Torn>,
    last_number: Option<u32>,
    ended: bool,
}

/// A file that is being read, with what it has told so far.
struct Open {
    name: String,
    frames: Frames,
    lines: VecDeque<Vec<u8>>,
    head: Option<Head>,
    inputs: u64,
    rules: Option<Arc<JournalRules>>,
    markets: Vec<Option<Arc<Market>>>,
    ladders: Vec<Option<Ladder>>,
    histories: Vec<Option<History>>,
}

struct Ladder {
    token: TokenId,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl Entries {
    /// Opens the journal in `dir`. Errors: it cannot be read, holds something else, or files are
    /// missing between others.
    pub fn open(dir: &Path) -> Result<Self, JournalError> {
        let files = files(dir)?;
        let numbers = files.iter().map(|(number, _)| *number);
        for (before, after) in numbers.clone().zip(numbers.skip(1)) {
            if after != before + 1 {
                return Err(JournalError::Missing {
                    file: super::name_of(after),
                    detail: format!("the file before it, number {}, is missing", after - 1),
                });
            }
        }
        if files.is_empty() {
            return Err(JournalError::Missing {
                file: dir.display().to_string(),
                detail: "there is no journal in it".to_owned(),
            });
        }
        Ok(Entries {
            files: files.into(),
            current: None,
            torn: Vec::new(),
            last_number: None,
            ended: false,
        })
    }

    /// The torn ends that were found so far: inputs that were never carried out.
    #[must_use]
    pub fn torn(&self) -> &[Torn] {
        &self.torn
    }

    fn read(&mut self) -> Result<Option<Entry>, JournalError> {
        loop {
            let Some(open) = &mut self.current else {
                let Some((number, path)) = self.files.pop_front() else {
                    return Ok(None);
                };
                self.current = Some(Open::new(&path)?);
                self.last_number = Some(number);
                continue;
            };
            if let Some(line) = open.lines.pop_front() {
                if let Some(entry) = open.take(&line, self.last_number, &self.torn)? {
                    return Ok(Some(entry));
                }
                continue;
            }
            match open.frames.next() {
                Ok(Next::Frame(bytes)) => {
                    let lines = bytes.split(|byte| *byte == b'\n');
                    let lines = lines.filter(|line| !line.is_empty());
                    open.lines = lines.map(<[u8]>::to_vec).collect();
                }
                Ok(Next::End) => self.current = None,
                Ok(Next::Torn(detail)) => {
                    self.torn.push(Torn {
                        file: open.name.clone(),
                        after_byte: open.frames.good_bytes(),
                        detail,
                    });
                    self.current = None;
                }
                Err(error) => {
                    return Err(JournalError::File {
                        path: open.name.clone(),
                        detail: error.to_string(),
                    });
                }
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read().transpose();
        self.ended = !matches!(read, Some(Ok(_)));
        read
    }
}

/// Puts `value` at a place of a table that may not reach that far yet.
fn put<T>(table: &mut Vec<Option<T>>, slot: u32, value: T) -> Result<(), String> {
    /// More places than any journal has: a damaged number must not take the memory.
    const MOST: usize = 10_000_000;
    let slot = usize::try_from(slot).map_err(|error| error.to_string())?;
    if slot >= MOST {
        return Err(format!("place {slot} of a table"));
    }
    if table.len() <= slot {
        table.resize_with(slot + 1, || None);
    }
    if let Some(place) = table.get_mut(slot) {
        *place = Some(value);
    }
    Ok(())
}

fn at<'a, T>(table: &'a [Option<T>], slot: u32, what: &str) -> Result<&'a T, String> {
    let place = usize::try_from(slot).ok().and_then(|slot| table.get(slot));
    place
        .and_then(Option::as_ref)
        .ok_or_else(|| format!("it refers to {what} {slot}, which was never written"))
}

impl Open {
    fn new(path: &Path) -> Result<Self, JournalError> {
        let frames = Frames::open(path).map_err(|error| JournalError::file(path, error))?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Open {
            name: name.to_string_lossy().into_owned(),
            frames,
            lines: VecDeque::new(),
            head: None,
            inputs: 0,
            rules: None,
            markets: Vec::new(),
            ladders: Vec::new(),
            histories: Vec::new(),
        })
    }

    fn damaged(&self, detail: impl Into<String>) -> JournalError {
        JournalError::Damaged {
            file: self.name.clone(),
            detail: detail.into(),
        }
    }

    /// Takes a line in; an input comes out.
    fn take(
        &mut self,
        line: &[u8],
        number: Option<u32>,
        torn: &[Torn],
    ) -> Result<Option<Entry>, JournalError> {
        if self.head.is_none() {
            let head = self.read_head(line, number)?;
            // One process does not tear its own files.
            if head.continues
                && let Some(last) = torn.last()
                && super::number_of(&last.file).map(|before| before + 1) == number
            {
                return Err(JournalError::Damaged {
                    file: last.file.clone(),
                    detail: format!("after byte {}: {}", last.after_byte, last.detail),
                });
            }
            self.head = Some(head);
            return Ok(None);
        }
        let line: Line =
            serde_json::from_slice(line).map_err(|error| self.damaged(error.to_string()))?;
        let input = match line {
            Line::Input(input) => input,
            other => {
                let told = self.define(other);
                return told.map(|()| None).map_err(|detail| self.damaged(detail));
            }
        };
        if input.n != self.inputs + 1 {
            return Err(JournalError::Missing {
                file: self.name.clone(),
                detail: format!("input {} is followed by {}", self.inputs, input.n),
            });
        }
        self.inputs = input.n;
        let Some(rules) = self.rules.clone() else {
            return Err(self.damaged("an input stands before any rules"));
        };
        let (number, seq) = (input.n, input.seq);
        let head = self.head.as_ref();
        let account = head.and_then(|head| head.account.clone());
        let first = number == 1 && head.is_some_and(|head| !head.continues);
        let found = input.what.convert(|view| self.snapshot(view.clone()));
        Ok(Some(Entry {
            file: self.name.clone(),
            number,
            seq,
            account,
            first,
            rules,
            input: found.map_err(|detail| self.damaged(detail))?,
        }))
    }

    fn read_head(&self, line: &[u8], number: Option<u32>) -> Result<Head, JournalError> {
        // The format first: another one may have another head.
        let value: serde_json::Value =
            serde_json::from_slice(line).map_err(|error| self.damaged(error.to_string()))?;
        let format = value.pointer("/file/format").and_then(|v| v.as_u64());
        match format.map(u32::try_from) {
            Some(Ok(FORMAT)) => {}
            Some(Ok(found)) => {
                return Err(JournalError::Version {
                    file: self.name.clone(),
                    found,
                });
            }
            _ => return Err(self.damaged("its first line is no head")),
        }
        match serde_json::from_value(value) {
            Ok(Line::File(head)) if Some(head.number) == number => Ok(head),
            Ok(Line::File(head)) => {
                Err(self.damaged(format!("it says that it is number {}", head.number)))
            }
            Ok(_) => Err(self.damaged("its first line is no head")),
            Err(error) => Err(self.damaged(error.to_string())),
        }
    }

    fn define(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::File(_) => Err("a second head".to_owned()),
            Line::Input(_) => Err("an input is no definition".to_owned()),
            Line::Rules(rules) => {
                self.rules = Some(Arc::from(rules));
                Ok(())
            }
            Line::Market { slot, market } => put(&mut self.markets, slot, market),
            Line::Ladder {
                slot,
                token,
                bids,
                asks,
            } => {
                let (bids, asks) = (levels(&bids), levels(&asks));
                put(&mut self.ladders, slot, Ladder { token, bids, asks })
            }
            Line::History { slot, drop, add } => {
                let mut points = match drop {
                    Some(drop) => {
                        let before = at(&self.histories, slot, "the history")?.points();
                        before.get(drop..).unwrap_or_default().to_vec()
                    }
                    None => Vec::new(),
                };
                points.extend(add.into_iter().map(|(at, price)| PricePoint { at, price }));
                put(&mut self.histories, slot, History::new(points))
            }
        }
    }

    fn snapshot(&self, view: View) -> Result<Snapshot, String> {
        let markets: Result<Vec<MarketView>, String> = view
            .markets
            .into_iter()
            .map(|one| self.market(one))
            .collect();
        let snapshot = Snapshot::new(view.at, view.source, markets?, view.resolutions);
        Ok(snapshot.with_prints(view.prints).with_pending(view.pending))
    }

    fn market(&self, one: MarketRef) -> Result<MarketView, String> {
        let MarketRef(market, candidate, books, history) = one;
        let books: Result<Vec<Option<Arc<Book>>>, String> = books
            .into_iter()
            .map(|book| book.map(|book| self.book(book)).transpose())
            .collect();
        let history = history
            .map(|slot| at(&self.histories, slot, "the history").cloned())
            .transpose()?;
        Ok(MarketView {
            market: at(&self.markets, market, "the market")?.clone(),
            books: books?,
            history,
            candidate,
        })
    }

    fn book(&self, one: BookRef) -> Result<Arc<Book>, String> {
        let BookRef(slot, current, changed_at, origin, feed) = one;
        let ladder = at(&self.ladders, slot, "the levels")?;
        let book = Book::new(
            ladder.token.clone(),
            ladder.bids.clone(),
            ladder.asks.clone(),
            current,
            origin,
        );
        Ok(Arc::new(book.with_changed_at(changed_at).with_feed(feed)))
    }
}

fn levels(pairs: &[(Price, Shares)]) -> Vec<Level> {
    let level = |(price, size): &(Price, Shares)| Level {
        price: *price,
        size: *size,
    };
    pairs.iter().map(level).collect()
}
