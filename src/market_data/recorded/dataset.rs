//! A directory of recordings in memory, and what of it could be seen at a moment.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::domain::{
    Book, Event, Market, MarketStatus, Price, Shares, Timestamp, TokenId, Universe,
};
use crate::market_data::DataError;

use super::content_hash::Digests;
use super::described::{self, Described};
use super::growing::MARKETS_PER_QUESTION;
use super::load;
use super::series::{Series, Visible};
use super::skips::Skips;
use super::synthetic_book::{self, Top};
use super::timeline::Timeline;
use super::volume::{Evidence, VolumeColumn, VolumeKind};

/// What a recording knows of fees: the remark of [`Dataset::notes`] that another fee model overrides.
pub const FEE_NOTE: &str = "Fees are the markets' own where markets.json states them (fee_rate), none \
                            where it says so, and assumed otherwise: none before 2026-03-30, from then \
                            on the rates of October 2026 by category. The earlier fees of 15-minute \
                            crypto markets are not among them.";

/// How a recording is turned into books, and read where it does not explain itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatasetOptions {
    /// Distance between synthesised bid and ask.
    pub default_spread: Price,
    /// Shares on each side of a synthesised book, where the volume of 24 hours is not known.
    pub depth: Shares,
    /// What the volumes are where no `dataset.yaml` says so; `None`: guessed file by file.
    pub volume_kind: Option<VolumeKind>,
    /// Nothing after this moment is read: no row, no resolution, no later entry of the metadata. For
    /// looking whether anything depends on what comes later; `None`: everything.
    pub until: Option<Timestamp>,
}

