//! A process that this program has started of itself: it says one line when it is ready, and ends
//! when its standard input does. So it ends with this program, however that ends, and when it is
//! dropped here.

use std::{
    env, io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{self, ChildStdin, ChildStdout, Command},
    sync::oneshot,
    time::timeout,
};

/// How long it may take until it is ready.
const START: Duration = Duration::from_secs(20);
/// How long it may take to end. A node drains, which with few clients is done in a moment.
const END: Duration = Duration::from_secs(20);

pub(crate) struct Child {
    process: process::Child,
    input: ChildStdin,
    /// Held open: who writes to nobody fails.
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts this program with these arguments and variables, and returns what it says once it is
    /// ready. Why it isn't, it says on the standard error, which is this program's own.
    pub(crate) async fn start(
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> io::Result<(Self, String)> {
        let mut command = Command::new(env::current_exe()?);
        command
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // A Ctrl-C is for this program, which ends the others in their order.
        #[cfg(unix)]
        command.process_group(0);
        let mut process = command.spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            return Err(io::Error::other("expected pipes to a process; it has none"));
        };
        let mut child = Self {
            process,
            input,
            output: BufReader::new(output),
        };
        let mut line = String::new();
        timeout(START, child.output.read_line(&mut line)).await??;
        let line = line.trim();
        if line.is_empty() {
            let (what, status) = (arguments.join(" "), child.ended().await);
            let message = format!("`{what}` has ended before it was ready: {status}");
            return Err(io::Error::other(message));
        }
        Ok((child, line.to_owned()))
    }

    /// The id of the process, as long as it lives.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until it has ended by itself, and says how.
    pub(crate) async fn ended(&mut self) -> String {
        let status = self.process.wait().await;
        status.map_or_else(
            |error| error.to_string(),
            |status: ExitStatus| status.to_string(),
        )
    }

    /// Ends it, and kills it if it doesn't.
    pub(crate) async fn end(mut self) {
        drop(self.input);
        if timeout(END, self.process.wait()).await.is_err() {
            // One that has ended meanwhile is fine.
            let _ended = self.process.kill().await;
        }
    }
}

/// Completes when the program that has started this one closes its standard input, or is gone.
pub(crate) async fn parent_gone() {
    let (gone, is_gone) = oneshot::channel();
    // A thread of its own: at its end a runtime waits for those that it has lent.
    std::thread::spawn(move || {
        // An input that fails is one that has ended.
        let _read = io::copy(&mut io::stdin().lock(), &mut io::sink());
        // Nobody waits any more where this program ends by itself.
        let _told = gone.send(());
    });
    let _gone = is_gone.await;
}
