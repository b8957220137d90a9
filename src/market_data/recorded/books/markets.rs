//! Which tokens belong together, what their markets are called, and how they ended.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::domain::text::{MAX_QUESTION, clean};
use crate::domain::{
    ConditionId, EventId, FeeSchedule, Market, MarketId, MarketStatus, Outcome, Price,
    ProtocolVersion, Resolution, Shares, Timestamp, TokenId,
};
use crate::market_data::DataError;
use crate::market_data::recorded::load::{DEFAULT_MIN_SIZE, edition, event_key, name, short};
use crate::market_data::recorded::metadata::{self, Known, Metadata};
use crate::market_data::recorded::resolutions::Line;
use crate::market_data::recorded::series::Edition;
use crate::market_data::recorded::skips::Skips;

use super::decode::{Announced, Token};

/// A market of a recording.
#[derive(Debug)]
pub struct BookMarket {
    /// As it is known at the beginning of the recording.
    pub market: Market,
    /// What the metadata says, and from when on; the first holds from the beginning.
    pub(in crate::market_data::recorded) editions: Vec<Edition>,
    /// Numbers of its tokens; `None` where the recording tells nothing of one.
    pub tokens: [Option<u32>; 2],
    /// Whether the metadata states the price step.
    pub has_tick: bool,
}

/// Adds an entry of a capture, written at `at`. Gives its market's id.
pub fn add_entry(
    known: &mut Known,
    entry: &Value,
    at: Timestamp,
    skips: &mut Skips,
) -> Option<String> {
    match metadata::entry(entry.clone()) {
        Ok((id, metadata)) => {
            let editions = known.entry(id.clone()).or_default();
            // The first holds from the beginning.
            let as_of = (!editions.is_empty()).then_some(at);
            editions.push(Metadata { as_of, ..metadata });
            Some(id)
        }
        Err(detail) => {
            skips.count("a market of the capture makes no sense", || detail);
            None
        }
    }
}

/// Two tokens, or one, that are a market.
struct Group {
    tokens: [Option<u32>; 2],
    /// Id of the metadata's entry.
    entry: Option<String>,
    /// How it was found, where nobody stated it.
    guessed: bool,
}

/// What became of the tokens.
#[derive(Debug)]
pub struct Grouped {
    /// The markets, by id.
    pub markets: Vec<BookMarket>,
    /// Markets without an entry in the metadata.
    pub unnamed: usize,
    /// Markets whose two tokens were put together because their books mirror each other.
    pub mirrored: usize,
    /// Markets of whose second token nothing is told.
    pub single: usize,
}

/// Makes markets of all tokens. Errors: a fee of the metadata does not fit.
pub fn group(tokens: &[Token], known: &Known, skips: &mut Skips) -> Result<Grouped, DataError> {
    let mut found = Grouped {
        markets: Vec::new(),
        unnamed: 0,
        mirrored: 0,
        single: 0,
    };
    for group in groups(tokens, known, skips) {
        found.unnamed += usize::from(group.entry.is_none());
        found.mirrored += usize::from(group.guessed);
        found.single += usize::from(group.tokens.contains(&None));
        found.markets.push(market(tokens, &group, known)?);
    }
    found.markets.sort_by(|a, b| a.market.id.cmp(&b.market.id));
    found.markets.dedup_by(|next, kept| {
        let same = next.market.id == kept.market.id;
        if same {
            skips.count("two markets of one id; the first counts", || {
                kept.market.id.to_string()
            });
        }
        same
    });
    Ok(found)
}

