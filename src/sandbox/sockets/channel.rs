//! What the market channel's clients may say.

use serde::Deserialize;

use super::outlet::Outlet;
use super::session::{Channel, Said};
use crate::sandbox::routes::Shared;

/// The client's messages.
#[derive(Debug, Deserialize)]
struct Request {
    #[serde(rename = "type")]
    kind: Option<String>,
    operation: Option<String>,
    #[serde(default)]
    assets_ids: Vec<String>,
    custom_feature_enabled: Option<bool>,
    initial_dump: Option<bool>,
}

/// One client of the market channel.
#[derive(Debug)]
pub(super) struct Market {
    shared: Shared,
    id: Option<u64>,
    begun: bool,
}

impl Market {
    pub(super) fn new(shared: Shared) -> Self {
        Market {
            shared,
            id: None,
            begun: false,
        }
    }
}

impl Channel for Market {
    const PATH: &'static str = "/market";

    fn opened(&mut self, outlet: Outlet) {
        self.id = Some(self.shared.hub().join(&self.shared, outlet));
    }

    fn said(&mut self, text: &str) -> Said {
        // The venue's words for what it does not understand, a second opening message included.
        let refusal = Said::Reply("INVALID OPERATION".into());
        let (Ok(request), Some(id)) = (serde_json::from_str::<Request>(text), self.id) else {
            return refusal;
        };
        let hub = self.shared.hub();
        let dump = request.initial_dump.unwrap_or(true);
        let (custom, tokens) = (request.custom_feature_enabled, &request.assets_ids);
        match (request.kind.as_deref(), request.operation.as_deref()) {
            (Some(kind), None) if kind.eq_ignore_ascii_case("market") && !self.begun => {
                self.begun = true;
                hub.subscribe(&self.shared, id, tokens, custom, dump);
            }
            (_, Some("subscribe")) => hub.subscribe(&self.shared, id, tokens, custom, dump),
            (_, Some("unsubscribe")) => hub.unsubscribe(&self.shared, id, tokens),
            _ => return refusal,
        }
        Said::Nothing
    }

    fn tokens(&self) -> Vec<String> {
        self.id
            .map(|id| self.shared.hub().tokens_of(id))
            .unwrap_or_default()
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.shared.hub().leave(&self.shared, id);
        }
    }
}
