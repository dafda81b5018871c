//! A turn of a session's task: what its handlers send meanwhile is held back, and lies in one
//! buffer.

use std::{cell::Cell, marker::PhantomData};

use bytes::BytesMut;

/// How large the buffer is.
const BUFFER: usize = 8 * 1024;
/// What may be left of it before there is a new one.
const LEAST: usize = 512;
/// A frame for one alone.
const ALONE: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turn {
    /// Which outbox it is of; 0 for none.
    outbox: usize,
    shares: bool,
}

thread_local! {
    /// The turn on this thread.
    static TURN: Cell<Turn> = const { Cell::new(Turn { outbox: 0, shares: false }) };
    /// What is left of the buffer.
    static LEFT: Cell<BytesMut> = Cell::default();
}

/// Ends the turn when it is dropped, on the thread that began it.
#[derive(Debug)]
pub(crate) struct Cork {
    before: Turn,
    this_thread: PhantomData<*const ()>,
}

impl Cork {
    pub(super) fn begin(outbox: usize, shares: bool) -> Self {
        Self {
            before: TURN.replace(Turn { outbox, shares }),
            this_thread: PhantomData,
        }
    }

    pub(super) fn is_of(outbox: usize) -> bool {
        TURN.get().outbox == outbox
    }

    pub(super) fn make<R>(outbox: usize, make: impl FnOnce(&mut BytesMut) -> R) -> R {
        let shares = true;
        if TURN.get() != (Turn { outbox, shares }) {
            return make(&mut BytesMut::with_capacity(ALONE));
        }
        LEFT.with(|buffer| {
            // Taken, since a codec may send something itself.
            let mut left = buffer.take();
            if left.capacity() < LEAST {
                left.reserve(BUFFER);
            }
            let made = make(&mut left);
            buffer.set(left);
            made
        })
    }
}

impl Drop for Cork {
    fn drop(&mut self) {
        if TURN.replace(self.before).shares {
            // Nearly always everything is written by now. Where it is not, the peer is slow, and
            // others are not to fill a buffer that this session may hold for long.
            let mut left = LEFT.take();
            if left.try_reclaim(BUFFER) && left.capacity() <= 2 * BUFFER {
                left.clear();
                LEFT.set(left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(outbox: usize) -> BytesMut {
        Cork::make(outbox, |out| {
            out.extend_from_slice(b"frame");
            out.split()
        })
    }

    #[test]
    fn frames_of_a_turn_lie_in_one_buffer_which_is_kept_once_they_are_gone() {
        let one = {
            let _turn = Cork::begin(1, true);
            assert!(Cork::is_of(1) && !Cork::is_of(2));
            let (one, two) = (frame(1), frame(1));
            let distance = two.as_ptr().addr() - one.as_ptr().addr();
            assert_eq!(distance, 5);
            assert_ne!(frame(2).as_ptr().addr(), two.as_ptr().addr() + 5);
            let at = one.as_ptr().addr();
            drop((one, two));
            at
        };
        let _turn = Cork::begin(2, true);
        assert_eq!(frame(2).as_ptr().addr(), one);
    }

    #[test]
    fn what_is_not_written_by_the_end_of_a_turn_keeps_its_buffer_to_itself() {
        let first = {
            let _turn = Cork::begin(1, true);
            frame(1)
        };
        let _turn = Cork::begin(2, true);
        let second = frame(2);
        let distance = first.as_ptr().addr().abs_diff(second.as_ptr().addr());
        assert!(distance >= BUFFER - 5, "{distance}");
        let _nested = Cork::begin(3, false);
        assert!(!Cork::is_of(2));
    }
}
