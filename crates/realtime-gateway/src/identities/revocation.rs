//! What is revoked: remembered, heard of from other nodes, and asked for when somebody comes.

use std::time::{Duration, SystemTime};

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
/// For how much longer than a token lives it is remembered that it was revoked: authenticators accept
/// it for that long after its end, since clocks differ. 10 minutes, the longest leeway of a JWT.
const ACCEPTED_LONGER: Duration = Duration::from_secs(600);

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

/// Remembers it, for all nodes, for as long as what is revoked could be accepted.
pub(crate) async fn remember(node: &Node, revocation: &Revocation) -> Result<(), RevocationError> {
    let until = accepted_until(revocation, node.config.longest_token, SystemTime::now());
    node.revocations.revoke(revocation, until).await
}

/// When the last of the tokens to which it applies is accepted no more.
fn accepted_until(revocation: &Revocation, longest_token: Duration, now: SystemTime) -> SystemTime {
    let last = revocation.issued_before.max(now);
    let until = last.checked_add(longest_token.saturating_add(ACCEPTED_LONGER));
    until.unwrap_or(last)
}

/// From here on nobody becomes a session with what is revoked, whatever the store has answered.
pub(crate) fn hear(node: &Node, revocations: &[Revocation]) {
    node.heard.add(revocations);
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

#[cfg(test)]
mod tests {
    use realtime_core::IdentityKey;

    use super::*;

    #[test]
    fn it_is_remembered_for_longer_than_the_leeway_of_what_it_applies_to() {
        let (now, minute) = (SystemTime::now(), Duration::from_secs(60));
        let of = |before| Revocation::identity(IdentityKey::new("ada"), before);
        for (revocation, last) in [
            (of(now - minute * 60), now),
            (of(now), now),
            (of(now + minute), now + minute),
        ] {
            let until = accepted_until(&revocation, minute * 15, now);
            assert_eq!(until, last + minute * 25);
        }
        assert_eq!(accepted_until(&of(now), Duration::MAX, now), now);
    }
}
