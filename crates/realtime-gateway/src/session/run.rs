//! A session from its first moment to its last.
//!
//! ```text
//!   hub ─► presence ─► on_connect ─► live … first cause of an end
//!     ─► what waits is written ─► close frame ─► presence out ─► hub out ─► on_disconnect
//! ```

use std::{
    future::poll_fn,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::SeqCst},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, future::join};
use hyper::upgrade::Upgraded;
use realtime_core::{BoxError, CloseCode, DisconnectInfo, Identity, Initiator, presence::Presence};
use realtime_websocket::{Decoder, Limits, Role, frame};

use tracing::Instrument;

use super::{Session, dispatch::Dispatch, live::Live, read::FrameReader};
use crate::{
    ErrorStage, admission::Slot, lease, log::Chain, middleware::panicked, shared::Shared, transport,
};

/// How long the rest of a peer's input is read after the close frame. Without that, TCP would
/// answer it with a reset, and the peer might never see the close frame.
const DRAIN: Duration = Duration::from_millis(500);

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
    let live = Box::new(Live::new(session, reader, dispatch));
    let tasks = shared.tasks.clone();
    let shared = Arc::clone(shared);
    // So that what handlers and hooks log says whose it is.
    let span = tracing::info_span!(
        target: "realtime::session", parent: None, "session", id = %live.session.id(),
    );
    let life = async move {
        let session = live.session.clone();
        let running = pin!(run(&shared, live));
        if unless_aborted(&shared, running).await.is_none() {
            Box::pin(aborted(&shared, &session)).await;
        }
        drop(slot);
    };
    tasks.spawn(life.instrument(span));
}

/// Runs something until its end, or until the shutdown deadline.
///
/// What runs is pinned by the caller, since an argument would be kept twice.
async fn unless_aborted<F: Future>(shared: &Shared, mut running: Pin<&mut F>) -> Option<F::Output> {
    let mut aborted = pin!(shared.abort.cancelled());
    let mut registered = false;
    poll_fn(|cx| {
        // Once it will wake this task, it is looked at only when it has something to say: its
        // lock is shared by all sessions.
        let look = !std::mem::replace(&mut registered, true) || shared.aborting.load(SeqCst);
        if look && aborted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        running.as_mut().poll(cx).map(Some)
    })
    .await
}

/// The shutdown deadline has passed while the session was still closing.
async fn aborted(shared: &Shared, session: &Session) {
    shared.stats.aborted.add(1);
    session.0.outbox.release();
    shared.hub.remove(session);
    let out = lease::unregister(shared, session);
    if tokio::time::timeout(Duration::from_secs(1), out)
        .await
        .is_err()
    {
        tracing::warn!(
            target: "realtime::presence",
            session = %session.id(), "presence did not answer; the lease will end",
        );
    }
}

