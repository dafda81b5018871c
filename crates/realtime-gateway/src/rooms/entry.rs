//! A session comes into a room.
//!
//! The order matters: what other nodes send is subscribed to, then it is known where the history is,
//! then the session becomes a member, at one place in the log and one offset of the history. Its
//! client's answer stands before all that is sent to the room from there on.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use realtime_core::{
    Message, RoomName,
    broker::envelope::Except,
    codec::{Notice, Recovered},
    history::{History, HistoryError, Position, Retention, Since},
};
use tokio::sync::SemaphorePermit;

use super::{presence, stored};
use crate::{
    JoinError, JoinErrorKind, Session,
    handling::RoomTable,
    hub::{Entering, JoinRefused, RoomHas, RoomLimits, Stream},
    node::Node,
    outbound::Opening,
    room_topics::RoomTopic,
    session::{Entrance, Request, room_closed},
};

/// How often it is begun anew, where the history has begun anew meanwhile, or more has come than is
/// kept.
const ATTEMPTS: usize = 3;
/// How long a session waits for the room's topic, and for its turn to ask the history.
const TURN: Duration = Duration::from_secs(10);

pub(super) async fn enter(
    node: &Node,
    session: &Session,
    entrance: Entrance,
) -> Result<(), JoinError> {
    let entered = come_in(node, session, &entrance).await;
    // From here on it is a member, whether anybody waits for presence or not.
    entrance.attempt.ends(&entered);
    let has = entered?;
    ask_anew(node, session, entrance.asked_about);
    if has.presence {
        presence::is_told(node, &entrance.room, session.identity_key()).await;
    }
    Ok(())
}

/// Returns what the room has.
async fn come_in(
    node: &Node,
    session: &Session,
    entrance: &Entrance,
) -> Result<RoomHas, JoinError> {
    if session.is_closed() {
        return Err(room_closed());
    }
    if entrance.room.is_inbox() && entrance.room != RoomName::inbox(session.identity_key()) {
        let context = "expected the session's own inbox; an inbox is for its identity alone";
        return Err(JoinError::new(JoinErrorKind::InvalidRoom, context));
    }
    let (rooms, topic) = (node.hub.rooms(), RoomTopic::of(&entrance.room));
    // From before it is joined until the room is there, so that it isn't left in between.
    let _wanted = rooms.want(topic);
    if node.is_started() {
        let not_subscribed = || {
            let context = "what other nodes send to the room could not be subscribed to; try again";
            JoinError::new(JoinErrorKind::Broker, context)
        };
        let joined = tokio::time::timeout(TURN, node.room_topics.wait_for(topic)).await;
        let joined = joined.map_err(|late| not_subscribed().with_source(late))?;
        joined.map_err(|error| not_subscribed().with_source(error))?;
    }
    let limits = RoomLimits {
        of_session: node.config.max_rooms_per_session,
        of_node: node.config.max_rooms,
    };
    let held = session.rooms();
    if held.len() >= limits.of_session && !held.contains(&entrance.room) {
        return Err(told(JoinRefused::SessionFull, limits));
    }
    let (retention, presence) = node.room_table.has(&entrance.room);
    let has = RoomHas {
        history: retention.is_some(),
        presence,
    };
    let entering = rooms.enter(session, &entrance.room, has, limits);
    let mut entering = entering.map_err(|refused| told(refused, limits))?;
    let stream = entering.stream().cloned();
    let joined = match (retention, stream) {
        (Some(retention), Some(stream)) => {
            join_with_history(node, &mut entering, session, &stream, retention, entrance).await?
        }
        _ => {
            let answer = answer(
                node,
                (session, &entrance.room),
                entrance.request.as_ref(),
                None,
                lost(entrance),
            )?;
            entering.join(Opening {
                answer,
                ..Opening::default()
            })
        }
    };
    joined.map_err(|refused| told(refused, limits))?;
    drop(entering);
    if entrance.recover.is_some() && !has.history {
        node.metrics().recovered("lost");
    }
    Ok(has)
}

