//! Past prices from the Data API, for when the CLOB's route fails or has nothing: the venue names it
//! as that route's successor, and it keeps coarse points of old markets for good.

use futures::{StreamExt, TryStreamExt, stream};

use super::activity_rows::{self, POINT_ROW};
use super::history::Window;
use super::transport::{Request, Scope};
use super::{CONCURRENCY, Polymarket};
use crate::domain::{PricePoint, TokenId};
use crate::market_data::DataError;

/// Largest page of this route.
const PAGE: usize = 10_000;
/// Finest and coarsest spacing that it takes, seconds.
const BUCKETS: std::ops::RangeInclusive<u32> = 60..=86_400;

impl Polymarket {
    /// One list of points per window. `fidelity` in minutes, not below what the windows allow; a
    /// venue without the route has none.
    pub(super) async fn history_v2(
        &self,
        token: &TokenId,
        windows: &[Window],
        fidelity: u32,
    ) -> Result<Vec<Vec<PricePoint>>, DataError> {
        let requests: Vec<Request> = windows
            .iter()
            .map(|window| request(token, *window, fidelity))
            .collect();
        stream::iter(requests)
            .map(|request| async move {
                self.pages_of(request, usize::MAX, PAGE, POINT_ROW, activity_rows::point)
                    .await
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await
    }
}

fn request(token: &TokenId, window: Window, fidelity: u32) -> Request {
    let bucket = fidelity
        .saturating_mul(60)
        .clamp(*BUCKETS.start(), *BUCKETS.end());
    let request = Request::get(Scope::DataHistory, "/v2/prices-history")
        .with("token_id", token.as_str())
        .with("bucket_seconds", bucket.to_string());
    match window {
        Window::Interval(name) => request.with("interval", name),
        Window::Between(start, end) => request
            .with("start", start.to_string())
            .with("end", end.to_string()),
    }
}
