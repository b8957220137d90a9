//! What a recording held that made no sense: counted by cause, the first of each kind kept.

use std::collections::BTreeMap;

/// Rows of one kind that were skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped<P = String> {
    /// How many.
    pub count: u64,
    /// Where the first one is and what it held: `daily.csv:17: "abc"`.
    pub first: P,
}

/// Skipped rows by cause. Causes are short sentences a person understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skips<P = String>(BTreeMap<&'static str, Skipped<P>>);

impl<P> Default for Skips<P> {
    fn default() -> Self {
        Skips(BTreeMap::new())
    }
}

impl<P> Skips<P> {
    /// Counts one row; `first` is only evaluated for the first of its kind.
    pub fn count(&mut self, cause: &'static str, first: impl FnOnce() -> P) {
        self.count_many(cause, 1, first);
    }

    /// Counts `rows` rows of which `first` is the first.
    pub(super) fn count_many(&mut self, cause: &'static str, rows: u64, first: impl FnOnce() -> P) {
        self.0
            .entry(cause)
            .and_modify(|skipped| skipped.count += rows)
            .or_insert_with(|| Skipped {
                count: rows,
                first: first(),
            });
    }

    /// Cause and what was skipped for it, in the order of the causes' names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Skipped<P>)> {
        self.0.iter().map(|(cause, skipped)| (*cause, skipped))
    }

    /// What was skipped for `cause`, `None` when nothing was.
    #[must_use]
    pub fn get(&self, cause: &str) -> Option<&Skipped<P>> {
        self.0.get(cause)
    }

    /// Rows skipped in total.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().map(|skipped| skipped.count).sum()
    }

    /// Adds what `other` counted; the earlier first row stays the first.
    pub fn merge(&mut self, other: Skips<P>) {
        for (cause, skipped) in other.0 {
            self.0
                .entry(cause)
                .and_modify(|known| known.count += skipped.count)
                .or_insert(skipped);
        }
    }

    /// The same with the first rows told otherwise.
    pub(super) fn map<Q>(self, mut told: impl FnMut(P) -> Q) -> Skips<Q> {
        let all = self.0.into_iter().map(|(cause, skipped)| {
            let Skipped { count, first } = skipped;
            let first = told(first);
            (cause, Skipped { count, first })
        });
        Skips(all.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_kind_is_kept_through_a_merge() {
        let mut one: Skips = Skips::default();
        one.count("bad price", || "a.csv:2".into());
        one.count("bad price", || "a.csv:3".into());
        let mut two = Skips::default();
        two.count("bad price", || "b.csv:9".into());
        two.count("bad time", || "b.csv:4".into());
        one.merge(two);
        assert_eq!(one.get("bad price").unwrap().count, 3);
        assert_eq!(one.get("bad price").unwrap().first, "a.csv:2");
        assert_eq!(one.get("bad time").unwrap().first, "b.csv:4");
        assert_eq!(one.total(), 4);
    }
}
