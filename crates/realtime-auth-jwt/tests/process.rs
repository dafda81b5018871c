//! An issuer in a process of its own, which is stopped, killed and started again.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::{
    env,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use realtime_auth_jwt::Jwks;
use realtime_testkit::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::{
    Signer, accepted, ada, for_chat,
    issuer::{Answer, Issuer},
    show,
};

const ADDR: &str = "JWT_TEST_ISSUER";
/// The test below.
const TEST: &str = "keys_outlive_an_issuer_that_hangs_and_dies_and_change_with_the_next_one";
const SAID: &str = "the issuer is at ";

/// The process: this program again, with this test alone. It publishes what it reads, line by line,
/// and ends with its input.
async fn be_the_issuer(addr: &str) {
    let issuer = Issuer::on(addr, Answer::Silence).await;
    let publishing = tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lines() {
            issuer.answers(Answer::Body(line.unwrap()));
            println!("\n{SAID}{}", issuer.addr);
        }
    });
    publishing.await.unwrap();
}

struct Process {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Process {
    fn start(addr: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", TEST, "--nocapture"])
            .env(ADDR, addr)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    /// Returns once they are published.
    fn publish(&mut self, keys: &[Value]) -> SocketAddr {
        let line = json!({ "keys": keys }).to_string();
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        loop {
            let mut line = String::new();
            assert_ne!(
                self.said.read_line(&mut line).unwrap(),
                0,
                "the process has ended"
            );
            if let Some(addr) = line.trim().strip_prefix(SAID) {
                return addr.parse().unwrap();
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

#[tokio::test]
async fn keys_outlive_an_issuer_that_hangs_and_dies_and_change_with_the_next_one() {
    if let Ok(addr) = env::var(ADDR) {
        return be_the_issuer(&addr).await;
    }
    let (old, new) = (Signer::p256(), Signer::p256());
    let (old_token, new_token) = (
        old.named("ES256", "old", &ada()),
        new.named("ES256", "new", &ada()),
    );
    let mut issuer = Process::start("127.0.0.1:0");
    let addr = issuer.publish(&[old.jwk("old")]);
    let tick = Duration::from_millis(100);
    let jwks = Jwks::from_url(format!("http://{addr}/jwks.json?secret=s3cret")).unwrap();
    let jwks = jwks
        .refresh_after(tick * 5)
        .unknown_kid_interval(tick)
        .timeout(tick * 3);
    let jwt = for_chat(jwks).build().unwrap();
    accepted(&jwt, &old_token).await;

    issuer.signal(Signal::STOP);
    let start = Instant::now();
    while start.elapsed() < tick * 12 {
        let asked = Instant::now();
        accepted(&jwt, &old_token).await;
        assert!(
            asked.elapsed() < tick * 2,
            "nobody waits for one that hangs"
        );
        tokio::time::sleep(tick / 10).await;
    }
    issuer.signal(Signal::CONT);
    issuer.publish(&[old.jwk("old"), new.jwk("new")]);
    until("the new key is known", async || {
        show(&jwt, &new_token).await.is_ok()
    })
    .await;
    accepted(&jwt, &old_token).await;

    drop(issuer);
    let start = Instant::now();
    while start.elapsed() < tick * 8 {
        accepted(&jwt, &old_token).await;
        accepted(&jwt, &new_token).await;
        tokio::time::sleep(tick / 10).await;
    }
    let mut issuer = Process::start(&addr.to_string());
    issuer.publish(&[new.jwk("new")]);
    until("the old key has ended", async || {
        show(&jwt, &old_token).await.is_err()
    })
    .await;
    accepted(&jwt, &new_token).await;
}
