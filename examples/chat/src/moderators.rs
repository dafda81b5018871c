//! Who is a moderator: those who know the password.

use hmac::Mac;

use crate::token::Key;

/// The shortest password, in bytes. Nothing else keeps anybody from guessing it all day.
const SHORTEST: usize = 12;

/// What lets moderators in.
#[derive(Clone)]
pub(crate) struct Moderators {
    key: Key,
    password: Option<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("expected a CHAT_MODERATOR of at least {SHORTEST} bytes; got {0}")]
pub(crate) struct TooShort(usize);

impl Moderators {
    /// Without a password there are none.
    pub(crate) fn new(key: Key, password: Option<String>) -> Result<Self, TooShort> {
        match password.as_ref().map(String::len) {
            Some(length) if length < SHORTEST => Err(TooShort(length)),
            _ => Ok(Self { key, password }),
        }
    }

    /// Whether this is the password. How long it takes says nothing of it.
    pub(crate) fn know(&self, given: &str) -> bool {
        let Some(password) = &self.password else {
            return false;
        };
        let expected = self.key.mac(password).finalize().into_bytes();
        self.key.mac(given).verify_slice(&expected).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_alone_makes_a_moderator() {
        let with = |password: Option<&str>| {
            let key = Key::random().unwrap();
            Moderators::new(key, password.map(str::to_owned))
        };
        let moderators = with(Some("correct horse")).unwrap();
        assert!(moderators.know("correct horse"));
        for wrong in ["", "correct hors", "correct horse ", "Correct horse"] {
            assert!(!moderators.know(wrong), "{wrong:?}");
        }
        assert!(!with(None).unwrap().know(""));
        let short = with(Some("horse")).err().unwrap().to_string();
        assert!(short.ends_with("12 bytes; got 5"), "{short}");
    }
}
