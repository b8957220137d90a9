//! The dead-man switch: a key that has begun to send heartbeats and stops loses its orders.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::keys::uuid;
use super::signing::derived;

/// Silence after which the orders go.
///
/// Real seconds, whatever the pace of the simulated clock: the switch asks whether the client is
/// alive, and at sixty-fold speed a client that beats every five seconds would be dead at once.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Beat {
    id: String,
    count: u64,
    at: Instant,
}

/// The keys that have armed the switch.
#[derive(Debug)]
pub(super) struct Beats {
    seed: u64,
    by_key: HashMap<String, Beat>,
}

impl Beats {
    pub(super) fn new(seed: u64) -> Self {
        Beats {
            seed,
            by_key: HashMap::new(),
        }
    }

    /// Takes a beat that names the id of the one before (empty for the first) and gives the next
    /// id. Errors: the id that was expected (empty where none has been given out).
    pub(super) fn beat(&mut self, key: &str, id: &str, now: Instant) -> Result<String, String> {
        let expected = self.by_key.get(key).map_or("", |beat| beat.id.as_str());
        if id != expected {
            return Err(expected.to_owned());
        }
        let count = self.by_key.get(key).map_or(0, |beat| beat.count) + 1;
        let parts: [&[u8]; 3] = [
            &self.seed.to_be_bytes(),
            key.as_bytes(),
            &count.to_be_bytes(),
        ];
        let id = uuid(&derived("heartbeat", &parts).0);
        let beat = Beat {
            id: id.clone(),
            count,
            at: now,
        };
        self.by_key.insert(key.to_owned(), beat);
        Ok(id)
    }

    /// True while any key has the switch armed.
    pub(super) fn any(&self) -> bool {
        !self.by_key.is_empty()
    }

    /// Disarms and gives the keys that have been silent for too long.
    pub(super) fn silent(&mut self, now: Instant) -> Vec<String> {
        let late = |beat: &Beat| now.saturating_duration_since(beat.at) > LIMIT;
        let mut keys: Vec<String> = self
            .by_key
            .iter()
            .filter(|(_, beat)| late(beat))
            .map(|(key, _)| key.clone())
            .collect();
        keys.sort_unstable();
        self.by_key.retain(|_, beat| !late(beat));
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_beat_names_the_one_before_and_silence_is_noticed_after_ten_seconds() {
        let mut beats = Beats::new(1);
        let start = Instant::now();
        assert_eq!(beats.beat("k", "made-up", start), Err(String::new()));
        let first = beats.beat("k", "", start).unwrap();
        assert_eq!(beats.beat("k", "", start), Err(first.clone()));
        let second = beats
            .beat("k", &first, start + Duration::from_secs(5))
            .unwrap();
        assert_ne!(first, second);
        assert!(beats.silent(start + Duration::from_secs(15)).is_empty());
        let late = start + Duration::from_millis(15_001);
        assert_eq!(beats.silent(late), ["k"]);
        assert!(beats.silent(late).is_empty(), "the switch strikes once");
        assert!(!beats.any());
        assert!(beats.beat("k", "", late).is_ok(), "and can be armed again");
    }
}