impl Default for DatasetOptions {
    /// Two cents and 1,000 shares, as the ancestor assumed.
    fn default() -> Self {
        DatasetOptions {
            default_spread: Price::from_micros(20_000).unwrap_or(Price::ONE),
            depth: Shares::whole(1_000),
            volume_kind: None,
            until: None,
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
    /// Files that hold no prices and were left alone.
    pub ignored: Vec<String>,
    /// True when a `dataset.yaml` was read.
    pub described: bool,
    /// Name of the metadata file, where there is one.
    pub metadata: Option<String>,
    /// Rows kept.
    pub rows: u64,
    /// Valid rows that a later row of the same market and moment replaced.
    pub replaced: u64,
    /// Rows that made no sense.
    pub skips: Skips,
    /// Rows kept whose best bid and ask are not used, because the bid is not below the ask.
    pub odd_quotes: u64,
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
    /// Made when a replay first asks for it.
    timeline: OnceLock<Arc<Timeline>>,
    /// The same.
    universe: OnceLock<Arc<Universe>>,
}

impl Dataset {
    /// Reads all price files in `dir` (or the one file that `dir` names), in name order: `*.csv`,
    /// `*.csv.gz`, `*.csv.zst` and `*.parquet`; with `markets.json`, `dataset.yaml` and
    /// `resolutions.csv` (or `*.resolutions.csv`) from the same folder or the one above.
    ///
    /// Columns go by name: `timestamp` (RFC 3339, epoch seconds or ms), `market_id`, `yes_price`
    /// (0–1; `mid` where there is none), and where present `token_id`, `no_token_id`, `question`,
    /// `volume` (pUSD, 0 is unknown), `best_bid` and `best_ask`. Rows that make no sense are skipped
    /// and counted in [`LoadReport::skips`]; of two rows of one market and moment the last counts.
    /// Files are read at the same time; what comes out does not depend on how many at once.
    ///
    /// Errors: nothing to read, a file that cannot be read, a price file without a valid row.
    pub fn load(dir: &Path, options: DatasetOptions) -> Result<Self, DataError> {
        Self::load_unless(dir, options, None, &|| false)
    }

    /// The same, but `cancelled` is asked every few thousand rows, from several threads, and can end
    /// it. What is hashed of it on the way is noted in `digests`, where that is wanted.
    ///
    /// Errors: as [`Dataset::load`], and [`DataError::Cancelled`].
    pub fn load_unless(
        dir: &Path,
        options: DatasetOptions,
        digests: Option<&Digests>,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Self, DataError> {
        load::load(dir, options, digests, cancelled)
    }

    pub(super) fn new(
        options: DatasetOptions,
        mut report: LoadReport,
        mut series: Vec<Series>,
        groups: Vec<EventGroup>,
        described: &Described,
    ) -> Self {
        let mut by_id = HashMap::with_capacity(series.len() * 2);
        let mut by_token = HashMap::with_capacity(series.len() * 2);
        let columns = volume_columns(options.volume_kind, &report, &mut series, described);
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
        Dataset {
            options,
            report,
            series,
            by_id,
            by_token,
            groups,
            columns,
            timeline: OnceLock::new(),
            universe: OnceLock::new(),
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

    /// All rows in the order of time, put in order once. `None` when `cancelled` said so meanwhile.
    #[must_use]
    pub fn timeline(&self, cancelled: &(dyn Fn() -> bool + Sync)) -> Option<Arc<Timeline>> {
        if let Some(known) = self.timeline.get() {
            return Some(Arc::clone(known));
        }
        let markets: Vec<_> = self
            .series
            .iter()
            .map(|one| one.points().as_slice())
            .collect();
        let made = Timeline::new(&markets, cancelled)?;
        Some(Arc::clone(self.timeline.get_or_init(|| Arc::new(made))))
    }

    /// All markets by name and by token, each under its place among the [series](Self::series); made once. `None` when
    /// `cancelled` said so meanwhile.
    #[must_use]
    pub fn universe(&self, cancelled: &(dyn Fn() -> bool + Sync)) -> Option<Arc<Universe>> {
        if let Some(known) = self.universe.get() {
            return Some(Arc::clone(known));
        }
        let mut made = Universe::with_capacity(self.series.len());
        for (number, one) in self.series.iter().enumerate() {
            if number % MARKETS_PER_QUESTION == 0 && cancelled() {
                return None;
            }
            made.add(one.template());
        }
        Some(Arc::clone(self.universe.get_or_init(|| Arc::new(made))))
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

    /// What the volumes of file `file` were known to be at `at`.
    pub(super) fn volume_kind(&self, file: usize, at: Timestamp) -> VolumeKind {
        self.columns
            .get(file)
            .map_or(VolumeKind::Unknown, |column| column.kind_at(at))
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
        Some(one.visible(row, at, self.volume_kind(one.file, at)))
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

    /// Books of both outcomes from row `row`: its best bid and ask where it tells both, else
    /// synthesised from its price. `None` once the market is resolved, as the venue then has no book
    /// either; no books while the row is [stale](Visible::stale).
    #[must_use]
    pub fn books(
        &self,
        index: usize,
        row: usize,
        visible: &Visible,
    ) -> Option<[Option<Arc<Book>>; 2]> {
        let [first, second] = self.series.get(index)?.template().outcomes.as_slice() else {
            return None;
        };
        let Some(top) = self.top(index, row, visible)? else {
            return Some([None, None]);
        };
        let book = |second, token| Some(Arc::new(top.book(second, token)));
        Some([book(false, &first.token), book(true, &second.token)])
    }

    /// What there is of both books; as [`Dataset::books`] says, with `Some(None)` for a stale row.
    #[must_use]
    pub fn top(&self, index: usize, row: usize, visible: &Visible) -> Option<Option<Top>> {
        let one = self.series.get(index)?;
        if visible.status == MarketStatus::Closed || one.template().outcomes.len() != 2 {
            return None;
        }
        if visible.stale {
            return Some(None);
        }
        let (at, price) = one.row(row)?;
        let market = one.template();
        let depth = visible.volume_24h.map_or(self.options.depth, |volume| {
            synthetic_book::depth_of(volume, market.min_size)
        });
        let told = one.quote(row);
        let (bid, ask) = match (told.bid(), told.ask()) {
            (None, None) => {
                synthetic_book::quotes(price, self.options.default_spread, visible.tick)
            }
            told => told,
        };
        Some(Some(Top {
            bid,
            ask,
            depth,
            at,
        }))
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
                "Books are synthesised: from the recorded best bid and ask where a row has them, else \
                 from its one price with a spread of {}; 1 % of the 24-hour volume on each side where \
                 that is known, else {} shares. A market without a row for three of its usual \
                 spacings (an hour at least) has none.",
                self.options.default_spread, self.options.depth
            ),
            format!(
                "{rows} rows of {markets} markets lie at or before {at} ({} price files).",
                self.report.files.len()
            ),
        ];
        for (report, column) in self.report.files.iter().zip(&self.columns) {
            notes.push(column.note(&report.name, at));
        }
        notes.push(FEE_NOTE.to_owned());
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
        let known = self.series.iter().filter(|one| one.last_row(at).is_some());
        let second = |one: &&Series| {
            one.template()
                .outcomes
                .get(1)
                .is_some_and(|no| no.synthetic)
        };
        let made_up = known.filter(second).count();
        if made_up > 0 {
            notes.push(format!(
                "{made_up} of {markets} markets have a made-up second token (synthetic:no:…): nothing \
                 names the real one."
            ));
        }
        if self.report.odd_quotes > 0 {
            notes.push(format!(
                "{} rows have a best bid that is not below their best ask: their price was used \
                 alone.",
                self.report.odd_quotes
            ));
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

/// What the volumes of each file are: as `dataset.yaml` says, else as the options say, else as they
/// behave.
fn volume_columns(
    configured: Option<VolumeKind>,
    report: &LoadReport,
    series: &mut [Series],
    described: &Described,
) -> Vec<VolumeColumn> {
    let mut evidence: Vec<Evidence> = Vec::new();
    evidence.resize_with(report.files.len(), Evidence::default);
    for one in &*series {
        if let Some(evidence) = evidence.get_mut(one.file) {
            evidence.add(&one.volumes);
        }
    }
    let columns: Vec<VolumeColumn> = evidence
        .into_iter()
        .zip(&report.files)
        .map(|(evidence, file)| {
            let own = described.volume_kind(&file.name);
            let stated = own
                .map(|kind| (kind, described::NAME))
                .or_else(|| configured.map(|kind| (kind, "backtest.volume_kind")));
            evidence.column(stated)
        })
        .collect();
    for one in series {
        if columns
            .get(one.file)
            .is_some_and(VolumeColumn::is_ever_per_row)
        {
            one.sum_volumes();
        }
    }
    columns
}
