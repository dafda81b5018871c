//! One server or a cluster of them, and a bound on the time of each command.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{Arc, OnceLock},
    time::Duration,
};

use fred::{
    error::{Error, ErrorKind},
    types::Value,
};
use realtime_core::{
    IdentityKey,
    presence::{PresenceError, PresenceErrorKind, PresenceEvents},
};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    cluster::Cluster,
    command::Command,
    config::RedisConfig,
    error::{closed, presence_error},
    health::Health,
    probe::Probe,
    server::{Server, Shared},
};

/// How long [`Pool::close`] waits for the connections' ends.
const CLOSING: Duration = Duration::from_secs(2);

pub(crate) struct Pool {
    config: Arc<RedisConfig>,
    health: Arc<Health>,
    servers: OnceLock<Servers>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

enum Servers {
    One(Server),
    Cluster(Arc<Cluster>),
}

impl Pool {
    pub(crate) fn new(config: RedisConfig) -> Self {
        Self {
            config: Arc::new(config),
            health: Arc::new(Health::new()),
            servers: OnceLock::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    pub(crate) fn config(&self) -> &RedisConfig {
        &self.config
    }

    /// Opens the connections where they aren't yet, on this runtime.
    fn start(&self) -> Result<&Servers, PresenceError> {
        if self.stop.is_cancelled() {
            return Err(closed());
        }
        let runtime = Handle::try_current().map_err(|e| {
            let context = "expected to be called on a Tokio runtime";
            PresenceError::new(PresenceErrorKind::Config, context).with_source(e)
        })?;
        Ok(self.servers.get_or_init(|| {
            let shared = Arc::new(Shared {
                config: Arc::clone(&self.config),
                health: Arc::clone(&self.health),
                stop: self.stop.clone(),
                tasks: self.tasks.clone(),
                runtime,
            });
            if self.config.is_clustered() {
                return Servers::Cluster(Cluster::new(&shared));
            }
            let probe = Probe::of_a_server(&self.config);
            Servers::One(Server::new(&shared, &self.config.redis, &probe))
        }))
    }

    /// Runs a command of an identity. All of it ends within the timeout.
    pub(crate) async fn run(
        &self,
        identity: &IdentityKey,
        command: Command<'_>,
    ) -> Result<Value, PresenceError> {
        let servers = self.start()?;
        let deadline = Instant::now() + self.config.command_timeout;
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(identity);
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

    /// What a failed command means to the caller.
    pub(crate) fn error(&self, error: Error) -> PresenceError {
        if self.stop.is_cancelled() {
            return closed();
        }
        presence_error(error)
    }

    pub(crate) fn events(&self) -> PresenceEvents {
        let events = self.health.events();
        // Elsewhere than on a runtime, the first call starts it.
        let _started = self.start();
        events
    }

    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.health.close();
        self.tasks.close();
        if tokio::time::timeout(CLOSING, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(target: realtime_core::log_targets::PRESENCE, "a connection to Redis ends late");
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
