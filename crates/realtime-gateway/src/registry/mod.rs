//! Changes that presence has yet to receive: who leaves, and who could not be registered.
//!
//! Sessions put them here; background tasks pass them on in batches. What fails waits here for
//! another try: each session by itself, so that the trouble of one costs no call for the others.

mod backoff;
mod changes;
mod departures;
mod retries;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use realtime_core::{
    SessionId,
    presence::{AnyPresence, AnyRoster, Presence, PresenceError, SessionInfo, SessionKey},
};
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use crate::{
    backends::PRESENCE_CALL,
    health::{Link, Watched},
    session::Session,
    stats::Counters,
};

pub(crate) use backoff::SPREAD;
pub(crate) use changes::{Changes, Handed};
pub(crate) use departures::{Batch, Departures, Outcome};
pub(crate) use retries::Retries;

use departures::Refused;

/// How many sessions one call names.
pub(crate) const BATCH: usize = 500;
/// The longest pause before another try where there is no lease; else it is a third of the lease.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The way to presence.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) presence: AnyPresence,
    pub(crate) ttl: Option<Duration>,
    pub(crate) link: Watched,
    /// Whether the store was last seen to serve somebody, or nobody of many.
    serves_some: AtomicBool,
    /// Whether it was last seen to say who has gone.
    serves_roster: AtomicBool,
    /// Leases are to be renewed at once.
    pub(crate) renew_now: Notify,
    /// Who is in rooms, and who of a tenant is online, where that is kept.
    pub(crate) roster: Option<AnyRoster>,
    /// What the roster was told is to be renewed at once.
    pub(crate) renew_groups_now: Notify,
    /// Comings and goings of which this node has to tell.
    pub(crate) changes: Changes,
    /// Sessions that presence may not know, and that are tried again.
    pub(crate) retries: Retries,
    /// Sessions that have ended, and that presence may still know.
    pub(crate) departures: Departures,
}

impl Registry {
    pub(crate) fn new(
        presence: AnyPresence,
        has_roster: bool,
        ttl: Option<Duration>,
        stats: Arc<Counters>,
    ) -> Self {
        let longest = ttl.map_or(LONGEST_PAUSE, |ttl| ttl / 3);
        Self {
            roster: presence.roster().filter(|_| has_roster),
            renew_groups_now: Notify::new(),
            changes: Changes::default(),
            presence,
            ttl,
            link: Watched::new(),
            serves_some: AtomicBool::new(false),
            serves_roster: AtomicBool::new(false),
            renew_now: Notify::new(),
            retries: Retries::new(longest),
            departures: Departures::new(ttl, longest, stats),
        }
    }

    /// Whether the store is down, or a part of it.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.link.link(), Link::Down { .. })
    }

    /// Whether the store is down, and nothing shows that it is down in a part only: then it is left
    /// alone until it is back, or serves somebody again.
    pub(crate) fn is_away(&self) -> bool {
        let serves = self.serves_some.load(Relaxed) || self.serves_roster.load(Relaxed);
        self.is_down() && !serves
    }

    /// Takes note of whether the store has served somebody, or, asked about many, nobody.
    pub(crate) fn has_served(&self, somebody: bool) {
        self.serves_some.store(somebody, Relaxed);
    }

    /// Takes note of whether the roster has answered who has gone, which it does if any part of the
    /// store does. Where it has not, the store serves nobody; where it has, a node goes on whose few
    /// sessions are all on a part that is down.
    pub(crate) fn has_answered(&self, something: bool) {
        self.serves_roster.store(something, Relaxed);
        if !something {
            self.has_served(false);
        }
    }

    pub(crate) async fn register(&self, session: SessionInfo) -> Result<(), PresenceError> {
        let registered = self.presence.register(&[session], self.ttl).await?;
        if let Some(failure) = registered.failed.into_iter().next() {
            return Err(failure.error);
        }
        self.has_served(true);
        Ok(())
    }

    /// Says that a session could not be registered. It is tried again soon.
    pub(crate) fn register_later(&self, session: SessionId) {
        self.retries.failed([session]);
    }

    /// Removes a session from presence, together with others that leave at the same time. Where
    /// that fails or takes too long, it goes on in the background.
    ///
    /// # Cancel safety
    /// Safe: from the first poll on, it is done without the caller.
    pub(crate) async fn unregister(&self, session: &Session) -> Outcome {
        self.retries.settled([session.id()]);
        let (done, outcome) = oneshot::channel();
        let key = session.key();
        let waited = match self.departures.add(key.clone(), Some(done)) {
            Ok(()) => {
                let answer = async {
                    match outcome.await {
                        Ok(outcome) => outcome,
                        // What does it in batches has ended, and has perhaps not come to this one.
                        Err(_) => self.unregister_alone(key).await,
                    }
                };
                timeout(PRESENCE_CALL, answer).await
            }
            // A session that outlived the shutdown.
            Err(Refused::Closed(key)) => timeout(PRESENCE_CALL, self.unregister_alone(key)).await,
            Err(Refused::Full) => Ok(Ok(())),
        };
        waited.unwrap_or(Ok(()))
    }

    /// Removes a session that should not be in presence, in the background.
    pub(crate) fn unregister_later(&self, session: SessionKey) {
        // Once the background has ended nobody renews it either: the lease ends it.
        let _accepted = self.departures.add(session, None);
    }

    async fn unregister_alone(&self, session: SessionKey) -> Outcome {
        let gone = self.presence.unregister(&[session]).await?;
        gone.failed
            .into_iter()
            .next()
            .map_or(Ok(()), |failure| Err(failure.error))
    }
}
