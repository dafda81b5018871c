//! What a client can ask for.

use realtime::{CloseCode, Json, Router, Session, error::SendError, handler::CompleteRouter};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(crate) fn router() -> impl CompleteRouter {
    Router::new()
        .route("echo", async |Json(data): Json<Box<RawValue>>| Json(data))
        .route("close", close)
        .route("push", push)
        .route("note", note)
        .route("who", who)
}

#[derive(Debug, Deserialize)]
struct Close {
    code: CloseCode,
    reason: String,
}

/// Ends the session as the client wishes.
async fn close(session: Session, Json(wish): Json<Close>) {
    session.close(wish.code, wish.reason);
}

/// Sends so many messages, numbered, without being asked for each.
async fn push(session: Session, Json(count): Json<u32>) -> Result<(), SendError> {
    for number in 0..count {
        session.send("pushed", Json(&number))?;
    }
    Ok(())
}

/// Prints a number, for the runner: the client is about to leave.
async fn note(Json(number): Json<u32>) {
    println!("noted {number}.");
}

#[derive(Debug, Serialize)]
struct Who {
    address: Option<String>,
    identity: String,
}

/// Where the gateway thinks that the client is, and who.
async fn who(session: Session) -> Json<Who> {
    Json(Who {
        address: session
            .remote_addr()
            .map(|address| address.ip().to_string()),
        identity: session.identity_key().id().to_owned(),
    })
}
