//! What clients ask for by themselves: to join a room, to recover what they missed, to leave, to
//! publish, and who is there.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use futures::FutureExt;
use realtime_core::{
    BoxError, ClientError, IntoPayload, Message, Payload,
    extract::Reply,
    history::{Epoch, IdempotencyKey, Position},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    RoomTable, Shown,
    params::{is_member, unknown_room},
};
use crate::{
    JoinErrorKind,
    extract::MessageContext,
    handling::{
        client_error::{self, Mistake, Unavailable},
        router::Erased,
        wish::{self, Field, Whole},
    },
    session::{Attempt, Entrance, Publish, Request},
};

/// How many members are told of at once: where nothing else is asked for, and at the most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;

const ROOM: Field = Field::text("room");

/// What is told of data that can't be read, to the client and to who counts.
const BAD_DATA: &str = "bad_data";

/// The data of `join` and `leave`.
#[derive(Deserialize)]
struct Named {
    room: String,
}

/// The data of `recover`.
#[derive(Deserialize)]
struct Recover {
    room: String,
    epoch: String,
    offset: Whole,
}

const RECOVER: [Field; 3] = [ROOM, Field::text("epoch"), Field::whole("offset")];

/// The data of `publish`.
#[derive(Deserialize)]
struct Publication {
    room: String,
    data: Option<Box<RawValue>>,
    /// Of the data, where it stands for bytes.
    encoding: Option<String>,
    key: Option<String>,
}

const PUBLICATION: [Field; 3] = [
    ROOM,
    Field::text("encoding").or_none(),
    Field::text("key").or_none(),
];

/// The data of `members`.
#[derive(Deserialize)]
struct Who {
    room: String,
    after: Option<Whole>,
    limit: Option<Whole>,
}

const WHO: [Field; 3] = [
    ROOM,
    Field::whole("after").or_none(),
    Field::whole("limit").or_none(),
];

/// The answer of `members`.
#[derive(Serialize)]
struct Members<'a> {
    members: Vec<Shown<'a>>,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
}

