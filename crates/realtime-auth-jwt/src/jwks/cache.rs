//! What is known of an issuer's keys, and when they are to be fetched: a state machine without a
//! clock, a task or a socket of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::Timing;
use crate::keys::KeySet;

/// The pause after a first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How many times `refresh_after` keys are used while they are fetched again. Older ones are those of
/// a node that nobody came to, and may have been withdrawn long ago: they are waited for.
const USED_AT_ONCE: u32 = 2;
/// How many fetches for the sake of unknown keys there may be at once; each takes one interval to
/// come back. Else one stranger's token, once in an interval, would keep a new key from being found.
const UNKNOWN_AT_ONCE: u32 = 3;
/// For how long a fetch has answered for the keys that the issuer doesn't have.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// The keys that were fetched last, and what came of all tries.
#[derive(Debug, Default)]
pub(super) struct Cache {
    fetched: Option<Fetched>,
    /// The fetch that is under way.
    flight: Option<Flight>,
    /// How many fetches were begun, and so the number of the last one.
    begun: u64,
    /// How many have failed since one that didn't.
    failures: u32,
    /// When the last fetch has failed, unless it didn't.
    failed_at: Option<Instant>,
    /// Before that nothing is fetched, since the last fetch has failed.
    pause_until: Option<Instant>,
    /// When all fetches for the sake of unknown keys will have come back.
    unknown_full_at: Option<Instant>,
}

#[derive(Debug)]
struct Flight {
    number: u64,
    since: Instant,
    for_unknown: bool,
}

#[derive(Debug)]
struct Fetched {
    keys: Arc<KeySet>,
    at: Instant,
    /// Which fetch brought them.
    flight: u64,
}

/// What there is to do for somebody who needs keys.
#[derive(Debug)]
pub(super) enum Have {
    /// Use these.
    Keys(Arc<KeySet>),
    /// Wait for the fetch that is under way, and ask again.
    Wait,
    /// There are none, and it isn't time to try again.
    Nothing,
}

/// What there is to do for a token whose key isn't among those that are here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Newer {
    /// Wait for the fetch that is under way, and ask again.
    Wait,
    /// The issuer has no such key.
    No,
    /// The issuer may have it, and can't be asked.
    CannotSay,
}

/// A fetch that is to be begun, by whom it was told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begin(pub(super) u64);

impl Cache {
    /// How many fetches were begun: what is fetched later knows what was true by now.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    /// Keys for a token. Those that aren't too old are used while they are fetched again, and others
    /// only where they can't be fetched.
    pub(super) fn keys(&mut self, now: Instant, timing: &Timing) -> (Have, Option<Begin>) {
        let age = self
            .fetched
            .as_ref()
            .map(|f| now.saturating_duration_since(f.at));
        let until = match self.is_away(now, timing) {
            true => timing.stale_for,
            false => timing
                .stale_for
                .min(timing.refresh_after.saturating_mul(USED_AT_ONCE)),
        };
        let begin = match age {
            Some(age) if age < timing.refresh_after => None,
            _ => self.begin(now, timing, false),
        };
        let have = match &self.fetched {
            Some(fetched) if age.is_some_and(|age| age < until) => {
                Have::Keys(Arc::clone(&fetched.keys))
            }
            _ if self.flies(now, timing) => Have::Wait,
            _ => Have::Nothing,
        };
        (have, begin)
    }

