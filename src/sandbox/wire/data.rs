//! The Data API's rows (v2): snake case, numbers for amounts, an envelope with pagination.

use serde::Serialize;

use super::{date, rfc3339, round6};
use crate::domain::Side;
use crate::sandbox::model::{
    Holding, OutcomeSide, Phase, Print, SimEvent, SimMarket, Version, Wallet, World, round4,
    wallet_address,
};
use crate::sandbox::noise::mix;

/// Where a page lies.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Pagination {
    pub limit: usize,
    pub offset: usize,
    pub has_more: bool,
    pub next_cursor: Option<String>,
}

/// A page of rows.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Page<T> {
    pub data: Vec<T>,
    pub pagination: Pagination,
}

/// Rows without pages, or one object.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Data<T> {
    pub data: T,
}

/// `/v2/resolutions`.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Resolution {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question_id: Option<String>,
    pub condition_id: String,
    pub status: &'static str,
    pub extended_review: bool,
    pub was_disputed: bool,
    pub new_version_q: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposed_price: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reproposed_price: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<&'static str>,
    pub transaction_hash: String,
    pub log_index: &'static str,
    /// RFC 3339 on resolved rows, unix seconds as text on others: the venue mixes them.
    pub last_update_timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_settlement_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settlement_time_basis: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub market_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payouts: Option<[u32; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution_source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reporter: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was_arbitrated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_block: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<String>,
    pub simulated: bool,
}

/// No price has been proposed or settled.
const UNSET: &str = "69";

/// Payouts as the oracle writes the price of the first outcome: scaled by 1e18.
fn scaled(payouts: [u32; 2]) -> &'static str {
    match payouts {
        [1_000_000, _] => "1000000000000000000",
        [0, _] => "0",
        _ => "500000000000000000",
    }
}

/// How a market stands on the way to its payout.
pub(in crate::sandbox) fn resolution(
    world: &World,
    market: &SimMarket,
    event: &SimEvent,
) -> Resolution {
    let schedule = &market.schedule;
    let phase = market.phase(world.now);
    let resolved = phase == Phase::Resolved;
    let open = phase == Phase::Open;
    let v2 = event.version == Version::V2;
    let since = schedule.since(world.now).unwrap_or(event.opened);
    let final_at = schedule.resolves();
    let truth = market.payouts.map_or(UNSET, scaled);
    // A proposal that is challenged may have named the wrong outcome.
    let first = match market.payouts {
        Some([yes, no]) if schedule.wrong_at_first => scaled([no, yes]),
        _ => truth,
    };
    let second = matches!(phase, Phase::Reproposed | Phase::Disputed);
    Resolution {
        question_id: (!resolved).then(|| market.question_id.clone()),
        condition_id: market.condition_id.clone(),
        status: match phase {
            Phase::Open => "initialized",
            Phase::Proposed => "proposed",
            Phase::Challenged => "challenged",
            Phase::Reproposed => "reproposed",
            Phase::Disputed => "disputed",
            Phase::Resolved => "resolved",
        },
        extended_review: false,
        was_disputed: phase.after_challenge() || (resolved && schedule.is_challenged()),
        new_version_q: !resolved,
        proposed_price: (!resolved).then_some(if open { UNSET } else { first }),
        reproposed_price: (!resolved).then_some(if second { truth } else { UNSET }),
        price: (!resolved).then_some(UNSET),
        transaction_hash: String::new(),
        log_index: "",
        last_update_timestamp: if resolved {
            rfc3339(since)
        } else {
            since.secs().to_string()
        },
        expected_settlement_time: (!open && !resolved).then(|| rfc3339(final_at)),
        settlement_time_basis: match phase {
            Phase::Open | Phase::Resolved => None,
            Phase::Disputed => Some("dvm_round_estimate"),
            Phase::Proposed | Phase::Challenged | Phase::Reproposed => {
                Some("managed_proposal_expiration")
            }
        },
        market_type: v2.then_some("BINARY"),
        payouts: market.payouts.filter(|_| resolved),
        resolution_source: resolved.then_some("reported"),
        reporter: (resolved && v2).then_some("CHAINLINK"),
        was_arbitrated: resolved.then_some(false),
        resolved_block: resolved.then(|| final_at.secs().unsigned_abs() / 2),
        resolved_at: resolved.then(|| rfc3339(final_at)),
        simulated: true,
    }
}

