//! The suite for [`Presence`].
//!
//! Each test gets a function that makes another handle on one store, which no other test uses.

use std::time::{Duration, SystemTime};

use futures::StreamExt;
use realtime_core::{
    IdentityKey, NodeId, SessionId,
    presence::{Presence, PresenceError, PresenceErrorKind, SessionInfo, SessionKey},
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
            the_answer_has_the_end_of_each_lease_in_the_order_of_the_question
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
    SessionInfo::new(SessionId::random(), identity, NodeId::random())
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
    ok(here.register(std::slice::from_ref(&info), LONG).await);
    assert_eq!(ids(&there, &ann()).await, [info.session_id]);
    assert!(ok(there.is_online(&ann()).await));
}

/// Registering a session again replaces it and renews its lease.
pub async fn registering_again_replaces_the_session_and_renews_its_lease<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, mut info) = (handle(), session(&ann()));
    ok(presence.register(std::slice::from_ref(&info), SHORT).await);
    info.remote_addr = Some(([192, 0, 2, 1], 80).into());
    ok(presence.register(std::slice::from_ref(&info), LONG).await);
    tokio::time::sleep(Duration::from_millis(1_800)).await;
    let found = ok(presence.sessions(&ann()).await);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].remote_addr, info.remote_addr);
}

/// The answer has the end of each lease by the store's clock, in the order of the question.
pub async fn the_answer_has_the_end_of_each_lease_in_the_order_of_the_question<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let presence = handle();
    let infos: Vec<_> = (0..20)
        .map(|n| session(&IdentityKey::new(format!("{}", n % 3)).with_tenant("acme")))
        .collect();
    let registered = ok(presence.register(&infos, LONG).await);
    let order: Vec<_> = registered.iter().map(|r| r.session).collect();
    assert_eq!(
        order,
        infos.iter().map(|i| i.session_id).collect::<Vec<_>>()
    );
    let hour = Duration::from_secs(3_600);
    for registered in registered {
        let ends = registered.expires_at.unwrap_or(SystemTime::UNIX_EPOCH);
        let now = SystemTime::now();
        assert!(ends > now - hour && ends < now + hour, "{ends:?}");
    }
    let forever = ok(presence.register(&[session(&ann())], None).await);
    assert_eq!(forever[0].expires_at, None);
}

/// A session whose lease has ended is not found any more.
pub async fn a_session_whose_lease_has_ended_is_not_found<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, short, long) = (handle(), session(&ann()), session(&ann()));
    ok(presence.register(std::slice::from_ref(&short), SHORT).await);
    ok(presence.register(std::slice::from_ref(&long), LONG).await);
    assert_eq!(ids(&presence, &ann()).await.len(), 2);
    until("the short lease has ended", async || {
        ids(&presence, &ann()).await == [long.session_id]
    })
    .await;
    ok(presence.unregister(&[long.key()]).await);
    ok(presence.register(std::slice::from_ref(&short), SHORT).await);
    until("nobody is online", async || {
        !ok(presence.is_online(&ann()).await)
    })
    .await;
    assert_eq!(ids(&presence, &ann()).await, []);
}

/// Without a lease a session stays until it is unregistered, whatever the leases beside it do.
pub async fn a_session_without_a_lease_stays<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, stays, ends) = (handle(), session(&ann()), session(&ann()));
    ok(presence.register(std::slice::from_ref(&stays), None).await);
    ok(presence.register(std::slice::from_ref(&ends), SHORT).await);
    until("the lease beside it has ended", async || {
        ids(&presence, &ann()).await == [stays.session_id]
    })
    .await;
    let unknown = ok(presence.renew(&[stays.key()], None).await);
    assert_eq!(unknown, []);
    assert!(ok(presence.is_online(&ann()).await));
    ok(presence.unregister(&[stays.key()]).await);
    assert!(!ok(presence.is_online(&ann()).await));
}

/// An empty list is fine.
pub async fn empty_lists_are_fine<P: Presence>(mut handle: impl FnMut() -> P) {
    let presence = handle();
    assert!(ok(presence.register(&[], LONG).await).is_empty());
    ok(presence.unregister(&[]).await);
    assert!(ok(presence.renew(&[], LONG).await).is_empty());
}

/// A removed session is not found any more.
pub async fn a_removed_session_is_not_found<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there, info) = (handle(), handle(), session(&ann()));
    ok(here.register(std::slice::from_ref(&info), LONG).await);
    ok(there.unregister(&[info.key()]).await);
    assert_eq!(ids(&here, &ann()).await, []);
    assert!(!ok(here.is_online(&ann()).await));
}