    /// A token whose key isn't among the keys, and that came when so many fetches were begun.
    pub(super) fn newer(
        &mut self,
        came: u64,
        now: Instant,
        timing: &Timing,
    ) -> (Newer, Option<Begin>) {
        if self.fetched.as_ref().is_some_and(|f| f.flight > came) {
            return (Newer::No, None);
        }
        if self.flies(now, timing) {
            return (Newer::Wait, None);
        }
        let full_at = self.unknown_full_at.map_or(now, |at| at.max(now));
        let spent = full_at.saturating_duration_since(now);
        let interval = timing.unknown_kid_interval;
        if spent <= interval.saturating_mul(UNKNOWN_AT_ONCE - 1)
            && let Some(begin) = self.begin(now, timing, true)
        {
            self.unknown_full_at = full_at.checked_add(interval);
            return (Newer::Wait, Some(begin));
        }
        let is_known = |f: &Fetched| now.saturating_duration_since(f.at) < KNOWN_FOR;
        // Who is refused for good stays away: not one whose key may be the issuer's newest.
        let answer = match self.failures == 0 && self.fetched.as_ref().is_some_and(is_known) {
            true => Newer::No,
            false => Newer::CannotSay,
        };
        (answer, None)
    }

    /// The end of a fetch. Says whether the issuer went away with it, came back, or has withdrawn all.
    pub(super) fn landed(
        &mut self,
        flight: u64,
        keys: Option<Arc<KeySet>>,
        now: Instant,
        chance: f64,
        timing: &Timing,
    ) -> Option<Turn> {
        // One that was taken for lost is none of them: another one is told of, or was.
        let Flight { for_unknown, .. } = self.flight.take_if(|own| own.number == flight)?;
        let failed_before = self.failures > 0;
        match keys {
            Some(keys) => {
                let had_keys = self.fetched.as_ref().is_none_or(|f| !f.keys.is_empty());
                let is_emptied = keys.is_empty() && had_keys;
                self.fetched = Some(Fetched {
                    keys,
                    at: now,
                    flight,
                });
                self.failures = 0;
                self.failed_at = None;
                self.pause_until = None;
                match is_emptied {
                    true => Some(Turn::Emptied),
                    false => failed_before.then_some(Turn::Back),
                }
            }
            None => {
                let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(8));
                // From a half to the whole: many nodes lose one issuer at the same time.
                let pause = doubled.min(LONGEST_PAUSE).mul_f64(0.5 + chance / 2.0);
                self.failures = self.failures.saturating_add(1);
                self.failed_at = Some(now);
                if for_unknown {
                    // It has told nobody anything.
                    self.unknown_full_at = self
                        .unknown_full_at
                        .and_then(|at| at.checked_sub(timing.unknown_kid_interval));
                }
                self.pause_until = now.checked_add(pause);
                (!failed_before).then_some(Turn::Away)
            }
        }
    }

    fn begin(&mut self, now: Instant, timing: &Timing, for_unknown: bool) -> Option<Begin> {
        let pauses = self.pause_until.is_some_and(|until| now < until);
        if pauses || self.flies(now, timing) {
            return None;
        }
        self.begun += 1;
        self.flight = Some(Flight {
            number: self.begun,
            since: now,
            for_unknown,
        });
        Some(Begin(self.begun))
    }

    /// Whether a fetch is under way. One whose runtime nobody drives any more will never say that it
    /// is not.
    fn flies(&self, now: Instant, timing: &Timing) -> bool {
        self.flight_age(now)
            .is_some_and(|age| age < timing.lost_after)
    }

    fn flight_age(&self, now: Instant) -> Option<Duration> {
        let flight = self.flight.as_ref()?;
        Some(now.saturating_duration_since(flight.since))
    }

    /// Whether the issuer was asked just now, and doesn't answer: an outage of last night says
    /// nothing of this morning.
    fn is_away(&self, now: Instant, timing: &Timing) -> bool {
        let again = LONGEST_PAUSE + timing.lost_after;
        let failed = |at| now.saturating_duration_since(at) < again;
        let is_slow = |age| age >= timing.slow_after;
        self.failed_at.is_some_and(failed) || self.flight_age(now).is_some_and(is_slow)
    }
}

