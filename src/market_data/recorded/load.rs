//! From a directory to a [`Dataset`]: which files are read, and how their rows become series.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::domain::{
    Event, EventId, FeeSchedule, Market, MarketId, MarketStatus, Outcome, Price, PricePoint,
    ProtocolVersion, Shares, Timestamp, TokenId, Usdc, text,
};
use crate::market_data::DataError;

use super::cells;
use super::dataset::{Dataset, DatasetOptions, EventGroup, FileReport, LoadReport};
use super::fees::FeeRule;
use super::metadata::{self, Metadata};
use super::resolutions::{self, Line};
use super::rows::{BAD_ID, Content, Row, file_error, file_name, is_id, read_prices};
use super::series::{Parts, Series};
use super::skips::Skips;

/// The venue's smallest order, where the metadata does not say.
const DEFAULT_MIN_SIZE: u32 = 5;

/// See [`Dataset::load_unless`].
pub(super) fn load(
    dir: &Path,
    options: DatasetOptions,
    cancelled: &dyn Fn() -> bool,
) -> Result<Dataset, DataError> {
    let (home, files) = price_files(dir)?;
    let mut report = LoadReport::default();
    let mut rows = Building::default();
    for path in &files {
        let file = report.files.len();
        let content = read_prices(path, &mut report.skips, cancelled, |row| {
            rows.accept(row, file)
        })?;
        match content {
            Content::Prices { rows } => report.files.push(FileReport {
                name: file_name(path),
                rows,
            }),
            Content::Other => report.ignored.push(file_name(path)),
        }
    }
    if report.files.is_empty() {
        return Err(file_error(dir, "there is no CSV file with prices in it"));
    }
    report.replaced = rows.replaced;
    let mut known = HashMap::new();
    if let Some(path) = beside(&home, |name| name == "markets.json").first() {
        known = metadata::read(path, &mut report.skips)?;
        report.metadata = Some(file_name(path));
    }
    let mut lines = HashMap::new();
    for path in beside(&home, is_resolutions) {
        resolutions::read(&path, &mut report.skips, cancelled, &mut lines)?;
    }
    if cancelled() {
        return Err(DataError::Cancelled);
    }
    rows.finish(options, report, &known, &lines)
}

/// The folder that metadata belongs to, and the files that may hold prices, by name.
fn price_files(dir: &Path) -> Result<(PathBuf, Vec<PathBuf>), DataError> {
    if dir.is_file() {
        let home = dir.parent().unwrap_or_else(|| Path::new("."));
        return Ok((home.to_owned(), vec![dir.to_owned()]));
    }
    let files = listed(dir)
        .map_err(|error| file_error(dir, error))?
        .into_iter()
        .filter(|path| {
            let name = file_name(path).to_ascii_lowercase();
            (name.ends_with(".csv") || name.ends_with(".csv.gz")) && !is_resolutions(&name)
        })
        .collect();
    Ok((dir.to_owned(), files))
}

fn is_resolutions(name: &str) -> bool {
    ["resolutions.csv", "resolutions.csv.gz"]
        .iter()
        .any(|end| name == *end || name.ends_with(&format!(".{end}")))
}

fn listed(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    Ok(paths)
}

/// The wanted files of `home`, or of the folder above when `home` has none.
fn beside(home: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    // `data` and `data/.` have a folder above only once they are spelled out.
    let full = home.canonicalize().unwrap_or_else(|_| home.to_owned());
    let of = |dir: &Path| -> Vec<PathBuf> {
        listed(dir)
            .unwrap_or_default()
            .into_iter()
            .filter(|path| wanted(&file_name(path).to_ascii_lowercase()))
            .collect()
    };
    let here = of(&full);
    if !here.is_empty() {
        return here;
    }
    full.parent().map(of).unwrap_or_default()
}

/// Series under construction.
#[derive(Default)]
struct Building {
    by_id: HashMap<Box<str>, usize>,
    markets: Vec<Growing>,
    /// The market of the row before: files often list one market after the other.
    last: usize,
    replaced: u64,
}

struct Growing {
    id: Box<str>,
    token: Box<str>,
    /// Cleaned.
    question: String,
    question_at: Timestamp,
    file: usize,
    points: Vec<PricePoint>,
    /// Beside `points`, 0 for unknown; empty while no volume has been known.
    volumes: Vec<i64>,
    sorted: bool,
}

