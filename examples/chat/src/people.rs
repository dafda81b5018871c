//! Who somebody is: an id that their tab made up, and a name.

use axum::{
    extract::Query,
    http::{Uri, request::Parts},
};
use realtime::{
    Identity, IdentityKey,
    auth::{AuthError, Authenticator},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The tenant of everybody here.
const TENANT: &str = "chat";
const NAME: usize = 32;
const ID: usize = 64;

/// Lets in everybody who gives a name. A chat for friends: nobody proves who they are.
pub(crate) struct Visitors;

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

pub(crate) fn key(person: &str) -> IdentityKey {
    IdentityKey::new(person).with_tenant(TENANT)
}

impl Authenticator for Visitors {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        let Person { person, name } = visitor(&request.uri)?;
        Ok(Identity::new(person)
            .with_tenant(TENANT)
            .with_claim("name", name))
    }
}

fn visitor(uri: &Uri) -> Result<Person, AuthError> {
    let expected = |what: String| AuthError::unauthorized(format!("expected {what}"));
    let Query(visitor) = Query::<Person>::try_from_uri(uri)
        .map_err(|_| expected("?person= and &name=, once each".to_owned()))?;
    let Person { person, name } = &visitor;
    if person.is_empty() || person.len() > ID || !person.is_ascii() {
        return Err(expected(format!("an ASCII id of 1 to {ID} bytes")));
    }
    let printable = !name.chars().any(char::is_control);
    if name.trim().is_empty() || name.chars().count() > NAME || !printable {
        return Err(expected(format!(
            "a name of 1 to {NAME} printable characters"
        )));
    }
    Ok(visitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let visit = |query: &str| visitor(&format!("/ws?{query}").parse().unwrap());
        assert_eq!(visit("person=1&name=Ada%20L").unwrap().name, "Ada L");
        let long = format!("person=1&name={}", "x".repeat(33));
        for bad in [
            "",
            "person=1",
            "name=Ada",
            "person=&name=A",
            "person=1&name=%20",
            &long,
        ] {
            assert!(visit(bad).is_err(), "{bad}");
        }
        assert!(visit("person=1&name=a%00b").is_err());
    }
}
