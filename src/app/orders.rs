//! What an agent asks of the desk: orders, previews, stops, estimates.

use std::sync::Arc;

use crate::domain::{ConditionalOrder, Estimate, Market, Side, Timestamp, TokenId};
use crate::market_data::MarketQuery;
use crate::trading::desk::{
    self, AgentOrder, CancelScope, Input, NewConditional, OrderPreview, Output,
};
use crate::trading::ledger::{ClientOrder, Ledger};
use crate::trading::report::OrderReport;

use super::desk::known::order_of_client;
use super::{App, AppError};

const FIND_MARKET: &str = "search_markets lists markets with their ids and tokens.";

impl App {
    /// One market by id, slug or condition id: what the background knows, if it is fresh. Errors:
    /// [`AppError::NotFound`] when there is none.
    pub async fn market(&self, id: &str) -> Result<Arc<Market>, AppError> {
        if let Some(market) = self.known_market(id).await {
            return Ok(market);
        }
        self.market_to_trade(id).await
    }

    /// The market that goes by exactly this id, slug or condition id, if the background knows it
    /// and it is fresh.
    pub async fn known_market(&self, id: &str) -> Option<Arc<Market>> {
        if !self.fresh.is_running() {
            return None;
        }
        let now = self.source.now().await.ok()?;
        self.fresh.market(id.trim(), now)
    }

    /// The `count` most traded open markets, most traded first: what the background knows, if it is
    /// fresh.
    pub async fn most_traded(&self, count: usize) -> Result<Vec<Arc<Market>>, AppError> {
        if self.fresh.is_running() {
            let now = self.source.now().await?;
            if let Some(list) = self.fresh.list(now)
                && let Some(first) = list.first(count)
            {
                return Ok(first.to_vec());
            }
        }
        let query = MarketQuery { limit: count };
        Ok(self.source.active_markets(&query).await?)
    }

    /// As [`App::market`], asked of the source: an order depends on the terms of now.
    async fn market_to_trade(&self, id: &str) -> Result<Arc<Market>, AppError> {
        self.source
            .market(id)
            .await?
            .ok_or_else(|| AppError::NotFound {
                message: format!("Market {} not found", crate::domain::text::clean(id, 80)),
                hint: FIND_MARKET,
            })
    }

    /// The same on the terms that an order meets now: metadata may be minutes old, and the price step
    /// changes while a market trades.
    async fn market_to_order(&self, id: &str) -> Result<Arc<Market>, AppError> {
        let market = self.market_to_trade(id).await?;
        Ok(self.source.current_terms(&market).await?)
    }

    /// The market of a token: what the background knows, if it is fresh. Errors:
    /// [`AppError::NotFound`] when there is none.
    pub async fn market_of_token(&self, token: &TokenId) -> Result<Arc<Market>, AppError> {
        if self.fresh.is_running() {
            let now = self.source.now().await?;
            if let Some(market) = self.fresh.market_of_token(token, now) {
                return Ok(market);
            }
        }
        self.source
            .market_of_token(token)
            .await?
            .ok_or_else(|| AppError::NotFound {
                message: format!(
                    "no market has the token {}",
                    crate::domain::text::clean(token.as_str(), 90)
                ),
                hint: FIND_MARKET,
            })
    }

    /// What came of the order that was placed under a client's id, whenever that was.
    fn order_of_client(&self, ledger: &Ledger, id: &str) -> Result<Option<ClientOrder>, AppError> {
        match ledger.client_order(id) {
            Some(placed) => Ok(Some(placed.clone())),
            None => Ok(order_of_client(ledger, &self.desk.store(), id)?),
        }
    }

    /// What an order would do now: with a client's id that was used before, what came of the first
    /// one. Changes nothing.
    pub async fn preview_order(&self, order: &AgentOrder) -> Result<OrderPreview, AppError> {
        let market = self.market_to_order(order.market_id.as_str()).await?;
        let order = AgentOrder {
            market_id: market.id.clone(),
            ..order.clone()
        };
        let gathered = self.gather_market(market).await?;
        let ledger = self.ledger()?;
        if let Some(id) = &order.client_order_id
            && let Some(placed) = self.order_of_client(&ledger, id)?
        {
            let (report, _) = desk::known_order(&ledger, &order, &placed, &gathered.snapshot);
            return Ok(OrderPreview::of_placed(report?, &ledger, &placed));
        }
        Ok(desk::preview_order(
            &ledger,
            &order,
            &gathered.snapshot,
            &self.trading,
        )??)
    }

