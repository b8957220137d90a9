//! Gamma's market and event rows, turned into the domain's.
//!
//! A row whose meaning is in doubt (unknown version, odd fee terms, ids that do not fit the
//! outcomes, an impossible price) is skipped with its cause. A statistic that makes no sense
//! (a negative volume, an unreadable date) is left out and counted, and the row is kept.

use serde_json::Value;

use super::row::{Oddities, Problem, Row, RowFault, required};
use super::terms_rows::{fee_schedule, is_step, version};
use crate::domain::text::{MAX_DESCRIPTION, MAX_NAME, MAX_QUESTION, clean};
use crate::domain::{
    Event, EventId, FeeSchedule, Market, MarketId, MarketStatus, Outcome, Price, ProtocolVersion,
    Shares, TokenId,
};

/// Kind of row in the counters.
pub const MARKET_ROW: &str = "gamma market";
/// Kind of row in the counters.
pub const EVENT_ROW: &str = "gamma event";

/// What a market row inherits from the event it is served in.
#[derive(Debug, Clone, Default)]
struct Parent {
    event_id: Option<EventId>,
    category: Option<String>,
    neg_risk: bool,
}

/// One market row. Oddities of single statistics go to `oddities`.
/// Errors: [`RowFault`] when the row cannot be used.
pub fn market(value: &Value, oddities: &mut Oddities) -> Result<Market, RowFault> {
    let row = Row::new("market", value)?;
    let parent = match row.list("events") {
        Ok(Some(events)) => events
            .first()
            .and_then(|event| Row::new("event", event).ok())
            .map(|event| parent_of(&event))
            .unwrap_or_default(),
        _ => Parent::default(),
    };
    market_in(&row, &parent, oddities)
}

/// All rows of a list; odd ones are skipped and counted.
pub fn markets(values: &[Value], oddities: &mut Oddities) -> Vec<Market> {
    let mut out = Vec::with_capacity(values.len());
    for value in values {
        match market(value, oddities) {
            Ok(market) => out.push(market),
            Err(fault) => oddities.skipped(MARKET_ROW, fault),
        }
    }
    out
}

/// One event with its markets, closed and placeholder ones included; odd markets are skipped and
/// counted. Errors: [`RowFault`] when the event itself cannot be used.
pub fn event(value: &Value, oddities: &mut Oddities) -> Result<Event, RowFault> {
    let row = Row::new("event", value)?;
    let id = EventId::new(required("id", row.id("id")?)?);
    let parent = parent_of(&row);
    let mut markets = Vec::new();
    for market in row.list("markets")?.unwrap_or_default().iter() {
        let parsed =
            Row::new("market", market).and_then(|market| market_in(&market, &parent, oddities));
        match parsed {
            Ok(market) => markets.push(market),
            Err(fault) => oddities.skipped(MARKET_ROW, fault),
        }
    }
    let title = clean(required("title", row.text("title")?)?, MAX_QUESTION);
    let mut keep = Keep {
        kind: EVENT_ROW,
        oddities,
    };
    Ok(Event {
        id,
        slug: slug(&row, &mut keep),
        title,
        description: description(&row, &mut keep),
        closed: row.flag("closed")?.unwrap_or(false),
        neg_risk: parent.neg_risk,
        augmented: row.flag("negRiskAugmented")?.unwrap_or(false),
        volume: keep.value(row.usdc_rounded("volume")),
        volume_24h: keep.value(row.usdc_rounded("volume24hr")),
        liquidity: keep.value(row.usdc_rounded("liquidity")),
        start: keep.value(row.moment("startDate")),
        end: keep.value(row.moment("endDate")),
        markets,
    })
}

/// Leaves out a value that makes no sense, and counts it.
struct Keep<'a> {
    kind: &'static str,
    oddities: &'a mut Oddities,
}

impl Keep<'_> {
    fn value<T>(&mut self, read: Result<Option<T>, RowFault>) -> Option<T> {
        read.unwrap_or_else(|fault| {
            self.oddities.dropped(self.kind, fault);
            None
        })
    }
}

