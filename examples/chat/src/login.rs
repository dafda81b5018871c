//! Coming in: a name for a token over HTTP, and the token for an identity when a page connects.
//!
//! A chat for friends: everybody may choose a name. But who somebody is the server says, so nobody
//! can speak for somebody else. Where people have passwords, [`enter`] is the place to check them,
//! as it checks that of the moderators: what somebody may do goes into the token, and from there
//! into the identity's roles.

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, request::Parts},
    routing::post,
};
use realtime::{
    Identity,
    auth::{AuthError, Authenticator, Credentials, Token},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    moderators::Moderators,
    people::Person,
    rooms::{ROOMS, Room},
    token::Key,
};

/// The longest name, in characters.
const NAME: usize = 32;

pub(crate) fn router(key: Key, moderators: Moderators) -> Router {
    Router::new()
        .route("/login", post(enter))
        .with_state(Door { key, moderators })
}

#[derive(Clone)]
struct Door {
    key: Key,
    moderators: Moderators,
}

#[derive(Deserialize)]
struct Enter {
    name: String,
    /// That of an earlier visit: with it somebody stays who they are.
    token: Option<String>,
    /// That of the moderators, from who is one.
    password: Option<String>,
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
    State(Door { key, moderators }): State<Door>,
    Json(asked): Json<Enter>,
) -> Result<Json<Welcome>, (StatusCode, String)> {
    let name = proper(&asked.name).map_err(|wrong| (StatusCode::UNPROCESSABLE_ENTITY, wrong))?;
    let known = asked.token.and_then(|token| key.check(&token));
    let mut person = known.unwrap_or_else(|| Person {
        person: Uuid::new_v4().to_string(),
        ..Person::default()
    });
    person.name = name;
    if let Some(password) = asked.password {
        if !moderators.know(&password) {
            let wrong = "This is not the moderators' password.".to_owned();
            return Err((StatusCode::FORBIDDEN, wrong));
        }
        person.moderator = true;
    }
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
/// in a subprotocol; and in a message, before it ends, on a connection that goes on.
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
        self.authenticate_token(token).await
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        let read = self.key.read(token.expose());
        let (person, end) =
            read.ok_or_else(|| AuthError::unauthorized("expected a token that was signed here"))?;
        Ok(person.identity().with_expires_at(end))
    }

    fn accepts_tokens(&self) -> bool {
        true
    }

    fn credentials(&self) -> Option<&Credentials> {
        Some(&self.credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "correct horse";

    fn door() -> Door {
        let key = Key::random().unwrap();
        let moderators = Moderators::new(key.clone(), Some(PASSWORD.to_owned())).unwrap();
        Door { key, moderators }
    }

    async fn enter_as(
        door: &Door,
        name: &str,
        token: Option<&str>,
        password: Option<&str>,
    ) -> Result<Welcome, StatusCode> {
        let asked = Enter {
            name: name.to_owned(),
            token: token.map(str::to_owned),
            password: password.map(str::to_owned),
        };
        let entered = enter(State(door.clone()), Json(asked)).await;
        entered
            .map(|welcome| welcome.0)
            .map_err(|(status, _)| status)
    }

    #[tokio::test]
    async fn who_has_a_token_stays_who_they_are_and_who_has_none_is_somebody_new() {
        let door = door();
        let ada = enter_as(&door, " Ada\n Lovelace ", None, None)
            .await
            .unwrap();
        assert_eq!(ada.person.name, "Ada Lovelace");
        let renamed = enter_as(&door, "Countess", Some(&ada.token), None).await;
        let renamed = renamed.unwrap();
        assert_eq!(renamed.person.person, ada.person.person);
        assert_eq!(door.key.check(&renamed.token).unwrap().name, "Countess");
        for token in [None, Some("nonsense"), Some("e30.e30")] {
            let other = enter_as(&door, "Ada Lovelace", token, None).await.unwrap();
            assert_ne!(other.person.person, ada.person.person);
        }
    }

    #[tokio::test]
    async fn the_password_makes_a_moderator_and_the_token_keeps_one() {
        let door = door();
        let ada = enter_as(&door, "Ada", None, None).await.unwrap();
        assert!(!ada.person.moderator);
        let wrong = enter_as(&door, "Ada", Some(&ada.token), Some("correct house")).await;
        assert_eq!(wrong.err(), Some(StatusCode::FORBIDDEN));
        let ada = enter_as(&door, "Ada", Some(&ada.token), Some(PASSWORD)).await;
        let again = enter_as(&door, "Ada", Some(&ada.unwrap().token), None).await;
        assert!(door.key.check(&again.unwrap().token).unwrap().moderator);
    }

    #[test]
    fn names_are_checked() {
        for bad in ["", " \t", "a\0b", &"x".repeat(33)] {
            assert!(proper(bad).is_err(), "{bad:?}");
        }
        assert_eq!(proper(&"é".repeat(32)), Ok("é".repeat(32)));
    }
}
