//! Conditions with a deadline, in place of sleeping.

use std::time::Duration;

/// How long anything may take in a test before it counts as failed.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Waits until a condition holds.
///
/// # Panics
/// When it doesn't hold within [`DEADLINE`], saying what was waited for.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(DEADLINE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(
        waited.await.is_ok(),
        "waited {DEADLINE:?} in vain until {what}"
    );
}

/// Waits for a future.
///
/// # Panics
/// When it doesn't complete within [`DEADLINE`], saying what was waited for.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        #[allow(clippy::panic, reason = "a test fails by a panic")]
        Err(_) => panic!("waited {DEADLINE:?} in vain for {what}"),
    }
}
