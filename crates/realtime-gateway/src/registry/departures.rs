//! Sessions that have ended, until presence has confirmed that they are gone.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use realtime_core::presence::{PresenceError, SessionKey, Unregistered};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{
    BATCH, SPREAD,
    backoff::{Backoff, Jitter},
};
use crate::{stats::Counters, sync::Mutex};

/// How many sessions may wait: some 10 MB of ordinary keys, and 70 MB of the longest. The leases
/// of any more end them.
const MOST: usize = 65_536;
/// For how long one is tried again where no lease ends it.
const WITHOUT_LEASE: Duration = Duration::from_secs(3_600);

pub(crate) type Outcome = Result<(), PresenceError>;

/// Sessions on their way out of presence, bounded in number and in time.
#[derive(Debug)]
pub(crate) struct Departures {
    /// For how long one is tried again: until its lease has ended.
    lasts: Duration,
    has_leases: bool,
    longest: Duration,
    state: Mutex<State>,
    stats: Arc<Counters>,
    fresh: Notify,
    again: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Not tried yet.
    fresh: VecDeque<Departure>,
    /// Tried, and to be tried again.
    again: VecDeque<Departure>,
    /// How many there are, with those that are under way.
    count: usize,
    /// Some were given up since the last report.
    given_up: u64,
    is_reported: bool,
    is_closed: bool,
}

#[derive(Debug)]
struct Departure {
    session: SessionKey,
    /// After that it isn't tried again.
    until: Instant,
    backoff: Option<Backoff>,
    /// Who waits for the first try.
    done: Option<oneshot::Sender<Outcome>>,
}

/// Why a departure isn't accepted.
#[derive(Debug)]
pub(super) enum Refused {
    /// The background has ended.
    Closed(SessionKey),
    /// Too many wait.
    Full,
}

impl Departures {
    pub(super) fn new(ttl: Option<Duration>, longest: Duration, stats: Arc<Counters>) -> Self {
        Self {
            lasts: ttl.unwrap_or(WITHOUT_LEASE),
            has_leases: ttl.is_some(),
            longest,
            state: Mutex::new(State::default()),
            stats,
            fresh: Notify::new(),
            again: Notify::new(),
        }
    }

    pub(super) fn add(
        &self,
        session: SessionKey,
        done: Option<oneshot::Sender<Outcome>>,
    ) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Refused::Closed(session));
        }
        if state.count >= MOST {
            state.given_up += 1;
            drop(state);
            self.stats.departures_given_up.add(1);
            self.again.notify_one();
            return Err(Refused::Full);
        }
        state.count += 1;
        state.fresh.push_back(Departure {
            session,
            until: Instant::now() + self.lasts,
            backoff: None,
            done,
        });
        drop(state);
        self.fresh.notify_one();
        Ok(())
    }

    /// The next that were not tried yet, as soon as there are any. Cancel safe.
    pub(crate) async fn fresh(&self) -> Batch<'_> {
        loop {
            let batch = self.batch(|state| first(&mut state.fresh));
            if !batch.departures.is_empty() {
                return batch;
            }
            self.fresh.notified().await;
        }
    }

    /// Waits until some are to be tried again, or there is something to report. Cancel safe.
    pub(crate) async fn due(&self) {
        loop {
            match self.next() {
                Some(at) if at <= Instant::now() => return,
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => return,
                    () = self.again.notified() => {}
                },
                None => self.again.notified().await,
            }
        }
    }

    fn next(&self) -> Option<Instant> {
        let now = Instant::now();
        let state = self.state.lock();
        if state.given_up > 0 && !state.is_reported {
            return Some(now);
        }
        state.again.iter().map(|departure| departure.at(now)).min()
    }

    /// Some that are to be tried again now; none where there are none. Those whose time is over
    /// are forgotten.
    pub(crate) fn due_now(&self) -> Batch<'_> {
        let now = Instant::now();
        self.forget(now);
        self.batch(|state| {
            let (mut due, mut later) = (Vec::new(), VecDeque::new());
            for departure in state.again.drain(..) {
                match departure.at(now) <= now && due.len() < BATCH {
                    true => due.push(departure),
                    false => later.push_back(departure),
                }
            }
            state.again = later;
            due
        })
    }

    /// Some that are left, due or not; none where there are none.
    pub(crate) fn any(&self) -> Batch<'_> {
        self.batch(|state| match state.fresh.is_empty() {
            true => first(&mut state.again),
            false => first(&mut state.fresh),
        })
    }

    /// The store is back: all are tried again soon, not all nodes at once.
    pub(crate) fn hurry(&self) {
        let soon = Instant::now() + SPREAD.mul_f64(fastrand::f64());
        for departure in &mut self.state.lock().again {
            if let Some(backoff) = &mut departure.backoff {
                backoff.at = backoff.at.min(soon);
            }
        }
        self.again.notify_one();
    }

    /// The store can't be reached: what is due now waits like one that has failed.
    pub(crate) fn postpone(&self) {
        let (now, jitter) = (Instant::now(), Jitter::new());
        for departure in &mut self.state.lock().again {
            if departure.at(now) <= now {
                departure.backoff = Some(Backoff::after(departure.backoff, self.longest, jitter));
            }
        }
    }

    /// How many were given up since the last time; only once, until none waits any more.
    pub(crate) fn to_report(&self) -> Option<u64> {
        let mut state = self.state.lock();
        if state.given_up == 0 || state.is_reported {
            return None;
        }
        state.is_reported = true;
        Some(std::mem::take(&mut state.given_up))
    }

    /// How many wait, or are under way.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().count
    }

    /// No more are accepted. Those who wait get no answer.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let left = (
            std::mem::take(&mut state.fresh),
            std::mem::take(&mut state.again),
        );
        state.count -= left.0.len() + left.1.len();
    }

    /// Where leases end them, they are gone by now.
    fn forget(&self, now: Instant) {
        let mut state = self.state.lock();
        let before = state.again.len();
        state.again.retain(|departure| departure.until > now);
        let over = before - state.again.len();
        state.leave(over);
        if !self.has_leases && over > 0 {
            state.given_up += over as u64;
            self.stats.departures_given_up.add(over as u64);
        }
    }

    fn batch(&self, take: impl FnOnce(&mut State) -> Vec<Departure>) -> Batch<'_> {
        let departures = take(&mut self.state.lock());
        Batch {
            from: self,
            departures,
        }
    }
}

