//! The CLOB's rows: books with the worst price first, decimal strings, millisecond strings.

use serde::Serialize;

use super::{rfc3339, round6};
use crate::domain::Price;
use crate::sandbox::exchange::Levels;
use crate::sandbox::model::{OutcomeSide, Phase, SimEvent, SimMarket, Version, World, book_hash};

/// One price level of a book.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Level {
    pub price: String,
    pub size: String,
}

/// `GET /book`.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Book {
    pub market: String,
    pub asset_id: String,
    pub timestamp: String,
    pub hash: String,
    pub bids: Vec<Level>,
    pub asks: Vec<Level>,
    pub min_order_size: &'static str,
    pub tick_size: String,
    pub neg_risk: bool,
    pub last_trade_price: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'static str>,
    pub simulated: bool,
}

/// Worst price first: the best level is the last.
fn served(mut levels: Levels) -> Vec<Level> {
    levels.reverse();
    levels
        .into_iter()
        .map(|(price, size)| Level {
            price: price.to_string(),
            size: size.to_string(),
        })
        .collect()
}

/// The book of one outcome, with the moment of its last change; `None` once trading has ended.
pub(in crate::sandbox) fn book(
    world: &World,
    market: &SimMarket,
    event: &SimEvent,
    side: OutcomeSide,
) -> Option<Book> {
    let (bids, asks) = world.book(market, side)?;
    let changed = world.changed_at(market).millis();
    // The market's last trade: it may be the other token's.
    let last = world.last_trade(market).map(|trade| trade.price);
    Some(Book {
        market: market.condition_id.clone(),
        asset_id: side.of(&market.tokens).clone(),
        timestamp: changed.to_string(),
        hash: book_hash(world.seed, market.index, side.index(), changed),
        bids: served(bids),
        asks: served(asks),
        min_order_size: "5",
        tick_size: tick(market),
        neg_risk: event.neg_risk,
        last_trade_price: last.map(|price| price.to_string()).unwrap_or_default(),
        version: (event.version == Version::V2).then_some("v2"),
        simulated: true,
    })
}

/// Price step as decimal text.
fn tick(market: &SimMarket) -> String {
    Price::from_micros(market.tick).map_or_else(|_| String::new(), |tick| tick.to_string())
}

/// `GET /clob-markets/{condition}`, with the venue's short names.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct CompactMarket {
    pub r: CompactRewards,
    pub t: Vec<CompactToken>,
    pub c: String,
    pub mos: u32,
    pub mts: f64,
    pub mbf: u32,
    pub tbf: u32,
    pub ao: bool,
    pub cbos: bool,
    pub aot: String,
    /// Taker delay; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub itode: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ibce: Option<bool>,
    /// Neg-risk; absent means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nr: Option<bool>,
    /// Fee; absent means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<CompactFee>,
    pub v: &'static str,
    pub simulated: bool,
}

/// Reward terms: minimum size, maximum spread in cents.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct CompactRewards {
    pub mi: u32,
    pub ma: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<bool>,
    pub moas: u32,
}

/// Token and outcome.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct CompactToken {
    pub t: String,
    pub o: &'static str,
}

/// Rate, exponent, taker only.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct CompactFee {
    pub r: f64,
    pub e: u8,
    pub to: bool,
}

/// The compact row of a market.
pub(in crate::sandbox) fn compact(
    world: &World,
    market: &SimMarket,
    event: &SimEvent,
) -> CompactMarket {
    let v1 = event.version == Version::V1;
    CompactMarket {
        r: CompactRewards {
            mi: 50,
            ma: 4.5,
            e: v1.then_some(true),
            moas: 30,
        },
        t: [OutcomeSide::First, OutcomeSide::Second]
            .map(|side| CompactToken {
                t: side.of(&market.tokens).clone(),
                o: market.outcome(side),
            })
            .into(),
        c: market.condition_id.clone(),
        mos: 5,
        mts: f64::from(market.tick) / 1e6,
        mbf: 1000,
        tbf: 1000,
        ao: market.is_open(world.now),
        cbos: true,
        aot: rfc3339(event.opened),
        itode: (!v1).then_some(true),
        ibce: v1.then_some(true),
        nr: event.neg_risk.then_some(true),
        fd: (!market.fee.schedule.is_free()).then(|| CompactFee {
            r: market.fee.schedule.rate(),
            e: market.fee.schedule.exponent(),
            to: true,
        }),
        v: event.version.name(),
        simulated: true,
    }
}

