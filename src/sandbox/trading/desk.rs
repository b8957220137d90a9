//! The desk between the wire and the exchange: whose wallet, which key, which order hash.

use std::collections::HashMap;
use std::time::Instant;

use alloy_primitives::{Address, B256};

use super::heartbeat::Beats;
use super::keys::{Caller, Keys};
use super::notices::Notices;
use super::order::{Fault, Posted};
use super::settlement::Failing;
use super::signing::{Contract, SignatureFault, order_hash, signer_of};
use crate::domain::{Side, Usdc};
use crate::sandbox::config::SandboxConfig;
use crate::sandbox::exchange::{
    AccountId, Exchange, NewOrder, NotCanceled, OrderNo, OrderRecord, Placed, TradeNo,
};
use crate::sandbox::faults::Faults;
use crate::sandbox::model::{OutcomeSide, SimEvent, SimMarket, World};

/// A wallet that trades: what an order calls its maker.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Wallet {
    /// Its account on the exchange.
    pub(super) account: AccountId,
    /// The key that signs for it: itself for an EOA.
    pub(super) owner: Address,
    /// 0 EOA, 1 proxy, 2 Safe, 3 deposit wallet.
    pub(super) kind: u8,
}

/// What is kept of an accepted order besides the exchange's record.
#[derive(Debug, Clone)]
pub(super) struct OrderFile {
    pub(super) hash: B256,
    pub(super) no: OrderNo,
    /// The API key that posted it.
    pub(super) key: String,
    pub(super) maker: Address,
    /// Unix seconds, 0 for none.
    pub(super) expiration: i64,
}

/// What came of an accepted order.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    pub(super) hash: B256,
    pub(super) side: Side,
    pub(super) placed: Placed,
    pub(super) trades: Vec<TradeNo>,
}

/// All that the trading side remembers.
pub(in crate::sandbox) struct Desk {
    pub(super) seed: u64,
    /// pUSD that every new wallet begins with.
    starting: Usdc,
    pub(super) keys: Keys,
    wallets: HashMap<Address, Wallet>,
    files: HashMap<B256, OrderFile>,
    hashes: HashMap<OrderNo, B256>,
    pub(super) beats: Beats,
    pub(super) failing: Failing,
    pub(super) notices: Notices,
}

impl Desk {
    pub(super) fn new(config: &SandboxConfig, faults: Faults) -> Self {
        let seed = config.seed;
        Desk {
            seed,
            starting: config.starting_balance,
            keys: Keys::new(seed, config.speed),
            wallets: HashMap::new(),
            files: HashMap::new(),
            hashes: HashMap::new(),
            beats: Beats::new(seed),
            failing: Failing::new(faults),
            notices: Notices::default(),
        }
    }

    /// Opens a wallet with the starting balance if it is not known yet. `None` if it is bound to
    /// another signer or type.
    ///
    /// On the venue a proxy's or Safe's address follows from its owner's. Here the first signer
    /// that uses an address has it: no factory's code hashes are needed, and any address will do.
    pub(super) fn wallet(
        &mut self,
        exchange: &mut Exchange,
        address: Address,
        owner: Address,
        kind: u8,
    ) -> Option<Wallet> {
        if let Some(wallet) = self.wallets.get(&address) {
            return (wallet.owner == owner && wallet.kind == kind).then(|| wallet.clone());
        }
        let account = exchange.open_account();
        if let Err(error) = exchange.deposit(account, self.starting) {
            tracing::warn!(%error, "a sandbox account starts without money");
        }
        exchange.watch_account(account, true);
        let wallet = Wallet {
            account,
            owner,
            kind,
        };
        self.wallets.insert(address, wallet.clone());
        Some(wallet)
    }

    /// A wallet by its address.
    pub(in crate::sandbox) fn find(&self, address: Address) -> Option<&Wallet> {
        self.wallets.get(&address)
    }

    /// Wallets that a key signs for, in the order of their accounts.
    pub(super) fn wallets_of(&self, owner: Address) -> Vec<(Address, &Wallet)> {
        let mut list: Vec<(Address, &Wallet)> = self
            .wallets
            .iter()
            .filter(|(_, wallet)| wallet.owner == owner)
            .map(|(address, wallet)| (*address, wallet))
            .collect();
        list.sort_unstable_by_key(|(_, wallet)| wallet.account);
        list
    }

    /// Every wallet, in the order of their accounts.
    pub(super) fn all_wallets(&self) -> Vec<(Address, &Wallet)> {
        let mut list: Vec<(Address, &Wallet)> = self
            .wallets
            .iter()
            .map(|(a, wallet)| (*a, wallet))
            .collect();
        list.sort_unstable_by_key(|(_, wallet)| wallet.account);
        list
    }

    /// The pUSD that a wallet begins with.
    pub(super) fn starting(&self) -> Usdc {
        self.starting
    }

    /// The file of an order by its number.
    pub(super) fn file_of(&self, order: OrderNo) -> Option<&OrderFile> {
        self.files.get(self.hashes.get(&order)?)
    }

    /// The file of an order if it belongs to one of the caller's wallets.
    pub(super) fn own_file(&self, hash: &B256, caller: &Caller) -> Option<&OrderFile> {
        let file = self.files.get(hash)?;
        (self.wallets.get(&file.maker)?.owner == caller.address).then_some(file)
    }

