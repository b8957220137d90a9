//! A state that was written down and read again goes on as the ledger that wrote it.

use proptest::prelude::*;

use super::random::{Input, Life, input};
use crate::domain::StampedEvent;
use crate::trading::ledger::Ledger;

fn replay(mut ledger: Ledger, events: &[StampedEvent]) -> Ledger {
    for event in events {
        ledger.apply(event).unwrap();
    }
    ledger
}

/// A life of an account that has been lived.
fn lived(inputs: Vec<Input>) -> Life {
    let mut life = Life::new(false);
    for input in inputs {
        life.play(input);
    }
    life
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn checkpoint_and_later_events_give_the_state_that_all_events_give(
        inputs in prop::collection::vec(input(), 1..60),
        cut in 0.0_f64..=1.0,
    ) {
        let life = lived(inputs);
        let events = &life.account.events;
        let at = (cut * events.len() as f64) as usize;
        let (before, after) = events.split_at(at);
        let written = replay(Ledger::default(), before);
        let bytes = written.to_checkpoint().unwrap();
        let read = Ledger::from_checkpoint(written.seq(), &bytes).unwrap();
        prop_assert_eq!(&read, &written);
        let resumed = replay(read, after);
        prop_assert_eq!(&resumed, &replay(Ledger::default(), events));
        prop_assert_eq!(&resumed, &life.account.ledger);
        // Byte for byte: whatever is decided next is decided alike.
        prop_assert_eq!(
            resumed.to_checkpoint().unwrap(),
            life.account.ledger.to_checkpoint().unwrap()
        );
    }
}
