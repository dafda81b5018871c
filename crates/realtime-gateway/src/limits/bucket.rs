//! One bucket of tokens: `governor`'s, read at a time that its caller has looked up.

use std::{
    cell::Cell,
    convert::Infallible,
    fmt,
    num::NonZeroU32,
    sync::OnceLock,
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::{StateInformationMiddleware, StateSnapshot},
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};

use crate::config::Rate;

/// A time of the monotonic clock. It is looked up once for all buckets that a message goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Nanos);

impl Moment {
    pub(crate) fn now() -> Self {
        static START: OnceLock<Instant> = OnceLock::new();
        let since = START.get_or_init(Instant::now).elapsed();
        let seconds = since.as_secs().wrapping_mul(1_000_000_000);
        Self(seconds.wrapping_add(since.subsec_nanos().into()).into())
    }

    pub(crate) fn after(self, wait: Duration) -> Self {
        Self(self.0 + Nanos::from(wait))
    }
}

thread_local! {
    /// What the limiters of this thread read, for as long as one of them is asked.
    static NOW: Cell<u64> = const { Cell::new(0) };
    /// By how much what is asked is to be emptier afterwards, in place of fuller: so many
    /// nanoseconds, where it isn't 0.
    static GIVEN_BACK: Cell<u64> = const { Cell::new(0) };
}

/// `governor` takes and never gives back, though its state is a number from which that can be
/// subtracted.
#[derive(Default)]
struct State(InMemoryState);

impl StateStore for State {
    type Key = NotKeyed;

    #[inline]
    fn measure_and_replace<T, F, E>(&self, key: &Self::Key, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let given_back = GIVEN_BACK.get();
        if given_back == 0 {
            return self.0.measure_and_replace(key, measure);
        }
        let replaced = self.0.measure_and_replace(key, |full_at| {
            let full_at = full_at.unwrap_or_default();
            let sooner = full_at.saturating_sub(Nanos::new(given_back));
            let measured = measure(Some(full_at)).map(|(measured, _)| measured);
            Ok::<_, Infallible>((measured, sooner))
        });
        replaced.unwrap_or_else(|never| match never {})
    }
}

/// The clock of the limiters.
#[derive(Debug, Clone, Copy)]
struct Told;

impl Clock for Told {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        NOW.get().into()
    }
}

/// What was left when so many were taken.
#[derive(Debug)]
pub(crate) struct Left {
    left: StateSnapshot,
    count: NonZeroU32,
}

impl Left {
    /// How many could be taken at the same moment.
    pub(crate) fn amount(&self) -> u32 {
        self.left.remaining_burst_capacity()
    }

    /// How long it takes until as many could be taken again.
    pub(crate) fn again(&self) -> Duration {
        let left = self.left.remaining_burst_capacity();
        let missing = self.count.get().saturating_sub(left);
        // Of the one that comes back next, a part may be there.
        let interval = self.left.quota().replenish_interval();
        interval.saturating_mul(missing)
    }
}

/// So many at once, and so many that come back with time. Full at first.
pub(crate) struct Bucket {
    limiter: RateLimiter<NotKeyed, State, Told, StateInformationMiddleware>,
    burst: NonZeroU32,
}

impl Bucket {
    pub(crate) fn new(rate: Rate, now: Moment) -> Self {
        Self::with(
            Quota::per_second(at_least_one(rate.per_second)),
            rate.burst,
            now,
        )
    }

    /// So many a minute, and as many at once.
    pub(crate) fn per_minute(count: u32, now: Moment) -> Self {
        Self::with(Quota::per_minute(at_least_one(count)), count, now)
    }

    fn with(quota: Quota, burst: u32, now: Moment) -> Self {
        let burst = at_least_one(burst);
        NOW.set(now.0.as_u64());
        Self {
            limiter: RateLimiter::new(quota.allow_burst(burst), State::default(), Told),
            burst,
        }
    }

