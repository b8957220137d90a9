//! From a directory to a [`Dataset`]: which files are read, and how their rows become series.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::domain::{
    Event, EventId, FeeSchedule, Market, MarketId, MarketStatus, Outcome, Price, ProtocolVersion,
    Shares, Timestamp, TokenId, Usdc, text,
};
use crate::market_data::DataError;

use super::books::{self, RecordingKind};
use super::content_hash::Digests;
use super::dataset::{Dataset, DatasetOptions, EventGroup, FileReport, LoadReport};
use super::described::{self, Described};
use super::fees::FeeRule;
use super::growing::{GrowingMarket, MARKETS_PER_QUESTION, Merged, discard};
use super::metadata::{self, Known, Metadata};
use super::parquet;
use super::resolutions::{self, Line};
use super::rows::{self, Cancelled, Content, file_error, file_name};
use super::series::{Edition, Parts, Series};
use super::skips::Skips;

/// Markets that are sorted in one go.
const MARKETS_PER_SORT: usize = 16;
/// The venue's smallest order, where the metadata does not say.
pub(super) const DEFAULT_MIN_SIZE: u32 = 5;

/// See [`Dataset::load_unless`].
pub(super) fn load(
    dir: &Path,
    options: DatasetOptions,
    digests: Option<&Digests>,
    cancelled: Cancelled<'_>,
) -> Result<Dataset, DataError> {
    let (home, files) = price_files(dir)?;
    // In parallel, but taken in order of names: neither rows nor errors depend on who was first.
    let contents: Vec<Result<Content, DataError>> = files
        .par_iter()
        .map(|path| {
            if is_parquet(&file_name(path).to_ascii_lowercase()) {
                parquet::read_file(path, cancelled)
            } else {
                rows::read_file(path, digests, cancelled)
            }
        })
        .collect();
    if cancelled() {
        discard(contents);
        return Err(DataError::Cancelled);
    }
    let mut report = LoadReport::default();
    let mut merged = Merged::default();
    let mut contents = contents.into_iter();
    for path in &files {
        let Some(content) = contents.next() else {
            break;
        };
        let number = report.files.len();
        match content? {
            Content::Prices(file) => {
                let added = merged.add(file, (number, path), &mut report.skips, cancelled);
                let rows = match added {
                    Ok(rows) => rows,
                    Err(error) => {
                        discard((merged, contents));
                        return Err(error);
                    }
                };
                let name = file_name(path);
                report.files.push(FileReport { name, rows });
            }
            Content::Other => report.ignored.push(file_name(path)),
        }
    }
    if report.files.is_empty() {
        return Err(file_error(dir, nothing_in(&report.ignored)));
    }
    let mut known = Known::new();
    if let Some(path) = beside(&home, |name| name == "markets.json").first() {
        known = metadata::read_file(path, &mut report.skips)?;
        report.metadata = Some(file_name(path));
    }
    let described = match beside(&home, |name| name == described::NAME).first() {
        Some(path) => Described::read(path)?,
        None => Described::default(),
    };
    let mut lines = HashMap::new();
    for path in beside(&home, is_resolutions) {
        resolutions::read_file(&path, &mut report.skips, cancelled, &mut lines)?;
    }
    finish(
        merged,
        options,
        report,
        (&known, &lines, &described),
        cancelled,
    )
}

fn nothing_in(ignored: &[String]) -> String {
    let mut text = "there is no file with prices in it".to_owned();
    if !ignored.is_empty() {
        let names: Vec<&str> = ignored.iter().take(3).map(String::as_str).collect();
        text += &format!(
            "; {} has neither a column yes_price nor mid",
            names.join(", ")
        );
    }
    text
}

/// What a file of a recording is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Prices,
    Markets,
    Description,
    Resolutions,
    Books,
}

