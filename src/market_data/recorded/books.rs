//! Recordings of whole books: what the market channel told, message by message.
//!
//! [`BookRecording`] reads a capture of `polymarket-agent record`, or raw messages in JSON lines, and
//! holds them as [events](event::BookEvent) of 24 bytes. Books are kept by the rules of the live stream:
//! a token is hidden before its first whole book, while a burst is under way, after a gap and when its
//! book contradicts the best prices that are told. A raw file that begins without whole books gets
//! [rebuilt](rebuilt) ones, which say so.

use std::collections::HashMap;
use std::path::Path;

use crate::domain::{Market, MarketId, Price, Resolution, Shares, Timestamp, TokenId};
use crate::market_data::DataError;
use crate::market_data::polymarket::stream::ladder::Ladder;

use super::fees::FeeRule;
use super::load::{beside, home_of, is_resolutions};
use super::metadata::{self, Known};
use super::resolutions;
use super::rows::{Cancelled, file_error, file_name};
use super::skips::Skips;

mod decode;
pub mod event;
mod files;
mod markets;
mod message;
mod read;
mod rebuilt;
#[cfg(test)]
pub(crate) mod tests;

pub(super) use files::message_files;
pub use files::{RecordingKind, kind_of};
pub use markets::BookMarket;
pub use read::BookFile;

use decode::{Decoder, RawTurn, Token};
use event::{ASK, BID, BookEvent, KIND, RecordedPrint};

/// Most places that the arrays of a replay may have, all tokens together: 1 GiB.
const MOST_SLOTS: u64 = 1 << 27;

/// How a recording of books is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookOptions {
    /// Shares that stand at a told best price of unknown size, where a book is rebuilt.
    pub depth: Shares,
    /// Nothing after this moment is read; `None`: everything.
    pub until: Option<Timestamp>,
}

impl Default for BookOptions {
    /// 1,000 shares, as for price files.
    fn default() -> Self {
        BookOptions {
            depth: Shares::whole(1_000),
            until: None,
        }
    }
}

/// A token of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookToken {
    /// Its id.
    pub id: TokenId,
    /// Number of its market.
    pub market: usize,
    /// Place among the market's outcomes.
    pub outcome: usize,
    /// Price of one place, micro-units; it divides 1.
    pub step: u32,
    /// Whether its book is made from best prices until a whole one comes.
    pub rebuilt: bool,
}

/// The price step of a market changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Number of the market; `None` where it says nothing new.
    pub market: Option<usize>,
    /// The step from now on.
    pub tick: Price,
    /// Told by the venue; else a price did not fit the step before.
    pub told: bool,
}

/// What reading found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BookReport {
    /// Files in order.
    pub files: Vec<BookFile>,
    /// Messages that were read.
    pub messages: u64,
    /// Whether it is a capture.
    pub captured: bool,
    /// Gaps that the capture tells of.
    pub gaps: u64,
    /// Where an unfinished file ends.
    pub torn: Option<String>,
    /// Name of the metadata file, where there is one.
    pub metadata: Option<String>,
    /// Tokens whose books were rebuilt from best prices.
    pub rebuilt: usize,
    /// Tokens of which no book was ever known.
    pub never: usize,
    /// Markets whose names are made up.
    pub unnamed: usize,
    /// Markets put together because their books mirror each other.
    pub mirrored: usize,
    /// Markets with one token only.
    pub single: usize,
    /// What was left out.
    pub skips: Skips,
}

/// A recording of books.
#[derive(Debug)]
pub struct BookRecording {
    options: BookOptions,
    events: Vec<BookEvent>,
    prints: Vec<RecordedPrint>,
    turns: Vec<Turn>,
    tokens: Vec<BookToken>,
    markets: Vec<BookMarket>,
    resolutions: Vec<(Timestamp, usize, Resolution)>,
    by_id: HashMap<MarketId, usize>,
    first_seen: Vec<Vec<Timestamp>>,
    connections: usize,
    report: BookReport,
}

