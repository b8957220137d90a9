//! The Data API: wallets, the leaderboard, traded volume.

use serde_json::Value;

use super::activity_rows::wallet_address;
use super::data_rows::{self, POSITION_ROW, TRADER_ROW, TakerVolume};
use super::row::{Oddities, RowFault, is_asset_id};
use super::transport::{Request, Scope};
use super::{Polymarket, row};
use crate::domain::EventId;
use crate::domain::text::clean;
use crate::market_data::{DataError, EventVolume, Period, Trader, WalletPosition};

/// Largest page.
const PAGE: usize = 1_000;
/// Pages that are read for one answer.
const MAX_PAGES: usize = 20;

impl Polymarket {
    /// Holdings of a wallet, most valuable first.
    pub(super) async fn positions_of(
        &self,
        address: &str,
        limit: usize,
    ) -> Result<Vec<WalletPosition>, DataError> {
        let address = wallet(address)?;
        let request = Request::get(Scope::DataPositions, "/v2/positions")
            .with("user", address)
            .with("sort_by", "CURRENT_VALUE")
            .with("sort_direction", "DESC");
        self.pages(request, limit, POSITION_ROW, data_rows::position)
            .await
    }

    /// The leaderboard by profit.
    pub(super) async fn top_traders(
        &self,
        period: Period,
        limit: usize,
    ) -> Result<Vec<Trader>, DataError> {
        let period = match period {
            Period::Day => "day",
            Period::Week => "week",
            Period::Month => "month",
            Period::All => "all",
        };
        let request = Request::get(Scope::Data, "/v2/leaderboard")
            .with("time_period", period)
            .with("sort_by", "PNL");
        self.pages(request, limit, TRADER_ROW, data_rows::trader)
            .await
    }

    /// Traded volume of an event in pUSD, from its Gamma row.
    ///
    /// Not from `/v2/live-volume`, whose numbers are shares ([`Polymarket::taker_volume`]).
    pub(super) async fn volume_of_event(
        &self,
        id_or_slug: &str,
    ) -> Result<Option<EventVolume>, DataError> {
        let Some(event) = self.find_event(id_or_slug).await? else {
            return Ok(None);
        };
        let by_market = event
            .markets
            .iter()
            .filter_map(|market| {
                let id = match &market.condition_id {
                    Some(condition) => row::padded(condition),
                    None => market.id.to_string(),
                };
                Some((id, market.volume?))
            })
            .collect();
        Ok(Some(EventVolume {
            event_id: event.id.clone(),
            total: event.volume,
            by_market,
        }))
    }

    /// What takers traded in an event since it began, in shares (`/v2/live-volume`); `None` when
    /// the venue has nothing on it. Takes Gamma's numeric event id only, as the route does.
    /// Errors: [`DataError`]; `BadRequest` for another id.
    pub async fn taker_volume(&self, event: &EventId) -> Result<Option<TakerVolume>, DataError> {
        if !is_asset_id(event.as_str()) {
            return Err(DataError::BadRequest(format!(
                "`{}` is no numeric event id",
                clean(event.as_str(), 40)
            )));
        }
        let request = Request::get(Scope::Data, "/v2/live-volume").with("event_id", event.as_str());
        let Some(answer) = self.transport.json(&request).await? else {
            return Ok(None);
        };
        let mut oddities = Oddities::default();
        let volume = data_rows::taker_volume(&answer, &mut oddities)
            .map_err(|fault| self.transport.malformed(&request, &fault.to_string()))?;
        self.transport.count(&oddities);
        Ok(volume)
    }

    /// The first `limit` rows of a list, at most 20 pages of it.
    pub(super) async fn pages<T>(
        &self,
        request: Request,
        limit: usize,
        kind: &'static str,
        parse: fn(&Value) -> Result<T, RowFault>,
    ) -> Result<Vec<T>, DataError> {
        self.pages_of(request, limit, PAGE, kind, parse).await
    }

    /// The same with another largest page.
    pub(super) async fn pages_of<T>(
        &self,
        request: Request,
        limit: usize,
        page_size: usize,
        kind: &'static str,
        parse: fn(&Value) -> Result<T, RowFault>,
    ) -> Result<Vec<T>, DataError> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        // The size of a page counts on the first one only; the cursor carries it on.
        let request = request.with("limit", limit.min(page_size).to_string());
        let mut page = request.clone();
        for _ in 0..MAX_PAGES {
            let answer = self.transport.json_expected(&page).await?;
            let mut oddities = Oddities::default();
            let rows = data_rows::rows(&answer, kind, parse, &mut oddities)
                .map_err(|fault| self.transport.malformed(&page, &fault.to_string()))?;
            self.transport.count(&oddities);
            found.extend(rows);
            match data_rows::next_cursor(&answer) {
                Some(cursor) if found.len() < limit => {
                    page = request.clone().with("cursor", cursor);
                }
                _ => break,
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}

/// A wallet address, lower case. Errors: [`DataError::BadRequest`].
pub(super) fn wallet(text: &str) -> Result<String, DataError> {
    if let Some(address) = wallet_address(text) {
        return Ok(address);
    }
    Err(DataError::BadRequest(format!(
        "`{}` is no wallet address: 0x and 40 hex digits, as a profile page shows it",
        clean(text, 60)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wallet_is_0x_and_forty_hex_digits() {
        let good = "0x379A410a36c101e3b8dfb6c90d1176eb0def4b1a";
        assert_eq!(wallet(good).unwrap(), good.to_lowercase());
        for bad in [
            "",
            "0x",
            "0x379a",
            &good[2..],
            "0xzz9a410a36c101e3b8dfb6c90d1176eb0def4b1a",
        ] {
            let error = wallet(bad).unwrap_err();
            assert_eq!(error.code(), "bad_arguments");
            assert!(error.to_string().contains("40 hex digits"), "{error}");
        }
    }
}
