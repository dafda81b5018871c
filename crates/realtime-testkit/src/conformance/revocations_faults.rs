//! The suite for what [`Revocations`] do where something else lies in the place of a revocation.
//!
//! Not every store can be brought to that. For one that can, each test gets a function that makes
//! another handle on one store, which no other test uses, and an async function that does a
//! [`Damage`] to what lies in the store.

use std::time::{Duration, SystemTime};

use realtime_core::{
    Identity, IdentityKey,
    revocation::{Revocation, RevocationError, RevocationErrorKind, RevocationScope, Revocations},
};

/// Declares the tests of the suite. The expression makes, for each test anew, a function that makes
/// handles on one store, and an async closure that does a
/// [`Damage`](crate::conformance::revocations_faults::Damage) to it; it may `await`.
///
/// ```no_run
/// use realtime::revocation::MemoryRevocations;
/// use realtime_testkit::conformance::revocations_faults::Damage;
///
/// realtime_testkit::revocations_faults_suite!({
///     let store = MemoryRevocations::new(); // your store, on a server that the test can spoil
///     let handle = move || store.clone();
///     let damage = async |damage: Damage| match damage {
///         Damage::Revocation(_scope) => {} // put something else where it belongs
///         Damage::Order => {} // put something else where it is kept what came when
///         _ => {}
///     };
///     (handle, damage)
/// });
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! revocations_faults_suite {
    ($make:expr) => {
        $crate::__suite! { each, revocations_faults, $make,
            what_can_not_be_read_is_an_error_for_those_whom_it_concerns
            what_is_revoked_otherwise_is_revoked
            revoking_again_makes_a_damaged_one_whole
            a_damaged_order_keeps_nobody_from_being_revoked
        }
    };
}

/// What a test has done to the store, behind its back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// Something else lies where the revocation of this scope belongs.
    Revocation(RevocationScope),
    /// Something else lies where the store keeps in which order revocations came.
    Order,
}

fn ada() -> IdentityKey {
    IdentityKey::new("ada").with_tenant("acme")
}

fn shown(key: &IdentityKey) -> Identity {
    Identity::new(key.id()).with_tenant(key.tenant())
}

fn scopes() -> [RevocationScope; 4] {
    [
        RevocationScope::Everybody,
        RevocationScope::Tenant("acme".to_owned()),
        RevocationScope::Identity(ada()),
        RevocationScope::Token("7".to_owned()),
    ]
}

#[allow(clippy::panic, reason = "a test fails by a panic")]
fn ok<T>(result: Result<T, RevocationError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store was expected to answer; got {error:?}"),
    }
}

async fn revoke<R: Revocations>(store: &R, revocation: &Revocation) {
    let until = SystemTime::now() + Duration::from_secs(600);
    ok(store.revoke(revocation, until).await);
}

/// Whose revocation can't be read gets an error of kind `Unavailable`, and no others do.
pub async fn what_can_not_be_read_is_an_error_for_those_whom_it_concerns<R: Revocations>(
    (mut handle, damage): (impl FnMut() -> R, impl AsyncFn(Damage)),
) {
    let store = handle();
    let ann = Identity::new("ann").with_token_id("8");
    let mine = [
        shown(&ada()).with_token_id("7"),
        shown(&ada()),
        Identity::new("ann").with_tenant("acme"),
        ann.clone(),
    ];
    // From the one that concerns least to the one that concerns everybody.
    for (scope, concerned) in scopes().into_iter().rev().zip(mine) {
        assert!(!ok(store.is_revoked(&ann).await));
        damage(Damage::Revocation(scope.clone())).await;
        for _ in 0..2 {
            let unknown = store.is_revoked(&concerned).await;
            let kind = unknown.as_ref().map_err(RevocationError::kind);
            let unavailable = Err(RevocationErrorKind::Unavailable);
            assert_eq!(kind, unavailable, "{scope:?}: {unknown:?}");
        }
    }
}

/// Who is revoked by another revocation is revoked, though one can't be read.
pub async fn what_is_revoked_otherwise_is_revoked<R: Revocations>(
    (mut handle, damage): (impl FnMut() -> R, impl AsyncFn(Damage)),
) {
    let store = handle();
    revoke(&store, &Revocation::identity(ada(), SystemTime::now())).await;
    for scope in scopes() {
        if !matches!(scope, RevocationScope::Identity(_)) {
            damage(Damage::Revocation(scope)).await;
        }
    }
    let shown = shown(&ada()).with_token_id("7");
    assert!(ok(store.is_revoked(&shown).await));
}

/// Revoking again makes a damaged one whole.
pub async fn revoking_again_makes_a_damaged_one_whole<R: Revocations>(
    (mut handle, damage): (impl FnMut() -> R, impl AsyncFn(Damage)),
) {
    let store = handle();
    let (at, second) = (SystemTime::now(), Duration::from_secs(1));
    let again = [
        Revocation::everybody(at - second * 3),
        Revocation::tenant("acme", at - second * 2),
        Revocation::identity(ada(), at - second),
    ];
    for (scope, revocation) in scopes().into_iter().zip(again) {
        revoke(&store, &revocation).await;
        damage(Damage::Revocation(scope)).await;
        let issued = |at| shown(&ada()).with_issued_at(at);
        let young = issued(at + second);
        assert!(store.is_revoked(&young).await.is_err(), "{revocation:?}");
        revoke(&store, &revocation).await;
        let before = issued(revocation.issued_before - Duration::from_nanos(1));
        assert!(ok(store.is_revoked(&before).await), "{revocation:?}");
        assert!(!ok(store.is_revoked(&young).await), "{revocation:?}");
    }
    damage(Damage::Revocation(RevocationScope::Token("7".to_owned()))).await;
    revoke(&store, &Revocation::token("7")).await;
    assert!(ok(store
        .is_revoked(&Identity::new("ann").with_token_id("7"))
        .await));
}

/// Where the order is damaged, asking for it fails or has less; who is revoked is so all the same, and
/// the next revocation makes it whole.
pub async fn a_damaged_order_keeps_nobody_from_being_revoked<R: Revocations>(
    (mut handle, damage): (impl FnMut() -> R, impl AsyncFn(Damage)),
) {
    let store = handle();
    revoke(&store, &Revocation::token("before")).await;
    let after = ok(store.since(0).await).next;
    damage(Damage::Order).await;
    if let Err(error) = store.since(0).await {
        assert_eq!(error.kind(), RevocationErrorKind::Unavailable, "{error:?}");
    }
    let token = |id: &str| Identity::new("ann").with_token_id(id);
    assert!(ok(store.is_revoked(&token("before")).await));
    let revocation = Revocation::identity(ada(), SystemTime::now());
    revoke(&store, &revocation).await;
    assert!(ok(store.is_revoked(&shown(&ada())).await));
    // Those who are further hear of it as well.
    for after in [0, after] {
        let told = ok(store.since(after).await);
        assert!(
            told.revocations.contains(&revocation),
            "after {after}: {told:?}"
        );
    }
}
