//! Hooks, called so that neither a panic nor a slow one does harm.

use std::future::Future;

use realtime_core::BoxError;

use crate::{
    guarded::{Broken, Whose, guarded},
    node::Node,
};

/// What came of a hook that did not go well.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The hook said no.
    Refused(BoxError),
    /// The hook panicked or took too long.
    Broken(Broken),
}

/// A hook that neither panics into us nor hangs.
pub(crate) async fn call_hook(
    node: &Node,
    hook: impl Future<Output = Result<(), BoxError>>,
) -> Result<(), Failed> {
    match guarded(Whose::Hook, node.config.hook_timeout, hook).await {
        Ok(result) => result.map_err(Failed::Refused),
        Err(broken) => {
            if matches!(broken, Broken::TookTooLong(..)) {
                node.stats().hooks_abandoned.add(1);
            }
            Err(Failed::Broken(broken))
        }
    }
}
