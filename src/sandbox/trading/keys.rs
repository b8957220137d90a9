//! API keys: made or found again by a wallet's signature (L1), proven by an HMAC on every call (L2).
//!
//! Sources: the venue's docs on authentication and its error-code page (401 `Unauthorized/Invalid
//! api key`, 401 `Invalid L1 Request headers`, 400 `Could not create api key`).

use std::collections::HashMap;

use alloy_primitives::{Address, U256, hex};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use serde::Serialize;
use sha2::Sha256;

use super::signing::{auth_digest, derived, recover};
use crate::domain::Timestamp;

/// How far a request's timestamp may be from the sandbox's clock, each way: about what the venue
/// allows.
const WINDOW: i64 = 30_000;

/// Credentials as the venue hands them out.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::sandbox) struct Credentials {
    pub(super) api_key: String,
    /// 32 bytes, url-safe base64 with padding.
    pub(super) secret: String,
    pub(super) passphrase: String,
}

/// A key with whose it is.
#[derive(Clone)]
struct Key {
    credentials: Credentials,
    owner: Address,
    nonce: U256,
}

/// Who sent an authenticated request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// The key's id, which is also the `owner` of its orders.
    pub(super) key: String,
    /// The wallet that the key was made for.
    pub(super) address: Address,
}

/// Why a request was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthFault {
    /// L1: a header is missing or malformed, the time is off, or the signature is another's.
    L1,
    /// L2: likewise, or the key is unknown.
    L2,
    /// A key exists for this wallet and nonce.
    Exists,
    /// No key exists for this wallet and nonce.
    None,
}

impl AuthFault {
    /// Status and wording of the venue.
    pub(super) fn answer(self) -> (u16, &'static str) {
        match self {
            AuthFault::L1 => (401, "Invalid L1 Request headers"),
            AuthFault::L2 => (401, "Unauthorized/Invalid api key"),
            AuthFault::Exists => (400, "Could not create api key"),
            AuthFault::None => (400, "Could not derive api key!"),
        }
    }
}

/// All keys. The same seed, wallet and nonce give the same key.
pub(super) struct Keys {
    seed: u64,
    /// Simulated seconds per real second where that is above 1: the window is 30 s of the
    /// client's time, whatever the pace of the sandbox's.
    pace: f64,
    by_id: HashMap<String, Key>,
}

impl Keys {
    pub(super) fn new(seed: u64, speed: Option<f64>) -> Self {
        Keys {
            seed,
            pace: speed.unwrap_or(1.0).max(1.0),
            by_id: HashMap::new(),
        }
    }

