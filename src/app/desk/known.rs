//! Orders that were placed under a client's own id: those that the ledger keeps, and the older ones that
//! the database knows.

use crate::store::{PlacedOrder, Store, StoreError};
use crate::trading::ledger::{ClientOrder, Ledger};

/// What came of the order that was placed under a client's id, when the ledger keeps it no more.
/// `None` when it keeps it, or when the id was never used. Errors: the database cannot be read.
pub(in crate::app) fn order_of_client(
    ledger: &Ledger,
    store: &Store,
    client_order_id: &str,
) -> Result<Option<ClientOrder>, StoreError> {
    if ledger.client_order(client_order_id).is_some() {
        return Ok(None);
    }
    let placed = store.order_of_client(client_order_id)?;
    Ok(placed.map(|placed| {
        let PlacedOrder {
            order,
            fills,
            outcome,
        } = placed;
        ClientOrder {
            order,
            fills,
            outcome,
        }
    }))
}
