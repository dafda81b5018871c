//! The suite for [`Presence`].
//!
//! Each test gets a function that makes another handle on one store, which no other test uses.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use futures::StreamExt;
use realtime_core::{
    IdentityKey, Incarnation, NodeId, SessionId,
    broker::NodeInfo,
    presence::{
        Failure, Presence, PresenceError, PresenceErrorKind, Registered, Renewed, SessionInfo,
        SessionKey, Unregistered,
    },
};

use crate::wait::{until, within};

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

/// A registered session is found at once, by every node.
pub async fn a_registered_session_is_found_at_once_by_every_node<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (here, there, info) = (handle(), handle(), session(&ann()));
    register(&here, std::slice::from_ref(&info), LONG).await;
    assert_eq!(ids(&there, &ann()).await, [info.session_id]);
    assert!(ok(there.is_online(&ann()).await));
}

/// Registering a session again replaces it and renews its lease.
pub async fn registering_again_replaces_the_session_and_renews_its_lease<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, mut info) = (handle(), session(&ann()));
    register(&presence, std::slice::from_ref(&info), SHORT).await;
    info.remote_addr = Some(([192, 0, 2, 1], 80).into());
    register(&presence, std::slice::from_ref(&info), LONG).await;
    tokio::time::sleep(Duration::from_millis(1_800)).await;
    let found = ok(presence.sessions(&ann()).await);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].remote_addr, info.remote_addr);
}

/// Each session shows the end of its lease, by the store's clock; one without a lease shows none.
pub async fn each_session_shows_the_end_of_its_lease<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, leased, forever) = (handle(), session(&ann()), session(&ann()));
    register(&presence, std::slice::from_ref(&leased), LONG).await;
    register(&presence, std::slice::from_ref(&forever), None).await;
    let hour = Duration::from_secs(3_600);
    for info in ok(presence.sessions(&ann()).await) {
        if info.session_id == forever.session_id {
            assert_eq!(info.expires_at, None);
            continue;
        }
        let ends = info.expires_at.unwrap_or(SystemTime::UNIX_EPOCH);
        let now = SystemTime::now();
        assert!(ends > now - hour && ends < now + hour, "{ends:?}");
    }
}

/// A session whose lease has ended is not found any more.
pub async fn a_session_whose_lease_has_ended_is_not_found<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, short, long) = (handle(), session(&ann()), session(&ann()));
    register(&presence, std::slice::from_ref(&short), SHORT).await;
    register(&presence, std::slice::from_ref(&long), LONG).await;
    assert_eq!(ids(&presence, &ann()).await.len(), 2);
    until("the short lease has ended", async || {
        ids(&presence, &ann()).await == [long.session_id]
    })
    .await;
    unregister(&presence, &[long.key()]).await;
    register(&presence, std::slice::from_ref(&short), SHORT).await;
    until("nobody is online", async || {
        !ok(presence.is_online(&ann()).await)
    })
    .await;
    assert_eq!(ids(&presence, &ann()).await, []);
}

/// Without a lease a session stays until it is unregistered, whatever the leases beside it do.
pub async fn a_session_without_a_lease_stays<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, stays, ends) = (handle(), session(&ann()), session(&ann()));
    register(&presence, std::slice::from_ref(&stays), None).await;
    register(&presence, std::slice::from_ref(&ends), SHORT).await;
    until("the lease beside it has ended", async || {
        ids(&presence, &ann()).await == [stays.session_id]
    })
    .await;
    let unknown = renew(&presence, &[stays.key()], None).await;
    assert_eq!(unknown, []);
    assert!(ok(presence.is_online(&ann()).await));
    unregister(&presence, &[stays.key()]).await;
    assert!(!ok(presence.is_online(&ann()).await));
}

/// An empty list is fine.
pub async fn empty_lists_are_fine<P: Presence>(mut handle: impl FnMut() -> P) {
    let presence = handle();
    register(&presence, &[], LONG).await;
    unregister(&presence, &[]).await;
    assert!(renew(&presence, &[], LONG).await.is_empty());
    let online = ok(presence.online(&[]).await);
    assert!(online.online.is_empty() && online.failed.is_empty());
}

/// A removed session is not found any more.
pub async fn a_removed_session_is_not_found<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there, info) = (handle(), handle(), session(&ann()));
    register(&here, std::slice::from_ref(&info), LONG).await;
    unregister(&there, &[info.key()]).await;
    assert_eq!(ids(&here, &ann()).await, []);
    assert!(!ok(here.is_online(&ann()).await));
}

/// Removing what is not there is fine.
pub async fn removing_what_is_not_there_is_fine<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, info) = (handle(), session(&ann()));
    unregister(&presence, &[info.key()]).await;
    register(&presence, std::slice::from_ref(&info), LONG).await;
    unregister(&presence, &[info.key(), info.key()]).await;
    unregister(&presence, &[info.key()]).await;
}

