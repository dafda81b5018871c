//! What the sessions of an identity, or of a tenant, may send together.
//!
//! An identity is known for as long as it has a session here, and then until what it has sent
//! doesn't matter any more: nobody gets a full bucket by leaving and coming again. There are not more
//! of those that are gone than some, so nobody can make this grow beyond the sessions that are open.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use realtime_core::IdentityKey;

use super::{
    Meter, Moment,
    meter::{Capacities, Lefts, Rates},
    shrink::{shrink_map, shrink_queue},
};
use crate::sync::Mutex;

/// How many without a session are remembered.
const LEFT: usize = 65_536;

/// The meters of all identities, or of all tenants, which are identities without an id.
#[derive(Debug)]
pub(super) struct SharedMeters {
    capacities: Capacities,
    /// How long it takes until any of them is full again.
    refill: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<IdentityKey, Known>,
    /// Those whose last session has ended, the oldest first; some may have one again.
    left: VecDeque<IdentityKey>,
}

#[derive(Debug)]
struct Known {
    meter: Arc<Meter>,
    sessions: usize,
    /// It is among those that have left.
    is_left: bool,
    /// It was here again since, so others behind it are full sooner.
    is_late: bool,
    /// Then its meter is full again, whatever was sent.
    full_at: Moment,
}

/// The meter of one of them, for one session.
#[derive(Debug)]
pub(super) struct SharedMeter {
    all: Arc<SharedMeters>,
    key: IdentityKey,
    meter: Arc<Meter>,
}

impl SharedMeters {
    /// Where they are limited.
    pub(super) fn new(rates: Rates) -> Option<Arc<Self>> {
        let capacities = Capacities::new(rates);
        let limits = !capacities.are_endless();
        limits.then(|| Self::of_capacities(capacities, rates.refill()))
    }

    fn of_capacities(capacities: Capacities, refill: Duration) -> Arc<Self> {
        Arc::new(Self {
            capacities,
            refill,
            state: Mutex::default(),
        })
    }

    /// A session begins.
    pub(super) fn of(self: &Arc<Self>, key: IdentityKey) -> SharedMeter {
        let mut state = self.state.lock();
        let known = state.known.entry(key.clone()).or_insert_with(|| Known {
            meter: Arc::default(),
            sessions: 0,
            is_left: false,
            is_late: false,
            full_at: Moment::now(),
        });
        known.sessions += 1;
        let meter = Arc::clone(&known.meter);
        drop(state);
        SharedMeter {
            all: Arc::clone(self),
            key,
            meter,
        }
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.state.lock().known.len()
    }

    /// A session ends.
    fn ended(&self, key: &IdentityKey, now: Moment) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(known) = state.known.get_mut(key) else {
            return;
        };
        known.sessions = known.sessions.saturating_sub(1);
        known.full_at = now.after(self.refill);
        if known.sessions > 0 {
            return;
        }
        if known.is_left {
            known.is_late = true;
            return;
        }
        known.is_left = true;
        state.left.push_back(key.clone());
        if state.left.len() > LEFT {
            state.forget_oldest(|_| true);
        }
    }

    /// Forgets those of the oldest so many that have left and don't matter any more. They are in the
    /// order in which they are full, so where one isn't, it looks at no other.
    pub(super) fn sweep(&self, most: usize, now: Moment) {
        let mut state = self.state.lock();
        for _ in 0..most.min(state.left.len()) {
            if !state.forget_oldest(|known| known.full_at <= now) {
                return;
            }
        }
    }
}

impl State {
    /// Forgets the oldest that has left, if it may be. Returns whether there may be more that may be.
    fn forget_oldest(&mut self, may_be: impl FnOnce(&Known) -> bool) -> bool {
        let Some(key) = self.left.pop_front() else {
            return false;
        };
        let Some(known) = self.known.get_mut(&key) else {
            return true;
        };
        if known.sessions > 0 {
            (known.is_left, known.is_late) = (false, false);
        } else if may_be(known) {
            self.known.remove(&key);
            shrink_map(&mut self.known);
            shrink_queue(&mut self.left);
        } else if known.is_late {
            known.is_late = false;
            self.left.push_back(key);
        } else {
            self.left.push_front(key);
            return false;
        }
        true
    }
}

impl SharedMeter {
    /// A message of so many bytes; the error is how long it takes until it would be accepted.
    pub(super) fn take(&self, bytes: usize, now: Moment) -> Result<Lefts, Duration> {
        self.all.capacities.take(&self.meter, bytes, now)
    }
}

impl Drop for SharedMeter {
    fn drop(&mut self) {
        self.all.ended(&self.key, Moment::now());
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;
    use crate::config::Rate;

    fn meters() -> Arc<SharedMeters> {
        let rates = Rates {
            messages: Some(Rate::per_second(1).with_burst(10)),
            bytes: None,
        };
        SharedMeters::of_capacities(Capacities::new(rates), rates.refill())
    }

    fn known(all: &SharedMeters) -> (usize, usize) {
        let state = all.state.lock();
        (state.known.len(), state.left.len())
    }

    fn key(n: usize) -> IdentityKey {
        IdentityKey::new(format!("n{n}"))
    }

    #[test]
    fn those_that_came_and_went_are_forgotten() {
        let all = meters();
        for n in 0..10_000 {
            let session = all.of(key(n));
            assert!(session.take(1, Moment::now()).is_ok());
        }
        assert_eq!(known(&all), (10_000, 10_000));
        let later = Moment::now().after(Duration::from_secs(12));
        all.sweep(4_000, later);
        assert_eq!(known(&all), (6_000, 6_000));
        all.sweep(usize::MAX, later);
        assert_eq!(known(&all), (0, 0));
    }

    #[test]
    fn nobody_gets_a_full_bucket_by_coming_again() {
        let all = meters();
        let now = Moment::now();
        let take = |session: &SharedMeter| session.take(1, now).is_ok();
        let ann = all.of(key(1));
        assert!((0..10).all(|_| take(&ann)) && !take(&ann));
        let other = all.of(key(1));
        drop(ann);
        assert!(!take(&other), "they share it");
        drop(other);
        let again = all.of(key(1));
        all.sweep(10, now);
        assert!(!take(&again));
        drop(again);
        assert_eq!(known(&all), (1, 1), "it is there once");
    }

    #[test]
    fn one_that_is_not_full_yet_keeps_nobody_but_those_behind_it() {
        let all = meters();
        for n in 0..10 {
            drop(all.of(key(n)));
        }
        std::thread::sleep(Duration::from_millis(20));
        let before = Moment::now();
        // The first was here again.
        drop(all.of(key(0)));
        let refill = Duration::from_secs(10);
        all.sweep(1, before);
        assert_eq!(known(&all), (10, 10));
        all.sweep(100, before.after(refill));
        assert_eq!(known(&all), (1, 1));
        let later = before.after(2 * refill);
        all.sweep(100, later);
        assert_eq!(known(&all), (0, 0));
    }

    #[test]
    fn those_that_have_left_are_not_more_than_some() {
        let all = meters();
        for n in 0..LEFT + 1_000 {
            let session = all.of(key(n));
            let _taken = session.take(10, Moment::now());
        }
        assert_eq!(known(&all), (LEFT, LEFT));
    }
}