/// The rule has let in who its member was before: it is asked once more, whether anybody waits for
/// this join or not.
fn ask_anew(node: &Node, session: &Session, asked_about: Option<u64>) {
    let gatekeeper = node.env.gatekeeper.get().and_then(Weak::upgrade);
    if asked_about.is_some_and(|about| session.changes() != about)
        && let Some(gatekeeper) = gatekeeper
    {
        let asked = gatekeeper.ask_anew(session.clone());
        let _not_waited_for = node.background.spawn(asked);
    }
}

/// What is answered where there is nothing to recover from.
fn lost(entrance: &Entrance) -> Option<Recovered<'static>> {
    entrance.recover.as_ref().map(|_| Recovered::Lost)
}

async fn join_with_history(
    node: &Node,
    entering: &mut Entering<'_>,
    session: &Session,
    stream: &Arc<Stream>,
    retention: Retention,
    entrance: &Entrance,
) -> Result<Result<bool, JoinRefused>, JoinError> {
    let room = &entrance.room;
    // Before anything is kept for it.
    let _turn = match entrance.recover.is_some() || stream.position().is_none() {
        true => Some(turn(node).await?),
        false => None,
    };
    for _ in 0..ATTEMPTS {
        let position = match stream.position() {
            Some(position) => position,
            None => {
                let asked = node.history.position(room, retention).await;
                stream.begin(asked.map_err(not_asked)?);
                continue;
            }
        };
        let joining = stream.joining();
        // A member may not have got yet what is being handed over.
        let is_member = session.rooms().contains(room);
        let now = || match is_member {
            true => stream.settled(),
            false => stream.entrance(),
        };
        let mut found = None;
        let (at, missed) = match &entrance.recover {
            None => (now().unwrap_or(position), None),
            Some(from) => match recover(node, session, room, from, retention).await? {
                Recovery::Complete(at, missed) => (at, Some(missed)),
                Recovery::Lost(end) => {
                    found = end;
                    (now().unwrap_or(position), None)
                }
            },
        };
        // The history may have begun anew without a word to this node.
        let found = found.as_ref().unwrap_or(&at);
        if let Some(known) = stream.position()
            && known.epoch != found.epoch
        {
            stored::fill(node, stream, &known).await;
            continue;
        }
        let recovered = match (&entrance.recover, &missed) {
            (Some(_), Some(missed)) => Some(Recovered::Complete(missed)),
            (Some(_), None) => Some(Recovered::Lost),
            (None, _) => None,
        };
        let answer = answer(
            node,
            (session, room),
            entrance.request.as_ref(),
            Some(&at),
            recovered,
        )?;
        let is_excepted = |except: &[Except]| is_excepted(session, except);
        let dialect = session.outbox().dialect();
        let joined = joining.join(&at, dialect, is_excepted, |frames, after| {
            // Behind what it is told that it has missed it is a member anew. For others it has
            // never gone.
            let stays = entrance.recover.as_ref().and_then(|_| {
                let stays = node.hub.rooms().stays(session, room);
                node.hub.rooms().leave(session, room);
                stays
            });
            let joined = entering.join(Opening {
                answer,
                frames,
                after,
            });
            drop(stays);
            joined
        });
        if let Some(joined) = joined {
            if entrance.recover.is_some() && joined.is_ok() {
                let outcome = if missed.is_some() { "complete" } else { "lost" };
                node.metrics().recovered(outcome);
            }
            return Ok(joined);
        }
    }
    let context = "the history of the room has changed all the time; try again";
    Err(JoinError::new(JoinErrorKind::History, context))
}

/// Waits until the history may be asked, until what is returned is dropped.
async fn turn(node: &Node) -> Result<SemaphorePermit<'_>, JoinError> {
    let turn = tokio::time::timeout(TURN, node.asking.acquire()).await;
    turn.ok().and_then(Result::ok).ok_or_else(|| {
        let context = "too many sessions ask for the histories of rooms at once; try again";
        JoinError::new(JoinErrorKind::History, context)
    })
}

