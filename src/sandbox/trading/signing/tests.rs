use alloy_primitives::hex;
use k256::ecdsa::SigningKey;
use serde_json::Value;

use super::*;
use crate::sandbox::wire::recorded::recording;

/// Anvil's first account: a public test key, never funded.
pub(in crate::sandbox::trading) const TEST_KEY: &str =
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
/// Anvil's second account, likewise.
pub(in crate::sandbox::trading) const OTHER_KEY: &str =
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

/// Signs a digest as the clients do: r ‖ s ‖ v with v of 27 or 28.
pub(in crate::sandbox::trading) fn sign(key: &str, digest: &B256) -> Vec<u8> {
    let key = SigningKey::from_slice(&hex::decode(key).unwrap()).unwrap();
    let (signature, parity) = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
    let mut bytes = signature.to_bytes().to_vec();
    bytes.push(27 + parity.to_byte());
    bytes
}

/// The address of a key.
pub(in crate::sandbox::trading) fn address_of(key: &str) -> Address {
    let key = SigningKey::from_slice(&hex::decode(key).unwrap()).unwrap();
    Address::from_private_key(&key)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(value, name)).unwrap()
}

fn word(value: &Value, name: &str) -> B256 {
    text(value, name).parse().unwrap()
}

/// The other valid form of a signature: s mirrored, parity flipped.
pub(in crate::sandbox::trading) fn high_s(signature: &[u8]) -> Vec<u8> {
    let order = U256::from_str_radix(
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        16,
    )
    .unwrap();
    let s = U256::from_be_slice(&signature[32..64]);
    let mut mirrored = signature[..32].to_vec();
    mirrored.extend_from_slice(&(order - s).to_be_bytes::<32>());
    mirrored.push(if signature[64] == 27 { 28 } else { 27 });
    mirrored
}

#[test]
fn recorded_l1_signature_is_recovered_and_reproduced() {
    let Some(recorded) = recording("signing/clob_auth.json") else {
        return;
    };
    let address: Address = text(&recorded, "address").parse().unwrap();
    let timestamp = recorded["timestamp"].to_string();
    let nonce = U256::from(recorded["nonce"].as_u64().unwrap());
    let digest = auth_digest(address, &timestamp, nonce);
    let signature = bytes(&recorded, "signature");
    assert_eq!(recover(&digest, &signature), Ok(address));
    assert_eq!(sign(TEST_KEY, &digest), signature);
    let other = auth_digest(address, &timestamp, nonce + U256::from(1));
    assert_ne!(recover(&other, &signature), Ok(address));
}

fn order_of(value: &Value) -> Order {
    let number = |name: &str| -> U256 {
        match &value[name] {
            Value::String(digits) => digits.parse().unwrap(),
            digits => digits.to_string().parse().unwrap(),
        }
    };
    Order {
        salt: number("salt"),
        maker: text(value, "maker").parse().unwrap(),
        signer: text(value, "signer").parse().unwrap(),
        tokenId: number("tokenId"),
        makerAmount: number("makerAmount"),
        takerAmount: number("takerAmount"),
        side: value["side"].as_u64().unwrap() as u8,
        signatureType: value["signatureType"].as_u64().unwrap() as u8,
        timestamp: number("timestamp"),
        metadata: word(value, "metadata"),
        builder: word(value, "builder"),
    }
}

#[test]
fn recorded_eoa_orders_of_all_three_exchanges_are_reproduced() {
    let Some(recorded) = recording("signing/order_vectors_eoa.json") else {
        return;
    };
    assert_eq!(text(&recorded, "private_key"), format!("0x{TEST_KEY}"));
    let vectors = recorded["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let contract = match text(vector, "exchange") {
            "standard" => Contract::of(Version::V1, false),
            "neg_risk" => Contract::of(Version::V1, true),
            "protocol_v2" => Contract::of(Version::V2, true),
            other => panic!("{other}"),
        };
        let domain = contract.domain();
        assert_eq!(domain.separator(), word(vector, "domain_separator"));
        let order = order_of(&vector["order"]);
        assert_eq!(order.eip712_hash_struct(), word(vector, "struct_hash"));
        let digest = order_hash(&order, &domain);
        assert_eq!(digest, word(vector, "digest"));
        let signature = bytes(vector, "signature");
        assert_eq!(sign(TEST_KEY, &digest), signature);
        assert_eq!(signer_of(&order, &domain, &signature), Ok(order.signer));
        assert_eq!(
            signer_of(&order, &domain, &high_s(&signature)),
            Err(SignatureFault::HighS)
        );
        for other in Contract::ALL.into_iter().filter(|other| *other != contract) {
            assert_eq!(
                signer_of(&order, &other.domain(), &signature),
                Err(SignatureFault::WrongSigner),
                "{other:?}"
            );
        }
        let mut changed = order.clone();
        changed.makerAmount += U256::from(1);
        assert_eq!(
            signer_of(&changed, &domain, &signature),
            Err(SignatureFault::WrongSigner)
        );
    }
}

