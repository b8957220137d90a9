//! Gamma's market and event rows.
//!
//! Traps kept: JSON inside strings, `volume` a string on markets and a number on events, fields
//! that are absent on some rows and `null` on others, `closedTime` in a form of its own.

use serde::Serialize;

use super::{closed_time, date, rfc3339, round6};
use crate::domain::Price;
use crate::sandbox::model::{
    Category, OutcomeSide, Phase, SimEvent, SimMarket, Version, World, round4,
};

/// Not a person's wallet: no deployer, no resolver.
const NO_ADDRESS: &str = "0x0000000000000000000000000000000000000000";

/// A market row. `None` with a skip is absent as on the venue; without one it is `null`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::sandbox) struct Market {
    pub id: String,
    pub question: String,
    pub condition_id: String,
    pub slug: String,
    pub resolution_source: &'static str,
    pub end_date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liquidity: Option<String>,
    pub start_date: String,
    pub image: &'static str,
    pub icon: &'static str,
    pub description: String,
    pub outcomes: String,
    pub outcome_prices: String,
    pub volume: String,
    pub active: bool,
    pub closed: bool,
    pub market_maker_address: &'static str,
    pub created_at: String,
    pub updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_time: Option<String>,
    pub new: bool,
    pub featured: bool,
    #[serde(rename = "submitted_by")]
    pub submitted_by: &'static str,
    pub archived: bool,
    pub resolved_by: &'static str,
    pub restricted: bool,
    pub group_item_title: String,
    pub group_item_threshold: String,
    #[serde(rename = "questionID")]
    pub question_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uma_end_date: Option<String>,
    pub enable_order_book: bool,
    pub order_price_min_tick_size: f64,
    pub order_min_size: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uma_resolution_status: Option<&'static str>,
    pub volume_num: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liquidity_num: Option<f64>,
    pub end_date_iso: String,
    pub start_date_iso: String,
    pub has_reviewed_dates: bool,
    pub volume24hr: f64,
    pub volume1wk: f64,
    pub volume1mo: f64,
    pub volume1yr: f64,
    pub clob_token_ids: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_ids: Option<Vec<String>>,
    pub combo_status: &'static str,
    pub uma_bond: &'static str,
    pub uma_reward: &'static str,
    pub volume24hr_clob: f64,
    pub volume1wk_clob: f64,
    pub volume1mo_clob: f64,
    pub volume1yr_clob: f64,
    pub volume_clob: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liquidity_clob: Option<f64>,
    pub maker_base_fee: u32,
    pub taker_base_fee: u32,
    pub custom_liveness: u32,
    pub accepting_orders: bool,
    pub neg_risk: bool,
    #[serde(rename = "negRiskMarketID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neg_risk_market_id: Option<String>,
    #[serde(rename = "negRiskRequestID")]
    pub neg_risk_request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Event>>,
    pub ready: bool,
    pub funded: bool,
    pub accepting_orders_timestamp: String,
    pub cyom: bool,
    pub competitive: f64,
    pub approved: bool,
    pub clob_rewards: Vec<Reward>,
    pub rewards_min_size: u32,
    pub rewards_max_spread: f64,
    pub spread: f64,
    /// Absent when nothing changed, as on the venue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_day_price_change: Option<f64>,
    /// As above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_week_price_change: Option<f64>,
    pub one_month_price_change: f64,
    pub one_year_price_change: f64,
    pub last_trade_price: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_bid: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_ask: Option<f64>,
    pub automatically_active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automatically_resolved: Option<bool>,
    pub clear_book_on_start: bool,
    pub series_color: &'static str,
    pub show_gmp_series: bool,
    pub show_gmp_outcome: bool,
    pub manual_activation: bool,
    pub neg_risk_other: bool,
    pub uma_resolution_statuses: &'static str,
    pub pending_deployment: bool,
    pub deploying: bool,
    pub deploying_timestamp: String,
    pub rfq_enabled: bool,
    pub holding_rewards_enabled: bool,
    pub fees_enabled: bool,
    pub fee_type: Option<&'static str>,
    pub fee_schedule: Option<FeeSchedule>,
    pub fallback_resolution_type: &'static str,
    pub version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onchain_event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    pub simulated: bool,
}

