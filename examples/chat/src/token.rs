//! Tokens that nobody can forge: who somebody is, signed with a key that only the server has.
//!
//! `base64url(JSON) "." base64url(HMAC-SHA-256)`, which is also a proper WebSocket subprotocol.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::people::Person;

/// How long a token is good for. A page asks for a new one each time that it connects.
const LIFE: Duration = Duration::from_secs(7 * 86_400);
/// The shortest key, in bytes.
const SHORTEST: usize = 32;

/// What signs tokens, and checks them.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("expected a CHAT_KEY of at least {SHORTEST} bytes; got {0}")]
    Short(usize),
    #[error("the system has no random bytes for a key: set CHAT_KEY")]
    Random(#[source] getrandom::Error),
}

/// What a token says.
#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(flatten)]
    person: Person,
    /// Seconds since 1970.
    until: u64,
}

impl Key {
    pub(crate) fn new(secret: &[u8]) -> Result<Self, KeyError> {
        let short = KeyError::Short(secret.len());
        if secret.len() < SHORTEST {
            return Err(short);
        }
        Hmac::new_from_slice(secret).map(Self).map_err(|_| short)
    }

    /// A key of this process: its tokens are worth nothing after a restart, and on another node.
    pub(crate) fn random() -> Result<Self, KeyError> {
        let mut secret = [0; SHORTEST];
        getrandom::fill(&mut secret).map_err(KeyError::Random)?;
        Self::new(&secret)
    }

    /// What nobody can make of a text without the key.
    pub(crate) fn mac(&self, text: &str) -> Hmac<Sha256> {
        self.0.clone().chain_update(text)
    }

    /// A token for a person, good from now on for a week.
    pub(crate) fn sign(&self, person: Person) -> String {
        self.sign_until(person, now() + LIFE.as_secs())
    }

    pub(crate) fn sign_until(&self, person: Person, until: u64) -> String {
        let claims = serde_json::json!(Claims { person, until }).to_string();
        let body = BASE64_URL_SAFE_NO_PAD.encode(claims);
        let tag = self.mac(&body).finalize().into_bytes();
        let tag = BASE64_URL_SAFE_NO_PAD.encode(tag);
        format!("{body}.{tag}")
    }

    /// Whose token it is, if it is one of ours and still good.
    pub(crate) fn check(&self, token: &str) -> Option<Person> {
        self.read(token).map(|(person, _)| person)
    }

    /// The same, and until when.
    pub(crate) fn read(&self, token: &str) -> Option<(Person, SystemTime)> {
        let (body, tag) = token.split_once('.')?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
        // In constant time, and before anything is read of it.
        self.mac(body).verify_slice(&tag).ok()?;
        let claims = BASE64_URL_SAFE_NO_PAD.decode(body).ok()?;
        let Claims { person, until } = serde_json::from_slice(&claims).ok()?;
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(until))?;
        (now() < until).then_some((person, end))
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> Person {
        Person {
            person: "1".to_owned(),
            name: "Ada Lovelace".to_owned(),
            moderator: false,
        }
    }

    #[test]
    fn a_token_says_whose_it_is_and_is_good_for_a_while() {
        let key = Key::random().unwrap();
        assert_eq!(key.check(&key.sign(ada())), Some(ada()));
        assert_eq!(key.check(&key.sign_until(ada(), now())), None);
        assert!(matches!(Key::new(b"short"), Err(KeyError::Short(5))));
    }

    #[test]
    fn a_token_of_another_key_and_one_that_was_changed_are_nobodys() {
        let (key, other) = (Key::random().unwrap(), Key::random().unwrap());
        let token = key.sign(ada());
        assert_eq!(other.check(&token), None);
        let (body, tag) = token.split_once('.').unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(body).unwrap();
        let claims = String::from_utf8(claims).unwrap();
        let eve = BASE64_URL_SAFE_NO_PAD.encode(claims.replace("Ada", "Eve"));
        let promoted = BASE64_URL_SAFE_NO_PAD.encode(claims.replace("false", "true"));
        for forged in [
            format!("{eve}.{tag}"),
            format!("{promoted}.{tag}"),
            format!("{eve}."),
            format!("{body}."),
            body.to_owned(),
            format!("{token}A"),
            String::new(),
        ] {
            assert_eq!(key.check(&forged), None, "{forged}");
        }
    }
}