fn groups(tokens: &[Token], known: &Known, skips: &mut Skips) -> Vec<Group> {
    let ids: HashMap<&str, u32> = (0_u32..)
        .zip(tokens)
        .map(|(number, token)| (token.id.as_str(), number))
        .collect();
    let mut taken = vec![false; tokens.len()];
    let mut found = Vec::new();
    let mut stated: Vec<(&String, &Metadata)> = known
        .iter()
        .filter_map(|(id, editions)| Some((id, editions.first()?)))
        .collect();
    stated.sort_by_key(|(id, _)| *id);
    let free = |taken: &[bool], number: u32| taken.get(number as usize) == Some(&false);
    let take = |taken: &mut Vec<bool>, tokens: [Option<u32>; 2]| {
        for number in tokens.into_iter().flatten() {
            if let Some(flag) = taken.get_mut(number as usize) {
                *flag = true;
            }
        }
        tokens
    };
    for (id, metadata) in stated {
        let [first, second] = metadata.tokens.as_slice() else {
            continue;
        };
        let number = |token: &String| ids.get(token.as_str()).copied();
        let both = [number(first), number(second)];
        let both = both.map(|number| number.filter(|number| free(&taken, *number)));
        if both != [None, None] {
            found.push(Group {
                tokens: take(&mut taken, both),
                entry: Some(id.clone()),
                guessed: false,
            });
        }
    }
    // Named by one message, by the market's condition, or by text: `slug:outcome`.
    let mut by_condition: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    let mut by_slug: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (number, token) in (0_u32..).zip(tokens) {
        if !free(&taken, number) {
            continue;
        }
        if let Some(other) = token.partner.filter(|other| free(&taken, *other)) {
            found.push(Group {
                tokens: take(&mut taken, [Some(number), Some(other)]),
                entry: None,
                guessed: false,
            });
        }
    }
    for (number, token) in (0_u32..).zip(tokens) {
        if !free(&taken, number) {
            continue;
        }
        if let Some(condition) = &token.condition {
            by_condition
                .entry(condition.as_str())
                .or_default()
                .push(number);
        } else if let Some((slug, _)) = token.id.as_str().rsplit_once(':') {
            by_slug.entry(slug).or_default().push(number);
        }
    }
    for (name, members) in by_condition.into_iter().chain(by_slug) {
        match members.as_slice() {
            [a, b] => found.push(Group {
                tokens: take(&mut taken, [Some(*a), Some(*b)]),
                entry: None,
                guessed: false,
            }),
            [_] => {}
            _ => skips.count(
                "a market with more than two tokens; each is taken by itself",
                || clean(name, 80),
            ),
        }
    }
    // What is left of a file are two tokens whose books mirror each other.
    let mut by_file: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (number, token) in (0_u32..).zip(tokens) {
        if free(&taken, number) && token.condition.is_none() {
            by_file.entry(token.file).or_default().push(number);
        }
    }
    for members in by_file.into_values() {
        if let [a, b] = members.as_slice()
            && let (Some(one), Some(other)) = (tokens.get(*a as usize), tokens.get(*b as usize))
            && mirror(one, other)
        {
            found.push(Group {
                tokens: take(&mut taken, [Some(*a), Some(*b)]),
                entry: None,
                guessed: true,
            });
        }
    }
    for number in (0_u32..).zip(tokens).map(|(number, _)| number) {
        if free(&taken, number) {
            found.push(Group {
                tokens: [Some(number), None],
                entry: None,
                guessed: false,
            });
        }
    }
    found
}

/// True when half of the levels at least of one token's first book stand in the other's, at 1 less their
/// price, on the other side and with the same size.
fn mirror(one: &Token, other: &Token) -> bool {
    let (Some([bids, asks]), Some([other_bids, other_asks])) = (&one.first, &other.first) else {
        return false;
    };
    let mut met = 0;
    for (side, opposite) in [(bids, other_asks), (asks, other_bids)] {
        met += side
            .iter()
            .filter(|level| {
                opposite.iter().any(|there| {
                    there.price == level.price.complement() && there.size == level.size
                })
            })
            .count();
    }
    met > 0 && met * 2 >= bids.len() + asks.len()
}

