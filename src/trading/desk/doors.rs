//! Purchases that a limit of the account refuses whatever else they are: the first of each strategy are judged
//! and logged with their numbers, the others are counted.
//!
//! A strategy that has all that its limit allows still finds something in every tick, maybe in hundreds of
//! markets. Each would be logged, sized, judged and refused with the same words, tick after tick.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use crate::domain::{MarketId, Price, Rounding, Shares, Side, StrategyName, Usdc, notional};

use super::super::config::{Mode, SizingMethod};
use super::super::risk::{Leeway, RiskGate};
use super::super::venue_rules::MIN_MARKETABLE_BUY;
use super::wishes::{LateLooks, Wish};

/// So many purchases of a strategy are heard in each tick, whatever becomes of them: who looks at the log sees
/// what it would do.
pub(super) const HEARD: u32 = 3;

/// Which purchases may pass in this tick.
#[derive(Debug)]
pub(super) struct Doors<'w> {
    sizing: SizingMethod,
    of: Vec<Door>,
    /// By place of the strategy that found something in quiet markets.
    of_late: Vec<Option<usize>>,
    /// Markets in which something is wanted that may pass: there all are heard, since they may agree or
    /// contradict each other.
    heard: HashSet<&'w MarketId, RandomState>,
}

/// What is known of one strategy's purchases.
#[derive(Debug)]
pub(super) struct Door {
    pub strategy: StrategyName,
    leeway: Leeway,
    /// How many have been let through, to be told why.
    told: u32,
    /// Limits, and how many have been counted under each.
    pub counted: Vec<(&'static str, u32)>,
}

impl<'w> Doors<'w> {
    /// As the account stands before any of the wishes is traded. Purchases only take from what the limits
    /// leave, so that what is refused now is refused later in the tick.
    pub(super) fn new(
        gate: &RiskGate<'_>,
        sizing: SizingMethod,
        wishes: &[Wish<'w>],
        late: &LateLooks<'w>,
    ) -> Self {
        let mut doors = Doors {
            sizing,
            of: Vec::new(),
            of_late: Vec::new(),
            heard: HashSet::default(),
        };
        // A sale may make room for a purchase after it.
        let sells =
            |wish: &Wish<'_>| matches!(wish, Wish::Known(signal) if signal.side == Side::Sell);
        if gate.mode == Mode::Monitor || wishes.iter().any(sells) {
            return doors;
        }
        for wish in wishes {
            doors.learn_of(gate, wish, late);
        }
        let may_pass = |wish: &&Wish<'w>| doors.refused_by(wish, late).is_none();
        let passing = wishes.iter().filter(may_pass).count();
        if passing > 0 && passing < wishes.len() {
            let passing = wishes.iter().filter(may_pass);
            doors.heard = passing.filter_map(|wish| market(wish, late)).collect();
        }
        doors
    }

    fn learn_of(&mut self, gate: &RiskGate<'_>, wish: &Wish<'_>, late: &LateLooks<'_>) {
        if self.place_of(wish).is_some() {
            return;
        }
        let strategy = match wish {
            Wish::Known(signal) => signal.strategy.clone(),
            Wish::Late(of) => StrategyName::new(late.name(of.strategy)),
        };
        let known = self.of.iter().position(|door| door.strategy == strategy);
        let place = known.unwrap_or_else(|| {
            self.of.push(Door {
                leeway: gate.leeway(&strategy),
                strategy,
                told: 0,
                counted: Vec::new(),
            });
            self.of.len() - 1
        });
        if let Wish::Late(of) = wish {
            if self.of_late.len() <= of.strategy {
                self.of_late.resize(of.strategy + 1, None);
            }
            if let Some(known) = self.of_late.get_mut(of.strategy) {
                *known = Some(place);
            }
        }
    }

    fn place_of(&self, wish: &Wish<'_>) -> Option<usize> {
        match wish {
            Wish::Known(signal) => self
                .of
                .iter()
                .position(|door| door.strategy == signal.strategy),
            Wish::Late(of) => *self.of_late.get(of.strategy)?,
        }
    }

    /// The least that an order for this wish costs, pUSD, fee not counted.
    fn least(&self, wish: &Wish<'_>, late: &LateLooks<'_>) -> Usdc {
        let size = match self.sizing {
            SizingMethod::Fixed => match wish {
                Wish::Known(signal) => Some(signal.size),
                Wish::Late(of) => late.purchase_size(*of),
            },
            // Such a bet is cut to what the limits leave, as long as the venue takes it.
            SizingMethod::Kelly | SizingMethod::FractionalKelly => None,
        };
        // Whole lots are bought: a part of one, of up to 1 pUSD a share, is left out.
        let lot = notional(Price::ONE, Shares::LOT, Rounding::Up).unwrap_or(Usdc::ZERO);
        let size = size.map(|size| size.minus(lot));
        size.map_or(MIN_MARKETABLE_BUY, |size| size.max(MIN_MARKETABLE_BUY))
    }

    /// The limit that refuses this wish whatever else it is; `None` where it may pass.
    fn refused_by(&self, wish: &Wish<'_>, late: &LateLooks<'_>) -> Option<&'static str> {
        let door = self.of.get(self.place_of(wish)?)?;
        door.leeway.refuses(self.least(wish, late))
    }

    /// Whether this wish is only counted; it is, then.
    pub(super) fn counts(&mut self, wish: &Wish<'w>, late: &LateLooks<'w>) -> bool {
        let Some(limit) = self.refused_by(wish, late) else {
            return false;
        };
        let place = self.place_of(wish);
        let Some(door) = place.and_then(|place| self.of.get_mut(place)) else {
            return false;
        };
        if door.told < HEARD {
            door.told += 1;
            return false;
        }
        if !self.heard.is_empty()
            && market(wish, late).is_some_and(|market| self.heard.contains(market))
        {
            return false;
        }
        match door.counted.iter_mut().find(|(of, _)| *of == limit) {
            Some((_, count)) => *count += 1,
            None => door.counted.push((limit, 1)),
        }
        true
    }

    /// What came of it.
    pub(super) fn into_counted(self) -> impl Iterator<Item = Door> {
        self.of.into_iter()
    }
}

fn market<'w>(wish: &Wish<'w>, late: &LateLooks<'w>) -> Option<&'w MarketId> {
    match wish {
        Wish::Known(signal) => Some(&signal.market_id),
        Wish::Late(of) => Some(&late.view(*of)?.market.id),
    }
}
