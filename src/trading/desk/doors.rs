//! Purchases that a limit of the account refuses whatever they are: the first of each strategy are judged and
//! logged with their numbers, the others are counted.
//!
//! A strategy that has all that its limit allows still finds something in every tick, maybe in hundreds of
//! markets. Each would be logged, sized, judged and refused with the same words, tick after tick.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use crate::domain::{MarketId, Side, StrategyName};

use super::super::config::Mode;
use super::super::risk::RiskGate;
use super::wishes::{LateLooks, Purchase, Wish};

/// So many purchases of a strategy are heard in each tick, whatever becomes of them: who looks at the log sees
/// what it would do.
pub(super) const HEARD: u32 = 3;

/// Which strategies may buy in this tick.
#[derive(Debug)]
pub(super) struct Doors<'w> {
    of: Vec<Door>,
    /// By place of the strategy that found something in quiet markets.
    of_late: Vec<Option<usize>>,
    /// Markets in which a strategy wants something that may buy: there all are heard, since they may
    /// agree or contradict each other.
    heard: HashSet<&'w MarketId, RandomState>,
}

/// What is known of one strategy's purchases.
#[derive(Debug)]
pub(super) struct Door {
    pub strategy: StrategyName,
    /// The limit that refuses all of them.
    pub shut_by: Option<&'static str>,
    /// How many have been let through, to be told why.
    told: u32,
    /// How many have been counted.
    pub counted: u32,
}

impl<'w> Doors<'w> {
    /// As the account stands before any of the wishes is traded.
    pub(super) fn new(gate: &RiskGate<'_>, wishes: &[Purchase<'w>], late: &LateLooks<'w>) -> Self {
        let mut doors = Doors {
            of: Vec::new(),
            of_late: Vec::new(),
            heard: HashSet::default(),
        };
        // A sale may make room for a purchase after it.
        let sells =
            |wish: &Purchase<'_>| matches!(wish, Wish::Known(signal) if signal.side == Side::Sell);
        if gate.mode == Mode::Monitor || wishes.iter().any(sells) {
            return doors;
        }
        for wish in wishes {
            doors.learn_of(gate, wish, late);
        }
        let is_open = |door: &Door| door.shut_by.is_none();
        if doors.of.iter().any(is_open) && !doors.of.iter().all(is_open) {
            let open = wishes.iter().filter(|wish| {
                let door = doors.place_of(wish).and_then(|place| doors.of.get(place));
                door.is_some_and(is_open)
            });
            doors.heard = open.filter_map(|wish| market(wish, late)).collect();
        }
        doors
    }

    fn learn_of(&mut self, gate: &RiskGate<'_>, wish: &Purchase<'_>, late: &LateLooks<'_>) {
        if self.place_of(wish).is_some() {
            return;
        }
        let strategy = match wish {
            Wish::Known(signal) => signal.strategy.clone(),
            Wish::Late(of, ()) => StrategyName::new(late.name(*of)),
        };
        let known = self.of.iter().position(|door| door.strategy == strategy);
        let place = known.unwrap_or_else(|| {
            self.of.push(Door {
                shut_by: gate.shut_to(&strategy),
                strategy,
                told: 0,
                counted: 0,
            });
            self.of.len() - 1
        });
        if let Wish::Late(of, ()) = wish {
            if self.of_late.len() <= of.strategy {
                self.of_late.resize(of.strategy + 1, None);
            }
            if let Some(known) = self.of_late.get_mut(of.strategy) {
                *known = Some(place);
            }
        }
    }

    fn place_of(&self, wish: &Purchase<'_>) -> Option<usize> {
        match wish {
            Wish::Known(signal) => self
                .of
                .iter()
                .position(|door| door.strategy == signal.strategy),
            Wish::Late(of, ()) => *self.of_late.get(of.strategy)?,
        }
    }

    /// Whether this wish is only counted; it is, then.
    pub(super) fn counts(&mut self, wish: &Purchase<'w>, late: &LateLooks<'w>) -> bool {
        let place = self.place_of(wish);
        let Some(door) = place.and_then(|place| self.of.get_mut(place)) else {
            return false;
        };
        if door.shut_by.is_none() {
            return false;
        }
        if door.told < HEARD {
            door.told += 1;
            return false;
        }
        if !self.heard.is_empty()
            && market(wish, late).is_some_and(|market| self.heard.contains(market))
        {
            return false;
        }
        door.counted += 1;
        true
    }

    /// What came of it.
    pub(super) fn into_counted(self) -> impl Iterator<Item = Door> {
        self.of.into_iter().filter(|door| door.counted > 0)
    }
}

fn market<'w>(wish: &Purchase<'w>, late: &LateLooks<'w>) -> Option<&'w MarketId> {
    match wish {
        Wish::Known(signal) => Some(&signal.market_id),
        Wish::Late(of, ()) => Some(&late.view(*of)?.market.id),
    }
}