/// `/v2/tokens`.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Token {
    pub token_id: String,
    pub condition_id: String,
    pub structural_condition_id: Option<String>,
    pub module: &'static str,
    pub outcome_index: usize,
    pub clob_index: Option<usize>,
    pub outcome: &'static str,
    pub opposite_token_id: String,
    pub resolved: bool,
    pub final_price: Option<f64>,
    pub title: String,
    pub market_slug: String,
    pub closed: bool,
    pub neg_risk: bool,
    pub neg_risk_market_id: Option<String>,
    pub question_index: usize,
    pub event_id: u64,
    pub event_slug: String,
    pub simulated: bool,
}

/// What a token is and whether it has paid.
pub(in crate::sandbox) fn token(
    world: &World,
    market: &SimMarket,
    event: &SimEvent,
    side: OutcomeSide,
) -> Token {
    let resolved = market.phase(world.now) == Phase::Resolved;
    let prices = world.prices(market);
    Token {
        token_id: side.of(&market.tokens).clone(),
        condition_id: market.condition_id.clone(),
        structural_condition_id: None,
        module: match event.version {
            Version::V1 => "v1_ctf",
            Version::V2 if event.neg_risk => "neg_risk",
            Version::V2 => "binary",
        },
        outcome_index: side.index(),
        clob_index: Some(side.index()),
        outcome: market.outcome(side),
        opposite_token_id: side.other().of(&market.tokens).clone(),
        resolved,
        final_price: resolved.then_some(*side.of(&prices)),
        title: market.question.clone(),
        market_slug: market.slug.clone(),
        closed: !market.is_open(world.now),
        neg_risk: event.neg_risk,
        neg_risk_market_id: event.neg_risk.then(|| event.question_base.clone()),
        question_index: market.member,
        event_id: event.id,
        event_slug: event.slug.clone(),
        simulated: true,
    }
}

/// `/v2/positions`.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Position {
    pub proxy_wallet: String,
    pub token_id: String,
    pub condition_id: String,
    pub current_size: f64,
    pub avg_price: f64,
    pub entry_cost_usdc: f64,
    pub entry_fees_usdc: f64,
    pub total_cost_usdc: f64,
    pub current_price: f64,
    pub current_value: f64,
    pub total_size: f64,
    pub realized_pnl: f64,
    pub unrealized_pnl: f64,
    pub total_pnl: f64,
    pub percent_pnl: f64,
    pub percent_realized_pnl: f64,
    pub status: &'static str,
    pub redeemable: bool,
    pub mergeable: bool,
    pub negative_risk: bool,
    pub archived: bool,
    pub title: String,
    pub slug: String,
    pub icon: &'static str,
    pub event_id: String,
    pub event_slug: String,
    pub outcome: &'static str,
    pub outcome_index: usize,
    pub opposite_outcome: &'static str,
    pub opposite_token_id: String,
    pub end_date: String,
    pub last_event_at: i64,
    pub first_entry_at: i64,
    pub name: String,
    pub profile_image: &'static str,
    pub verified: bool,
    pub simulated: bool,
}

