//! Redis servers, alone or as a cluster of three masters.

use std::{fmt::Write as _, fs, io, path::Path, process::Command};

use tempfile::TempDir;

use super::{Process, Signal, free_port, process::run};
use crate::wait::DEADLINE;

/// How often a start is tried again when somebody else took the port.
const ATTEMPTS: usize = 5;

/// The administrator that [`Redis::command`] is where users are set.
const ADMIN: (&str, &str) = ("testkit", "testkit-admin");

/// What a [`Redis`] server is started with.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct RedisOptions {
    user: Option<(String, String, String)>,
    lines: Vec<String>,
    cluster: bool,
    tls: Option<(String, String)>,
}

impl RedisOptions {
    /// Turns the default user off, and adds one with a name, a password and access rules such as
    /// `~rt:* +@all -@dangerous`. [`Redis::url`] has its name and password.
    pub fn user(mut self, name: &str, password: &str, rules: &str) -> Self {
        self.user = Some((name.to_owned(), password.to_owned(), rules.to_owned()));
        self
    }

    /// How much memory the server may use, such as `2mb`; writes beyond that are refused.
    pub fn maxmemory(self, limit: &str) -> Self {
        self.line(format!("maxmemory {limit}\nmaxmemory-policy noeviction"))
    }

    /// Speaks TLS only, with a certificate and its key in PEM. [`Redis::url`] is a `rediss:` URL.
    pub fn tls(mut self, certificate: &str, key: &str) -> Self {
        self.tls = Some((certificate.to_owned(), key.to_owned()));
        self
    }

    /// A further line of its configuration file.
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    /// When `redis-server` isn't installed, or doesn't start; the error shows its log.
    pub async fn start(self) -> io::Result<Redis> {
        let mut error = None;
        for _ in 0..ATTEMPTS {
            let dir = tempfile::Builder::new().prefix("redis-").tempdir()?;
            let port = free_port()?;
            fs::write(
                dir.path().join("redis.conf"),
                self.config(dir.path(), port)?,
            )?;
            match launch(dir.path()).await {
                Ok(process) => {
                    let options = self;
                    return Ok(Redis {
                        process,
                        dir,
                        port,
                        options,
                    });
                }
                Err(e) if e.to_string().contains("Address already in use") => error = Some(e),
                Err(e) => return Err(e),
            }
        }
        Err(error.unwrap_or_else(|| io::Error::other("no attempt was made")))
    }

    fn config(&self, dir: &Path, port: u16) -> io::Result<String> {
        let mut config = format!(
            "bind 127.0.0.1\ndir \"{}\"\nsave \"\"\nappendonly no\ndaemonize no\n",
            dir.display()
        );
        let mut line =
            |line: std::fmt::Arguments<'_>| writeln!(config, "{line}").map_err(io::Error::other);
        if let Some((certificate, key)) = &self.tls {
            fs::write(dir.join("cert.pem"), certificate)?;
            fs::write(dir.join("key.pem"), key)?;
            line(format_args!("port 0\ntls-port {port}\ntls-auth-clients no"))?;
            line(format_args!("tls-cert-file cert.pem\ntls-key-file key.pem"))?;
            line(format_args!("tls-ca-cert-file cert.pem"))?;
            if self.cluster {
                line(format_args!("tls-cluster yes\ntls-replication yes"))?;
            }
        } else {
            line(format_args!("port {port}"))?;
        }
        if let Some((name, password, rules)) = &self.user {
            let (admin, secret) = ADMIN;
            line(format_args!("user default off"))?;
            line(format_args!("user {admin} on >{secret} ~* &* +@all"))?;
            line(format_args!("user {name} on >{password} {rules}"))?;
        }
        if self.cluster {
            line(format_args!(
                "cluster-enabled yes\ncluster-node-timeout 2000"
            ))?;
            line(format_args!("cluster-config-file nodes.conf"))?;
            line(format_args!("cluster-port {}", free_port()?))?;
        }
        for more in &self.lines {
            line(format_args!("{more}"))?;
        }
        Ok(config)
    }
}

async fn launch(dir: &Path) -> io::Result<Process> {
    let mut command = Command::new("redis-server");
    let mut process = Process::spawn(
        command.arg(dir.join("redis.conf")).current_dir(dir),
        dir.join("redis.log"),
    )?;
    // Its own log is looked at, since somebody else might answer on a port that it didn't get.
    let ready = async |log: &Path| {
        fs::read_to_string(log).is_ok_and(|log| log.contains("Ready to accept connections"))
    };
    process.ready(DEADLINE, ready).await?;
    Ok(process)
}

/// A private `redis-server`, empty and without persistence.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    dir: TempDir,
    port: u16,
    options: RedisOptions,
}

impl Redis {
    /// What a server can be started with.
    pub fn options() -> RedisOptions {
        RedisOptions::default()
    }

    /// Starts a server with nothing set.
    ///
    /// # Errors
    /// When `redis-server` isn't installed, or doesn't start; the error shows its log.
    pub async fn start() -> io::Result<Self> {
        Self::options().start().await
    }

    /// Where it listens, with the user that was set.
    #[must_use]
    pub fn url(&self) -> String {
        let port = self.port;
        let scheme = if self.options.tls.is_some() {
            "rediss"
        } else {
            "redis"
        };
        match &self.options.user {
            Some((name, password, _)) => format!("{scheme}://{name}:{password}@127.0.0.1:{port}"),
            None => format!("{scheme}://127.0.0.1:{port}"),
        }
    }

    /// The id of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The port on which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs a command as an administrator, through `redis-cli`, and returns what it prints.
    ///
    /// # Errors
    /// When `redis-cli` isn't installed, the command fails, or no answer comes in time.
    pub async fn command(&self, command: &[&str]) -> io::Result<String> {
        let mut cli = self.cli();
        cli.arg("-e").args(command);
        run(cli).await
    }

