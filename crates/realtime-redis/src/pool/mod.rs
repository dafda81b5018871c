//! Connections of the client library fred to one server or a cluster of them: watched, replaced when
//! they fail, and with a bound on the time of each command.

mod address;
mod builder;
mod cluster;
mod command;
mod config;
mod declare;
mod error;
mod health;
mod probe;
mod resolver;
mod script;
mod server;
mod tags;
mod watchdog;

use std::{
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash},
    sync::{Arc, OnceLock},
    time::Duration,
};

use fred::{
    error::{Error, ErrorKind},
    types::Value,
};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use cluster::Cluster;
use health::Health;
use probe::Probe;
use server::{Server, Shared};

pub use builder::PoolConfigBuilder;
pub use command::Command;
pub use config::PoolConfig;
pub use error::{Fault, PoolError};
pub use health::Change;
pub use probe::Work;
pub use script::Script;

/// How long [`Pool::close`] waits for the connections' ends.
const CLOSING: Duration = Duration::from_secs(2);

/// Connections to one server or to all masters of a cluster, which the first command opens. They
/// end with [`close`](Self::close), or when it is dropped.
pub struct Pool {
    config: Arc<PoolConfig>,
    work: Arc<dyn Work>,
    health: Arc<Health>,
    servers: OnceLock<Servers>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

enum Servers {
    One(Server),
    Cluster(Arc<Cluster>),
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// Opens no connection yet. `work` is done once a second over each connection, to see whether
    /// it can be used, and `tell` hears of each change of that; it must not wait.
    #[must_use]
    pub fn new(
        config: PoolConfig,
        work: impl Work,
        tell: impl Fn(Change) + Send + Sync + 'static,
    ) -> Self {
        Self {
            config: Arc::new(config),
            work: Arc::new(work),
            health: Arc::new(Health::new(tell)),
            servers: OnceLock::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// Opens the connections where they aren't yet, on this runtime.
    ///
    /// # Errors
    /// When it is closed, or not on a Tokio runtime.
    pub fn start(&self) -> Result<(), PoolError> {
        self.servers().map(|_| ())
    }

    fn servers(&self) -> Result<&Servers, PoolError> {
        if self.stop.is_cancelled() {
            return Err(PoolError::Closed);
        }
        let runtime = Handle::try_current().map_err(|_| PoolError::NoRuntime)?;
        Ok(self.servers.get_or_init(|| {
            let shared = Arc::new(Shared {
                config: Arc::clone(&self.config),
                work: Arc::clone(&self.work),
                health: Arc::clone(&self.health),
                stop: self.stop.clone(),
                tasks: self.tasks.clone(),
                runtime,
            });
            if self.config.is_clustered() {
                return Servers::Cluster(Cluster::new(&shared));
            }
            let probe = Probe::of_a_server(&self.work);
            Servers::One(Server::new(&shared, &self.config.redis, &probe))
        }))
    }

    /// Runs a command. All of it ends within the timeout. Commands `about` the same go through one
    /// connection, and stay in order while it lasts.
    ///
    /// # Errors
    /// When it is closed, not on a Tokio runtime, or the command failed. One that failed may still
    /// be carried out.
    pub async fn run(&self, about: &impl Hash, command: Command<'_>) -> Result<Value, PoolError> {
        let servers = self.servers()?;
        let deadline = Instant::now() + self.config.command_timeout;
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(about);
        let run = async {
            match servers {
                Servers::One(server) => {
                    let place = server.place(hash).await?;
                    command.send(&place.client, deadline, false).await
                }
                Servers::Cluster(cluster) => cluster.run(&command, hash, deadline).await,
            }
        };
        let answer = timeout_at(deadline, run).await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Timeout,
                "no connection was ready, too many commands are under way, the cluster is down, or \
                 the keys are on their way to another server",
            ))
        });
        answer.map_err(|error| self.error(error))
    }

    /// What a failure means: that the pool was closed meanwhile, or what it says.
    #[must_use]
    pub fn error(&self, error: Error) -> PoolError {
        match self.stop.is_cancelled() {
            true => PoolError::Closed,
            false => PoolError::Redis(error),
        }
    }

    /// Ends the connections. Returns whether they have ended in time, which is 2 s.
    pub async fn close(&self) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(CLOSING, self.tasks.wait())
            .await
            .is_ok()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
