//! Who is let in, and when: what stands before the authenticator, and what behind it.

use std::net::IpAddr;

use http::request::Parts;
use realtime_core::{
    Identity,
    auth::{AuthError, Token},
    presence::Presence,
};

use super::{Gateway, speaking::Only};
use crate::{
    ErrorStage,
    admission::{Admitted, Handshake, Refusal, Unauthenticated},
    dialects::DialectId,
    health::Link,
    identities,
    limits::Held,
    node::Node,
};

impl Gateway {
    /// Everything before authentication. Who may not be there takes nobody's turn, and who waits for
    /// its own has a place of its address.
    pub(super) async fn admit(&self, request: &Parts) -> Result<Admitted, Refusal> {
        let handshake = self.look(request)?;
        let node = self.node();
        let address = self.address(request);
        let held = self.hold(address)?;
        let could = node.limits.could_authenticate(address);
        could.map_err(Refusal::TooManyFailures)?;
        if let Some(upgrades) = &node.limits.upgrades {
            let has_come = tokio::select! {
                biased;
                () = node.draining.cancelled() => return Err(Refusal::Draining),
                has_come = upgrades.turn() => has_come,
            };
            if !has_come {
                return Err(Refusal::TooManyUpgrades);
            }
        }
        self.admission().enter(handshake, held)
    }

    /// The same for one that its host has authenticated, and that waits for nothing.
    pub(super) fn admit_now(&self, request: &Parts) -> Result<Admitted, Refusal> {
        let handshake = self.look(request)?;
        let held = self.hold(self.address(request))?;
        let upgrades = self.node().limits.upgrades.as_ref();
        if upgrades.is_some_and(|upgrades| !upgrades.turn_now()) {
            return Err(Refusal::TooManyUpgrades);
        }
        self.admission().enter(handshake, held)
    }

    fn look(&self, request: &Parts) -> Result<Handshake, Refusal> {
        let leaving = self.node().is_draining();
        let named = |name: &[u8]| self.named(request, name);
        let deflater = self.node().env.dialects.deflater();
        self.admission().look(request, named, deflater, leaving)
    }

    /// The dialect of this name, where a client that has sent this may speak it.
    pub(super) fn named(&self, request: &Parts, name: &[u8]) -> Option<DialectId> {
        let named = self.node().env.dialects.named(name)?;
        let only = request.extensions.get::<Only>();
        only.is_none_or(|Only(dialect)| *dialect == named)
            .then_some(named)
    }

    fn hold(&self, address: Option<IpAddr>) -> Result<Held, Refusal> {
        let place = self.node().limits.at_address(address);
        Ok(Held {
            address: place.map_err(|_| Refusal::AddressFull)?,
            identity: None,
        })
    }

    pub(super) fn address(&self, request: &Parts) -> Option<IpAddr> {
        let address = self.admission().client_address(request);
        address.map(|address| address.ip())
    }
}

/// Who it is that has shown something at this address, as the one who is asked says; or why it is
/// refused, which counts there.
pub(super) async fn authenticated(
    node: &Node,
    address: Option<IpAddr>,
    asked: impl Future<Output = Result<Identity, Unauthenticated>>,
) -> Result<Identity, Refusal> {
    let tries = node.limits.authenticate(address);
    let tries = tries.map_err(Refusal::TooManyFailures)?;
    let identity = asked.await.map_err(|error| {
        identities::has_failed(node, address, error.refusal);
        identities::refused(node, error)
    })?;
    // Not before it is known whether it has failed.
    drop(tries);
    Ok(identity)
}

/// Who it is that has shown this in its first message, with a place among the sessions of its
/// identity. The error is for a text that is no token.
pub(super) async fn shown_first(
    node: &Node,
    held: &mut Held,
    address: Option<IpAddr>,
    token: Result<Token, AuthError>,
) -> Result<Identity, Refusal> {
    let asked = async {
        let token = token.map_err(|error| Unauthenticated {
            refusal: Refusal::Unauthorized,
            error: error.into(),
        })?;
        // Nothing else frees the place of a peer that has gone, since the end of its connection may
        // stand behind what it has sent.
        identities::of_token(node, token, Some(identities::longest_answer(node))).await
    };
    let entered = async {
        let identity = authenticated(node, address, asked).await?;
        count(node, held, &identity).await?;
        Ok(identity)
    };
    entered.await.inspect_err(|refusal: &Refusal| {
        if let Some(counter) = refusal.counter(node.stats()) {
            counter.add(1);
        }
    })
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
