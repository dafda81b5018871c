//! From an upgrade request to a decision: 101 or a refusal.
//!
//! ```text
//!   handshake ─► draining? ─► origin ─► its turn ─► a place? ─► authenticate ─► one of its identity's?
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

use std::net::SocketAddr;

use http::request::Parts;

use crate::limits::Held;

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

/// Who may connect, and how many at once.
#[derive(Debug)]
pub(crate) struct Admission {
    origin: OriginPolicy,
    origin_refusals: OriginRefusals,
    proxies: TrustedProxies,
    slots: Slots,
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
        }
    }

    /// Everything that can be said of a request by itself.
    pub(crate) fn look(
        &self,
        request: &Parts,
        protocol: &str,
        draining: bool,
    ) -> Result<Handshake, Refusal> {
        let handshake = Handshake::check(request, protocol)?;
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

    /// How many sessions have no connection any more, though a handler or a hook of theirs runs.
    pub(crate) fn outlived(&self) -> usize {
        self.slots.outlived()
    }

    /// The address of the client: the peer's, or what a trusted proxy says.
    pub(crate) fn client_address(&self, request: &Parts) -> Option<SocketAddr> {
        self.proxies.client(request)
    }
}
