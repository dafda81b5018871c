//! Who has which slot, asked again and again: of a server that is known, or one that the
//! configuration names.

use std::{collections::HashSet, sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::ClientLike,
    types::{ClusterHash, CustomCommand, Value},
};
use futures::{FutureExt, future::BoxFuture};
use tokio::time::{sleep, timeout};

use super::{Cluster, State};
use crate::{
    Address, Slots, first,
    pool::{address, error::cause_of, server::options, watchdog},
    reply,
};

/// How often, where nobody asks for it.
const EVERY: Duration = Duration::from_secs(5);
/// The same while it isn't settled who belongs to the cluster.
const UNSETTLED: Duration = Duration::from_secs(1);
/// How soon again, whoever asks for it.
const AGAIN: Duration = Duration::from_millis(100);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(1);

/// How many servers are asked in one survey.
const MOST_ASKED: usize = 16;
/// After how many surveys in a row that don't name it, and without a command, a server is left.
const ABSENT: u32 = 3;

impl Cluster {
    /// Looks again and again at who has which slot.
    pub(super) async fn survey(&self) {
        for turn in 0.. {
            let mut next = EVERY;
            match self.ask_any(turn).await {
                Ok(slots) => {
                    if !self.keep(&slots) {
                        next = UNSETTLED;
                    }
                    self.slots.send_replace(State::Known(Arc::new(slots)));
                    self.open_masters();
                    self.shared.health.well(self.number);
                }
                Err(error) => {
                    self.shared.health.ill(self.number, cause_of(&error));
                    self.slots.send_if_modified(|state| {
                        // What was known may still be right.
                        let is_new = !matches!(state, State::Known(_));
                        if is_new {
                            *state = State::Failed(error);
                        }
                        is_new
                    });
                }
            }
            sleep(AGAIN).await;
            // Late is as good as asked for.
            let _asked = timeout(next, self.survey_now.notified()).await;
        }
    }

    /// Leaves the servers that no survey names any more. Returns whether all that are left are
    /// named.
    fn keep(&self, slots: &Slots) -> bool {
        let masters: HashSet<_> = slots.masters().collect();
        let mut servers = self.servers();
        servers.retain(|address, known| {
            known.absent = match masters.contains(address) {
                true => 0,
                false => known.absent + 1,
            };
            known.absent < ABSENT
        });
        servers.values().all(|known| known.absent == 0)
    }

    /// So that health is about all of them.
    fn open_masters(&self) {
        let masters: HashSet<Address> = match &*self.slots.borrow() {
            State::Known(slots) => slots.masters().cloned().collect(),
            _ => return,
        };
        for master in masters {
            // Only closing stands in the way.
            let _opened = self.server(&master);
        }
    }

    /// Asks servers until one knows. Each survey begins with another one, since one that was cut
    /// off from the cluster still knows what was.
    async fn ask_any(&self, turn: usize) -> Result<Slots, Error> {
        let asked = self.connected(turn).map(|servers| {
            let servers = servers.into_iter();
            let asked = servers.map(|(at, client)| async move { ask(&client, &at).await }.boxed());
            asked.collect()
        });
        if let Some(slots) = in_stages(asked).await {
            return Ok(slots);
        }
        let named = self.shared.config.redis.server.hosts();
        let named = named.iter().map(|at| Address::new(&*at.host, at.port));
        let asked = in_turn(named.collect(), turn).into_iter();
        let asked = asked.map(|at| self.ask_anew(at).boxed());
        let answer = first(asked.collect()).await;
        answer.unwrap_or_else(|| Err(Error::new(ErrorKind::Cluster, "no server is named")))
    }

    /// The servers to which a connection is open, those apart that say that the cluster is down: it
    /// may be down for them alone.
    fn connected(&self, turn: usize) -> [Vec<(Address, Client)>; 2] {
        let open: Vec<_> = {
            let servers = self.servers();
            let open = servers.iter().filter_map(|(address, known)| {
                let client = known.server.client()?;
                Some((known.server.is_down(), (address.clone(), client)))
            });
            open.collect()
        };
        let (down, up): (Vec<_>, Vec<_>) = open.into_iter().partition(|(is_down, _)| *is_down);
        let (up, mut down) = (in_turn(up, turn), in_turn(down, turn));
        down.truncate(MOST_ASKED - up.len());
        [up, down].map(|asked| asked.into_iter().map(|(_, server)| server).collect())
    }

    /// Asks a server over a connection of its own.
    async fn ask_anew(&self, address: Address) -> Result<Slots, Error> {
        let redis = self.redis(&address, None);
        let mut connection = None;
        let open = watchdog::connect(&redis, &self.shared.config, &mut connection).await;
        let is_known = matches!(&*self.slots.borrow(), State::Known(_));
        let answer = match open {
            Ok(connection) => ask(connection.client(), &address).await,
            Err(error) if is_known => Err(error),
            Err(error) => Err(watchdog::explain(&redis, error).await),
        };
        watchdog::end(connection).await;
        answer
    }
}

/// The first answer of these tries; of those of a later stage only where none of one before it has
/// one, however long they take.
async fn in_stages<T, E>(stages: [Vec<BoxFuture<'_, Result<T, E>>>; 2]) -> Option<T> {
    for tries in stages {
        if let Some(Ok(answer)) = first(tries).await {
            return Some(answer);
        }
    }
    None
}

/// Some of these, beginning with another one in each turn.
fn in_turn<T>(mut all: Vec<T>, turn: usize) -> Vec<T> {
    let begin = turn % all.len().max(1);
    all.rotate_left(begin);
    all.truncate(MOST_ASKED);
    all
}

/// What a server says. One that knows nothing, since it was started anew or isn't in the cluster
/// yet, says nothing about the others.
async fn ask(client: &Client, asked: &Address) -> Result<Slots, Error> {
    let command = CustomCommand::new_static("CLUSTER", ClusterHash::FirstKey, false);
    let client = client.with_options(&options(ANSWER));
    let answer: Value = client.custom(command, vec!["SLOTS"]).await?;
    let slots = Slots::read(&address::reply(answer), asked);
    if slots.masters().next().is_none() {
        let at = reply::shown(&asked.to_string());
        return Err(Error::new(
            ErrorKind::Cluster,
            format!("{at} knows no slots: it is in no cluster, or in one that has none yet"),
        ));
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use futures::future::ready;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_comes_last_is_asked_where_nobody_else_knows() {
        let slow = || sleep(ANSWER / 2).map(|()| Ok("slow")).boxed();
        let quick = || ready(Ok("quick")).boxed();
        let fails = || ready(Err(())).boxed();
        assert_eq!(in_stages([vec![slow()], vec![quick()]]).await, Some("slow"));
        assert_eq!(
            in_stages([vec![fails()], vec![quick()]]).await,
            Some("quick")
        );
        assert_eq!(in_stages([vec![], vec![quick()]]).await, Some("quick"));
        assert_eq!(in_stages([vec![fails()], vec![fails()]]).await, None);
    }

    #[test]
    fn each_turn_begins_with_another_one() {
        let begun: Vec<_> = (0..4)
            .map(|turn| in_turn(vec!['a', 'b', 'c'], turn))
            .collect();
        assert_eq!(begun[0], ['a', 'b', 'c']);
        assert_eq!(begun[1], ['b', 'c', 'a']);
        assert_eq!(begun[3], begun[0]);
        assert!(in_turn(Vec::<char>::new(), 7).is_empty());
        let many = in_turn((0..100).collect(), 90);
        assert_eq!((many.len(), many[0], many[15]), (MOST_ASKED, 90, 5));
    }
}
