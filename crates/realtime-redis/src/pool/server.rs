//! The connections to one server. What happens to one server stays with it: it has its own
//! connections and its own bound on commands.

use std::{sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    types::config::{Config, ServerConfig},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    config::PoolConfig,
    health::Health,
    probe::{Probe, Work},
    watchdog::{self, Link, Watchdog},
};
use crate::{Address, reply};

/// How many commands may be under way to one server. The client's own bound wedges it for good.
const COMMANDS: usize = 1_024;

/// What all servers of a pool have in common.
pub(crate) struct Shared {
    pub(crate) config: Arc<PoolConfig>,
    pub(crate) work: Arc<dyn Work>,
    pub(crate) health: Arc<Health>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) runtime: Handle,
}

/// A bounded number of connections to one server. They end when it is dropped.
pub(crate) struct Server {
    links: Vec<(watch::Receiver<Link>, Arc<Semaphore>)>,
    /// It serves nobody, since its cluster is down.
    is_down: watch::Sender<bool>,
    stop: CancellationToken,
    health: Arc<Health>,
    /// Under which its connections report.
    numbers: Vec<usize>,
}

/// A connection for one command, and its place.
pub(crate) struct Place {
    pub(crate) client: Client,
    _permit: OwnedSemaphorePermit,
}

impl Server {
    /// Opens the connections.
    pub(crate) fn new(shared: &Shared, redis: &Config, probe: &Probe) -> Self {
        let count = shared.config.pool_size;
        let stop = shared.stop.child_token();
        let (mut links, mut numbers) = (Vec::new(), Vec::new());
        let name = name(&redis.server);
        let is_down = watch::Sender::new(false);
        for _ in 0..count {
            let (link, state) = watch::channel(Link::Connecting);
            let number = shared.health.add(Arc::clone(&name));
            let watchdog = Watchdog {
                number,
                redis: redis.clone(),
                config: Arc::clone(&shared.config),
                probe: probe.clone(),
                health: Arc::clone(&shared.health),
                link,
                is_down: is_down.clone(),
            };
            let watching = watchdog.run(stop.clone());
            shared.tasks.spawn_on(watching, &shared.runtime);
            let places = Semaphore::new(COMMANDS.div_ceil(count));
            links.push((state, Arc::new(places)));
            numbers.push(number);
        }
        Self {
            links,
            is_down,
            stop,
            health: Arc::clone(&shared.health),
            numbers,
        }
    }

    /// A place for one command. Commands with the same hash stay in order, since they go through
    /// the same connection; only while that can't be made, they go through another one.
    ///
    /// While the cluster is down there is none: what is sent then ends the connection.
    pub(crate) async fn place(&self, hash: u64) -> Result<Place, Error> {
        let mut is_down = self.is_down.subscribe();
        loop {
            let place = self.place_now(hash).await?;
            if !*is_down.borrow_and_update() {
                return Ok(place);
            }
            drop(place);
            // It is ours, so it can't be gone.
            drop(is_down.wait_for(|is_down| !*is_down).await);
        }
    }

    /// It was said that the cluster is down.
    pub(crate) fn set_down(&self) {
        watchdog::set(&self.is_down, true);
    }

    async fn place_now(&self, hash: u64) -> Result<Place, Error> {
        let gone = || Error::new(ErrorKind::Canceled, "the server is not used any more");
        let own = usize::try_from(hash % self.links.len().max(1) as u64).unwrap_or(0);
        let (link, permits) = self.links.get(own).ok_or_else(gone)?;
        let mut link = link.clone();
        let ready = link.wait_for(|link| !matches!(link, Link::Connecting));
        let state = ready.await.map_err(|_| gone())?.clone();
        let (client, permits) = match state {
            Link::Open(client) => (client, permits),
            Link::Down(error) => self.open().ok_or(error)?,
            Link::Connecting => return Err(gone()),
        };
        let permit = Arc::clone(permits).acquire_owned().await;
        Ok(Place {
            client,
            _permit: permit.map_err(|_| gone())?,
        })
    }

    /// Whether it is known that its cluster is down.
    pub(crate) fn is_down(&self) -> bool {
        *self.is_down.borrow()
    }

    fn open(&self) -> Option<(Client, &Arc<Semaphore>)> {
        self.links
            .iter()
            .find_map(|(link, permits)| match &*link.borrow() {
                Link::Open(client) => Some((client.clone(), permits)),
                _ => None,
            })
    }

    /// Any connection that is open.
    pub(crate) fn client(&self) -> Option<Client> {
        self.open().map(|(client, _)| client)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        for number in &self.numbers {
            self.health.remove(*number);
        }
    }
}

/// What it is called where it is told that it is down.
fn name(server: &ServerConfig) -> Arc<str> {
    let name = match server {
        ServerConfig::Sentinel { service_name, .. } => format!("the master {service_name}"),
        servers => {
            let servers = servers.hosts();
            let at = servers.iter().map(|at| Address::new(&*at.host, at.port));
            let at: Vec<_> = at.map(|at| at.to_string()).collect();
            at.join(", ")
        }
    };
    reply::shown(&name).into()
}

/// One attempt, at once or never.
pub(crate) fn options(timeout: Duration) -> fred::types::config::Options {
    fred::types::config::Options {
        max_attempts: Some(1),
        // Nothing would be no limit.
        timeout: Some(timeout.max(Duration::from_millis(1))),
        fail_fast: true,
        ..Default::default()
    }
}
