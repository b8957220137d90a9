//! Why something is wanted: words that are made when somebody reads them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text, or what knows how to write it. Most signals of a tick are refused by a limit and their
/// reasons never read in a replay, so whoever gives a signal may leave the words for later.
///
/// Equal when the words are; in JSON the words.
#[derive(Clone)]
pub struct Reason(Told);

#[derive(Clone)]
enum Told {
    Words(Arc<str>),
    Later(Arc<dyn fmt::Display + Send + Sync>),
}

impl Reason {
    /// Words that are made when they are read. They must be the same each time.
    pub fn later(words: impl fmt::Display + Send + Sync + 'static) -> Self {
        Reason(Told::Later(Arc::new(words)))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Told::Words(words) => f.write_str(words),
            Told::Later(words) => words.fmt(f),
        }
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl PartialEq for Reason {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Told::Words(one), Told::Words(other)) => one == other,
            (Told::Later(one), Told::Later(other)) if Arc::ptr_eq(one, other) => true,
            _ => self.to_string() == other.to_string(),
        }
    }
}

impl From<&str> for Reason {
    fn from(words: &str) -> Self {
        Reason(Told::Words(Arc::from(words)))
    }
}

impl From<String> for Reason {
    fn from(words: String) -> Self {
        Reason(Told::Words(Arc::from(words)))
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Told::Words(words) => serializer.serialize_str(words),
            Told::Later(words) => serializer.collect_str(words),
        }
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Reason::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count(u32);

    impl fmt::Display for Count {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} \"bids\"", self.0)
        }
    }

    #[test]
    fn words_that_come_later_are_the_same_words() {
        let (later, words) = (Reason::later(Count(3)), Reason::from("3 \"bids\""));
        assert_eq!(later, words);
        assert_eq!(later, later.clone());
        assert_ne!(later, Reason::later(Count(4)));
        assert_eq!(later.to_string(), "3 \"bids\"");
        assert_eq!(format!("{later:?}"), r#""3 \"bids\"""#);
        let json = serde_json::to_string(&later).unwrap();
        assert_eq!(json, r#""3 \"bids\"""#);
        assert_eq!(serde_json::from_str::<Reason>(&json).unwrap(), later);
    }
}
