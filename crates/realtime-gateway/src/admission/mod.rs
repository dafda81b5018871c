//! From an upgrade request to a decision: 101 or a refusal.
//!
//! ```text
//!   handshake ─► draining? ─► origin ─► its address's? ─► its turn ─► a place? ─► authenticate ─► one of its identity's?
//! ```

mod authentication;
mod body;
mod client_address;
mod handshake;
mod host;
mod origin;
mod origin_refusals;
mod refusal;
mod slots;
mod upgrade;

use std::{net::SocketAddr, sync::Arc};

use http::request::Parts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{dialects::DialectId, limits::Held};

pub(crate) use authentication::{Authentication, Unauthenticated, check};
pub use body::Body;
pub use client_address::PeerAddr;
pub(crate) use client_address::TrustedProxies;
pub(crate) use handshake::Handshake;
pub(crate) use origin::OriginPolicy;
use origin_refusals::OriginRefusals;
pub(crate) use refusal::Refusal;
pub(crate) use slots::{Slot, Slots};
pub use upgrade::Upgrade;

/// How many that were refused may be closed at the same time.
const FAREWELLS: usize = 1_000;

/// Who may connect, and how many at once.
#[derive(Debug)]
pub(crate) struct Admission {
    origin: OriginPolicy,
    origin_refusals: OriginRefusals,
    proxies: TrustedProxies,
    slots: Slots,
    farewells: Arc<Semaphore>,
}

/// A request that may be authenticated.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) handshake: Handshake,
    /// Its place. It is free again when this is dropped.
    pub(crate) slot: Slot,
    /// What else it holds.
    pub(crate) held: Held,
}

impl Admission {
    pub(crate) fn new(origin: OriginPolicy, proxies: TrustedProxies, slots: Slots) -> Self {
        Self {
            origin,
            origin_refusals: OriginRefusals::new(),
            proxies,
            slots,
            farewells: Arc::new(Semaphore::new(FAREWELLS)),
        }
    }

    /// Everything that can be said of a request by itself.
    pub(crate) fn look(
        &self,
        request: &Parts,
        named: impl Fn(&[u8]) -> Option<DialectId>,
        draining: bool,
    ) -> Result<Handshake, Refusal> {
        let handshake = Handshake::check(request, named)?;
        if draining {
            return Err(Refusal::Draining);
        }
        if !self.origin.allows(&handshake.host, &request.headers) {
            self.origin_refusals.log(&request.headers);
            return Err(Refusal::Origin);
        }
        Ok(handshake)
    }

    /// A place for one that is about to authenticate.
    pub(crate) fn enter(&self, handshake: Handshake, held: Held) -> Result<Admitted, Refusal> {
        let slot = self.slots.enter().ok_or(Refusal::Full)?;
        Ok(Admitted {
            handshake,
            slot,
            held,
        })
    }

    /// What it takes to refuse a request behind a 101, where it is a proper one and not of a page that
    /// may not connect: the handshake, and a place among those that are refused so.
    pub(crate) fn refuse_later(
        &self,
        request: &Parts,
        named: impl Fn(&[u8]) -> Option<DialectId>,
    ) -> Option<(Handshake, OwnedSemaphorePermit)> {
        let handshake = Handshake::check(request, named).ok()?;
        if !self.origin.allows(&handshake.host, &request.headers) {
            return None;
        }
        let place = Arc::clone(&self.farewells).try_acquire_owned().ok()?;
        Some((handshake, place))
    }

    /// How many are authenticating, or have not shown yet who they are.
    pub(crate) fn authenticating(&self) -> usize {
        self.slots.authenticating()
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

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    fn request(origin: Option<&'static str>) -> Parts {
        let request = Request::get("/")
            .header("host", "example.com")
            .header("upgrade", "websocket")
            .header("connection", "Upgrade")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let mut parts = request.body(()).unwrap().into_parts().0;
        if let Some(origin) = origin {
            let origin = HeaderValue::from_static(origin);
            parts.headers.insert("origin", origin);
        }
        parts
    }

    #[test]
    fn so_many_are_refused_behind_a_101_and_only_those_who_asked_properly() {
        let admission = Admission::new(
            OriginPolicy::new(&[], false).unwrap(),
            TrustedProxies::new(&[]).unwrap(),
            Slots::new(None, 1),
        );
        let refuse = |request: &Parts| admission.refuse_later(request, |_| None);
        let (proper, foreign) = (request(None), request(Some("https://evil.example")));
        assert!(refuse(&foreign).is_none());
        let mut keyless = request(None);
        keyless.headers.remove("sec-websocket-key");
        assert!(refuse(&keyless).is_none());
        let mut refused: Vec<_> = (0..FAREWELLS).map(|_| refuse(&proper).unwrap()).collect();
        assert!(refuse(&proper).is_none(), "there are {FAREWELLS}");
        refused.pop();
        assert!(refuse(&proper).is_some());
    }
}