/// The beginning or the end of an outage, or of all keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Away,
    Back,
    Emptied,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

    use super::*;
    use crate::Key;

    const TIMING: Timing = Timing {
        refresh_after: Duration::from_secs(600),
        stale_for: Duration::from_secs(3_600),
        unknown_kid_interval: Duration::from_secs(30),
        slow_after: Duration::from_secs(4),
        lost_after: Duration::from_secs(5),
    };

    fn key() -> Key {
        Key::hmac([7; 32]).unwrap()
    }

    /// A cache, and its time in seconds.
    struct World {
        cache: Cache,
        start: Instant,
    }

    impl World {
        fn new() -> Self {
            Self {
                cache: Cache::default(),
                start: Instant::now(),
            }
        }

        fn at(&self, second: f64) -> Instant {
            self.start + Duration::from_secs_f64(second)
        }

        /// What is had, in a word, and which fetch is begun.
        fn keys(&mut self, second: f64) -> (&'static str, Option<u64>) {
            let now = self.at(second);
            let (have, begin) = self.cache.keys(now, &TIMING);
            let word = match have {
                Have::Keys(_) => "keys",
                Have::Wait => "wait",
                Have::Nothing => "nothing",
            };
            (word, begin.map(|begin| begin.0))
        }

        fn newer(&mut self, came: u64, second: f64) -> (Newer, Option<u64>) {
            let now = self.at(second);
            let (newer, begin) = self.cache.newer(came, now, &TIMING);
            (newer, begin.map(|begin| begin.0))
        }

        fn landed(&mut self, flight: u64, good: bool, second: f64) -> Option<Turn> {
            let now = self.at(second);
            let keys = good.then(|| Arc::new(KeySet::new(vec![key()])));
            self.cache.landed(flight, keys, now, 1.0, &TIMING)
        }
    }

    #[test]
    fn all_wait_for_one_fetch_and_old_keys_are_used_while_they_are_renewed() {
        let mut world = World::new();
        assert_eq!(world.keys(0.0), ("wait", Some(1)));
        assert_eq!(world.keys(0.1), ("wait", None));
        assert_eq!(world.landed(1, true, 0.2), None);
        assert_eq!(world.keys(600.1), ("keys", None));
        assert_eq!(world.keys(600.3), ("keys", Some(2)));
        assert_eq!(world.keys(600.4), ("keys", None));
        assert_eq!(world.landed(2, false, 601.0), Some(Turn::Away));
        assert_eq!(world.keys(601.2), ("keys", None));
        assert_eq!(world.keys(601.3), ("keys", Some(3)));
        assert_eq!(world.landed(3, true, 602.0), Some(Turn::Back));
        assert_eq!(world.keys(603.0), ("keys", None));
    }

    #[test]
    fn failures_are_followed_by_longer_pauses_and_keys_end() {
        let mut world = World::new();
        assert_eq!(world.keys(0.0), ("wait", Some(1)));
        world.landed(1, true, 0.0);
        let (mut now, mut tries) = (600.0, 1);
        while now < 3_599.0 {
            let (word, begin) = world.keys(now);
            assert_eq!(word, "keys");
            if let Some(flight) = begin {
                tries += 1;
                world.landed(flight, false, now);
            }
            now += 0.05;
        }
        assert!((295..320).contains(&tries), "{tries}");
        now = 3_600.0;
        assert!(matches!(world.keys(now).0, "nothing" | "wait"));
    }

    #[test]
    fn keys_that_nobody_has_used_for_long_are_waited_for() {
        let mut world = World::new();
        world.keys(0.0);
        world.landed(1, true, 0.0);
        assert_eq!(world.keys(1_199.0), ("keys", Some(2)));
        assert_eq!(world.keys(1_200.0), ("wait", None));
        assert_eq!(world.landed(2, true, 1_200.5), None);
        assert_eq!(world.keys(1_201.0), ("keys", None));
        // Three times as old, and the issuer is away: once that is known, they are used.
        assert_eq!(world.keys(3_001.0), ("wait", Some(3)));
        assert_eq!(world.landed(3, false, 3_002.0), Some(Turn::Away));
        assert_eq!(world.keys(3_002.1), ("keys", None));
        assert_eq!(world.keys(3_003.0), ("keys", Some(4)));
        world.landed(4, false, 3_004.0);
        // That was a while ago, and whether it still is has to be asked.
        assert_eq!(world.keys(3_500.0), ("wait", Some(5)));
        // One that takes its time is taken for away.
        assert_eq!(world.keys(3_503.9), ("wait", None));
        assert_eq!(world.keys(3_504.0), ("keys", None));
    }

    #[test]
    fn unknown_keys_make_three_fetches_at_once_and_one_in_their_interval() {
        let mut world = World::new();
        world.keys(0.0);
        // The very first fetch has answered all that waited for it.
        world.landed(1, true, 0.0);
        assert_eq!(world.newer(0, 0.1), (Newer::No, None));
        // Who comes later may have a newer key.
        assert_eq!(world.newer(1, 1.0), (Newer::Wait, Some(2)));
        assert_eq!(world.newer(2, 1.1), (Newer::Wait, None));
        world.landed(2, true, 1.5);
        assert_eq!(world.newer(1, 1.6), (Newer::No, None));
        for flight in 3..=4 {
            assert_eq!(world.newer(flight - 1, 2.0), (Newer::Wait, Some(flight)));
            world.landed(flight, true, 2.0);
        }
        // It was asked just now; and a while later nobody knows, and it isn't asked again.
        assert_eq!(world.newer(4, 2.9), (Newer::No, None));
        for second in 3..31 {
            assert_eq!(world.newer(4, f64::from(second)), (Newer::CannotSay, None));
        }
        assert_eq!(world.newer(4, 31.0), (Newer::Wait, Some(5)));
        world.landed(5, true, 31.0);
        assert_eq!(world.newer(5, 33.0), (Newer::CannotSay, None));
    }

    #[test]
    fn a_fetch_that_fails_is_not_one_of_those_for_unknown_keys() {
        let mut world = World::new();
        world.keys(0.0);
        world.landed(1, true, 0.0);
        for flight in 2..=9 {
            let second = f64::from(u32::try_from(flight).unwrap()) * 11.0;
            let came = flight - 1;
            assert_eq!(world.newer(came, second), (Newer::Wait, Some(flight)));
            world.landed(flight, false, second);
            assert_eq!(world.newer(flight, second), (Newer::CannotSay, None));
        }
        // All three are there once it is back.
        for flight in 10..=12 {
            assert_eq!(world.newer(flight - 1, 120.0), (Newer::Wait, Some(flight)));
            world.landed(flight, true, 120.0);
        }
        assert_eq!(world.newer(12, 120.5), (Newer::No, None));
    }

    #[test]
    fn that_all_keys_are_withdrawn_is_said_once() {
        let mut world = World::new();
        world.keys(0.0);
        world.landed(1, true, 0.0);
        let mut turns = Vec::new();
        for flight in 2_u32..=3 {
            let now = world.at(f64::from(flight) * 600.0);
            world.cache.keys(now, &TIMING);
            let none = Some(Arc::new(KeySet::new(Vec::new())));
            let flight = u64::from(flight);
            turns.push(world.cache.landed(flight, none, now, 1.0, &TIMING));
        }
        assert_eq!(turns, [Some(Turn::Emptied), None]);
    }

    #[test]
    fn a_fetch_that_never_ends_is_followed_by_another_and_no_longer_counts() {
        let mut world = World::new();
        assert_eq!(world.keys(0.0), ("wait", Some(1)));
        assert_eq!(world.keys(4.9), ("wait", None));
        assert_eq!(world.keys(5.1), ("wait", Some(2)));
        assert_eq!(world.landed(1, false, 5.2), None);
        assert_eq!(world.keys(5.3), ("wait", None));
        world.landed(2, true, 5.4);
        assert_eq!(world.keys(5.5), ("keys", None));
    }
}
