//! The store of revocations behind a bound.

use std::time::{Duration, SystemTime};

use realtime_core::{
    Identity,
    revocation::{
        AnyRevocations, Page, Revocation, RevocationError, RevocationErrorKind, Revocations,
    },
};

use crate::guarded::{Whose, caught, guarded};

/// How long it may take for a call.
const CALL: Duration = Duration::from_secs(5);

/// A store whose calls return.
struct BoundedRevocations(AnyRevocations);

pub(crate) fn bounded_revocations(revocations: AnyRevocations) -> AnyRevocations {
    AnyRevocations::new(BoundedRevocations(revocations))
}

async fn bounded<T>(
    call: impl Future<Output = Result<T, RevocationError>>,
) -> Result<T, RevocationError> {
    let called = guarded(Whose::Revocations, Some(CALL), call).await;
    called.unwrap_or_else(|broken| {
        let (kind, context) = (
            RevocationErrorKind::Unavailable,
            "the store of revocations did not answer",
        );
        Err(RevocationError::new(kind, context).with_source(broken))
    })
}

impl Revocations for BoundedRevocations {
    async fn revoke(
        &self,
        revocation: &Revocation,
        until: SystemTime,
    ) -> Result<(), RevocationError> {
        bounded(async { self.0.revoke(revocation, until).await }).await
    }

    async fn is_revoked(&self, identity: &Identity) -> Result<bool, RevocationError> {
        bounded(async { self.0.is_revoked(identity).await }).await
    }

    async fn since(&self, after: u64) -> Result<Page, RevocationError> {
        bounded(async { self.0.since(after).await }).await
    }

    fn is_shared(&self) -> bool {
        caught(Whose::Revocations, || self.0.is_shared()).unwrap_or(false)
    }
}
