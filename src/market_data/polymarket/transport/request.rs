//! What is asked for, and of whom.

use serde_json::Value;

/// One of the venue's hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Host {
    /// Markets and events.
    Gamma,
    /// Books, histories, terms.
    Clob,
    /// Wallets, resolutions, trades.
    Data,
}

impl Host {
    /// All of them.
    pub const ALL: [Host; 3] = [Host::Gamma, Host::Clob, Host::Data];

    /// Requests per ten seconds over all routes (the venue's rate-limit page, October 2026).
    pub fn published(self) -> u32 {
        match self {
            Host::Gamma => 4_000,
            Host::Clob => 9_000,
            Host::Data => 800,
        }
    }

    /// As messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Host::Gamma => "gamma",
            Host::Clob => "clob",
            Host::Data => "data",
        }
    }
}

/// A group of routes with a published limit of its own, or none but its host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Gamma `/markets…`.
    GammaMarkets,
    /// Gamma `/events…`.
    GammaEvents,
    /// Gamma `/public-search`.
    GammaSearch,
    /// Gamma `/tags…`.
    GammaTags,
    /// Gamma, anything else.
    Gamma,
    /// CLOB, single objects.
    Clob,
    /// CLOB `/book`.
    ClobBook,
    /// CLOB `/books`.
    ClobBooks,
    /// CLOB price histories.
    ClobHistory,
    /// Data API, anything else.
    Data,
    /// Data API `/v2/positions`.
    DataPositions,
    /// Data API `/v2/trades`.
    DataTrades,
    /// Data API `/v2/prices-history`.
    DataHistory,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 13] = [
        Scope::GammaMarkets,
        Scope::GammaEvents,
        Scope::GammaSearch,
        Scope::GammaTags,
        Scope::Gamma,
        Scope::Clob,
        Scope::ClobBook,
        Scope::ClobBooks,
        Scope::ClobHistory,
        Scope::Data,
        Scope::DataPositions,
        Scope::DataTrades,
        Scope::DataHistory,
    ];

    /// Whom to ask.
    pub fn host(self) -> Host {
        match self {
            Scope::GammaMarkets
            | Scope::GammaEvents
            | Scope::GammaSearch
            | Scope::GammaTags
            | Scope::Gamma => Host::Gamma,
            Scope::Clob | Scope::ClobBook | Scope::ClobBooks | Scope::ClobHistory => Host::Clob,
            Scope::Data | Scope::DataPositions | Scope::DataTrades | Scope::DataHistory => {
                Host::Data
            }
        }
    }

    /// Requests per ten seconds that the venue publishes for these routes (its rate-limit page,
    /// October 2026); `None` where only the host's limit counts.
    pub fn published(self) -> Option<u32> {
        match self {
            Scope::GammaMarkets => Some(300),
            Scope::GammaEvents => Some(500),
            Scope::GammaSearch => Some(350),
            Scope::GammaTags | Scope::DataPositions | Scope::DataHistory => Some(200),
            Scope::ClobBook => Some(1_500),
            Scope::ClobBooks => Some(500),
            Scope::ClobHistory => Some(1_000),
            Scope::DataTrades => Some(300),
            Scope::Gamma | Scope::Clob | Scope::Data => None,
        }
    }
}

/// A read to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    pub(super) scope: Scope,
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

impl Request {
    /// `GET path`; the path begins with `/` and holds no text from outside that was not checked.
    pub fn get(scope: Scope, path: impl Into<String>) -> Self {
        Request {
            scope,
            path: path.into(),
            query: Vec::new(),
            body: None,
        }
    }

    /// `POST path` with a JSON body, for reads that take lists.
    pub fn post(scope: Scope, path: impl Into<String>, body: Value) -> Self {
        Request {
            body: Some(body),
            ..Request::get(scope, path)
        }
    }

    /// Adds a query parameter; lists repeat the key.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    /// True without a body.
    pub fn is_get(&self) -> bool {
        self.body.is_none()
    }

    /// What two GETs that ask the same have in common. Lengths keep parameters apart whatever
    /// stands in them.
    pub(super) fn key(&self) -> String {
        let mut key = format!("{} {}", self.scope.host().name(), self.path);
        for (name, value) in &self.query {
            key.push_str(&format!(" {name}:{}:{value}", value.len()));
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_has_the_same_key_and_no_other() {
        let one = Request::get(Scope::GammaSearch, "/public-search").with("q", "a b:1:c");
        assert_eq!(one.key(), one.clone().key());
        let other = Request::get(Scope::GammaSearch, "/public-search")
            .with("q", "a")
            .with("b", "c");
        assert_ne!(one.key(), other.key());
        let elsewhere = Request::get(Scope::Data, "/public-search").with("q", "a b:1:c");
        assert_ne!(one.key(), elsewhere.key());
    }

    #[test]
    fn every_scope_is_listed_and_within_its_hosts_limit() {
        let distinct: std::collections::HashSet<Scope> = Scope::ALL.into_iter().collect();
        assert_eq!(distinct.len(), Scope::ALL.len());
        for scope in Scope::ALL {
            let published = scope.published().unwrap_or(1);
            assert!(published <= scope.host().published(), "{scope:?}");
        }
    }
}
