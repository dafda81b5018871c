//! Names, whatever they hold.

use futures::future::join_all;
use realtime_core::{
    Identity, IdentityKey,
    revocation::{MAX_NAMES, Revocation, RevocationError, RevocationErrorKind, Revocations},
};

use super::{ada, all_since, identity, is_revoked, long, now, revoke};

/// Names are kept apart whatever they hold, and those of one scope from those of another.
pub async fn names_are_kept_apart_whatever_they_hold<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    const PARTS: [&str; 14] = [
        "",
        "a",
        ":",
        "a:",
        ":a",
        "{",
        "}",
        "{}",
        "}{",
        "{a}",
        "\0",
        "a\0",
        "é\u{1F600}",
        " \r\n",
    ];
    let store = handle();
    let key = |tenant: &str, id: &str| IdentityKey::new(id).with_tenant(tenant);
    let all = || PARTS.into_iter().flat_map(|t| PARTS.map(|id| key(t, id)));
    // Every other one.
    let is_chosen = |n: usize| n.is_multiple_of(2);
    let mut revoked = Vec::new();
    for (n, key) in all().enumerate() {
        if is_chosen(n) {
            revoked.push(Revocation::identity(key, now()));
        }
    }
    for (n, name) in PARTS.into_iter().enumerate() {
        if is_chosen(n) {
            revoked.push(Revocation::token(name));
        } else {
            revoked.push(Revocation::token(format!("1:{name}")));
        }
    }
    join_all(revoked.iter().map(|revocation| revoke(&store, revocation))).await;
    for (n, key) in all().enumerate() {
        let found = is_revoked(&store, &identity(&key)).await;
        assert_eq!(found, is_chosen(n), "{key:?}");
    }
    for (n, name) in PARTS.into_iter().enumerate() {
        let shown = Identity::new("nobody").with_tenant("none");
        let found = is_revoked(&store, &shown.with_token_id(name)).await;
        assert_eq!(found, is_chosen(n), "{name:?}");
    }
    let (told, _) = all_since(&store, 0).await;
    assert_eq!(told.len(), revoked.len());
    assert!(revoked.iter().all(|revocation| told.contains(revocation)));
}

/// Names of [`MAX_NAMES`] bytes are kept, and what is longer is refused, with kind `TooLarge`.
pub async fn long_names_are_kept_and_longer_ones_refused<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    let store = handle();
    for length in [1_000, 1_024, 1_025, MAX_NAMES] {
        let long = "é".repeat(length / 2) + &"x".repeat(length % 2);
        revoke(&store, &Revocation::token(&*long)).await;
        let shown = identity(&ada()).with_token_id(&*long);
        assert!(is_revoked(&store, &shown).await, "{length}");
        let another = long.replacen('é', "e\u{1}", 1);
        let shown = identity(&ada()).with_token_id(another);
        assert!(!is_revoked(&store, &shown).await, "{length}");
    }
    let half = "a".repeat(IdentityKey::MAX_BYTES / 2);
    let key = IdentityKey::new(&half).with_tenant(&half);
    assert!(!key.is_too_long());
    revoke(&store, &Revocation::identity(key.clone(), now())).await;
    assert!(is_revoked(&store, &identity(&key)).await);
    let (told, _) = all_since(&store, 0).await;
    assert_eq!(told.len(), 5);

    let longer = "x".repeat(MAX_NAMES + 1);
    for revocation in [
        Revocation::token(&*longer),
        Revocation::tenant(&*longer, now()),
        Revocation::identity(IdentityKey::new(&longer[1..]).with_tenant("x"), now()),
    ] {
        let refused = store.revoke(&revocation, long()).await;
        let kind = refused.as_ref().map_err(RevocationError::kind);
        assert_eq!(kind, Err(RevocationErrorKind::TooLarge), "{refused:?}");
    }
    // What can't be revoked isn't.
    let shown = Identity::new(&longer).with_tenant(&longer);
    assert!(!is_revoked(&store, &shown.with_token_id(&*longer)).await);
}