fn parent_of(row: &Row<'_>) -> Parent {
    let flag = |field| row.flag(field).ok().flatten().unwrap_or(false);
    Parent {
        event_id: row.id("id").ok().flatten().map(EventId::new),
        category: category(row),
        // `enableNegRisk` is the legacy synonym.
        neg_risk: flag("negRisk") || flag("enableNegRisk"),
    }
}

/// The category, else the first tag's label.
fn category(row: &Row<'_>) -> Option<String> {
    let named = row.text("category").ok().flatten().map(str::to_owned);
    named
        .or_else(|| {
            let tags = row.list("tags").ok().flatten()?;
            let label = tags.first()?.get("label")?.as_str()?;
            Some(label.to_owned())
        })
        .map(|name| clean(&name, MAX_NAME))
        .filter(|name| !name.is_empty())
}

fn market_in(row: &Row<'_>, parent: &Parent, oddities: &mut Oddities) -> Result<Market, RowFault> {
    let id = MarketId::new(required("id", row.id("id")?)?);
    let version = version(row, "version")?;
    let outcomes = outcomes(row, &id, version)?;
    let fee = fee(row)?;
    let status = status(row, outcomes.len())?;
    let (tick, min_size) = steps(row, status)?;
    let question = clean(required("question", row.text("question")?)?, MAX_QUESTION);
    let condition_id = row.condition_id("conditionId")?;
    let neg_risk = row.flag("negRisk")?.unwrap_or(parent.neg_risk);
    let active = row.flag("active")?.unwrap_or(false);
    let placeholder = row.flag("negRiskOther")?.unwrap_or(false) || (neg_risk && !active);
    let mut keep = Keep {
        kind: MARKET_ROW,
        oddities,
    };
    Ok(Market {
        id,
        condition_id,
        slug: slug(row, &mut keep),
        question,
        description: description(row, &mut keep),
        event_id: parent.event_id.clone(),
        category: category(row).or_else(|| parent.category.clone()),
        outcomes,
        tick,
        min_size,
        fee,
        neg_risk,
        placeholder,
        // `volume` and `liquidity` are text on markets; the Num fields are the same as numbers.
        volume: keep
            .value(row.usdc_rounded("volumeNum"))
            .or_else(|| keep.value(row.usdc_rounded("volume"))),
        volume_24h: keep.value(row.usdc_rounded("volume24hr")),
        liquidity: keep
            .value(row.usdc_rounded("liquidityNum"))
            .or_else(|| keep.value(row.usdc_rounded("liquidity"))),
        start: keep.value(row.moment("startDate")),
        end: keep.value(row.moment("endDate")),
        status,
        version,
        label: label(row)?,
    })
}

/// Outcomes with their tokens by position. A V1 row may carry other numbers in `positionIds`, and a
/// V2 row may carry anything in `clobTokenIds`: only the field of the row's version counts.
///
/// Closed markets from before the order book and inactive placeholders have no tokens. They stay
/// readable, with tokens that are marked as made up; any other market is of no use without.
fn outcomes(
    row: &Row<'_>,
    id: &MarketId,
    version: ProtocolVersion,
) -> Result<Vec<Outcome>, RowFault> {
    let field = match version {
        ProtocolVersion::V1 => "clobTokenIds",
        ProtocolVersion::V2 => "positionIds",
    };
    let names = required("outcomes", row.list("outcomes")?)?;
    let served = row.asset_ids(field)?.filter(|tokens| !tokens.is_empty());
    let idle = row.flag("closed")? == Some(true) || row.flag("active")? == Some(false);
    let synthetic = served.is_none() && idle;
    let tokens = if synthetic {
        (0..names.len())
            .map(|index| format!("synthetic:{id}:{index}"))
            .collect()
    } else {
        required(field, served)?
    };
    if tokens.is_empty() || tokens.len() != names.len() {
        return Err(RowFault::new(field, Problem::Inconsistent));
    }
    let distinct: std::collections::HashSet<&String> = tokens.iter().collect();
    if distinct.len() != tokens.len() {
        return Err(RowFault::new(field, Problem::Inconsistent));
    }
    let prices = row.list("outcomePrices")?.unwrap_or_default();
    if !prices.is_empty() && prices.len() != tokens.len() {
        return Err(RowFault::new("outcomePrices", Problem::Inconsistent));
    }
    tokens
        .iter()
        .zip(names.iter())
        .enumerate()
        .map(|(index, (token, name))| {
            let name = name
                .as_str()
                .map(|name| clean(name, MAX_NAME))
                .filter(|name| !name.is_empty())
                .ok_or(RowFault::new("outcomes", Problem::WrongType))?;
            let indicative_price = match prices.get(index) {
                None => None,
                Some(price) => super::number::parse(price, Price::parse_rounded)
                    .map_err(|problem| RowFault::new("outcomePrices", problem))?,
            };
            Ok(Outcome {
                name: name.into(),
                token: TokenId::new(token),
                synthetic,
                indicative_price,
            })
        })
        .collect()
}