/// The phases that don't last are boxed: a session is idle for most of its life, and its task then
/// takes no more memory than it needs.
async fn run(shared: &Shared, mut live: Box<Live>) {
    let session = live.session.clone();
    tracing::debug!(target: "realtime::session", "connected");
    shared.stats.opened.add(1);
    shared.hub.insert(session.clone());
    if shared.is_draining() {
        session.end(going_away());
    }
    let connected = Box::pin(connect(shared, &mut live)).await;
    let lived = AssertUnwindSafe(poll_fn(|cx| live.poll(cx)))
        .catch_unwind()
        .await;
    if let Err(panic) = lived {
        // Not a handler's: those are caught one by one. A codec's, or our own.
        let info = DisconnectInfo::new(
            Initiator::Error,
            Some(CloseCode::INTERNAL_ERROR),
            "the session's task panicked",
        );
        session.end_counted(&shared.stats.panics, info.with_error(panicked(panic)));
    }
    let info = session.close_info().unwrap_or_else(going_away);
    Box::pin(disconnect(shared, &mut live, &info)).await;
    drop(live);
    session.0.outbox.release();
    if connected {
        Box::pin(run_disconnect_hooks(shared, &session, &info)).await;
    }
    shared.stats.closed.add(1);
    tracing::debug!(
        target: "realtime::session",
        initiator = %info.initiator, code = ?info.code, "disconnected",
    );
    if !info.expected {
        let error = Disconnected(info.clone());
        shared.report(ErrorStage::Disconnect, error, Some(session));
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

/// Presence, then the hooks. Returns whether the session is fully connected; if not, it is
/// closing.
async fn connect(shared: &Shared, live: &mut Live) -> bool {
    let session = live.session.clone();
    let ttl = shared.config.presence_ttl;
    let info = [session.info()];
    let registered = while_writing(live, shared.presence.register(&info, ttl)).await;
    if let Err(error) = registered {
        if shared.config.require_presence {
            let code = Some(CloseCode::TRY_AGAIN_LATER);
            let info = DisconnectInfo::new(Initiator::Error, code, "presence is unavailable");
            session.end_counted(&shared.stats.connects_refused, info.with_error(error));
            return false;
        }
        shared.report(ErrorStage::Presence, error, Some(session.clone()));
        lease::register_later(shared);
    }
    for (ran, hook) in shared.hooks.connect.iter().enumerate() {
        if session.is_closed() {
            return ran > 0;
        }
        let called = async { hook(shared.weak(), session.clone()).await };
        match while_writing(live, guarded(shared, called)).await {
            Ok(()) => {}
            Err(Failed::Refused(error)) => {
                let code = Some(CloseCode::POLICY_VIOLATION);
                let info = DisconnectInfo::new(Initiator::Server, code, "refused");
                session.end_counted(&shared.stats.connects_refused, info.with_error(error));
                return false;
            }
            Err(Failed::Broken(error)) => {
                let code = Some(CloseCode::INTERNAL_ERROR);
                let reason = "the connect hook failed";
                let info = DisconnectInfo::new(Initiator::Error, code, reason);
                session.end_counted(&shared.stats.connects_refused, info.with_error(error));
                return false;
            }
        }
    }
    true
}

/// Drives something while what waits for the peer is written, and nothing is read.
async fn while_writing<T>(live: &mut Live, what: impl Future<Output = T>) -> T {
    tokio::pin!(what);
    poll_fn(|cx| {
        live.pump(cx);
        what.as_mut().poll(cx)
    })
    .await
}

enum Failed {
    /// The hook said no.
    Refused(BoxError),
    /// The hook panicked or took too long.
    Broken(BoxError),
}

/// A hook that neither panics into us nor hangs.
async fn guarded(
    shared: &Shared,
    hook: impl Future<Output = Result<(), BoxError>>,
) -> Result<(), Failed> {
    let hook = AssertUnwindSafe(hook).catch_unwind();
    let ran = match shared.config.hook_timeout {
        Some(limit) => tokio::time::timeout(limit, hook).await.map_err(|_| {
            shared.stats.hooks_abandoned.add(1);
            Failed::Broken(format!("the hook took longer than {limit:?}").into())
        })?,
        None => hook.await,
    };
    match ran {
        Ok(result) => result.map_err(Failed::Refused),
        Err(panic) => Err(Failed::Broken(panicked(panic))),
    }
}

async fn disconnect(shared: &Shared, live: &mut Live, info: &DisconnectInfo) {
    let by_client = info.initiator == Initiator::Client;
    let slow = info.initiator == Initiator::Backpressure;
    let session = live.session.clone();
    let lost = session.0.outbox.seal(close_frame(info), by_client || slow);
    if slow {
        shared.stats.dropped.add(lost as u64);
    }
    let Live {
        reader,
        dispatch,
        gone,
        ..
    } = live;
    reader.release();
    let socket_and_books = async {
        let writable = !*gone && write_out(shared, &session).await;
        let drained = async {
            if writable {
                let drain = poll_fn(|cx| reader.poll_drain(cx));
                let _timed_out = tokio::time::timeout(DRAIN, drain).await.is_err();
            }
        };
        let books = async {
            if let Err(error) = lease::unregister(shared, &session).await {
                // The lease ends it.
                shared.report(ErrorStage::Presence, error, Some(session.clone()));
            }
            shared.hub.remove(&session);
        };
        join(drained, books).await;
    };
    dispatch.forget_waiting();
    // A handler runs to its end: it is not cut in half because its client has left.
    let handler = poll_fn(|cx| {
        if dispatch.is_idle() {
            Poll::Ready(())
        } else {
            finish(dispatch, cx)
        }
    });
    join(socket_and_books, handler).await;
}

fn finish(dispatch: &mut Dispatch, cx: &mut Context<'_>) -> Poll<()> {
    dispatch.poll(cx).map(|done| {
        if let Err(error) = done.result {
            let error = Chain(&*error);
            tracing::debug!(target: "realtime::message", %error, "failed after the session closed");
        }
    })
}

fn close_frame(info: &DisconnectInfo) -> Bytes {
    match info.code {
        Some(code) => frame::close(
            realtime_websocket::CloseCode::new(code.as_u16()),
            &info.reason,
        ),
        None => frame::close_without_code(),
    }
}

/// Writes what waits, the close frame last, and ends our direction. Returns whether it worked.
async fn write_out(shared: &Shared, session: &Session) -> bool {
    let outbox = &session.0.outbox;
    let flushed = poll_fn(|cx| session.poll_write(cx));
    let written =
        async { flushed.await.is_ok() && poll_fn(|cx| outbox.poll_shutdown(cx)).await.is_ok() };
    match shared.config.write_timeout {
        Some(limit) => tokio::time::timeout(limit, written).await.unwrap_or(false),
        None => written.await,
    }
}

async fn run_disconnect_hooks(shared: &Shared, session: &Session, info: &DisconnectInfo) {
    for hook in &shared.hooks.disconnect {
        let called = async { hook(shared.weak(), (session.clone(), info.clone())).await };
        if let Err(Failed::Refused(error) | Failed::Broken(error)) = guarded(shared, called).await {
            shared.report(ErrorStage::Hook, error, Some(session.clone()));
        }
    }
}
