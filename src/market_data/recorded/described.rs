//! `dataset.yaml`: what whoever made a recording says about its files.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::market_data::DataError;

use super::rows::file_error;
use super::volume::VolumeKind;

/// Its name.
pub(super) const NAME: &str = "dataset.yaml";
/// Largest such file, bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The file's content; all of it may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Described {
    /// What the volumes of all files are.
    volume_kind: Option<VolumeKind>,
    /// What is different for single files, by file name.
    files: BTreeMap<String, DescribedFile>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DescribedFile {
    volume_kind: Option<VolumeKind>,
}

impl Described {
    /// Errors: the file cannot be read, is larger than 1 MiB, or has keys or values that it cannot
    /// have.
    pub(super) fn read(path: &Path) -> Result<Self, DataError> {
        let failed = |error: std::io::Error| file_error(path, error);
        if std::fs::metadata(path).map_err(failed)?.len() > MAX_BYTES {
            return Err(file_error(path, "the file is larger than the cap of 1 MiB"));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        if text.trim().is_empty() {
            return Ok(Described::default());
        }
        serde_saphyr::from_str(&text).map_err(|error| file_error(path, error))
    }

    /// What it says of the volumes of file `name`.
    pub(super) fn volume_kind(&self, name: &str) -> Option<VolumeKind> {
        let own = self.files.get(name).and_then(|file| file.volume_kind);
        own.or(self.volume_kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Described, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        std::fs::write(&path, text).unwrap();
        Described::read(&path)
    }

    #[test]
    fn a_file_may_differ_from_the_rest_and_unknown_keys_are_refused() {
        let told = read(
            "volume_kind: cumulative\nfiles:\n  pmus.csv: {volume_kind: 24h}\n  other.csv: {}\n",
        )
        .unwrap();
        assert_eq!(told.volume_kind("pmus.csv"), Some(VolumeKind::Day));
        assert_eq!(told.volume_kind("other.csv"), Some(VolumeKind::Cumulative));
        assert_eq!(read("# nothing\n").unwrap().volume_kind("a.csv"), None);
        assert_eq!(read("").unwrap(), Described::default());
        for odd in ["volume_kind: weekly\n", "volumes: 24h\n", "- 1\n"] {
            let error = read(odd).unwrap_err().to_string();
            assert!(error.contains("dataset.yaml"), "{odd}: {error}");
        }
    }
}
