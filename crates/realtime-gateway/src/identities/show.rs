//! A client shows a fresh token.

use std::{sync::Arc, time::Duration};

use realtime_core::{BoxError, ClientError, auth::Token};
use tokio::{sync::SemaphorePermit, time::timeout};

use super::{has_failed, holds, longest_answer, of_token, rules};
use crate::{
    ErrorStage, Session,
    admission::{Refusal, Unauthenticated},
    config::Rate,
    handling::client_error::{Mistake, Unavailable},
    limits::{Bucket, Moment},
    node::Node,
    quiet::drop_quietly,
    session::EndCause,
};

/// How often a client may show one. Each costs a signature, and where it says something else than the
/// one before, the rules of all rooms.
const SHOWS: Rate = Rate::per_second(1).with_burst(20);

/// What the client is told of a token that doesn't say who it is.
const INVALID: &str = "the token is not valid";

/// How often the client of a session has shown one: only those who do have it.
#[derive(Clone)]
struct Shows(Arc<Bucket>);

impl Default for Shows {
    fn default() -> Self {
        Self(Arc::new(Bucket::new(SHOWS)))
    }
}

/// Returns for how long it holds, where it ends.
pub(super) async fn show(
    node: &Arc<Node>,
    session: &Session,
    token: Token,
) -> Result<Option<Duration>, BoxError> {
    let Shows(shows) = session.extensions().get_or_default();
    if let Err(wait) = shows.take(1, Moment::now()) {
        let error = ClientError::new("too_many_requests", "you show tokens too often");
        return Err(Mistake(error.with_retry_after(wait)).into());
    }
    let address = session.remote_addr().map(|address| address.ip());
    // A turn first: who waits for one keeps nobody of its address from trying.
    let turn = turn(node).await.ok_or_else(unavailable)?;
    let tries = node.limits.authenticate(address).map_err(|wait| {
        node.stats().authentications_limited.add(1);
        ClientError::new("too_many_requests", "too many failures").with_retry_after(wait)
    })?;
    let shown = of_token(node, token, Some(longest_answer(node))).await;
    drop(turn);
    let identity = match shown {
        Ok(identity) => identity,
        Err(Unauthenticated { refusal, error }) => {
            has_failed(node, address, refusal);
            return Err(refused(node, session, refusal, error));
        }
    };
    if identity.key() != session.identity_key() {
        // Not that it is right, though somebody else's: that would say which guesses are.
        has_failed(node, address, Refusal::Unauthorized);
        session.end(EndCause::Unauthorized(INVALID));
        return Err(ClientError::new("unauthorized", INVALID).into());
    }
    drop(tries);
    session.show_identity(identity);
    // An end that the application has set may be an earlier one.
    let left = holds(&session.identity());
    // Between the question to the store and this, a revocation looked at what it had shown before.
    if node.heard.applies_to(&session.identity()) {
        session.end(EndCause::Revoked);
        return Err(ClientError::new("unauthorized", INVALID).into());
    }
    node.stats().authenticated_again.add(1);
    rules::ask_again(node, session).await;
    Ok(left)
}

/// No more are asked about at once than when they connect: all tokens may end at the same time.
/// `None` where it isn't its turn for as long as an answer may take.
async fn turn(node: &Node) -> Option<SemaphorePermit<'_>> {
    let turn = timeout(longest_answer(node), node.showing.acquire()).await;
    turn.ok()?.ok()
}

fn unavailable() -> Unavailable {
    Unavailable::new("whose the token is can't be found out now; try again")
}

/// What follows, and what the client is told.
fn refused(node: &Node, session: &Session, refusal: Refusal, error: BoxError) -> BoxError {
    match refusal {
        // What it has shown before holds for as long as it does.
        Refusal::Expired => {
            drop_quietly(error);
            ClientError::new("expired", "the token has ended; show a fresh one").into()
        }
        Refusal::Unauthorized | Refusal::Revoked => {
            node.report_client(ErrorStage::Authentication, error, session);
            session.end(match refusal {
                Refusal::Revoked => EndCause::Revoked,
                _ => EndCause::Unauthorized(INVALID),
            });
            ClientError::new("unauthorized", INVALID).into()
        }
        // It is reported as what the message failed of.
        _ => unavailable().because(error).into(),
    }
}
