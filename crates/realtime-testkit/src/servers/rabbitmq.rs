//! A private RabbitMQ.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Process, Signal, free_port, process::run};
use crate::wait::DEADLINE;

/// Where Debian, RabbitMQ's own packages and its image put the scripts. The ones on a path may
/// change user and folder.
const SCRIPTS: [&str; 3] = [
    "/usr/lib/rabbitmq/bin",
    "/usr/local/lib/rabbitmq/bin",
    "/opt/rabbitmq/sbin",
];
/// How long it may take to start.
const START: Duration = Duration::from_secs(60);

/// A private RabbitMQ. Needs `rabbitmq-server` with its Erlang.
#[derive(Debug)]
pub struct RabbitMq {
    // Fields are dropped in this order: the broker, then its name server, then the folder.
    broker: Process,
    _epmd: Process,
    dir: TempDir,
    ports: Ports,
    tls: bool,
}

/// In PEM.
#[derive(Clone, Copy)]
struct Tls<'t> {
    certificate: &'t str,
    key: &'t str,
    /// Of the certificates that clients must show.
    authority: Option<&'t str>,
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
    /// # Errors
    /// When RabbitMQ isn't installed, or doesn't start; the error shows its log.
    pub async fn start() -> io::Result<Self> {
        Self::launched(None).await
    }

    /// Starts a broker that speaks TLS only, with a certificate and its key in PEM.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub async fn with_tls(certificate: &str, key: &str) -> io::Result<Self> {
        let tls = Tls {
            certificate,
            key,
            authority: None,
        };
        Self::launched(Some(tls)).await
    }

    /// Starts a broker that speaks TLS only, and only with clients that show a certificate of this
    /// authority. All in PEM.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub async fn with_mutual_tls(
        certificate: &str,
        key: &str,
        authority: &str,
    ) -> io::Result<Self> {
        let tls = Tls {
            certificate,
            key,
            authority: Some(authority),
        };
        Self::launched(Some(tls)).await
    }

    async fn launched(tls: Option<Tls<'_>>) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("rabbitmq-").tempdir()?;
        let ports = Ports {
            amqp: free_port()?,
            epmd: free_port()?,
            dist: free_port()?,
        };
        configure(dir.path(), ports, tls)?;
        // A child of ours: the broker would start one that stays behind.
        let mut epmd = Command::new("epmd");
        epmd.args(["-port", &ports.epmd.to_string(), "-address", "127.0.0.1"]);
        let mut epmd = Process::spawn(&mut epmd, dir.path().join("epmd.log"))?;
        epmd.ready(DEADLINE, async |_| is_open(ports.epmd).await)
            .await?;
        let broker = launch(dir.path(), ports, tls.is_some()).await?;
        Ok(Self {
            broker,
            _epmd: epmd,
            dir,
            ports,
            tls: tls.is_some(),
        })
    }

    /// The id of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.broker.pid()
    }

    /// Its port on the loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.amqp
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        let (scheme, host) = if self.tls {
            ("amqps", "localhost")
        } else {
            ("amqp", "127.0.0.1")
        };
        format!("{scheme}://guest:guest@{host}:{}/%2f", self.ports.amqp)
    }

    /// Kills it with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// When it doesn't end.
    pub fn kill(&mut self) -> io::Result<()> {
        self.broker.end().map(drop)
    }

    /// Starts it again on the same port, killing it before where it still runs. What was durable
    /// is there again.
    ///
    /// # Errors
    /// When it doesn't start; the error shows its log.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.broker.end()?;
        self.broker = launch(self.dir.path(), self.ports, self.tls).await?;
        Ok(())
    }

    /// Starts it again as [`restart`](Self::restart) does, with nothing of what it had: no exchange
    /// is there, whatever was durable.
    ///
    /// # Errors
    /// Those of [`restart`](Self::restart).
    pub async fn restart_empty(&mut self) -> io::Result<()> {
        self.broker.end()?;
        fs::remove_dir_all(self.dir.path().join("mnesia"))?;
        self.restart().await
    }

    /// Stops it with SIGSTOP: its connections stay open, and nobody answers.
    ///
    /// # Errors
    /// When it has ended.
    pub fn stop(&mut self) -> io::Result<()> {
        self.broker.signal(Signal::Stop)
    }

    /// Lets it continue after [`stop`](Self::stop), with SIGCONT.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&mut self) -> io::Result<()> {
        self.broker.signal(Signal::Resume)
    }

    /// Runs `rabbitmqctl`, and returns what it prints. It takes about a second.
    ///
    /// # Errors
    /// When it isn't installed, or fails.
    pub async fn ctl(&self, words: &[&str]) -> io::Result<String> {
        let mut command = Command::new(script("rabbitmqctl")?);
        environment(&mut command, self.dir.path(), self.ports);
        let node = format!("rt{}@localhost", self.ports.amqp);
        command.args(["-n", &node, "-q"]).args(words);
        run(command).await
    }

    /// Closes all connections.
    ///
    /// # Errors
    /// Those of [`ctl`](Self::ctl).
    pub async fn close_connections(&self) -> io::Result<()> {
        let words = ["close_all_connections", "closed by a test"];
        self.ctl(&words).await.map(drop)
    }

    /// Sets the memory alarm off, so that connections that publish are blocked; or clears it.
    ///
    /// # Errors
    /// Those of [`ctl`](Self::ctl).
    pub async fn block(&self, blocked: bool) -> io::Result<()> {
        let mark = if blocked { "0.0000001" } else { "0.4" };
        self.ctl(&["set_vm_memory_high_watermark", mark])
            .await
            .map(drop)
    }

    /// The names of its queues.
    ///
    /// # Errors
    /// Those of [`ctl`](Self::ctl).
    pub async fn queues(&self) -> io::Result<Vec<String>> {
        let listed = self
            .ctl(&["list_queues", "--no-table-headers", "name"])
            .await?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// Deletes a queue, also one that is consumed.
    ///
    /// # Errors
    /// Those of [`ctl`](Self::ctl).
    pub async fn delete_queue(&self, name: &str) -> io::Result<()> {
        self.ctl(&["delete_queue", name]).await.map(drop)
    }

    /// Takes a queue's binding to an exchange away, whoever owns it.
    pub async fn delete_binding(&self, exchange: &str, key: &str, queue: &str) -> io::Result<()> {
        let resource = |kind, name| format!("rabbit_misc:r(<<\"/\">>, {kind}, <<\"{name}\">>)");
        let (exchange, queue) = (resource("exchange", exchange), resource("queue", queue));
        let binding = format!("{{binding, {exchange}, <<\"{key}\">>, {queue}, []}}");
        let removed = format!("rabbit_binding:remove({binding}, <<\"guest\">>).");
        let answer = self.ctl(&["eval", &removed]).await?;
        match answer.trim() {
            "ok" => Ok(()),
            other => Err(io::Error::other(format!("expected ok; got {other}"))),
        }
    }
}