/// The taker fee. `makerBaseFee` and `takerBaseFee` are legacy flags and never looked at.
///
/// No schedule, or `feesEnabled: false`: no fee. A schedule beside an absent `feesEnabled` is
/// charged: taking it for free would flatter every trade. Terms that the fee formula does not know
/// make the row unusable; nothing is guessed.
fn fee(row: &Row<'_>) -> Result<FeeSchedule, RowFault> {
    if row.flag("feesEnabled")? == Some(false) {
        return Ok(FeeSchedule::FREE);
    }
    let Some(schedule) = row.get("feeSchedule") else {
        return Ok(FeeSchedule::FREE);
    };
    fee_schedule(
        schedule,
        [
            "feeSchedule.rate",
            "feeSchedule.exponent",
            "feeSchedule.takerOnly",
        ],
        ["rate", "exponent", "takerOnly"],
    )
}

/// Open when every condition of trading holds. `acceptingOrders` alone may be true on closed and
/// placeholder rows.
fn status(row: &Row<'_>, outcomes: usize) -> Result<MarketStatus, RowFault> {
    let is = |field| Ok::<bool, RowFault>(row.flag(field)?.unwrap_or(false));
    if is("closed")? {
        return Ok(MarketStatus::Closed);
    }
    let open = is("active")?
        && is("enableOrderBook")?
        && is("acceptingOrders")?
        && !is("archived")?
        && row.text("umaResolutionStatus")?.is_none()
        && row
            .text("resolutionStatus")?
            .is_none_or(|status| status == "active")
        && outcomes == 2;
    Ok(if open {
        MarketStatus::Open
    } else {
        MarketStatus::Paused
    })
}

/// Price step and smallest order. A market that trades must state both; one that does not may
/// leave them out (old rows do) and gets the venue's usual 0.01 and 5, which nothing will use.
fn steps(row: &Row<'_>, status: MarketStatus) -> Result<(Price, Shares), RowFault> {
    let must = status == MarketStatus::Open;
    let tick = row.price("orderPriceMinTickSize")?;
    if tick.is_some_and(|tick| !is_step(tick)) {
        return Err(RowFault::new("orderPriceMinTickSize", Problem::OutOfRange));
    }
    let min_size = row.shares("orderMinSize")?;
    let tick = match tick {
        None if must => Err(RowFault::new("orderPriceMinTickSize", Problem::Missing)),
        None => Price::from_micros(10_000)
            .map_err(|_| RowFault::new("orderPriceMinTickSize", Problem::OutOfRange)),
        Some(tick) => Ok(tick),
    }?;
    let min_size = match min_size {
        None if must => Err(RowFault::new("orderMinSize", Problem::Missing)),
        None => Ok(Shares::whole(5)),
        Some(size) => Ok(size),
    }?;
    Ok((tick, min_size))
}

