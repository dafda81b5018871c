//! What one session may send by itself. Nobody else takes of that, so of what came at the same moment
//! only the first two messages ask the buckets; the others take of what those had left, and that is
//! told to the buckets later. What they have left is a division, which a message that comes alone
//! doesn't pay for.

use std::time::Duration;

use super::{Meter, Moment, meter::Capacities};

#[derive(Debug)]
pub(super) struct OwnMeter {
    meter: Meter,
    /// When that came which was read last.
    at: Moment,
    /// How much can still be taken at that moment.
    left: Amount,
    /// What was taken at that moment and the buckets haven't been told.
    owed: Amount,
    /// How much had been received then; of that the part that changes.
    received: u32,
    /// The buckets were asked at that moment.
    was_asked: bool,
}

/// Of a bucket that isn't there, there is as much as can be counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) messages: u32,
    pub(super) bytes: u32,
}

impl OwnMeter {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            meter: Meter::default(),
            at: now,
            left: Amount::default(),
            owed: Amount::default(),
            received: 0,
            was_asked: false,
        }
    }

    /// A message has come that is among the last of so many bytes: what was read together came at the
    /// same time, so the clock is looked at once for it.
    #[inline]
    pub(super) fn came(&mut self, of: &Capacities, received: u64) {
        // What isn't read in one go isn't told apart by more than 4 GiB.
        #[allow(
            clippy::cast_possible_truncation,
            reason = "only whether it changes matters"
        )]
        let received = received as u32;
        if self.received != received {
            self.received = received;
            self.turn(of, Moment::now());
        }
    }

    /// When that was.
    pub(super) const fn at(&self) -> Moment {
        self.at
    }

    /// It is later now.
    pub(super) fn turn(&mut self, of: &Capacities, now: Moment) {
        self.settle(of);
        (self.at, self.left, self.was_asked) = (now, Amount::default(), false);
    }

    /// A message of so many bytes, at the moment at which it [came](Self::came); the error is how long
    /// it takes until it would be accepted.
    #[inline]
    pub(super) fn take(&mut self, of: &Capacities, bytes: usize) -> Result<(), Duration> {
        if let Some(messages) = self.left.messages.checked_sub(1)
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
        self.ask(of, bytes)
    }

    #[inline(never)]
    fn ask(&mut self, of: &Capacities, bytes: usize) -> Result<(), Duration> {
        self.settle(of);
        self.left = Amount::default();
        let is_second = std::mem::replace(&mut self.was_asked, true);
        let lefts = of.take(&self.meter, bytes, self.at)?;
        if is_second {
            self.left = lefts.amount();
        }
        Ok(())
    }

    /// How long it takes until a message of so many bytes would be accepted.
    #[cold]
    pub(super) fn wait(&mut self, of: &Capacities, bytes: usize) -> Duration {
        self.settle(of);
        of.wait(&self.meter, bytes, self.at)
    }

    fn settle(&mut self, of: &Capacities) {
        let owed = std::mem::take(&mut self.owed);
        if owed.messages > 0 {
            of.book(&self.meter, owed, self.at);
        }
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;
    use crate::{config::Rate, limits::meter::Rates};

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
            let of = Capacities::new(rates);
            let (mut own, plain) = (OwnMeter::new(now), Meter::default());
            let (mut accepted, mut refused) = (0, 0);
            for n in 0..20_000 {
                if random.u8(..) < 30 {
                    now = now.after(Duration::from_micros(random.u64(..20_000)));
                    own.turn(&of, now);
                }
                let bytes = match random.u8(..) {
                    0 => 100_000,
                    _ => random.usize(..400),
                };
                if random.u8(..) < 20 {
                    assert_eq!(own.wait(&of, bytes), of.wait(&plain, bytes, now), "{n}");
                }
                let plainly = of.take(&plain, bytes, now).map(drop);
                assert_eq!(own.take(&of, bytes), plainly, "{seed}, message {n}");
                match plainly {
                    Ok(()) => accepted += 1,
                    Err(_) => refused += 1,
                }
            }
            assert!(accepted > 10 && refused > 10, "{accepted} {refused}");
        }
    }
}