fn configure(dir: &Path, ports: Ports, tls: Option<Tls<'_>>) -> io::Result<()> {
    let write = |name: &str, text: &str| fs::write(dir.join(name), text);
    write(".erlang.cookie", "realtime")?;
    let only_mine = fs::Permissions::from_mode(0o400);
    fs::set_permissions(dir.join(".erlang.cookie"), only_mine)?;
    write("env.conf", "")?;
    write("advanced.config", "[].\n")?;
    write("plugins", "[].\n")?;
    let listener = match tls {
        None => format!("listeners.tcp.1 = 127.0.0.1:{}\n", ports.amqp),
        Some(Tls {
            certificate,
            key,
            authority,
        }) => {
            write("certificate.pem", certificate)?;
            write("key.pem", key)?;
            if let Some(authority) = authority {
                write("authority.pem", authority)?;
            }
            let dir = dir.display();
            let clients = match authority {
                None => String::new(),
                Some(_) => format!(
                    "ssl_options.cacertfile = {dir}/authority.pem\n\
                     ssl_options.verify = verify_peer\n\
                     ssl_options.fail_if_no_peer_cert = true\n"
                ),
            };
            format!(
                "listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:{}\n\
                 ssl_options.certfile = {dir}/certificate.pem\n\
                 ssl_options.keyfile = {dir}/key.pem\n{clients}",
                ports.amqp,
            )
        }
    };
    let settings = "num_acceptors.tcp = 2\ndisk_free_limit.absolute = 1MB\n\
                    log.console = true\nlog.file = false\n";
    write("rabbitmq.conf", &format!("{listener}{settings}"))
}

fn script(name: &str) -> io::Result<PathBuf> {
    let mut places = SCRIPTS.iter().map(|folder| Path::new(folder).join(name));
    let nowhere = || {
        let context = format!("{name} is not in {SCRIPTS:?}; install rabbitmq-server");
        io::Error::new(io::ErrorKind::NotFound, context)
    };
    places.find(|path| path.exists()).ok_or_else(nowhere)
}

fn environment(command: &mut Command, dir: &Path, ports: Ports) {
    let file = |name: &str| dir.join(name);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LANG", "C.UTF-8")
        .env("HOME", dir)
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

async fn launch(dir: &Path, ports: Ports, tls: bool) -> io::Result<Process> {
    let mut command = Command::new(script("rabbitmq-server")?);
    environment(&mut command, dir, ports);
    command.current_dir(dir);
    let mut process = Process::spawn(&mut command, dir.join("rabbitmq.log"))?;
    let ready = async |_: &Path| {
        // Over TLS that the port is open must do: it is opened last.
        if tls {
            is_open(ports.amqp).await
        } else {
            answers(ports.amqp).await
        }
    };
    process.ready(START, ready).await?;
    Ok(process)
}

async fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).await.is_ok()
}

async fn answers(port: u16) -> bool {
    let asked = timeout(Duration::from_secs(1), async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
        stream.read_u8().await
    });
    matches!(asked.await, Ok(Ok(1)))
}
