//! How much is traced: by chance, and because clients say so.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use crate::sync::Mutex;

/// Of so many, one is traced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// Of 2³² equally likely numbers, those below it.
    below: u64,
    /// The logarithm of how likely it is that one isn't.
    unlucky: f64,
}

/// How many messages of a session go by before one has the luck to begin a trace.
///
/// Drawn in advance, since that one number is drawn for a hundred messages where one in a hundred is
/// traced, and none where none is. All that the others pay is to be counted.
#[derive(Debug)]
pub(crate) struct Luck(u64);

impl Luck {
    /// Never.
    pub(super) const NONE: Self = Self(u64::MAX);

    /// Whether the next message has it. After that, it is drawn anew.
    #[inline]
    pub(super) const fn strikes(&mut self) -> bool {
        let strikes = self.0 == 0;
        self.0 = self.0.wrapping_sub(1);
        strikes
    }
}

impl Share {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "it is from 0 to 1, which was checked, and has 32 bits"
    )]
    pub(super) fn new(ratio: f64) -> Self {
        let below = (ratio * 2f64.powi(32)) as u64;
        Self {
            below,
            unlucky: (-(below as f64) / 2f64.powi(32)).ln_1p(),
        }
    }

    #[inline]
    pub(super) fn has_luck(self) -> bool {
        u64::from(fastrand::u32(..)) < self.below
    }

    /// As many go by as would if each had the same luck by itself: a geometric distribution.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a quotient of logarithms that is positive, and rounded down"
    )]
    pub(super) fn draw(self) -> Luck {
        if self.below == 0 {
            return Luck::NONE;
        }
        // Above 0, whose logarithm is infinite, and 1 at the most.
        let drawn = 1.0 - fastrand::f64();
        Luck((drawn.ln() / self.unlucky) as u64)
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

    #[test]
    fn so_many_messages_have_the_luck_as_there_should_be() {
        const MESSAGES: u32 = 200_000;
        for ratio in [0.0, 2f64.powi(-32), 0.01, 0.25, 0.9, 1.0] {
            let share = Share::new(ratio);
            let mut luck = share.draw();
            let mut lucky = 0;
            for _ in 0..MESSAGES {
                if luck.strikes() {
                    lucky += 1;
                    luck = share.draw();
                }
            }
            let expected = ratio * f64::from(MESSAGES);
            // Eight times the standard deviation.
            let apart = 8.0 * (expected * (1.0 - ratio)).sqrt() + f64::from(ratio > 0.0);
            let is_near = (f64::from(lucky) - expected).abs() <= apart;
            assert!(is_near, "{lucky} of {MESSAGES} at {ratio}");
        }
    }
}
