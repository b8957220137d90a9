//! Tokens spread over connections: the venue stalls one that carries too many, silently.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::connection::{Connection, ConnectionSettings, Listener};
use crate::domain::TokenId;
use crate::market_data::polymarket::row::is_asset_id;

/// Tokens per connection. How many the venue allows is not documented; connections with many have
/// been seen to stall without an error.
pub const TOKENS_PER_CONNECTION: usize = 200;
/// Most tokens that are followed: fifty connections. The rest is asked for when it is needed.
pub const MAX_TOKENS: usize = 10_000;

/// Connections that together follow a set of tokens. Dropping this ends them.
#[derive(Debug)]
pub struct Shards {
    settings: Arc<ConnectionSettings>,
    shards: BTreeMap<u64, Shard>,
    placed: HashMap<TokenId, u64>,
    next: u64,
}

#[derive(Debug)]
struct Shard {
    connection: Connection,
    tokens: usize,
}

impl Shards {
    /// Without a token and without a connection.
    #[must_use]
    pub fn new(settings: ConnectionSettings) -> Self {
        Shards {
            settings: Arc::new(settings),
            shards: BTreeMap::new(),
            placed: HashMap::new(),
            next: 0,
        }
    }

    /// The connection that follows the token, if one does.
    #[must_use]
    pub fn of(&self, token: &TokenId) -> Option<u64> {
        self.placed.get(token).copied()
    }

    /// Follows exactly these tokens from now on; what is not an asset id of the venue is left out.
    /// `listener` makes the listener of a new connection from its number, which is never used
    /// twice. Gives the numbers of connections that were ended.
    pub fn follow(
        &mut self,
        runtime: &Handle,
        wanted: &[TokenId],
        mut listener: impl FnMut(u64) -> Box<dyn Listener>,
    ) -> Vec<u64> {
        let mut seen = HashSet::new();
        let wanted: Vec<&TokenId> = wanted
            .iter()
            .filter(|token| is_asset_id(token.as_str()) && seen.insert(*token))
            .take(MAX_TOKENS)
            .collect();
        let kept: HashSet<&TokenId> = wanted.iter().copied().collect();
        let mut leaving: BTreeMap<u64, Vec<TokenId>> = BTreeMap::new();
        self.placed.retain(|token, shard| {
            let stays = kept.contains(token);
            if !stays {
                leaving.entry(*shard).or_default().push(token.clone());
            }
            stays
        });
        for (number, tokens) in leaving {
            if let Some(shard) = self.shards.get_mut(&number) {
                shard.tokens = shard.tokens.saturating_sub(tokens.len());
                if shard.tokens > 0 {
                    shard.connection.unsubscribe(tokens);
                }
            }
        }
        let empty: Vec<u64> = self
            .shards
            .iter()
            .filter(|(_, shard)| shard.tokens == 0)
            .map(|(number, _)| *number)
            .collect();
        for number in &empty {
            self.shards.remove(number);
        }
        let mut new: Vec<TokenId> = wanted
            .into_iter()
            .filter(|token| !self.placed.contains_key(*token))
            .cloned()
            .collect();
        for (number, shard) in &mut self.shards {
            let room = TOKENS_PER_CONNECTION.saturating_sub(shard.tokens);
            let more: Vec<TokenId> = new.drain(..room.min(new.len())).collect();
            if !more.is_empty() {
                shard.tokens += more.len();
                let places = more.iter().map(|token| (token.clone(), *number));
                self.placed.extend(places);
                shard.connection.subscribe(more);
            }
        }
        for tokens in new.chunks(TOKENS_PER_CONNECTION) {
            let number = self.next;
            self.next += 1;
            let places = tokens.iter().map(|token| (token.clone(), number));
            self.placed.extend(places);
            let connection = Connection::open(
                runtime,
                self.settings.clone(),
                tokens.to_vec(),
                listener(number),
            );
            self.shards.insert(
                number,
                Shard {
                    connection,
                    tokens: tokens.len(),
                },
            );
        }
        empty
    }
}
