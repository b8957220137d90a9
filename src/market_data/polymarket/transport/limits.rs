//! Staying under the venue's limits: one limiter per host, one per group of routes, and pauses that
//! the venue asked for.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::Instant;

use super::request::{Host, Scope};

/// The window that the venue's published limits count in.
const WINDOW: Duration = Duration::from_secs(10);

/// All limiters of one client.
pub struct Limits {
    hosts: HashMap<Host, DefaultDirectRateLimiter>,
    scopes: HashMap<Scope, DefaultDirectRateLimiter>,
    /// Until when a group of routes is not asked, because the venue said so (`Retry-After`).
    pauses: Mutex<HashMap<Scope, Instant>>,
}

impl Limits {
    /// Limiters at a share (above 0, at most 1) of the published limits.
    pub fn new(share: f64) -> Self {
        Limits {
            hosts: Host::ALL
                .into_iter()
                .filter_map(|host| Some((host, limiter(host.published(), share)?)))
                .collect(),
            scopes: Scope::ALL
                .into_iter()
                .filter_map(|scope| Some((scope, limiter(scope.published()?, share)?)))
                .collect(),
            pauses: Mutex::default(),
        }
    }

    /// No limits but the pauses: for a sandbox, which is our own process.
    pub fn none() -> Self {
        Limits {
            hosts: HashMap::new(),
            scopes: HashMap::new(),
            pauses: Mutex::default(),
        }
    }

    /// Waits for leave to send: first that of the routes, then that of the host.
    pub async fn ready(&self, scope: Scope) {
        if let Some(limiter) = self.scopes.get(&scope) {
            limiter.until_ready().await;
        }
        if let Some(limiter) = self.hosts.get(&scope.host()) {
            limiter.until_ready().await;
        }
    }

    /// The venue asks to be left alone on these routes for so long.
    pub fn pause(&self, scope: Scope, wait: Duration, now: Instant) {
        let Some(until) = now.checked_add(wait) else {
            return;
        };
        let mut pauses = self.pauses();
        let known = pauses.entry(scope).or_insert(until);
        *known = (*known).max(until);
    }

    /// How long these routes are still to be left alone; `None` when they are free.
    pub fn paused(&self, scope: Scope, now: Instant) -> Option<Duration> {
        let mut pauses = self.pauses();
        let until = *pauses.get(&scope)?;
        if until <= now {
            pauses.remove(&scope);
            return None;
        }
        Some(until - now)
    }

    fn pauses(&self) -> MutexGuard<'_, HashMap<Scope, Instant>> {
        // Moments stay true after a panic elsewhere.
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn limiter(published: u32, share: f64) -> Option<DefaultDirectRateLimiter> {
    let allowed = (f64::from(published) * share).floor().max(1.0);
    // In range: `published` is a u32 and `share` at most 1.
    let allowed = NonZeroU32::new(allowed as u32)?;
    let quota = Quota::with_period(WINDOW / allowed.get())?.allow_burst(allowed);
    Some(RateLimiter::direct(quota))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_limit_is_used() {
        // 300 per 10 s × 0.2 = 60 at once, then one each 1/6 s.
        let limits = Limits::new(0.2);
        let passed = |limiter: &DefaultDirectRateLimiter| {
            (0..2_000).filter(|_| limiter.check().is_ok()).count()
        };
        assert_eq!(passed(&limits.scopes[&Scope::GammaMarkets]), 60);
        // 800 × 0.2 over all of the Data API's routes.
        let data = passed(&limits.hosts[&Host::Data]);
        assert!((160..165).contains(&data), "{data}");
        assert!(!limits.scopes.contains_key(&Scope::Clob), "the host's only");
    }

    #[test]
    fn a_pause_holds_for_its_routes_only_and_ends() {
        let limits = Limits::none();
        let now = Instant::now();
        limits.pause(Scope::GammaMarkets, Duration::from_secs(9), now);
        limits.pause(Scope::GammaMarkets, Duration::from_secs(3), now);
        assert_eq!(
            limits.paused(Scope::GammaMarkets, now),
            Some(Duration::from_secs(9))
        );
        assert_eq!(limits.paused(Scope::GammaEvents, now), None);
        let then = now + Duration::from_secs(9);
        assert_eq!(limits.paused(Scope::GammaMarkets, then), None);
    }
}
