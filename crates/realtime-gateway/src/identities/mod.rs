//! Who a client is: shown before its session begins or anew, changed, or no longer believed.

mod change;
mod refused;
pub(crate) mod revocation;
mod rules;
mod show;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures::{FutureExt, future::BoxFuture};
use http::request::Parts;
use realtime_core::{BoxError, Identity, auth::Token};

use crate::{
    Session,
    admission::{Refusal, Unauthenticated},
    metrics::Stamp,
    node::Node,
    quiet::drop_quietly,
    session::Gatekeeper,
};

pub(crate) use change::update;
pub(crate) use refused::{has_failed, refused};
pub(crate) use rules::tell_removed;

/// How long an answer about a token in a message may take where the configuration says nothing.
const LONGEST_ANSWER: Duration = Duration::from_secs(30);

/// Who has sent a request, as far as it is still believed.
///
/// The authenticator ends with the first token that it knows, and doesn't know what was revoked: where
/// the request may mean several, as by a stale cookie beside a fresh one, the others are asked about
/// before it is refused.
pub(crate) async fn of_request(node: &Node, request: &Parts) -> Result<Identity, Unauthenticated> {
    measured(node, asked_of_request(node, request)).await
}

async fn asked_of_request(node: &Node, request: &Parts) -> Result<Identity, Unauthenticated> {
    let refusal = match node.authentication.of_request(request).await {
        Ok(identity) => match revocation::check(node, identity).await {
            Err(revoked) if hides_others(revoked.refusal) => revoked,
            decided => return decided,
        },
        Err(over) if hides_others(over.refusal) => over,
        Err(other) => return Err(other),
    };
    let begun = Instant::now();
    let (limit, mut refusal) = (node.config.auth_timeout, refusal);
    for token in node.authentication.alternatives_in(request) {
        // All of them together are given no longer than one is.
        let left = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
        match asked_of_token(node, token, left).await {
            Err(other) if refused::is_theirs(other.refusal) => drop_quietly(other.error),
            // Nobody can say of this one: of another they may.
            Err(other) if other.refusal == Refusal::AuthUnavailable => {
                drop_quietly(std::mem::replace(&mut refusal, other).error);
            }
            decided => {
                drop_quietly(refusal.error);
                return decided;
            }
        }
    }
    Err(refusal)
}

/// Whether a token may be among those of a request that holds, though this is said of one of them.
fn hides_others(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::Revoked | Refusal::Expired)
}

/// Whose this token is, as far as it is still believed. The authenticator may take so long.
pub(crate) async fn of_token(
    node: &Node,
    token: Token,
    limit: Option<Duration>,
) -> Result<Identity, Unauthenticated> {
    measured(node, asked_of_token(node, token, limit)).await
}

async fn asked_of_token(
    node: &Node,
    token: Token,
    limit: Option<Duration>,
) -> Result<Identity, Unauthenticated> {
    let identity = node.authentication.of_token(token, limit).await?;
    revocation::check(node, identity).await
}

/// Measures how long it takes, and what comes of it.
async fn measured(
    node: &Node,
    asked: impl Future<Output = Result<Identity, Unauthenticated>>,
) -> Result<Identity, Unauthenticated> {
    let since = Stamp::now();
    let found = asked.await;
    let refused = found.as_ref().err().map(|error| error.refusal.name());
    node.metrics().authenticated(since, refused);
    found
}

/// How long an answer about a token in a message may take. Others may wait for its place, so there is
/// a limit also where requests have none.
pub(crate) fn longest_answer(node: &Node) -> Duration {
    node.config.auth_timeout.unwrap_or(LONGEST_ANSWER)
}

/// For how long what was shown holds, where it ends.
pub(crate) fn holds(identity: &Identity) -> Option<Duration> {
    let at = identity.expires_at()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}

impl Gatekeeper for Node {
    fn show(
        self: Arc<Self>,
        session: Session,
        token: Token,
    ) -> BoxFuture<'static, Result<Option<Duration>, BoxError>> {
        async move { show::show(&self, &session, token).await }.boxed()
    }

    fn ask_anew(self: Arc<Self>, session: Session) -> BoxFuture<'static, ()> {
        async move { rules::ask_anew(&self, &session).await }.boxed()
    }
}
