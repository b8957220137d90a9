//! The listener, the task that lets simulated time flow, and an orderly end.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::config::{SandboxConfig, SandboxError};
use super::faults::{FaultError, FaultSpec, Line, Lines, ListedFault};
use super::model::{Planted, World};
use super::routes::{Shared, router};
use super::sockets;
use super::trading;
use crate::domain::Timestamp;

/// Real time between two steps when time flows by itself.
const PULSE: Duration = Duration::from_millis(50);
/// How long open requests may take once the end has been announced.
const GRACE: Duration = Duration::from_secs(2);

/// A running sandbox. Dropping it stops it; [`Sandbox::shutdown`] also waits for the end.
pub struct Sandbox {
    address: SocketAddr,
    pub(in crate::sandbox) shared: Shared,
    tasks: Vec<JoinHandle<()>>,
    stop: DropGuard,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Makes the world and serves it on `listen` (port 0: any free one) until it is dropped or shut
/// down. Errors: a configuration out of range, an address that is not loopback or not free.
pub async fn start(config: SandboxConfig, listen: SocketAddr) -> Result<Sandbox, SandboxError> {
    if !listen.ip().is_loopback() {
        return Err(SandboxError::NotLoopback(listen));
    }
    config.check()?;
    // Simulated time counts from here: making the markets takes seconds, and a sandbox that starts
    // now must not lag behind by them.
    let began = Instant::now();
    let bind = |source| SandboxError::Bind {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let speed = config.speed;
    // Ten thousand markets with their histories take seconds, which are not the runtime's.
    let terms = config.clone();
    let world = tokio::task::spawn_blocking(move || World::new(&terms))
        .await
        .map_err(|error| SandboxError::Unmade(error.to_string()))??;
    let shared = Shared::new(world, &config);
    let stop = shared.stop().clone();
    let stopped = stop.clone().cancelled_owned();
    let service = router(shared.clone()).into_make_service_with_connect_info::<Line>();
    let service = axum::serve(Lines(listener), service).with_graceful_shutdown(stopped);
    let mut tasks = vec![tokio::spawn(async move {
        if let Err(error) = service.await {
            tracing::error!(%error, "the sandbox's listener failed");
        }
    })];
    tasks.push(tokio::spawn(sockets::pump(shared.clone())));
    tasks.push(tokio::spawn(trading::run(shared.clone())));
    if let Some(speed) = speed {
        tasks.push(tokio::spawn(flow(
            shared.clone(),
            speed,
            began,
            stop.clone(),
        )));
    }
    Ok(Sandbox {
        address,
        shared,
        tasks,
        stop: stop.drop_guard(),
    })
}

/// Lets `speed` simulated seconds pass per real second, measured from `began` so that late pulses do
/// not add up.
async fn flow(shared: Shared, speed: f64, began: Instant, stop: CancellationToken) {
    let mut passed: u64 = 0;
    let mut pulse = tokio::time::interval(PULSE);
    pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = pulse.tick() => {}
        }
        let due = (began.elapsed().as_secs_f64() * speed * 1000.0) as u64;
        let millis = due.saturating_sub(passed);
        passed = due;
        let world = shared.clone();
        if tokio::task::spawn_blocking(move || world.write().step(millis))
            .await
            .is_err()
        {
            tracing::error!("the sandbox's time stands still: a step failed");
            return;
        }
    }
}

impl Sandbox {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base URL of the whole listener, for the admin routes under `/sandbox`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Base URL that stands for Gamma.
    #[must_use]
    pub fn gamma_url(&self) -> String {
        format!("http://{}/gamma", self.address)
    }

    /// Base URL that stands for the CLOB.
    #[must_use]
    pub fn clob_url(&self) -> String {
        format!("http://{}/clob", self.address)
    }

    /// Base URL that stands for the Data API (routes begin with `/v2`).
    #[must_use]
    pub fn data_url(&self) -> String {
        format!("http://{}/data", self.address)
    }

    /// Base URL that stands for the venue's WebSockets (channels are `/market` and `/user`).
    #[must_use]
    pub fn ws_url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// Makes something go wrong from now on, and returns the fault's id. Errors: values out of
    /// range, a scope that cannot be met, too many faults.
    pub fn arm(&self, fault: FaultSpec) -> Result<u64, FaultError> {
        self.shared.faults().arm(fault)
    }

    /// Takes back one fault, or all; returns how many of them could still have struck.
    pub fn disarm(&self, id: Option<u64>) -> usize {
        self.shared.faults().disarm(id)
    }

    /// Every fault armed so far, with how often it struck.
    #[must_use]
    pub fn faults(&self) -> Vec<ListedFault> {
        self.shared.faults().listed()
    }

    /// The simulated present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.read().now
    }

    /// Lets so many simulated milliseconds pass, and returns the new present. Up to six hours are
    /// simulated order by order; of a longer step only the last hour is, except where somebody
    /// watches or has an order in a book. A day of 10,000 markets takes seconds.
    pub fn step(&self, millis: u64) -> Timestamp {
        let mut world = self.shared.write();
        world.step(millis);
        world.now
    }

    /// What a share of this token is worth: what it pays once that is known, before then its latent
    /// probability. No route tells it. `None` for an unknown token.
    #[must_use]
    pub fn worth(&self, token: &str) -> Option<f64> {
        self.shared.read().worth(token)
    }

    /// What was planted; empty on fair prices.
    #[must_use]
    pub fn planted(&self) -> Vec<Planted> {
        self.shared.read().planted()
    }

    /// Stops listening and waits until open requests are answered, two seconds at most.
    pub async fn shutdown(self) {
        drop(self.stop);
        for mut task in self.tasks {
            if tokio::time::timeout(GRACE, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}
