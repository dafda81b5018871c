//! A sentinel, which knows who the master is.

use std::{fs, io, path::Path, process::Command};

use tempfile::TempDir;

use super::{Process, free_port, redis::Redis};
use crate::wait::DEADLINE;

/// A private sentinel that watches one master under the name `main`. When that is gone for a second
/// it makes a replica of it the master.
#[derive(Debug)]
pub struct Sentinel {
    port: u16,
    _process: Process,
    _dir: TempDir,
}

impl Sentinel {
    /// Starts a sentinel that watches this master.
    ///
    /// # Errors
    /// When `redis-server` isn't installed, or doesn't start; the error shows its log.
    pub async fn start(master: &Redis) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("sentinel-").tempdir()?;
        let port = free_port()?;
        let config = dir.path().join("sentinel.conf");
        let lines = [
            format!(
                "bind 127.0.0.1\nport {port}\ndir \"{}\"",
                dir.path().display()
            ),
            format!("sentinel monitor main 127.0.0.1 {} 1", master.port()),
            "sentinel down-after-milliseconds main 1000".to_owned(),
            "sentinel failover-timeout main 2000\n".to_owned(),
        ];
        fs::write(&config, lines.join("\n"))?;
        let mut command = Command::new("redis-server");
        command.arg(config).arg("--sentinel");
        let mut process = Process::spawn(&mut command, dir.path().join("sentinel.log"))?;
        let ready =
            async |log: &Path| fs::read_to_string(log).is_ok_and(|log| log.contains("+monitor"));
        process.ready(DEADLINE, ready).await?;
        Ok(Self {
            port,
            _process: process,
            _dir: dir,
        })
    }

    /// The port on which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens, as a `redis-sentinel:` URL.
    #[must_use]
    pub fn url(&self) -> String {
        let port = self.port;
        format!("redis-sentinel://127.0.0.1:{port}?sentinelServiceName=main")
    }
}