/// `GET /markets/{condition}`.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct LongMarket {
    pub enable_order_book: bool,
    pub active: bool,
    pub closed: bool,
    pub archived: bool,
    pub accepting_orders: bool,
    pub accepting_order_timestamp: String,
    pub minimum_order_size: u32,
    pub minimum_tick_size: f64,
    pub condition_id: String,
    pub question_id: String,
    pub question: String,
    pub description: String,
    pub market_slug: String,
    pub end_date_iso: String,
    pub game_start_time: Option<String>,
    pub seconds_delay: u32,
    pub fpmm: &'static str,
    pub maker_base_fee: u32,
    pub taker_base_fee: u32,
    pub notifications_enabled: bool,
    pub neg_risk: bool,
    pub neg_risk_market_id: String,
    pub neg_risk_request_id: String,
    pub icon: &'static str,
    pub image: &'static str,
    pub rewards: LongRewards,
    pub is_50_50_outcome: bool,
    pub tokens: Vec<LongToken>,
    pub tags: Vec<&'static str>,
    pub version: &'static str,
    pub simulated: bool,
}

/// Reward terms of the long form.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct LongRewards {
    pub rates: Vec<LongRate>,
    pub min_size: u32,
    pub max_spread: f64,
}

/// A daily reward.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct LongRate {
    pub asset_address: &'static str,
    pub rewards_daily_rate: u32,
}

/// Token, price and whether it won.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct LongToken {
    pub token_id: String,
    pub outcome: &'static str,
    pub price: f64,
    pub winner: bool,
}

/// The long row of a market.
pub(in crate::sandbox) fn long(world: &World, market: &SimMarket, event: &SimEvent) -> LongMarket {
    let open = market.is_open(world.now);
    let resolved = market.phase(world.now) == Phase::Resolved;
    let payouts = market.payouts.filter(|_| resolved);
    let prices = world.prices(market);
    let token = |side: OutcomeSide| LongToken {
        token_id: side.of(&market.tokens).clone(),
        outcome: market.outcome(side),
        price: *side.of(&prices),
        winner: payouts.is_some_and(|payouts| *side.of(&payouts) == 1_000_000),
    };
    let neg_risk_id = |id: &String| {
        if event.neg_risk {
            id.clone()
        } else {
            String::new()
        }
    };
    let (label, _) = event.category.tag();
    LongMarket {
        enable_order_book: open,
        active: true,
        closed: !open,
        archived: false,
        accepting_orders: open,
        accepting_order_timestamp: rfc3339(event.opened),
        minimum_order_size: 5,
        minimum_tick_size: f64::from(market.tick) / 1e6,
        condition_id: market.condition_id.clone(),
        question_id: market.question_id.clone(),
        question: market.question.clone(),
        description: market.description.clone(),
        market_slug: market.slug.clone(),
        end_date_iso: format!("{}T00:00:00Z", super::date(market.schedule.end)),
        game_start_time: None,
        seconds_delay: 0,
        fpmm: "",
        maker_base_fee: 1000,
        taker_base_fee: 1000,
        notifications_enabled: true,
        neg_risk: event.neg_risk,
        neg_risk_market_id: neg_risk_id(&event.question_base),
        neg_risk_request_id: neg_risk_id(&market.question_id),
        icon: "",
        image: "",
        rewards: LongRewards {
            rates: vec![LongRate {
                asset_address: "0x0000000000000000000000000000000000000000",
                rewards_daily_rate: 1,
            }],
            min_size: 50,
            max_spread: 4.5,
        },
        is_50_50_outcome: payouts == Some([500_000, 500_000]),
        tokens: vec![token(OutcomeSide::First), token(OutcomeSide::Second)],
        tags: vec![label],
        version: event.version.name(),
        simulated: true,
    }
}

/// A point of a price history: unix seconds and midpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in crate::sandbox) struct Point {
    pub t: i64,
    pub p: f64,
}

/// Midpoint of an outcome from the first outcome's, in units of 0.0001.
pub(in crate::sandbox) fn point_price(side: OutcomeSide, first: u16) -> f64 {
    let units = match side {
        OutcomeSide::First => first,
        OutcomeSide::Second => 10_000_u16.saturating_sub(first),
    };
    round6(f64::from(units) / 10_000.0)
}
