//! What is signed, and by whom: the venue's EIP-712 types, its three exchange contracts, recovery.
//!
//! Sources: the venue's docs on authentication and orders, and the official client's typed data
//! (`fixtures/signing`). Chain 137 throughout.

use alloy_primitives::{Address, B256, Signature, U256, address, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain, sol};

use crate::sandbox::model::Version;

/// Polygon.
const CHAIN: u64 = 137;
/// The sentence that an L1 signature attests.
const ATTESTATION: &str = "This message attests that I control the given wallet";
/// Bytes of an ECDSA signature: r, s, v.
pub(super) const SIGNATURE_BYTES: usize = 65;

sol! {
    /// What is signed to get an API key.
    #[derive(Debug)]
    struct ClobAuth {
        address address;
        string timestamp;
        uint256 nonce;
        string message;
    }

    /// An order as it is signed. `expiration` is sent beside it, unsigned.
    #[derive(Debug, PartialEq, Eq)]
    struct Order {
        uint256 salt;
        address maker;
        address signer;
        uint256 tokenId;
        uint256 makerAmount;
        uint256 takerAmount;
        uint8 side;
        uint8 signatureType;
        uint256 timestamp;
        bytes32 metadata;
        bytes32 builder;
    }

    /// ERC-7739's nesting: an order inside the typed data of the contract wallet that signs it.
    #[derive(Debug)]
    struct TypedDataSign {
        Order contents;
        string name;
        string version;
        uint256 chainId;
        address verifyingContract;
        bytes32 salt;
    }
}

/// The type string of an order: the wrapper of a deposit wallet's signature repeats it.
pub(super) const ORDER_TYPE: &str = "Order(uint256 salt,address maker,address signer,\
uint256 tokenId,uint256 makerAmount,uint256 takerAmount,uint8 side,uint8 signatureType,\
uint256 timestamp,bytes32 metadata,bytes32 builder)";

/// Why a signature is not the claimed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::sandbox) enum SignatureFault {
    /// Not `r ‖ s ‖ v` with v of 27/28 (or 0/1), nor a wrapper around it.
    #[error("the signature is malformed")]
    Malformed,
    /// `s` lies in the upper half: a second valid form of another signature, which the contracts
    /// refuse (EIP-2, OpenZeppelin's ECDSA).
    #[error("the signature is not in its low-s form")]
    HighS,
    /// Somebody else's key, or another message: wrong domain, wrong contract, changed field.
    #[error("the signature is not by the signer of the order")]
    WrongSigner,
    /// The wrapper names another domain, another order or another type than the order's.
    #[error("the signature's wrapper does not belong to the order")]
    WrongWrapper,
    /// A session key's signature: its authorisation lives on chain, where the sandbox has nothing.
    #[error("session signers are not supported")]
    Session,
}

/// The contract that settles a market's orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::sandbox) enum Contract {
    /// v1 markets outside neg-risk events.
    Standard,
    /// v1 markets of neg-risk events.
    NegRisk,
    /// Protocol V2, neg-risk or not.
    V3,
}

impl Contract {
    /// Which contract a market trades on: chosen by its version, then by neg-risk.
    pub(super) fn of(version: Version, neg_risk: bool) -> Self {
        match (version, neg_risk) {
            (Version::V2, _) => Contract::V3,
            (Version::V1, true) => Contract::NegRisk,
            (Version::V1, false) => Contract::Standard,
        }
    }

    /// Address on chain 137.
    pub(super) fn address(self) -> Address {
        match self {
            Contract::Standard => address!("E111180000d2663C0091e4f400237545B87B996B"),
            Contract::NegRisk => address!("e2222d279d744050d28e00520010520000310F59"),
            Contract::V3 => address!("e3333700cA9d93003F00f0F71f8515005F6c00Aa"),
        }
    }

    /// The three, in the order in which allowances are listed.
    pub(super) const ALL: [Contract; 3] = [Contract::Standard, Contract::NegRisk, Contract::V3];

    /// EIP-712 domain of its orders.
    pub(super) fn domain(self) -> Eip712Domain {
        let version = match self {
            Contract::Standard | Contract::NegRisk => "2",
            Contract::V3 => "3",
        };
        order_domain(version, self.address())
    }
}

/// The domain of an exchange contract.
pub(super) fn order_domain(version: &'static str, contract: Address) -> Eip712Domain {
    eip712_domain! {
        name: "Polymarket CTF Exchange",
        version: version,
        chain_id: CHAIN,
        verifying_contract: contract,
    }
}

/// What an L1 signature signs.
pub(super) fn auth_digest(address: Address, timestamp: &str, nonce: U256) -> B256 {
    let domain = eip712_domain! {
        name: "ClobAuthDomain",
        version: "1",
        chain_id: CHAIN,
    };
    let message = ClobAuth {
        address,
        timestamp: timestamp.to_owned(),
        nonce,
        message: ATTESTATION.to_owned(),
    };
    message.eip712_signing_hash(&domain)
}

