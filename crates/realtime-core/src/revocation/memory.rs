//! Revocations in this process.

mod store;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::time::Instant;

use store::{Now, Store};

use super::{Page, Revocation, RevocationError, RevocationErrorKind, Revocations};
use crate::Identity;

/// Remembers in this process what was revoked, up to a number of revocations.
///
/// They end with the process. So it is for a gateway of one node; several nodes of one process share
/// one by clones, see [`shared`](Self::shared).
///
/// None is dropped before its time: where there is no room, another one is refused with kind
/// [`Full`](RevocationErrorKind::Full), and changes nothing. Whoever revokes then has a coarser one
/// left, such as the identity in place of its tokens.
///
/// What has ended doesn't count any more at once, and is freed by the revocations that follow; nothing
/// runs in the background. It has ended when that much time has passed by a clock that doesn't jump,
/// *and* the system's clock says so: a clock that is set ahead, or back again, lets no token in.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use realtime::{Identity, IdentityKey};
/// use realtime::revocation::{MemoryRevocations, Revocation, Revocations};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = MemoryRevocations::new();
/// let ada = Identity::new("ada").with_token_id("7");
/// store
///     .revoke(&Revocation::token("7"), SystemTime::now() + Duration::from_secs(3_600))
///     .await?;
/// assert!(store.is_revoked(&ada).await?);
/// # Ok::<(), realtime::revocation::RevocationError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct MemoryRevocations {
    store: Arc<Mutex<Store>>,
    is_shared: bool,
}

impl Default for MemoryRevocations {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryRevocations {
    /// How many revocations it remembers at most, unless it is told: 100,000.
    pub const DEFAULT_REVOCATIONS: usize = 100_000;

    /// Without revocations, bounded by [`DEFAULT_REVOCATIONS`](Self::DEFAULT_REVOCATIONS).
    #[must_use]
    pub fn new() -> Self {
        Self::with(Self::DEFAULT_REVOCATIONS)
    }

    /// Without revocations, and bounded by this many at the same time. Each takes about 300 bytes and
    /// what its names have, [`MAX_NAMES`](super::MAX_NAMES) at most.
    ///
    /// # Errors
    /// Kind [`InvalidOption`](RevocationErrorKind::InvalidOption) where that is none.
    ///
    /// ```
    /// use realtime::revocation::MemoryRevocations;
    ///
    /// assert!(MemoryRevocations::bounded(1_000).is_ok());
    /// assert!(MemoryRevocations::bounded(0).is_err());
    /// ```
    pub fn bounded(revocations: usize) -> Result<Self, RevocationError> {
        match revocations {
            0 => Err(RevocationError::new(
                RevocationErrorKind::InvalidOption,
                "expected room for at least 1 revocation; got 0",
            )),
            _ => Ok(Self::with(revocations)),
        }
    }

    /// Says that all nodes are in this process and get clones of this one, so that
    /// [`is_shared`](Revocations::is_shared) is true: for several gateways that a
    /// [`LocalBroker`](crate::broker::LocalBroker) joins, in tests above all. Nodes elsewhere would
    /// let in what was revoked here.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.is_shared = true;
        self
    }

    /// How many revocations it holds now. Some of them may have ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with(most: usize) -> Self {
        Self {
            store: Arc::new(Mutex::new(Store::new(most))),
            is_shared: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Now {
    Now {
        steady: Instant::now(),
        wall: SystemTime::now(),
    }
}

impl Revocations for MemoryRevocations {
    async fn revoke(
        &self,
        revocation: &Revocation,
        until: SystemTime,
    ) -> Result<(), RevocationError> {
        RevocationError::check_length(revocation)?;
        self.lock().remember(revocation, until, now())
    }

    async fn is_revoked(&self, identity: &Identity) -> Result<bool, RevocationError> {
        Ok(self.lock().is_revoked(identity, now()))
    }

    async fn since(&self, after: u64) -> Result<Page, RevocationError> {
        Ok(self.lock().since(after, now()))
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> SystemTime {
        SystemTime::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn where_there_is_no_room_another_one_is_refused_and_none_is_dropped() {
        let store = MemoryRevocations::bounded(3).unwrap();
        for id in ["a", "b"] {
            store.revoke(&Revocation::token(id), soon()).await.unwrap();
        }
        let brief = SystemTime::now() + Duration::from_millis(20);
        store.revoke(&Revocation::token("c"), brief).await.unwrap();
        let full = store.revoke(&Revocation::token("d"), soon()).await;
        // The third may have ended by now.
        if let Err(error) = full {
            assert_eq!(error.kind(), RevocationErrorKind::Full);
            assert!(error.to_string().contains('3'), "{error}");
            assert!(error.is_transient());
        }
        // One that is known needs no room, and one that has ended leaves its own.
        store.revoke(&Revocation::token("a"), soon()).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while store.revoke(&Revocation::token("d"), soon()).await.is_err() {
            assert!(Instant::now() < deadline, "there is never any room");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for (id, is_revoked) in [("a", true), ("b", true), ("c", false), ("d", true)] {
            let identity = Identity::new("ada").with_token_id(id);
            assert_eq!(store.is_revoked(&identity).await.unwrap(), is_revoked);
        }
        let full = store.revoke(&Revocation::token("e"), soon()).await;
        assert_eq!(full.unwrap_err().kind(), RevocationErrorKind::Full);
        assert_eq!(store.len(), 3);
    }

    #[tokio::test]
    async fn clones_are_one_store_and_only_one_that_is_said_to_be_is_shared() {
        let (here, there) = (MemoryRevocations::new(), MemoryRevocations::new().shared());
        assert!(!here.is_shared() && there.is_shared() && there.clone().is_shared());
        let another = there.clone();
        another
            .revoke(&Revocation::token("a"), soon())
            .await
            .unwrap();
        assert!(here.is_empty() && !there.is_empty());
        let shown = format!("{another:?}");
        assert!(shown.contains("revocations: 1"), "{shown}");
    }
}