fn market(tokens: &[Token], group: &Group, known: &Known) -> Result<BookMarket, DataError> {
    let none = [Metadata::default()];
    let stated = group.entry.as_ref().and_then(|id| known.get(id));
    let stated = stated.map_or(&none[..], Vec::as_slice);
    let first = stated.first().unwrap_or(&none[0]);
    let token = |place: usize| {
        let number = *group.tokens.get(place)?;
        tokens.get(number? as usize)
    };
    let own = [token(0), token(1)];
    let leader = own.iter().flatten().next();
    let told_condition = leader.and_then(|token| token.condition.clone());
    let text_id = leader.map_or("", |token| token.id.as_str());
    let slug = text_id.rsplit_once(':').map(|(slug, _)| slug);
    let id = match (&group.entry, &told_condition, slug) {
        (Some(id), _, _) => id.clone(),
        (None, Some(condition), _) => condition.to_string(),
        (None, None, Some(slug)) => name(slug),
        (None, None, None) => format!("book-{text_id}"),
    };
    let outcome = |place: usize| {
        let stated = first
            .outcomes
            .get(place)
            .filter(|_| first.outcomes.len() == 2);
        let own = own.get(place).copied().flatten();
        let text = own.and_then(|token| token.id.as_str().rsplit_once(':'));
        let fallback = if place == 0 { "first" } else { "second" };
        let named = stated.map(|text| name(text));
        let named = named.or_else(|| text.map(|(_, outcome)| name(outcome)));
        let listed = first.tokens.get(place).filter(|_| first.tokens.len() == 2);
        let (token, synthetic) = match (own, listed) {
            (Some(token), _) => (token.id.clone(), false),
            (None, Some(listed)) => (TokenId::new(listed), false),
            (None, None) => (TokenId::new(format!("synthetic:second:{text_id}")), true),
        };
        Outcome {
            name: named.map_or_else(|| fallback.into(), Into::into),
            token,
            synthetic,
            indicative_price: None,
        }
    };
    let editions = stated.iter().map(edition).collect::<Result<Vec<_>, _>>()?;
    let opening = editions.first();
    let question = first.question.as_deref().filter(|text| !text.is_empty());
    let market = Market {
        question: match question {
            Some(text) => clean(text, MAX_QUESTION),
            None => format!("Market {}", clean(&id, 80)),
        },
        condition_id: short(&first.condition_id)
            .map(|id| ConditionId::new(id.to_ascii_lowercase()))
            .or(told_condition),
        slug: short(&first.slug).or_else(|| slug.map(name)),
        id: MarketId::new(&id),
        description: opening.and_then(|edition| edition.description.clone()),
        event_id: event_key(first).map(EventId::new),
        category: opening.and_then(|edition| edition.category.clone()),
        outcomes: vec![outcome(0), outcome(1)],
        tick: first.tick.unwrap_or_else(coarsest),
        min_size: first
            .min_size
            .unwrap_or_else(|| Shares::whole(DEFAULT_MIN_SIZE)),
        fee: FeeSchedule::FREE,
        neg_risk: first.neg_risk == Some(true),
        placeholder: false,
        volume: None,
        volume_24h: None,
        liquidity: None,
        start: first.start,
        end: first.end,
        status: MarketStatus::Open,
        version: ProtocolVersion::V1,
        label: Some("recorded".to_owned()),
    };
    Ok(BookMarket {
        market,
        editions,
        tokens: group.tokens,
        has_tick: first.tick.is_some(),
    })
}

/// The step of a market until something finer is told or seen.
fn coarsest() -> Price {
    Price::from_micros(10_000).unwrap_or(Price::ONE)
}

/// How and when the markets ended: as `resolutions.csv` has it, else as announced in the recording.
pub fn resolutions(
    markets: &[BookMarket],
    lines: &HashMap<String, Line>,
    announced: &[Announced],
    until: Option<Timestamp>,
    skips: &mut Skips,
) -> Vec<(Timestamp, usize, Resolution)> {
    let mut found = Vec::new();
    let mut by_token: HashMap<&TokenId, usize> = HashMap::new();
    for (index, one) in markets.iter().enumerate() {
        let market = &one.market;
        for outcome in &market.outcomes {
            by_token.entry(&outcome.token).or_insert(index);
        }
        let condition = market.condition_id.as_ref().map(ConditionId::as_str);
        let names = [Some(market.id.as_str()), market.slug.as_deref(), condition];
        let Some(line) = names.into_iter().flatten().find_map(|name| lines.get(name)) else {
            continue;
        };
        match line.resolve(&market.id, &market.outcomes) {
            Some(resolution) => found.push((line.resolved_at, index, resolution)),
            None => skips.count(
                "a resolution names an outcome that the market does not have",
                || line.place.clone(),
            ),
        }
    }
    let mut ended: Vec<bool> = vec![false; markets.len()];
    for (_, index, _) in &found {
        if let Some(ended) = ended.get_mut(*index) {
            *ended = true;
        }
    }
    for one in announced {
        let Some(index) = by_token.get(&one.winner).copied() else {
            continue;
        };
        let (Some(market), Some(ended)) = (markets.get(index), ended.get_mut(index)) else {
            continue;
        };
        if std::mem::replace(ended, true) {
            continue;
        }
        let payouts = market.market.outcomes.iter().map(|outcome| {
            let won = outcome.token == one.winner;
            (
                outcome.token.clone(),
                if won { Price::ONE } else { Price::ZERO },
            )
        });
        let resolution = Resolution {
            market_id: market.market.id.clone(),
            payouts: payouts.collect(),
            resolved_at: Some(one.at),
            evidence: "announced in the recording (market_resolved)".to_owned(),
        };
        found.push((one.at, index, resolution));
    }
    found.retain(|(at, _, _)| until.is_none_or(|until| *at <= until));
    found.sort_by_key(|(at, market, _)| (*at, *market));
    found
}
