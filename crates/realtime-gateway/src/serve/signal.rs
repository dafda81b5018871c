//! The signals by which a person or a supervisor ends a server.

use std::future::pending;

use tokio::runtime::Handle;

/// Completes when the process is asked to end: by Ctrl-C, and on Unix by SIGTERM, which is what
/// `docker stop`, Kubernetes and systemd send.
///
/// It is meant for [`Serve::with_graceful_shutdown`](crate::Serve::with_graceful_shutdown), and
/// for hosts of one's own. From this call on, not only from the first poll on, these signals no
/// longer end the process by themselves, and none is missed: call it before the program says that
/// it is ready. That stays so after this future has completed or was dropped: whatever stops an
/// end that takes too long is the gateway's `drain_over` and `shutdown_timeout`, or SIGKILL.
///
/// Called outside a tokio runtime it listens from its first poll on.
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
pub fn shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let signals = Handle::try_current().is_ok().then(Signals::listen);
    async move {
        signals.unwrap_or_else(Signals::listen).received().await;
    }
}

#[cfg(unix)]
use unix::Signals;

#[cfg(unix)]
mod unix {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::{not_listened_to, pending};

    /// The signals that are listened to; those that can't be are missing.
    pub(super) struct Signals([Option<Signal>; 2]);

    impl Signals {
        pub(super) fn listen() -> Self {
            let listen = |name, kind| {
                let listening = signal(kind);
                listening
                    .inspect_err(|error| not_listened_to(name, error))
                    .ok()
            };
            Self([
                listen("Ctrl-C", SignalKind::interrupt()),
                listen("SIGTERM", SignalKind::terminate()),
            ])
        }

        pub(super) async fn received(self) {
            let [interrupt, terminate] = self.0;
            tokio::select! {
                () = received(interrupt) => {}
                () = received(terminate) => {}
            }
        }
    }

    async fn received(signal: Option<Signal>) {
        if let Some(mut signal) = signal
            && signal.recv().await.is_some()
        {
            return;
        }
        pending::<()>().await;
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Self {
        Self
    }

    async fn received(self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            not_listened_to("Ctrl-C", &error);
            pending::<()>().await;
        }
    }
}

fn not_listened_to(name: &'static str, error: &std::io::Error) {
    tracing::warn!(
        target: crate::log_targets::SERVE, signal = name, %error,
        "this signal can't be listened to, and won't shut the server down",
    );
}
