//! What the stories are told with: a workspace per test, the binary as a command and as a server,
//! a small recording, and a look into the database.

mod exchange;
pub mod golden;
mod http;
mod ledger;
mod raw;
mod recording;
mod schema;
mod server;
mod sink;
mod trader;
mod venue;
mod workspace;

pub use exchange::{Exchange, Listed};
pub use http::HttpServer;
pub use ledger::{Ledger, close};
pub use raw::RawServer;
pub use recording::{CALM, DECLINING, RISING, Recording, at};
pub use schema::Contracts;
pub use server::{Server, Session};
pub use sink::Sink;
pub use trader::{Trader, said};
pub use venue::Venue;
pub use workspace::{Run, Workspace, binary, clean};

/// Polls until `probe` gives something. Fails the test after half a minute.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "waited 30 s for {what}"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
