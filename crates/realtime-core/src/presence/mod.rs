//! The presence seam: who is online, and on which node?

mod answer;
mod any;
mod memory;
mod record;
mod roster;
mod session;

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt, stream::BoxStream};

use crate::{
    IdentityKey,
    error::operation_error,
    events::{Event, push_change},
};

pub use answer::{Failure, NodeSessions, Online, Registered, Renewed, Unregistered};
pub use any::AnyPresence;
pub use memory::MemoryPresence;
pub use roster::{
    AnyRoster, CLAIM, Change, ChangeKind, Departed, Entered, Group, Member, MemberPage, Present,
    Prolonged, Roster, SPEAK_AGAIN,
};
pub use session::{SessionInfo, SessionKey};

/// Remembers which sessions are online, under a lease.
///
/// The gateway owns the truth: it registers its sessions, renews their leases in batches,
/// registers again what the store has lost, and unregisters what has gone. A crashed node's
/// sessions vanish when their leases end.
///
/// # What every method promises
/// - **Concurrency.** It may be called at any time, from any task, beside any other call.
/// - **Idempotence.** The same call may be made again, since one that failed, timed out or was
///   dropped may still have been carried out, in whole or in part, also afterwards.
/// - **Cancel safety.** A call may be dropped at any time. What it was asked may have been done or
///   not, for each session by itself; the store stays whole.
/// - **Time.** It answers or fails within a few seconds. A gateway gives a call 5 s and then drops
///   it.
/// - **Size.** A list may have any length, and name a session or an identity twice. A store cuts
///   long lists into pieces by itself. A gateway names 500 sessions in a call at the most.
/// - **Failures.** What fails for a single key is named in the answer, and the others are finished:
///   a record that can't be read, or a part of the store that can't be reached, is the trouble of
///   those who are kept there. An `Err` is about the whole call. It says nothing of any key: each
///   of them may have been dealt with or not.
///
/// The suite `presence_suite!` of `realtime-testkit` has a test for each bullet below, and
/// `presence_faults_suite!` for failures of single keys.
///
/// # Example
/// ```
/// use std::time::Duration;
///
/// use realtime::{
///     IdentityKey, SessionId,
///     broker::NodeInfo,
///     node::Incarnation,
///     presence::{MemoryPresence, Presence, SessionInfo},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (presence, ann) = (MemoryPresence::new(), IdentityKey::new("ann"));
/// let node = NodeInfo::new("eu-1".parse()?, Incarnation::random());
/// let phone = SessionInfo::new(SessionId::random(), &ann, node.clone());
///
/// let registered = presence.register(&[phone], Some(Duration::from_secs(90))).await?;
/// assert!(registered.failed.is_empty());
/// let nodes = presence.nodes(&ann).await?;
/// assert_eq!((&nodes[0].node, nodes[0].sessions), (&node, 1));
/// # Ok(())
/// # }
/// ```
pub trait Presence: Send + Sync + 'static {
    /// Adds sessions, each with a lease of `ttl` from now; without one they stay until
    /// unregistered.
    ///
    /// A lease may be rounded up to whole milliseconds. Longer ones than the store can keep are cut.
    ///
    /// # Behavior
    /// - A registered session is found at once, by every node.
    /// - Registering a session again replaces it and renews its lease.
    /// - A session whose lease has ended is not found any more.
    /// - A session without a lease stays, whatever the leases beside it do.
    /// - An empty list is fine.
    /// - A session that can't be registered is named, with the reason; the others are registered.
    /// - What can't be read where the session's record belongs is replaced.
    ///
    /// # Errors
    /// When nothing is known of any of them: the store is closed, can't be reached in time, or is
    /// misconfigured.
    fn register(
        &self,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<Registered, PresenceError>> + Send;

    /// Removes sessions.
    ///
    /// # Behavior
    /// - A removed session is not found any more.
    /// - Removing what is not there is fine.
    /// - Other sessions of the identity stay.
    /// - A session that can't be removed is named, with the reason; the others are removed.
    ///
    /// # Errors
    /// As for [`register`](Self::register).
    fn unregister(
        &self,
        sessions: &[SessionKey],
    ) -> impl Future<Output = Result<Unregistered, PresenceError>> + Send;

    /// Prolongs leases to `ttl` from now, also where they are longer, and names the sessions that
    /// the store doesn't know.
    ///
    /// # Behavior
    /// - A renewed session is found until its new lease ends.
    /// - What the store doesn't know is named as unknown and not added.
    /// - A session whose record can't be read is unknown, so that it is registered again.
    /// - A session that can't be renewed is named, with the reason; the others are renewed.
    ///
    /// # Errors
    /// As for [`register`](Self::register).
    fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<Renewed, PresenceError>> + Send;

    /// The sessions of an identity that are online, on all nodes, the oldest first.
    ///
    /// It costs what the number of sessions costs; where only their nodes matter, ask
    /// [`nodes`](Self::nodes).
    ///
    /// # Behavior
    /// - Tenants are kept apart, also where tenant and id joined would read the same.
    /// - An unknown identity has none.
    /// - A session is returned as it was registered, with the end of its lease.
    /// - A record that can't be read is left out.
    ///
    /// # Errors
    /// When the store is closed, can't be reached in time, is misconfigured, or holds something
    /// else where the identity's sessions belong.
    fn sessions(
        &self,
        identity: &IdentityKey,
    ) -> impl Future<Output = Result<Vec<SessionInfo>, PresenceError>> + Send;

    /// The nodes on which an identity is online, each with the number of its sessions there, in no
    /// particular order.
    ///
    /// A gateway asks it for each message to one identity, so it costs what the number of nodes
    /// costs, and not what the number of sessions does: 50,000 sessions on three nodes are three
    /// entries. Each start of a node is an entry of its own.
    ///
    /// # Behavior
    /// - It names each start of a node that holds a session of the identity, and never misses one.
    /// - A node whose last session there was removed is not named any more.
    /// - A node whose leases for the identity have all ended is not named any more.
    /// - A node that was started again under its old name is named for each of its lives.
    /// - An unknown identity is on no node.
    /// - The counts are right, except that where many leases have ended, those of a node that is
    ///   still there may count for a while.
    ///
    /// # Errors
    /// As for [`sessions`](Self::sessions).
    fn nodes(
        &self,
        identity: &IdentityKey,
    ) -> impl Future<Output = Result<Vec<NodeSessions>, PresenceError>> + Send;

    /// Which of these identities have at least one session online.
    ///
    /// # Behavior
    /// - It agrees with [`sessions`](Self::sessions), for each of them.
    /// - An empty list is fine.
    /// - An identity that can't be looked for is named, with the reason; the others are answered.
    ///
    /// # Errors
    /// As for [`register`](Self::register).
    fn online(
        &self,
        identities: &[IdentityKey],
    ) -> impl Future<Output = Result<Online, PresenceError>> + Send;

    /// Whether an identity has at least one session online.
    ///
    /// Provided: it asks [`online`](Self::online).
    ///
    /// # Errors
    /// As for [`sessions`](Self::sessions).
    fn is_online(
        &self,
        identity: &IdentityKey,
    ) -> impl Future<Output = Result<bool, PresenceError>> + Send {
        async {
            let answer = self.online(std::slice::from_ref(identity)).await?;
            match answer.failed.into_iter().next() {
                Some(failure) => Err(failure.error),
                None => Ok(answer.online.contains(identity)),
            }
        }
    }

    /// Whether sessions stay in the store when their node crashes, until their leases end. Where
    /// they do, a gateway without leases (`presence_ttl: None`) warns that they stay for ever.
    ///
    /// Provided: yes, as in every store of which more than one process knows.
    fn outlives_nodes(&self) -> bool {
        true
    }

    /// What keeps who is in rooms, and who of a tenant is online, where this store can do that. It
    /// is closed with the store.
    ///
    /// Provided: it can't, and a gateway that is to know refuses to be built with it.
    fn roster(&self) -> Option<AnyRoster> {
        None
    }

    /// What happens to the store, from now on.
    ///
    /// # Behavior
    /// - Every caller gets a stream of its own.
    /// - A stream that isn't read stays bounded: it loses its oldest events, never the last.
    /// - The stream ends after [`close`](Self::close).
    fn events(&self) -> PresenceEvents;

    /// Frees what the store holds on this side. Sessions that are still registered stay until
    /// their leases end.
    ///
    /// # Behavior
    /// - It is idempotent.
    /// - Calls afterwards fail with kind [`Closed`](PresenceErrorKind::Closed), as a whole.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// Something that happened to the presence store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceEvent {
    /// The store, or a part of it, can't be used. It may be told again in one outage, as more of
    /// the store goes and comes back, or for another reason.
    #[non_exhaustive]
    Down {
        /// What is down and why, for people.
        cause: String,
    },
    /// All of the store can be used again; it may have lost everything.
    Up,
}