pub(super) fn coming_and_going(table: &Arc<RoomTable>) -> [(&'static str, Erased<()>); 3] {
    [
        ("join", handler(table, join)),
        ("recover", handler(table, recover)),
        ("leave", handler(table, leave)),
    ]
}

pub(super) fn publishing(table: &Arc<RoomTable>) -> (&'static str, Erased<()>) {
    ("publish", handler(table, publish))
}

pub(super) fn asking_who(table: &Arc<RoomTable>) -> (&'static str, Erased<()>) {
    ("members", handler(table, members))
}

fn handler<F>(
    table: &Arc<RoomTable>,
    handle: impl Fn(Arc<RoomTable>, MessageContext) -> F + Send + Sync + 'static,
) -> Erased<()>
where
    F: Future<Output = Result<Reply, BoxError>> + Send + 'static,
{
    let table = Arc::clone(table);
    Arc::new(move |cx| handle(Arc::clone(&table), cx).boxed())
}

async fn join(table: Arc<RoomTable>, cx: MessageContext) -> Result<Reply, BoxError> {
    let mut attempt = Attempt::begin(cx.inbound.session.clone(), false);
    let asked = wish::decode(&cx.inbound.message, &[ROOM]);
    let Named { room } = attempt.step(BAD_DATA, asked)?;
    enter(&table, cx, attempt, room, None).await
}

async fn recover(table: Arc<RoomTable>, cx: MessageContext) -> Result<Reply, BoxError> {
    let mut attempt = Attempt::begin(cx.inbound.session.clone(), true);
    let asked = wish::decode(&cx.inbound.message, &RECOVER);
    let Recover {
        room,
        epoch,
        offset: Whole(offset),
    } = attempt.step(BAD_DATA, asked)?;
    let epoch = epoch.parse::<Epoch>().map_err(|wrong| bad_data(&wrong));
    let position = Position::new(attempt.step(BAD_DATA, epoch)?, offset);
    enter(&table, cx, attempt, room, Some(position)).await
}

/// Asks the rule, each time, and lets the session in.
async fn enter(
    table: &RoomTable,
    cx: MessageContext,
    mut attempt: Attempt,
    room: String,
    recover: Option<Position>,
) -> Result<Reply, BoxError> {
    let session = cx.inbound.session.clone();
    let room = table.meant(room, session.identity_key());
    let room = attempt.step(JoinErrorKind::InvalidRoom.name(), room)?;
    let rule = table.allow(&room).ok_or_else(no_such_room);
    let (allow, params) = attempt.step("unknown_room", rule)?;
    let asked_about = session.changes();
    let message = &cx.inbound.message;
    let request = message.message_id().map(|id| Request {
        id: id.clone(),
        route: message.route_text().clone(),
    });
    let allowed = allow(MessageContext {
        params: Some(params),
        ..cx
    })
    .await;
    let refused = match &allowed {
        Err(error) if !client_error::is_clients(error) => "failed",
        _ => "refused",
    };
    let _allowed = attempt.step(refused, allowed)?;
    let doors = session.doors().ok_or_else(gone);
    let doors = attempt.step(JoinErrorKind::SessionClosed.name(), doors)?;
    let entrance = Entrance {
        room,
        attempt,
        request,
        recover,
        asked_about: Some(asked_about),
    };
    doors.enter(session, entrance).await?;
    // It is answered already, before anything that is sent to the room.
    Ok(Reply::none())
}

async fn leave(table: Arc<RoomTable>, cx: MessageContext) -> Result<Reply, BoxError> {
    let Named { room } = wish::decode(&cx.inbound.message, &[ROOM])?;
    let session = &cx.inbound.session;
    session.leave(table.meant(room, session.identity_key())?);
    Ok(Reply::empty())
}

async fn publish(table: Arc<RoomTable>, cx: MessageContext) -> Result<Reply, BoxError> {
    let Publication {
        room,
        data,
        encoding,
        key,
    } = wish::decode(&cx.inbound.message, &PUBLICATION)?;
    let session = &cx.inbound.session;
    let room = table.meant(room, session.identity_key())?;
    let options = table.publish(&room).ok_or_else(no_such_room)?;
    if !is_member(session, &room) {
        // No mistake: it may have been removed, and not know yet.
        let error = ClientError::new("not_a_member", "join the room before you publish to it");
        return Err(error.into());
    }
    if key.is_some() && table.history(&room).is_none() {
        return Err(bad_data(&"the room keeps nothing, so it knows no keys").into());
    }
    // Each identity has keys of its own.
    let of = session.identity_key();
    let key = key.map(|key| format!("{}:{}{}:{key}", of.tenant().len(), of.tenant(), of.id()));
    let key = key.map(|key| key.parse::<IdempotencyKey>());
    let key = key.transpose().map_err(|wrong| bad_data(&wrong))?;
    let data = match encoding.as_deref() {
        None => data.map_or_else(|| Ok(Payload::empty()), IntoPayload::into_payload)?,
        Some("base64") => {
            let text: Option<String> = data.and_then(|data| serde_json::from_str(data.get()).ok());
            let bytes = text.and_then(|text| BASE64.decode(text).ok());
            let wrong =
                "expected `data` to be a string of standard base64, since `encoding` says so";
            Payload::binary(bytes.ok_or_else(|| bad_data(&wrong))?)
        }
        Some(_) => {
            let wrong = "expected `encoding` to be \"base64\", or none";
            return Err(bad_data(&wrong).into());
        }
    };
    let message = Message::new(options.publish.clone().unwrap_or_default(), data)?;
    let doors = session.doors().ok_or_else(gone)?;
    doors.publish(Publish { room, message, key }).await?;
    Ok(Reply::empty())
}

async fn members(table: Arc<RoomTable>, cx: MessageContext) -> Result<Reply, BoxError> {
    let Who { room, after, limit } = wish::decode(&cx.inbound.message, &WHO)?;
    let session = &cx.inbound.session;
    let room = table.meant(room, session.identity_key())?;
    table.announces(&room).ok_or_else(no_such_room)?;
    if !is_member(session, &room) {
        let error = ClientError::new("not_a_member", "join the room before you ask who is there");
        return Err(error.into());
    }
    let limit = limit.map_or(PAGE, |Whole(limit)| {
        usize::try_from(limit).unwrap_or(LARGEST_PAGE)
    });
    let limit = limit.clamp(1, LARGEST_PAGE);
    let after = after.map(|Whole(after)| after);
    let doors = session.doors().ok_or_else(gone)?;
    let page = doors.members(room, after, limit).await.map_err(|error| {
        Unavailable::new("who is in the room can't be found out now").because(error)
    })?;
    let shown = page
        .members
        .iter()
        .map(|present| Shown::new(&present.identity, present.version));
    let answer = Members {
        members: shown.collect(),
        count: page.count,
        after: page.after,
    };
    Ok(Reply::data(Payload::json(&answer)?))
}

fn bad_data(wrong: &impl std::fmt::Display) -> Mistake {
    Mistake(ClientError::new(BAD_DATA, wrong.to_string()))
}

/// Of a room that no client can ask that of, whoever it is.
fn no_such_room() -> Mistake {
    Mistake(unknown_room())
}

fn gone() -> Unavailable {
    Unavailable::new("the server is going away")
}
