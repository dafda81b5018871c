//! A server under measurement, and the generator beside it: two processes, each on its core.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::{load::Outcome, peers::Peer, work::Work};

/// The cores of servers, and that of the generator.
pub(super) fn apart() -> (Vec<usize>, Vec<usize>) {
    match cores()[..] {
        [server, generator, ..] => (vec![server], vec![generator]),
        _ => {
            eprintln!("one core alone: server and generator share it");
            (Vec::new(), Vec::new())
        }
    }
}

/// The cores that this process may use, as Linux numbers them.
fn cores() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap_or_default();
    list.trim()
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse::<usize>().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect()
}

/// A command on some cores; on any where the machine has only one.
fn pinned(cores: &[usize], words: &[String]) -> Command {
    let list: Vec<_> = cores.iter().map(ToString::to_string).collect();
    let mut command = match (cores, words.split_first()) {
        ([], Some((program, rest))) => {
            let mut command = Command::new(program);
            command.args(rest);
            command
        }
        _ => {
            let mut command = Command::new("taskset");
            command.args(["-c", &list.join(",")]).args(words);
            command
        }
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// A running server. It is killed when this is dropped.
pub(super) struct Server {
    child: Child,
    address: String,
    /// Kept open, so that the server can print.
    _output: BufReader<ChildStdout>,
}

impl Server {
    /// Starts a server and waits until it says where it listens.
    pub(super) fn start(command: &[String], cores: &[usize]) -> Result<Self, String> {
        let mut child = pinned(cores, command)
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|e| format!("expected taskset, from util-linux: {e}"))?;
        let output = child.stdout.take().ok_or("the server has no stdout")?;
        let mut server = Self {
            child,
            address: String::new(),
            _output: BufReader::new(output),
        };
        let mut line = String::new();
        let read = server._output.read_line(&mut line);
        server.address = match (read, line.trim().split_once("http://")) {
            (Ok(_), Some((_, address))) => address.to_owned(),
            _ => return Err(format!("{command:?} ended before it listened")),
        };
        Ok(server)
    }

    /// Where it listens.
    #[cfg(feature = "admin")]
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Puts a load on the server.
    pub(super) fn load(
        &self,
        cores: &[usize],
        peer: &Peer,
        work: Work,
        more: &[(&str, String)],
    ) -> Result<Outcome, String> {
        let dialect = clap::ValueEnum::to_possible_value(&peer.dialect).ok_or("no such dialect")?;
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut words = vec![own.display().to_string(), "load".to_owned()];
        let options = [
            ("--to", self.address.clone()),
            ("--pid", self.child.id().to_string()),
            ("--dialect", dialect.get_name().to_owned()),
            ("--work", work.to_string()),
        ];
        if peer.tls {
            words.push("--tls".to_owned());
        }
        for (name, value) in options.iter().chain(more) {
            words.push((*name).to_owned());
            words.extend((!value.is_empty()).then(|| value.clone()));
        }
        let output = pinned(cores, &words)
            .stderr(Stdio::piped())
            .output()
            .map_err(|e| format!("the generator can't be started: {e}"))?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(error.trim().to_owned());
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|e| format!("the generator's outcome can't be read: {e}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