/// Other sessions of the identity stay.
pub async fn other_sessions_of_the_identity_stay<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, goes, stays) = (handle(), session(&ann()), session(&ann()));
    register(&presence, &[goes.clone(), stays.clone()], LONG).await;
    unregister(&presence, &[goes.key()]).await;
    assert_eq!(ids(&presence, &ann()).await, [stays.session_id]);
    assert!(ok(presence.is_online(&ann()).await));
}

/// A renewed session is found until its new lease ends.
pub async fn a_renewed_session_is_found_until_its_new_lease_ends<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, renewed, not) = (handle(), session(&ann()), session(&ann()));
    register(&presence, &[renewed.clone(), not.clone()], SHORT).await;
    let unknown = renew(&presence, &[renewed.key()], LONG).await;
    assert_eq!(unknown, []);
    until("the lease that wasn't renewed has ended", async || {
        ids(&presence, &ann()).await == [renewed.session_id]
    })
    .await;
    assert!(ok(presence.is_online(&ann()).await));
    assert_eq!(renew(&presence, &[renewed.key()], SHORT).await, []);
    until("the shortened lease has ended, too", async || {
        !ok(presence.is_online(&ann()).await)
    })
    .await;
}

/// What the store doesn't know is returned and not added.
pub async fn what_the_store_does_not_know_is_returned_and_not_added<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, known, unknown) = (handle(), session(&ann()), session(&ann()));
    let stranger = session(&IdentityKey::new("stranger").with_tenant("acme"));
    register(&presence, std::slice::from_ref(&known), LONG).await;
    let keys = [unknown.key(), known.key(), stranger.key()];
    let mut returned = renew(&presence, &keys, LONG).await;
    let mut expected = vec![unknown.key(), stranger.key()];
    let by_id = |key: &SessionKey| key.session;
    returned.sort_by_key(by_id);
    expected.sort_by_key(by_id);
    assert_eq!(returned, expected);
    assert_eq!(ids(&presence, &ann()).await, [known.session_id]);
    assert!(!ok(presence.is_online(&stranger.identity).await));
}

/// Tenants are kept apart, also where tenant and id joined would read the same.
pub async fn tenants_are_kept_apart<P: Presence>(mut handle: impl FnMut() -> P) {
    let presence = handle();
    let pairs = [
        ("a|b", "c"),
        ("a", "b|c"),
        ("a:b", "c"),
        ("a", "b:c"),
        ("", "a"),
        ("a", ""),
        ("1:a", "b"),
        ("1", "a:b"),
        ("{a}", "b"),
        ("{a", "}b"),
        ("}", "{"),
        ("ä\0", "\n"),
    ];
    let infos: Vec<_> = pairs
        .iter()
        .map(|(tenant, id)| session(&IdentityKey::new(*id).with_tenant(*tenant)))
        .collect();
    register(&presence, &infos, LONG).await;
    for info in &infos {
        let identity = info.identity.clone();
        assert_eq!(
            ids(&presence, &identity).await,
            [info.session_id],
            "{identity:?}"
        );
    }
}

/// An unknown identity has none.
pub async fn an_unknown_identity_has_no_sessions<P: Presence>(mut handle: impl FnMut() -> P) {
    let presence = handle();
    assert_eq!(ids(&presence, &ann()).await, []);
    assert!(!ok(presence.is_online(&ann()).await));
    assert!(nodes(&presence, &ann()).await.is_empty());
}

/// A session is returned as it was registered, with the end of its lease.
pub async fn a_session_is_returned_as_it_was_registered<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, mut info) = (handle(), session(&ann()));
    info.remote_addr = "[2001:db8::1]:443".parse().ok();
    register(&presence, std::slice::from_ref(&info), LONG).await;
    let found = ok(presence.sessions(&ann()).await);
    assert_eq!(found.len(), 1);
    // A store may keep times to the millisecond.
    let near = |a: SystemTime, b: SystemTime| {
        let apart = a.duration_since(b).or_else(|_| b.duration_since(a));
        apart.is_ok_and(|apart| apart < Duration::from_millis(2))
    };
    assert!(near(found[0].connected_at, info.connected_at), "{found:?}");
    info.connected_at = found[0].connected_at;
    assert!(found[0].expires_at.is_some(), "{found:?}");
    info.expires_at = found[0].expires_at;
    assert_eq!(found[0], info);
}

/// The oldest session comes first.
pub async fn the_oldest_session_comes_first<P: Presence>(mut handle: impl FnMut() -> P) {
    let presence = handle();
    let mut infos: Vec<_> = (0..9).map(|_| session(&ann())).collect();
    for (n, info) in (0..).zip(&mut infos) {
        info.connected_at -= Duration::from_secs(n * 7 % 9);
    }
    register(&presence, &infos, LONG).await;
    infos.sort_by_key(|info| info.connected_at);
    let expected: Vec<_> = infos.iter().map(|info| info.session_id).collect();
    assert_eq!(ids(&presence, &ann()).await, expected);
}

