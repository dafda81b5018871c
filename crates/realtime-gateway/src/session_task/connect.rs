//! The beginning of a session: presence and the connect hooks.

use std::future::{Future, poll_fn};

use super::{crowd::settle, open::Open};
use crate::{
    ErrorStage,
    config::ConnectionPolicy,
    escape::Chain,
    hook_call::{Failed, call_hook},
    node::Node,
    session::EndCause,
};

/// Presence, then the hooks. Returns whether the session is fully connected; if not, it is
/// closing.
pub(super) async fn connect(node: &Node, open: &mut Open) -> bool {
    let session = open.session.clone();
    let registered = while_writing(open, node.registry.register(session.info())).await;
    let is_registered = registered.is_ok();
    if let Err(error) = registered {
        if node.config.require_presence {
            session.end(EndCause::PresenceUnavailable(error.into()));
            return false;
        }
        node.report(ErrorStage::Presence, error, Some(session.clone()));
        // It is tried again soon.
        node.registry.register_later(session.id());
    }
    let limits = &node.config.limits;
    let is_limited = limits.max_connections_per_identity.is_some();
    // Who isn't let in takes nobody's place.
    let is_last = limits.connection_policy == ConnectionPolicy::CloseOldest;
    if is_limited && !is_last {
        while_writing(open, settle(node, &session, is_registered)).await;
    }
    for (ran, hook) in node.hooks.connect.iter().enumerate() {
        if session.is_closed() {
            return ran > 0;
        }
        let called = async { hook(node.host(), session.clone()).await };
        let cause = match while_writing(open, call_hook(node, called)).await {
            Ok(()) => continue,
            Err(Failed::Refused(error)) => {
                let shown = Chain(&*error);
                tracing::debug!(
                    target: crate::log_targets::SESSION, session = %session.id(), error = %shown, "refused",
                );
                EndCause::Refused(error)
            }
            Err(Failed::Broken(broken)) => EndCause::ConnectFailed(broken),
        };
        session.end(cause);
        return false;
    }
    if is_limited && is_last && !session.is_closed() {
        while_writing(open, settle(node, &session, is_registered)).await;
    }
    true
}

/// Drives something while what waits for the peer is written, and nothing is read.
async fn while_writing<T>(open: &mut Open, what: impl Future<Output = T>) -> T {
    tokio::pin!(what);
    poll_fn(|cx| {
        open.pump(cx);
        what.as_mut().poll(cx)
    })
    .await
}