/// An event row; as part of a market it carries neither `markets` nor `tags`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::sandbox) struct Event {
    pub id: String,
    pub ticker: String,
    pub slug: String,
    pub title: String,
    pub description: String,
    pub resolution_source: &'static str,
    pub start_date: String,
    pub creation_date: String,
    pub end_date: String,
    pub image: &'static str,
    pub icon: &'static str,
    pub active: bool,
    pub closed: bool,
    pub archived: bool,
    pub new: bool,
    pub featured: bool,
    pub restricted: bool,
    pub liquidity: f64,
    pub volume: f64,
    pub open_interest: f64,
    pub sort_by: &'static str,
    pub created_at: String,
    pub updated_at: String,
    pub competitive: f64,
    pub volume24hr: f64,
    pub volume1wk: f64,
    pub volume1mo: f64,
    pub volume1yr: f64,
    pub enable_order_book: bool,
    pub liquidity_clob: f64,
    pub neg_risk: bool,
    #[serde(rename = "negRiskMarketID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neg_risk_market_id: Option<String>,
    pub comment_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub markets: Option<Vec<Market>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<Tag>>,
    pub cyom: bool,
    pub show_all_outcomes: bool,
    pub show_market_images: bool,
    pub enable_neg_risk: bool,
    pub automatically_active: bool,
    pub start_time: String,
    pub gmp_chart_mode: &'static str,
    pub neg_risk_augmented: bool,
    pub country_name: &'static str,
    pub election_type: &'static str,
    pub estimate_value: bool,
    pub cumulative_markets: bool,
    pub pending_deployment: bool,
    pub deploying: bool,
    pub deploying_timestamp: String,
    pub event_metadata: EventMetadata,
    pub version: &'static str,
    pub simulated: bool,
}

/// Fee terms of a market row.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::sandbox) struct FeeSchedule {
    pub exponent: u8,
    pub rate: f64,
    pub taker_only: bool,
    pub rebate_rate: f64,
}

/// Liquidity rewards of a market row.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::sandbox) struct Reward {
    pub id: String,
    pub condition_id: String,
    pub asset_address: &'static str,
    pub rewards_amount: u32,
    pub rewards_daily_rate: u32,
    pub start_date: String,
    pub end_date: &'static str,
}

/// A tag of an event row.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::sandbox) struct Tag {
    pub id: String,
    pub label: &'static str,
    pub slug: String,
    pub force_show: bool,
    pub created_at: String,
    pub updated_at: String,
}

/// A row of `/tags`, which is not the tag of an event row.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::sandbox) struct ListedTag {
    pub id: String,
    pub label: &'static str,
    pub slug: String,
    /// Editors have set it on some tags only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_show: Option<bool>,
    pub created_at: String,
    pub updated_at: String,
    pub requires_translation: bool,
    pub simulated: bool,
}

/// All tags; they are as old as the oldest event.
pub(in crate::sandbox) fn tags(world: &World) -> Vec<ListedTag> {
    let oldest = world.events.iter().map(|event| event.opened).min();
    let since = rfc3339(oldest.unwrap_or(world.start));
    Category::all()
        .map(|category| {
            let (label, id) = category.tag();
            ListedTag {
                id: id.to_string(),
                label,
                slug: label.to_lowercase(),
                force_show: (category == Category::Crypto).then_some(false),
                created_at: since.clone(),
                updated_at: since.clone(),
                requires_translation: false,
                simulated: true,
            }
        })
        .collect()
}

/// What the venue keeps about an event for itself.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct EventMetadata {
    pub context_requires_regen: bool,
}

/// JSON text of an array of strings, with the blank after the comma that the venue writes.
fn text_array(items: [&str; 2]) -> String {
    let [first, second] = items.map(|item| serde_json::Value::from(item).to_string());
    format!("[{first}, {second}]")
}

/// How near the price is to a half: the venue's `competitive`.
fn competitive(price: f64) -> f64 {
    round6(1.0 / (1.0 + (price - 0.5).powi(2)))
}