/// Thousands of sessions in one call, over many identities, are fine.
pub async fn large_batches_over_many_identities_are_fine<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let presence = handle();
    let identity = |n: usize| IdentityKey::new(format!("{}", n % 700)).with_tenant("acme");
    let infos: Vec<_> = (0..2_100).map(|n| session(&identity(n))).collect();
    let keys: Vec<_> = infos.iter().map(SessionInfo::key).collect();
    register(&presence, &infos, LONG).await;
    assert_eq!(renew(&presence, &keys, LONG).await, []);
    assert_eq!(ids(&presence, &identity(0)).await.len(), 3);
    unregister(&presence, &keys).await;
    assert_eq!(renew(&presence, &keys, LONG).await.len(), keys.len());
    assert!(!ok(presence.is_online(&identity(0)).await));
}

/// `is_online` agrees with `sessions`.
pub async fn is_online_agrees_with_sessions<P: Presence>(mut handle: impl FnMut() -> P) {
    let presence = handle();
    let infos: Vec<_> = (0..3).map(|_| session(&ann())).collect();
    for info in &infos {
        register(&presence, std::slice::from_ref(info), LONG).await;
        assert!(ok(presence.is_online(&ann()).await));
    }
    for (left, info) in infos.iter().enumerate().rev() {
        unregister(&presence, &[info.key()]).await;
        assert_eq!(ok(presence.is_online(&ann()).await), left > 0);
        assert_eq!(ids(&presence, &ann()).await.len(), left);
    }
}

/// `online` answers for each identity of the question, also where it names one twice.
pub async fn online_answers_for_many_identities<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there) = (handle(), handle());
    let identity = |n: usize| IdentityKey::new(format!("{n}")).with_tenant("acme");
    let infos: Vec<_> = (0..300).step_by(3).map(|n| session(&identity(n))).collect();
    register(&here, &infos, LONG).await;
    let mut asked: Vec<_> = (0..300).map(identity).collect();
    asked.extend([identity(0), identity(1)]);
    let answer = ok(there.online(&asked).await);
    assert!(answer.failed.is_empty(), "{:?}", answer.failed);
    for n in 0..300 {
        assert_eq!(answer.online.contains(&identity(n)), n % 3 == 0, "{n}");
    }
    assert_eq!(answer.online.len(), infos.len());
}

/// Every node that holds a session is named at once, by every handle, with the number of sessions.
pub async fn every_node_that_holds_a_session_is_named_with_its_count<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (here, there) = (handle(), handle());
    let (a, b) = (node(), node());
    let other = session_on(&node(), &IdentityKey::new("bob").with_tenant("acme"));
    let mut infos: Vec<_> = (0..3).map(|_| session_on(&a, &ann())).collect();
    infos.extend((0..250).map(|_| session_on(&b, &ann())));
    infos.push(other.clone());
    register(&here, &infos, LONG).await;
    let expected = HashMap::from([(a.clone(), 3), (b.clone(), 250)]);
    assert_eq!(nodes(&there, &ann()).await, expected);
    let keys: Vec<_> = infos.iter().map(SessionInfo::key).collect();
    assert_eq!(renew(&here, &keys, LONG).await, []);
    assert_eq!(
        nodes(&there, &ann()).await,
        expected,
        "renewing counts nobody"
    );
    unregister(&here, &keys[..2]).await;
    unregister(&here, &keys[..2]).await;
    assert_eq!(
        nodes(&there, &ann()).await,
        HashMap::from([(a, 1), (b, 250)])
    );
    let of_bob = HashMap::from([(other.node(), 1)]);
    assert_eq!(nodes(&there, &other.identity).await, of_bob);
}

/// A node whose last session there was removed is not named any more.
pub async fn a_node_whose_last_session_has_left_is_not_named<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, goes, stays) = (handle(), session(&ann()), session(&ann()));
    register(&presence, &[goes.clone(), stays.clone()], LONG).await;
    unregister(&presence, &[goes.key()]).await;
    let left = HashMap::from([(stays.node(), 1)]);
    assert_eq!(nodes(&presence, &ann()).await, left);
    unregister(&presence, &[stays.key(), stays.key()]).await;
    assert!(nodes(&presence, &ann()).await.is_empty());
}

