//! The end of a session: what waits is written, and everybody lets go of it.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::future::join;
use realtime_core::{DisconnectInfo, Initiator};
use realtime_websocket::frame;

use super::{
    Session,
    dispatch::Dispatch,
    guarded::{Failed, guarded},
    live::Live,
};
use crate::{ErrorStage, lease, log::Chain, shared::Shared};

/// How long the rest of a peer's input is read after the close frame. Without that, TCP would
/// answer it with a reset, and the peer might never see the close frame.
const DRAIN: Duration = Duration::from_millis(500);

/// Ends what the session has begun, and takes it out of presence and the hub.
pub(super) async fn disconnect(shared: &Shared, live: &mut Live, info: &DisconnectInfo) {
    let by_client = info.initiator == Initiator::Client;
    let slow = info.initiator == Initiator::Backpressure;
    let session = live.session.clone();
    let lost = session.0.outbox.seal(close_frame(info), by_client || slow);
    if slow {
        shared.stats.dropped.add(lost as u64);
    }
    live.release();
    let Live {
        reader,
        dispatch,
        gone,
        ..
    } = live;
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
            tracing::debug!(target: crate::log_targets::MESSAGE, %error, "failed after the session closed");
        }
    })
}

fn close_frame(info: &DisconnectInfo) -> Bytes {
    match info.code {
        Some(code) => frame::close(code.as_u16(), &info.reason),
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

pub(super) async fn run_disconnect_hooks(
    shared: &Shared,
    session: &Session,
    info: &DisconnectInfo,
) {
    for hook in &shared.hooks.disconnect {
        let called = async { hook(shared.weak(), (session.clone(), info.clone())).await };
        if let Err(Failed::Refused(error) | Failed::Broken(error)) = guarded(shared, called).await {
            shared.report(ErrorStage::Hook, error, Some(session.clone()));
        }
    }
}
