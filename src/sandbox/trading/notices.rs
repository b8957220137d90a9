//! `GET /notifications`: what happened to a wallet's orders, kept until dropped.

use std::collections::{HashMap, VecDeque};

use alloy_primitives::Address;
use serde::Serialize;

use crate::domain::Timestamp;

/// Notifications kept of each signer; older ones go.
const KEPT: usize = 200;

/// Which kind: the numbers are the official client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoticeKind {
    Cancellation = 1,
    Fill = 2,
    FillFailed = 8,
}

/// What it is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct NoticePayload {
    pub(super) asset_id: String,
    pub(super) market: String,
    pub(super) order_id: String,
    pub(super) side: &'static str,
    #[serde(rename = "type")]
    pub(super) order_type: &'static str,
    pub(super) price: String,
    pub(super) original_size: String,
    pub(super) matched_size: String,
    pub(super) remaining_size: String,
    pub(super) outcome: &'static str,
    pub(super) outcome_index: usize,
    pub(super) transaction_hash: String,
    pub(super) trade_id: String,
    pub(super) question: String,
    pub(super) market_slug: String,
}

/// One notification.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Notice {
    pub(super) id: u64,
    pub(super) owner: String,
    pub(super) timestamp: i64,
    #[serde(rename = "type")]
    pub(super) kind: u8,
    pub(super) payload: NoticePayload,
}

/// All notifications, by signer.
#[derive(Debug, Default)]
pub(super) struct Notices {
    last: u64,
    by_owner: HashMap<Address, VecDeque<Notice>>,
}

impl Notices {
    /// Adds one.
    pub(super) fn add(
        &mut self,
        owner: Address,
        key: String,
        kind: NoticeKind,
        at: Timestamp,
        payload: NoticePayload,
    ) {
        self.last += 1;
        let list = self.by_owner.entry(owner).or_default();
        if list.len() == KEPT {
            list.pop_front();
        }
        list.push_back(Notice {
            id: self.last,
            owner: key,
            timestamp: at.secs(),
            kind: kind as u8,
            payload,
        });
    }

    /// A signer's notifications, oldest first.
    pub(super) fn of(&self, owner: Address) -> Vec<&Notice> {
        self.by_owner.get(&owner).into_iter().flatten().collect()
    }

    /// Drops those with these ids.
    pub(super) fn drop(&mut self, owner: Address, ids: &[u64]) {
        if let Some(list) = self.by_owner.get_mut(&owner) {
            list.retain(|notice| !ids.contains(&notice.id));
        }
    }
}
