//! A directory of recordings in memory, and what of it could be seen at a moment.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::domain::{Book, Event, Market, MarketStatus, Price, Shares, Timestamp, TokenId};
use crate::market_data::DataError;

use super::load;
use super::series::{Series, Visible};
use super::skips::Skips;
use super::synthetic_book;

/// How a recording is turned into books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatasetOptions {
    /// Distance between synthesised bid and ask.
    pub default_spread: Price,
    /// Shares on each side of a synthesised book.
    pub depth: Shares,
}

impl Default for DatasetOptions {
    /// Two cents and 1,000 shares, as the ancestor assumed.
    fn default() -> Self {
        DatasetOptions {
            default_spread: Price::from_micros(20_000).unwrap_or(Price::ONE),
            depth: Shares::whole(1_000),
        }
    }
}

/// One price file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// File name, without folders.
    pub name: String,
    /// Valid rows in it.
    pub rows: u64,
}

/// What loading found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Price files, in name order.
    pub files: Vec<FileReport>,
    /// CSV files that hold no prices and were left alone.
    pub ignored: Vec<String>,
    /// Name of the metadata file, where there is one.
    pub metadata: Option<String>,
    /// Rows kept.
    pub rows: u64,
    /// Valid rows that a later row of the same market and moment replaced.
    pub replaced: u64,
    /// Rows that made no sense.
    pub skips: Skips,
    /// Resolutions of markets that have no row.
    pub unmatched_resolutions: u64,
}

/// Markets of one event.
#[derive(Debug)]
pub(super) struct EventGroup {
    /// Id, slug and title; the rest follows from the markets that can be seen.
    pub(super) event: Event,
    /// Indexes of its markets.
    pub(super) members: Vec<usize>,
}

/// Times at which the markets of a file first showed a volume, and at which it first fell.
#[derive(Debug, Default)]
struct VolumeColumn {
    started: Vec<Timestamp>,
    fell: Vec<Timestamp>,
}

/// A directory of recordings.
///
/// Markets are ordered by id. All that depends on a moment is computed from rows at or before it:
/// cutting the files off there changes nothing.
#[derive(Debug)]
pub struct Dataset {
    options: DatasetOptions,
    report: LoadReport,
    series: Vec<Series>,
    by_id: HashMap<String, usize>,
    by_token: HashMap<TokenId, usize>,
    pub(super) groups: Vec<EventGroup>,
    columns: Vec<VolumeColumn>,
}

impl Dataset {
    /// Reads all `*.csv` and `*.csv.gz` with prices in `dir` (or the one file that `dir` names), in
    /// name order, with `markets.json` and `resolutions.csv` (or `*.resolutions.csv`) from the same
    /// folder or the one above.
    ///
    /// Columns go by header name: `timestamp` (RFC 3339, epoch seconds or ms), `market_id`,
    /// `yes_price` (0–1), `token_id`, and where present `question` and `volume` (pUSD, 0 is
    /// unknown). Rows that make no sense are skipped and counted in [`LoadReport::skips`]; of two
    /// rows of one market and moment the last counts.
    ///
    /// Errors: nothing to read, a file that cannot be read, a price file without a valid row.
    pub fn load(dir: &Path, options: DatasetOptions) -> Result<Self, DataError> {
        Self::load_unless(dir, options, &|| false)
    }