/// A holding at today's price.
pub(in crate::sandbox) fn position(
    world: &World,
    wallet: &Wallet,
    holding: &Holding,
) -> Option<Position> {
    let market = world.markets.get(holding.market)?;
    let event = world.event_of(market)?;
    let side = holding.side;
    let price = *side.of(&world.prices(market));
    let cost = round6(holding.size * holding.price);
    let fees = round6(holding.size * market.fee.schedule.per_share(holding.price));
    let value = round6(holding.size * price);
    let profit = round4(value - cost);
    let percent = if cost > 0.0 {
        round4(profit / cost * 100.0)
    } else {
        0.0
    };
    let resolved = market.phase(world.now) == Phase::Resolved;
    Some(Position {
        proxy_wallet: wallet.address.clone(),
        token_id: side.of(&market.tokens).clone(),
        condition_id: market.condition_id.clone(),
        current_size: holding.size,
        avg_price: holding.price,
        entry_cost_usdc: cost,
        entry_fees_usdc: fees,
        total_cost_usdc: round6(cost + fees),
        current_price: price,
        current_value: value,
        total_size: holding.size,
        realized_pnl: 0.0,
        unrealized_pnl: profit,
        total_pnl: profit,
        percent_pnl: percent,
        percent_realized_pnl: percent,
        status: match (resolved, price > 0.0) {
            (false, _) => "OPEN",
            (true, true) => "REDEEMABLE",
            (true, false) => "REDEEMABLE_LOST",
        },
        redeemable: resolved,
        mergeable: false,
        negative_risk: event.neg_risk,
        archived: false,
        title: market.question.clone(),
        slug: market.slug.clone(),
        icon: "",
        event_id: event.id.to_string(),
        event_slug: event.slug.clone(),
        outcome: market.outcome(side),
        outcome_index: side.index(),
        opposite_outcome: market.outcome(side.other()),
        opposite_token_id: side.other().of(&market.tokens).clone(),
        end_date: date(market.schedule.end),
        last_event_at: holding.bought.secs(),
        first_entry_at: holding.bought.secs(),
        name: wallet.name.clone(),
        profile_image: "",
        verified: false,
        simulated: true,
    })
}

/// `/v2/trades`.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Trade {
    pub proxy_wallet: String,
    pub side: &'static str,
    pub token_id: String,
    pub condition_id: String,
    pub size: f64,
    pub price: f64,
    pub timestamp: i64,
    pub title: String,
    pub slug: String,
    pub icon: &'static str,
    pub event_slug: String,
    pub outcome: &'static str,
    pub outcome_index: usize,
    pub name: String,
    pub pseudonym: String,
    pub bio: &'static str,
    pub profile_image: &'static str,
    pub profile_image_optimized: &'static str,
    pub transaction_hash: String,
    pub simulated: bool,
}

/// The purchase that made a holding.
pub(in crate::sandbox) fn trade(
    world: &World,
    wallet: &Wallet,
    holding: &Holding,
) -> Option<Trade> {
    let market = world.markets.get(holding.market)?;
    let event = world.event_of(market)?;
    let side = holding.side;
    Some(Trade {
        proxy_wallet: wallet.address.clone(),
        side: "BUY",
        token_id: side.of(&market.tokens).clone(),
        condition_id: market.condition_id.clone(),
        size: holding.size,
        price: holding.price,
        timestamp: holding.bought.secs(),
        title: market.question.clone(),
        slug: market.slug.clone(),
        icon: "",
        event_slug: event.slug.clone(),
        outcome: market.outcome(side),
        outcome_index: side.index(),
        name: wallet.name.clone(),
        pseudonym: wallet.name.clone(),
        bio: "",
        profile_image: "",
        profile_image_optimized: "",
        transaction_hash: format!(
            "0x{}{:024x}",
            wallet.address.trim_start_matches("0x"),
            market.id
        ),
        simulated: true,
    })
}

/// A print of the market's own flow, under a fictional name.
pub(in crate::sandbox) fn print(
    world: &World,
    market: &SimMarket,
    event: &SimEvent,
    print: &Print,
) -> Trade {
    let key = mix(&[market.id, print.number]);
    let person = key % 5_000;
    let name = format!("sim-crowd-{person}");
    let wallet = wallet_address(world.seed, 1_000 + person);
    Trade {
        side: match print.side {
            Side::Buy => "BUY",
            Side::Sell => "SELL",
        },
        token_id: print.outcome.of(&market.tokens).clone(),
        condition_id: market.condition_id.clone(),
        size: print.size.to_f64(),
        price: print.price.to_f64(),
        timestamp: print.at.secs(),
        title: market.question.clone(),
        slug: market.slug.clone(),
        icon: "",
        event_slug: event.slug.clone(),
        outcome: market.outcome(print.outcome),
        outcome_index: print.outcome.index(),
        pseudonym: name.clone(),
        name,
        bio: "",
        profile_image: "",
        profile_image_optimized: "",
        transaction_hash: format!(
            "0x{}{key:016x}{:08x}",
            wallet.trim_start_matches("0x"),
            print.number
        ),
        proxy_wallet: wallet,
        simulated: true,
    }
}