/// The EIP-712 hash of an order. It is also the order's id on the venue: certain in the first
/// generation of contracts, believed unchanged since (no recording shows both, see the docs).
pub(super) fn order_hash(order: &Order, domain: &Eip712Domain) -> B256 {
    order.eip712_signing_hash(domain)
}

/// What the owner of a deposit wallet signs for an order of that wallet.
pub(super) fn wallet_digest(order: &Order, domain: &Eip712Domain) -> B256 {
    let nested = TypedDataSign {
        contents: order.clone(),
        name: "DepositWallet".to_owned(),
        version: "1".to_owned(),
        chainId: U256::from(CHAIN),
        verifyingContract: order.signer,
        salt: B256::ZERO,
    };
    nested.eip712_signing_hash(domain)
}

/// The address whose key made `signature` over `digest`.
pub(super) fn recover(digest: &B256, signature: &[u8]) -> Result<Address, SignatureFault> {
    let signature = Signature::from_raw(signature).map_err(|_| SignatureFault::Malformed)?;
    if signature.normalize_s().is_some() {
        return Err(SignatureFault::HighS);
    }
    signature
        .recover_address_from_prehash(digest)
        .map_err(|_| SignatureFault::WrongSigner)
}

/// The parts of a deposit wallet's wire signature: inner signature ‖ app domain separator ‖
/// contents hash ‖ type string ‖ its length in two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wrapped<'a> {
    pub(super) inner: &'a [u8],
    pub(super) separator: B256,
    pub(super) contents: B256,
    pub(super) type_string: &'a [u8],
}

/// Takes a deposit wallet's signature apart; `None` where the lengths do not fit.
pub(super) fn unwrap_wallet(bytes: &[u8]) -> Option<Wrapped<'_>> {
    let (rest, length) = bytes.split_last_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (rest, type_string) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
    let (rest, contents) = rest.split_last_chunk::<32>()?;
    let (inner, separator) = rest.split_last_chunk::<32>()?;
    (inner.len() == SIGNATURE_BYTES).then_some(Wrapped {
        inner,
        separator: B256::from(*separator),
        contents: B256::from(*contents),
        type_string,
    })
}

/// What ends a session key's signature.
const SESSION_MAGIC: [u8; 32] = {
    let mut bytes = [0x64; 32];
    let mut at = 1;
    while at < 32 {
        #[expect(clippy::indexing_slicing, reason = "a constant loop over 32 bytes")]
        {
            bytes[at] = 0x92;
        }
        at += 2;
    }
    bytes
};

/// The session key and the wallet signature of `abi(bytes32 key, bytes32 0, bytes signature) ‖
/// magic`; `None` for anything else.
pub(super) fn unwrap_session(bytes: &[u8]) -> Option<(Address, &[u8])> {
    let payload = bytes.strip_suffix(&SESSION_MAGIC)?;
    let (key, rest) = payload.split_first_chunk::<32>()?;
    let (_, rest) = rest.split_first_chunk::<32>()?;
    let (offset, rest) = rest.split_first_chunk::<32>()?;
    let (length, rest) = rest.split_first_chunk::<32>()?;
    if U256::from_be_bytes(*offset) != U256::from(96) {
        return None;
    }
    let length = usize::try_from(U256::from_be_bytes(*length)).ok()?;
    Some((Address::from_word(B256::from(*key)), rest.get(..length)?))
}

/// Who signed an order, whatever its signature type. Errors: see [`SignatureFault`].
///
/// * 0 (EOA), 1 (proxy), 2 (Safe): a plain signature over the order, by its `signer`.
/// * 3 (deposit wallet): the wallet is maker and signer; the answer is the key that owns it.
pub(super) fn signer_of(
    order: &Order,
    domain: &Eip712Domain,
    signature: &[u8],
) -> Result<Address, SignatureFault> {
    if order.signatureType != 3 {
        let signer = recover(&order_hash(order, domain), signature)?;
        return if signer == order.signer {
            Ok(signer)
        } else {
            Err(SignatureFault::WrongSigner)
        };
    }
    if unwrap_session(signature).is_some() {
        return Err(SignatureFault::Session);
    }
    let wrapped = unwrap_wallet(signature).ok_or(SignatureFault::Malformed)?;
    if wrapped.separator != domain.separator()
        || wrapped.contents != order.eip712_hash_struct()
        || wrapped.type_string != ORDER_TYPE.as_bytes()
    {
        return Err(SignatureFault::WrongWrapper);
    }
    recover(&wallet_digest(order, domain), wrapped.inner)
}

/// A pseudo-random value made from parts, for keys, secrets and transaction hashes.
pub(super) fn derived(label: &str, parts: &[&[u8]]) -> B256 {
    let mut bytes = label.as_bytes().to_vec();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    keccak256(bytes)
}

#[cfg(test)]
pub(super) mod tests;
