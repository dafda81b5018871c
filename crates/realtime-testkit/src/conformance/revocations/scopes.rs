//! Whom a revocation concerns.

use realtime_core::{
    Identity, IdentityKey,
    revocation::{Revocation, Revocations},
};

use super::{ada, identity, is_revoked, now, ok, revoke, seconds};

/// Nobody is revoked in a new store, and it has nothing to tell.
pub async fn nobody_is_revoked_at_first<R: Revocations>(mut handle: impl FnMut() -> R) {
    let store = handle();
    for identity in [
        Identity::anonymous(),
        identity(&ada()).with_token_id("7"),
        Identity::new("").with_token_id("").with_issued_at(now()),
    ] {
        assert!(!is_revoked(&store, &identity).await);
    }
    let told = ok(store.since(0).await);
    assert!(told.revocations.is_empty() && !told.more);
}

/// Once it has returned, every node says so.
pub async fn once_it_has_returned_every_node_says_so<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    let (here, there) = (handle(), handle());
    for n in 0..20 {
        let key = IdentityKey::new(n.to_string());
        assert!(!is_revoked(&there, &identity(&key)).await);
        revoke(&here, &Revocation::identity(key.clone(), now())).await;
        assert!(is_revoked(&there, &identity(&key)).await);
        assert!(is_revoked(&here, &identity(&key)).await);
    }
    // On one that is started later, too.
    let later = handle();
    for n in 0..20 {
        let key = IdentityKey::new(n.to_string());
        assert!(is_revoked(&later, &identity(&key)).await);
    }
}

/// A revocation concerns those of its scope, and no others.
pub async fn every_scope_concerns_its_own_and_no_others<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    let store = handle();
    let token = |id: &str, token: &str| Identity::new(id).with_token_id(token);
    revoke(&store, &Revocation::token("7")).await;
    assert!(is_revoked(&store, &token("ada", "7")).await);
    assert!(is_revoked(&store, &token("ann", "7").with_tenant("acme")).await);
    assert!(!is_revoked(&store, &token("ada", "8")).await);
    assert!(!is_revoked(&store, &Identity::new("7")).await);

    revoke(&store, &Revocation::identity(ada(), now())).await;
    assert!(is_revoked(&store, &identity(&ada())).await);
    assert!(is_revoked(&store, &identity(&ada()).with_token_id("9")).await);
    assert!(!is_revoked(&store, &Identity::new("ada")).await);
    assert!(!is_revoked(&store, &Identity::new("ann").with_tenant("acme")).await);

    revoke(&store, &Revocation::tenant("acme", now())).await;
    assert!(is_revoked(&store, &Identity::new("ann").with_tenant("acme")).await);
    assert!(!is_revoked(&store, &Identity::new("ann").with_tenant("acme2")).await);
    assert!(!is_revoked(&store, &Identity::new("acme")).await);

    // The empty tenant is one like others.
    revoke(&store, &Revocation::tenant("", now())).await;
    assert!(is_revoked(&store, &Identity::new("acme")).await);
    assert!(!is_revoked(&store, &Identity::new("ann").with_tenant("acme2")).await);

    revoke(&store, &Revocation::everybody(now())).await;
    assert!(is_revoked(&store, &Identity::new("ann").with_tenant("acme2")).await);
}

/// A token is revoked by its id, whenever it was issued.
pub async fn a_token_is_revoked_whenever_it_was_issued<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    let store = handle();
    revoke(&store, &Revocation::token("7")).await;
    for issued in [now() - seconds(1_000), now() + seconds(1_000)] {
        let shown = identity(&ada()).with_token_id("7").with_issued_at(issued);
        assert!(is_revoked(&store, &shown).await);
    }
}
