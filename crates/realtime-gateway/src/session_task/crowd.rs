//! No identity has more sessions than it may: what is done about it once a new one is there.
//!
//! Who is older is for each node to say of its own sessions: it numbers them. Those of other nodes are
//! older than a new one here, since presence had them when it came. Only where two come to two nodes
//! at the same time each of them sees the other one: then the clocks decide, so that not both go. What
//! can be refused before the upgrade was; this is for what could not be known then.

use std::time::{Duration, SystemTime};

use realtime_core::{
    CloseCode, SessionId,
    presence::{Presence, SessionInfo},
};

use crate::{
    ErrorStage, Session,
    config::ConnectionPolicy,
    control,
    node::Node,
    session::{EndCause, REPLACED},
};

/// By how much the clocks of two nodes may differ, and still be asked who came first.
const SAME_TIME: Duration = Duration::from_secs(2);

/// The number of a session among those of its node.
#[derive(Debug, Clone, Copy)]
struct Number(u64);

/// Numbers a session, before others can see it, where that is of interest.
pub(super) fn number(node: &Node, session: &Session) {
    if node.config.limits.max_connections_per_identity.is_some() {
        let number = Number(node.limits.number());
        let _none_before = session.extensions().insert(number);
    }
}

fn number_of(session: &Session) -> u64 {
    let number = session.extensions().get::<Number>();
    number.map_or(u64::MAX, |Number(number)| number)
}

/// A session of the identity, wherever it is.
enum One {
    Here(Session),
    There(SessionInfo),
}

impl One {
    /// Whether it came after this one, which is here.
    fn is_newer_than(&self, own: &Session) -> bool {
        match self {
            Self::Here(session) => number_of(session) > number_of(own),
            Self::There(info) => came_just_after(
                (info.connected_at, info.session_id),
                (own.connected_at(), own.id()),
            ),
        }
    }
}

/// Whether the other one, of another node, came at the same time, and is the newer one of the two. No
/// two are both newer than the other.
fn came_just_after(other: (SystemTime, SessionId), own: (SystemTime, SessionId)) -> bool {
    let later = other.0.duration_since(own.0);
    let apart = later.unwrap_or_else(|error| error.duration());
    apart <= SAME_TIME && other > own
}

/// The oldest first. Those of this node are in the order in which they came, also where its clock was
/// set back.
fn in_order(all: Vec<One>) -> impl Iterator<Item = One> {
    let (mut here, mut timed) = (Vec::new(), Vec::new());
    for one in all {
        match one {
            One::Here(session) => here.push(session),
            One::There(info) => timed.push((info.connected_at, One::There(info))),
        }
    }
    here.sort_by_key(number_of);
    let mut latest = SystemTime::UNIX_EPOCH;
    for session in here {
        latest = latest.max(session.connected_at());
        timed.push((latest, One::Here(session)));
    }
    // Those with the same time stay as they are.
    timed.sort_by_key(|(at, _)| *at);
    timed.into_iter().map(|(_, one)| one)
}

/// Ends what is too much, now that this session is there. Other nodes count where presence knows of
/// the session.
pub(super) async fn settle(node: &Node, session: &Session, is_registered: bool) {
    let limits = &node.config.limits;
    let Some(most) = limits.max_connections_per_identity else {
        return;
    };
    let others = others(node, session, is_registered).await;
    let Some(excess) = (others.len() + 1).checked_sub(most) else {
        return;
    };
    let (newer, older): (Vec<One>, Vec<One>) = others
        .into_iter()
        .partition(|one| one.is_newer_than(session));
    match limits.connection_policy {
        ConnectionPolicy::RefuseNewest => {
            if older.len() >= most {
                session.end(EndCause::TooManyConnections);
            }
        }
        ConnectionPolicy::CloseOldest => {
            for one in in_order(older).take(excess) {
                match one {
                    One::Here(session) => {
                        session.end(EndCause::Replaced);
                    }
                    One::There(info) => {
                        node.stats().connections_limited.add(1);
                        control::disconnect_there(node, &info, CloseCode::REPLACED, REPLACED).await;
                    }
                }
            }
            // Those have come meanwhile, and may see this one no more than it saw them.
            if newer.len() >= most {
                session.end(EndCause::Replaced);
            }
        }
    }
}

/// All but this one.
async fn others(node: &Node, own: &Session, is_registered: bool) -> Vec<One> {
    let identity = own.identity_key();
    let here = node.hub.of(identity).into_iter();
    let here = here.filter(|session| !session.is_closed() && session.id() != own.id());
    let mut all: Vec<One> = here.map(One::Here).collect();
    if !is_registered {
        return all;
    }
    match node.registry.presence.sessions(identity).await {
        Ok(infos) => {
            let there = infos.into_iter();
            let there = there.filter(|info| node.may_hold_sessions(&info.node()));
            all.extend(there.map(One::There));
        }
        Err(error) => node.report(ErrorStage::Presence, error, None),
    }
    all
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_decide_only_between_those_that_came_at_the_same_time() {
        let ms = Duration::from_millis;
        let now = SystemTime::now();
        let (own, other) = (SessionId::random(), SessionId::random());
        let is_newer = |at: SystemTime| came_just_after((at, other), (now, own));
        assert!(is_newer(now + ms(5)) && !is_newer(now - ms(5)));
        assert!(
            !is_newer(now + Duration::from_secs(3_600)),
            "its clock is ahead"
        );
        assert!(!is_newer(now - Duration::from_secs(3_600)));
        let the_other_way = came_just_after((now, own), (now, other));
        assert_ne!(is_newer(now), the_other_way);
    }
}
