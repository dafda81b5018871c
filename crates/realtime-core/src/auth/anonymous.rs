//! No authentication: the default.

use http::request::Parts;

use super::{AuthError, Authenticator};
use crate::Identity;

/// Accepts everybody, as one shared identity: id `anonymous`, empty tenant. The default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Anonymous;

impl Authenticator for Anonymous {
    async fn authenticate(&self, _request: &Parts) -> Result<Identity, AuthError> {
        Ok(Identity::anonymous())
    }
}
