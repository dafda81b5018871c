//! Somebody was refused for what they have shown, before they had a session.

use std::net::IpAddr;

use crate::{
    ErrorStage,
    admission::{Refusal, Unauthenticated},
    escape::Chain,
    limits::Failure,
    node::Node,
    quiet::drop_quietly,
};

/// Takes note that what somebody at this address has shown was wrong.
pub(crate) fn has_failed(node: &Node, address: Option<IpAddr>, refusal: Refusal) {
    if is_theirs(refusal) {
        let failure = match refusal {
            Refusal::Unauthorized => Failure::Guess,
            _ => Failure::Past,
        };
        node.limits.has_failed(address, failure);
    }
}

/// Reports it.
pub(crate) fn refused(node: &Node, unauthenticated: Unauthenticated) -> Refusal {
    let Unauthenticated { refusal, error } = unauthenticated;
    if is_theirs(refusal) && !node.reports.has_hooks() {
        // Anybody can cause it, and as often as they like.
        tracing::debug!(target: crate::log_targets::ADMISSION, error = %Chain(&*error), "unauthorized");
        drop_quietly(error);
    } else {
        node.report(ErrorStage::Authentication, error, None);
    }
    refusal
}

/// Whether it is the fault of the one who has shown it, and not the server's.
pub(super) fn is_theirs(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Expired | Refusal::Revoked | Refusal::Unauthorized
    )
}