impl State {
    fn leave(&mut self, count: usize) {
        self.count = self.count.saturating_sub(count);
        if self.count == 0 {
            self.is_reported = false;
        }
    }
}

impl Departure {
    /// When it is tried again; one that was dropped in the middle of a try, at once.
    fn at(&self, now: Instant) -> Instant {
        self.backoff.map_or(now, |backoff| backoff.at)
    }
}

fn first(queue: &mut VecDeque<Departure>) -> Vec<Departure> {
    let first = queue.drain(..queue.len().min(BATCH)).collect();
    if queue.is_empty() {
        // A peak's worth of places is not kept.
        *queue = VecDeque::new();
    }
    first
}

/// Departures that are under way. What of it isn't answered is tried again.
#[derive(Debug)]
pub(crate) struct Batch<'d> {
    from: &'d Departures,
    departures: Vec<Departure>,
}

impl Batch<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.departures.is_empty()
    }

    pub(crate) fn sessions(&self) -> Vec<SessionKey> {
        self.departures.iter().map(|d| d.session.clone()).collect()
    }

    /// Takes note of the store's answer, and passes it on to those who wait.
    pub(crate) fn answered(mut self, answer: &Result<Unregistered, PresenceError>) {
        let failed: HashMap<_, _> = match answer {
            Ok(gone) => gone.failed.iter().map(|f| (&f.key, &f.error)).collect(),
            Err(_) => HashMap::new(),
        };
        let jitter = Jitter::new();
        let (mut again, mut gone) = (Vec::new(), 0);
        for mut departure in self.departures.drain(..) {
            let error = answer.as_ref().err();
            let error = error.or_else(|| failed.get(&departure.session).copied());
            let outcome = error.map_or(Ok(()), |error| Err(error.clone()));
            if error.is_some() {
                let backoff = Backoff::after(departure.backoff, self.from.longest, jitter);
                departure.backoff = Some(backoff);
            }
            if let Some(done) = departure.done.take() {
                let _nobody_waits = done.send(outcome);
            }
            match error {
                Some(_) => again.push(departure),
                None => gone += 1,
            }
        }
        self.from.state.lock().leave(gone);
        self.departures = again;
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if self.departures.is_empty() {
            return;
        }
        // Who still waits was not answered: what does this has ended in the middle of it, and may not
        // come back.
        let departures = self.departures.drain(..);
        let unanswered = departures.map(|departure| Departure {
            done: None,
            ..departure
        });
        let unanswered: Vec<_> = unanswered.collect();
        self.from.state.lock().again.extend(unanswered);
        self.from.again.notify_one();
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use realtime_core::{
        IdentityKey, SessionId,
        presence::{Failure, PresenceErrorKind},
    };
    use tokio::time::advance;

    use super::*;

    fn departures(ttl: Option<Duration>) -> Departures {
        let longest = Duration::from_secs(30);
        Departures::new(ttl, longest, Arc::default())
    }

    fn key() -> SessionKey {
        SessionKey {
            identity: IdentityKey::new("ann"),
            session: SessionId::random(),
        }
    }

    fn error() -> PresenceError {
        PresenceError::new(PresenceErrorKind::Unavailable, "away")
    }

    const LEASE: Option<Duration> = Some(Duration::from_secs(90));

    #[tokio::test(start_paused = true)]
    async fn only_what_failed_is_tried_again() {
        let departures = departures(LEASE);
        let keys: Vec<_> = (0..10).map(|_| key()).collect();
        let (done, mut outcome) = oneshot::channel();
        departures.add(keys[0].clone(), Some(done)).unwrap();
        for key in &keys[1..] {
            departures.add(key.clone(), None).unwrap();
        }
        let batch = departures.fresh().await;
        assert_eq!(batch.sessions(), keys);
        let failed = vec![Failure::new(keys[0].clone(), error())];
        batch.answered(&Ok(Unregistered::new(failed)));
        assert!(outcome.try_recv().unwrap().is_err(), "who waits is told");
        assert_eq!(departures.len(), 1);
        assert!(departures.due_now().is_empty(), "too soon");
        departures.due().await;
        let batch = departures.due_now();
        assert_eq!(batch.sessions(), keys[..1]);
        batch.answered(&Ok(Unregistered::default()));
        assert_eq!(departures.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_has_run_out_ends_it() {
        let departures = departures(LEASE);
        departures.add(key(), None).unwrap();
        departures.fresh().await.answered(&Err(error()));
        let (mut tries, begun) = (0, Instant::now());
        while departures.len() > 0 {
            departures.due().await;
            let batch = departures.due_now();
            if !batch.is_empty() {
                tries += 1;
                batch.answered(&Err(error()));
            }
        }
        let took = begun.elapsed();
        assert!(
            took > LEASE.unwrap() && took < LEASE.unwrap() * 3 / 2,
            "{took:?}"
        );
        assert!((5..=8).contains(&tries), "{tries}");
        assert_eq!(departures.to_report(), None, "nothing stays behind");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_lease_it_is_given_up_some_day_and_said() {
        let departures = departures(None);
        departures.add(key(), None).unwrap();
        departures.fresh().await.answered(&Err(error()));
        advance(WITHOUT_LEASE).await;
        assert!(departures.due_now().is_empty());
        assert_eq!((departures.len(), departures.to_report()), (0, Some(1)));
        assert_eq!(departures.stats.snapshot().departures_given_up, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bounded_number_waits_and_what_is_beyond_is_reported_once() {
        let departures = departures(LEASE);
        for _ in 0..MOST {
            departures.add(key(), None).unwrap();
        }
        for _ in 0..3 {
            assert!(matches!(departures.add(key(), None), Err(Refused::Full)));
        }
        departures.due().await;
        assert_eq!(departures.to_report(), Some(3));
        assert!(departures.add(key(), None).is_err());
        assert_eq!(departures.to_report(), None, "once");
        assert_eq!(departures.len(), MOST);
        assert_eq!(departures.stats.snapshot().departures_given_up, 4);
        loop {
            let batch = departures.any();
            if batch.is_empty() {
                break;
            }
            batch.answered(&Ok(Unregistered::default()));
        }
        assert_eq!(departures.len(), 0);
        departures.add(key(), None).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_is_dropped_is_made_again() {
        let departures = departures(LEASE);
        departures.add(key(), None).unwrap();
        drop(departures.fresh().await);
        departures.due().await;
        assert_eq!(departures.due_now().sessions().len(), 1);
        departures.close();
        assert_eq!(departures.len(), 0);
        assert!(matches!(
            departures.add(key(), None),
            Err(Refused::Closed(_))
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_back_is_asked_soon() {
        let departures = departures(LEASE);
        departures.add(key(), None).unwrap();
        departures.fresh().await.answered(&Err(error()));
        for _ in 0..6 {
            departures.due().await;
            departures.due_now().answered(&Err(error()));
        }
        departures.hurry();
        let begun = Instant::now();
        departures.due().await;
        assert!(begun.elapsed() <= SPREAD);
        assert!(!departures.due_now().is_empty());
    }
}
