//! What is registered, and until when.

use std::time::{Duration, SystemTime};

use realtime_core::{
    IdentityKey,
    presence::{Presence, SessionInfo},
};

use super::{LONG, SHORT, ann, ids, ok, register, renew, session, unregister};
use crate::wait::until;

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
