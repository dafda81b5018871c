//! A node in a process of its own.

use std::{
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use crate::process::Process;

/// A node in a process of its own. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Node {
    child: Child,
    address: SocketAddr,
}

impl Node {
    /// Starts `serve` with these options, and waits until it listens; port 0 takes a free one. It
    /// blocks meanwhile.
    pub(crate) fn start(listen: SocketAddr, options: &[&str]) -> io::Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", &listen.to_string()])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()?;
        // From here on it is killed whatever goes wrong.
        let mut node = Self {
            child,
            address: listen,
        };
        let mut line = String::new();
        if let Some(output) = node.child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line.trim().trim_start_matches("listening on http://");
        node.address = address.parse().map_err(|_| {
            io::Error::other(format!(
                "expected a node that says where it listens; got {line:?}"
            ))
        })?;
        Ok(node)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process, to be watched.
    pub(crate) fn process(&self) -> Process {
        Process::of(self.child.id())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited = self.child.wait();
    }
}
