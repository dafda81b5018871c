//! A Redis Cluster: who has which slot, and the way to it while slots move.
//!
//! The client's own way is not used. It ends the connection at the first redirect where commands
//! are sent once, and takes another command's answer for that of `ASKING`.
//!
//! One end can't be switched off: that of a connection on which a command was answered with
//! `CLUSTERDOWN`. So a server that says that its cluster is down is sent nothing until it is up
//! again, and what was under way when it went down is sent again, where that changes nothing.

mod survey;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fred::{
    error::{Error, ErrorKind},
    types::{
        Value,
        config::{Config, ServerConfig},
    },
    util::redis_keyslot,
};
use realtime_core::Pause;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};

use super::{
    address::server_at,
    command::Command,
    error::says,
    probe::Probe,
    server::{Server, Shared},
    watchdog,
};
use crate::{Address, Redirect, Slots, caught};

/// More masters than any cluster has.
const MOST_SERVERS: usize = 1_000;

/// How many redirects are followed without a pause, and the pause.
const AT_ONCE: u32 = 3;
const PAUSE: Duration = Duration::from_millis(10);

/// What is down where nobody says who has which slot.
const SLOTS: &str = "the slots of the cluster";

const NOBODY_HAS_IT: &str = "no server has the slot of this key";

pub(crate) struct Cluster {
    shared: Arc<Shared>,
    slots: watch::Sender<State>,
    servers: Mutex<HashMap<Address, Known>>,
    survey_now: Notify,
    /// Under which the surveys report.
    number: usize,
}

#[derive(Clone)]
enum State {
    Learning,
    Known(Arc<Slots>),
    Failed(Error),
}

struct Known {
    server: Arc<Server>,
    /// How many surveys in a row haven't named it, without a command to it.
    absent: u32,
}

impl Cluster {
    pub(crate) fn new(shared: &Arc<Shared>) -> Arc<Self> {
        let cluster = Arc::new(Self {
            shared: Arc::clone(shared),
            slots: watch::Sender::new(State::Learning),
            servers: Mutex::default(),
            survey_now: Notify::new(),
            number: shared.health.add(SLOTS.into()),
        });
        let surveying = {
            let (cluster, stop) = (Arc::clone(&cluster), shared.stop.clone());
            async move {
                stop.run_until_cancelled(async {
                    let mut pause = Pause::default();
                    // What a layer of `tracing` does in here is no end of it.
                    while caught(cluster.survey()).await.is_err() {
                        sleep(pause.next()).await;
                    }
                })
                .await;
                // What each server's connections need to end.
                cluster.servers().clear();
            }
        };
        shared.tasks.spawn_on(surveying, &shared.runtime);
        cluster
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<Address, Known>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a command to whoever has its keys, and follows where they have gone. What passes is
    /// waited for until the deadline.
    pub(crate) async fn run(
        &self,
        command: &Command<'_>,
        hash: u64,
        deadline: Instant,
    ) -> Result<Value, Error> {
        let slot = redis_keyslot(command.key().as_bytes());
        let (mut next, mut asking) = (None, false);
        for redirects in 0.. {
            let address = match next.take() {
                Some(address) => address,
                None => match self.owner(slot).await {
                    Err(error) if error.details() == NOBODY_HAS_IT => {
                        pause(deadline, error).await?;
                        continue;
                    }
                    owner => owner?,
                },
            };
            let server = self.server(&address)?;
            let place = server.place(hash).await;
            // Another one may have its slots by now.
            let place = place.inspect_err(|_| self.survey_now.notify_one())?;
            let answer = command.send(&place.client, deadline, asking).await;
            drop(place);
            let Err(error) = answer else {
                return answer;
            };
            if watchdog::is_cluster_down(&error) {
                server.set_down();
            }
            (next, asking) = match Redirect::of(error.details(), &address) {
                Some(Redirect::Moved(to)) => {
                    self.moved(slot, &to);
                    (Some(to), false)
                }
                Some(Redirect::Ask(to)) => (Some(to), true),
                Some(Redirect::Again) => {
                    // To a server without a name: another one may know more.
                    if says(&error, "MOVED") {
                        self.survey_now.notify_one();
                    }
                    (None, false)
                }
                None if passes(&error, command.is_repeatable()) => {
                    self.survey_now.notify_one();
                    (None, false)
                }
                None => return Err(error),
            };
            if next.is_none() || redirects >= AT_ONCE {
                pause(deadline, error).await?;
            }
        }
        Err(Error::new(ErrorKind::Cluster, "redirected without end"))
    }

    /// Who has a slot, once that is known.
    async fn owner(&self, slot: u16) -> Result<Address, Error> {
        let mut slots = self.slots.subscribe();
        let known = slots.wait_for(|state| !matches!(state, State::Learning));
        let gone = |_| Error::new(ErrorKind::Canceled, "the cluster is not used any more");
        match &*known.await.map_err(gone)? {
            State::Known(slots) => slots.owner(slot).cloned().ok_or_else(|| {
                self.survey_now.notify_one();
                Error::new(ErrorKind::Cluster, NOBODY_HAS_IT)
            }),
            State::Failed(error) => Err(error.clone()),
            State::Learning => Err(Error::new(
                ErrorKind::Cluster,
                "the cluster is not known yet",
            )),
        }
    }

    fn moved(&self, slot: u16, to: &Address) {
        self.slots.send_if_modified(|state| {
            if let State::Known(slots) = state {
                Arc::make_mut(slots).moved(slot, to);
            }
            false
        });
        self.survey_now.notify_one();
    }

    /// The connections to a server, which are opened where it is new.
    fn server(&self, address: &Address) -> Result<Arc<Server>, Error> {
        let mut servers = self.servers();
        let count = servers.len();
        match servers.entry(address.clone()) {
            Entry::Occupied(mut known) => {
                known.get_mut().absent = 0;
                Ok(Arc::clone(&known.get().server))
            }
            Entry::Vacant(_) if count >= MOST_SERVERS => Err(Error::new(
                ErrorKind::Cluster,
                "the cluster names too many servers",
            )),
            Entry::Vacant(_) if self.shared.stop.is_cancelled() => {
                Err(Error::new(ErrorKind::Canceled, "the pool is closed"))
            }
            Entry::Vacant(new) => {
                let name = match &*self.slots.borrow() {
                    State::Known(slots) => slots.name(address).map(str::to_owned),
                    _ => None,
                };
                let probe = Probe::of_a_master(&self.shared.work, self.slots_of(address));
                let redis = self.redis(address, name);
                let server = Arc::new(Server::new(&self.shared, &redis, &probe));
                new.insert(Known {
                    server: Arc::clone(&server),
                    absent: 0,
                });
                Ok(server)
            }
        }
    }

    /// Finds a slot of a server each time that it is asked.
    fn slots_of(&self, address: &Address) -> impl Fn() -> Option<u16> + Send + Sync + 'static {
        let (slots, address) = (self.slots.subscribe(), address.clone());
        move || match &*slots.borrow() {
            State::Known(slots) => slots.one_of(&address),
            _ => None,
        }
    }

