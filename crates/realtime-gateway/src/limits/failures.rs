//! From which addresses credentials were shown that are wrong, and how often.
//!
//! An address is of interest from its first failure on. Failures empty its bucket; once that has
//! happened, every try has to take from it before anybody is asked. A bucket that is full again is
//! forgotten. What is asked at the same time is known to have failed only later, so no more are
//! asked about at once than may fail.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    Bucket, Moment, Network, Place, Places,
    shrink::{shrink_map, shrink_queue},
};
use crate::sync::Mutex;

/// How many addresses are remembered; past that the oldest are forgotten.
const ADDRESSES: usize = 100_000;
/// How many of the oldest are looked at with each failure.
const LOOKED_AT: usize = 2;
/// How long one is told to wait for whom there are as many tries under way as there may be.
const TRIES: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Failures {
    per_minute: u32,
    most: usize,
    /// As many tries may be under way.
    tries: Arc<Places<Network>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<Network, Known>,
    /// The same, the oldest first, but those that were looked at and kept.
    order: VecDeque<Network>,
}

#[derive(Debug)]
struct Known {
    bucket: Bucket,
    /// It has been empty, so tries are counted and not failures.
    is_suspect: bool,
}

impl Failures {
    pub(super) fn new(per_minute: u32) -> Self {
        Self::with(per_minute, ADDRESSES)
    }

    fn with(per_minute: u32, most: usize) -> Self {
        Self {
            per_minute,
            most,
            tries: Places::new(per_minute as usize),
            state: Mutex::default(),
        }
    }

    /// Somebody there tries, until what this returns is dropped; where it may not, the error is after
    /// how long it may.
    pub(super) fn begin(&self, from: Network, now: Moment) -> Result<Place<Network>, Duration> {
        let place = self.tries.enter(from).ok_or(TRIES)?;
        self.may_try(from, now)?;
        Ok(place)
    }

    /// Whether somebody there could try, which it doesn't yet.
    pub(super) fn could_try(&self, from: Network, now: Moment) -> Result<(), Duration> {
        let state = self.state.lock();
        match state.known.get(&from).filter(|known| known.is_suspect) {
            Some(known) => known.bucket.has(1, now),
            None => Ok(()),
        }
    }

    /// Whether somebody there may try, which takes a try where those are counted.
    pub(super) fn may_try(&self, from: Network, now: Moment) -> Result<(), Duration> {
        let mut state = self.state.lock();
        let Some(known) = state.known.get_mut(&from).filter(|known| known.is_suspect) else {
            return Ok(());
        };
        if known.bucket.was_full(now) {
            *known = self.known();
            return Ok(());
        }
        known.bucket.take(1, now).map(drop)
    }

    /// Somebody there has tried, and failed.
    pub(super) fn failed(&self, from: Network, now: Moment) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if let Some(known) = state.known.get_mut(&from) {
            known.failed(now);
            return;
        }
        for _ in 0..LOOKED_AT {
            state.forget_oldest(|known| known.bucket.was_full(now));
        }
        if state.known.len() >= self.most {
            state.forget_oldest(|_| true);
        }
        let mut known = self.known();
        known.failed(now);
        state.known.insert(from, known);
        state.order.push_back(from);
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.state.lock().known.len()
    }

    fn known(&self) -> Known {
        Known {
            bucket: Bucket::per_minute(self.per_minute),
            is_suspect: false,
        }
    }
}

impl Known {
    fn failed(&mut self, now: Moment) {
        if self.is_suspect {
            // It was counted when it was tried.
            return;
        }
        // None left for the next one.
        let left = self.bucket.take(1, now);
        self.is_suspect = left.map_or(true, |left| left.again() > Duration::ZERO);
    }
}

impl State {
    /// Forgets the oldest if it may be; else it is the youngest from now on.
    fn forget_oldest(&mut self, may_be: impl FnOnce(&Known) -> bool) {
        let Some(oldest) = self.order.pop_front() else {
            return;
        };
        if self.known.get(&oldest).is_some_and(|known| !may_be(known)) {
            self.order.push_back(oldest);
        } else {
            self.known.remove(&oldest);
            shrink_map(&mut self.known);
            shrink_queue(&mut self.order);
        }
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn at(n: u32) -> Network {
        Network::V4(Ipv4Addr::from(n))
    }

    #[test]
    fn after_so_many_failures_an_address_has_to_wait() {
        let (failures, now) = (Failures::new(10), Moment::now());
        for n in 0..10 {
            assert_eq!(failures.may_try(at(1), now), Ok(()), "{n}");
            failures.failed(at(1), now);
        }
        let wait = failures.may_try(at(1), now).unwrap_err();
        assert_eq!(wait, Duration::from_secs(6));
        assert_eq!(failures.may_try(at(2), now), Ok(()));

        // One at a time, however many come at once.
        let later = now.after(wait);
        let tried = (0..100).filter(|_| failures.may_try(at(1), later).is_ok());
        assert_eq!(tried.count(), 1);
        failures.failed(at(1), later);
        let later = later.after(Duration::from_secs(6));
        assert!(failures.may_try(at(1), later).is_ok());
        assert!(failures.may_try(at(1), later).is_err());

        let calm = later.after(Duration::from_secs(61));
        for _ in 0..100 {
            assert_eq!(failures.may_try(at(1), calm), Ok(()), "all is forgotten");
        }
    }

    #[test]
    fn no_more_are_tried_at_once_than_may_fail() {
        let (failures, now) = (Failures::new(10), Moment::now());
        let tries: Vec<_> = (0..10)
            .map(|_| failures.begin(at(1), now).unwrap())
            .collect();
        assert_eq!(failures.begin(at(1), now).unwrap_err(), TRIES);
        assert!(failures.begin(at(2), now).is_ok());
        for _ in &tries {
            assert_eq!(failures.could_try(at(1), now), Ok(()));
            failures.failed(at(1), now);
        }
        drop(tries);
        let wait = Duration::from_secs(6);
        assert_eq!(failures.begin(at(1), now).unwrap_err(), wait);
        let later = now.after(wait);
        for _ in 0..10 {
            assert_eq!(failures.could_try(at(1), later), Ok(()), "that takes none");
        }
        assert!(failures.begin(at(1), later).is_ok());
        assert!(failures.could_try(at(1), later).is_err());
    }

    #[test]
    fn who_fails_now_and_then_is_never_kept_waiting() {
        let (failures, mut now) = (Failures::new(10), Moment::now());
        for _ in 0..1_000 {
            assert_eq!(failures.may_try(at(1), now), Ok(()));
            failures.failed(at(1), now);
            now = now.after(Duration::from_secs(7));
        }
    }

    #[test]
    fn the_addresses_that_are_remembered_are_not_more_than_some() {
        let (failures, now) = (Failures::with(10, 100), Moment::now());
        let known = || {
            let state = failures.state.lock();
            assert_eq!(state.known.len(), state.order.len());
            state.known.len()
        };
        for n in 0..1_000 {
            for _ in 0..10 {
                failures.failed(at(n), now);
            }
        }
        assert_eq!(known(), 100);
        assert!(
            failures.may_try(at(999), now).is_err(),
            "the youngest is there"
        );
        let later = now.after(Duration::from_secs(61));
        for n in 0..100 {
            failures.failed(at(2_000 + n), later);
        }
        for _ in 0..200 {
            failures.failed(at(3_000), later);
        }
        assert!(known() <= 101, "{}", known());
        assert!(
            failures
                .state
                .lock()
                .known
                .values()
                .any(|known| known.is_suspect)
        );
    }
}