/// What a client has missed.
enum Recovery {
    /// All of it, and where the history is behind it.
    Complete(Position, Vec<Message>),
    /// It can't be had; the history ends there, where there is one.
    Lost(Option<Position>),
}

async fn recover(
    node: &Node,
    session: &Session,
    room: &RoomName,
    from: &Position,
    retention: Retention,
) -> Result<Recovery, JoinError> {
    let since = node
        .history
        .since(room, from, retention.max_messages())
        .await;
    let (entries, position) = match since.map_err(not_asked)? {
        Since::Complete {
            entries, position, ..
        } => (entries, position),
        Since::Lost { position, .. } => return Ok(Recovery::Lost(position)),
        _ => return Ok(Recovery::Lost(None)),
    };
    let mut missed = Vec::with_capacity(entries.len());
    for entry in entries {
        match stored::read(node, room, &entry) {
            Ok((message, except)) if !is_excepted(session, &except) => missed.push(message),
            Ok(_) => {}
            Err(error) => {
                node.report(crate::ErrorStage::History, error, None);
                return Ok(Recovery::Lost(Some(position)));
            }
        }
    }
    Ok(Recovery::Complete(position, missed))
}

fn is_excepted(session: &Session, except: &[Except]) -> bool {
    crate::hub::is_excepted(session, except)
}

fn answer(
    node: &Node,
    (session, room): (&Session, &RoomName),
    request: Option<&Request>,
    position: Option<&Position>,
    recovery: Option<Recovered<'_>>,
) -> Result<Option<Bytes>, JoinError> {
    let encoder = session.encoder();
    let joined = |recovery| {
        request.map(|Request { id, route }| {
            encoder.notice(&Notice::Joined {
                id,
                route,
                position,
                recovery,
            })
        })
    };
    let encoded = match joined(recovery) {
        // A message that can't be said spoils no answer: then what was missed can't be had.
        Some(Err(error)) if matches!(recovery, Some(Recovered::Complete(_))) => {
            node.report(crate::ErrorStage::History, error, Some(session.clone()));
            joined(Some(Recovered::Lost)).unwrap_or(Ok(None))
        }
        Some(encoded) => encoded,
        // Who is a member already isn't told so again.
        None if session.rooms().contains(room) => Ok(None),
        None => encoder.entered(&RoomTable::shown(room), position),
    };
    let missed = match recovery {
        Some(Recovered::Complete(missed)) => missed,
        _ => &[],
    };
    let (dialects, dialect) = (&node.env.dialects, session.outbox().dialect());
    let routes = missed.iter().map(Message::route);
    // That of the wish itself, which the answer has, too.
    let routes = routes.chain(request.map(|request| &*request.route));
    let sent = |frame| dialects.sent_together(dialect, frame, routes);
    let encoded = encoded.map(|frame| frame.map(sent));
    encoded.map_err(|error| {
        let context = "the answer to a wish to join a room could not be encoded";
        JoinError::new(JoinErrorKind::Encode, context).with_source(error)
    })
}

fn not_asked(error: HistoryError) -> JoinError {
    let context = "the history of the room could not be asked; try again";
    JoinError::new(JoinErrorKind::History, context).with_source(error)
}

fn told(refused: JoinRefused, limits: RoomLimits) -> JoinError {
    match refused {
        JoinRefused::Closed => room_closed(),
        JoinRefused::SessionFull => {
            let context = format!(
                "expected a session to be in at most {} rooms; it is in as many: leave one, or raise \
                 `max_rooms_per_session`",
                limits.of_session
            );
            JoinError::new(JoinErrorKind::TooManyRooms, context)
        }
        JoinRefused::NodeFull => {
            let context = format!(
                "expected at most {} rooms on this node; there are as many: raise `max_rooms`",
                limits.of_node
            );
            JoinError::new(JoinErrorKind::NodeFull, context)
        }
    }
}