/// The row of a market; `with_event` adds its event, as the market routes do.
pub(in crate::sandbox) fn market(
    world: &World,
    market: &SimMarket,
    event: &SimEvent,
    with_event: bool,
) -> Market {
    let phase = market.phase(world.now);
    let open = phase == Phase::Open;
    let resolved = phase == Phase::Resolved;
    let [first, second] = world.prices(market);
    let (bid, ask) = world.best(market, OutcomeSide::First).unwrap_or_default();
    let best_bid = bid.map(Price::to_f64);
    let best_ask = ask.map(Price::to_f64);
    let tick = f64::from(market.tick) / 1e6;
    let spread = match (best_bid, best_ask) {
        (Some(bid), Some(ask)) => round4(ask - bid),
        _ => tick,
    };
    let volume = round6(world.volume(market));
    let daily = round6(world.volume_24h(market));
    let closed_at = market.schedule.closes;
    let change = |days: i64| {
        let then = market
            .history
            .at(world.now.plus_millis(-days * 86_400_000))?;
        Some(round4(first - then))
    };
    let v2 = event.version == Version::V2;
    let token_ids = text_array([&market.tokens[0], &market.tokens[1]]);
    Market {
        id: market.id.to_string(),
        question: market.question.clone(),
        condition_id: market.condition_id.clone(),
        slug: market.slug.clone(),
        resolution_source: "",
        end_date: rfc3339(market.schedule.end),
        liquidity: open.then(|| market.liquidity.to_string()),
        start_date: rfc3339(event.opened),
        image: "",
        icon: "",
        description: market.description.clone(),
        outcomes: text_array(market.outcomes),
        outcome_prices: text_array([&first.to_string(), &second.to_string()]),
        volume: volume.to_string(),
        active: true,
        closed: !open,
        market_maker_address: "",
        created_at: rfc3339(event.opened),
        updated_at: rfc3339(world.now),
        closed_time: (!open).then(|| closed_time(closed_at)),
        new: false,
        featured: false,
        submitted_by: NO_ADDRESS,
        archived: false,
        resolved_by: NO_ADDRESS,
        restricted: true,
        group_item_title: market.group_title.clone(),
        group_item_threshold: market.member.to_string(),
        question_id: market.question_id.clone(),
        uma_end_date: (!open).then(|| rfc3339(closed_at)),
        enable_order_book: true,
        order_price_min_tick_size: tick,
        order_min_size: 5,
        uma_resolution_status: match phase {
            Phase::Open => None,
            Phase::Proposed | Phase::Reproposed => Some("proposed"),
            Phase::Challenged | Phase::Disputed => Some("disputed"),
            Phase::Resolved => Some("resolved"),
        },
        volume_num: volume,
        liquidity_num: open.then_some(market.liquidity),
        end_date_iso: date(market.schedule.end),
        start_date_iso: date(event.opened),
        has_reviewed_dates: true,
        volume24hr: daily,
        volume1wk: round6((market.daily_volume * 7.0).min(volume)),
        volume1mo: round6((market.daily_volume * 30.0).min(volume)),
        volume1yr: volume,
        // Half of the v2 rows carry the ids here too, the others `null`: the version decides.
        clob_token_ids: (!v2 || market.index.is_multiple_of(2)).then_some(token_ids),
        position_ids: if v2 {
            Some(market.tokens.to_vec())
        } else {
            market.decoy_positions.as_ref().map(|ids| ids.to_vec())
        },
        combo_status: "disabled",
        uma_bond: "500",
        uma_reward: "5",
        volume24hr_clob: daily,
        volume1wk_clob: round6((market.daily_volume * 7.0).min(volume)),
        volume1mo_clob: round6((market.daily_volume * 30.0).min(volume)),
        volume1yr_clob: volume,
        volume_clob: volume,
        liquidity_clob: open.then_some(market.liquidity),
        maker_base_fee: 1000,
        taker_base_fee: 1000,
        custom_liveness: 0,
        accepting_orders: open,
        neg_risk: event.neg_risk,
        neg_risk_market_id: event.neg_risk.then(|| event.question_base.clone()),
        neg_risk_request_id: if event.neg_risk {
            market.question_id.clone()
        } else {
            String::new()
        },
        events: with_event.then(|| vec![self::event(world, event, false)]),
        ready: false,
        funded: false,
        accepting_orders_timestamp: rfc3339(event.opened),
        cyom: false,
        competitive: competitive(first),
        approved: true,
        clob_rewards: vec![Reward {
            id: (market.id % 100_000).to_string(),
            condition_id: market.condition_id.clone(),
            asset_address: NO_ADDRESS,
            rewards_amount: 0,
            rewards_daily_rate: 1,
            start_date: date(event.opened),
            end_date: "2500-12-31",
        }],
        rewards_min_size: 50,
        rewards_max_spread: 4.5,
        spread,
        one_day_price_change: change(1).filter(|change| *change != 0.0),
        one_week_price_change: change(7).filter(|change| *change != 0.0),
        one_month_price_change: change(29).unwrap_or(0.0),
        one_year_price_change: 0.0,
        last_trade_price: last_of_first(world, market).unwrap_or(first),
        best_bid,
        best_ask,
        automatically_active: true,
        automatically_resolved: resolved.then_some(true),
        clear_book_on_start: true,
        series_color: "",
        show_gmp_series: false,
        show_gmp_outcome: false,
        manual_activation: false,
        neg_risk_other: false,
        uma_resolution_statuses: statuses(market, phase),
        pending_deployment: false,
        deploying: false,
        deploying_timestamp: rfc3339(event.opened),
        rfq_enabled: false,
        holding_rewards_enabled: false,
        fees_enabled: market.fee.name.is_some(),
        fee_type: market.fee.name,
        fee_schedule: market.fee.name.map(|_| FeeSchedule {
            exponent: market.fee.schedule.exponent(),
            rate: market.fee.schedule.rate(),
            taker_only: true,
            rebate_rate: market.fee.rebate,
        }),
        fallback_resolution_type: "none",
        version: event.version.name(),
        resolution_status: v2.then_some(if resolved { "resolved" } else { "active" }),
        onchain_event_id: v2.then(|| event.question_base.clone()),
        request_id: v2.then(|| market.question_id.clone()),
        simulated: true,
    }
}

