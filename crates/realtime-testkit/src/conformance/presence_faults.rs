//! The suite for what a [`Presence`] does where a single key fails.
//!
//! Not every store can be brought to that. For one that can, each test gets a function that makes
//! another handle on one store, which no other test uses, and an async function that does a
//! [`Damage`] to what lies in the store.

use realtime_core::{
    IdentityKey, Incarnation, NodeId, SessionId,
    broker::NodeInfo,
    presence::{Failure, Presence, PresenceError, PresenceErrorKind, SessionInfo, SessionKey},
};

use std::{collections::HashSet, time::Duration};

/// Declares the tests of the suite. The expression makes, for each test anew, a function that makes
/// handles on one store, and an async closure that does a
/// [`Damage`](crate::conformance::presence_faults::Damage) to it; it may `await`.
///
/// ```no_run
/// use realtime::presence::MemoryPresence;
/// use realtime_testkit::conformance::presence_faults::Damage;
///
/// realtime_testkit::presence_faults_suite!({
///     let store = MemoryPresence::new(); // your store, on a server that the test can spoil
///     let handle = move || store.clone();
///     let damage = async |damage: Damage| match damage {
///         Damage::Identity(_key) => {} // put something else where its sessions belong
///         Damage::Record(_key) => {}   // write garbage over this session's record
///         _ => {}
///     };
///     (handle, damage)
/// });
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! presence_faults_suite {
    ($make:expr) => {
        $crate::__suite! { each, presence_faults, $make,
            a_session_that_cannot_be_registered_is_named_and_the_others_are_registered
            a_session_that_cannot_be_renewed_is_named_and_the_others_are_renewed
            a_session_that_cannot_be_removed_is_named_and_the_others_are_removed
            an_identity_that_cannot_be_looked_for_is_named_and_the_others_are_answered
            questions_about_a_damaged_identity_fail
            a_record_that_cannot_be_read_is_left_out_and_unknown
            a_record_that_cannot_be_read_is_replaced
        }
    };
}

/// What a test has done to the store, behind its back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// Something else lies where the sessions of this identity belong, so that every call about it
    /// fails until that is taken away.
    Identity(IdentityKey),
    /// The record of this session can't be read. Its lease may still be there.
    Record(SessionKey),
}

const LONG: Option<Duration> = Some(Duration::from_secs(300));

fn identity(n: usize) -> IdentityKey {
    IdentityKey::new(format!("{n}")).with_tenant("acme")
}

fn node() -> NodeInfo {
    NodeInfo::new(NodeId::random(), Incarnation::random())
}

/// One session for each of so many identities, on one node.
fn sessions(count: usize) -> Vec<SessionInfo> {
    let node = node();
    let one = |n| SessionInfo::new(SessionId::random(), &identity(n), node.clone());
    (0..count).map(one).collect()
}

#[allow(clippy::panic, reason = "a test fails by a panic")]
fn ok<T>(result: Result<T, PresenceError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store was expected to answer; got {error:?}"),
    }
}

/// These have failed, and no others, each because of what lies there.
fn only(failed: &[Failure], expected: &[SessionKey]) {
    let keys: HashSet<_> = failed.iter().map(|failure| &failure.key).collect();
    assert_eq!(keys, expected.iter().collect(), "{failed:?}");
    for failure in failed {
        assert_eq!(
            failure.error.kind(),
            PresenceErrorKind::Corrupt,
            "{failure:?}"
        );
        assert!(!failure.error.is_transient());
    }
}

async fn are_online<P: Presence>(presence: &P, count: usize, but: usize) {
    for n in (0..count).filter(|n| *n != but) {
        assert!(ok(presence.is_online(&identity(n)).await), "{n}");
    }
}

/// A session that can't be registered is named, with the reason; the others are registered.
pub async fn a_session_that_cannot_be_registered_is_named_and_the_others_are_registered<
    P: Presence,
>(
    (mut handle, damage): (impl FnMut() -> P, impl AsyncFn(Damage)),
) {
    let presence = handle();
    damage(Damage::Identity(identity(7))).await;
    let infos = sessions(500);
    let registered = ok(presence.register(&infos, LONG).await);
    only(&registered.failed, &[infos[7].key()]);
    are_online(&presence, infos.len(), 7).await;
    // Alone it is a failure of the key, too, and not of the call.
    let alone = ok(presence.register(&infos[7..8], LONG).await);
    only(&alone.failed, &[infos[7].key()]);
}

/// A session that can't be renewed is named, with the reason; the others are renewed.
pub async fn a_session_that_cannot_be_renewed_is_named_and_the_others_are_renewed<P: Presence>(
    (mut handle, damage): (impl FnMut() -> P, impl AsyncFn(Damage)),
) {
    let (presence, infos) = (handle(), sessions(500));
    let lease = Duration::from_millis(3_000);
    let keys: Vec<_> = infos.iter().map(SessionInfo::key).collect();
    assert!(
        ok(presence.register(&infos, Some(lease)).await)
            .failed
            .is_empty()
    );
    damage(Damage::Identity(identity(7))).await;
    let renewed = ok(presence.renew(&keys, LONG).await);
    only(&renewed.failed, &keys[7..8]);
    assert_eq!(renewed.unknown, []);
    tokio::time::sleep(lease).await;
    are_online(&presence, infos.len(), 7).await;
}

