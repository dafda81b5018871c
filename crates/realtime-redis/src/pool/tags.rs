//! Hash tags for the keys of probes, one for each slot.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// How many names are tried. There are 16,384 slots.
const NAMES: u32 = 300_000;

/// What was found by trying, for all pools of this process: each slot's first name. It is looked for
/// once a second for each connection.
static FOUND: Mutex<Option<Found>> = Mutex::new(None);

#[derive(Default)]
struct Found {
    numbers: HashMap<u16, u32>,
    tried: u32,
}

fn name(number: u32) -> String {
    format!("probe-{number}")
}

/// The tag where any slot is right.
pub(crate) fn any() -> String {
    name(0)
}

/// The tag that belongs to this slot.
pub(crate) fn of(slot: u16) -> Option<String> {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let Found { numbers, tried } = found.get_or_insert_default();
    while !numbers.contains_key(&slot) && *tried < NAMES {
        let number = *tried;
        *tried += 1;
        let slot = crate::slot(name(number).as_bytes());
        numbers.entry(slot).or_insert(number);
    }
    numbers.get(&slot).map(|number| name(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_a_tag() {
        for slot in 0..16_384 {
            let tag = of(slot).unwrap();
            assert_eq!(crate::slot(tag.as_bytes()), slot);
            assert_eq!(of(slot), Some(tag), "it stays the same");
        }
        assert_eq!(of(16_384), None);
    }
}