/// The last trade as a price of the first outcome; `None` before the first trade.
fn last_of_first(world: &World, market: &SimMarket) -> Option<f64> {
    let trade = world.last_trade(market)?;
    Some(match trade.outcome {
        OutcomeSide::First => trade.price.to_f64(),
        OutcomeSide::Second => trade.price.complement().to_f64(),
    })
}

/// All statuses so far. The venue leaves them standing on resolved rows, and does not add
/// `resolved`.
fn statuses(market: &SimMarket, phase: Phase) -> &'static str {
    match (phase, market.schedule.is_challenged()) {
        (Phase::Open, _) => "[]",
        (Phase::Proposed, _) | (Phase::Resolved, false) => "[\"proposed\"]",
        (Phase::Challenged, _) => "[\"proposed\", \"disputed\"]",
        (Phase::Reproposed, _) | (Phase::Resolved, true) => {
            "[\"proposed\", \"disputed\", \"proposed\"]"
        }
        (Phase::Disputed, _) => "[\"proposed\", \"disputed\", \"proposed\", \"disputed\"]",
    }
}

/// The row of an event; `whole` adds its markets, closed ones included, and its tags.
pub(in crate::sandbox) fn event(world: &World, event: &SimEvent, whole: bool) -> Event {
    let markets = world.markets_of(event);
    let open = event.is_open(world.now);
    let sum = |value: &dyn Fn(&SimMarket) -> f64| round6(markets.iter().map(value).sum());
    let daily = sum(&|market| world.volume_24h(market));
    let volume = sum(&|market| world.volume(market));
    let usual = sum(&|market| market.daily_volume);
    let liquidity = sum(&|market| {
        if market.is_open(world.now) {
            market.liquidity
        } else {
            0.0
        }
    });
    let (label, tag) = event.category.tag();
    let lead = markets.first().map_or(0.5, |first| {
        let [price, _] = world.prices(first);
        price
    });
    Event {
        id: event.id.to_string(),
        ticker: event.slug.clone(),
        slug: event.slug.clone(),
        title: event.title.clone(),
        description: markets
            .first()
            .map(|first| first.description.clone())
            .unwrap_or_default(),
        resolution_source: "",
        start_date: rfc3339(event.opened),
        creation_date: rfc3339(event.opened),
        end_date: rfc3339(event.end),
        image: "",
        icon: "",
        active: true,
        closed: !open,
        archived: false,
        new: false,
        featured: false,
        restricted: true,
        liquidity,
        volume,
        open_interest: round6(volume / 20.0),
        sort_by: "price",
        created_at: rfc3339(event.opened),
        updated_at: rfc3339(world.now),
        competitive: competitive(lead),
        volume24hr: daily,
        volume1wk: round6((usual * 7.0).min(volume)),
        volume1mo: round6((usual * 30.0).min(volume)),
        volume1yr: volume,
        enable_order_book: true,
        liquidity_clob: liquidity,
        neg_risk: event.neg_risk,
        neg_risk_market_id: event.neg_risk.then(|| event.question_base.clone()),
        comment_count: 0,
        markets: whole.then(|| {
            markets
                .iter()
                .map(|child| market(world, child, event, false))
                .collect()
        }),
        tags: whole.then(|| {
            vec![Tag {
                id: tag.to_string(),
                label,
                slug: label.to_lowercase(),
                force_show: false,
                created_at: rfc3339(event.opened),
                updated_at: rfc3339(event.opened),
            }]
        }),
        cyom: false,
        show_all_outcomes: true,
        show_market_images: true,
        enable_neg_risk: event.neg_risk,
        automatically_active: true,
        start_time: rfc3339(event.opened),
        gmp_chart_mode: "default",
        neg_risk_augmented: false,
        country_name: "",
        election_type: "",
        estimate_value: false,
        cumulative_markets: false,
        pending_deployment: false,
        deploying: false,
        deploying_timestamp: rfc3339(event.opened),
        event_metadata: EventMetadata {
            context_requires_regen: false,
        },
        version: event.version.name(),
        simulated: true,
    }
}
