//! Access tokens: short-lived JWTs, which the gateway believes without asking anybody.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac, digest::InvalidLength};
use realtime::auth::{
    AuthError,
    jwt::{Algorithm, Jwt, Key},
};
use serde_json::json;
use sha2::Sha256;

use crate::logins::Login;

/// Whom tokens are for, so that one for another service of the same key opens nothing here.
const AUDIENCE: &str = "auth-jwt";
/// A page can't set headers on a WebSocket, so its token is one of the subprotocols that it offers.
const SUBPROTOCOL: &str = "token.";

/// What signs tokens.
pub(crate) struct Signer {
    key: Hmac<Sha256>,
    pub(crate) life: Duration,
}

impl Signer {
    pub(crate) fn new(secret: &[u8], life: Duration) -> Result<Self, InvalidLength> {
        let key = Hmac::new_from_slice(secret)?;
        Ok(Self { key, life })
    }

    /// A token of a login, from then on.
    pub(crate) fn sign(&self, login: &Login, issued: SystemTime) -> String {
        let issued = issued.duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = json!({
            "aud": AUDIENCE,
            "sub": login.user,
            // With fractions: who signs in right after they were signed out everywhere is believed.
            "iat": issued.as_secs_f64(),
            "exp": (issued + self.life).as_secs_f64(),
            // The same for all tokens of a login, so that revoking it ends the login wherever it
            // is: all tabs, and every token that they have got meanwhile.
            "jti": login.id,
        });
        let header = json!({ "alg": "HS256", "typ": "JWT" });
        let [header, claims] = [header, claims].map(|part| encoded(part.to_string()));
        let signed = format!("{header}.{claims}");
        let tag = self.key.clone().chain_update(&signed).finalize();
        format!("{signed}.{}", encoded(tag.into_bytes()))
    }
}

/// What verifies them.
pub(crate) fn authenticator(secret: &[u8], life: Duration) -> Result<Jwt, AuthError> {
    Jwt::builder(Key::hmac(secret)?)
        .algorithms([Algorithm::HS256])
        .audience(AUDIENCE)
        // By how much the clocks of our nodes may differ: 5 s for tokens of 5 minutes.
        .leeway(life / 60)
        .from_subprotocol(SUBPROTOCOL)
        .build()
}

/// 32 bytes that nobody can guess, as letters.
pub(crate) fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(encoded(bytes))
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
