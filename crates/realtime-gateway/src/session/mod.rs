//! Sessions.

/// Skeleton.
#[derive(Debug, Clone)]
pub struct Session(std::sync::Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: realtime_core::SessionId,
    identity: realtime_core::Identity,
}

impl Session {
    /// Id.
    #[must_use]
    pub fn id(&self) -> realtime_core::SessionId {
        self.0.id
    }

    /// Identity.
    #[must_use]
    pub fn identity(&self) -> &realtime_core::Identity {
        &self.0.identity
    }
}