impl PresenceEvent {
    /// The store, or a part of it, can't be used, for this reason.
    pub fn down(cause: impl Into<String>) -> Self {
        let cause = cause.into();
        Self::Down { cause }
    }
}

/// While a listener doesn't read, the last 63 at least are kept.
impl Event for PresenceEvent {
    fn wait_in(self, waiting: &mut VecDeque<Self>) {
        push_change(self, waiting, |_| true);
    }
}

/// A stream of [`PresenceEvent`]s.
pub struct PresenceEvents(BoxStream<'static, PresenceEvent>);

impl PresenceEvents {
    /// Wraps a backend's stream.
    #[must_use]
    pub fn new(stream: impl Stream<Item = PresenceEvent> + Send + 'static) -> Self {
        Self(stream.boxed())
    }
}

impl Stream for PresenceEvents {
    type Item = PresenceEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PresenceEvent>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for PresenceEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresenceEvents").finish_non_exhaustive()
    }
}

operation_error! {
    /// A presence store that could not do what it was asked.
    PresenceError, PresenceErrorKind
}

/// The sorts of [`PresenceError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PresenceErrorKind {
    /// The store was closed.
    Closed,
    /// The store is misconfigured; trying again won't help.
    Config,
    /// The store holds something that this version can't read.
    Corrupt,
    /// The store can't be reached, or didn't answer in time.
    Unavailable,
}

impl PresenceError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == PresenceErrorKind::Unavailable
    }
}
