//! The route on which clients show fresh tokens.

use std::sync::{Arc, Weak};

use futures::FutureExt;
use realtime_core::{BoxError, ClientError, Payload, auth::Token, extract::Reply};
use serde::{Deserialize, Serialize};

use super::router::Erased;
use crate::extract::MessageContext;

const ROUTE: &str = "authenticate";

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

pub(super) fn route() -> (&'static str, Erased<()>) {
    (ROUTE, Arc::new(|cx| authenticate(cx).boxed()))
}

async fn authenticate(cx: MessageContext) -> Result<Reply, BoxError> {
    let Shown { token } = cx.inbound.message.decode()?;
    let session = cx.inbound.session;
    let token = Token::parse(token.as_bytes())
        .map_err(|wrong| ClientError::new("bad_data", wrong.to_string()))?;
    let gatekeeper = session.env().gatekeeper.get().and_then(Weak::upgrade);
    let gatekeeper = gatekeeper
        .ok_or_else(|| ClientError::new("unavailable", "the server is going away").temporary())?;
    let holds = gatekeeper.show(session, token).await?;
    let seconds = holds.map(|holds| holds.as_secs());
    let answer = serde_json::to_string(&Holds { seconds })?;
    Ok(Reply::data(Payload::from(answer)))
}
