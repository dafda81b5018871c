//! The gateway handle.

use std::sync::{Arc, Weak};

/// Skeleton.
#[derive(Debug, Clone)]
pub struct Gateway(Arc<Handle>);

#[derive(Debug)]
struct Handle;

/// A reference to the gateway that doesn't keep it alive.
#[derive(Debug, Clone)]
pub(crate) struct WeakGateway(Weak<Handle>);

impl WeakGateway {
    pub(crate) fn upgrade(&self) -> Option<Gateway> {
        self.0.upgrade().map(Gateway)
    }
}