    /// Places an order on the book as it is now, or as it is when the order arrives.
    pub async fn place_order(&self, mut order: AgentOrder) -> Result<OrderReport, AppError> {
        let market = self.market_to_order(order.market_id.as_str()).await?;
        // The agent may have named it by slug.
        order.market_id = market.id.clone();
        let gathered = self.gather_market(market).await?;
        let mut snapshot = gathered.snapshot;
        if order.side == Side::Buy {
            snapshot = self.with_held_books(snapshot)?;
        }
        let Output::Ordered(verdict) = self.input(Input::order(order, snapshot)).await? else {
            return Err(AppError::unexpected_output());
        };
        let report = (*verdict)?;
        self.keep_questions(std::slice::from_ref(&report)).await;
        self.alert(&report).await;
        Ok(self.arrived(report).await)
    }

    /// Creates a conditional order on a held position.
    pub async fn create_conditional(
        &self,
        wanted: NewConditional,
    ) -> Result<ConditionalOrder, AppError> {
        let at = self.source.now().await?;
        match self.input(Input::CreateConditional { wanted, at }).await? {
            Output::Conditional(verdict) => Ok((*verdict)?),
            _ => Err(AppError::unexpected_output()),
        }
    }

    /// Withdraws an active conditional order.
    pub async fn cancel_conditional(&self, id: u64) -> Result<(), AppError> {
        let at = self.source.now().await?;
        self.accepted(Input::CancelConditional { id, at }).await
    }

    /// Stores an estimate.
    pub async fn store_estimate(&self, estimate: Estimate) -> Result<(), AppError> {
        let at = estimate.created_at;
        self.accepted(Input::Estimate { estimate, at }).await
    }

    /// Withdraws resting orders, for `by` (`shell`, `agent`); gives their numbers. Errors: a single
    /// order that does not rest.
    pub async fn cancel_orders(
        &self,
        scope: CancelScope,
        by: String,
    ) -> Result<Vec<u64>, AppError> {
        let at = self.now_or_last().await?;
        self.cancelled(Input::Cancel { scope, by, at }).await
    }

    /// Pulls the kill switch: from now on only cancels and sales that reduce a position pass, also
    /// after a restart, until [`App::resume`]. Gives the numbers of the resting orders that were
    /// withdrawn. Errors: it was pulled before.
    pub async fn halt(&self, by: String, reason: String) -> Result<Vec<u64>, AppError> {
        let at = self.now_or_last().await?;
        self.cancelled(Input::Halt { by, reason, at }).await
    }

    /// Lifts a halt. Errors: nothing is halted.
    pub async fn resume(&self, by: String, reason: String) -> Result<(), AppError> {
        let at = self.now_or_last().await?;
        self.accepted(Input::Resume { by, reason, at }).await
    }

    /// The source's clock; where it does not answer, the time of the last event: a halt must not
    /// depend on the venue being there.
    async fn now_or_last(&self) -> Result<Timestamp, AppError> {
        match self.source.now().await {
            Ok(now) => Ok(now),
            Err(_) => Ok(self.ledger()?.last_at()),
        }
    }

    async fn input(&self, input: Input) -> Result<Output, AppError> {
        Ok(self.desk.commit(input).await?.output)
    }

    async fn accepted(&self, input: Input) -> Result<(), AppError> {
        match self.input(input).await? {
            Output::Accepted(verdict) => Ok(verdict?),
            _ => Err(AppError::unexpected_output()),
        }
    }

    async fn cancelled(&self, input: Input) -> Result<Vec<u64>, AppError> {
        match self.input(input).await? {
            Output::Cancelled(verdict) => Ok(verdict?),
            _ => Err(AppError::unexpected_output()),
        }
    }
}