#[test]
fn recorded_deposit_wallet_signatures_are_unwrapped_and_reproduced() {
    let Some(recorded) = recording("signing/order_vectors.json") else {
        return;
    };
    for name in ["v1_exchange", "v2_exchange"] {
        let vector = &recorded[name];
        let wallet: Address = text(vector, "deposit_wallet").parse().unwrap();
        let owner: Address = text(vector, "signer_address").parse().unwrap();
        let terms = &vector["order"];
        let order = Order {
            salt: U256::from(1),
            maker: wallet,
            signer: wallet,
            tokenId: U256::from(1),
            makerAmount: U256::from(terms["maker_amount"].as_u64().unwrap()),
            takerAmount: U256::from(terms["taker_amount"].as_u64().unwrap()),
            side: 0,
            signatureType: 3,
            timestamp: U256::ZERO,
            metadata: B256::ZERO,
            builder: B256::ZERO,
        };
        // The first vector's contract is the dead first exchange, under the domain version of
        // today: the client that made it knows no other.
        let domain = order_domain("2", text(vector, "exchange").parse().unwrap());
        assert_eq!(domain.separator(), word(vector, "app_domain_separator"));
        assert_eq!(order.eip712_hash_struct(), word(vector, "contents_hash"));
        let digest = wallet_digest(&order, &domain);
        assert_eq!(digest, word(vector, "envelope_digest"));
        assert_eq!(sign(TEST_KEY, &digest), bytes(vector, "inner_signature"));

        let wire = bytes(vector, "wrapped_signature");
        assert_eq!(wire, wrap(TEST_KEY, &order, &domain));
        assert_eq!(signer_of(&order, &domain, &wire), Ok(owner));
        assert_eq!(
            signer_of(&order, &Contract::V3.domain(), &wire),
            Err(SignatureFault::WrongWrapper)
        );
        assert_eq!(
            signer_of(&order, &domain, &wire[..wire.len() - 1]),
            Err(SignatureFault::Malformed)
        );

        let session = bytes(vector, "session_signature");
        let key: Address = text(vector, "session_signer").parse().unwrap();
        assert_eq!(unwrap_session(&session), Some((key, wire.as_slice())));
        assert_eq!(
            signer_of(&order, &domain, &session),
            Err(SignatureFault::Session)
        );
    }
}

/// Signs an order of a deposit wallet as its owner.
pub(in crate::sandbox::trading) fn wrap(
    key: &str,
    order: &Order,
    domain: &Eip712Domain,
) -> Vec<u8> {
    let mut wire = sign(key, &wallet_digest(order, domain));
    wire.extend_from_slice(domain.separator().as_slice());
    wire.extend_from_slice(order.eip712_hash_struct().as_slice());
    wire.extend_from_slice(ORDER_TYPE.as_bytes());
    wire.extend_from_slice(&(ORDER_TYPE.len() as u16).to_be_bytes());
    wire
}

#[test]
fn odd_bytes_are_no_signature() {
    let digest = B256::repeat_byte(7);
    for bytes in [
        vec![],
        vec![1; 64],
        vec![1; 66],
        [vec![1; 64], vec![30]].concat(),
    ] {
        assert_eq!(recover(&digest, &bytes), Err(SignatureFault::Malformed));
    }
    assert_eq!(unwrap_wallet(&[0; 20]), None);
    assert_eq!(unwrap_wallet(&[0xff; 300]), None);
    assert_eq!(unwrap_session(&SESSION_MAGIC), None);
    assert_eq!(
        ORDER_TYPE,
        <Order as SolStruct>::eip712_root_type(),
        "the type string is the one that is hashed"
    );
}
