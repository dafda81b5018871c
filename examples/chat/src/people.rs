//! Who is here, in any room: coming, going, and who is online. The server keeps no list: the others
//! say who is there, and checked against presence.

use realtime::{
    ClientError, Gateway, Identity, IdentityKey, Json, Router,
    error::{DeliverError, DeliverErrorKind},
    presence::PresenceError,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The tenant of everybody here.
pub(crate) const TENANT: &str = "chat";
const PEOPLE: usize = 200;

pub(crate) fn router() -> Router {
    Router::new().route("here", here).route("online", online)
}

/// A person as the page shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    pub(crate) person: String,
    pub(crate) name: String,
}

impl From<&Identity> for Person {
    fn from(identity: &Identity) -> Self {
        let name = identity
            .claims()
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Self {
            person: identity.id().to_owned(),
            name: name.to_owned(),
        }
    }
}

fn key(person: &str) -> IdentityKey {
    IdentityKey::new(person).with_tenant(TENANT)
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

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the request was not a proper one")]
    Bad(#[from] ClientError),
    #[error("the others could not be notified")]
    Deliver(#[from] DeliverError),
    #[error("presence could not be asked")]
    Presence(#[from] PresenceError),
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

#[derive(Deserialize, Serialize)]
struct People {
    people: Vec<String>,
}

/// Which of these people are online. A node that was killed says no farewells: its people's
/// leases end, and this is how the pages learn of it.
async fn online(gateway: Gateway, Json(asked): Json<People>) -> Result<Json<People>, Failed> {
    if asked.people.len() > PEOPLE {
        let message = format!("At most {PEOPLE} people can be asked for at once.");
        return Err(ClientError::new("bad_request", message).into());
    }
    let mut people = Vec::new();
    for person in asked.people {
        if gateway.is_online(&key(&person)).await? {
            people.push(person);
        }
    }
    Ok(Json(People { people }))
}