/// Removing what is not there is fine.
pub async fn removing_what_is_not_there_is_fine<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, info) = (handle(), session(&ann()));
    ok(presence.unregister(&[info.key()]).await);
    ok(presence.register(std::slice::from_ref(&info), LONG).await);
    ok(presence.unregister(&[info.key(), info.key()]).await);
    ok(presence.unregister(&[info.key()]).await);
}

/// Other sessions of the identity stay.
pub async fn other_sessions_of_the_identity_stay<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, goes, stays) = (handle(), session(&ann()), session(&ann()));
    ok(presence
        .register(&[goes.clone(), stays.clone()], LONG)
        .await);
    ok(presence.unregister(&[goes.key()]).await);
    assert_eq!(ids(&presence, &ann()).await, [stays.session_id]);
    assert!(ok(presence.is_online(&ann()).await));
}

/// A renewed session is found until its new lease ends.
pub async fn a_renewed_session_is_found_until_its_new_lease_ends<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, renewed, not) = (handle(), session(&ann()), session(&ann()));
    ok(presence
        .register(&[renewed.clone(), not.clone()], SHORT)
        .await);
    let unknown = ok(presence.renew(&[renewed.key()], LONG).await);
    assert_eq!(unknown, []);
    until("the lease that wasn't renewed has ended", async || {
        ids(&presence, &ann()).await == [renewed.session_id]
    })
    .await;
    assert!(ok(presence.is_online(&ann()).await));
    ok(presence.renew(&[renewed.key()], SHORT).await);
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
    ok(presence.register(std::slice::from_ref(&known), LONG).await);
    let keys = [unknown.key(), known.key(), stranger.key()];
    let mut returned = ok(presence.renew(&keys, LONG).await);
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
    ok(presence.register(&infos, LONG).await);
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
}

/// A session is returned as it was registered, with the end of its lease.
pub async fn a_session_is_returned_as_it_was_registered<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, mut info) = (handle(), session(&ann()));
    info.remote_addr = "[2001:db8::1]:443".parse().ok();
    let registered = ok(presence.register(std::slice::from_ref(&info), LONG).await);
    let found = ok(presence.sessions(&ann()).await);
    assert_eq!(found.len(), 1);
    info.expires_at = registered[0].expires_at;
    // A store may keep times to the millisecond.
    let near = |a: SystemTime, b: SystemTime| {
        let apart = a.duration_since(b).or_else(|_| b.duration_since(a));
        apart.is_ok_and(|apart| apart < Duration::from_millis(2))
    };
    assert!(near(found[0].connected_at, info.connected_at), "{found:?}");
    info.connected_at = found[0].connected_at;
    let ends = found[0].expires_at.zip(info.expires_at);
    assert!(ends.is_some_and(|(a, b)| near(a, b)), "{found:?}");
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
    ok(presence.register(&infos, LONG).await);
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
    assert_eq!(ok(presence.register(&infos, LONG).await).len(), infos.len());
    assert_eq!(ok(presence.renew(&keys, LONG).await), []);
    assert_eq!(ids(&presence, &identity(0)).await.len(), 3);
    ok(presence.unregister(&keys).await);
    assert_eq!(ok(presence.renew(&keys, LONG).await).len(), keys.len());
    assert!(!ok(presence.is_online(&identity(0)).await));
}

/// `is_online` agrees with `sessions`.
pub async fn is_online_agrees_with_sessions<P: Presence>(mut handle: impl FnMut() -> P) {
    let presence = handle();
    let infos: Vec<_> = (0..3).map(|_| session(&ann())).collect();
    for info in &infos {
        ok(presence.register(std::slice::from_ref(info), LONG).await);
        assert!(ok(presence.is_online(&ann()).await));
    }
    for (left, info) in infos.iter().enumerate().rev() {
        ok(presence.unregister(&[info.key()]).await);
        assert_eq!(ok(presence.is_online(&ann()).await), left > 0);
        assert_eq!(ids(&presence, &ann()).await.len(), left);
    }
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
    ok(open.register(&[session(&ann())], LONG).await);
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
    ok(here.register(std::slice::from_ref(&info), LONG).await);
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
        presence.is_online(&ann()).await.err(),
    ];
    for failure in failures {
        assert_eq!(failure.map(|e| e.kind()), Some(PresenceErrorKind::Closed));
    }
}
