//! A client shows a fresh token.

use std::{sync::Arc, time::Duration};

use realtime_core::{BoxError, ClientError, auth::Token};

use super::{holds, of_token, rules};
use crate::{
    ErrorStage, Session,
    admission::{Refusal, Unauthenticated},
    node::Node,
    quiet::drop_quietly,
    session::EndCause,
};

/// Returns for how long it holds, where it ends.
pub(super) async fn show(
    node: &Arc<Node>,
    session: &Session,
    token: Token,
) -> Result<Option<Duration>, BoxError> {
    let identity = match of_token(node, token).await {
        Ok(identity) => identity,
        Err(Unauthenticated { refusal, error }) => {
            return Err(refused(node, session, refusal, error).into());
        }
    };
    if identity.key() != session.identity_key() {
        let reason = "the token is somebody else's";
        session.end(EndCause::Unauthorized(reason));
        return Err(ClientError::new("unauthorized", reason).into());
    }
    let left = holds(&identity);
    session.show_identity(identity);
    // Between the question to the store and this, a revocation looked at what it had shown before.
    if node.heard.applies_to(&session.identity()) {
        session.end(EndCause::Revoked);
        return Err(ClientError::new("unauthorized", "the token is not valid").into());
    }
    node.stats().authenticated_again.add(1);
    rules::ask_again(node, session).await;
    Ok(left)
}

/// What follows, and what the client is told.
fn refused(node: &Node, session: &Session, refusal: Refusal, error: BoxError) -> ClientError {
    match refusal {
        // What it has shown before holds for as long as it does.
        Refusal::Expired => {
            drop_quietly(error);
            ClientError::new("expired", "the token has ended; show a fresh one")
        }
        Refusal::Unauthorized | Refusal::Revoked => {
            node.report_client(ErrorStage::Authentication, error, session);
            session.end(match refusal {
                Refusal::Revoked => EndCause::Revoked,
                _ => EndCause::Unauthorized("the token is not valid"),
            });
            ClientError::new("unauthorized", "the token is not valid")
        }
        _ => {
            node.report(ErrorStage::Authentication, error, Some(session.clone()));
            let text = "whose the token is can't be found out now; try again";
            ClientError::new("unavailable", text).temporary()
        }
    }
}
