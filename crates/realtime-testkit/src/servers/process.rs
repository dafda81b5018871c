//! A child process that is owned: started, waited for, signalled by its pid, and ended.

use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{self, Pid};

use crate::wait::DEADLINE;

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a program may run. `rabbitmqctl` starts an Erlang machine of its own, which takes its
/// time where everything else is busy, too.
const ANSWER: Duration = Duration::from_secs(60);

/// How much of the log an error shows, in bytes.
const TAIL: usize = 2_000;

/// A signal that a test sends to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// What a person's Ctrl-C sends.
    Interrupt,
    /// Ends it at once, without a chance to tidy up.
    Kill,
    /// Lets it continue after [`Stop`](Self::Stop).
    Resume,
    /// Halts it: its connections stay open, and nobody answers.
    Stop,
    /// Asks it to end.
    Terminate,
}

impl Signal {
    fn number(self) -> process::Signal {
        match self {
            Self::Interrupt => process::Signal::INT,
            Self::Kill => process::Signal::KILL,
            Self::Resume => process::Signal::CONT,
            Self::Stop => process::Signal::STOP,
            Self::Terminate => process::Signal::TERM,
        }
    }
}

/// A child process with its output in a file. It is killed and waited for when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program with both its outputs in the file `log`, which is emptied, and no input.
    ///
    /// # Errors
    /// When the program or the file can't be opened; the error names the program.
    pub fn spawn(command: &mut Command, log: impl Into<PathBuf>) -> io::Result<Self> {
        let log = log.into();
        let name = command.get_program().to_string_lossy().into_owned();
        let out = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{name} could not be started: {e}")))?;
        Ok(Self { name, child, log })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file with the process's outputs.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until the process is ready, as `is_ready` sees it, for at most `deadline`.
    ///
    /// # Errors
    /// When it ends before, or isn't ready in time. The error shows the end of its log.
    pub async fn ready(
        &mut self,
        deadline: Duration,
        mut is_ready: impl AsyncFnMut(&Path) -> bool,
    ) -> io::Result<()> {
        let end = Instant::now() + deadline;
        while !is_ready(&self.log).await {
            if let Some(status) = self.child.try_wait()? {
                let what = format!("{} ended with {status}", self.name);
                return Err(self.error(io::ErrorKind::Other, &what));
            }
            if Instant::now() > end {
                let what = format!("{} was not ready within {deadline:?}", self.name);
                return Err(self.error(io::ErrorKind::TimedOut, &what));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Waits until the process says `listening on http://ADDRESS`, as all example programs do, and
    /// returns the address.
    ///
    /// # Errors
    /// When it ends before, or says nothing of the kind within [`DEADLINE`].
    pub async fn listening(&mut self) -> io::Result<SocketAddr> {
        let mut found = None;
        self.ready(DEADLINE, async |log| {
            let log = fs::read_to_string(log).unwrap_or_default();
            let mut said = log.split_inclusive('\n');
            found = said.find_map(|line| {
                let address = line.strip_prefix("listening on http://")?;
                address.strip_suffix('\n')?.parse().ok()
            });
            found.is_some()
        })
        .await?;
        found.ok_or_else(|| self.error(io::ErrorKind::InvalidData, "no address"))
    }

    /// Sends a signal, also to a process that is stopped.
    ///
    /// # Errors
    /// When the process has ended and was waited for.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let what = format!("{} had ended before, with {status}", self.name);
            return Err(self.error(io::ErrorKind::NotFound, &what));
        }
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| self.error(io::ErrorKind::InvalidData, "no process id"))?;
        Ok(process::kill_process(pid, signal.number())?)
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Errors
    /// When it hasn't within [`DEADLINE`]. The error shows the end of its log.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > end {
                let what = format!("{} did not end within {DEADLINE:?}", self.name);
                return Err(self.error(io::ErrorKind::TimedOut, &what));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Kills the process where it still runs, and waits for its end.
    ///
    /// # Errors
    /// When it hasn't ended within [`DEADLINE`].
    pub fn end(&mut self) -> io::Result<ExitStatus> {
        // A process that has ended already is fine.
        let _ended = self.child.kill();
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > end {
                let what = format!("{} did not end within {DEADLINE:?}", self.name);
                return Err(self.error(io::ErrorKind::TimedOut, &what));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn error(&self, kind: io::ErrorKind, what: &str) -> io::Error {
        let log = fs::read(&self.log).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(TAIL)..];
        let tail = String::from_utf8_lossy(tail);
        io::Error::new(kind, format!("{what}; its log ends with:\n{tail}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{error}");
        }
    }
}

/// Runs a program to its end, and returns what it prints.
pub(super) async fn run(command: Command) -> io::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("{name} did not answer"));
    let output = tokio::time::timeout(ANSWER, command.output())
        .await
        .map_err(late)??;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!(
        "{name} failed: {said} {complaint}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (tempfile::TempDir, Process) {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        let process = Process::spawn(command.args(["-c", script]), dir.path().join("log"));
        (dir, process.unwrap())
    }

    fn says(log: &Path, what: &str) -> bool {
        fs::read_to_string(log).is_ok_and(|log| log.contains(what))
    }

    #[tokio::test]
    async fn a_process_is_waited_for_and_ends_with_its_owner() {
        let (_dir, mut process) = shell("echo ready; exec sleep 600");
        let ready = process.ready(DEADLINE, async |log| says(log, "ready"));
        ready.await.unwrap();
        let proc = PathBuf::from(format!("/proc/{}", process.pid()));
        if cfg!(target_os = "linux") {
            assert!(proc.exists());
        }
        process.signal(Signal::Stop).unwrap();
        drop(process);
        assert!(!proc.exists(), "it runs on");
    }

    #[tokio::test]
    async fn an_address_is_read_once_its_line_is_whole_and_an_end_has_its_status() {
        let script =
            "printf 'hello\\nlistening on http://127.0.0.1:1'; sleep 0.1; echo 2; exec cat >&2";
        let (_dir, mut process) = shell(&format!("{script}; exit 3"));
        let address = process.listening().await.unwrap();
        assert_eq!(address, ([127, 0, 0, 1], 12).into());
        // There is no input, so `cat` ends at once.
        assert!(process.ended().await.unwrap().success());
    }

    #[tokio::test]
    async fn an_early_end_is_reported_with_the_log() {
        let (_dir, mut process) = shell("echo no room >&2; exit 3");
        let error = process.ready(DEADLINE, async |_| false).await.unwrap_err();
        assert!(error.to_string().contains("no room"), "{error}");
        assert!(process.signal(Signal::Stop).is_err());
    }
}