/// `simulated: true` marks what a sandbox made; a `label` beside it says more.
fn label(row: &Row<'_>) -> Result<Option<String>, RowFault> {
    if row.flag("simulated")? != Some(true) {
        return Ok(None);
    }
    let more = row.text("label")?.map(|label| clean(label, MAX_NAME));
    Ok(Some(match more {
        None => "simulated".to_owned(),
        Some(label) if label.starts_with("simulated") => label,
        Some(label) => format!("simulated; {label}"),
    }))
}

fn slug(row: &Row<'_>, keep: &mut Keep<'_>) -> Option<String> {
    let slug = keep.value(row.text("slug"))?;
    if is_slug(slug) {
        return Some(slug.to_owned());
    }
    keep.value::<()>(Err(RowFault::new("slug", Problem::OutOfRange)));
    None
}

fn description(row: &Row<'_>, keep: &mut Keep<'_>) -> Option<String> {
    keep.value(row.text("description"))
        .map(|text| clean(text, MAX_DESCRIPTION))
        .filter(|text| !text.is_empty())
}

/// True for text that can stand in a URL path as it is.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    (1..=300).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && text.bytes().any(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An open market as the venue serves it, with made-up values.
    fn open() -> Value {
        json!({
            "id": "101", "question": "Will it\u{202e} rain?", "slug": "will-it-rain",
            "conditionId": format!("0x{}", "AB".repeat(32)), "version": "v1",
            "outcomes": "[\"Yes\", \"No\"]", "outcomePrices": "[\"0.1545\", \"0.8455\"]",
            "clobTokenIds": "[\"11\", \"12\"]", "positionIds": ["91", "92"],
            "active": true, "closed": false, "enableOrderBook": true, "acceptingOrders": true,
            "orderPriceMinTickSize": 0.001, "orderMinSize": 5, "volumeNum": 27987344.821054976,
            "volume24hr": "2489.207123999999", "liquidity": "234338.14646",
            "endDate": "2028-11-08T04:59:00Z", "negRisk": false,
            "makerBaseFee": 1000, "takerBaseFee": 1000, "feesEnabled": true,
            "feeSchedule": {"exponent": 1, "rate": 0.04, "takerOnly": true, "rebateRate": 0.25},
            "events": [{"id": "30829", "tags": [{"label": "Weather"}]}]
        })
    }

    fn with(changes: Value) -> Value {
        let mut row = open();
        for (field, value) in changes.as_object().unwrap() {
            row[field] = value.clone();
        }
        row
    }

    fn read(changes: Value) -> Result<Market, RowFault> {
        let mut oddities = Oddities::default();
        let market = market(&with(changes), &mut oddities);
        assert_eq!(oddities, Oddities::default());
        market
    }

    fn cause(changes: Value) -> String {
        read(changes).unwrap_err().to_string()
    }

    fn tokens(market: &Market) -> Vec<&str> {
        market.outcomes.iter().map(|o| o.token.as_str()).collect()
    }

    #[test]
    fn every_field_of_an_open_market_is_read() {
        let market = read(json!({})).unwrap();
        assert_eq!(market.question, "Will it rain?");
        assert_eq!(tokens(&market), ["11", "12"]);
        let price = |index: usize| market.outcomes[index].indicative_price.unwrap().to_string();
        assert_eq!((price(0), price(1)), ("0.1545".into(), "0.8455".into()));
        assert_eq!(market.status, MarketStatus::Open);
        assert_eq!(market.tick.to_string(), "0.001");
        assert_eq!(market.min_size, Shares::whole(5));
        assert_eq!(market.fee, FeeSchedule::new("0.04", 1).unwrap());
        // 27987344.821054976 to the nearest millionth.
        assert_eq!(market.volume.unwrap().to_string(), "27987344.821055");
        assert_eq!(market.volume_24h.unwrap().to_string(), "2489.207124");
        assert_eq!(market.liquidity.unwrap().to_string(), "234338.14646");
        assert_eq!(market.event_id, Some(EventId::new("30829")));
        assert_eq!(market.category.as_deref(), Some("Weather"));
        assert_eq!(
            market.condition_id.unwrap().as_str(),
            format!("0x{}", "ab".repeat(32))
        );
        assert_eq!(market.label, None);
        assert!(!market.placeholder);
    }

    #[test]
    fn the_version_decides_which_ids_count() {
        assert_eq!(
            tokens(&read(json!({"version": null})).unwrap()),
            ["11", "12"]
        );
        let second = read(json!({"version": "v2", "clobTokenIds": null})).unwrap();
        assert_eq!(tokens(&second), ["91", "92"]);
        assert_eq!(second.version, ProtocolVersion::V2);
        assert_eq!(
            cause(json!({"version": "v3"})),
            "version is unknown to this version, so the row is not tradable"
        );
        assert_eq!(
            cause(json!({"version": "v2", "positionIds": null})),
            "positionIds is missing"
        );
    }

    #[test]
    fn every_condition_of_trading_is_needed() {
        for changes in [
            json!({"active": false}),
            json!({"enableOrderBook": false}),
            json!({"enableOrderBook": null}),
            json!({"acceptingOrders": false}),
            json!({"umaResolutionStatus": "proposed"}),
            json!({"version": "v2", "resolutionStatus": "resolved"}),
        ] {
            let market = read(changes.clone()).unwrap();
            assert_eq!(market.status, MarketStatus::Paused, "{changes}");
        }
        let closed = read(json!({"closed": true})).unwrap();
        assert_eq!(closed.status, MarketStatus::Closed);
        assert!(
            read(json!({"umaResolutionStatus": ""}))
                .unwrap()
                .is_tradable()
        );
        let three = read(json!({
            "outcomes": ["a", "b", "c"], "clobTokenIds": ["1", "2", "3"],
            "outcomePrices": ["0.2", "0.3", "0.5"],
        }))
        .unwrap();
        assert_eq!(three.status, MarketStatus::Paused);
    }

    #[test]
    fn fees_are_read_or_the_row_is_skipped() {
        let fee = |changes| read(changes).unwrap().fee;
        assert_eq!(fee(json!({"feesEnabled": false})), FeeSchedule::FREE);
        assert_eq!(fee(json!({"feeSchedule": null})), FeeSchedule::FREE);
        let dear = json!({"feeSchedule": {"rate": "0.25", "exponent": 2.0}});
        assert_eq!(fee(dear), FeeSchedule::new("0.25", 2).unwrap());
        let unknown = "is unknown to this version, so the row is not tradable";
        assert_eq!(
            cause(json!({"feeSchedule": {"rate": 0.05, "exponent": 1.5}})),
            format!("feeSchedule.exponent {unknown}")
        );
        assert_eq!(
            cause(json!({"feeSchedule": {"rate": 0.05, "exponent": 1, "takerOnly": false}})),
            format!("feeSchedule.takerOnly {unknown}")
        );
        assert_eq!(
            cause(json!({"feeSchedule": {"rate": 1.2, "exponent": 1}})),
            "rate is out of range"
        );
    }

    #[test]
    fn steps_are_needed_to_trade_only() {
        assert_eq!(
            cause(json!({"orderPriceMinTickSize": null})),
            "orderPriceMinTickSize is missing"
        );
        assert_eq!(
            cause(json!({"orderMinSize": null})),
            "orderMinSize is missing"
        );
        assert_eq!(
            cause(json!({"orderPriceMinTickSize": 0.03})),
            "orderPriceMinTickSize is out of range"
        );
        assert_eq!(
            cause(json!({"orderPriceMinTickSize": 0})),
            "orderPriceMinTickSize is out of range"
        );
        let old = json!({"closed": true, "orderPriceMinTickSize": null, "orderMinSize": null});
        assert!(read(old).is_ok());
        for tick in ["0.1", "0.01", "0.005", "0.0025", "0.001", "0.0001"] {
            let market = read(json!({"orderPriceMinTickSize": tick})).unwrap();
            assert_eq!(market.tick.to_string(), tick);
        }
    }

    #[test]
    fn what_does_not_fit_together_is_skipped() {
        assert_eq!(
            cause(json!({"clobTokenIds": "[\"11\"]"})),
            "clobTokenIds is at odds with the other fields"
        );
        assert_eq!(
            cause(json!({"clobTokenIds": ["11", "11"]})),
            "clobTokenIds is at odds with the other fields"
        );
        assert_eq!(
            cause(json!({"outcomePrices": ["1.5", "-0.5"]})),
            "outcomePrices is out of range"
        );
        assert_eq!(
            cause(json!({"outcomePrices": ["NaN", "0.5"]})),
            "outcomePrices is not a number"
        );
        assert_eq!(
            cause(json!({"clobTokenIds": null})),
            "clobTokenIds is missing"
        );
        let old = read(json!({"clobTokenIds": null, "closed": true})).unwrap();
        assert!(old.outcomes.iter().all(|outcome| outcome.synthetic));
        let named_later = read(json!({"clobTokenIds": null, "active": false})).unwrap();
        assert_eq!(named_later.status, MarketStatus::Paused);
        assert!(named_later.outcomes.iter().all(|outcome| outcome.synthetic));
    }

    #[test]
    fn prices_of_the_pool_era_have_many_digits() {
        let long = "0.0000000457123456789012345678901234567890123";
        let row = read(json!({"outcomePrices": [long, "0.99999995"], "closed": true})).unwrap();
        assert_eq!(row.outcomes[0].indicative_price, Some(Price::ZERO));
        assert_eq!(row.outcomes[1].indicative_price, Some(Price::ONE));
    }

    #[test]
    fn a_statistic_without_sense_is_left_out_and_counted() {
        let mut oddities = Oddities::default();
        let row = with(json!({"volume24hr": -1, "endDate": "someday"}));
        let market = market(&row, &mut oddities).unwrap();
        assert_eq!((market.volume_24h, market.end), (None, None));
        assert_eq!(
            oddities.causes(),
            [
                "gamma market (value left out): volume24hr is out of range",
                "gamma market (value left out): endDate is out of range",
            ]
        );
    }

    #[test]
    fn placeholders_and_simulations_say_so() {
        assert!(
            read(json!({"negRisk": true, "negRiskOther": true}))
                .unwrap()
                .placeholder
        );
        assert!(
            read(json!({"negRisk": true, "active": false}))
                .unwrap()
                .placeholder
        );
        let label = |changes| read(changes).unwrap().label;
        assert_eq!(
            label(json!({"simulated": true})).as_deref(),
            Some("simulated")
        );
        assert_eq!(
            label(json!({"simulated": true, "label": "planted: lagging"})).as_deref(),
            Some("simulated; planted: lagging")
        );
        assert_eq!(label(json!({"label": "planted"})), None);
    }

    #[test]
    fn an_event_keeps_its_good_markets() {
        let value = json!({"id": 30829, "title": "Rain", "slug": "rain", "enableNegRisk": true,
            "negRiskAugmented": true, "volume": 12.5,
            "markets": [open(), with(json!({"version": "v7"})), 3]});
        let mut oddities = Oddities::default();
        let event = event(&value, &mut oddities).unwrap();
        assert_eq!(event.id, EventId::new("30829"));
        assert!(event.neg_risk && event.augmented && !event.closed);
        assert_eq!(event.volume.unwrap().to_string(), "12.5");
        assert_eq!(event.markets.len(), 1);
        assert_eq!(event.markets[0].event_id, Some(event.id.clone()));
        assert_eq!(oddities.causes().len(), 2);
    }

    #[test]
    fn slugs_cannot_leave_their_folder() {
        assert!(is_slug("will-it-rain-2.5"));
        for bad in ["", "..", "../markets", "a/b", "a?b", "a b", "ä", "%2e"] {
            assert!(!is_slug(bad), "{bad}");
        }
    }
}
