//! Who people are: whoever they say. Not for production: see the example `auth-jwt`.

use axum::http::request::Parts;
use realtime::{
    Identity,
    auth::{AuthError, Authenticator},
};

/// The tenant of everybody here.
pub(crate) const OFFICE: &str = "office";
const LONGEST: usize = 30;

/// `/ws?name=Ann`. Whoever has the same name is the same person, in whatever tab.
pub(crate) struct ByName;

impl Authenticator for ByName {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        let query = request.uri.query().unwrap_or_default();
        let mut fields = form_urlencoded::parse(query.as_bytes());
        let name = fields.find_map(|(field, value)| (field == "name").then_some(value));
        let name = name.unwrap_or_default();
        let name = name.trim();
        if name.is_empty() || name.chars().count() > LONGEST || name.contains(char::is_control) {
            let expected = "expected a name of 1 to 30 characters, as in /ws?name=Ann";
            return Err(AuthError::unauthorized(expected));
        }
        Ok(Identity::new(name).with_tenant(OFFICE))
    }
}
