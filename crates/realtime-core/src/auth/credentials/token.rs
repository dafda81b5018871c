//! A secret that a request carried, and the form that every one of them has.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::auth::AuthError;

/// The longest token, in bytes.
const LONGEST: usize = 8 * 1024;

/// A secret that a request or a message carried: visible ASCII without spaces. `Debug` doesn't show it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token of this text, of at most 8 KiB.
    ///
    /// # Errors
    /// Kind [`Unauthorized`](crate::auth::AuthErrorKind::Unauthorized) for a text that is no
    /// token. The text is not shown.
    pub fn parse(text: &[u8]) -> Result<Self, AuthError> {
        check(text).map_err(AuthError::unauthorized)?;
        let text = text.iter().copied().map(char::from).collect();
        Ok(Self(text))
    }

    /// The secret itself. Never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in a time that doesn't depend on where the two differ, nor on their lengths.
    #[must_use]
    pub fn matches(&self, expected: &str) -> bool {
        digest(&self.0).ct_eq(&digest(expected)).into()
    }
}

/// Whether a request can carry this token at all; if not, what a token must be.
pub(in crate::auth) fn check(text: &[u8]) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("expected a token that is not empty");
    }
    if text.len() > LONGEST {
        return Err("expected a token of at most 8 KiB; got a longer one");
    }
    if !text.iter().all(u8::is_ascii_graphic) {
        return Err("expected a token of visible ASCII characters; got a space or another one");
    }
    Ok(())
}

pub(in crate::auth) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
