//! The signals by which a person or a supervisor ends a server.

use std::{future::pending, io};

/// Completes when the process is asked to end: by Ctrl-C, and on Unix by SIGTERM, which is what
/// `docker stop`, Kubernetes and systemd send.
///
/// It is meant for [`Serve::with_graceful_shutdown`](crate::Serve::with_graceful_shutdown), and
/// for hosts of one's own. From its first poll on, these signals no longer end the process by
/// themselves, not even after this future has completed or was dropped: whatever stops a shutdown
/// that takes too long is the gateway's `shutdown_timeout`, or SIGKILL.
///
/// A signal that can't be listened to is logged, under the target `realtime::serve`, and ignored.
///
/// ```no_run
/// # async fn run(gateway: realtime::Gateway) {
/// realtime::shutdown_signal().await;
/// gateway.shutdown().await;
/// # }
/// ```
///
/// # Cancel safety
/// Safe: a signal that arrives between two calls is not remembered, though.
pub async fn shutdown_signal() {
    tokio::select! {
        () = completes("Ctrl-C", tokio::signal::ctrl_c()) => {}
        () = completes("SIGTERM", terminated()) => {}
    }
}

/// Completes with the signal; never where it can't be listened to.
async fn completes(name: &'static str, signal: impl Future<Output = io::Result<()>>) {
    if let Err(error) = signal.await {
        tracing::warn!(
            target: crate::log_targets::SERVE, signal = name, %error,
            "this signal can't be listened to, and won't shut the server down",
        );
        pending::<()>().await;
    }
}

#[cfg(unix)]
async fn terminated() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate())?.recv().await {
        Some(()) => Ok(()),
        // No more of them will arrive.
        None => pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() -> io::Result<()> {
    pending().await
}
