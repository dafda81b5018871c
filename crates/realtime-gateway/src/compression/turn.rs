//! How much a thread compresses or inflates before others have a turn.

use std::cell::Cell;

/// After so many bytes, as they are plain, others have a turn.
pub(super) const TURN: usize = 128 * 1024;

thread_local! {
    static COMPRESSED: Cell<usize> = const { Cell::new(0) };
}

/// So many bytes were compressed by this thread.
pub(super) fn spend(bytes: usize) {
    // A thread that ends has no turns.
    let _counted = COMPRESSED.try_with(|spent| spent.set(spent.get().wrapping_add(bytes)));
}

fn spent() -> usize {
    COMPRESSED.try_with(Cell::get).unwrap_or_default()
}

/// The turn of a task on the thread that polls it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    begun: usize,
}

impl Turn {
    pub(crate) fn begin() -> Self {
        Self { begun: spent() }
    }

    /// Whether so much was compressed since it began that others are to have one.
    pub(crate) fn is_over(self) -> bool {
        spent().wrapping_sub(self.begun) >= TURN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_over_once_enough_was_compressed_in_it() {
        spend(TURN);
        let turn = Turn::begin();
        assert!(!turn.is_over(), "what was before it doesn't count");
        spend(TURN - 1);
        assert!(!turn.is_over());
        spend(1);
        assert!(turn.is_over());
        assert!(!Turn::begin().is_over());
    }
}
