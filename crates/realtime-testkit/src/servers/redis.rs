//! A private Redis, and a cluster of three.

use std::{process::Command, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::process::{Folder, Process, free_port};
use crate::wait::until;

/// A Redis server of one's own, without persistence. Needs `redis-server` and `redis-cli`.
#[derive(Debug)]
pub struct Redis {
    // Fields are dropped in this order: the process before its folder.
    process: Process,
    folder: Folder,
    port: u16,
    options: Vec<String>,
}

impl Redis {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn start() -> Self {
        Self::with_options(&[]).await
    }

    /// Starts a server with more options, such as `["--maxmemory", "2mb"]`.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn with_options(options: &[&str]) -> Self {
        let (folder, port) = (Folder::new("redis"), free_port());
        let options: Vec<_> = options.iter().map(ToString::to_string).collect();
        let process = launch(&folder, port, &options);
        let mut redis = Self {
            process,
            folder,
            port,
            options,
        };
        redis.until_ready().await;
        redis
    }

    async fn until_ready(&mut self) {
        let address = ("127.0.0.1", self.port);
        until("Redis answers", async || {
            assert!(!self.process.has_ended(), "Redis ended while it started");
            answers(address).await.is_ok()
        })
        .await;
    }

    /// Its port on the loopback address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs a command with `redis-cli`, and returns what it prints.
    ///
    /// # Panics
    /// When `redis-cli` can't be run.
    #[allow(clippy::expect_used, reason = "a test fails by a panic")]
    pub fn command(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(words)
            .output()
            .expect("redis-cli can be run");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Kills it, as by `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port, empty.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = launch(&self.folder, self.port, &self.options);
        self.until_ready().await;
    }

    /// Stops it in its tracks: it keeps its connections and answers nothing.
    pub fn stop(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.signal("CONT");
    }
}

fn launch(folder: &Folder, port: u16, options: &[String]) -> Process {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .arg("--dir")
        .arg(folder.path())
        .args(options);
    Process::start("redis-server", folder, command)
}

/// Any answer will do: a server that wants a password answers, too.
async fn answers(address: (&str, u16)) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"PING\r\n").await?;
    let answer = tokio::time::timeout(Duration::from_secs(1), stream.read_u8());
    answer.await.map_err(std::io::Error::from)?.map(drop)
}

/// A Redis cluster of three masters.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts three servers and joins them.
    ///
    /// # Panics
    /// When they can't be started or joined.
    #[allow(clippy::expect_used, reason = "a test fails by a panic")]
    pub async fn start() -> Self {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            let bus = free_port().to_string();
            let options = [
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
                "--cluster-config-file",
                "nodes.conf",
                "--cluster-node-timeout",
                "2000",
            ];
            nodes.push(Redis::with_options(&options).await);
        }
        let addresses = nodes.iter().map(|n| format!("127.0.0.1:{}", n.port()));
        let joined = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .output()
            .expect("redis-cli can be run");
        assert!(joined.status.success(), "{joined:?}");
        until("the cluster is whole", async || {
            nodes.iter().all(|node| {
                node.command(&["cluster", "info"])
                    .contains("cluster_state:ok")
            })
        })
        .await;
        Self { nodes }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis-cluster://127.0.0.1:{}", self.nodes[0].port())
    }
}
