//! The gateway that handlers and hooks belong to, which this layer doesn't know.

use std::{
    any::Any,
    fmt,
    sync::{Arc, Weak},
};

/// A reference to it that doesn't keep it alive.
#[derive(Clone)]
pub struct Host(Weak<dyn Any + Send + Sync>);

impl Host {
    pub(crate) fn of<T: Any + Send + Sync>(host: &Arc<T>) -> Self {
        let weak: Weak<T> = Arc::downgrade(host);
        Self(weak)
    }

    /// The host, while it is there and of this type.
    pub(crate) fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.upgrade()?.downcast().ok()
    }
}

impl Default for Host {
    /// One that isn't there.
    fn default() -> Self {
        let none: Weak<()> = Weak::new();
        Self(none)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}