    /// The same, but `cancelled` is asked every few thousand rows and can end it.
    ///
    /// Errors: as [`Dataset::load`], and [`DataError::Cancelled`].
    pub fn load_unless(
        dir: &Path,
        options: DatasetOptions,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, DataError> {
        load::load(dir, options, cancelled)
    }

    pub(super) fn new(
        options: DatasetOptions,
        mut report: LoadReport,
        series: Vec<Series>,
        groups: Vec<EventGroup>,
    ) -> Self {
        let mut by_id = HashMap::with_capacity(series.len() * 2);
        let mut by_token = HashMap::with_capacity(series.len() * 2);
        let mut columns: Vec<VolumeColumn> = Vec::new();
        columns.resize_with(report.files.len(), VolumeColumn::default);
        for (index, one) in series.iter().enumerate() {
            by_id.insert(one.template().id.as_str().to_owned(), index);
            for outcome in &one.template().outcomes {
                let owner = *by_token.entry(outcome.token.clone()).or_insert(index);
                if owner != index {
                    report.skips.count(
                        "two markets share a token; the first in order of ids keeps it",
                        || format!("market {}", one.template().id),
                    );
                }
            }
            if let Some(column) = columns.get_mut(one.file) {
                column.started.extend(one.first_volume());
                column.fell.extend(one.volume_fell());
            }
        }
        // Slugs and condition ids lead to a market too, but never in place of an id.
        for (index, one) in series.iter().enumerate() {
            let market = one.template();
            let slug = market.slug.clone();
            let condition = market.condition_id.as_ref().map(ToString::to_string);
            for name in [slug, condition].into_iter().flatten() {
                by_id.entry(name).or_insert(index);
            }
        }
        for column in &mut columns {
            column.started.sort_unstable();
            column.fell.sort_unstable();
        }
        Dataset {
            options,
            report,
            series,
            by_id,
            by_token,
            groups,
            columns,
        }
    }

    /// The options it was loaded with.
    #[must_use]
    pub fn options(&self) -> &DatasetOptions {
        &self.options
    }

    /// What loading found.
    #[must_use]
    pub fn report(&self) -> &LoadReport {
        &self.report
    }

    /// All markets, by id.
    #[must_use]
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// First and last row of the whole recording; `None` never happens for a loaded one.
    #[must_use]
    pub fn period(&self) -> Option<(Timestamp, Timestamp)> {
        let ends = |one: &Series| {
            let points = one.points();
            Some((points.first()?.at, points.last()?.at))
        };
        self.series
            .iter()
            .filter_map(ends)
            .reduce(|(a, b), (c, d)| (a.min(c), b.max(d)))
    }

    /// Index of the market with this id, slug or condition id.
    #[must_use]
    pub fn index_of(&self, id_or_slug: &str) -> Option<usize> {
        self.by_id.get(id_or_slug.trim()).copied()
    }

    /// Index of the market that a token belongs to.
    #[must_use]
    pub fn index_of_token(&self, token: &TokenId) -> Option<usize> {
        self.by_token.get(token).copied()
    }

    /// True when the volume column of file `file` could be taken as cumulative at `at`: it has
    /// fallen for at most one in twenty of the markets that had shown a volume by then.
    pub(super) fn is_cumulative(&self, file: usize, at: Timestamp) -> bool {
        self.columns.get(file).is_some_and(|column| {
            let until = |times: &[Timestamp]| times.partition_point(|time| *time <= at);
            until(&column.fell) * 20 <= until(&column.started)
        })
    }

    /// What could be seen of market `index` at `at`: its latest row and its state; `None` when it
    /// had no row yet.
    #[must_use]
    pub fn visible(&self, index: usize, at: Timestamp) -> Option<(usize, Visible)> {
        let one = self.series.get(index)?;
        let row = one.last_row(at)?;
        Some((row, self.visible_at_row(index, row, at)?))
    }

    /// The same for a caller that walks through time and knows that `row` is the latest row.
    #[must_use]
    pub fn visible_at_row(&self, index: usize, row: usize, at: Timestamp) -> Option<Visible> {
        let one = self.series.get(index)?;
        Some(one.visible(row, at, self.is_cumulative(one.file, at)))
    }

    /// Number of the event that market `index` belongs to, when the metadata calls it neg-risk.
    #[must_use]
    pub fn neg_risk_event(&self, index: usize) -> Option<usize> {
        let one = self.series.get(index)?;
        one.event.filter(|_| one.template().neg_risk)
    }

    /// Indexes of all recorded markets of an event.
    #[must_use]
    pub fn event_members(&self, event: usize) -> &[usize] {
        self.groups
            .get(event)
            .map_or(&[], |group| group.members.as_slice())
    }

    /// Market `index` as it could be seen at `at`; `None` when it had no row yet.
    #[must_use]
    pub fn market(&self, index: usize, at: Timestamp) -> Option<Market> {
        let (_, visible) = self.visible(index, at)?;
        Some(self.series.get(index)?.market(&visible))
    }

    /// Synthesised books of both outcomes from row `row`; `None` once the market is resolved, as
    /// the venue then has no book either.
    #[must_use]
    pub fn books(&self, index: usize, row: usize, visible: &Visible) -> Option<[Arc<Book>; 2]> {
        if visible.status == MarketStatus::Closed {
            return None;
        }
        let one = self.series.get(index)?;
        let (at, price) = one.row(row)?;
        let [first, second] = one.template().outcomes.as_slice() else {
            return None;
        };
        let (first, second) = synthetic_book::books(
            (&first.token, &second.token),
            price,
            self.options.default_spread,
            visible.tick,
            self.options.depth,
            at,
        );
        Some([Arc::new(first), Arc::new(second)])
    }

    /// Remarks on what is assumed about the recording, and on what of it lies at or before `at`.
    #[must_use]
    pub fn notes(&self, at: Timestamp) -> Vec<String> {
        let rows: usize = self
            .series
            .iter()
            .filter_map(|one| Some(one.last_row(at)? + 1))
            .sum();
        let markets = self
            .series
            .iter()
            .filter(|one| one.last_row(at).is_some())
            .count();
        let mut notes = vec![
            format!(
                "Books are synthesised from one recorded price: spread {}, {} shares on each side.",
                self.options.default_spread, self.options.depth
            ),
            format!(
                "{rows} rows of {markets} markets lie at or before {at} ({} price files).",
                self.report.files.len()
            ),
        ];
        for (file, (report, column)) in self.report.files.iter().zip(&self.columns).enumerate() {
            let meaning = if column.started.first().is_none_or(|first| *first > at) {
                "is unknown so far (0 or empty)"
            } else if self.is_cumulative(file, at) {
                "has not fallen, so it is taken as volume since the start, its growth as 24-hour volume"
            } else {
                "falls, so it is not volume since the start; 24-hour volume is unknown"
            };
            notes.push(format!("The volume column of {} {meaning}.", report.name));
        }
        notes.push(
            "Fees are the markets' own where markets.json states them (fee_rate), none where it says \
             so, and assumed otherwise: none before 2026-03-30, from then on the rates of October \
             2026 by category."
                .to_owned(),
        );
        notes.push(
            "A recording may hold some markets of an event only; nothing in it says which are \
             missing."
                .to_owned(),
        );
        if self.report.metadata.is_none() {
            notes.push(
                "There is no markets.json: events, categories and second tokens are unknown."
                    .to_owned(),
            );
        }
        if self.report.replaced > 0 {
            notes.push(format!(
                "{} rows were replaced by a later row of the same market and moment.",
                self.report.replaced
            ));
        }
        for (cause, skipped) in self.report.skips.iter() {
            notes.push(format!(
                "Skipped {} times: {cause}; first {}.",
                skipped.count, skipped.first
            ));
        }
        notes
    }
}
