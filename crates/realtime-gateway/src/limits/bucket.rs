//! Buckets of tokens: `governor`'s, read at a time that their caller has looked up.
//!
//! What many buckets hold is the same, so it is kept once ([`Capacity`]), and of each no more than how
//! full it is ([`Level`]): one number, which its owner has.

use std::{
    cell::Cell,
    fmt,
    num::{NonZeroU32, NonZeroU64},
    sync::OnceLock,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::{StateInformationMiddleware, StateSnapshot},
    nanos::Nanos,
    state::{NotKeyed, StateStore},
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
    /// The level of the bucket that is asked about, and afterwards what it is to be.
    static LEVEL: Cell<u64> = const { Cell::new(0) };
}

/// Levels aren't kept by their limiter, but handed to it.
#[derive(Debug)]
struct Handed;

impl StateStore for Handed {
    type Key = NotKeyed;

    #[inline]
    fn measure_and_replace<T, F, E>(&self, _key: &Self::Key, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let level = NonZeroU64::new(LEVEL.get());
        let (measured, level) = measure(level.map(|level| level.get().into()))?;
        LEVEL.set(level.into());
        Ok(measured)
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

/// What buckets of one kind hold: so many at once, and so many that come back with time.
pub(crate) struct Capacity {
    limiter: RateLimiter<NotKeyed, Handed, Told, StateInformationMiddleware>,
    burst: NonZeroU32,
}

/// How full one bucket is. Full at first.
///
/// It is when the bucket will be full again, in nanoseconds of its [`Capacity`]; 0 is long ago.
#[derive(Debug, Default)]
pub(crate) struct Level(AtomicU64);

impl Capacity {
    pub(crate) fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(at_least_one(rate.per_second));
        Self::with(quota, rate.burst)
    }

    fn with(quota: Quota, burst: u32) -> Self {
        let burst = at_least_one(burst);
        // Moments are counted from the first of this process, so all capacities begin there.
        NOW.set(0);
        Self {
            limiter: RateLimiter::new(quota.allow_burst(burst), Handed, Told),
            burst,
        }
    }

    /// Takes so many, or all that there can be where that is less: what is larger than the bucket
    /// costs all of it. Returns what is left; where there aren't so many now, none are taken, and the
    /// error is how long it takes until there are.
    #[inline]
    pub(crate) fn take(&self, level: &Level, count: u32, now: Moment) -> Result<Left, Duration> {
        let count = at_least_one(count).min(self.burst);
        let mut before = level.0.load(Relaxed);
        loop {
            NOW.set(now.0.as_u64());
            LEVEL.set(before);
            let left = match self.limiter.check_n(count) {
                Ok(Ok(left)) => left,
                Ok(Err(not_yet)) => return Err(not_yet.wait_time_from(now.0)),
                // More than there can be, which it isn't.
                Err(_) => return Err(Duration::ZERO),
            };
            let after = LEVEL.get();
            match (level.0).compare_exchange_weak(before, after, Relaxed, Relaxed) {
                Ok(_) => return Ok(Left { left, count }),
                Err(other) => before = other,
            }
        }
    }

    /// Gives back what was taken: what it was for doesn't happen.
    #[cold]
    pub(crate) fn give_back(&self, level: &Level, left: &Left) {
        let interval = left.left.quota().replenish_interval();
        let taken = interval.saturating_mul(left.count.get());
        let taken = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX);
        let sooner = |full_at: u64| Some(full_at.saturating_sub(taken));
        let _always_some = level.0.fetch_update(Relaxed, Relaxed, sooner);
    }

    /// Whether so many could be taken; if not, how long it takes until they can.
    pub(crate) fn has(&self, level: &Level, count: u32, now: Moment) -> Result<(), Duration> {
        let left = self.take(level, count, now)?;
        self.give_back(level, &left);
        Ok(())
    }
}

/// A bucket of a kind of its own.
#[derive(Debug)]
pub(crate) struct Bucket {
    capacity: Capacity,
    level: Level,
}

impl Bucket {
    pub(crate) fn new(rate: Rate) -> Self {
        Self::of(Capacity::new(rate))
    }

    /// So many a minute, and as many at once.
    pub(crate) fn per_minute(count: u32) -> Self {
        let quota = Quota::per_minute(at_least_one(count));
        Self::of(Capacity::with(quota, count))
    }

    fn of(capacity: Capacity) -> Self {
        let level = Level::default();
        Self { capacity, level }
    }

    /// As [`Capacity::take`] does.
    pub(crate) fn take(&self, count: u32, now: Moment) -> Result<Left, Duration> {
        self.capacity.take(&self.level, count, now)
    }

    /// As [`Capacity::has`] does.
    pub(crate) fn has(&self, count: u32, now: Moment) -> Result<(), Duration> {
        self.capacity.has(&self.level, count, now)
    }

    /// Takes all, if nothing was missing: a full bucket says no more than one that isn't there.
    pub(crate) fn was_full(&self, now: Moment) -> bool {
        self.take(self.capacity.burst.get(), now).is_ok()
    }
}

fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

impl fmt::Debug for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capacity")
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
            let bucket = Bucket::new(Rate::per_second(rate).with_burst(1));
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
        let bucket = Bucket::new(Rate::per_second(10).with_burst(5));
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
        let bucket = Bucket::new(Rate::per_second(100).with_burst(1_000));
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
        let bucket = Bucket::new(Rate::per_second(10).with_burst(20));
        assert!(bucket.take(15, now).is_ok());
        for _ in 0..100 {
            let left = bucket.take(5, now).unwrap();
            assert!(bucket.take(1, now).is_err());
            bucket.capacity.give_back(&bucket.level, &left);
        }
        assert!(bucket.take(6, now).is_err());
        assert!(bucket.take(5, now).is_ok());
        assert!(bucket.take(1, now).is_err());
    }

    #[test]
    fn a_pause_gives_a_burst_and_no_more() {
        let now = Moment::now();
        let bucket = Bucket::new(Rate::per_second(10).with_burst(20));
        let later = now.after(Duration::from_secs(3_600));
        let accepted = (0..100).filter(|_| bucket.take(1, later).is_ok());
        assert_eq!(accepted.count(), 20);
    }
}
