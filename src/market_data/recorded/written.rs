//! Writing the files that [`super::Dataset`] reads: prices of one market per CSV file,
//! `resolutions.csv` and `markets.json`.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, WriterBuilder};
use serde_json::{Value, json};

use crate::domain::{Event, Market, Price, PricePoint, Resolution, Timestamp, text};
use crate::market_data::DataError;

use super::atomic::write_whole;
use super::cells::guarded;
use super::rows::file_error;
use super::series::exact;

const MARKETS: &str = "markets.json";
const RESOLUTIONS: &str = "resolutions.csv";
const LOCK: &str = "download.lock";
const PRICE_COLUMNS: [&str; 6] = [
    "timestamp",
    "market_id",
    "question",
    "yes_price",
    "volume",
    "token_id",
];
const RESOLUTION_COLUMNS: [&str; 5] = ["market_id", "token_id", "resolved_at", "outcome", "basis"];
/// Longest slug that names a file; file systems take 255 bytes.
const MAX_SLUG: usize = 200;

/// What is written of one market.
#[derive(Debug)]
pub struct MarketFile<'a> {
    /// The market.
    pub market: &'a Market,
    /// Its event, where it could be had: for slug and title.
    pub event: Option<&'a Event>,
    /// Prices of its first outcome, oldest first.
    pub points: &'a [PricePoint],
    /// How it ended, with a time.
    pub resolution: Option<(&'a Resolution, Timestamp)>,
    /// What was asked for.
    pub kept: Kept,
}

/// The span and spacing of a file's prices, kept in `markets.json` to tell on the next run whether
/// the file is what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// First moment, included.
    pub from: Timestamp,
    /// Last moment, included.
    pub to: Timestamp,
    /// Wanted spacing.
    pub fidelity_minutes: u32,
    /// When it was asked for: prices after that are not in it.
    pub at: Timestamp,
}

impl Kept {
    /// True when a file with `self` holds all that `wanted` asks for.
    #[must_use]
    pub fn covers(&self, wanted: &Kept) -> bool {
        (self.from, self.to, self.fidelity_minutes)
            == (wanted.from, wanted.to, wanted.fidelity_minutes)
            && self.to <= self.at
    }

