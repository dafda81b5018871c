//! What is revoked: remembered, heard of from other nodes, and asked for when somebody comes.

use std::time::SystemTime;

use realtime_core::{
    Identity,
    broker::envelope::Target,
    revocation::{Revocation, RevocationError, RevocationScope, Revocations},
};

use crate::{
    Session,
    admission::{Refusal, Unauthenticated},
    config::RevocationsDown,
    health::Link,
    heard::Table,
    node::Node,
    session::EndCause,
};

/// After how many sessions it lets other tasks have a turn.
const TURN: usize = 128;

/// Whether what somebody has shown is still believed.
pub(crate) async fn check(node: &Node, identity: Identity) -> Result<Identity, Unauthenticated> {
    let refused = |refusal, error| Err(Unauthenticated { refusal, error });
    if node.heard.applies_to(&identity) {
        return refused(Refusal::Revoked, "the credentials were revoked".into());
    }
    let admits = node.config.revocations_down == RevocationsDown::Admit;
    // Nobody waits for a store that is known to be away, where that changes nothing.
    if admits && matches!(node.revocations_link.link(), Link::Down { .. }) {
        node.stats().unchecked.add(1);
        return Ok(identity);
    }
    match node.revocations.is_revoked(&identity).await {
        Ok(false) => Ok(identity),
        Ok(true) => refused(Refusal::Revoked, "the credentials were revoked".into()),
        Err(error) if admits => {
            node.stats().unchecked.add(1);
            node.report(crate::ErrorStage::Authentication, error, None);
            Ok(identity)
        }
        Err(error) => refused(Refusal::AuthUnavailable, error.into()),
    }
}

/// Remembers it, for all nodes, for as long as what is revoked could live.
pub(crate) async fn remember(node: &Node, revocation: &Revocation) -> Result<(), RevocationError> {
    let now = SystemTime::now();
    let last = revocation.issued_before.max(now);
    let until = last.checked_add(node.config.longest_token);
    node.revocations
        .revoke(revocation, until.unwrap_or(last))
        .await
}

/// From here on nobody becomes a session with what is revoked, whatever the store has answered.
pub(crate) fn hear(node: &Node, revocation: &Revocation) {
    node.heard.add(revocation);
}

/// Closes the sessions of this node to which any of these applies. Returns how many.
pub(crate) async fn close(node: &Node, revocations: &[Revocation]) -> u64 {
    let table = Table::of(revocations);
    let mut closed = 0;
    let of_somebody = |revocation: &Revocation| match &revocation.scope {
        RevocationScope::Identity(key) => Some(key.clone()),
        _ => None,
    };
    let keys: Option<Vec<_>> = revocations.iter().map(of_somebody).collect();
    // All sessions are looked at once, and not at all where it is about a few.
    let sessions = match keys {
        Some(keys) => keys.iter().flat_map(|key| node.hub.of(key)).collect(),
        None => node.hub.select(&Target::All, &[]).await,
    };
    for sessions in sessions.chunks(TURN) {
        let is_meant = |session: &&Session| table.applies_to(&session.identity());
        let ended = sessions.iter().filter(is_meant);
        closed += ended
            .filter(|session| session.end(EndCause::Revoked))
            .count() as u64;
        tokio::task::yield_now().await;
        if node.stop.is_cancelled() {
            break;
        }
    }
    closed
}
