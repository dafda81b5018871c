//! The whole cluster, and the processes of which it is made.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by test files that use a part of it each"
)]

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use realtime_testkit::servers::Process;

/// The example on ports of its own. It ends when the test ends, however it ends.
pub struct Cluster {
    pub process: Process,
    pub address: SocketAddr,
    log: PathBuf,
}

impl Cluster {
    pub async fn start(name: &str) -> Self {
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cluster-{name}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_cluster"));
        let mut process = Process::spawn(command.args(["--listen", "127.0.0.1:0"]), &log).unwrap();
        let address = process.listening().await.unwrap();
        Self {
            process,
            address,
            log,
        }
    }

    /// What it has said.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The processes that it has started, and those that these have.
    pub fn descendants(&self) -> Vec<u32> {
        let mut found = vec![self.process.pid()];
        let mut looked_at = 0;
        while looked_at < found.len() {
            let parent = found[looked_at];
            found.extend(processes().filter(|pid| parent_of(*pid) == Some(parent)));
            looked_at += 1;
        }
        found.split_off(1)
    }
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap().map(Result::unwrap);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent_of(pid: u32) -> Option<u32> {
    status(pid)?.1.parse().ok()
}

/// Whether it runs. One that has ended may wait for somebody who asks how.
pub fn is_alive(pid: u32) -> bool {
    status(pid).is_some_and(|(state, _)| state != "Z")
}

/// The state of a process, and its parent.
fn status(pid: u32) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in brackets, may have any characters.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').map(str::to_owned);
    Some((fields.next()?, fields.next()?))
}