    fn to_json(self) -> Value {
        json!({
            "from": self.from.to_rfc3339(),
            "to": self.to.to_rfc3339(),
            "fidelity_minutes": self.fidelity_minutes,
            "at": self.at.to_rfc3339(),
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let moment = |field: &str| Timestamp::parse(value.get(field)?.as_str()?);
        Some(Kept {
            from: moment("from")?,
            to: moment("to")?,
            fidelity_minutes: u32::try_from(value.get("fidelity_minutes")?.as_u64()?).ok()?,
            at: moment("at")?,
        })
    }
}

/// A folder of such files. Every file is replaced whole or not at all, and the prices of a market
/// come last: where they are, the rest is too.
#[derive(Debug)]
pub struct DatasetFiles {
    dir: PathBuf,
    /// Entries of `markets.json` by market id.
    entries: BTreeMap<String, Value>,
    /// Lines of `resolutions.csv` by market id.
    resolutions: BTreeMap<String, StringRecord>,
    /// Held, never read.
    _lock: File,
}

impl DatasetFiles {
    /// Opens `dir`, which is made when missing, for one writer at a time.
    ///
    /// Errors: another process writes there; the folder's own files cannot be read, or have
    /// another form than what is written here.
    pub fn open(dir: &Path) -> Result<Self, DataError> {
        std::fs::create_dir_all(dir).map_err(|error| file_error(dir, error))?;
        Ok(DatasetFiles {
            _lock: lock(dir)?,
            dir: dir.to_owned(),
            entries: entries(&dir.join(MARKETS))?,
            resolutions: resolutions(&dir.join(RESOLUTIONS))?,
        })
    }

    /// Name of the file with a market's prices: `SLUG.csv`, or `market-ID.csv` where the slug is
    /// missing or cannot be a file name.
    #[must_use]
    pub fn name_of(market: &Market) -> String {
        let usable = |slug: &&String| {
            slug.len() <= MAX_SLUG
                && slug
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
                && *slug != "resolutions"
        };
        match market.slug.as_ref().filter(usable) {
            Some(slug) => format!("{slug}.csv"),
            None => {
                let id: String = market
                    .id
                    .as_str()
                    .chars()
                    .filter(char::is_ascii_alphanumeric)
                    .collect();
                format!("market-{id}.csv")
            }
        }
    }

    /// True when there are prices of the market.
    #[must_use]
    pub fn has_prices(&self, market: &Market) -> bool {
        self.dir.join(Self::name_of(market)).exists()
    }

    /// What the prices that are there were asked for with; `None` when that is not known.
    #[must_use]
    pub fn kept(&self, market: &Market) -> Option<Kept> {
        Kept::from_json(self.entries.get(market.id.as_str())?.get("download")?)
    }

    /// Writes all files of one market, in the place of what was there of it.
    ///
    /// Errors: a file cannot be written; the files are as they were or complete.
    pub fn put(&mut self, file: &MarketFile<'_>) -> Result<(), DataError> {
        let id = file.market.id.as_str();
        let mut entry = market_entry(file.market, file.event);
        if let Some(fields) = entry.as_object_mut() {
            fields.insert("download".to_owned(), file.kept.to_json());
        }
        self.entries.insert(id.to_owned(), entry);
        self.resolutions.remove(id);
        if let Some(line) = resolution_line(file) {
            self.resolutions.insert(id.to_owned(), line);
        }
        let entries: Vec<&Value> = self.entries.values().collect();
        let path = self.dir.join(MARKETS);
        let text = serde_json::to_vec_pretty(&entries).map_err(|error| file_error(&path, error))?;
        write_whole(&path, &text).map_err(|error| file_error(&path, error))?;
        self.write_csv(RESOLUTIONS, &RESOLUTION_COLUMNS, self.resolutions.values())?;
        let rows = price_rows(file.market, file.points);
        self.write_csv(&Self::name_of(file.market), &PRICE_COLUMNS, &rows)
    }

    fn write_csv<'r>(
        &self,
        name: &str,
        header: &[&str],
        rows: impl IntoIterator<Item = &'r StringRecord>,
    ) -> Result<(), DataError> {
        let path = self.dir.join(name);
        let failed = |error: csv::Error| file_error(&path, error);
        let mut writer = WriterBuilder::new().from_writer(Vec::new());
        writer.write_record(header).map_err(failed)?;
        for row in rows {
            writer.write_record(row).map_err(failed)?;
        }
        let bytes = writer
            .into_inner()
            .map_err(|error| file_error(&path, error))?;
        write_whole(&path, &bytes).map_err(|error| file_error(&path, error))
    }
}

/// A market as an entry of `markets.json`; fields that are not known are null. Text is untrusted.
#[must_use]
pub fn market_entry(market: &Market, event: Option<&Event>) -> Value {
    let moment = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339);
    let outcomes: Vec<&str> = market.outcomes.iter().map(|o| o.name.as_str()).collect();
    let tokens: Vec<&str> = market.outcomes.iter().map(|o| o.token.as_str()).collect();
    json!({
        "id": market.id,
        "condition_id": market.condition_id,
        "question": market.question,
        "description": market.description,
        "slug": market.slug,
        "event_key": market.event_id,
        "event_slug": event.and_then(|event| event.slug.as_deref()),
        "event_title": event.map(|event| event.title.as_str()),
        "category": market.category,
        "start_date": moment(market.start),
        "end_date": moment(market.end),
        "outcomes": outcomes,
        "clob_token_ids": tokens,
        "price_token_id": tokens.first(),
        "neg_risk": market.neg_risk,
        "tick_size": market.tick.to_string(),
        "min_order_size": market.min_size.to_string(),
        "fees_enabled": !market.fee.is_free(),
        "fee_rate": market.fee.rate(),
        "fee_exponent": market.fee.exponent(),
        "version": market.version,
        "source": "polymarket",
    })
}

