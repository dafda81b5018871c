//! The route on which clients show fresh tokens.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures::FutureExt;
use realtime_core::{BoxError, ClientError, Message, Payload, auth::Token, extract::Reply};
use serde::{Deserialize, Serialize};

use super::{
    client_error::{Mistake, Unavailable},
    router::Erased,
    wish::{self, Field},
};
use crate::extract::MessageContext;

pub(crate) const ROUTE: &str = "authenticate";

/// The data of `authenticate`.
#[derive(Deserialize)]
struct Shown {
    token: String,
}

/// The answer: for how long it holds, in whole seconds, where it ends.
#[derive(Serialize)]
struct Holds {
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
}

/// The text that a client shows as its token.
pub(crate) fn shown(message: &Message) -> Result<String, BoxError> {
    let Shown { token } = wish::decode(message, &[Field::text("token")])?;
    Ok(token)
}

/// What a client is answered of which the token is right, and holds for so long where it ends.
pub(crate) fn answer(holds: Option<Duration>) -> Result<Payload, BoxError> {
    let seconds = holds.map(|holds| holds.as_secs());
    Ok(Payload::json(&Holds { seconds })?)
}

pub(super) fn route() -> (&'static str, Erased<()>) {
    (ROUTE, Arc::new(|cx| authenticate(cx).boxed()))
}

async fn authenticate(cx: MessageContext) -> Result<Reply, BoxError> {
    let token = shown(&cx.inbound.message)?;
    let session = cx.inbound.session;
    let token = Token::parse(token.as_bytes())
        .map_err(|wrong| Mistake(ClientError::new("bad_data", wrong.to_string())))?;
    let gatekeeper = session.env().gatekeeper.get().and_then(Weak::upgrade);
    let gatekeeper = gatekeeper.ok_or_else(|| Unavailable::new("the server is going away"))?;
    let holds = gatekeeper.show(session, token).await?;
    Ok(Reply::data(answer(holds)?))
}
