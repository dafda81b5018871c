//! What people do in the room. The server keeps nothing: the others say who is there, and
//! checked against presence.

use std::time::{SystemTime, UNIX_EPOCH};

use realtime::{
    ClientError, Gateway, Identity, Json, Router,
    error::{DeliverError, DeliverErrorKind},
    presence::PresenceError,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::people::{Person, key};

const TEXT: usize = 2000;
const REF: usize = 64;
const PEOPLE: usize = 200;

pub(crate) fn router() -> Router {
    Router::new()
        .route("say", say)
        .route("here", here)
        .route("typing", typing)
        .route("online", online)
}

/// Announces to everybody who has come. Their pages say `here` to the newcomer.
pub(crate) async fn welcome(gateway: Gateway, identity: Identity) -> Result<(), DeliverError> {
    let sent = gateway
        .broadcast("joined", Json(&Person::from(&identity)))
        .await;
    match sent {
        // The people of this node were notified; an error would refuse the newcomer.
        Err(error) if error.kind() == DeliverErrorKind::Broker => Ok(()),
        sent => sent.map(drop),
    }
}

/// Announces to everybody who has gone, unless another of their connections is there.
pub(crate) async fn farewell(gateway: Gateway, identity: Identity) {
    // While the node shuts down nobody here is left to notify.
    if let Ok(false) = gateway.is_online(identity.key()).await {
        let sent = gateway
            .broadcast("left", Json(&Person::from(&identity)))
            .await;
        if let Err(error) = sent {
            tracing::debug!(%error, "nobody was notified who left");
        }
    }
}

/// A line. `ref` is the page's own name for it, by which a line that was sent twice shows once.
#[derive(Deserialize)]
struct Said {
    text: String,
    #[serde(default)]
    r#ref: String,
}

#[derive(Serialize)]
struct Line<'l> {
    from: &'l str,
    name: &'l str,
    text: &'l str,
    at: u64,
    r#ref: &'l str,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the request was not a proper one")]
    Bad(#[source] ClientError),
    #[error("the others could not be notified")]
    Deliver(#[from] DeliverError),
    #[error("presence could not be asked")]
    Presence(#[from] PresenceError),
}

fn bad(message: String) -> Failed {
    Failed::Bad(ClientError::new("bad_request", message))
}

async fn say(
    gateway: Gateway,
    identity: Identity,
    Json(said): Json<Said>,
) -> Result<Json<Value>, Failed> {
    let length = said.text.chars().count();
    if said.text.trim().is_empty() || length > TEXT || said.r#ref.len() > REF {
        return Err(bad(format!(
            "A line has 1 to {TEXT} characters; this one has {length}."
        )));
    }
    let Person { person, name } = Person::from(&identity);
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let at = since.as_millis() as u64;
    let line = Line {
        from: &person,
        name: &name,
        text: &said.text,
        at,
        r#ref: &said.r#ref,
    };
    gateway.broadcast("line", Json(&line)).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct To {
    to: String,
}

/// Answers a newcomer. The name is the server's, not the page's.
async fn here(
    gateway: Gateway,
    identity: Identity,
    Json(To { to }): Json<To>,
) -> Result<(), Failed> {
    match gateway
        .send_to_identity(&key(&to), "here", Json(&Person::from(&identity)))
        .await
    {
        // The newcomer has left again.
        Err(error) if error.kind() == DeliverErrorKind::NotOnline => Ok(()),
        sent => sent.map(drop).map_err(Failed::from),
    }
}

async fn typing(gateway: Gateway, identity: Identity) -> Result<(), DeliverError> {
    gateway
        .broadcast("typing", Json(&json!({ "person": identity.id() })))
        .await?;
    Ok(())
}

#[derive(Deserialize, Serialize)]
struct People {
    people: Vec<String>,
}

/// Which of these people are online. A node that was killed says no farewells: its people's
/// leases end, and this is how the pages learn of it.
async fn online(gateway: Gateway, Json(asked): Json<People>) -> Result<Json<People>, Failed> {
    if asked.people.len() > PEOPLE {
        return Err(bad(format!(
            "At most {PEOPLE} people can be asked for at once."
        )));
    }
    let mut people = Vec::new();
    for person in asked.people {
        if gateway.is_online(&key(&person)).await? {
            people.push(person);
        }
    }
    Ok(Json(People { people }))
}
