//! One answer on its way: token by token into its room, at a rate, and then its end.

use std::time::Duration;

use realtime::{
    Gateway, Json,
    error::{DeliverError, DeliverErrorKind},
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    answers::{Answers, room},
    model,
};

/// How often a token is sent that the history can't keep, before the answer is given up.
const TRIES: u32 = 30;

/// A token, or with no text the end. `n` is its number in the answer, from 0.
#[derive(Serialize)]
struct Piece<'p> {
    n: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'p str,
}

pub(crate) async fn generate(
    gateway: &Gateway,
    answers: &Answers,
    id: Uuid,
    question: &str,
    every: Duration,
) {
    let mut beat = tokio::time::interval(every);
    let mut n = 0;
    for text in model::tokens(question) {
        beat.tick().await;
        // Noted first: who loads afresh never has less than what was sent before it joined.
        n = answers.push(id, &text) + 1;
        let token = Piece {
            n: n - 1,
            text: &text,
        };
        if let Err(error) = send(gateway, id, "token", &token).await {
            return tracing::warn!(%id, %error, "an answer was given up");
        }
    }
    answers.finish(id);
    if let Err(error) = send(gateway, id, "end", &Piece { n, text: "" }).await {
        tracing::warn!(%id, %error, "nobody was told of the end of an answer");
    }
}

/// Sends until the history has it. Its number is its key: tried twice, it is kept once.
async fn send(
    gateway: &Gateway,
    id: Uuid,
    route: &'static str,
    piece: &Piece<'_>,
) -> Result<(), DeliverError> {
    for tries in 1.. {
        let mut to = gateway.room(room(id));
        if let Ok(key) = piece.n.to_string().parse() {
            to = to.idempotency_key(key);
        }
        match to.send(route, Json(piece)).await {
            Err(error) if error.kind() != DeliverErrorKind::Closed && tries < TRIES => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            sent => return sent.map(drop),
        }
    }
    Ok(())
}
