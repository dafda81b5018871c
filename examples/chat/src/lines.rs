//! What is said in a room: new lines, earlier ones, and who is writing one.

use std::time::{SystemTime, UNIX_EPOCH};

use realtime::{
    Gateway, Json, Router, Session,
    contract::{Failure, RouterExt},
    history::IdempotencyKey,
};

use crate::{
    contract::{
        Earlier, Kept, LINE, LINES, Line, NotAMember, NotRead, NotSaid, Page, REF, SAY, Said, TEXT,
        TYPING, Typing, WRITES, Writer,
    },
    people::Person,
    rooms::entered,
};

/// How many earlier lines are read at once.
const PAGE: usize = 50;

pub(crate) fn router() -> Router {
    Router::new()
        .handle(SAY, say)
        .handle(LINES, lines)
        .handle(TYPING, typing)
}

async fn say(
    gateway: Gateway,
    session: Session,
    Json(Said { room, text, r#ref }): Json<Said>,
) -> Result<(), Failure<NotSaid>> {
    let room = entered(&session, &room).ok_or(NotSaid::NotAMember)?;
    let (length, most) = (text.chars().count(), TEXT);
    if text.trim().is_empty() {
        return Err(NotSaid::Empty.into());
    }
    if length > most {
        return Err(NotSaid::TooLong { length, most }.into());
    }
    if r#ref.is_empty() || r#ref.len() > REF {
        return Err(NotSaid::BadRef.into());
    }
    let Person { person, name, .. } = Person::of(&session.identity());
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let at = since.unwrap_or_default().as_millis() as u64;
    let key: IdempotencyKey = format!("{person}:{}", r#ref).parse()?;
    let audience = gateway.room(room).idempotency_key(key);
    let line = Line {
        from: person,
        name,
        text,
        at,
        r#ref,
    };
    LINE.send(audience, &line).await?;
    Ok(())
}

/// The newest lines, or those before an offset.
async fn lines(
    gateway: Gateway,
    session: Session,
    Json(Earlier { room, before }): Json<Earlier>,
) -> Result<Json<Page>, Failure<NotRead>> {
    let room = entered(&session, &room).ok_or(NotRead::NotAMember)?;
    let read = gateway.room(room).history(before, PAGE).await;
    let history = read.map_err(|error| {
        tracing::debug!(%error, "the lines of a room can't be read");
        NotRead::Unavailable
    })?;
    let messages = history.messages.iter();
    let lines = messages.filter(|message| message.route() == LINE.route());
    let lines = lines.filter_map(|message| {
        let (offset, line) = (message.offset()?, message.decode().ok()?);
        Some(Kept { offset, line })
    });
    Ok(Json(Page {
        lines: lines.collect(),
        before: history.before,
    }))
}

/// For the others in the room, now or never.
async fn typing(
    gateway: Gateway,
    session: Session,
    Json(Typing { room }): Json<Typing>,
) -> Result<(), Failure<NotAMember>> {
    entered(&session, &room).ok_or(NotAMember::NotAMember)?;
    let Person { person, name, .. } = Person::of(&session.identity());
    let others = gateway.room(format!("typing:{room}")).except(&session);
    WRITES.send(others, &Writer { person, name }).await?;
    Ok(())
}
