//! The signals by which a person or a supervisor ends a command that goes on for long: without them
//! the first process of a container would hear neither.

use std::io;

/// Listens to Ctrl-C and SIGTERM from now on, which end the process by themselves no more.
#[cfg(unix)]
pub(crate) fn ended() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Listens to Ctrl-C.
#[cfg(windows)]
pub(crate) fn ended() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        // Either way there is nothing more to wait for.
        let _interrupted = interrupt.recv().await;
    })
}
