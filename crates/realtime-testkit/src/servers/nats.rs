//! A private NATS server.

use std::{fs, io, path::Path, process::Command};

use tempfile::TempDir;

use super::{Process, Signal, free_port};
use crate::wait::DEADLINE;

/// How often a start is tried again when somebody else took the port.
const ATTEMPTS: usize = 5;
/// In its folder.
const CONFIG: &str = "nats.conf";

/// A private `nats-server`, without JetStream: it keeps nothing.
#[derive(Debug)]
pub struct Nats {
    // Fields are dropped in this order: the server, then its folder.
    process: Process,
    dir: TempDir,
    port: u16,
}

impl Nats {
    /// Starts a server and waits until it is ready.
    ///
    /// # Errors
    /// When `nats-server` isn't installed, or doesn't start; the error shows its log.
    pub async fn start() -> io::Result<Self> {
        Self::with_config("").await
    }

    /// As [`start`](Self::start), with a configuration such as
    /// `authorization { users: [{ user: a, password: b }] }`.
    ///
    /// # Errors
    /// As there; also when it doesn't take the configuration.
    pub async fn with_config(config: &str) -> io::Result<Self> {
        let mut error = None;
        for _ in 0..ATTEMPTS {
            let dir = tempfile::Builder::new().prefix("nats-").tempdir()?;
            fs::write(dir.path().join(CONFIG), config)?;
            let port = free_port()?;
            match launch(dir.path(), port).await {
                Ok(process) => return Ok(Self { process, dir, port }),
                Err(e) if e.to_string().contains("address already in use") => error = Some(e),
                Err(e) => return Err(e),
            }
        }
        Err(error.unwrap_or_else(|| io::Error::other("no attempt was made")))
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port on which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// When it doesn't end.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.end().map(drop)
    }

    /// Stops it with SIGSTOP: its connections stay open, and nobody answers.
    ///
    /// # Errors
    /// When it has ended.
    pub fn stop(&mut self) -> io::Result<()> {
        self.process.signal(Signal::Stop)
    }

    /// Lets it continue after [`stop`](Self::stop), with SIGCONT.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&mut self) -> io::Result<()> {
        self.process.signal(Signal::Resume)
    }

    /// Starts it again on the same port, killing it before where it still runs. It knows nothing
    /// of its former clients.
    ///
    /// # Errors
    /// When it doesn't start; the error shows its log.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.process.end()?;
        self.process = launch(self.dir.path(), self.port).await?;
        Ok(())
    }
}

async fn launch(dir: &Path, port: u16) -> io::Result<Process> {
    let mut command = Command::new("nats-server");
    command.args(["-c", CONFIG, "-a", "127.0.0.1", "-p", &port.to_string()]);
    let mut process = Process::spawn(command.current_dir(dir), dir.join("nats.log"))?;
    // Its own log is looked at, since somebody else might answer on a port that it didn't get.
    let ready =
        async |log: &Path| fs::read_to_string(log).is_ok_and(|log| log.contains("Server is ready"));
    process.ready(DEADLINE, ready).await?;
    Ok(process)
}
