//! A server process of one's own.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// A port of the loopback address that nobody listens on.
///
/// Below the range from which the system takes ports for outgoing connections, so that none of
/// those comes in between.
///
/// # Panics
/// When a thousand attempts find none.
#[must_use]
pub fn free_port() -> u16 {
    #[allow(clippy::expect_used, reason = "a test fails by a panic")]
    (0..1_000)
        .map(|_| fastrand::u16(10_000..30_000))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port of the loopback address")
}

/// A folder that is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (pid, n) = (std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(format!("realtime-{name}-{pid}-{n}"));
        #[allow(clippy::expect_used, reason = "a test fails by a panic")]
        std::fs::create_dir_all(&path).expect("a folder for a test's server");
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    #[allow(clippy::expect_used, reason = "a test fails by a panic")]
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file of a test's server");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.0);
    }
}

/// A child process, killed and waited for when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    name: &'static str,
}

impl Process {
    /// Starts it with its output in the file `log` of its folder.
    #[allow(clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
    pub(super) fn start(name: &'static str, folder: &Folder, mut command: Command) -> Self {
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.path().join("log"))
            .expect("the log of a test's server");
        let errors = log.try_clone().expect("the log of a test's server");
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn();
        match child {
            Ok(child) => Self { child, name },
            Err(error) => panic!("{name} could not be started; is it installed? {error}"),
        }
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal, such as `STOP`.
    pub(super) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        let name = self.name;
        assert!(sent.is_ok_and(|s| s.success()), "no {signal} to {name}");
    }

    /// Kills it, stopped or not, and waits until it is gone.
    pub(super) fn kill(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited_for = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
