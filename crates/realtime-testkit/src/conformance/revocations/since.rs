//! What is told to those who ask what was revoked since.

use std::collections::HashSet;

use futures::future::join_all;
use realtime_core::{
    IdentityKey,
    revocation::{PAGE, Revocation, RevocationScope, Revocations},
};

use super::{ada, all_since, now, ok, revoke, seconds};

/// All that was revoked is told, whatever its scope.
pub async fn all_that_was_revoked_is_told<R: Revocations>(mut handle: impl FnMut() -> R) {
    let (here, there) = (handle(), handle());
    let revoked = [
        Revocation::everybody(now() - seconds(9)),
        Revocation::tenant("acme", now()),
        Revocation::identity(ada(), now() + seconds(9)),
        Revocation::token("7"),
    ];
    for revocation in &revoked {
        revoke(&here, revocation).await;
    }
    let (told, _) = all_since(&there, 0).await;
    assert_eq!(told.len(), revoked.len());
    for told in told {
        let scope_of = |revocation: &&Revocation| revocation.scope == told.scope;
        let revocation = revoked.iter().find(scope_of);
        assert!(revocation.is_some(), "{told:?} was never revoked");
        if !matches!(told.scope, RevocationScope::Token(_)) {
            assert_eq!(revocation, Some(&told));
        }
    }
}

/// What is revoked again, for more, is told again to those who are further.
pub async fn what_is_revoked_again_is_told_again<R: Revocations>(mut handle: impl FnMut() -> R) {
    let store = handle();
    let at = now();
    revoke(&store, &Revocation::identity(ada(), at)).await;
    let (_, after) = all_since(&store, 0).await;
    let more = Revocation::identity(ada(), at + seconds(1));
    revoke(&store, &more).await;
    let (told, _) = all_since(&store, after).await;
    assert_eq!(told, [more]);
}

/// A position leads on from where it was: nothing is told twice for nothing, and nothing left out.
pub async fn a_position_leads_on_from_where_it_was<R: Revocations>(mut handle: impl FnMut() -> R) {
    let (here, there) = (handle(), handle());
    let mut after = 0;
    for n in 0..20 {
        let revocation = Revocation::identity(IdentityKey::new(n.to_string()), now());
        revoke(&here, &revocation).await;
        let (told, next) = all_since(&there, after).await;
        assert_eq!(told, [revocation]);
        assert!(next > after);
        after = next;
        let (told, next) = all_since(&here, after).await;
        assert_eq!((told, next), (Vec::new(), after));
    }
    let (told, next) = all_since(&here, 0).await;
    assert_eq!((told.len(), next), (20, after));
}

/// More than [`PAGE`] comes in pages, each at least once.
pub async fn more_than_a_page_comes_in_pages<R: Revocations>(mut handle: impl FnMut() -> R) {
    let store = handle();
    let count = 2 * PAGE + 1;
    let names: Vec<_> = (0..count)
        .map(|n| Revocation::token(n.to_string()))
        .collect();
    for some in names.chunks(250) {
        join_all(some.iter().map(|revocation| revoke(&store, revocation))).await;
    }
    let first = ok(store.since(0).await);
    assert_eq!((first.revocations.len(), first.more), (PAGE, true));
    let (told, _) = all_since(&store, 0).await;
    let scopes: HashSet<_> = told.into_iter().map(|told| told.scope).collect();
    assert_eq!(scopes.len(), count);
    // A last page that is full says that it is the last.
    let second = ok(store.since(first.next).await);
    assert_eq!((second.revocations.len(), second.more), (PAGE, true));
    let third = ok(store.since(second.next).await);
    assert_eq!((third.revocations.len(), third.more), (1, false));
}

/// After a position that nobody has reached there is nothing, and that isn't an error.
pub async fn a_position_of_the_future_has_nothing<R: Revocations>(mut handle: impl FnMut() -> R) {
    let store = handle();
    revoke(&store, &Revocation::identity(ada(), now())).await;
    let told = ok(store.since(u64::MAX).await);
    assert!(told.revocations.is_empty() && !told.more);
    let told = ok(store.since(u64::MAX - 1).await);
    assert!(told.revocations.is_empty() && !told.more);
}
