//! A bounded number of connections and of commands; an identity always goes through one.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{Arc, OnceLock},
    time::Duration,
};

use fred::{
    clients::{Client, WithOptions},
    error::{Error, ErrorKind},
    interfaces::ClientLike,
    types::config::Options,
};
use realtime_core::{
    IdentityKey,
    presence::{PresenceError, PresenceErrorKind, PresenceEvents},
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit, watch},
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::RedisConfig,
    error::{closed, presence_error},
    health::Health,
    watchdog::Watchdog,
};

/// How many commands may be under way. The client's own bound wedges it for good.
const COMMANDS: usize = 1_024;

/// How long [`Pool::close`] waits for the connections' ends.
const CLOSING: Duration = Duration::from_secs(2);

/// What is known of a connection.
#[derive(Clone)]
pub(crate) enum Link {
    /// It is being made: worth waiting for.
    Connecting,
    /// It can be used.
    Open(Client),
    /// It could not be made, and is tried again after a pause.
    Down(Error),
}

pub(crate) struct Pool {
    config: Arc<RedisConfig>,
    links: Vec<watch::Sender<Link>>,
    permits: Semaphore,
    health: Arc<Health>,
    started: OnceLock<()>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A command that may be sent: its connection, its place, and its end.
pub(crate) struct Call<'p> {
    client: Client,
    deadline: Instant,
    _permit: SemaphorePermit<'p>,
}

impl Call<'_> {
    /// The connection, with the time that is left. A command that waits longer isn't sent.
    pub(crate) fn client(&self) -> WithOptions<Client> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.client.with_options(&options(left))
    }
}

/// One attempt, at once or never.
pub(crate) fn options(timeout: Duration) -> Options {
    Options {
        max_attempts: Some(1),
        // Nothing would be no limit.
        timeout: Some(timeout.max(Duration::from_millis(1))),
        fail_fast: true,
        ..Options::default()
    }
}

impl Pool {
    pub(crate) fn new(config: RedisConfig) -> Self {
        let links = || watch::Sender::new(Link::Connecting);
        Self {
            links: std::iter::repeat_with(links)
                .take(config.pool_size)
                .collect(),
            permits: Semaphore::new(COMMANDS),
            health: Arc::new(Health::new(config.pool_size)),
            started: OnceLock::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            config: Arc::new(config),
        }
    }

    pub(crate) fn config(&self) -> &RedisConfig {
        &self.config
    }

    /// Opens the connections where they aren't yet, on this runtime.
    fn start(&self) -> Result<(), PresenceError> {
        if self.stop.is_cancelled() {
            return Err(closed());
        }
        let runtime = Handle::try_current().map_err(|e| {
            let context = "expected to be called on a Tokio runtime";
            PresenceError::new(PresenceErrorKind::Config, context).with_source(e)
        })?;
        self.started.get_or_init(|| {
            for (number, link) in self.links.iter().enumerate() {
                let watchdog = Watchdog {
                    number,
                    config: Arc::clone(&self.config),
                    health: Arc::clone(&self.health),
                    link: link.clone(),
                };
                self.tasks
                    .spawn_on(watchdog.run(self.stop.clone()), &runtime);
            }
        });
        Ok(())
    }

    /// A place for one command of an identity. It and the command together end within the timeout.
    pub(crate) async fn call(&self, identity: &IdentityKey) -> Result<Call<'_>, PresenceError> {
        self.start()?;
        let deadline = Instant::now() + self.config.command_timeout;
        let call = match timeout_at(deadline, self.place(identity, deadline)).await {
            Ok(call) => call,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                "no connection was ready, or too many commands are under way",
            )),
        };
        call.map_err(|error| self.error(error))
    }

    async fn place(&self, identity: &IdentityKey, deadline: Instant) -> Result<Call<'_>, Error> {
        let gone = || Error::new(ErrorKind::Canceled, "the pool is closed");
        let permit = self.permits.acquire().await.map_err(|_| gone())?;
        let mut link = self.link_of(identity).ok_or_else(gone)?;
        let ready = link.wait_for(|link| !matches!(link, Link::Connecting));
        match &*ready.await.map_err(|_| gone())? {
            Link::Open(client) => Ok(Call {
                client: client.clone(),
                deadline,
                _permit: permit,
            }),
            Link::Down(error) => Err(error.clone()),
            Link::Connecting => Err(gone()),
        }
    }

    /// What a failed command means to the caller.
    pub(crate) fn error(&self, error: Error) -> PresenceError {
        if self.stop.is_cancelled() {
            return closed();
        }
        presence_error(error)
    }

    /// An identity's commands stay in order, since they always go through one connection.
    fn link_of(&self, identity: &IdentityKey) -> Option<watch::Receiver<Link>> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(identity);
        let count = u64::try_from(self.links.len()).ok()?;
        let index = usize::try_from(hash.checked_rem(count)?).ok()?;
        self.links.get(index).map(watch::Sender::subscribe)
    }

    pub(crate) fn events(&self) -> PresenceEvents {
        let events = self.health.events();
        // Elsewhere than on a runtime, the first call starts it.
        let _started = self.start();
        events
    }

    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.permits.close();
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
