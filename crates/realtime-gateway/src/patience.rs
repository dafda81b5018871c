//! A timeout that doesn't mistake a pause of this process for one of the peer.

use std::{future::Future, pin::pin, time::Duration};

use tokio::time::{Instant, timeout, timeout_at};

/// How much longer it waits, so that the runtime has looked at its sockets in between.
const LAST_LOOK: Duration = Duration::from_millis(20);

/// Waits for what a peer is to do, and for no longer than so long.
///
/// Where the process was stopped meanwhile, the time is over before anything that has come was
/// looked at: so it looks once more before it gives up.
pub(crate) async fn patient<T>(limit: Duration, awaited: impl Future<Output = T>) -> Option<T> {
    match Instant::now().checked_add(limit) {
        Some(by) => patient_until(by, awaited).await,
        None => Some(awaited.await),
    }
}

/// The same until a point in time.
pub(crate) async fn patient_until<T>(by: Instant, awaited: impl Future<Output = T>) -> Option<T> {
    let mut awaited = pin!(awaited);
    if let Ok(done) = timeout_at(by, awaited.as_mut()).await {
        return Some(done);
    }
    timeout(LAST_LOOK, awaited).await.ok()
}