/// A node whose leases for the identity have all ended is not named any more, while others are.
pub async fn a_node_whose_leases_have_ended_is_not_named<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, dead, live) = (handle(), node(), session(&ann()));
    // More than a store may want to clean up after at once.
    let infos: Vec<_> = (0..1_200).map(|_| session_on(&dead, &ann())).collect();
    register(&presence, &infos, SHORT).await;
    register(&presence, std::slice::from_ref(&live), LONG).await;
    assert!(nodes(&presence, &ann()).await.contains_key(&dead));
    let left = HashMap::from([(live.node(), 1)]);
    until("the dead node's leases have ended", async || {
        ids(&presence, &ann()).await == [live.session_id]
    })
    .await;
    assert_eq!(nodes(&presence, &ann()).await, left);
}

/// A node is named as long as the lease of one of its sessions lasts, also where others have ended
/// or were cut short.
pub async fn a_node_is_named_as_long_as_one_lease_lasts<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, node) = (handle(), node());
    let [short, long] = [(); 2].map(|()| session_on(&node, &ann()));
    register(&presence, std::slice::from_ref(&long), LONG).await;
    register(&presence, std::slice::from_ref(&short), SHORT).await;
    until("the short lease has ended", async || {
        ids(&presence, &ann()).await == [long.session_id]
    })
    .await;
    let one = HashMap::from([(node, 1)]);
    assert_eq!(nodes(&presence, &ann()).await, one);
    // Cut short, the lease takes the node along.
    assert_eq!(renew(&presence, &[long.key()], SHORT).await, []);
    assert_eq!(nodes(&presence, &ann()).await, one);
    until("the lease that was cut short has ended", async || {
        ids(&presence, &ann()).await.is_empty()
    })
    .await;
    assert!(nodes(&presence, &ann()).await.is_empty());
}

/// A node that was started again under its old name is named for each of its lives.
pub async fn each_life_of_a_node_is_named<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, before) = (handle(), node());
    let after = NodeInfo::new(before.id.clone(), Incarnation::random());
    let [ghost, live] = [&before, &after].map(|node| session_on(node, &ann()));
    register(&presence, &[ghost.clone(), live.clone()], LONG).await;
    let both = HashMap::from([(before, 1), (after.clone(), 1)]);
    assert_eq!(nodes(&presence, &ann()).await, both);
    let found = ok(presence.sessions(&ann()).await);
    let found = found.iter().find(|info| info.session_id == live.session_id);
    assert_eq!(found.map(SessionInfo::node), Some(after.clone()));
    unregister(&presence, &[ghost.key()]).await;
    assert_eq!(nodes(&presence, &ann()).await, HashMap::from([(after, 1)]));
}

/// A session that is registered again counts once, and one that an earlier call names twice, too.
pub async fn registering_again_counts_once<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, info) = (handle(), session(&ann()));
    for _ in 0..2 {
        register(&presence, &[info.clone(), info.clone()], LONG).await;
        let once = HashMap::from([(info.node(), 1)]);
        assert_eq!(nodes(&presence, &ann()).await, once);
    }
    unregister(&presence, &[info.key()]).await;
    assert!(nodes(&presence, &ann()).await.is_empty());
}

/// Every caller gets a stream of its own, and one that isn't read delays no other.
pub async fn every_caller_gets_a_stream_of_events_of_its_own<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (closed, open) = (handle(), handle());
    let (unread, mut ends) = (open.events(), closed.events());
    closed.close().await;
    within("the end of one stream", async {
        while ends.next().await.is_some() {}
    })
    .await;
    register(&open, &[session(&ann())], LONG).await;
    drop(unread);
}

/// The stream ends after `close`, also one that is asked for afterwards.
pub async fn streams_of_events_end_after_close<P: Presence>(mut handle: impl FnMut() -> P) {
    let presence = handle();
    let before = presence.events();
    presence.close().await;
    for mut events in [before, presence.events()] {
        within("the end of the events", async {
            while events.next().await.is_some() {}
        })
        .await;
    }
}

/// Closing is idempotent, and sessions stay until their leases end.
pub async fn closing_is_idempotent_and_leaves_sessions<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there, info) = (handle(), handle(), session(&ann()));
    register(&here, std::slice::from_ref(&info), LONG).await;
    for _ in 0..2 {
        within("closing", here.close()).await;
    }
    assert_eq!(ids(&there, &ann()).await, [info.session_id]);
}

/// Calls after `close` fail with kind `Closed`.
pub async fn calls_after_close_fail<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, info) = (handle(), session(&ann()));
    presence.close().await;
    let failures = [
        presence
            .register(std::slice::from_ref(&info), LONG)
            .await
            .err(),
        presence.unregister(&[info.key()]).await.err(),
        presence.renew(&[info.key()], LONG).await.err(),
        presence.sessions(&ann()).await.err(),
        presence.nodes(&ann()).await.err(),
        presence.online(&[ann()]).await.err(),
        presence.is_online(&ann()).await.err(),
    ];
    for failure in failures {
        assert_eq!(failure.map(|e| e.kind()), Some(PresenceErrorKind::Closed));
    }
}
