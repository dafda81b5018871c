//! Who is let in, and when: what stands before the authenticator, and what behind it.

use std::net::IpAddr;

use http::request::Parts;
use realtime_core::{Identity, presence::Presence};

use super::Gateway;
use crate::{
    ErrorStage,
    admission::{Admitted, Handshake, Refusal},
    health::Link,
    limits::Held,
    node::Node,
};

impl Gateway {
    /// Everything before authentication, its turn among the upgrades first.
    pub(super) async fn admit(&self, request: &Parts) -> Result<Admitted, Refusal> {
        let handshake = self.look(request)?;
        if let Some(upgrades) = &self.node().limits.upgrades
            && !upgrades.turn().await
        {
            return Err(Refusal::TooManyUpgrades);
        }
        self.enter(handshake, self.address(request))
    }

    /// The same for one that its host has authenticated, and that waits for nothing.
    pub(super) fn admit_now(&self, request: &Parts) -> Result<Admitted, Refusal> {
        let handshake = self.look(request)?;
        let upgrades = self.node().limits.upgrades.as_ref();
        if upgrades.is_some_and(|upgrades| !upgrades.turn_now()) {
            return Err(Refusal::TooManyUpgrades);
        }
        self.enter(handshake, self.address(request))
    }

    fn look(&self, request: &Parts) -> Result<Handshake, Refusal> {
        let node = self.node();
        let protocol = node.env.encoder.name();
        self.admission().look(request, protocol, node.is_draining())
    }

    fn enter(&self, handshake: Handshake, address: Option<IpAddr>) -> Result<Admitted, Refusal> {
        let place = self.node().limits.at_address(address);
        let held = Held {
            address: place.map_err(|_| Refusal::AddressFull)?,
            identity: None,
        };
        self.admission().enter(handshake, held)
    }

    pub(super) fn address(&self, request: &Parts) -> Option<IpAddr> {
        let address = self.admission().client_address(request);
        address.map(|address| address.ip())
    }
}

/// Whether what somebody at this address shows is looked at.
pub(super) fn may_show(node: &Node, address: Option<IpAddr>) -> Result<(), Refusal> {
    let allowed = node.limits.may_authenticate(address);
    allowed.map_err(Refusal::TooManyFailures)
}

/// Takes note that what somebody at this address has shown was wrong.
pub(super) fn has_failed(node: &Node, address: Option<IpAddr>, refusal: Refusal) {
    if matches!(refusal, Refusal::Unauthorized) {
        node.limits.has_failed(address);
    }
}

/// A place among the sessions of its identity, on all nodes.
pub(super) async fn count(
    node: &Node,
    held: &mut Held,
    identity: &Identity,
) -> Result<(), Refusal> {
    count_here(node, held, identity)?;
    let most = node.config.limits.max_connections_per_identity;
    let (Some(place), Some(most)) = (&held.identity, most) else {
        return Ok(());
    };
    if matches!(node.registry.link.link(), Link::Down { .. }) {
        return Ok(());
    }
    match node.registry.presence.nodes(identity.key()).await {
        Ok(nodes) => {
            let others = nodes.iter().filter(|on| node.may_hold_sessions(&on.node));
            let elsewhere = others.map(|on| on.sessions).fold(0, u64::saturating_add);
            let all = elsewhere.saturating_add(place.count as u64);
            if all > most as u64 {
                return Err(Refusal::IdentityFull);
            }
        }
        // Then only those that are here count.
        Err(error) => node.report(ErrorStage::Presence, error, None),
    }
    Ok(())
}

/// The same, as far as this node knows by itself.
pub(super) fn count_here(node: &Node, held: &mut Held, identity: &Identity) -> Result<(), Refusal> {
    let place = node.limits.of_identity(identity.key());
    held.identity = place.map_err(|_| Refusal::IdentityFull)?;
    Ok(())
}
