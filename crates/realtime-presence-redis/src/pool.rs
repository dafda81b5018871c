//! The connections, and what bounds the commands on them.

use std::{sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::Error,
    interfaces::{ClientLike, EventInterface},
    types::{
        Builder, ConnectHandle,
        config::{ReconnectPolicy, Server},
    },
};
use realtime_core::{IdentityKey, presence::PresenceError};
use tokio::{
    sync::{Semaphore, SemaphorePermit, broadcast},
    time::timeout,
};

use crate::{
    RedisConfig,
    error::{invalid, unavailable},
    keys,
};

/// How many commands may be under way. The client library's own bound wedges it for good.
const COMMANDS: usize = 1_024;
/// How often it is looked whether there is a connection again.
const LOOK: Duration = Duration::from_millis(5);
/// How long a connection may take to say goodbye.
const QUIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) clients: Vec<Client>,
    connecting: Vec<ConnectHandle>,
    commands: Semaphore,
    timeout: Duration,
}

impl Pool {
    /// Begins to connect. Commands wait for it, for as long as a command may take. Each connection
    /// tells when it is made, the first time too.
    pub(crate) fn open(
        config: &RedisConfig,
    ) -> Result<(Arc<Self>, Vec<broadcast::Receiver<Server>>), PresenceError> {
        let mut builder = Builder::from_config(config.redis.clone());
        let limit = config.timeout;
        builder
            .set_policy(ReconnectPolicy::new_exponential(0, 100, 2_000, 2))
            .with_config(|config| config.fail_fast = false)
            .with_performance_config(|performance| performance.default_command_timeout = limit)
            .with_connection_config(|connection| {
                connection.connection_timeout = Duration::from_secs(3);
                connection.internal_command_timeout = Duration::from_secs(3);
                connection.max_command_attempts = 1;
                connection.max_command_buffer_len = 0;
                connection.reconnect_on_auth_error = true;
            });
        let clients: Vec<_> = (0..config.connections)
            .map(|_| builder.build())
            .collect::<Result<_, Error>>()
            .map_err(|e| {
                invalid("the settings of Redis make no sense".to_owned()).with_source(e)
            })?;
        // Before they connect, so that none is missed.
        let connected = clients.iter().map(Client::reconnect_rx).collect();
        let connecting = clients.iter().map(Client::connect).collect();
        let pool = Self {
            clients,
            connecting,
            commands: Semaphore::new(COMMANDS),
            timeout: limit,
        };
        Ok((Arc::new(pool), connected))
    }

    /// The connection of an identity, and a place among the commands that are under way.
    pub(crate) async fn client(
        &self,
        identity: &IdentityKey,
    ) -> Result<(&Client, SemaphorePermit<'_>), PresenceError> {
        let full = || unavailable(format!("{COMMANDS} commands wait for Redis already"));
        let place = timeout(self.timeout, self.commands.acquire()).await;
        let place = place.map_err(|_| full())?.map_err(|_| full())?;
        let client = &self.clients[keys::connection(identity, self.clients.len())];
        // What is sent before, a cluster's client can't route and another's keeps for later.
        let connected = timeout(self.timeout, async {
            while !client.is_connected() {
                tokio::time::sleep(LOOK).await;
            }
        });
        match connected.await {
            Ok(()) => Ok((client, place)),
            Err(_) => Err(unavailable("there is no connection to Redis")),
        }
    }

    /// Says goodbye, with a bound.
    pub(crate) async fn close(&self) {
        let goodbye = self
            .clients
            .iter()
            .map(|client| timeout(QUIT, client.quit()));
        let _best_effort = futures::future::join_all(goodbye).await;
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for connecting in &self.connecting {
            connecting.abort();
        }
    }
}
