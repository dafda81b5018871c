//! The store of revocations behind a bound.

use std::time::{Duration, SystemTime};

use realtime_core::{
    Identity,
    revocation::{
        AnyRevocations, Page, Revocation, RevocationError, RevocationErrorKind, Revocations,
    },
};

use crate::{
    guarded::{Whose, caught, guarded},
    metrics::{Call, Metrics},
};

/// How long it may take for a call.
const CALL: Duration = Duration::from_secs(5);

/// A store whose calls return, and are measured.
struct BoundedRevocations(AnyRevocations, Metrics);

pub(crate) fn bounded_revocations(revocations: AnyRevocations, metrics: Metrics) -> AnyRevocations {
    AnyRevocations::new(BoundedRevocations(revocations, metrics))
}

async fn bounded<T>(
    metrics: &Metrics,
    of: Call,
    call: impl Future<Output = Result<T, RevocationError>>,
) -> Result<T, RevocationError> {
    let called = async {
        let called = guarded(Whose::Revocations, Some(CALL), call).await;
        called.unwrap_or_else(|broken| {
            let (kind, context) = (
                RevocationErrorKind::Unavailable,
                "the store of revocations did not answer",
            );
            Err(RevocationError::new(kind, context).with_source(broken))
        })
    };
    metrics.call(of, called).await
}

impl Revocations for BoundedRevocations {
    async fn revoke(
        &self,
        revocation: &Revocation,
        until: SystemTime,
    ) -> Result<(), RevocationError> {
        bounded(&self.1, Call::RevocationsRevoke, async {
            self.0.revoke(revocation, until).await
        })
        .await
    }

    async fn is_revoked(&self, identity: &Identity) -> Result<bool, RevocationError> {
        bounded(&self.1, Call::RevocationsIsRevoked, async {
            self.0.is_revoked(identity).await
        })
        .await
    }

    async fn since(&self, after: u64) -> Result<Page, RevocationError> {
        bounded(&self.1, Call::RevocationsSince, async {
            self.0.since(after).await
        })
        .await
    }

    fn is_shared(&self) -> bool {
        caught(Whose::Revocations, || self.0.is_shared()).unwrap_or(false)
    }
}
