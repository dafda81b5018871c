//! Which server has the channels now: asked again before each connection.

use std::sync::Arc;

use futures::FutureExt;
use realtime_core::broker::{BrokerError, BrokerErrorKind};
use realtime_redis::{Address, Deployment, Login, Redirect, Servers, Slots, first, reply};
use tokio::time::{Duration, timeout};

use crate::{
    RedisBrokerConfig,
    connection::{ANSWER, Connection, Opening, Place},
    error::{invalid, no_credentials, refused, too_slow, unavailable},
};

/// How long it may take to find out who has the channels.
const LOCATE: Duration = Duration::from_secs(4);
/// How many servers of a cluster are asked.
const MOST_ASKED: usize = 16;

/// Finds the server that has the channels of a namespace.
pub(crate) struct Locator {
    config: Arc<RedisBrokerConfig>,
    /// Servers of a cluster beside those that the URL names.
    masters: Vec<Address>,
    /// Where a server said that the channels have gone.
    moved: Option<Address>,
    /// Whom to begin with: one of them may know nothing new.
    turn: usize,
}

impl Locator {
    pub(crate) fn new(config: &Arc<RedisBrokerConfig>) -> Self {
        Self {
            config: Arc::clone(config),
            masters: Vec::new(),
            moved: None,
            turn: 0,
        }
    }

    /// Takes note of what a server said when it refused.
    pub(crate) fn note(&mut self, said: &str, from: &Address) {
        if let Some(Redirect::Moved(to)) = Redirect::of(said, from) {
            self.moved = Some(to);
        }
    }

    /// Connects to the server that has the channels, under this name.
    pub(crate) async fn connect(
        &mut self,
        name: &str,
        limit: usize,
    ) -> Result<Connection, BrokerError> {
        let place = timeout(LOCATE, self.locate()).await;
        let place = place.unwrap_or_else(|_| Err(too_slow("finding the master", LOCATE)))?;
        let deployment = &self.config.deployment;
        let login = deployment.login().await.map_err(no_credentials)?;
        let opening = Opening {
            deployment,
            place: &place,
            login: &login,
            name,
            limit,
        };
        let connection = Connection::open(opening).await?;
        if !deployment.is_cluster()
            && let Some(what) = reply::not_a_server(connection.mode())
        {
            return Err(invalid(what));
        }
        if connection.is_replica() {
            let advice = "it may become the master, or another one is";
            return Err(unavailable(format!(
                "the Redis at {} is a replica; {advice}",
                place.address
            )));
        }
        Ok(connection)
    }

    async fn locate(&mut self) -> Result<Place, BrokerError> {
        self.turn = self.turn.wrapping_add(1);
        let at = |address| Place {
            address,
            name: None,
        };
        match &self.config.deployment.servers {
            Servers::One(address) => Ok(at(address.clone())),
            Servers::Sentinel { sentinels, .. } => {
                let asked = in_turn(sentinels.clone(), self.turn);
                let config = &self.config;
                let mut answers = Vec::new();
                for sentinel in &asked {
                    answers.push(ask_sentinel(config, sentinel).boxed());
                }
                first(answers).await.unwrap_or_else(nobody).map(at)
            }
            Servers::Cluster(named) => {
                // Its name isn't known; where one is needed, the slots tell it.
                if let Some(moved) = self.moved.take()
                    && !self.config.deployment.uses_tls()
                {
                    return Ok(at(moved));
                }
                let mut known = named.clone();
                known.extend(self.masters.iter().filter(|m| !named.contains(m)).cloned());
                known.truncate(MOST_ASKED);
                let asked = in_turn(known, self.turn);
                let config = &self.config;
                let mut answers = Vec::new();
                for server in &asked {
                    answers.push(ask_cluster(config, server).boxed());
                }
                let slots = first(answers).await.unwrap_or_else(nobody)?;
                self.masters = slots.masters().take(MOST_ASKED).cloned().collect();
                let slot = self.config.slot();
                let owner = slots.owner(slot).cloned();
                let owner = owner.ok_or_else(|| {
                    unavailable(format!("no server of the cluster has slot {slot}"))
                })?;
                let name = slots.name(&owner).map(str::to_owned);
                Ok(Place {
                    address: owner,
                    name,
                })
            }
        }
    }
}

fn nobody<T>() -> Result<T, BrokerError> {
    Err(unavailable("no server is named"))
}

fn in_turn(mut servers: Vec<Address>, turn: usize) -> Vec<Address> {
    let first = turn % servers.len().max(1);
    servers.rotate_left(first);
    servers
}

/// A connection on which a server is only asked something.
const fn asking<'a>(deployment: &'a Deployment, place: &'a Place, login: &'a Login) -> Opening<'a> {
    Opening {
        deployment,
        place,
        login,
        name: "realtime:locate",
        limit: ANSWER,
    }
}

async fn ask_sentinel(
    config: &RedisBrokerConfig,
    sentinel: &Address,
) -> Result<Address, BrokerError> {
    let Deployment { servers, .. } = &config.deployment;
    let Servers::Sentinel {
        service,
        user,
        password,
        ..
    } = servers
    else {
        return nobody();
    };
    let place = Place {
        address: sentinel.clone(),
        name: None,
    };
    let login = Login::new(user.clone(), password.clone());
    let opening = asking(&config.deployment, &place, &login);
    let mut connection = Connection::open(opening).await?;
    let words: [&[u8]; 3] = [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service.as_bytes()];
    let answer = connection.ask("SENTINEL", &words).await?;
    match answer.as_array() {
        [host, port] => {
            let host = host.as_text();
            let port = port.as_text().and_then(|port| port.parse().ok());
            let (Some(host), Some(port)) = (host, port) else {
                return Err(unavailable("the sentinel named no address"));
            };
            Ok(Address::new(host, port))
        }
        _ => Err(BrokerError::new(
            BrokerErrorKind::Config,
            format!("the sentinel at {sentinel} knows no such master; check sentinelServiceName"),
        )),
    }
}

async fn ask_cluster(config: &RedisBrokerConfig, server: &Address) -> Result<Slots, BrokerError> {
    let deployment = &config.deployment;
    let place = Place {
        address: server.clone(),
        name: None,
    };
    let login = deployment.login().await.map_err(no_credentials)?;
    let opening = asking(deployment, &place, &login);
    let mut connection = Connection::open(opening).await?;
    let words: [&[u8]; 2] = [b"CLUSTER", b"SLOTS"];
    let answer = connection.ask("CLUSTER SLOTS", &words).await?;
    let slots = Slots::read(&answer, server);
    if slots.masters().next().is_none() {
        return Err(refused("CLUSTER SLOTS", "it knows no slots"));
    }
    Ok(slots)
}
