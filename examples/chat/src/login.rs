//! Coming in: a name for a token over HTTP, and the token for an identity when a page connects.
//!
//! A chat for friends: everybody may choose a name. But who somebody is the server says, so nobody
//! can speak for somebody else. Where people have passwords, [`enter`] is the place to check them,
//! and what they may do goes into the token and from there into the identity's roles.

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, request::Parts},
    routing::post,
};
use realtime::{
    Identity,
    auth::{AuthError, Authenticator, Credentials},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    people::{Person, TENANT},
    rooms::{ROOMS, Room},
    token::Key,
};

/// The longest name, in characters.
const NAME: usize = 32;

pub(crate) fn router(key: Key) -> Router {
    Router::new().route("/login", post(enter)).with_state(key)
}

#[derive(Deserialize)]
struct Enter {
    name: String,
    /// That of an earlier visit: with it somebody stays who they are.
    token: Option<String>,
}

#[derive(Serialize)]
struct Welcome {
    token: String,
    #[serde(flatten)]
    person: Person,
    rooms: &'static [Room],
}

/// It takes JSON alone, so that no form of another site can ask for it.
async fn enter(
    State(key): State<Key>,
    Json(Enter { name, token }): Json<Enter>,
) -> Result<Json<Welcome>, (StatusCode, String)> {
    let name = proper(&name).map_err(|wrong| (StatusCode::UNPROCESSABLE_ENTITY, wrong))?;
    let known = token.and_then(|token| key.check(&token));
    let id = known.map_or_else(|| Uuid::new_v4().to_string(), |known| known.person);
    let person = Person { person: id, name };
    Ok(Json(Welcome {
        token: key.sign(person.clone()),
        person,
        rooms: &ROOMS,
    }))
}

/// The name as it is shown, or what is wrong with it.
fn proper(name: &str) -> Result<String, String> {
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = name.chars().count();
    if !(1..=NAME).contains(&length) || name.chars().any(char::is_control) {
        return Err(format!(
            "A name has 1 to {NAME} printable characters; this one has {length}."
        ));
    }
    Ok(name)
}

/// Lets in everybody who has a token of ours. A page can't set headers on a WebSocket, so it stands
/// in a subprotocol.
pub(crate) struct Visitors {
    key: Key,
    credentials: Credentials,
}

impl Visitors {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            key,
            credentials: Credentials::bearer().from_subprotocol("token."),
        }
    }
}

impl Authenticator for Visitors {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        let token = self.credentials.require(request)?;
        let Person { person, name } = self
            .key
            .check(token.expose())
            .ok_or_else(|| AuthError::unauthorized("expected a token that was signed here"))?;
        Ok(Identity::new(person)
            .with_tenant(TENANT)
            .with_claim("name", name))
    }

    fn credentials(&self) -> Option<&Credentials> {
        Some(&self.credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn enter_as(key: &Key, name: &str, token: Option<&str>) -> Welcome {
        let token = token.map(str::to_owned);
        let name = name.to_owned();
        let entered = enter(State(key.clone()), Json(Enter { name, token }));
        entered.await.unwrap().0
    }

    #[tokio::test]
    async fn who_has_a_token_stays_who_they_are_and_who_has_none_is_somebody_new() {
        let key = Key::random().unwrap();
        let ada = enter_as(&key, " Ada\n Lovelace ", None).await;
        assert_eq!(ada.person.name, "Ada Lovelace");
        let renamed = enter_as(&key, "Countess", Some(&ada.token)).await;
        assert_eq!(renamed.person.person, ada.person.person);
        assert_eq!(key.check(&renamed.token).unwrap().name, "Countess");
        for token in [None, Some("nonsense"), Some("e30.e30")] {
            let other = enter_as(&key, "Ada Lovelace", token).await;
            assert_ne!(other.person.person, ada.person.person);
        }
    }

    #[test]
    fn names_are_checked() {
        for bad in ["", " \t", "a\0b", &"x".repeat(33)] {
            assert!(proper(bad).is_err(), "{bad:?}");
        }
        assert_eq!(proper(&"é".repeat(32)), Ok("é".repeat(32)));
    }
}