/// The outcome that a resolution pays as the format names it: the winner's name, or `50-50`.
/// `None` when the format cannot say it: other parts, or two outcomes of one name.
#[must_use]
pub fn outcome_text(market: &Market, resolution: &Resolution) -> Option<String> {
    let paid: Vec<(&str, Price)> = market
        .outcomes
        .iter()
        .map(|outcome| Some((outcome.name.as_str(), resolution.payout_of(&outcome.token)?)))
        .collect::<Option<_>>()?;
    let half = Price::from_micros(500_000).ok()?;
    if paid.len() == 2 && paid.iter().all(|(_, price)| *price == half) {
        return Some("50-50".to_owned());
    }
    let whole = |price: &Price| *price == Price::ONE || *price == Price::ZERO;
    let mut winners = paid.iter().filter(|(_, price)| *price == Price::ONE);
    let (winner, _) = winners.next()?;
    let same = paid
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(winner))
        .count();
    let clear = same == 1 && winners.next().is_none() && paid.iter().all(|(_, p)| whole(p));
    clear.then(|| text::clean(winner, text::MAX_NAME))
}

fn resolution_line(file: &MarketFile<'_>) -> Option<StringRecord> {
    let (resolution, at) = file.resolution?;
    let outcome = outcome_text(file.market, resolution)?;
    let token = file.market.outcomes.first()?.token.as_str();
    Some(StringRecord::from(vec![
        file.market.id.as_str(),
        token,
        &at.to_rfc3339(),
        &guarded(&outcome),
        &guarded(&text::clean(&resolution.evidence, text::MAX_NAME)),
    ]))
}

/// Volume is 0, which means unknown: a history has none.
fn price_rows(market: &Market, points: &[PricePoint]) -> Vec<StringRecord> {
    let token = market
        .outcomes
        .first()
        .map(|outcome| outcome.token.as_str());
    let token = token.unwrap_or_default();
    let question = guarded(&text::clean(&market.question, text::MAX_QUESTION));
    points
        .iter()
        .map(|point| {
            StringRecord::from(vec![
                point.at.to_rfc3339().as_str(),
                market.id.as_str(),
                &question,
                &exact(point.price).to_string(),
                "0",
                token,
            ])
        })
        .collect()
}

/// The entries of a `markets.json`, by id.
fn entries(path: &Path) -> Result<BTreeMap<String, Value>, DataError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(file_error(path, error)),
    };
    let list: Vec<Value> =
        serde_json::from_slice(&bytes).map_err(|error| file_error(path, error))?;
    list.into_iter()
        .map(|entry| {
            let id = match entry.get("id") {
                Some(Value::String(id)) => id.clone(),
                Some(Value::Number(id)) => id.to_string(),
                _ => return Err(file_error(path, "an entry has no id")),
            };
            Ok((id, entry))
        })
        .collect()
}

/// The lines of a `resolutions.csv`, by market id.
fn resolutions(path: &Path) -> Result<BTreeMap<String, StringRecord>, DataError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(file_error(path, error)),
    };
    let failed = |error: csv::Error| file_error(path, error);
    let mut reader = ReaderBuilder::new().from_reader(file);
    if reader.headers().map_err(failed)? != RESOLUTION_COLUMNS.as_slice() {
        let wanted = RESOLUTION_COLUMNS.join(",");
        return Err(file_error(
            path,
            format!("its columns are not {wanted}: not made by `download`"),
        ));
    }
    reader
        .records()
        .map(|record| {
            let record = record.map_err(failed)?;
            Ok((record.get(0).unwrap_or_default().to_owned(), record))
        })
        .collect()
}

fn lock(dir: &Path) -> Result<File, DataError> {
    let path = dir.join(LOCK);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| file_error(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(file_error(dir, "another process is downloading into it"))
        }
        Err(TryLockError::Error(error)) => Err(file_error(&path, error)),
    }
}

#[cfg(test)]
mod tests;
