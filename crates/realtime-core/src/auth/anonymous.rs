//! Everybody is welcome.

use http::request::Parts;

use super::{AuthError, Authenticator};
use crate::Identity;

/// Lets everybody in, as one shared identity: id `anonymous`, empty tenant. The default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Anonymous;

impl Authenticator for Anonymous {
    async fn authenticate(&self, _request: &Parts) -> Result<Identity, AuthError> {
        Ok(Identity::anonymous())
    }
}