impl Building {
    fn accept(&mut self, row: &Row<'_>, file: usize) -> Result<(), &'static str> {
        let known = match self.markets.get(self.last) {
            Some(market) if *market.id == *row.market_id => Some(self.last),
            _ => self.by_id.get(row.market_id).copied(),
        };
        let index = match known {
            Some(index) => index,
            None => self.open(row, file)?,
        };
        self.last = index;
        let Some(market) = self.markets.get_mut(index) else {
            return Err("the row's market was lost");
        };
        if *market.token != *row.token_id {
            return Err("the token id differs from the market's first row");
        }
        self.replaced += u64::from(market.push(row));
        Ok(())
    }

    fn open(&mut self, row: &Row<'_>, file: usize) -> Result<usize, &'static str> {
        if !is_id(row.market_id) || !is_id(row.token_id) {
            return Err(BAD_ID);
        }
        let index = self.markets.len();
        self.by_id.insert(row.market_id.into(), index);
        self.markets.push(Growing {
            id: row.market_id.into(),
            token: row.token_id.into(),
            question: question_of(row),
            question_at: row.at,
            file,
            points: Vec::new(),
            volumes: Vec::new(),
            sorted: true,
        });
        Ok(index)
    }

    fn finish(
        self,
        options: DatasetOptions,
        mut report: LoadReport,
        known: &HashMap<String, Metadata>,
        lines: &HashMap<String, Line>,
    ) -> Result<Dataset, DataError> {
        let mut growing = self.markets;
        report.replaced = self.replaced;
        // By id: what a moment shows must not depend on which file or row came first.
        growing.sort_by(|a, b| a.id.cmp(&b.id));
        let empty = Metadata::default();
        let mut events = Events::default();
        let mut series = Vec::with_capacity(growing.len());
        for (index, market) in growing.into_iter().enumerate() {
            let metadata = known.get(&*market.id).unwrap_or(&empty);
            let line = lines.get(&*market.id);
            let event = events.of(metadata, index);
            let parts = market.finish(metadata, line, event, &mut report)?;
            series.push(Series::new(parts));
        }
        report.rows = series.iter().map(|one| one.points().len() as u64).sum();
        report.unmatched_resolutions = lines
            .keys()
            .filter(|id| !self.by_id.contains_key(id.as_str()))
            .count() as u64;
        Ok(Dataset::new(options, report, series, events.groups))
    }
}

impl Growing {
    /// Adds a row; true when it replaced the row before it, which was of the same moment.
    fn push(&mut self, row: &Row<'_>) -> bool {
        let point = PricePoint {
            at: row.at,
            price: row.price.to_f64(),
        };
        let volume = row.volume.map_or(0, Usdc::micros);
        if row.at < self.question_at {
            self.question = question_of(row);
            self.question_at = row.at;
        }
        if volume != 0 && self.volumes.is_empty() {
            self.volumes = vec![0; self.points.len()];
        }
        let with_volumes = volume != 0 || !self.volumes.is_empty();
        if let Some(last) = self.points.last_mut() {
            if last.at == row.at {
                *last = point;
                if with_volumes && let Some(last) = self.volumes.last_mut() {
                    *last = volume;
                }
                return true;
            }
            self.sorted &= last.at < row.at;
        }
        self.points.push(point);
        if with_volumes {
            self.volumes.push(volume);
        }
        false
    }

    /// Sorts by time; of several rows of one moment the last one read stays.
    fn sort(&mut self) -> u64 {
        if self.sorted {
            return 0;
        }
        let before = self.points.len();
        self.volumes.resize(before, 0);
        let mut rows: Vec<(PricePoint, i64)> = std::mem::take(&mut self.points)
            .into_iter()
            .zip(std::mem::take(&mut self.volumes))
            .collect();
        rows.sort_by_key(|(point, _)| point.at);
        rows.dedup_by(|next, kept| {
            let same = next.0.at == kept.0.at;
            if same {
                *kept = *next;
            }
            same
        });
        (self.points, self.volumes) = rows.into_iter().unzip();
        (before - self.points.len()) as u64
    }

    fn finish(
        mut self,
        metadata: &Metadata,
        line: Option<&Line>,
        event: Option<usize>,
        report: &mut LoadReport,
    ) -> Result<Parts, DataError> {
        report.replaced += self.sort();
        self.points.shrink_to_fit();
        let outcomes = outcomes(&self.id, &self.token, metadata, &mut report.skips);
        let id = MarketId::new(&self.id);
        let resolution = line.and_then(|line| {
            let resolved = line.resolve(&id, &outcomes);
            if resolved.is_none() {
                report.skips.count(
                    "a resolution names an outcome that the market does not have",
                    || line.place.clone(),
                );
            }
            resolved
        });
        let assumed = || {
            FeeRule::new(metadata.fees_enabled, metadata.category.as_deref()).map_err(|error| {
                DataError::Malformed {
                    route: "fee schedule".to_owned(),
                    detail: error.to_string(),
                }
            })
        };
        let fee = match metadata.fee {
            Some(stated) => FeeRule::stated(stated),
            None => assumed()?,
        };
        let volumes = self
            .points
            .iter()
            .zip(&self.volumes)
            .filter(|(_, volume)| **volume != 0)
            .map(|(point, volume)| (point.at, Usdc::from_micros(*volume)))
            .collect();
        let short = |text: &Option<String>| text.as_deref().map(name);
        let template = Market {
            id,
            condition_id: short(&metadata.condition_id)
                .map(|id| crate::domain::ConditionId::new(id.to_ascii_lowercase())),
            slug: short(&metadata.slug),
            question: if self.question.is_empty() {
                format!("Market {}", self.id)
            } else {
                self.question
            },
            description: metadata
                .description
                .as_deref()
                .map(|text| text::clean(text, text::MAX_DESCRIPTION)),
            event_id: event_key(metadata).map(EventId::new),
            category: short(&metadata.category),
            outcomes,
            tick: Price::ONE,
            min_size: metadata
                .min_size
                .unwrap_or_else(|| Shares::whole(DEFAULT_MIN_SIZE)),
            fee: FeeSchedule::FREE,
            neg_risk: metadata.neg_risk == Some(true),
            placeholder: false,
            volume: None,
            volume_24h: None,
            liquidity: None,
            start: metadata.start,
            end: metadata.end,
            status: MarketStatus::Paused,
            version: ProtocolVersion::V1,
            label: Some("recorded".to_owned()),
        };
        Ok(Parts {
            template,
            points: self.points,
            volumes,
            stated_tick: metadata.tick,
            fee,
            resolution,
            file: self.file,
            event,
        })
    }
}

/// Cleaned when it is read: what is kept of a market must not depend on how long its text was.
fn question_of(row: &Row<'_>) -> String {
    let question = cells::unguarded(row.question);
    text::clean(&String::from_utf8_lossy(question), text::MAX_QUESTION)
}

fn name(text: &str) -> String {
    text::clean(text, text::MAX_NAME)
}

fn event_key(metadata: &Metadata) -> Option<String> {
    metadata
        .event_key
        .as_deref()
        .or(metadata.event_slug.as_deref())
        .map(name)
}

/// The outcome whose price is recorded first, then the other one.
///
/// Where the metadata has no token for the other one, or does not know the recorded token, the
/// other token is made up and marked so.
fn outcomes(id: &str, token: &str, metadata: &Metadata, skips: &mut Skips) -> Vec<Outcome> {
    let outcome = |name: String, token: &str, synthetic: bool| Outcome {
        name,
        token: TokenId::new(token),
        synthetic,
        indicative_price: None,
    };
    let [mut first_name, mut second_name] = match metadata.outcomes.as_slice() {
        [first, second] => [name(first), name(second)],
        _ => ["Yes".to_owned(), "No".to_owned()],
    };
    let second = match metadata.tokens.as_slice() {
        [first, second] if first == token => Some(second),
        [first, second] if second == token => {
            std::mem::swap(&mut first_name, &mut second_name);
            Some(first)
        }
        [] => None,
        _ => {
            skips.count(
                "markets.json does not know the recorded token; its tokens are not used",
                || format!("market {id}"),
            );
            None
        }
    };
    let made_up = format!("synthetic:no:{token}");
    vec![
        outcome(first_name, token, false),
        match second {
            Some(second) => outcome(second_name, second, false),
            None => outcome(second_name, &made_up, true),
        },
    ]
}

/// Events in the order in which their first market comes.
#[derive(Default)]
struct Events {
    by_key: HashMap<String, usize>,
    groups: Vec<EventGroup>,
}

impl Events {
    fn of(&mut self, metadata: &Metadata, market: usize) -> Option<usize> {
        let key = event_key(metadata)?;
        let index = *self.by_key.entry(key.clone()).or_insert(self.groups.len());
        if index == self.groups.len() {
            let title = metadata.event_title.as_deref().map_or(key.clone(), name);
            self.groups.push(EventGroup {
                event: Event {
                    id: EventId::new(&key),
                    slug: metadata.event_slug.as_deref().map(name),
                    title,
                    description: None,
                    closed: false,
                    neg_risk: false,
                    // A recording never proves that it holds all markets of an event.
                    augmented: true,
                    volume: None,
                    volume_24h: None,
                    liquidity: None,
                    start: None,
                    end: None,
                    markets: Vec::new(),
                },
                members: Vec::new(),
            });
        }
        if let Some(group) = self.groups.get_mut(index) {
            group.members.push(market);
        }
        Some(index)
    }
}