impl BookRecording {
    /// Reads the folder (or the raw file) `dir`. Raw files are `*.jsonl`, `*.jsonl.gz` and `*.jsonl.zst`, in
    /// order of names; `markets.json` and `resolutions.csv` from the same folder or the one above count for
    /// them as for price files.
    ///
    /// Errors: nothing to read, a file that cannot be read, no message that says anything of a book, more
    /// tokens than a replay has room for; or `cancelled` said so.
    pub fn load_unless(
        dir: &Path,
        options: BookOptions,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Self, DataError> {
        let kind = kind_of(dir)?;
        let mut report = BookReport::default();
        let mut known = Known::new();
        let mut decoder;
        if kind == RecordingKind::Capture {
            decoder = Decoder::new(None);
            let captured = read::capture(dir, options.until, &mut decoder, cancelled)?;
            for (at, entry) in &captured.entries {
                markets::add_entry(&mut known, entry, *at, &mut decoder.skips);
            }
            report.captured = true;
            report.files = captured.files;
            report.gaps = captured.gaps;
            report.torn = captured.torn;
        } else {
            decoder = Decoder::new(Some(options.depth));
            for (number, path) in (0_u32..).zip(message_files(dir, RecordingKind::Messages)?) {
                let until = options.until;
                let file = read::raw_file(&path, number, until, &mut decoder, cancelled)?;
                report.files.push(file);
            }
        }
        let home = home_of(dir);
        if kind != RecordingKind::Capture
            && let Some(path) = beside(&home, |name| name == "markets.json").first()
        {
            known = metadata::read_file(path, &mut decoder.skips)?;
            report.metadata = Some(file_name(path));
        }
        let mut lines = HashMap::new();
        for path in beside(&home, is_resolutions) {
            resolutions::read_file(&path, &mut decoder.skips, cancelled, &mut lines)?;
        }
        if decoder.tokens.is_empty() {
            return Err(file_error(dir, nothing(&decoder.skips)));
        }
        Self::finish(decoder, options, report, known, &lines, dir, cancelled)
    }

    /// The same from the content of one raw file, without anything beside it.
    ///
    /// Errors: as [`BookRecording::load_unless`].
    pub fn from_lines(
        text: impl std::io::Read,
        name: &str,
        options: BookOptions,
    ) -> Result<Self, DataError> {
        let mut decoder = Decoder::new(Some(options.depth));
        let path = Path::new(name);
        let file = read::raw(text, name, 0, options.until, &mut decoder, &|| false)?;
        let file = file.map_err(|error| file_error(path, error))?;
        if decoder.tokens.is_empty() {
            return Err(file_error(path, nothing(&decoder.skips)));
        }
        let report = BookReport {
            files: vec![file],
            ..BookReport::default()
        };
        Self::finish(
            decoder,
            options,
            report,
            Known::new(),
            &HashMap::new(),
            path,
            &|| false,
        )
    }

    fn finish(
        mut decoder: Decoder,
        options: BookOptions,
        mut report: BookReport,
        mut known: Known,
        lines: &HashMap<String, resolutions::Line>,
        dir: &Path,
        cancelled: Cancelled<'_>,
    ) -> Result<Self, DataError> {
        if let Some(until) = options.until {
            // The first entry of a market holds from the beginning, whenever it was written.
            for editions in known.values_mut() {
                let mut first = true;
                editions.retain(|one| {
                    std::mem::take(&mut first) || one.as_of.is_none_or(|from| from <= until)
                });
            }
        }
        let grouped = markets::group(&decoder.tokens, &known, &mut decoder.skips)?;
        let markets = grouped.markets;
        (report.unnamed, report.mirrored, report.single) =
            (grouped.unnamed, grouped.mirrored, grouped.single);
        let tokens = tokens_of(&decoder.tokens, &markets);
        let slots: u64 = tokens
            .iter()
            .map(|token| 2 * u64::from(1_000_000 / token.step.max(1)))
            .sum();
        if slots > MOST_SLOTS {
            return Err(file_error(
                dir,
                format!(
                    "a replay of its {} tokens would need {} MiB for their books; split the recording",
                    tokens.len(),
                    slots >> 17
                ),
            ));
        }
        let resolutions = markets::resolutions(
            &markets,
            lines,
            &decoder.announced,
            options.until,
            &mut decoder.skips,
        );
        let mut events = decoder.events;
        events.append(&mut decoder.hides);
        if let Some(until) = options.until {
            events.retain(|event| event.at <= until.millis());
        }
        if !events.is_sorted_by_key(|event| event.at) {
            // Stable: what is of one moment stays in the order in which it came.
            events.sort_by_key(|event| event.at);
        }
        if cancelled() {
            return Err(DataError::Cancelled);
        }
        for event in &mut events {
            if let Some(token) = tokens.get(event.token())
                && event.meta >> KIND <= ASK
            {
                let micros = match event.meta >> KIND {
                    BID => event.slot,
                    _ => 1_000_000 - event.slot.min(1_000_000),
                };
                event.slot = micros / token.step.max(1);
            }
        }
        let turn = |RawTurn { token, tick, told }: &RawTurn| {
            let market = tokens.get(*token as usize).map(|token| token.market);
            // What the metadata states goes before what prices look like.
            let stated = |market: usize| markets.get(market).is_some_and(|one| one.has_tick);
            Turn {
                market: market.filter(|market| *told || !stated(*market)),
                tick: *tick,
                told: *told,
            }
        };
        let turns: Vec<Turn> = decoder.turns.iter().map(turn).collect();
        report.messages = decoder.messages;
        report.rebuilt = decoder
            .tokens
            .iter()
            .filter(|token| token.was_rebuilt)
            .count();
        report.never = decoder
            .tokens
            .iter()
            .filter(|token| !token.ever_shown)
            .count();
        report.skips = decoder.skips;
        let connections = events
            .iter()
            .filter_map(|event| match event.kind() {
                event::CONNECTED => usize::try_from(event.size).ok(),
                event::HEARD => Some(event.token()),
                _ => None,
            })
            .max()
            .map_or(1, |most| most + 1);
        let by_id = markets
            .iter()
            .enumerate()
            .map(|(index, one)| (one.market.id.clone(), index))
            .collect();
        let first_seen = seen(&events, &tokens, markets.len());
        events.shrink_to_fit();
        Ok(BookRecording {
            options,
            events,
            prints: decoder.prints,
            turns,
            tokens,
            markets,
            resolutions,
            by_id,
            first_seen,
            connections,
            report,
        })
    }

    /// What it was read with.
    #[must_use]
    pub fn options(&self) -> &BookOptions {
        &self.options
    }

    /// What happened, oldest first.
    #[must_use]
    pub fn events(&self) -> &[BookEvent] {
        &self.events
    }

    /// Trades, by the places that events name.
    #[must_use]
    pub fn prints(&self) -> &[RecordedPrint] {
        &self.prints
    }

    /// Changes of terms, by the places that events name.
    #[must_use]
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// All tokens, by number.
    #[must_use]
    pub fn tokens(&self) -> &[BookToken] {
        &self.tokens
    }

    /// All markets, by id.
    #[must_use]
    pub fn markets(&self) -> &[BookMarket] {
        &self.markets
    }

    /// Ends of markets, by time.
    #[must_use]
    pub fn resolutions(&self) -> &[(Timestamp, usize, Resolution)] {
        &self.resolutions
    }

    /// Number of the market with this id.
    #[must_use]
    pub fn index_of(&self, id: &MarketId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// How many connections told it.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// What reading found.
    #[must_use]
    pub fn report(&self) -> &BookReport {
        &self.report
    }

    /// First and last event; `None` never happens for a loaded one with events.
    #[must_use]
    pub fn period(&self) -> Option<(Timestamp, Timestamp)> {
        let (first, last) = (self.events.first()?, self.events.last()?);
        Some((
            Timestamp::from_millis(first.at),
            Timestamp::from_millis(last.at),
        ))
    }

    /// Bytes that the decoded events take.
    #[must_use]
    pub fn decoded_bytes(&self) -> usize {
        std::mem::size_of_val(self.events.as_slice())
    }

    /// By number of the market: whether its book was told of between two moments, both included, to the
    /// minute.
    #[must_use]
    pub fn told_between(&self, from: Timestamp, to: Timestamp) -> Vec<bool> {
        let begin = from.plus_millis(-from.millis().rem_euclid(SEEN_STEP));
        self.first_seen
            .iter()
            .map(|moments| {
                let next = moments.partition_point(|at| *at < begin);
                moments.get(next).is_some_and(|at| *at <= to)
            })
            .collect()
    }

    /// What stands on the first line of a report, where books were not the venue's own.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        (self.report.rebuilt > 0).then(|| {
            format!(
                "The recording begins without whole books for {} of {} tokens: theirs were built from \
                 the best prices that are told beside each change, with {} shares assumed at a best \
                 price of unknown size, so fills and all results are an approximation.",
                self.report.rebuilt,
                self.tokens.len(),
                self.options.depth
            )
        })
    }

    /// Remarks on what was read and what is assumed.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let report = &self.report;
        let kind = match report.captured {
            true => "a capture, by the receiving machine's clock",
            false => "raw messages, by the exchange's clock",
        };
        let mut notes = vec![format!(
            "Recorded books ({kind}): {} messages in {} files, {} events of {} markets and {} tokens, {:.1} \
             MB decoded.",
            report.messages,
            report.files.len(),
            self.events.len(),
            self.markets.len(),
            self.tokens.len(),
            self.decoded_bytes() as f64 / 1e6
        )];
        notes.push(super::FEE_NOTE.to_owned());
        let mut say = |count: usize, words: &str| {
            if count > 0 {
                notes.push(format!("{count} {words}"));
            }
        };
        say(
            report.unnamed,
            "markets have no entry in a markets.json: their ids, names and the order of their outcomes \
             are made up, the price step is 0.01 until a finer price is seen, and the least order 5 shares.",
        );
        say(
            report.mirrored,
            "markets were put together from the two tokens of a file, because their first books mirror \
             each other.",
        );
        say(
            report.single,
            "markets have one recorded token only: the other one has no book.",
        );
        say(
            report.never,
            "tokens never had a book that could be believed: no whole one, and no best prices to build \
             one from.",
        );
        if report.gaps > 0 {
            notes.push(format!(
                "The capture has {} gaps: from the last moment at which nothing was missing to the next \
                 whole book nothing fills.",
                report.gaps
            ));
        }
        if let Some(torn) = &report.torn {
            notes.push(format!(
                "The capture is not finished or was cut off: {torn}."
            ));
        }
        for (cause, skipped) in report.skips.iter() {
            notes.push(format!(
                "Left out {} times: {cause}; first {}.",
                skipped.count, skipped.first
            ));
        }
        notes
    }
}

