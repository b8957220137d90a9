//! Who trades and who holds: the dossier's view of a market, and what a wallet is.

use super::Polymarket;
use super::activity_rows::{self, TRADE_ROW};
use super::data::wallet;
use super::row::{self, Oddities, is_asset_id};
use super::transport::{Request, Scope};
use crate::domain::{ConditionId, Market, Print, Shares, Timestamp};
use crate::market_data::{DataError, Holder, MarketActivity, TakenTrade, WalletSummary};

/// Trades that are looked at.
const TRADES: usize = 100;
/// Trades that one look at a queue takes: a page.
const PRINTS: usize = 1_000;
/// Holders of each outcome.
const HOLDERS: &str = "5";

impl Polymarket {
    /// The worth of a wallet, and whose profile it is where it is worth nothing. Errors: the worth
    /// could not be had.
    pub(super) async fn summary_of(&self, address: &str) -> Result<WalletSummary, DataError> {
        let address = wallet(address)?;
        let request = Request::get(Scope::Data, "/v2/value").with("user", &address);
        let value = match self.transport.json(&request).await? {
            None => None,
            Some(answer) => activity_rows::wallet_value(&answer)
                .map_err(|fault| self.transport.malformed(&request, &fault.to_string()))?,
        };
        let proxy = if value.is_some_and(|value| value > 0.0) {
            // What holds positions is a proxy wallet.
            Some(address)
        } else {
            // Nothing is lost without it: the answer says less.
            self.proxy_of(&address).await.ok().flatten()
        };
        Ok(WalletSummary { value, proxy })
    }

    /// The proxy wallet of the profile that an address belongs to.
    async fn proxy_of(&self, address: &str) -> Result<Option<String>, DataError> {
        let request = Request::get(Scope::Gamma, "/public-profile").with("address", address);
        let Some(profile) = self.transport.json(&request).await? else {
            return Ok(None);
        };
        activity_rows::proxy_wallet(&profile)
            .map_err(|fault| self.transport.malformed(&request, &fault.to_string()))
    }

    /// Trades, holders and volume of a market, each where the venue says it.
    pub(super) async fn activity_in(&self, market: &Market) -> Result<MarketActivity, DataError> {
        let Some(condition) = &market.condition_id else {
            return Ok(MarketActivity::default());
        };
        let (trades, holders, volume) = tokio::join!(
            self.trades_of(condition),
            self.holders_of(condition),
            self.taker_volume_of(market, condition)
        );
        match (trades, holders, volume) {
            (Err(error), Err(_), Err(_)) => Err(error),
            (trades, holders, volume) => Ok(MarketActivity {
                trades: trades.ok(),
                holders: holders.ok().flatten(),
                taker_volume: volume.ok().flatten(),
            }),
        }
    }

    async fn trades_of(&self, condition: &ConditionId) -> Result<Vec<TakenTrade>, DataError> {
        let request = Request::get(Scope::DataTrades, "/v2/trades")
            .with("condition", row::padded(condition))
            .with("taker_only", "true");
        let mut trades = self
            .pages(request, TRADES, TRADE_ROW, activity_rows::trade)
            .await?;
        trades.sort_by_key(|trade| std::cmp::Reverse(trade.at));
        Ok(trades)
    }

    /// What takers traded in a market after a moment, oldest first: at most the newest thousand.
    pub(super) async fn prints_since(
        &self,
        market: &Market,
        since: Timestamp,
    ) -> Result<Vec<Print>, DataError> {
        let Some(condition) = &market.condition_id else {
            return Ok(Vec::new());
        };
        let request = Request::get(Scope::DataTrades, "/v2/trades")
            .with("condition", row::padded(condition))
            .with("taker_only", "true")
            .with("start", since.secs().to_string());
        let mut prints = self
            .pages(request, PRINTS, TRADE_ROW, activity_rows::print)
            .await?;
        prints.retain(|print| print.at > since);
        prints.sort_by_key(|print| print.at);
        Ok(prints)
    }

    async fn holders_of(&self, condition: &ConditionId) -> Result<Option<Vec<Holder>>, DataError> {
        let request = Request::get(Scope::Data, "/v2/holders")
            .with("condition", row::padded(condition))
            .with("limit", HOLDERS);
        let Some(answer) = self.transport.json(&request).await? else {
            return Ok(None);
        };
        let mut oddities = Oddities::default();
        let holders = activity_rows::holders(&answer, &mut oddities)
            .map_err(|fault| self.transport.malformed(&request, &fault.to_string()))?;
        self.transport.count(&oddities);
        Ok(Some(holders))
    }

    async fn taker_volume_of(
        &self,
        market: &Market,
        condition: &ConditionId,
    ) -> Result<Option<Shares>, DataError> {
        let Some(event) = market
            .event_id
            .as_ref()
            .filter(|event| is_asset_id(event.as_str()))
        else {
            return Ok(None);
        };
        let padded = row::padded(condition);
        Ok(self.taker_volume(event).await?.and_then(|volume| {
            volume
                .by_condition
                .into_iter()
                .find(|(known, _)| row::padded(known) == padded)
                .map(|(_, shares)| shares)
        }))
    }
}
