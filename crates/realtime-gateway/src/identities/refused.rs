//! Somebody was refused for what they have shown, before they had a session.

use crate::{
    ErrorStage,
    admission::{Refusal, Unauthenticated},
    escape::Chain,
    node::Node,
    quiet::drop_quietly,
};

/// Reports it.
pub(crate) fn refused(node: &Node, unauthenticated: Unauthenticated) -> Refusal {
    let Unauthenticated { refusal, error } = unauthenticated;
    let is_theirs = matches!(
        refusal,
        Refusal::Expired | Refusal::Revoked | Refusal::Unauthorized
    );
    if is_theirs && !node.reports.has_hooks() {
        // Anybody can cause it, and as often as they like.
        tracing::debug!(target: crate::log_targets::ADMISSION, error = %Chain(&*error), "unauthorized");
        drop_quietly(error);
    } else {
        node.report(ErrorStage::Authentication, error, None);
    }
    refusal
}