/// Every file that [`load`] or the reader of recorded books reads, in the order in which it does.
///
/// Errors: `dir` cannot be read, or holds both kinds.
pub(super) fn files_of(dir: &Path) -> Result<Vec<(Role, PathBuf)>, DataError> {
    let kind = books::kind_of(dir)?;
    if kind != RecordingKind::Prices {
        let home = home_of(dir);
        let files = books::message_files(dir, kind)?.into_iter();
        let mut files: Vec<_> = files.map(|path| (Role::Books, path)).collect();
        if kind == RecordingKind::Messages {
            let markets = beside(&home, |name| name == "markets.json");
            let markets = markets.into_iter().take(1);
            files.extend(markets.map(|path| (Role::Markets, path)));
        }
        let resolutions = beside(&home, is_resolutions).into_iter();
        files.extend(resolutions.map(|path| (Role::Resolutions, path)));
        return Ok(files);
    }
    let (home, prices) = price_files(dir)?;
    let mut files: Vec<_> = prices
        .into_iter()
        .map(|path| (Role::Prices, path))
        .collect();
    let markets = beside(&home, |name| name == "markets.json");
    files.extend(
        markets
            .into_iter()
            .take(1)
            .map(|path| (Role::Markets, path)),
    );
    let described = beside(&home, |name| name == described::NAME);
    files.extend(
        described
            .into_iter()
            .take(1)
            .map(|path| (Role::Description, path)),
    );
    let resolutions = beside(&home, is_resolutions).into_iter();
    files.extend(resolutions.map(|path| (Role::Resolutions, path)));
    Ok(files)
}

/// The folder that metadata belongs to, and the files that may hold prices, by name.
pub(super) fn price_files(dir: &Path) -> Result<(PathBuf, Vec<PathBuf>), DataError> {
    if dir.is_file() {
        let home = dir.parent().unwrap_or_else(|| Path::new("."));
        return Ok((home.to_owned(), vec![dir.to_owned()]));
    }
    let files = listed(dir)
        .map_err(|error| file_error(dir, error))?
        .into_iter()
        .filter(|path| {
            let name = file_name(path).to_ascii_lowercase();
            let csv = CSV_ENDS.iter().any(|end| name.ends_with(end));
            (csv || is_parquet(&name)) && !is_resolutions(&name)
        })
        .collect();
    Ok((dir.to_owned(), files))
}

/// The folder that what lies beside `dir`, a folder or a file, is looked for in.
pub(super) fn home_of(dir: &Path) -> PathBuf {
    if dir.is_file() {
        let home = dir.parent().unwrap_or_else(|| Path::new("."));
        return home.to_owned();
    }
    dir.to_owned()
}

/// How names of CSV files end.
const CSV_ENDS: [&str; 3] = [".csv", ".csv.gz", ".csv.zst"];

fn is_parquet(name: &str) -> bool {
    name.ends_with(".parquet")
}

pub(super) fn is_resolutions(name: &str) -> bool {
    CSV_ENDS.iter().any(|end| {
        name.strip_suffix(end)
            .is_some_and(|stem| stem == "resolutions" || stem.ends_with(".resolutions"))
    })
}

pub(super) fn listed(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    Ok(paths)
}

/// The wanted files of `home`, or of the folder above when `home` has none.
pub(super) fn beside(home: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
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

fn finish(
    merged: Merged,
    options: DatasetOptions,
    mut report: LoadReport,
    (known, lines, described): (&Known, &HashMap<String, Line>, &Described),
    cancelled: Cancelled<'_>,
) -> Result<Dataset, DataError> {
    report.odd_quotes = merged.odd_quotes;
    report.unmatched_resolutions =
        lines.keys().filter(|id| !merged.knows(id.as_str())).count() as u64;
    let mut markets = merged.markets;
    markets
        .par_chunks_mut(MARKETS_PER_SORT)
        .filter(|_| !cancelled())
        .for_each(|markets| markets.iter_mut().for_each(|(market, _)| market.sort()));
    if cancelled() {
        discard(markets);
        return Err(DataError::Cancelled);
    }
    if let Some(until) = options.until {
        markets.iter_mut().for_each(|(market, _)| market.cut(until));
        markets.retain(|(market, _)| !market.points.is_empty());
    }
    // By id: what a moment shows must not depend on which file or row came first.
    markets.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
    let empty = [Metadata::default()];
    let mut events = Events::default();
    let mut series = Vec::with_capacity(markets.len());
    let mut markets = markets.into_iter().enumerate();
    while let Some((index, (market, file))) = markets.next() {
        if index % MARKETS_PER_QUESTION == 0 && cancelled() {
            discard((markets, series));
            return Err(DataError::Cancelled);
        }
        let editions = known.get(&*market.id).map_or(&empty[..], Vec::as_slice);
        let told = |line: &&Line| options.until.is_none_or(|until| line.resolved_at <= until);
        let line = lines.get(&*market.id).filter(told);
        report.replaced += market.replaced;
        report.rows += market.points.len() as u64;
        let first = editions.first().unwrap_or(&empty[0]);
        let event = events.of(first, index);
        let parts = parts(market, first, line, &mut report)?;
        // Of the first edition nobody knows a better time than the beginning.
        let mut editions = editions
            .iter()
            .map(edition)
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(until) = options.until {
            let mut first = true;
            editions.retain(|one| std::mem::take(&mut first) || one.from <= until);
        }
        series.push(Series::new(Parts {
            editions,
            file,
            event,
            ..parts
        }));
    }
    report.described = *described != Described::default();
    Ok(Dataset::new(
        options,
        report,
        series,
        events.groups,
        described,
    ))
}

/// The series of a market; its place and its editions are left to the caller.
fn parts(
    market: GrowingMarket,
    metadata: &Metadata,
    line: Option<&Line>,
    report: &mut LoadReport,
) -> Result<Parts, DataError> {
    let outcomes = outcomes(&market, metadata, &mut report.skips);
    let id = MarketId::new(&market.id);
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
    let volumes = market
        .points
        .iter()
        .zip(&market.volumes)
        .filter(|(_, volume)| **volume != 0)
        .map(|(point, volume)| (point.at, Usdc::from_micros(*volume)))
        .collect();
    let first = edition(metadata)?;
    let template = Market {
        id,
        condition_id: short(&metadata.condition_id)
            .map(|id| crate::domain::ConditionId::new(id.to_ascii_lowercase())),
        slug: short(&metadata.slug),
        question: if market.question.is_empty() {
            format!("Market {}", market.id)
        } else {
            market.question
        },
        description: first.description,
        event_id: event_key(metadata).map(EventId::new),
        category: first.category,
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
        points: market.points,
        quotes: market.quotes,
        volumes,
        editions: Vec::new(),
        resolution,
        file: 0,
        event: None,
    })
}

