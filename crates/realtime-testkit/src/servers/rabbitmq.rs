//! A private RabbitMQ.

use std::{
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::process::{Folder, Process, free_port};

/// Where Debian, and RabbitMQ's own packages, put the scripts. The ones on the path would change
/// user and folder.
const SCRIPTS: [&str; 2] = ["/usr/lib/rabbitmq/bin", "/usr/local/lib/rabbitmq/bin"];
/// How long it may take to start.
const START: Duration = Duration::from_secs(60);

/// A RabbitMQ of one's own. Needs `rabbitmq-server` with its Erlang.
#[derive(Debug)]
pub struct RabbitMq {
    // Fields are dropped in this order: the broker, then its name server, then the folder.
    broker: Process,
    _epmd: Process,
    folder: Folder,
    ports: Ports,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    amqp: u16,
    epmd: u16,
    dist: u16,
}

impl RabbitMq {
    /// Starts a broker and waits until it answers, which takes some seconds.
    ///
    /// # Panics
    /// When it can't be started.
    #[allow(clippy::expect_used, reason = "a test fails by a panic")]
    pub async fn start() -> Self {
        let folder = Folder::new("rabbitmq");
        let ports = Ports {
            amqp: free_port(),
            epmd: free_port(),
            dist: free_port(),
        };
        let cookie = folder.write(".erlang.cookie", "realtime");
        let only_mine = std::fs::Permissions::from_mode(0o400);
        std::fs::set_permissions(cookie, only_mine).expect("the cookie can be hidden");
        folder.write("env.conf", "");
        folder.write("advanced.config", "[].\n");
        folder.write("plugins", "[].\n");
        let settings = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\nnum_acceptors.tcp = 2\n\
             disk_free_limit.absolute = 1MB\nlog.console = true\nlog.file = false\n",
            ports.amqp
        );
        folder.write("rabbitmq.conf", &settings);
        // A child of ours: the broker would start one that stays behind.
        let mut epmd = Command::new("epmd");
        epmd.args(["-port", &ports.epmd.to_string(), "-address", "127.0.0.1"]);
        let epmd = Process::start("epmd", &folder, epmd);
        until_open(ports.epmd).await;
        let broker = launch(&folder, ports);
        let mut rabbitmq = Self {
            broker,
            _epmd: epmd,
            folder,
            ports,
        };
        rabbitmq.until_ready().await;
        rabbitmq
    }

    async fn until_ready(&mut self) {
        let start = Instant::now();
        while !answers(self.ports.amqp).await {
            assert!(!self.broker.has_ended(), "{}", self.last_words());
            assert!(start.elapsed() < START, "{}", self.last_words());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log"));
        let log = log.unwrap_or_default();
        let last: Vec<_> = log.lines().rev().take(20).collect();
        format!(
            "RabbitMQ did not start; its last words, backwards:\n{}",
            last.join("\n")
        )
    }

    /// Its port on the loopback address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.amqp
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.ports.amqp)
    }

    /// Kills it, as by `kill -9`.
    pub fn kill(&mut self) {
        self.broker.kill();
    }

    /// Starts it again on the same port. What was durable is there again.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn restart(&mut self) {
        self.broker.kill();
        self.broker = launch(&self.folder, self.ports);
        self.until_ready().await;
    }

    /// Stops it in its tracks: it keeps its connections and answers nothing.
    pub fn stop(&self) {
        self.broker.signal("STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.broker.signal("CONT");
    }

    /// Runs `rabbitmqctl`, and returns what it prints. It takes about a second.
    ///
    /// # Panics
    /// When it fails.
    #[allow(clippy::expect_used, reason = "a test fails by a panic")]
    pub async fn ctl(&self, words: &[&str]) -> String {
        let mut command = Command::new(script("rabbitmqctl"));
        environment(&mut command, &self.folder, self.ports);
        let node = format!("rt{}@localhost", self.ports.amqp);
        command.args(["-n", &node, "-q"]).args(words);
        let ran = tokio::task::spawn_blocking(move || command.output()).await;
        let output = ran
            .expect("rabbitmqctl ran")
            .expect("rabbitmqctl can be run");
        assert!(output.status.success(), "rabbitmqctl {words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Closes all connections.
    ///
    /// # Panics
    /// When `rabbitmqctl` fails.
    pub async fn close_connections(&self) {
        self.ctl(&["close_all_connections", "closed by a test"])
            .await;
    }

    /// Sets the memory alarm off, so that connections that publish are blocked; or clears it.
    ///
    /// # Panics
    /// When `rabbitmqctl` fails.
    pub async fn block(&self, blocked: bool) {
        let mark = if blocked { "0.0000001" } else { "0.4" };
        self.ctl(&["set_vm_memory_high_watermark", mark]).await;
    }

    /// The names of its queues.
    ///
    /// # Panics
    /// When `rabbitmqctl` fails.
    pub async fn queues(&self) -> Vec<String> {
        let listed = self
            .ctl(&["list_queues", "--no-table-headers", "name"])
            .await;
        listed.lines().map(str::to_owned).collect()
    }

    /// Deletes a queue, whoever consumes it.
    ///
    /// # Panics
    /// When `rabbitmqctl` fails.
    pub async fn delete_queue(&self, name: &str) {
        self.ctl(&["delete_queue", name]).await;
    }
}

#[allow(clippy::panic, reason = "a test fails by a panic")]
fn script(name: &str) -> PathBuf {
    let places = SCRIPTS
        .iter()
        .map(|folder| PathBuf::from(folder).join(name));
    match places.into_iter().find(|path| path.exists()) {
        Some(path) => path,
        None => panic!("{name} is not in {SCRIPTS:?}; install rabbitmq-server"),
    }
}

fn environment(command: &mut Command, folder: &Folder, ports: Ports) {
    let file = |name: &str| folder.path().join(name);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LANG", "C.UTF-8")
        .env("HOME", folder.path())
        // The script becomes the broker, so that our child is the broker itself.
        .env("RUNNING_UNDER_SYSTEMD", "1")
        .env("ERL_EPMD_PORT", ports.epmd.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_CONF_ENV_FILE", file("env.conf"))
        .env("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", file("advanced.config"))
        .env("RABBITMQ_NODENAME", format!("rt{}@localhost", ports.amqp))
        .env("RABBITMQ_DIST_PORT", ports.dist.to_string())
        .env("RABBITMQ_MNESIA_BASE", file("mnesia"))
        .env("RABBITMQ_LOG_BASE", file("logs"))
        .env("RABBITMQ_PID_FILE", file("pid"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", file("plugins"))
        .env("RABBITMQ_FEATURE_FLAGS_FILE", file("feature_flags"))
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}",
        );
}

fn launch(folder: &Folder, ports: Ports) -> Process {
    let mut command = Command::new(script("rabbitmq-server"));
    environment(&mut command, folder, ports);
    Process::start("rabbitmq-server", folder, command)
}

async fn answers(port: u16) -> bool {
    let asked = timeout(Duration::from_secs(1), async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
        stream.read_u8().await
    });
    matches!(asked.await, Ok(Ok(1)))
}

async fn until_open(port: u16) {
    crate::wait::until("epmd listens", async || {
        TcpStream::connect(("127.0.0.1", port)).await.is_ok()
    })
    .await;
}