impl BookMarket {
    /// The market's terms in force at `at`, apart from its price step.
    #[must_use]
    pub fn at(&self, at: Timestamp, fees: Option<FeeRule>) -> Market {
        let later = self.editions.iter().skip(1);
        let holds = later.take_while(|edition| edition.from <= at).last();
        let edition = holds.or(self.editions.first());
        let mut market = self.market.clone();
        if let Some(edition) = edition {
            market.start = edition.start;
            market.end = edition.end;
            market.category.clone_from(&edition.category);
            market.description.clone_from(&edition.description);
            if let Some(tick) = edition.tick {
                market.tick = tick;
            }
        }
        let rule = fees.or(edition.map(|edition| edition.fee));
        if let Some(rule) = rule {
            market.fee = rule.at(at);
        }
        market
    }

    /// When the terms change next after `at`: an edition, or the day on which fees began.
    #[must_use]
    pub fn changes_after(&self, at: Timestamp) -> Option<Timestamp> {
        let later = self.editions.iter().skip(1).map(|edition| edition.from);
        let later = later.chain([super::FEES_SINCE]);
        later.filter(|moment| *moment > at).min()
    }
}

fn nothing(skips: &Skips) -> String {
    let mut text = "there is no message in it that tells of a book".to_owned();
    if let Some((cause, skipped)) = skips.iter().max_by_key(|(_, skipped)| skipped.count) {
        text += &format!("; {} times {cause}, first {}", skipped.count, skipped.first);
    }
    text
}