    /// Takes so many, or all that there can be where that is less: what is larger than the bucket
    /// costs all of it. Returns what is left; where there aren't so many now, none are taken, and the
    /// error is how long it takes until there are.
    #[inline]
    pub(crate) fn take(&self, count: u32, now: Moment) -> Result<Left, Duration> {
        let count = at_least_one(count).min(self.burst);
        NOW.set(now.0.as_u64());
        match self.limiter.check_n(count) {
            Ok(Ok(left)) => Ok(Left { left, count }),
            Ok(Err(not_yet)) => Err(not_yet.wait_time_from(now.0)),
            // More than there can be, which it isn't.
            Err(_) => Err(Duration::ZERO),
        }
    }

    /// Gives back what was taken: what it was for doesn't happen.
    #[cold]
    pub(crate) fn give_back(&self, left: &Left, now: Moment) {
        let interval = left.left.quota().replenish_interval();
        let taken = interval.saturating_mul(left.count.get());
        NOW.set(now.0.as_u64());
        GIVEN_BACK.set(u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX));
        let _as_it_was = self.limiter.check_n(left.count);
        GIVEN_BACK.set(0);
    }

    /// Whether so many could be taken; if not, how long it takes until they can.
    pub(crate) fn has(&self, count: u32, now: Moment) -> Result<(), Duration> {
        let left = self.take(count, now)?;
        self.give_back(&left, now);
        Ok(())
    }

    /// Takes all, if nothing was missing: a full bucket says no more than one that isn't there.
    pub(crate) fn was_full(&self, now: Moment) -> bool {
        self.take(self.burst.get(), now).is_ok()
    }
}

fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("burst", &self.burst)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_to_the_rate_is_never_refused() {
        for rate in [1, 3, 7, 60, 999, 1_000_003] {
            let mut now = Moment::now();
            let bucket = Bucket::new(Rate::per_second(rate).with_burst(1), now);
            let pause = Duration::from_nanos(1_000_000_000_u64.div_ceil(rate.into()));
            for n in 0..10_000 {
                assert!(bucket.take(1, now).is_ok(), "{rate} a second, number {n}");
                now = now.after(pause);
            }
        }
    }

    #[test]
    fn the_wait_is_neither_too_short_nor_too_long() {
        let now = Moment::now();
        let bucket = Bucket::new(Rate::per_second(10).with_burst(5), now);
        assert!((0..5).all(|_| bucket.take(1, now).is_ok()));
        let wait = bucket.take(1, now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        let early = now.after(wait - Duration::from_nanos(1));
        assert!(bucket.take(1, early).is_err());
        assert!(bucket.take(1, now.after(wait)).is_ok());
    }

    #[test]
    fn what_is_larger_than_the_bucket_costs_all_of_it() {
        let now = Moment::now();
        let bucket = Bucket::new(Rate::per_second(100).with_burst(1_000), now);
        let left = bucket.take(1_000_000, now).unwrap();
        assert_eq!(left.again(), Duration::from_secs(10));
        let wait = bucket.take(1_000_000, now).unwrap_err();
        assert_eq!(wait, Duration::from_secs(10));
        let later = now.after(Duration::from_secs(10));
        assert!(bucket.take(u32::MAX, later).is_ok() && !bucket.was_full(later));
        assert!(bucket.was_full(later.after(Duration::from_secs(11))));
    }

    #[test]
    fn what_is_given_back_is_there_again_and_no_more() {
        let now = Moment::now();
        let bucket = Bucket::new(Rate::per_second(10).with_burst(20), now);
        assert!(bucket.take(15, now).is_ok());
        for _ in 0..100 {
            let left = bucket.take(5, now).unwrap();
            assert!(bucket.take(1, now).is_err());
            bucket.give_back(&left, now);
        }
        assert!(bucket.take(6, now).is_err());
        assert!(bucket.take(5, now).is_ok());
        assert!(bucket.take(1, now).is_err());
    }

    #[test]
    fn a_pause_gives_a_burst_and_no_more() {
        let now = Moment::now();
        let bucket = Bucket::new(Rate::per_second(10).with_burst(20), now);
        let later = now.after(Duration::from_secs(3_600));
        let accepted = (0..100).filter(|_| bucket.take(1, later).is_ok());
        assert_eq!(accepted.count(), 20);
    }
}
