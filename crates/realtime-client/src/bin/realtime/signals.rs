//! The signals by which a person or a supervisor ends a command that goes on for long: without them
//! the first process of a container would hear neither.

use std::{io, process, time::Duration};

use tokio::{sync::oneshot, time::timeout};

/// How long a command may take to end in good order.
const LAST: Duration = Duration::from_secs(5);

/// Listens to Ctrl-C and SIGTERM from now on, which end the process by themselves no more.
///
/// A command may be held up by who doesn't read its output, so that it learns nothing of them. So
/// the process ends at the second one, or when the command takes too long.
pub(crate) fn ended() -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::new()?;
    let (told, ended) = oneshot::channel();
    // It lasts as long as the runtime, and so the process. The command is polled on the main thread,
    // and this on another one.
    let _lasting = tokio::spawn(async move {
        let first = signals.next().await;
        let _nobody_waits = told.send(());
        let last = timeout(LAST, signals.next()).await;
        process::exit(last.unwrap_or(first));
    });
    Ok(async move {
        // Without that task there is nothing more to wait for either.
        let _told = ended.await;
    })
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The exit code that says, as shells do, which signal has come.
    async fn next(&mut self) -> i32 {
        use tokio::signal::unix::SignalKind;

        let signal = tokio::select! {
            biased;
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        };
        128 + signal.as_raw_value()
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    /// The exit code that says, as shells elsewhere do, that Ctrl-C was pressed.
    async fn next(&mut self) -> i32 {
        // Either way there is nothing more to wait for.
        let _interrupted = self.0.recv().await;
        130
    }
}
