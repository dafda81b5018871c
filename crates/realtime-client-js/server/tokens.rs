//! Tokens that anybody can make: `NAME.ROLES.ISSUED.LIFE`, where roles are joined by `+`, and the
//! times are milliseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::request::Parts;
use realtime::{
    Identity,
    auth::{AuthError, Authenticator, Credentials, Token},
};

/// Believes every token that has this form and hasn't ended.
pub(crate) struct Tokens(Credentials);

impl Default for Tokens {
    fn default() -> Self {
        let bearer = Credentials::bearer();
        Self(bearer.from_query("token").from_subprotocol("token."))
    }
}

impl Authenticator for Tokens {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        let tokens = |token| self.authenticate_token(token);
        self.0.try_each(request, tokens).await
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        let identity = read(token.expose());
        let identity = identity.ok_or_else(|| AuthError::unauthorized("this is no token"))?;
        match identity.expires_at() {
            Some(end) if end <= SystemTime::now() => Err(AuthError::expired("the token has ended")),
            _ => Ok(identity),
        }
    }

    fn accepts_tokens(&self) -> bool {
        true
    }

    fn credentials(&self) -> Option<&Credentials> {
        Some(&self.0)
    }
}

fn read(token: &str) -> Option<Identity> {
    let mut parts = token.split('.');
    let (name, roles) = (parts.next()?, parts.next()?);
    let issued = Duration::from_millis(parts.next()?.parse().ok()?);
    let life = Duration::from_millis(parts.next()?.parse().ok()?);
    let issued = UNIX_EPOCH.checked_add(issued)?;
    let roles = roles.split('+').filter(|role| !role.is_empty());
    let identity = roles
        .fold(Identity::new(name), Identity::with_role)
        .with_token_id(token)
        .with_issued_at(issued)
        .with_expires_at(issued.checked_add(life)?);
    Some(identity)
}
