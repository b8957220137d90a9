//! Query parameters as the venue takes them: repeated keys, unknown ones ignored.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;

/// The pairs of a query string, in order. A query that cannot be decoded counts as empty.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Query::try_from_uri(&parts.uri).map_or_else(|_| Params::default(), |q| Params(q.0)))
    }
}

impl Params {
    #[cfg(test)]
    pub(in crate::sandbox) fn of(pairs: &[(&str, &str)]) -> Self {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Params(pairs.iter().map(own).collect())
    }

    /// The first value of `name` that is not empty.
    pub(in crate::sandbox) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of `name` that is not empty.
    pub(in crate::sandbox) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Comma-separated values of `name` (the Data API's lists).
    pub(in crate::sandbox) fn list(&self, name: &str) -> Vec<&str> {
        self.all(name)
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// `true`/`false`, or `1`/`0`; anything else counts as absent.
    pub(in crate::sandbox) fn flag(&self, name: &str) -> Option<bool> {
        match self.one(name)? {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// A number; what is none counts as absent.
    pub(in crate::sandbox) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.one(name)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_keys_and_comma_lists_are_told_apart() {
        let params = Params::of(&[("id", "1"), ("id", "2,3"), ("closed", "true"), ("x", "")]);
        assert_eq!(params.all("id").collect::<Vec<_>>(), ["1", "2,3"]);
        assert_eq!(params.list("id"), ["1", "2", "3"]);
        assert_eq!(params.flag("closed"), Some(true));
        assert_eq!(params.one("x"), None);
        assert_eq!(params.number::<u32>("id"), Some(1));
        assert_eq!(params.number::<u32>("closed"), None);
    }
}
