//! A timeout that doesn't mistake a pause of this process for one of RabbitMQ.

use std::{pin::pin, time::Duration};

use tokio::time::timeout;

/// How much longer than [`realtime_core::patient`] it waits: what comes is handed over by threads of the
/// client library, which have their turn first.
const HANDED_OVER: Duration = Duration::from_millis(230);

/// Waits for what RabbitMQ is to do, and for no longer than so long; `None` where it didn't come.
/// As cancel safe as what is awaited.
pub(crate) async fn patient<T>(limit: Duration, awaited: impl Future<Output = T>) -> Option<T> {
    let mut awaited = pin!(awaited);
    match realtime_core::patient(limit, awaited.as_mut()).await {
        None => timeout(HANDED_OVER, awaited).await.ok(),
        came => came,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn what_other_threads_have_to_hand_over_has_their_time() {
        let late = sleep(HANDED_OVER / 2);
        assert_eq!(patient(Duration::ZERO, late).await, Some(()));
        assert_eq!(patient(Duration::ZERO, pending::<()>()).await, None);
    }
}