    /// Verifies and places one order of a caller. Errors: as the venue words them.
    pub(super) fn place(
        &mut self,
        world: &mut World,
        caller: &Caller,
        posted: &Posted,
    ) -> Result<Accepted, Fault> {
        if posted.owner != caller.key {
            return Err(Fault::bad(
                "the order owner has to be the owner of the API KEY",
            ));
        }
        let (market, outcome, contract) = listing(world, &posted.token)?;
        let signer = verified(posted, contract)?;
        // The signer of a deposit wallet's order is the wallet: its owner's key is asked for.
        if signer != caller.address {
            return Err(Fault::bad(
                "the order signer address has to be the address of the API KEY",
            ));
        }
        let hash = order_hash(&posted.order, &contract.domain());
        if self.files.contains_key(&hash) {
            return Err(Fault::bad(format!("order {hash} is invalid. Duplicated.")));
        }
        let tif = posted.tif()?;
        let Some(terms) = world.exchange.terms(market.idx()) else {
            return Err(Fault::market_not_found());
        };
        let (price, quantity) = posted.terms(terms.tick, &hash)?;
        let (key, at) = (market.idx(), world.now);
        let kind = posted.order.signatureType;
        let maker = posted.order.maker;
        let Some(wallet) = self.wallet(&mut world.exchange, maker, signer, kind) else {
            return Err(Fault::bad(
                "the order owner has to be the owner of the API KEY",
            ));
        };
        let placed = world
            .place(NewOrder {
                account: wallet.account,
                market: key,
                outcome,
                side: posted.side,
                price,
                quantity,
                tif,
                post_only: posted.post_only,
                at,
            })
            .map_err(|refusal| Fault::of(refusal, &hash))?;
        let trades = world
            .exchange
            .fills()
            .iter()
            .filter_map(|fill| fill.trade)
            .collect();
        self.hashes.insert(placed.order, hash);
        let file = OrderFile {
            hash,
            no: placed.order,
            key: caller.key.clone(),
            maker,
            expiration: posted.expiration,
        };
        self.files.insert(hash, file);
        self.failing.mark(world);
        Ok(Accepted {
            hash,
            side: posted.side,
            placed,
            trades,
        })
    }

    /// Takes out one of the caller's orders. Errors: the venue's reason.
    pub(super) fn cancel(
        &self,
        world: &mut World,
        caller: &Caller,
        hash: &B256,
    ) -> Result<(), NotCanceled> {
        let file = self.own_file(hash, caller).ok_or(NotCanceled::Unknown)?;
        world.cancel(file.no)
    }

    /// Takes out all of the caller's orders, or those in one market or of one token; gives their
    /// hashes.
    pub(super) fn cancel_all(
        &self,
        world: &mut World,
        caller: &Caller,
        filter: impl Fn(&OrderRecord, &OrderFile) -> bool,
    ) -> Vec<B256> {
        let found: Vec<(OrderNo, B256)> = self
            .open_orders(&world.exchange, caller)
            .into_iter()
            .filter(|(record, file)| filter(record, file))
            .map(|(_, file)| (file.no, file.hash))
            .collect();
        found
            .into_iter()
            .filter(|(no, _)| world.cancel(*no).is_ok())
            .map(|(_, hash)| hash)
            .collect()
    }

    /// The caller's resting orders, oldest first.
    pub(super) fn open_orders<'a>(
        &'a self,
        exchange: &'a Exchange,
        caller: &Caller,
    ) -> Vec<(&'a OrderRecord, &'a OrderFile)> {
        let mut list: Vec<_> = self
            .wallets_of(caller.address)
            .into_iter()
            .flat_map(|(_, wallet)| exchange.open_orders(wallet.account))
            .filter_map(|record| Some((record, self.file_of(record.order)?)))
            .collect();
        list.sort_unstable_by_key(|(record, _)| record.order);
        list
    }

    /// Cancels every order of the keys whose heartbeat has stopped.
    pub(super) fn stop_silent(&mut self, world: &mut World, now: Instant) {
        for key in self.beats.silent(now) {
            let orders: Vec<OrderNo> = self
                .files
                .values()
                .filter(|file| file.key == key)
                .filter(|file| world.exchange.resting(file.no).is_some())
                .map(|file| file.no)
                .collect();
            tracing::info!(
                orders = orders.len(),
                "a heartbeat stopped: its key's orders go"
            );
            for order in orders {
                if let Err(reason) = world.cancel(order) {
                    tracing::debug!(%reason, "an order ended before its heartbeat did");
                }
            }
        }
    }
}

/// Market, outcome and contract of a token. Errors: no such token.
fn listing<'a>(
    world: &'a World,
    token: &str,
) -> Result<(&'a SimMarket, OutcomeSide, Contract), Fault> {
    let (market, event, outcome) = world.by_token(token).ok_or_else(Fault::market_not_found)?;
    Ok((market, outcome, contract_of(event)))
}

/// The contract that an event's markets trade on.
pub(super) fn contract_of(event: &SimEvent) -> Contract {
    Contract::of(event.version, event.neg_risk)
}

/// Who signed. A signature that is right for the other domain version is told apart: then the
/// client has an outdated idea of the market's version.
fn verified(posted: &Posted, contract: Contract) -> Result<Address, Fault> {
    let check =
        |contract: Contract| signer_of(&posted.order, &contract.domain(), &posted.signature);
    match check(contract) {
        Ok(signer) => Ok(signer),
        Err(SignatureFault::Session) => Err(Fault::bad(SignatureFault::Session.to_string())),
        Err(_) => {
            let outdated = Contract::ALL
                .into_iter()
                .filter(|other| (*other == Contract::V3) != (contract == Contract::V3))
                .any(|other| check(other).is_ok());
            Err(Fault::bad(if outdated {
                "order_version_mismatch"
            } else {
                "invalid signature"
            }))
        }
    }
}
