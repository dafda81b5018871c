//! Hooks, called so that neither a panic nor a slow one does harm.

use std::{future::Future, panic::AssertUnwindSafe};

use futures::FutureExt;
use realtime_core::BoxError;

use crate::{middleware::panicked, shared::Shared};

pub(super) enum Failed {
    /// The hook said no.
    Refused(BoxError),
    /// The hook panicked or took too long.
    Broken(BoxError),
}

/// A hook that neither panics into us nor hangs.
pub(super) async fn guarded(
    shared: &Shared,
    hook: impl Future<Output = Result<(), BoxError>>,
) -> Result<(), Failed> {
    let hook = AssertUnwindSafe(hook).catch_unwind();
    let ran = match shared.config.hook_timeout {
        Some(limit) => tokio::time::timeout(limit, hook).await.map_err(|_| {
            shared.stats.hooks_abandoned.add(1);
            Failed::Broken(format!("the hook took longer than {limit:?}").into())
        })?,
        None => hook.await,
    };
    match ran {
        Ok(result) => result.map_err(Failed::Refused),
        Err(panic) => Err(Failed::Broken(panicked(panic))),
    }
}
