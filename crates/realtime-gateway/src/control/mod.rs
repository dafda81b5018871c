//! What is done to sessions of this node because somebody says so, here or on another node.

mod clients;
mod elsewhere;
mod gather;
mod remote;

use std::sync::Arc;

use futures::{StreamExt, stream};
use realtime_core::{
    CloseCode, IdentityUpdate, RoomName,
    broker::{
        control::Operation,
        envelope::{Except, Target},
    },
    revocation::Revocation,
};

use crate::{
    Session,
    identities::{self, revocation},
    node::Node,
    session::EndCause,
};

pub(crate) use clients::{Heard, ask};
pub(crate) use elsewhere::disconnect_there;
pub(crate) use remote::{LONGEST, not_understood, receive, take_receipt, time_to_return};

/// How many sessions join a room at the same time.
const JOINING: usize = 32;
/// After how many sessions it lets other tasks have a turn.
const TURN: usize = 128;

/// Something that is done to sessions, and over with that.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Disconnect(CloseCode, String),
    Join(RoomName),
    Leave(RoomName),
    Revoke(Revocation),
    Update(IdentityUpdate),
}

impl Deed {
    /// As other nodes are asked for it.
    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Disconnect(code, reason) => Operation::Disconnect {
                code: *code,
                reason: reason.as_str().into(),
            },
            Self::Join(room) => Operation::Join(room.clone()),
            Self::Leave(room) => Operation::Leave(room.clone()),
            Self::Revoke(revocation) => Operation::Revoke(revocation.clone()),
            Self::Update(update) => Operation::Update(update.clone()),
        }
    }
}

/// How many sessions were meant, and with how many of them it failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) sessions: u64,
    pub(crate) failed: u64,
}

/// Does it to the sessions of this node.
pub(crate) async fn perform(node: &Arc<Node>, to: &Target, except: &[Except], deed: &Deed) -> Done {
    let sessions = match deed {
        // It finds them itself.
        Deed::Revoke(_) => Vec::new(),
        _ => node.hub.select(to, except).await,
    };
    match deed {
        Deed::Disconnect(code, reason) => {
            let close = |session: &Session| session.end(EndCause::Closed(*code, reason.clone()));
            let ended = each(&sessions, close).await;
            // The others have ended by themselves meanwhile.
            Done {
                sessions: ended,
                failed: 0,
            }
        }
        Deed::Join(room) => join(sessions, room).await,
        Deed::Revoke(revocation) => revoke(node, revocation).await,
        Deed::Update(update) => self::update(node, sessions, update).await,
        Deed::Leave(room) => {
            let is_asked_for = node.room_table.is_asked_for(room);
            let leave = |session: &Session| {
                let was_member = session.leave(room.clone());
                if was_member && is_asked_for {
                    identities::tell_removed(node, session, room);
                }
                was_member
            };
            each(&sessions, leave).await;
            Done {
                sessions: sessions.len() as u64,
                failed: 0,
            }
        }
    }
}

/// Counts those for which it is so.
async fn each(sessions: &[Session], deed: impl Fn(&Session) -> bool) -> u64 {
    let mut count = 0;
    for (turn, sessions) in sessions.chunks(TURN).enumerate() {
        if turn > 0 {
            tokio::task::yield_now().await;
        }
        count += sessions.iter().filter(|session| deed(session)).count() as u64;
    }
    count
}

/// Whom it concerns it says itself.
async fn revoke(node: &Node, revocation: &Revocation) -> Done {
    let revocations = std::slice::from_ref(revocation);
    revocation::hear(node, revocations);
    Done {
        sessions: revocation::close(node, revocations).await,
        failed: 0,
    }
}

async fn update(node: &Arc<Node>, sessions: Vec<Session>, update: &IdentityUpdate) -> Done {
    let (sessions, failed) = identities::update(node, sessions, update).await;
    Done { sessions, failed }
}

async fn join(sessions: Vec<Session>, room: &RoomName) -> Done {
    let count = sessions.len() as u64;
    let joins = sessions.into_iter().map(|session| {
        let room = room.clone();
        async move { session.join(room).await.is_err() }
    });
    let mut joins = stream::iter(joins).buffer_unordered(JOINING);
    let mut failed = 0;
    while let Some(has_failed) = joins.next().await {
        failed += u64::from(has_failed);
    }
    Done {
        sessions: count,
        failed,
    }
}
