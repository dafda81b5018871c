//! A session from its first moment to its last.
//!
//! ```text
//!   hub ─► presence ─► on_connect ─► live … first cause of an end
//!     ─► what waits is written ─► close frame ─► presence out ─► hub out ─► on_disconnect
//! ```

use std::{
    any::Any,
    future::{Future, poll_fn},
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use hyper::upgrade::Upgraded;
use realtime_core::{CloseCode, DisconnectInfo, Identity, Initiator};
use realtime_websocket::{Decoder, Limits, Role};
use tracing::Instrument;

use super::{
    Session,
    connect::connect,
    disconnect::{disconnect, run_disconnect_hooks},
    dispatch::Dispatch,
    live::Live,
    read::FrameReader,
};
use crate::{ErrorStage, admission::Slot, lease, middleware::panicked, shared::Shared, transport};

/// How long presence may take for a session that is cut off.
const CUT_OFF: Duration = Duration::from_secs(1);

/// Runs a session in a task that the gateway owns.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    slot: Slot,
    upgraded: Upgraded,
    identity: Identity,
    remote_addr: Option<SocketAddr>,
) {
    let (reader, writer, read) = transport::recover(upgraded);
    let limits = Limits::default().with_message(shared.config.read_limit);
    let decoder = Decoder::new(Role::Server, limits);
    let reader = FrameReader::new(reader, &read, decoder, Arc::clone(&shared.assembly_budget));
    let session = Session::new(Arc::clone(shared), identity, remote_addr, writer);
    let dispatch = Dispatch::new(shared.new_stack());
    // So that what handlers and hooks log says whose it is.
    let span = tracing::info_span!(
        target: crate::log_targets::SESSION, parent: None, "session", id = %session.id(),
    );
    let mut live = Box::new(Live::new(session.clone(), reader, dispatch));
    let life = Life {
        session,
        _slot: slot,
    };
    // The phases that don't last are boxed: a session is idle for most of its life, and its task
    // then takes no more memory than it needs.
    let phases = async move {
        let connected = Box::pin(begin(&mut live)).await;
        let lived = AssertUnwindSafe(poll_fn(|cx| live.poll(cx)))
            .catch_unwind()
            .await;
        Box::pin(end(live, connected, lived.err())).await;
        drop(life);
    };
    shared.tasks.spawn(phases.instrument(span));
}

/// What a session's task holds. Its end is the session's, also when the runtime drops the task.
struct Life {
    session: Session,
    _slot: Slot,
}

impl Drop for Life {
    fn drop(&mut self) {
        let shared = &self.session.0.shared;
        if shared.hub.remove(&self.session) {
            shared.stats.aborted.add(1);
            self.session.0.outbox.release();
            self.session.end(going_away());
        }
    }
}

/// Returns whether the session is fully connected; if not, it is closing.
async fn begin(live: &mut Live) -> bool {
    let session = live.session.clone();
    let shared = &session.0.shared;
    tracing::debug!(target: crate::log_targets::SESSION, "connected");
    shared.stats.opened.add(1);
    shared.hub.insert(session.clone());
    if shared.is_draining() {
        session.end(going_away());
    }
    let connected = unless_aborted(shared, connect(shared, live)).await;
    connected.unwrap_or(false)
}

async fn end(live: Box<Live>, connected: bool, panic: Option<Box<dyn Any + Send>>) {
    let session = live.session.clone();
    let shared = &session.0.shared;
    if let Some(panic) = panic {
        // Not a handler's: those are caught one by one. A codec's, or our own.
        let info = DisconnectInfo::new(
            Initiator::Error,
            Some(CloseCode::INTERNAL_ERROR),
            "the session's task panicked",
        );
        session.end_counted(&shared.stats.panics, info.with_error(panicked(panic)));
    }
    let ended = unless_aborted(shared, close(shared, live, connected)).await;
    if ended.is_none() {
        aborted(shared, &session).await;
    }
}

async fn close(shared: &Shared, mut live: Box<Live>, connected: bool) {
    let session = live.session.clone();
    let info = session.close_info().unwrap_or_else(going_away);
    disconnect(shared, &mut live, &info).await;
    drop(live);
    session.0.outbox.release();
    if connected {
        run_disconnect_hooks(shared, &session, &info).await;
    }
    shared.stats.closed.add(1);
    tracing::debug!(
        target: crate::log_targets::SESSION,
        initiator = %info.initiator, code = ?info.code, "disconnected",
    );
    if !info.expected {
        let error = Disconnected(info);
        shared.report(ErrorStage::Disconnect, error, Some(session));
    }
}

/// Runs something until its end, or until the shutdown deadline.
///
/// An open session needs no such watch: the shutdown has ended it before.
async fn unless_aborted<T>(shared: &Shared, running: impl Future<Output = T>) -> Option<T> {
    shared.abort.run_until_cancelled(running).await
}

/// The shutdown deadline has passed while the session was still closing.
async fn aborted(shared: &Shared, session: &Session) {
    shared.stats.aborted.add(1);
    session.0.outbox.release();
    shared.hub.remove(session);
    let out = lease::unregister(shared, session);
    if tokio::time::timeout(CUT_OFF, out).await.is_err() {
        tracing::warn!(
            target: crate::log_targets::PRESENCE,
            session = %session.id(), "presence did not answer; the lease will end",
        );
    }
}

/// A session that ended in an unexpected way, as the error hook hears of it.
#[derive(Debug, thiserror::Error)]
#[error("the session was {0}")]
struct Disconnected(DisconnectInfo);

pub(crate) fn going_away() -> DisconnectInfo {
    let reason = "the server is shutting down";
    DisconnectInfo::new(Initiator::Shutdown, Some(CloseCode::GOING_AWAY), reason)
}
