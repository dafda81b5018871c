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

use crate::{
    compression::Deflater,
    dialects::DialectId,
    limits::{Held, Network, Place, Places},
};

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
/// Of these, how many of one address: who is refused there because of what it does would otherwise have
/// as many connections by it, and take the code from everybody else.
const FAREWELLS_OF_ONE: usize = 16;
/// And how many of one site of IPv6, which has 65,536 networks that count as addresses.
const FAREWELLS_OF_A_SITE: usize = 64;

/// Who may connect, and how many at once.
#[derive(Debug)]
pub(crate) struct Admission {
    origin: OriginPolicy,
    origin_refusals: OriginRefusals,
    proxies: TrustedProxies,
    slots: Slots,
    farewells: Arc<Semaphore>,
    farewells_of_one: Arc<Places<Network>>,
    farewells_of_a_site: Arc<Places<Network>>,
}

/// A place among those that were refused and are closed.
#[derive(Debug)]
pub(crate) struct Farewelled {
    _of_all: OwnedSemaphorePermit,
    /// Where its address is known.
    _of_one: Option<Place<Network>>,
    /// Where that is one of IPv6.
    _of_its_site: Option<Place<Network>>,
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
            origin_refusals: OriginRefusals::default(),
            proxies,
            slots,
            farewells: Arc::new(Semaphore::new(FAREWELLS)),
            farewells_of_one: Places::new(FAREWELLS_OF_ONE),
            farewells_of_a_site: Places::new(FAREWELLS_OF_A_SITE),
        }
    }

    /// Everything that can be said of a request by itself.
    pub(crate) fn look(
        &self,
        request: &Parts,
        named: impl Fn(&[u8]) -> Option<DialectId>,
        deflater: &Deflater,
        draining: bool,
    ) -> Result<Handshake, Refusal> {
        let handshake = Handshake::check(request, named, deflater)?;
        if draining {
            return Err(Refusal::Draining);
        }
        if !self.origin.allows(&handshake.host, &request.headers) {
            self.origin_refusals.log(request);
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
    ) -> Option<(Handshake, Farewelled)> {
        // There is nothing to be compressed.
        let handshake = Handshake::check(request, named, &Deflater::default()).ok()?;
        if !self.origin.allows(&handshake.host, &request.headers) {
            return None;
        }
        let network = self
            .client_address(request)
            .map(|address| Network::from(address.ip()));
        let of_one = match network {
            Some(network) => Some(self.farewells_of_one.enter(network)?),
            None => None,
        };
        let of_its_site = match network.and_then(Network::site) {
            Some(site) => Some(self.farewells_of_a_site.enter(site)?),
            None => None,
        };
        let place = Farewelled {
            _of_all: Arc::clone(&self.farewells).try_acquire_owned().ok()?,
            _of_one: of_one,
            _of_its_site: of_its_site,
        };
        Some((handshake, place))
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

    fn admission() -> Admission {
        Admission::new(
            OriginPolicy::new(&[], false).unwrap(),
            TrustedProxies::new(&[]).unwrap(),
            Slots::new(None, 1),
        )
    }

    #[test]
    fn so_many_are_refused_behind_a_101_and_only_those_who_asked_properly() {
        let admission = admission();
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

    #[test]
    fn one_address_takes_them_from_nobody_else() {
        let admission = admission();
        let from = |address: [u8; 4]| {
            let mut request = request(None);
            let address = SocketAddr::from((address, 5_000));
            request.extensions.insert(PeerAddr(address));
            admission.refuse_later(&request, |_| None)
        };
        let one = [10, 0, 0, 1];
        let mut refused: Vec<_> = (0..FAREWELLS_OF_ONE).map(|_| from(one).unwrap()).collect();
        assert!(from(one).is_none());
        assert!(from([10, 0, 0, 2]).is_some());
        refused.pop();
        assert!(from(one).is_some());
    }

    #[test]
    fn one_site_takes_them_from_nobody_else_with_all_its_networks() {
        let admission = admission();
        let from = |site: u16, network: u16| {
            let mut request = request(None);
            let address = [0x2001, 0xdb8, site, network, 0, 0, 0, 1];
            let address = SocketAddr::from((address, 5_000));
            request.extensions.insert(PeerAddr(address));
            admission.refuse_later(&request, |_| None)
        };
        let networks = 0..FAREWELLS_OF_A_SITE as u16;
        let mut refused: Vec<_> = networks.map(|n| from(1, n).unwrap()).collect();
        assert!(from(1, 1_000).is_none());
        assert!(from(2, 1_000).is_some());
        refused.pop();
        assert!(from(1, 1_000).is_some());
    }
}
