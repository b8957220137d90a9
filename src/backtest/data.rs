//! What a replay reads: prices or books.

use crate::domain::Timestamp;
use crate::market_data::recorded::Dataset;
use crate::market_data::recorded::books::BookRecording;

use super::sweep::Window;

/// A recording that is held.
#[derive(Debug)]
pub enum Data {
    /// One price a row.
    Prices(Box<Dataset>),
    /// Whole books, message by message.
    Books(Box<BookRecording>),
}

/// A recording that is looked at.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// One price a row.
    Prices(&'a Dataset),
    /// Whole books, message by message.
    Books(&'a BookRecording),
}

impl Data {
    /// The price recording, where it is one.
    #[must_use]
    pub fn prices(&self) -> Option<&Dataset> {
        Source::from(self).prices()
    }

    /// How much it is, in words.
    #[must_use]
    pub fn size(&self) -> String {
        match self {
            Data::Prices(dataset) => format!(
                "{} rows of {} markets",
                dataset.report().rows,
                dataset.series().len()
            ),
            Data::Books(recording) => format!(
                "{} messages of {} markets",
                recording.report().messages,
                recording.markets().len()
            ),
        }
    }

    /// The recording of books, where it is one.
    #[must_use]
    pub fn books(&self) -> Option<&BookRecording> {
        Source::from(self).books()
    }
}

impl<'a> From<&'a Dataset> for Source<'a> {
    fn from(dataset: &'a Dataset) -> Self {
        Source::Prices(dataset)
    }
}

impl<'a> From<&'a BookRecording> for Source<'a> {
    fn from(recording: &'a BookRecording) -> Self {
        Source::Books(recording)
    }
}

impl<'a> From<&'a Data> for Source<'a> {
    fn from(data: &'a Data) -> Self {
        match data {
            Data::Prices(dataset) => Source::Prices(dataset),
            Data::Books(recording) => Source::Books(recording),
        }
    }
}

impl<'a> Source<'a> {
    /// The price recording, where it is one.
    #[must_use]
    pub fn prices(self) -> Option<&'a Dataset> {
        match self {
            Source::Prices(dataset) => Some(dataset),
            Source::Books(_) => None,
        }
    }

    /// The recording of books, where it is one.
    #[must_use]
    pub fn books(self) -> Option<&'a BookRecording> {
        match self {
            Source::Prices(_) => None,
            Source::Books(recording) => Some(recording),
        }
    }

    /// First and last row or message.
    #[must_use]
    pub fn period(self) -> Option<(Timestamp, Timestamp)> {
        match self {
            Source::Prices(dataset) => dataset.period(),
            Source::Books(recording) => recording.period(),
        }
    }

    /// What is assumed about the recording and what of it could not be read, as every report has it, with
    /// what stands on a report's first line first.
    #[must_use]
    pub fn notes(self) -> Vec<String> {
        match self {
            Source::Prices(dataset) => {
                let end = dataset.period().map(|(_, end)| end);
                end.map(|end| dataset.notes(end)).unwrap_or_default()
            }
            Source::Books(recording) => {
                let warning = recording.warning().into_iter();
                warning.chain(recording.notes()).collect()
            }
        }
    }

    /// By number of the market: whether something was told of it in the window.
    pub(super) fn told_in(self, window: Window) -> Vec<bool> {
        match self {
            Source::Prices(dataset) => {
                let series = dataset.series().iter();
                let told = series.map(|one| {
                    let points = one.points();
                    let next = points.partition_point(|point| point.at < window.from);
                    points.get(next).is_some_and(|point| point.at <= window.to)
                });
                told.collect()
            }
            Source::Books(recording) => recording.told_between(window.from, window.to),
        }
    }
}
