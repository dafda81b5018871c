//! An upgrade request for a handler of the host.

use http::{Request, request::Parts};

/// An upgrade request, for a handler of the host that passes it to
/// [`Gateway::accept`](crate::Gateway::accept).
///
/// With the feature `axum` it is an axum extractor.
#[derive(Debug)]
#[must_use = "an upgrade does nothing until a gateway accepts it"]
pub struct Upgrade(pub(crate) Parts);

impl Upgrade {
    /// Gets the upgrade from a request.
    pub fn from_request<B>(request: Request<B>) -> Self {
        Self(request.into_parts().0)
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Parts {
        &self.0
    }
}

#[cfg(feature = "axum")]
impl<S: Sync> axum::extract::FromRequestParts<S> for Upgrade {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> Result<Self, std::convert::Infallible> {
        let mut own = Request::new(()).into_parts().0;
        own.method = parts.method.clone();
        own.uri = parts.uri.clone();
        own.version = parts.version;
        own.headers = parts.headers.clone();
        own.extensions = std::mem::take(&mut parts.extensions);
        parts.extensions = own.extensions.clone();
        // It can't be cloned and belongs to the one that upgrades.
        if let Some(upgrade) = parts.extensions.remove::<hyper::upgrade::OnUpgrade>() {
            own.extensions.insert(upgrade);
        }
        Ok(Self(own))
    }
}
