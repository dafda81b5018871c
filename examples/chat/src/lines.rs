//! What is said in a room: new lines, earlier ones, and who is writing one.

use std::time::{SystemTime, UNIX_EPOCH};

use realtime::{
    ClientError, Gateway, Json, Router, Session,
    error::DeliverError,
    history::{IdempotencyKey, InvalidIdempotencyKey},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{people::Person, rooms::entered};

/// The longest line, in characters.
const TEXT: usize = 2000;
/// How many earlier lines are read at once.
const PAGE: usize = 50;

pub(crate) fn router() -> Router {
    Router::new()
        .route("say", say)
        .route("lines", lines)
        .route("typing", typing)
}

/// A line that somebody says. `ref` is the page's own name for it: sent twice, because the answer
/// got lost, it is said once.
#[derive(Deserialize)]
struct Said {
    room: String,
    text: String,
    r#ref: String,
}

/// A line as everybody gets it. Who said it is the server's word, not the page's.
#[derive(Serialize)]
struct Line<'l> {
    from: &'l str,
    name: &'l str,
    text: &'l str,
    /// Milliseconds since 1970.
    at: u64,
    r#ref: &'l str,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the request was not a proper one")]
    Bad(#[from] ClientError),
    #[error("the line has no proper name")]
    Ref(#[from] InvalidIdempotencyKey),
    #[error("the others could not be notified")]
    Deliver(#[from] DeliverError),
}

async fn say(
    gateway: Gateway,
    session: Session,
    Json(said): Json<Said>,
) -> Result<Json<Value>, Failed> {
    let room = entered(&session, &said.room)?;
    let length = said.text.chars().count();
    if said.text.trim().is_empty() || length > TEXT {
        let message = format!("A line has 1 to {TEXT} characters; this one has {length}.");
        return Err(ClientError::new("bad_request", message).into());
    }
    if said.r#ref.is_empty() || said.r#ref.len() > 64 {
        let message = "The ref of a line has 1 to 64 bytes.";
        return Err(ClientError::new("bad_request", message).into());
    }
    let Person { person, name, .. } = Person::of(&session.identity());
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let line = Line {
        from: &person,
        name: &name,
        text: &said.text,
        at: since.unwrap_or_default().as_millis() as u64,
        r#ref: &said.r#ref,
    };
    let key: IdempotencyKey = format!("{person}:{}", said.r#ref).parse()?;
    let audience = gateway.room(room).idempotency_key(key);
    audience.send("line", Json(&line)).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct Earlier {
    room: String,
    before: Option<u64>,
}

#[derive(Serialize)]
struct Page {
    lines: Vec<Kept>,
    /// What to ask for next; nothing where there is nothing earlier.
    before: Option<u64>,
}

/// A line with its place in the room.
#[derive(Serialize)]
struct Kept {
    offset: Option<u64>,
    #[serde(flatten)]
    line: Value,
}

/// The newest lines, or those before an offset.
async fn lines(
    gateway: Gateway,
    session: Session,
    Json(Earlier { room, before }): Json<Earlier>,
) -> Result<Json<Page>, Failed> {
    let room = entered(&session, &room)?;
    let read = gateway.room(room).history(before, PAGE).await;
    let history = read.map_err(|error| {
        tracing::debug!(%error, "the lines of a room can't be read");
        ClientError::new("unavailable", "The lines can't be read now.").temporary()
    })?;
    let lines = history
        .messages
        .iter()
        .filter(|message| message.route() == "line");
    let lines = lines.filter_map(|message| {
        let (offset, line) = (message.offset(), message.decode().ok()?);
        Some(Kept { offset, line })
    });
    Ok(Json(Page {
        lines: lines.collect(),
        before: history.before,
    }))
}

#[derive(Deserialize)]
struct Typing {
    room: String,
}

/// For the others in the room, now or never.
async fn typing(
    gateway: Gateway,
    session: Session,
    Json(Typing { room }): Json<Typing>,
) -> Result<(), Failed> {
    entered(&session, &room)?;
    let Person { person, name, .. } = Person::of(&session.identity());
    let writes = json!({ "person": person, "name": name });
    let others = gateway.room(format!("typing:{room}")).except(&session);
    others.send("typing", Json(&writes)).await?;
    Ok(())
}
