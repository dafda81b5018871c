//! What the tests share.

use std::time::{Duration, Instant, SystemTime};

use realtime_core::{
    Identity, IdentityKey,
    revocation::{Revocation, RevocationError, Revocations},
};
use realtime_revocation_redis::{RedisConfig, RedisRevocations};
use realtime_testkit::wait::until;

/// The command timeout of 1 s, and what a busy machine may add.
pub(crate) const SOON: Duration = Duration::from_millis(2_500);

pub(crate) fn store(url: impl Into<String>) -> RedisRevocations {
    RedisRevocations::from_url(url).unwrap()
}

/// For the suites, on a busy machine.
pub(crate) fn patient(url: impl Into<String>) -> RedisRevocations {
    let config = RedisConfig::builder(url).pool_size(2);
    let config = config.command_timeout(Duration::from_secs(8));
    RedisRevocations::new(config.build().unwrap())
}

/// Longer than any test.
pub(crate) fn long() -> SystemTime {
    SystemTime::now() + Duration::from_secs(1_000)
}

pub(crate) fn token(id: &str) -> Identity {
    Identity::new("ann").with_token_id(id)
}

pub(crate) fn signed_out(id: &str) -> Revocation {
    Revocation::identity(IdentityKey::new(id), SystemTime::now())
}

pub(crate) async fn revoke(store: &RedisRevocations, revocation: &Revocation) {
    store.revoke(revocation, long()).await.unwrap();
}

pub(crate) async fn is_revoked(store: &RedisRevocations, identity: &Identity) -> bool {
    store.is_revoked(identity).await.unwrap()
}

/// Revokes something and asks for it.
pub(crate) async fn works(store: &RedisRevocations) {
    let revocation = signed_out("works");
    revoke(store, &revocation).await;
    assert!(is_revoked(store, &Identity::new("works")).await);
    assert!(!is_revoked(store, &Identity::new("another")).await);
    let told = store.since(0).await.unwrap();
    assert!(told.revocations.contains(&revocation), "{told:?}");
}

pub(crate) async fn works_again(store: &RedisRevocations) {
    until("it can be revoked again", async || {
        store.revoke(&signed_out("again"), long()).await.is_ok()
    })
    .await;
    works(store).await;
}

/// All calls fail within the timeout; the first error is returned.
pub(crate) async fn failure(store: &RedisRevocations) -> RevocationError {
    let (revocation, ann, start) = (signed_out("ann"), token("7"), Instant::now());
    let (revoked, is_revoked, since) = futures::join!(
        store.revoke(&revocation, long()),
        store.is_revoked(&ann),
        store.since(0),
    );
    let took = start.elapsed();
    assert!(took < SOON, "it took {took:?} to fail");
    let errors = [
        revoked.unwrap_err(),
        is_revoked.unwrap_err(),
        since.unwrap_err(),
    ];
    let kind = errors[0].kind();
    assert!(errors.iter().all(|e| e.kind() == kind), "{errors:?}");
    let [first, ..] = errors;
    first
}
