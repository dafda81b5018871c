//! One connection, watched: made, checked each second, and replaced when it fails.
//!
//! The client's own recovery is not used. It doesn't notice a server that stopped answering while
//! commands keep coming, and can't be stopped while it is stuck in a write. A connection that
//! fails is dropped with all that it holds, and another one is made.

use std::{sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::ClientLike,
    types::config::{Config, ConnectionConfig, PerformanceConfig},
};
use realtime_core::Pause;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    config::PoolConfig,
    error::{Fault, cause_of, no_credentials, says},
    health::Health,
    probe::Probe,
};
use crate::{Address, Speech, caught};

const CHECK_EVERY: Duration = Duration::from_secs(1);
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
const MISSES: u32 = 3;

/// For one step of connecting, and for all of them: sentinels are asked first.
const STEP_TIMEOUT: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often it is looked whether a cluster that is down is up again: calls wait for it.
const CHECK_DOWN_EVERY: Duration = Duration::from_millis(100);

/// How often it is looked whether a connection is there.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a connection is kept to a server that only reads: another one may be the master now.
const READ_ONLY: Duration = Duration::from_secs(2);

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

/// Watches one connection to a server.
pub(crate) struct Watchdog {
    pub(crate) number: usize,
    pub(crate) redis: Config,
    pub(crate) config: Arc<PoolConfig>,
    pub(crate) probe: Probe,
    pub(crate) health: Arc<Health>,
    pub(crate) link: watch::Sender<Link>,
    /// Whether the server serves nobody, since its cluster is down. All its connections share it.
    pub(crate) is_down: watch::Sender<bool>,
}

pub(crate) struct Connection {
    client: Client,
    driver: Driver,
}

impl Connection {
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

/// The task that drives a connection, which ends with it.
struct Driver(Option<AbortOnDropHandle<Result<(), Error>>>);

impl Driver {
    /// Waits until the task has ended by itself, which says why.
    async fn failed(&mut self) -> Error {
        let gone = || Error::new(ErrorKind::IO, "the connection ended");
        let Some(task) = &mut self.0 else {
            return gone();
        };
        let ended = task.await;
        self.0 = None;
        match ended {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => gone(),
        }
    }

    async fn end(mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
            // It was to end; that it did is all that matters.
            let _ended = task.await;
        }
    }
}

impl Watchdog {
    /// Runs until it is stopped; then the connection has ended.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut connection = None;
        stop.run_until_cancelled(async {
            let mut pause = Pause::default();
            // What a layer of `tracing` does in here is no end of it.
            while let Err(panicked) = caught(self.watch(&mut connection)).await {
                let panicked = Error::new(ErrorKind::Unknown, panicked);
                self.link.send_replace(Link::Down(panicked));
                end(connection.take()).await;
                sleep(pause.next()).await;
            }
        })
        .await;
        let stopped = Error::new(ErrorKind::Canceled, "the pool is closed");
        self.link.send_replace(Link::Down(stopped));
        end(connection).await;
    }

    async fn watch(&self, current: &mut Option<Connection>) {
        let (mut pause, mut was_ever_open) = (Pause::default(), false);
        loop {
            let (failure, was_open) = match self.open(current).await {
                Ok(connection) => {
                    was_ever_open = true;
                    let open = Link::Open(connection.client.clone());
                    self.link.send_replace(open);
                    (self.guard(connection, &mut pause).await, true)
                }
                // Once it was understood, it speaks as it should.
                Err(failure) if was_ever_open => (failure, false),
                Err(failure) => (explain(&self.redis, failure).await, false),
            };
            // What was lost a moment ago may be back in another; what can't be reached fails at
            // once.
            self.link.send_replace(if was_open {
                Link::Connecting
            } else {
                Link::Down(failure.clone())
            });
            self.health.ill(self.number, cause_of(&failure));
            end(current.take()).await;
            sleep(pause.next()).await;
        }
    }

    /// Makes a connection. One that is set up wrongly is none.
    async fn open<'c>(
        &self,
        current: &'c mut Option<Connection>,
    ) -> Result<&'c mut Connection, Error> {
        let connection = connect(&self.redis, &self.config, current).await?;
        let client = &connection.client;
        self.probe.is_of_this_kind(client, STEP_TIMEOUT).await?;
        match self.check(client).await {
            Err(error) if Fault::of(&error) == Fault::Config => Err(error),
            // What may heal is what the checks are for.
            _ => Ok(connection),
        }
    }

    /// Checks a connection once, and says so where the cluster is down.
    async fn check(&self, client: &Client) -> Result<(), Error> {
        let checked = self.probe.run(client, CHECK_TIMEOUT).await;
        match &checked {
            Ok(()) => set(&self.is_down, false),
            // What doesn't answer says nothing about it.
            Err(error) if is_silence(error) => {}
            Err(error) => set(&self.is_down, is_cluster_down(error)),
        }
        checked
    }

    async fn while_down(&self) {
        let mut is_down = self.is_down.subscribe();
        // It is ours, too, so it can't be gone.
        drop(is_down.wait_for(|is_down| *is_down).await);
        sleep(CHECK_DOWN_EVERY).await;
    }

    /// Checks a connection until it has failed.
    async fn guard(&self, connection: &mut Connection, pause: &mut Pause) -> Error {
        let (since, mut misses) = (Instant::now(), 0);
        let mut ticks = interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let Connection { client, driver } = connection;
        loop {
            let check = async {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = self.while_down() => {}
                }
                timeout(CHECK_TIMEOUT, self.check(client)).await
            };
            let answer = tokio::select! {
                failure = driver.failed() => return failure,
                answer = check => answer,
            };
            match answer {
                Ok(Ok(())) => {
                    misses = 0;
                    pause.reset();
                    self.health.well(self.number);
                }
                // It answers, and can't be used.
                Ok(Err(error)) if !is_silence(&error) => {
                    misses = 0;
                    self.health.ill(self.number, cause_of(&error));
                    if Fault::of(&error) == Fault::Config {
                        // Calls are to fail with the reason, until it is set up rightly.
                        return error;
                    }
                    if says(&error, "READONLY") && since.elapsed() > READ_ONLY {
                        return error;
                    }
                }
                Ok(Err(_)) | Err(_) => {
                    misses += 1;
                    if misses >= MISSES {
                        return Error::new(
                            ErrorKind::Timeout,
                            "no answer to three checks in a row",
                        );
                    }
                }
            }
        }
    }
}

