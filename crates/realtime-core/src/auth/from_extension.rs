//! Who the host's own login says it is.

use http::request::Parts;

use super::{AuthError, Authenticator};
use crate::Identity;

/// Reads the [`Identity`] that middleware of the host put into the request's extensions.
///
/// For those who have an axum or tower login already: mount the gateway behind that layer.
/// A request that reaches the gateway without an identity is refused.
///
/// If the login uses a cookie, keep the gateway's origin check on: it is what stops another
/// site's page from connecting as its visitor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FromExtension;

impl Authenticator for FromExtension {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        request.extensions.get::<Identity>().cloned().ok_or_else(|| {
            AuthError::unauthorized(
                "expected an `Identity` in the request's extensions, put there by a layer of the \
                 host around the gateway; found none",
            )
        })
    }
}