    fn cli(&self) -> Command {
        let mut cli = Command::new("redis-cli");
        cli.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        if self.options.tls.is_some() {
            cli.args(["--tls", "--insecure"]);
        }
        if self.options.user.is_some() {
            cli.args(["--user", ADMIN.0]).env("REDISCLI_AUTH", ADMIN.1);
        }
        cli
    }

    /// Kills it with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// When it doesn't end.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.end().map(drop)
    }

    /// Stops it with SIGSTOP: its connections stay open, and nobody answers.
    ///
    /// # Errors
    /// When it has ended.
    pub fn stop(&mut self) -> io::Result<()> {
        self.process.signal(Signal::Stop)
    }

    /// Lets it continue after [`stop`](Self::stop), with SIGCONT.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&mut self) -> io::Result<()> {
        self.process.signal(Signal::Resume)
    }

    /// Starts it again on the same port, killing it before where it still runs. It is empty.
    ///
    /// # Errors
    /// When it doesn't start; the error shows its log.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.process.end()?;
        self.process = launch(self.dir.path()).await?;
        Ok(())
    }
}

/// Three masters that share the slots, without replicas unless some are added.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
    options: RedisOptions,
}

impl RedisCluster {
    /// Starts three servers, joins them, and waits until the cluster is ready.
    ///
    /// # Errors
    /// When a server doesn't start, or the cluster isn't ready in time.
    pub async fn start() -> io::Result<Self> {
        Self::with(Redis::options()).await
    }

    /// Starts three servers with these options, which may speak TLS.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub async fn with(mut options: RedisOptions) -> io::Result<Self> {
        options.cluster = true;
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(options.clone().start().await?);
        }
        let address = |node: &Redis| format!("127.0.0.1:{}", node.port);
        let mut create = Command::new("redis-cli");
        if options.tls.is_some() {
            create.args(["--tls", "--insecure"]);
        }
        if options.user.is_some() {
            create
                .args(["--user", ADMIN.0])
                .env("REDISCLI_AUTH", ADMIN.1);
        }
        create
            .args(["--cluster", "create"])
            .args(nodes.iter().map(address))
            .args(["--cluster-replicas", "0", "--cluster-yes"]);
        run(create).await?;
        let cluster = Self { nodes, options };
        let ready = tokio::time::timeout(DEADLINE, async {
            while !cluster.is_ready().await? {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Ok(cluster)
        });
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the cluster was not ready in time");
        ready.await.map_err(late)?
    }

    async fn is_ready(&self) -> io::Result<bool> {
        for node in &self.nodes {
            let info = node.command(&["CLUSTER", "INFO"]).await?;
            if !info.contains("cluster_state:ok") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Starts a replica of a master, which takes its place when it is gone.
    ///
    /// # Errors
    /// When the server doesn't start, or doesn't follow the master in time.
    pub async fn add_replica(&mut self, master: usize) -> io::Result<()> {
        let replica = self.options.clone().start().await?;
        let no_such = || io::Error::new(io::ErrorKind::NotFound, "there is no such master");
        let master = self.nodes.get(master).ok_or_else(no_such)?;
        let id = master.command(&["CLUSTER", "MYID"]).await?;
        let (id, port) = (id.trim(), master.port.to_string());
        let meet = [
            "CLUSTER",
            "MEET",
            "127.0.0.1",
            &port,
            &self.bus_port(master).await?,
        ];
        replica.command(&meet).await?;
        let follows = tokio::time::timeout(DEADLINE, async {
            let pause = || tokio::time::sleep(std::time::Duration::from_millis(50));
            // It has to know the master first.
            while replica
                .command(&["CLUSTER", "REPLICATE", id])
                .await
                .is_err()
            {
                pause().await;
            }
            let is_up = async || {
                let info = replica.command(&["INFO", "replication"]).await?;
                let nodes = master.command(&["CLUSTER", "NODES"]).await?;
                let is_known = nodes.contains(&format!("slave {id}"));
                io::Result::Ok(is_known && info.contains("master_link_status:up"))
            };
            while !is_up().await? {
                pause().await;
            }
            io::Result::Ok(())
        });
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the replica didn't follow in time");
        follows.await.map_err(late)??;
        self.nodes.push(replica);
        Ok(())
    }

    /// Where other nodes reach a node: `127.0.0.1:7000@17000 …`, as it says of itself.
    async fn bus_port(&self, node: &Redis) -> io::Result<String> {
        let nodes = node.command(&["CLUSTER", "NODES"]).await?;
        let own = nodes.lines().find(|line| line.contains("myself"));
        let port = own.and_then(|line| {
            let digits = |c: char| !c.is_ascii_digit();
            line.split_once('@')?.1.split(digits).next()
        });
        let none = || io::Error::other("the node doesn't say where it is");
        port.map(str::to_owned).ok_or_else(none)
    }

    /// The masters, and then the replicas that were added.
    #[must_use]
    pub fn nodes(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }

    /// Where they listen, as a `redis-cluster:` URL.
    #[must_use]
    pub fn url(&self) -> String {
        let first = self.nodes.first().map(Redis::url).unwrap_or_default();
        let (scheme, at) = first.split_once("://").unwrap_or_default();
        let user = at.rsplit_once('@').map_or("", |(user, _)| user);
        let mut url = format!("{scheme}-cluster://{user}");
        if !user.is_empty() {
            url.push('@');
        }
        for (n, node) in self.nodes.iter().enumerate() {
            let before = ["", "?node=", "&node="][n.min(2)];
            url += &format!("{before}127.0.0.1:{}", node.port);
        }
        url
    }
}