/// A session that can't be removed is named, with the reason; the others are removed.
pub async fn a_session_that_cannot_be_removed_is_named_and_the_others_are_removed<P: Presence>(
    (mut handle, damage): (impl FnMut() -> P, impl AsyncFn(Damage)),
) {
    let (presence, infos) = (handle(), sessions(500));
    let keys: Vec<_> = infos.iter().map(SessionInfo::key).collect();
    assert!(ok(presence.register(&infos, LONG).await).failed.is_empty());
    damage(Damage::Identity(identity(7))).await;
    let gone = ok(presence.unregister(&keys).await);
    only(&gone.failed, &keys[7..8]);
    for n in (0..infos.len()).filter(|n| *n != 7) {
        assert!(!ok(presence.is_online(&identity(n)).await), "{n}");
    }
}

/// An identity that can't be looked for is named, with the reason; the others are answered.
pub async fn an_identity_that_cannot_be_looked_for_is_named_and_the_others_are_answered<
    P: Presence,
>(
    (mut handle, damage): (impl FnMut() -> P, impl AsyncFn(Damage)),
) {
    let (presence, infos) = (handle(), sessions(10));
    assert!(ok(presence.register(&infos, LONG).await).failed.is_empty());
    damage(Damage::Identity(identity(7))).await;
    let asked: Vec<_> = (0..20).map(identity).collect();
    let answer = ok(presence.online(&asked).await);
    let failed: Vec<_> = answer.failed.iter().map(|failure| &failure.key).collect();
    assert_eq!(failed, [&identity(7)]);
    for n in (0..20).filter(|n| *n != 7) {
        assert_eq!(answer.online.contains(&identity(n)), n < 10, "{n}");
    }
    assert!(!answer.online.contains(&identity(7)), "it isn't known");
}

/// Questions about an identity fail where something else lies in the place of its sessions, with
/// kind `Corrupt`: it is neither online nor offline.
pub async fn questions_about_a_damaged_identity_fail<P: Presence>(
    (mut handle, damage): (impl FnMut() -> P, impl AsyncFn(Damage)),
) {
    let presence = handle();
    damage(Damage::Identity(identity(7))).await;
    let errors = [
        presence.is_online(&identity(7)).await.err(),
        presence.sessions(&identity(7)).await.err(),
        presence.nodes(&identity(7)).await.err(),
    ];
    for error in errors {
        let kind = error.map(|error| error.kind());
        assert_eq!(kind, Some(PresenceErrorKind::Corrupt));
    }
}

/// A record that can't be read is left out of the identity's sessions, and its session is unknown
/// when its lease is renewed, so that it is registered again.
pub async fn a_record_that_cannot_be_read_is_left_out_and_unknown<P: Presence>(
    (mut handle, damage): (impl FnMut() -> P, impl AsyncFn(Damage)),
) {
    let (presence, node) = (handle(), node());
    let [broken, whole] =
        [(); 2].map(|()| SessionInfo::new(SessionId::random(), &identity(0), node.clone()));
    let both = [broken.clone(), whole.clone()];
    assert!(ok(presence.register(&both, LONG).await).failed.is_empty());
    damage(Damage::Record(broken.key())).await;
    let found = ok(presence.sessions(&identity(0)).await);
    let found: Vec<_> = found.iter().map(|info| info.session_id).collect();
    assert_eq!(found, [whole.session_id]);
    let renewed = ok(presence.renew(&[broken.key(), whole.key()], LONG).await);
    assert_eq!(renewed.unknown, [broken.key()]);
    assert!(renewed.failed.is_empty(), "{:?}", renewed.failed);
    let nodes = ok(presence.nodes(&identity(0)).await);
    assert!(nodes.iter().any(|at| at.node == node), "{nodes:?}");
}

/// What can't be read where a session's record belongs is replaced when it is registered.
pub async fn a_record_that_cannot_be_read_is_replaced<P: Presence>(
    (mut handle, damage): (impl FnMut() -> P, impl AsyncFn(Damage)),
) {
    let (presence, infos) = (handle(), sessions(1));
    let (info, key) = (&infos[0], [infos[0].key()]);
    assert!(ok(presence.register(&infos, LONG).await).failed.is_empty());
    damage(Damage::Record(info.key())).await;
    assert!(ok(presence.register(&infos, LONG).await).failed.is_empty());
    let found = ok(presence.sessions(&info.identity).await);
    assert_eq!(
        found.first().map(|found| found.session_id),
        Some(info.session_id)
    );
    assert_eq!(ok(presence.renew(&key, LONG).await).unknown, []);
    let nodes = ok(presence.nodes(&info.identity).await);
    let nodes: Vec<_> = nodes.iter().map(|at| (&at.node, at.sessions)).collect();
    assert_eq!(nodes, [(&info.node(), 1)]);
    assert!(ok(presence.unregister(&key).await).failed.is_empty());
    assert!(ok(presence.nodes(&info.identity).await).is_empty());
    assert!(!ok(presence.is_online(&info.identity).await));
}