fn tokens_of(read: &[Token], markets: &[BookMarket]) -> Vec<BookToken> {
    let mut places = vec![(usize::MAX, 0); read.len()];
    for (index, market) in markets.iter().enumerate() {
        for (outcome, number) in market.tokens.iter().enumerate() {
            let place = number.and_then(|number| places.get_mut(number as usize));
            if let Some(place) = place {
                *place = (index, outcome);
            }
        }
    }
    read.iter()
        .zip(places)
        .map(|(token, (market, outcome))| BookToken {
            id: token.id.clone(),
            market,
            outcome,
            step: token.step.max(1),
            rebuilt: token.was_rebuilt,
        })
        .collect()
}

/// Steps in which it is remembered that a market was told of, ms.
const SEEN_STEP: i64 = 60_000;

/// Minutes in which each market's books were shown.
fn seen(events: &[BookEvent], tokens: &[BookToken], markets: usize) -> Vec<Vec<Timestamp>> {
    let mut found: Vec<Vec<Timestamp>> = vec![Vec::new(); markets];
    for event in events {
        if event.meta & event::SHOWN == 0 {
            continue;
        }
        let minute = event.at - event.at.rem_euclid(SEEN_STEP);
        let market = tokens.get(event.token()).map(|token| token.market);
        if let Some(moments) = market.and_then(|market| found.get_mut(market))
            && moments.last().map(|at| at.millis()) != Some(minute)
        {
            moments.push(Timestamp::from_millis(minute));
        }
    }
    found
}
