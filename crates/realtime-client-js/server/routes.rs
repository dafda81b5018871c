//! Routes for whatever a server does to a client: answers, errors, silence, questions, messages to
//! rooms, and the end.

use std::time::Duration;

use axum::body::Bytes;
use realtime::{
    BoxError, ClientError, CloseCode, Gateway, Json, Router, Session, error::RequestError,
    revocation::Revocation,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::own_words::OWN;

pub(crate) fn router() -> Router {
    Router::new()
        .route("echo", echo)
        .route("bytes", bytes)
        .route("slow", slow)
        .route("fail", fail)
        .route("ask", ask)
        .route("say", say)
        .route("told", told)
        .route("tell", tell)
        .route("who_am_i", who_am_i)
        .route("close", close)
        .route("sign_out", sign_out)
}

async fn echo(Json(data): Json<Value>) -> Json<Value> {
    Json(data)
}

async fn bytes(data: Bytes) -> Bytes {
    data
}

async fn slow(Json(ms): Json<u64>) -> Json<u64> {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Json(ms)
}

#[derive(Deserialize)]
struct Failure {
    code: String,
    message: String,
    retry_after: f64,
}

async fn fail(Json(failure): Json<Failure>) -> Result<(), ClientError> {
    let wait = Duration::try_from_secs_f64(failure.retry_after).unwrap_or_default();
    let error = ClientError::new(failure.code, failure.message);
    Err(error.temporary().with_retry_after(wait))
}

#[derive(Deserialize)]
struct Question {
    route: String,
    data: Value,
}

/// What the client has answered to a question, or that it didn't, and why.
async fn ask(session: Session, Json(question): Json<Question>) -> Json<Value> {
    let within = Duration::from_secs(3);
    let answer = session.request(question.route, Json(question.data), within);
    Json(match answer.await {
        Ok(answer) => json!({ "answer": answer.decode::<Value>().unwrap_or_default() }),
        Err(error) => json!({ "kind": format!("{:?}", error.kind()), "code": code(&error) }),
    })
}

fn code(error: &RequestError) -> Option<&str> {
    ClientError::find_in(error).map(ClientError::code)
}

#[derive(Deserialize)]
struct Line {
    room: String,
    data: Value,
    /// Not to the one who says it: for that one it leaves a hole in the offsets.
    #[serde(default)]
    except_me: bool,
}

async fn say(gateway: Gateway, session: Session, Json(line): Json<Line>) -> Result<(), BoxError> {
    let mut room = gateway.room(line.room);
    if line.except_me {
        room = room.except(&session);
    }
    room.send("line", Json(line.data)).await?;
    Ok(())
}

/// A message to the one who asks for it, in no room.
async fn told(session: Session, Json(data): Json<Value>) -> Result<(), BoxError> {
    session.send("told", Json(data))?;
    Ok(())
}

#[derive(Deserialize)]
struct Notice {
    route: String,
    data: Value,
}

/// The same as if the gateway itself had said it.
async fn tell(session: Session, Json(notice): Json<Notice>) -> Result<(), BoxError> {
    session.send(format!("{OWN}{}", notice.route), Json(notice.data))?;
    Ok(())
}

#[derive(Serialize)]
struct Shown {
    name: String,
    session: String,
}

async fn who_am_i(session: Session) -> Json<Shown> {
    Json(Shown {
        name: session.identity_key().id().to_owned(),
        session: session.id().to_string(),
    })
}

#[derive(Deserialize)]
struct End {
    code: u16,
    #[serde(default)]
    reason: String,
}

async fn close(session: Session, Json(end): Json<End>) -> Result<(), BoxError> {
    session.close(CloseCode::new(end.code)?, end.reason);
    Ok(())
}

/// Ends the token that was shown.
async fn sign_out(gateway: Gateway, session: Session) -> Result<(), BoxError> {
    if let Some(token) = session.identity().token_id() {
        gateway.revoke(Revocation::token(token)).await?;
    }
    Ok(())
}
