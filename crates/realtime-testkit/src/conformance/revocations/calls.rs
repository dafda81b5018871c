//! The same call twice, many at the same time, and those that are given up.

use std::collections::HashSet;

use futures::{FutureExt, future::join_all};
use realtime_core::{
    Identity, IdentityKey,
    revocation::{Revocation, Revocations},
};

use super::{ada, all_since, identity, is_revoked, long, now, ok, revoke, seconds};

/// The same revocation twice is harmless.
pub async fn the_same_twice_is_harmless<R: Revocations>(mut handle: impl FnMut() -> R) {
    let (here, there) = (handle(), handle());
    let (revocation, until) = (Revocation::identity(ada(), now()), long());
    for store in [&here, &there, &here] {
        ok(store.revoke(&revocation, until).await);
        assert!(is_revoked(store, &identity(&ada())).await);
    }
    let (told, _) = all_since(&there, 0).await;
    assert!(told.iter().all(|told| *told == revocation) && !told.is_empty());
}

/// Revocations at the same time all hold; of those of one scope the latest time does.
pub async fn revocations_at_the_same_time_all_hold<R: Revocations>(mut handle: impl FnMut() -> R) {
    let (tasks, each) = (4, 25);
    let at = now();
    let handles: Vec<R> = (0..tasks).map(|_| handle()).collect();
    let work = handles.into_iter().enumerate().map(|(task, store)| {
        tokio::spawn(async move {
            for n in 0..each {
                revoke(&store, &Revocation::token(format!("{task}:{n}"))).await;
                let later = seconds((task * each + n) as u64);
                revoke(&store, &Revocation::identity(ada(), at + later)).await;
            }
        })
    });
    let done = join_all(work).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    let store = handle();
    for (task, n) in (0..tasks).flat_map(|task| (0..each).map(move |n| (task, n))) {
        let token = Identity::new("ann").with_token_id(format!("{task}:{n}"));
        assert!(is_revoked(&store, &token).await);
    }
    let latest = at + seconds((tasks * each - 1) as u64);
    let issued = |at| identity(&ada()).with_issued_at(at);
    assert!(is_revoked(&store, &issued(latest - seconds(1))).await);
    assert!(!is_revoked(&store, &issued(latest)).await);
    let (told, _) = all_since(&store, 0).await;
    let scopes: HashSet<_> = told.iter().map(|told| told.scope.clone()).collect();
    assert_eq!(scopes.len(), tasks * each + 1);
    assert!(told.contains(&Revocation::identity(ada(), latest)));
}

/// A call that is dropped has happened or not; the store is whole, and to call again is harmless.
pub async fn calls_that_are_dropped_leave_the_store_whole<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    let store = handle();
    for n in 0..50 {
        let revocation = Revocation::identity(IdentityKey::new(n.to_string()), now());
        let until = long();
        for _ in 0..n % 5 {
            // Begun, and given up.
            let _begun = Box::pin(store.revoke(&revocation, until)).now_or_never();
            let _begun = Box::pin(store.since(0)).now_or_never();
        }
        ok(store.revoke(&revocation, until).await);
        assert!(is_revoked(&store, &identity(&IdentityKey::new(n.to_string()))).await);
    }
    let (told, _) = all_since(&store, 0).await;
    let scopes: HashSet<_> = told.into_iter().map(|told| told.scope).collect();
    assert_eq!(scopes.len(), 50);
}
