//! What one session may send by itself. Nobody else takes of that, so of what came at the same moment
//! only the first two messages ask the buckets; the others take of what those had left, and that is
//! told to the buckets later. What they have left is a division, which a message that comes alone
//! doesn't pay for.

use std::time::Duration;

use super::{Meter, Moment, Rates};

#[derive(Debug)]
pub(super) struct OwnMeter {
    meter: Meter,
    /// When the buckets were asked.
    at: Moment,
    /// How much can still be taken at that moment.
    left: Amount,
    /// What was taken at that moment and they haven't been told.
    owed: Amount,
}

/// Of a bucket that isn't there, there is as much as can be counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) messages: u32,
    pub(super) bytes: u32,
}

impl OwnMeter {
    pub(super) fn new(rates: Rates, now: Moment) -> Self {
        Self {
            meter: Meter::new(rates, now),
            at: now,
            left: Amount::default(),
            owed: Amount::default(),
        }
    }

    /// A message of so many bytes; the error is how long it takes until it would be accepted.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize, now: Moment) -> Result<(), Duration> {
        if now == self.at
            && let Some(messages) = self.left.messages.checked_sub(1)
            && let Ok(bytes) = u32::try_from(bytes.max(1))
            && let Some(bytes_left) = self.left.bytes.checked_sub(bytes)
        {
            self.left = Amount {
                messages,
                bytes: bytes_left,
            };
            self.owed.messages += 1;
            self.owed.bytes += bytes;
            return Ok(());
        }
        self.ask(bytes, now)
    }

    #[inline(never)]
    fn ask(&mut self, bytes: usize, now: Moment) -> Result<(), Duration> {
        self.settle();
        let is_second = now == self.at;
        (self.at, self.left) = (now, Amount::default());
        let lefts = self.meter.take(bytes, now)?;
        if is_second {
            self.left = lefts.amount();
        }
        Ok(())
    }

    /// How long it takes until a message of so many bytes would be accepted.
    #[cold]
    pub(super) fn wait(&mut self, bytes: usize, now: Moment) -> Duration {
        self.settle();
        self.meter.wait(bytes, now)
    }

    fn settle(&mut self) {
        let owed = std::mem::take(&mut self.owed);
        if owed.messages > 0 {
            self.meter.book(owed, self.at);
        }
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;
    use crate::config::Rate;

    /// Whatever comes, and when, it is as if each message had asked the buckets.
    #[test]
    fn it_says_what_the_buckets_would_have_said() {
        let rate = |per_second, burst| Some(Rate::per_second(per_second).with_burst(burst));
        let rows = [
            (rate(1_000, 50), rate(100_000, 5_000)),
            (rate(7, 3), None),
            (None, rate(100_000, 999)),
            (rate(1_000_000, 1_000_000), rate(1, 1)),
        ];
        for (seed, (messages, bytes)) in rows.into_iter().enumerate() {
            let mut random = fastrand::Rng::with_seed(seed as u64);
            let mut now = Moment::now();
            let rates = Rates { messages, bytes };
            let (mut own, plain) = (OwnMeter::new(rates, now), Meter::new(rates, now));
            let (mut accepted, mut refused) = (0, 0);
            for n in 0..20_000 {
                if random.u8(..) < 30 {
                    now = now.after(Duration::from_micros(random.u64(..20_000)));
                }
                let bytes = match random.u8(..) {
                    0 => 100_000,
                    _ => random.usize(..400),
                };
                if random.u8(..) < 20 {
                    assert_eq!(own.wait(bytes, now), plain.wait(bytes, now), "{n}");
                }
                let plainly = plain.take(bytes, now).map(drop);
                assert_eq!(own.take(bytes, now), plainly, "{seed}, message {n}");
                match plainly {
                    Ok(()) => accepted += 1,
                    Err(_) => refused += 1,
                }
            }
            assert!(accepted > 10 && refused > 10, "{accepted} {refused}");
        }
    }
}