    /// Makes the key of a wallet and nonce. Errors: bad L1 headers; there is one already.
    pub(super) fn create(
        &mut self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Credentials, AuthFault> {
        let (owner, nonce) = self.l1(headers, now)?;
        if self.find(owner, nonce).is_some() {
            return Err(AuthFault::Exists);
        }
        let credentials = self.make(owner, nonce);
        let key = Key {
            credentials: credentials.clone(),
            owner,
            nonce,
        };
        self.by_id.insert(credentials.api_key.clone(), key);
        Ok(credentials)
    }

    /// Finds the key of a wallet and nonce again. Errors: bad L1 headers; there is none.
    pub(super) fn derive(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Credentials, AuthFault> {
        let (owner, nonce) = self.l1(headers, now)?;
        self.find(owner, nonce)
            .map(|key| key.credentials.clone())
            .ok_or(AuthFault::None)
    }

    /// Ids of a wallet's keys, sorted.
    pub(super) fn of(&self, owner: Address) -> Vec<String> {
        let mut ids: Vec<String> = self
            .by_id
            .values()
            .filter(|key| key.owner == owner)
            .map(|key| key.credentials.api_key.clone())
            .collect();
        ids.sort_unstable();
        ids
    }

    /// Forgets a key.
    pub(super) fn delete(&mut self, id: &str) {
        self.by_id.remove(id);
    }

    /// Checks a request's L2 headers. `path` without query, `body` as the bytes received.
    pub(super) fn l2(
        &self,
        headers: &HeaderMap,
        method: &str,
        path: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Caller, AuthFault> {
        self.l2_checked(headers, method, path, body, now)
            .ok_or(AuthFault::L2)
    }

    fn l2_checked(
        &self,
        headers: &HeaderMap,
        method: &str,
        path: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Option<Caller> {
        let address: Address = header(headers, "POLY_ADDRESS")?.parse().ok()?;
        let timestamp = header(headers, "POLY_TIMESTAMP")?;
        let caller = self.with_passphrase(
            header(headers, "POLY_API_KEY")?,
            header(headers, "POLY_PASSPHRASE")?,
        )?;
        let key = self.by_id.get(&caller.key)?;
        if key.owner != address || !self.timely(timestamp, now) {
            return None;
        }
        let signature = URL_SAFE.decode(header(headers, "POLY_SIGNATURE")?).ok()?;
        let mut mac = keyed(&key.credentials.secret)?;
        for part in [
            timestamp.as_bytes(),
            method.as_bytes(),
            path.as_bytes(),
            body,
        ] {
            mac.update(part);
        }
        mac.verify_slice(&signature).ok()?;
        Some(caller)
    }

    /// Who holds a key and its passphrase. The user WebSocket asks for the secret as well.
    fn with_passphrase(&self, id: &str, passphrase: &str) -> Option<Caller> {
        let key = self.by_id.get(id)?;
        (key.credentials.passphrase == passphrase).then(|| Caller {
            key: id.to_owned(),
            address: key.owner,
        })
    }

    /// Who holds all three credentials.
    pub(super) fn holder(&self, id: &str, secret: &str, passphrase: &str) -> Option<Caller> {
        let caller = self.with_passphrase(id, passphrase)?;
        let key = self.by_id.get(id)?;
        (key.credentials.secret == secret).then_some(caller)
    }

    /// Wallet and nonce of L1 headers whose signature holds. Whether the venue checks the age of
    /// an L1 timestamp is not recorded; here it is checked, so that a skewed clock shows at once.
    fn l1(&self, headers: &HeaderMap, now: Timestamp) -> Result<(Address, U256), AuthFault> {
        let read = || -> Option<(Address, U256)> {
            let address: Address = header(headers, "POLY_ADDRESS")?.parse().ok()?;
            let timestamp = header(headers, "POLY_TIMESTAMP")?;
            let nonce = header(headers, "POLY_NONCE").unwrap_or("0");
            let nonce = U256::from_str_radix(nonce, 10).ok()?;
            let signature = hex::decode(header(headers, "POLY_SIGNATURE")?).ok()?;
            let signer = recover(&auth_digest(address, timestamp, nonce), &signature).ok()?;
            (signer == address && self.timely(timestamp, now)).then_some((address, nonce))
        };
        read().ok_or(AuthFault::L1)
    }

    fn timely(&self, timestamp: &str, now: Timestamp) -> bool {
        let Ok(seconds) = timestamp.parse::<i64>() else {
            return false;
        };
        // A timestamp has whole seconds: it is compared with the second that the clock shows.
        let distance = seconds.saturating_sub(now.secs()).saturating_abs();
        distance as f64 * 1000.0 <= WINDOW as f64 * self.pace
    }

    fn find(&self, owner: Address, nonce: U256) -> Option<&Key> {
        self.by_id
            .values()
            .find(|key| key.owner == owner && key.nonce == nonce)
    }

    fn make(&self, owner: Address, nonce: U256) -> Credentials {
        let part = |label: &str| {
            let nonce = nonce.to_be_bytes::<32>();
            derived(label, &[&self.seed.to_be_bytes(), owner.as_slice(), &nonce])
        };
        Credentials {
            api_key: uuid(&part("api key").0),
            secret: URL_SAFE.encode(part("secret")),
            passphrase: hex::encode(part("passphrase")),
        }
    }
}

/// The HMAC of a secret as the venue hands it out.
fn keyed(secret: &str) -> Option<Hmac<Sha256>> {
    Hmac::new_from_slice(&URL_SAFE.decode(secret).ok()?).ok()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)?
        .to_str()
        .ok()
        .filter(|text| !text.is_empty())
}

/// A name-based UUID's form around bytes.
pub(super) fn uuid(bytes: &[u8; 32]) -> String {
    let text: String = hex::encode(bytes).chars().take(32).collect();
    let cut = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    format!(
        "{}-{}-5{}-a{}-{}",
        cut(0..8),
        cut(8..12),
        cut(13..16),
        cut(17..20),
        cut(20..32)
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::signing::tests::{OTHER_KEY, TEST_KEY, address_of, high_s, sign};
    use super::*;
    use crate::sandbox::wire::recorded::recording;

    const NOW: Timestamp = Timestamp::from_secs(1_795_420_800);

    fn map(pairs: &[(&'static str, String)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name = http::HeaderName::try_from(*name).unwrap();
                (name, value.parse().unwrap())
            })
            .collect()
    }

    /// L1 headers for a key.
    pub(in crate::sandbox::trading) fn l1_headers(key: &str, secs: i64, nonce: u64) -> HeaderMap {
        let address = address_of(key);
        let digest = auth_digest(address, &secs.to_string(), U256::from(nonce));
        map(&[
            ("POLY_ADDRESS", address.to_string()),
            ("POLY_SIGNATURE", hex::encode_prefixed(sign(key, &digest))),
            ("POLY_TIMESTAMP", secs.to_string()),
            ("POLY_NONCE", nonce.to_string()),
        ])
    }

    /// L2 headers for credentials.
    pub(in crate::sandbox::trading) fn l2_headers(
        address: Address,
        (id, secret, passphrase): (&str, &str, &str),
        secs: i64,
        method: &str,
        path: &str,
        body: &str,
    ) -> HeaderMap {
        let mut mac = keyed(secret).unwrap();
        mac.update(format!("{secs}{method}{path}{body}").as_bytes());
        map(&[
            ("POLY_ADDRESS", address.to_string()),
            ("POLY_API_KEY", id.to_owned()),
            ("POLY_PASSPHRASE", passphrase.to_owned()),
            ("POLY_TIMESTAMP", secs.to_string()),
            (
                "POLY_SIGNATURE",
                URL_SAFE.encode(mac.finalize().into_bytes()),
            ),
        ])
    }

    fn triple(made: &Credentials) -> (&str, &str, &str) {
        (&made.api_key, &made.secret, &made.passphrase)
    }

    #[test]
    fn recorded_hmacs_are_met() {
        let Some(recorded) = recording("signing/order_vectors_eoa.json") else {
            return;
        };
        let vectors = recorded["l2_hmac"].as_array().unwrap();
        assert_eq!(vectors.len(), 2);
        for vector in vectors {
            let text = |name: &str| vector[name].as_str().unwrap();
            let mut mac = keyed(text("secret")).unwrap();
            for name in ["timestamp", "method", "path", "body"] {
                mac.update(text(name).as_bytes());
            }
            assert_eq!(
                URL_SAFE.encode(mac.finalize().into_bytes()),
                text("signature")
            );
        }
    }

    #[test]
    fn a_wallet_makes_a_key_once_and_finds_it_again() {
        let mut keys = Keys::new(1, None);
        let headers = l1_headers(TEST_KEY, NOW.secs(), 0);
        assert_eq!(keys.derive(&headers, NOW).err(), Some(AuthFault::None));
        let made = keys.create(&headers, NOW).ok().unwrap();
        assert_eq!(keys.create(&headers, NOW).err(), Some(AuthFault::Exists));
        assert!(keys.derive(&headers, NOW).ok().unwrap() == made);
        let second = keys
            .create(&l1_headers(TEST_KEY, NOW.secs(), 1), NOW)
            .ok()
            .unwrap();
        assert!(second.api_key != made.api_key && second.secret != made.secret);
        let owner = address_of(TEST_KEY);
        assert_eq!(keys.of(owner).len(), 2);
        assert_eq!(keys.of(address_of(OTHER_KEY)).len(), 0);
        keys.delete(&made.api_key);
        assert_eq!(keys.of(owner), [second.api_key]);
        assert_eq!(made.api_key.len(), 36);
        assert_eq!(URL_SAFE.decode(&made.secret).unwrap().len(), 32);
    }

    #[test]
    fn l1_headers_of_another_wallet_or_time_are_refused() {
        let mut keys = Keys::new(1, None);
        let fault = |keys: &mut Keys, headers: &HeaderMap| keys.create(headers, NOW).err();
        let good = l1_headers(TEST_KEY, NOW.secs(), 0);

        let mut headers = good.clone();
        headers.insert(
            "POLY_ADDRESS",
            address_of(OTHER_KEY).to_string().parse().unwrap(),
        );
        assert_eq!(fault(&mut keys, &headers), Some(AuthFault::L1));

        let mut headers = good.clone();
        headers.insert("POLY_NONCE", "7".parse().unwrap());
        assert_eq!(fault(&mut keys, &headers), Some(AuthFault::L1));

        let signature = hex::decode(good["POLY_SIGNATURE"].to_str().unwrap()).unwrap();
        let mut headers = good.clone();
        let mirrored = hex::encode_prefixed(high_s(&signature));
        headers.insert("POLY_SIGNATURE", mirrored.parse().unwrap());
        assert_eq!(fault(&mut keys, &headers), Some(AuthFault::L1));

        for late in [-31, 31] {
            let headers = l1_headers(TEST_KEY, NOW.secs() + late, 0);
            assert_eq!(fault(&mut keys, &headers), Some(AuthFault::L1));
        }
        assert_eq!(fault(&mut keys, &HeaderMap::new()), Some(AuthFault::L1));
        assert_eq!(AuthFault::L1.answer(), (401, "Invalid L1 Request headers"));
        assert!(keys.create(&good, NOW).is_ok());
    }

    #[test]
    fn every_part_of_a_call_is_covered_by_its_hmac() {
        let mut keys = Keys::new(1, None);
        let made = keys
            .create(&l1_headers(TEST_KEY, NOW.secs(), 0), NOW)
            .ok()
            .unwrap();
        let owner = address_of(TEST_KEY);
        let call = |secs: i64| {
            l2_headers(
                owner,
                triple(&made),
                secs,
                "DELETE",
                "/order",
                r#"{"orderID":"0x1"}"#,
            )
        };
        let body = br#"{"orderID":"0x1"}"#;
        let good = call(NOW.secs());
        let caller = keys.l2(&good, "DELETE", "/order", body, NOW).unwrap();
        assert_eq!(
            caller,
            Caller {
                key: made.api_key.clone(),
                address: owner
            }
        );
        for (method, path, bytes) in [
            ("POST", "/order", &body[..]),
            ("DELETE", "/orders", &body[..]),
            ("DELETE", "/order", b"{\"orderID\": \"0x1\"}"),
        ] {
            let refused = keys.l2(&good, method, path, bytes, NOW);
            assert_eq!(refused, Err(AuthFault::L2), "{method} {path}");
        }
        for name in [
            "POLY_ADDRESS",
            "POLY_API_KEY",
            "POLY_PASSPHRASE",
            "POLY_SIGNATURE",
        ] {
            let mut headers = good.clone();
            headers.insert(name, "x".parse().unwrap());
            let refused = keys.l2(&headers, "DELETE", "/order", body, NOW);
            assert_eq!(refused, Err(AuthFault::L2), "{name}");
        }
        for (late, accepted) in [(-30, true), (30, true), (-31, false), (31, false)] {
            let headers = call(NOW.secs() + late);
            let seen = keys.l2(&headers, "DELETE", "/order", body, NOW);
            assert_eq!(seen.is_ok(), accepted, "{late}");
        }
        let fast = Keys {
            pace: 60.0,
            by_id: keys.by_id.clone(),
            ..Keys::new(1, None)
        };
        assert!(
            fast.l2(&call(NOW.secs() - 1800), "DELETE", "/order", body, NOW)
                .is_ok()
        );
        assert!(
            fast.l2(&call(NOW.secs() - 1801), "DELETE", "/order", body, NOW)
                .is_err()
        );
        assert_eq!(
            AuthFault::L2.answer(),
            (401, "Unauthorized/Invalid api key")
        );
    }
}
