//! A timeout that doesn't mistake a pause of this process for one of the peer.

use std::{
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

use tokio::time::{self, timeout, timeout_at};

/// How much longer it waits, so that what has come is looked at in between.
const LAST_LOOK: Duration = Duration::from_millis(20);

/// Waits for what a peer is to do, and for no longer than so long; `None` where it didn't come.
///
/// Where the process was stopped meanwhile, the time is over before anything that has come was
/// looked at: so it looks once more before it gives up.
///
/// ```
/// use std::time::Duration;
///
/// use realtime::node::patient;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let (answer, answered) = tokio::sync::oneshot::channel();
/// answer.send(7).expect("somebody waits");
/// assert_eq!(patient(Duration::from_secs(1), answered).await, Some(Ok(7)));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Cancel safety
/// That of what is awaited.
pub async fn patient<T>(limit: Duration, awaited: impl Future<Output = T>) -> Option<T> {
    match time::Instant::now().checked_add(limit) {
        Some(by) => patient_until(by.into_std(), awaited).await,
        None => Some(awaited.await),
    }
}

/// [`patient`], until a point in time.
///
/// # Cancel safety
/// That of what is awaited.
pub async fn patient_until<T>(by: Instant, awaited: impl Future<Output = T>) -> Option<T> {
    let mut awaited = pin!(awaited);
    if let Ok(done) = timeout_at(by.into(), awaited.as_mut()).await {
        return Some(done);
    }
    timeout(LAST_LOOK, awaited).await.ok()
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_just_behind_the_time_has_come() {
        let limit = Duration::from_secs(5);
        for (late, came) in [(LAST_LOOK / 2, Some(())), (2 * LAST_LOOK, None)] {
            assert_eq!(patient(limit, sleep(limit + late)).await, came, "{late:?}");
        }
    }
}
