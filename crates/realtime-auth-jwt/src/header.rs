//! The head of a token: how it says that it is signed. Nothing in it is believed; it only chooses
//! among what is allowed.

use realtime_core::auth::AuthError;
use serde_json::{Map, Value};

use crate::{Algorithm, json};

/// What of a token's header decides something.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
}

impl Header {
    /// Reads it. What says that there is more to be understood than a signature is refused: this
    /// would be another token to those who understand it.
    pub(crate) fn parse(text: &[u8], types: &[String]) -> Result<Self, AuthError> {
        let fields = json::object(text).map_err(|_| {
            AuthError::unauthorized(
                "expected a JWT whose header is an object in JSON, without a name twice",
            )
        })?;
        for (name, why) in [
            ("enc", "expected a signed JWT; got an encrypted one"),
            ("zip", "expected a signed JWT; got a compressed one"),
            (
                "crit",
                "expected a JWT without `crit`: no extension is understood",
            ),
            (
                "b64",
                "expected a JWT without `b64`: no extension is understood",
            ),
        ] {
            if fields.contains_key(name) {
                return Err(AuthError::unauthorized(why));
            }
        }
        let nested = text_of(&fields, "cty")?.is_some_and(|cty| short(cty) == "jwt");
        if nested {
            let got = "expected a JWT of claims; got one that holds another";
            return Err(AuthError::unauthorized(got));
        }
        let typ = text_of(&fields, "typ")?.map(short);
        if typ.is_some_and(|typ| !types.contains(&typ)) {
            let got = "expected a JWT of a type that is accepted; see `types`";
            return Err(AuthError::unauthorized(got));
        }
        let algorithm = text_of(&fields, "alg")?.and_then(Algorithm::named);
        let algorithm = algorithm.ok_or_else(|| {
            AuthError::unauthorized("expected a JWT that is signed with a known algorithm")
        })?;
        let kid = text_of(&fields, "kid")?.map(str::to_owned);
        Ok(Self { algorithm, kid })
    }
}

/// A media type as it may be written in a header: in any case, and without `application/`.
pub(crate) fn short(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.strip_prefix("application/")
        .map_or_else(|| name.clone(), str::to_owned)
}

fn text_of<'f>(fields: &'f Map<String, Value>, name: &str) -> Result<Option<&'f str>, AuthError> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(AuthError::unauthorized(
            "expected a JWT whose header has texts for `alg`, `kid`, `typ` and `cty`",
        )),
    }
}
