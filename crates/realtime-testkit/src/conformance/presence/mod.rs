//! The suite for [`Presence`].
//!
//! Each test gets a function that makes another handle on one store, which no other test uses.

mod counts;
mod handles;
mod leaving;
mod registering;
mod renewing;
mod sessions;

use std::{collections::HashMap, time::Duration};

use realtime_core::{
    IdentityKey, Incarnation, NodeId, SessionId,
    broker::NodeInfo,
    presence::{
        Failure, Presence, PresenceError, Registered, Renewed, SessionInfo, SessionKey,
        Unregistered,
    },
};

use crate::wait::within;

pub use self::{counts::*, handles::*, leaving::*, registering::*, renewing::*, sessions::*};

/// Declares the tests of the suite. See [`conformance`](crate::conformance).
#[macro_export]
macro_rules! presence_suite {
    ($handles:expr) => {
        $crate::presence_suite! { @tests each, presence, $handles, }
    };
    ($name:ident, $server:expr, $handles:expr) => {
        $crate::presence_suite! { @tests all, presence, $name, $server, $handles, }
    };
    (@tests $($how:tt)*) => {
        $crate::__suite! { $($how)*
            a_registered_session_is_found_at_once_by_every_node
            registering_again_replaces_the_session_and_renews_its_lease
            each_session_shows_the_end_of_its_lease
            a_session_whose_lease_has_ended_is_not_found
            a_session_without_a_lease_stays
            empty_lists_are_fine
            a_removed_session_is_not_found
            removing_what_is_not_there_is_fine
            other_sessions_of_the_identity_stay
            a_renewed_session_is_found_until_its_new_lease_ends
            what_the_store_does_not_know_is_returned_and_not_added
            tenants_are_kept_apart
            an_unknown_identity_has_no_sessions
            a_session_is_returned_as_it_was_registered
            the_oldest_session_comes_first
            large_batches_over_many_identities_are_fine
            is_online_agrees_with_sessions
            online_answers_for_many_identities
            every_node_that_holds_a_session_is_named_with_its_count
            a_node_whose_last_session_has_left_is_not_named
            a_node_whose_leases_have_ended_is_not_named
            a_node_is_named_as_long_as_one_lease_lasts
            each_life_of_a_node_is_named
            registering_again_counts_once
            every_caller_gets_a_stream_of_events_of_its_own
            streams_of_events_end_after_close
            closing_is_idempotent_and_leaves_sessions
            calls_after_close_fail
        }
    };
}

/// Longer than any test.
const LONG: Option<Duration> = Some(Duration::from_secs(300));
/// Short enough to be waited for, long enough to be seen.
const SHORT: Option<Duration> = Some(Duration::from_millis(1_500));

fn ann() -> IdentityKey {
    IdentityKey::new("ann").with_tenant("acme")
}

fn session(identity: &IdentityKey) -> SessionInfo {
    session_on(&node(), identity)
}

fn session_on(node: &NodeInfo, identity: &IdentityKey) -> SessionInfo {
    SessionInfo::new(SessionId::random(), identity, node.clone())
}

fn node() -> NodeInfo {
    NodeInfo::new(NodeId::random(), Incarnation::random())
}

async fn register<P: Presence>(presence: &P, sessions: &[SessionInfo], ttl: Option<Duration>) {
    let Registered { failed, .. } = ok(presence.register(sessions, ttl).await);
    none_failed(&failed);
}

async fn unregister<P: Presence>(presence: &P, sessions: &[SessionKey]) {
    let Unregistered { failed, .. } = ok(presence.unregister(sessions).await);
    none_failed(&failed);
}

/// Returns those that are unknown.
async fn renew<P: Presence>(
    presence: &P,
    sessions: &[SessionKey],
    ttl: Option<Duration>,
) -> Vec<SessionKey> {
    let Renewed {
        unknown, failed, ..
    } = ok(presence.renew(sessions, ttl).await);
    none_failed(&failed);
    unknown
}

fn none_failed(failed: &[Failure]) {
    let (count, first) = (failed.len(), failed.first());
    assert_eq!(
        count, 0,
        "nothing was expected to fail; the first is {first:?}"
    );
}

async fn nodes<P: Presence>(presence: &P, identity: &IdentityKey) -> HashMap<NodeInfo, u64> {
    let nodes = ok(within("the nodes", presence.nodes(identity)).await);
    let count = nodes.len();
    let nodes: HashMap<_, _> = nodes.into_iter().map(|at| (at.node, at.sessions)).collect();
    assert_eq!(nodes.len(), count, "each start of a node is named once");
    nodes
}

#[allow(clippy::panic, reason = "a test fails by a panic")]
fn ok<T>(result: Result<T, PresenceError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store was expected to answer; got {error:?}"),
    }
}

async fn ids<P: Presence>(presence: &P, identity: &IdentityKey) -> Vec<SessionId> {
    let sessions = ok(within("the sessions", presence.sessions(identity)).await);
    sessions.iter().map(|info| info.session_id).collect()
}
