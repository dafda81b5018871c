//! What Redis answers to what was published, and what follows from it.

use realtime_core::broker::{Published, Topic};

use super::Publisher;
use crate::{
    connection::{Connection, is_replica, reply},
    error::refused,
    health::Half,
    member::with_sources,
    resp::Frame,
    traffic::{Pending, Traffic, What},
};

impl Publisher {
    /// An answer has come, to what waits longest.
    pub(super) fn settle(&mut self, traffic: &mut Traffic, frame: Frame, connection: &Connection) {
        let Some(Pending { what, .. }) = traffic.pending.pop_front() else {
            traffic
                .ending
                .get_or_insert("Redis said something that was not asked for".to_owned());
            return;
        };
        let count = match frame {
            Frame::Number(count) => Ok(u64::try_from(count).unwrap_or(0)),
            Frame::Error(said) => Err(said),
            other => match what {
                What::Role if is_replica(&reply(other)) => {
                    let gone = "this Redis is a replica now; the master is looked for";
                    traffic.ending.get_or_insert(gone.to_owned());
                    return;
                }
                What::Role => {
                    self.accepted(traffic);
                    return;
                }
                _ => Err("something else than a number".to_owned()),
            },
        };
        if count.is_ok() {
            self.accepted(traffic);
        }
        if let Err(said) = &count
            && !matches!(what, What::Role)
        {
            self.locator.note(said, connection.address());
            let is_of_the_message = matches!(what, What::Message { .. }) && !is_of_the_server(said);
            if !is_of_the_message {
                let cause = with_sources(&refused("publishing", said));
                traffic.ending.get_or_insert(cause);
            }
        }
        match what {
            What::Role => {}
            What::Topic => {
                if let Err(said) = count
                    && let Some(joining) = self.joining.take()
                {
                    let _nobody_waits = joining.send(Err(refused("publishing", &said)));
                }
            }
            What::Question(waits) => {
                let count = count.map_err(|said| refused("publishing", &said));
                let _nobody_waits = waits.send(count);
            }
            What::Announcement {
                topic,
                subscription,
            } => {
                if let Ok(count) = count {
                    self.heard(&topic, subscription, count);
                }
                if let Some(joining) = self.joining.take() {
                    let accepted = count.map(drop);
                    let accepted = accepted.map_err(|said| refused("publishing", &said));
                    let _nobody_waits = joining.send(accepted);
                }
            }
            What::Message {
                topic,
                subscription,
                outcome,
                ..
            } => {
                let result = match count {
                    Ok(count) => {
                        self.heard(&topic, subscription, count);
                        match (count, &topic) {
                            (0, Topic::Node(_)) => {
                                self.outgoing.forget(&topic);
                                Ok(Published::NoRoute)
                            }
                            _ => Ok(Published::Routed),
                        }
                    }
                    Err(said) => Err(refused("publishing", &said)),
                };
                let _nobody_waits = outcome.send(result);
            }
        }
    }

    /// Redis has accepted what was sent first, so the connection is of use.
    fn accepted(&self, traffic: &mut Traffic) {
        if !traffic.is_accepted && traffic.ending.is_none() {
            traffic.is_accepted = true;
            self.member.health.up(Half::Publishing);
        }
    }

    /// What is for all is for this node, too, and so is what it says on its own topic. Where nobody
    /// was counted, this node's subscription is gone, or elsewhere than the master: with a replica,
    /// which passes on what the master gets, while the master tells everybody that nobody is there.
    fn heard(&self, topic: &Topic, subscription: u64, count: u64) {
        let is_for_this_node = match topic {
            Topic::All => true,
            Topic::Node(id) => *id == self.member.node.id,
            _ => false,
        };
        if is_for_this_node && subscription > 0 && count == 0 {
            self.member.set_deaf(subscription);
        }
    }
}

/// Whether an error is about the server, so that another one is to be found.
fn is_of_the_server(said: &str) -> bool {
    [
        "MOVED",
        "ASK",
        "CLUSTERDOWN",
        "READONLY",
        "LOADING",
        "MASTERDOWN",
    ]
    .iter()
    .any(|code| said.starts_with(code))
}
