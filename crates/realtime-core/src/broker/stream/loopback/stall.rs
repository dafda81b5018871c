//! That this node takes nothing for a while.

use std::sync::Arc;

use crate::broker::stream::shared::Shared;

/// A reader that waits until the gateway takes a message: see
/// [`Incoming::stall`](crate::broker::stream::Incoming::stall).
#[derive(Debug)]
#[must_use = "it is over when this is dropped"]
pub struct Stall(Arc<Shared>);

impl Stall {
    pub(in crate::broker::stream) fn new(shared: Arc<Shared>) -> Self {
        shared.loopback.stall();
        Self(shared)
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.0.loopback.go_on();
    }
}
