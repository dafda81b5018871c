//! Counts a process's system calls with strace.

use std::{
    io::{self, BufRead, BufReader, Read},
    process::{Child, ChildStderr, Command, Stdio},
};

/// An strace that is attached.
pub(super) struct Calls {
    strace: Child,
    output: BufReader<ChildStderr>,
}

impl Calls {
    pub(super) fn attach(pid: u32) -> io::Result<Self> {
        let mut strace = Command::new("strace")
            .args(["-c", "-f", "-p", &pid.to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| io::Error::other(format!("strace can't be started: {e}")))?;
        let output = strace.stderr.take().map(BufReader::new);
        let output = output.ok_or_else(|| io::Error::other("strace has no stderr"))?;
        let mut calls = Self { strace, output };
        let mut line = String::new();
        while !line.contains("attached") {
            line.clear();
            if calls.output.read_line(&mut line)? == 0 {
                return Err(io::Error::other("strace can't attach to the server"));
            }
        }
        Ok(calls)
    }

    /// How many calls there were since.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        Command::new("kill")
            .args(["-INT", &self.strace.id().to_string()])
            .status()?;
        let mut summary = String::new();
        self.output.read_to_string(&mut summary)?;
        total(&summary).ok_or_else(|| io::Error::other("strace's summary has no total"))
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        // It has ended already, unless something failed.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// `% time, seconds, usecs/call, calls, [errors], "total"`
fn total(summary: &str) -> Option<u64> {
    let line = summary.lines().find(|line| line.ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_total_is_found() {
        let summary = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000300          30        10           write
100.00    0.000500          20        25         3 total
";
        assert_eq!(super::total(summary), Some(25));
        assert_eq!(super::total("strace: no"), None);
    }
}