/// `/v2/holders`: those who hold one token.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct TokenHolders {
    pub token_id: String,
    pub holders: Vec<Holder>,
    pub simulated: bool,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Holder {
    pub proxy_wallet: String,
    pub bio: &'static str,
    pub token_id: String,
    pub pseudonym: String,
    pub amount: f64,
    pub display_username_public: bool,
    pub outcome_index: usize,
    pub name: String,
    pub profile_image: &'static str,
    pub profile_image_optimized: &'static str,
    pub verified: bool,
    pub simulated: bool,
}

/// Who of `wallets` holds a token, most shares first.
pub(in crate::sandbox) fn holders<'a>(
    market: &SimMarket,
    side: OutcomeSide,
    wallets: impl IntoIterator<Item = &'a Wallet>,
) -> TokenHolders {
    let token_id = side.of(&market.tokens);
    let row = |(wallet, amount): (&Wallet, f64)| Holder {
        proxy_wallet: wallet.address.clone(),
        bio: "",
        token_id: token_id.clone(),
        pseudonym: wallet.name.clone(),
        amount,
        // Agents have no profile.
        display_username_public: !wallet.name.is_empty(),
        outcome_index: side.index(),
        name: wallet.name.clone(),
        profile_image: "",
        profile_image_optimized: "",
        verified: false,
        simulated: true,
    };
    let mut holders: Vec<Holder> = wallets
        .into_iter()
        .map(|wallet| {
            let held = wallet.holdings.iter();
            let here = held.filter(|held| held.market == market.index && held.side == side);
            (wallet, round6(here.map(|held| held.size).sum()))
        })
        .filter(|(_, amount)| *amount > 0.0)
        .map(row)
        .collect();
    holders.sort_by(|a, b| {
        let by_amount = b.amount.total_cmp(&a.amount);
        by_amount.then_with(|| a.proxy_wallet.cmp(&b.proxy_wallet))
    });
    TokenHolders {
        token_id: token_id.clone(),
        holders,
        simulated: true,
    }
}

/// `/v2/prices-history`.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct PricePoint {
    pub timestamp: i64,
    pub price: f64,
    pub resolution_seconds: i64,
}

/// `/v2/leaderboard`.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Standing {
    pub rank: usize,
    pub user_id: String,
    pub pnl: f64,
    pub volume: f64,
    pub user_name: String,
    pub profile_image: &'static str,
    pub x_username: &'static str,
    pub verified: bool,
    pub simulated: bool,
}

/// `/v2/live-volume`.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct LiveVolume {
    pub taker_volume_total: f64,
    pub conditions: Vec<ConditionVolume>,
}

/// One market's part of it.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct ConditionVolume {
    pub condition_id: String,
    pub taker_volume: f64,
}

/// Volume of an event by market, largest first.
pub(in crate::sandbox) fn live_volume(world: &World, event: &SimEvent) -> LiveVolume {
    let mut conditions: Vec<ConditionVolume> = world
        .markets_of(event)
        .iter()
        .map(|market| ConditionVolume {
            condition_id: market.condition_id.clone(),
            taker_volume: round6(world.volume(market)),
        })
        .collect();
    conditions.sort_by(|a, b| b.taker_volume.total_cmp(&a.taker_volume));
    LiveVolume {
        taker_volume_total: round6(conditions.iter().map(|c| c.taker_volume).sum()),
        conditions,
    }
}