/// What an entry of the metadata says that may change, and from when on. The first entry of a market
/// holds from the beginning, whenever it was written: nothing better is known.
pub(super) fn edition(metadata: &Metadata) -> Result<Edition, DataError> {
    let fee =
        match metadata.fee {
            Some(stated) => FeeRule::stated(stated),
            None => FeeRule::new(metadata.fees_enabled, metadata.category.as_deref()).map_err(
                |error| DataError::Malformed {
                    route: "fee schedule".to_owned(),
                    detail: error.to_string(),
                },
            )?,
        };
    Ok(Edition {
        from: metadata
            .as_of
            .unwrap_or_else(|| Timestamp::from_millis(i64::MIN)),
        start: metadata.start,
        end: metadata.end,
        category: short(&metadata.category),
        description: metadata
            .description
            .as_deref()
            .map(|text| text::clean(text, text::MAX_DESCRIPTION)),
        tick: metadata.tick,
        fee,
    })
}

pub(super) fn short(text: &Option<String>) -> Option<String> {
    text.as_deref().map(name)
}

pub(super) fn name(text: &str) -> String {
    text::clean(text, text::MAX_NAME)
}

pub(super) fn event_key(metadata: &Metadata) -> Option<String> {
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
fn outcomes(market: &GrowingMarket, metadata: &Metadata, skips: &mut Skips) -> Vec<Outcome> {
    let id = &market.id;
    // Without a column of tokens there is nothing but the market's own id.
    let (token, first_made_up) = match &*market.token {
        "" => (format!("synthetic:yes:{id}"), true),
        told => (told.to_owned(), false),
    };
    let token = token.as_str();
    let outcome = |name: String, token: &str, synthetic: bool| Outcome {
        name: name.into(),
        token: TokenId::new(token),
        synthetic,
        indicative_price: None,
    };
    let [mut first_name, mut second_name] = match metadata.outcomes.as_slice() {
        [first, second] => [name(first), name(second)],
        _ => ["Yes".to_owned(), "No".to_owned()],
    };
    let mut second = match metadata.tokens.as_slice() {
        [first, second] if first == token => Some(second.as_str()),
        [first, second] if second == token => {
            std::mem::swap(&mut first_name, &mut second_name);
            Some(first.as_str())
        }
        [] => market.second_token.as_deref(),
        // The first of the two is the recorded one, as the venue lists them.
        [first, second] if first_made_up && first != second => {
            return vec![
                outcome(first_name, first, false),
                outcome(second_name, second, false),
            ];
        }
        _ => {
            skips.count(
                "markets.json does not know the recorded token; its tokens are not used",
                || format!("market {id}"),
            );
            None
        }
    };
    if second == Some(token) {
        skips.count(
            "both outcomes have one token; the second one's is made up",
            || format!("market {id}"),
        );
        second = None;
    }
    let made_up = format!("synthetic:no:{token}");
    vec![
        outcome(first_name, token, first_made_up),
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
