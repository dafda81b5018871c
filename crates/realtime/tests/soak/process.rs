//! The server's process, as the clients hold it.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use tokio::sync::mpsc;

use crate::{
    SERVER,
    account::Account,
    plan::ROOM,
    support::transport::{Between, Transport},
    wire::{Held, Said},
};

/// How long the server may take for an answer.
const DEADLINE: Duration = Duration::from_secs(60);

/// Ended and waited for when it is dropped.
pub struct Server {
    process: Child,
    questions: ChildStdin,
    answers: mpsc::Receiver<Held>,
    /// Where clients connect to.
    pub addrs: Vec<SocketAddr>,
    _between: Vec<Option<Between>>,
}

impl Server {
    /// Starts it with these URLs of backends. Sessions that end there are entered into the account.
    pub async fn start(urls: &str, account: Arc<Mutex<Account>>) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .env(SERVER, urls)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let questions = process.stdin.take().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let Said::Listening(servers, identity) = serde_json::from_str(&first).unwrap() else {
            panic!("expected addresses; got {first}");
        };
        let (mut addrs, mut between) = (vec![], vec![]);
        for server in servers {
            let transport = Transport::to(identity.clone()).narrow(ROOM);
            let (addr, stands) = transport.before(server).await;
            addrs.push(addr);
            between.push(stands);
        }
        let (sender, answers) = mpsc::channel(1);
        // Ends with the process, whose output ends then.
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                match serde_json::from_str(&line).unwrap() {
                    Said::Held(held) => drop(sender.blocking_send(held)),
                    Said::Ended(ended) => account.lock().unwrap().ended(ended),
                    Said::Failed { node, number } => account.lock().unwrap().failed(node, number),
                    Said::Listening(..) => panic!("it listens already"),
                }
            }
        });
        Self {
            process,
            questions,
            answers,
            addrs,
            _between: between,
        }
    }

    pub async fn held(&mut self) -> Held {
        writeln!(self.questions, "held?").unwrap();
        let answer = tokio::time::timeout(DEADLINE, self.answers.recv()).await;
        answer.expect("an answer in time").expect("a server")
    }

    pub async fn until(&mut self, what: &str, holds: impl Fn(&Held) -> bool) -> Held {
        let start = tokio::time::Instant::now();
        loop {
            let held = self.held().await;
            if holds(&held) {
                return held;
            }
            assert!(start.elapsed() < DEADLINE, "in vain until {what}: {held:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _already_waited = self.process.wait();
    }
}