/// Whether a server said that it serves nobody. That it has not one slot is something else.
pub(crate) fn is_cluster_down(error: &Error) -> bool {
    says(error, "CLUSTERDOWN") && error.details().contains("cluster is down")
}

pub(crate) fn set(state: &watch::Sender<bool>, to: bool) {
    state.send_if_modified(|state| std::mem::replace(state, to) != to);
}

fn is_silence(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Timeout | ErrorKind::IO | ErrorKind::Canceled
    )
}

/// What is wrong with a server with which no connection could be made, where its language is.
pub(crate) async fn explain(redis: &Config, failure: Error) -> Error {
    if !is_silence(&failure) && !is_of_tls(&failure) {
        return failure;
    }
    let Some(host) = redis.server.hosts().into_iter().next() else {
        return failure;
    };
    let server = Address::new(&*host.host, host.port);
    match Speech::of(&server, redis.uses_tls()).await {
        // It is certain.
        Some(speech @ Speech::Plain) => Error::new(ErrorKind::Config, speech.advice()),
        Some(speech) => Error::new(ErrorKind::IO, speech.advice()),
        None => failure,
    }
}

#[cfg(feature = "rustls")]
fn is_of_tls(error: &Error) -> bool {
    *error.kind() == ErrorKind::Tls && !error.details().contains("InvalidCertificate")
}

#[cfg(not(feature = "rustls"))]
fn is_of_tls(_: &Error) -> bool {
    false
}

/// Makes a connection, which is in `current` from its first moment on, so that it has an owner.
pub(crate) async fn connect<'c>(
    redis: &Config,
    config: &PoolConfig,
    current: &'c mut Option<Connection>,
) -> Result<&'c mut Connection, Error> {
    let login = config.deployment.login().await.map_err(no_credentials)?;
    let mut redis = Config {
        username: login.user,
        password: login.password,
        ..redis.clone()
    };
    let resolver = &config.resolver;
    resolver
        .resolve(&mut redis.server, &config.deployment)
        .await;
    let performance = PerformanceConfig {
        default_command_timeout: config.command_timeout,
        ..PerformanceConfig::default()
    };
    let connection = ConnectionConfig {
        connection_timeout: STEP_TIMEOUT,
        internal_command_timeout: STEP_TIMEOUT,
        max_command_attempts: 1,
        max_command_buffer_len: 0,
        ..ConnectionConfig::default()
    };
    let client = Client::new(redis, Some(performance), Some(connection), None);
    let driver = Driver(Some(AbortOnDropHandle::new(client.connect())));
    let Connection { client, driver } = current.insert(Connection { client, driver });
    let open = async {
        loop {
            if client.is_connected() {
                return Ok(());
            }
            tokio::select! {
                failure = driver.failed() => return Err(failure),
                // It may have connected just before we listened.
                _ = timeout(LOOK_EVERY, client.wait_for_connect()) => {}
            }
        }
    };
    let late = |_| Error::new(ErrorKind::Timeout, "no connection within 5 s");
    timeout(CONNECT_TIMEOUT, open).await.map_err(late)??;
    current
        .as_mut()
        .ok_or_else(|| Error::new(ErrorKind::Unknown, "the connection ended"))
}

/// Ends a connection: commands that wait on it fail.
pub(crate) async fn end(connection: Option<Connection>) {
    if let Some(Connection { driver, .. }) = connection {
        driver.end().await;
    }
}
