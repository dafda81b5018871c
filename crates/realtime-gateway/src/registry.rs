//! Changes that presence has yet to receive: who leaves, and who could not be registered.
//!
//! Sessions put them here; a background task passes them on in batches.

use std::{sync::Arc, time::Duration};

use realtime_core::presence::{AnyPresence, Presence, PresenceError, SessionInfo, SessionKey};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::timeout,
};

use crate::{backends::PRESENCE_CALL, health::Watched, kept::Kept, session::Session};

/// How many sessions one call names.
pub(crate) const BATCH: usize = 500;

/// The way to presence.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) presence: AnyPresence,
    pub(crate) ttl: Option<Duration>,
    pub(crate) link: Watched,
    /// Leases are to be renewed at once.
    pub(crate) renew_now: Notify,
    /// A session could not be registered.
    pub(crate) register_later: Notify,
    leaving: mpsc::Sender<Leaving>,
    pub(crate) left: Kept<mpsc::Receiver<Leaving>>,
}

pub(crate) type Outcome = Result<(), Arc<PresenceError>>;

/// A session that is to be removed from presence, and waits for it.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) session: SessionKey,
    pub(crate) done: oneshot::Sender<Outcome>,
}

impl Registry {
    pub(crate) fn new(presence: AnyPresence, ttl: Option<Duration>) -> Self {
        let (leaving, left) = mpsc::channel(BATCH);
        Self {
            presence,
            ttl,
            link: Watched::new(),
            renew_now: Notify::new(),
            register_later: Notify::new(),
            leaving,
            left: Kept::new(left),
        }
    }

    pub(crate) async fn register(&self, session: SessionInfo) -> Result<(), PresenceError> {
        let registered = self.presence.register(&[session], self.ttl).await;
        registered.map(drop)
    }

    /// Says that a session could not be registered. It is with the next renewal, which comes soon.
    pub(crate) fn register_later(&self) {
        self.register_later.notify_one();
    }

    /// Removes a session from presence, together with others that leave at the same time. Where
    /// that takes too long, its lease ends it.
    pub(crate) async fn unregister(&self, session: &Session) -> Outcome {
        let waited = timeout(PRESENCE_CALL, self.leave(session)).await;
        waited.unwrap_or(Ok(()))
    }

    async fn leave(&self, session: &Session) -> Outcome {
        let (done, outcome) = oneshot::channel();
        let session = session.key();
        let leaving = Leaving {
            session: session.clone(),
            done,
        };
        if self.leaving.send(leaving).await.is_ok()
            && let Ok(outcome) = outcome.await
        {
            return outcome;
        }
        // What does it in batches has ended, with the gateway or with the runtime that it ran on,
        // and has perhaps not come to this one.
        self.presence.unregister(&[session]).await.map_err(Arc::new)
    }
}
