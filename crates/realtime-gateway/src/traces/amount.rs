//! How much is traced: by chance, and because clients say so.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use crate::sync::Mutex;

/// Of so many, one is traced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share(u64);

impl Share {
    /// Of 2³² equally likely numbers, those below it.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 0 to 1, which was checked"
    )]
    pub(super) fn new(ratio: f64) -> Self {
        Self((ratio * 2f64.powi(32)) as u64)
    }

    #[inline]
    pub(super) fn has_luck(self) -> bool {
        u64::from(fastrand::u32(..)) < self.0
    }
}

/// How many traces of clients are followed in a second.
#[derive(Debug)]
pub(super) struct Followed {
    most: NonZeroU32,
    /// Since when it is counted, and how many there were.
    so_far: Mutex<(Instant, u32)>,
}

impl Followed {
    pub(super) fn new(most: NonZeroU32) -> Self {
        Self {
            most,
            so_far: Mutex::new((Instant::now(), 0)),
        }
    }

    /// Whether there is a place for one more, which is taken then.
    pub(super) fn has_place(&self, now: Instant) -> bool {
        let mut so_far = self.so_far.lock();
        let (since, count) = &mut *so_far;
        if now.saturating_duration_since(*since) >= Duration::from_secs(1) {
            (*since, *count) = (now, 0);
        }
        let has_place = *count < self.most.get();
        *count += u32::from(has_place);
        has_place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_followed_in_a_second_and_no_more() {
        let followed = Followed::new(NonZeroU32::new(2).unwrap());
        let now = Instant::now();
        let asked = |after: u64| followed.has_place(now + Duration::from_millis(after));
        assert_eq!([0, 0, 999].map(asked), [true, true, false]);
        assert_eq!([1_001, 1_500, 1_999].map(asked), [true, true, false]);
    }
}
