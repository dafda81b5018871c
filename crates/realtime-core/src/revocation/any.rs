//! Any store of revocations behind one type.

use std::{fmt, sync::Arc, time::SystemTime};

use futures::future::BoxFuture;

use super::{Page, Revocation, RevocationError, Revocations};
use crate::Identity;

/// Any store of revocations behind one type, cheap to clone.
#[derive(Clone)]
pub struct AnyRevocations(Arc<dyn DynRevocations>);

impl AnyRevocations {
    /// Erases the type of a store.
    #[must_use]
    pub fn new(revocations: impl Revocations) -> Self {
        Self(Arc::new(revocations))
    }
}

impl Revocations for AnyRevocations {
    async fn revoke(
        &self,
        revocation: &Revocation,
        until: SystemTime,
    ) -> Result<(), RevocationError> {
        self.0.revoke(revocation, until).await
    }

    async fn is_revoked(&self, identity: &Identity) -> Result<bool, RevocationError> {
        self.0.is_revoked(identity).await
    }

    async fn since(&self, after: u64) -> Result<Page, RevocationError> {
        self.0.since(after).await
    }

    fn is_shared(&self) -> bool {
        self.0.is_shared()
    }
}

impl fmt::Debug for AnyRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyRevocations").finish_non_exhaustive()
    }
}

/// The object-safe twin of [`Revocations`].
trait DynRevocations: Send + Sync {
    fn revoke<'a>(
        &'a self,
        revocation: &'a Revocation,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<(), RevocationError>>;
    fn is_revoked<'a>(
        &'a self,
        identity: &'a Identity,
    ) -> BoxFuture<'a, Result<bool, RevocationError>>;
    fn since(&self, after: u64) -> BoxFuture<'_, Result<Page, RevocationError>>;
    fn is_shared(&self) -> bool;
}

impl<T: Revocations> DynRevocations for T {
    fn revoke<'a>(
        &'a self,
        revocation: &'a Revocation,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<(), RevocationError>> {
        Box::pin(Revocations::revoke(self, revocation, until))
    }

    fn is_revoked<'a>(
        &'a self,
        identity: &'a Identity,
    ) -> BoxFuture<'a, Result<bool, RevocationError>> {
        Box::pin(Revocations::is_revoked(self, identity))
    }

    fn since(&self, after: u64) -> BoxFuture<'_, Result<Page, RevocationError>> {
        Box::pin(Revocations::since(self, after))
    }

    fn is_shared(&self) -> bool {
        Revocations::is_shared(self)
    }
}