    fn redis(&self, address: &Address, name: Option<String>) -> Config {
        #[cfg_attr(not(feature = "rustls"), allow(unused_mut))]
        let mut host = server_at(address);
        #[cfg(feature = "rustls")]
        {
            let given = self.shared.config.tls_server_name.clone();
            host.tls_server_name = given.or(name).map(Into::into);
        }
        #[cfg(not(feature = "rustls"))]
        drop(name);
        Config {
            server: ServerConfig::Centralized { server: host },
            ..self.shared.config.redis.clone()
        }
    }
}

/// Whether the same command may be answered in a moment. It may have been carried out where the
/// connection has ended; then it is only sent again where to do so changes nothing.
fn passes(error: &Error, is_repeatable: bool) -> bool {
    is_repeatable && matches!(error.kind(), ErrorKind::IO | ErrorKind::Canceled)
        || ["CLUSTERDOWN", "LOADING"]
            .iter()
            .any(|code| says(error, code))
}

/// Waits for a moment, and fails with the reason where there is no time for it.
async fn pause(deadline: Instant, error: Error) -> Result<(), Error> {
    if deadline.saturating_duration_since(Instant::now()) <= PAUSE {
        return Err(error);
    }
    sleep(PAUSE).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_waited_for() {
        let rows = [
            (ErrorKind::Cluster, "CLUSTERDOWN The cluster is down", true),
            (ErrorKind::Cluster, "CLUSTERDOWN Hash slot not served", true),
            (
                ErrorKind::Unknown,
                "LOADING Redis is loading the dataset",
                true,
            ),
            (ErrorKind::Canceled, "Canceled.", true),
            (ErrorKind::IO, "the connection ended", true),
            (ErrorKind::Timeout, "Request timed out.", false),
            (ErrorKind::Unknown, "OOM command not allowed", false),
            (ErrorKind::Auth, "NOAUTH Authentication required.", false),
        ];
        for (kind, text, waits) in rows {
            let may_be_done = matches!(kind, ErrorKind::Canceled | ErrorKind::IO);
            let error = Error::new(kind, text);
            assert_eq!(passes(&error, true), waits, "{text}");
            assert_eq!(passes(&error, false), waits && !may_be_done, "{text}");
        }
    }
}
