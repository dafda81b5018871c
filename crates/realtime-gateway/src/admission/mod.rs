//! From an upgrade request to a decision: 101 or a refusal.
//!
//! ```text
//!   handshake ─► draining? ─► origin ─► a place? ─► authenticate
//! ```

mod body;
mod client_address;
mod handshake;
mod host;
mod origin;
mod origin_refusals;
mod refusal;
mod slots;
mod upgrade;

use std::{net::SocketAddr, time::Duration};

use http::request::Parts;
use realtime_core::{
    BoxError, Identity, IdentityKey,
    auth::{AnyAuthenticator, AuthErrorKind, Authenticator},
};

use crate::guarded::{Broken, Whose, guarded};

pub use body::Body;
pub use client_address::PeerAddr;
pub(crate) use client_address::TrustedProxies;
pub(crate) use handshake::Handshake;
pub(crate) use origin::OriginPolicy;
use origin_refusals::OriginRefusals;
pub(crate) use refusal::Refusal;
pub(crate) use slots::{Slot, Slots};
pub use upgrade::Upgrade;

/// Who may connect, and how many at once.
#[derive(Debug)]
pub(crate) struct Admission {
    origin: OriginPolicy,
    origin_refusals: OriginRefusals,
    proxies: TrustedProxies,
    authenticator: AnyAuthenticator,
    auth_timeout: Option<Duration>,
    slots: Slots,
}

/// A request that may be authenticated.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) handshake: Handshake,
    /// Its place. It is free again when this is dropped.
    pub(crate) slot: Slot,
}

/// A refusal because of who asked, and why.
#[derive(Debug)]
pub(crate) struct Unauthenticated {
    pub(crate) refusal: Refusal,
    pub(crate) error: BoxError,
}

impl Admission {
    pub(crate) fn new(
        origin: OriginPolicy,
        proxies: TrustedProxies,
        authenticator: AnyAuthenticator,
        auth_timeout: Option<Duration>,
        slots: Slots,
    ) -> Self {
        Self {
            origin,
            origin_refusals: OriginRefusals::new(),
            proxies,
            authenticator,
            auth_timeout,
            slots,
        }
    }

    /// Everything before authentication.
    pub(crate) fn admit(
        &self,
        request: &Parts,
        protocol: &str,
        draining: bool,
    ) -> Result<Admitted, Refusal> {
        let handshake = Handshake::check(request, protocol)?;
        if draining {
            return Err(Refusal::Draining);
        }
        if !self.origin.allows(&handshake.host, &request.headers) {
            self.origin_refusals.log(&request.headers);
            return Err(Refusal::Origin);
        }
        let slot = self.slots.enter().ok_or(Refusal::Full)?;
        Ok(Admitted { handshake, slot })
    }

    pub(crate) async fn authenticate(&self, request: &Parts) -> Result<Identity, Unauthenticated> {
        let asked = async { self.authenticator.authenticate(request).await };
        let (refusal, error) = match guarded(Whose::Authenticator, self.auth_timeout, asked).await {
            Ok(Ok(identity)) => return check(identity),
            Ok(Err(error)) => match error.kind() {
                AuthErrorKind::Expired | AuthErrorKind::Unauthorized => {
                    (Refusal::Unauthorized, error.into())
                }
                AuthErrorKind::Unavailable => (Refusal::AuthUnavailable, error.into()),
                _ => (Refusal::AuthBroken, error.into()),
            },
            Err(broken @ Broken::Panicked(..)) => (Refusal::AuthBroken, broken.into()),
            Err(broken @ Broken::TookTooLong(..)) => (Refusal::AuthUnavailable, broken.into()),
        };
        Err(Unauthenticated { refusal, error })
    }

    /// How many sessions have no connection any more, though a handler or a hook of theirs runs.
    pub(crate) fn outlived(&self) -> usize {
        self.slots.outlived()
    }

    /// The address of the client: the peer's, or what a trusted proxy says.
    pub(crate) fn client_address(&self, request: &Parts) -> Option<SocketAddr> {
        self.proxies.client(request)
    }
}

/// An identity that every backend can hold.
pub(crate) fn check(identity: Identity) -> Result<Identity, Unauthenticated> {
    if !identity.key().is_too_long() {
        return Ok(identity);
    }
    let limit = IdentityKey::MAX_BYTES;
    let error = format!("expected an identity of at most {limit} bytes; got a longer one");
    Err(Unauthenticated {
        refusal: Refusal::Unauthorized,
        error: error.into(),
    })
}
