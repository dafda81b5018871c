//! The end of a session: what waits is written, and the session leaves presence and the hub.

use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::join};
use realtime_core::{CloseCode, DisconnectInfo, Initiator, patient};

use super::{
    Life, frame_reader::FrameReader, handling::Handling, last_words::last_words, open::Open,
};
use crate::{
    ErrorStage, Session,
    budget::Share,
    escape::Chain,
    guarded::{Whose, guarded},
    handling::client_error,
    hook_call::{Failed, call_hook},
    metrics::{Received, Size},
    node::Node,
    quiet::drop_quietly,
    transport::Lost,
};

/// How long a peer that has nothing more to say may take to answer our close frame, or to end the
/// connection after it.
const SILENCE: Duration = Duration::from_secs(1);
/// How long one that still sends may take. Unless that is read, TCP would answer what it sends
/// with a reset, and the peer might never see the close frame.
const GOODBYE: Duration = Duration::from_secs(3);
/// How long a peer may take nothing of what is left for it, where there is no write timeout.
const STANDSTILL: Duration = Duration::from_secs(10);

/// Ends what the session has begun, and removes it from presence and the hub.
pub(super) async fn disconnect(
    node: &Node,
    open: &mut Open,
    info: &DisconnectInfo,
    life: &mut Life,
) {
    let slow = info.initiator == Initiator::Backpressure;
    let session = open.session.clone();
    let close = last_words(node, &session, info);
    session.count_discarded(session.outbox().seal(close, slow));
    let Open {
        reader,
        handling,
        gone,
        peer_is_done,
        conduct,
        ..
    } = open;
    let goodbye = async {
        let goodbye = async {
            let lost = match *gone {
                Some(lost) => Some(lost),
                None => match write_out(node, &session, info).await {
                    Written::All => {
                        let answered = say_goodbye(&session, reader, *peer_is_done).await;
                        (!answered && is_silent(info)).then_some(Lost::Silent)
                    }
                    // One for which everything else was given up already never sees the end of it.
                    Written::Some => slow.then_some(Lost::Gone),
                    Written::Nothing => Some(Lost::Silent),
                    Written::Failed => Some(Lost::Gone),
                },
            };
            // What a peer that was lost hasn't taken, the kernel would keep for minutes.
            if let Some(lost) = lost {
                session.outbox().reset_when_released(lost);
            }
        };
        // What of it is foreign has a boundary of its own. This is for what nobody has thought of.
        let said = guarded(Whose::SessionTask, None, goodbye).await;
        // Nobody has kept how long they were.
        let discarded = reader.discarded().into();
        node.received(Received::Unhandled, discarded, Size::default());
        // The connection ends here, and not when its handler does, which may be long after.
        reader.hang_up();
        session.release();
        said
    };
    let presence = async {
        if let Err(error) = node.registry.unregister(&session).await {
            // It is tried again, until its lease has ended.
            node.report(ErrorStage::Presence, error, Some(session.clone()));
        }
    };
    let gone = async {
        let (said, ()) = join(goodbye, presence).await;
        life.membership.leave();
        life.slot.outlive();
        if let Some(conduct) = conduct {
            conduct.free();
        }
        said
    };
    // A handler runs to its end: it is not cut in half because its client has left.
    let handler = poll_fn(|cx| {
        if handling.is_idle() {
            Poll::Ready(())
        } else {
            finish(node, &session, handling, cx)
        }
    });
    let (said, ()) = join(gone, handler).await;
    if let Err(broken) = said {
        node.report(ErrorStage::Message, broken, Some(session));
    }
}

fn finish(
    node: &Node,
    session: &Session,
    handling: &mut Handling,
    cx: &mut Context<'_>,
) -> Poll<()> {
    handling.poll(cx).map(|done| {
        let traced = handling.take_traced();
        node.metrics()
            .handled(&done.timing, || client_error::outcome(&done.result));
        if let Err(error) = done.result {
            node.stats().failed.add(1);
            let panicked = done.panicked;
            traced.failed(|| client_error::for_trace(&error, panicked));
            let shown = Chain(&*error);
            tracing::debug!(
                target: crate::log_targets::MESSAGE, session = %session.id(), error = %shown,
                "failed after the session closed",
            );
            drop_quietly(error);
        }
    })
}

/// Whether the peer was found to be silent before.
fn is_silent(info: &DisconnectInfo) -> bool {
    info.initiator == Initiator::Error && info.code == Some(CloseCode::PONG_TIMEOUT)
}

/// What a peer has taken of what was left for it.
enum Written {
    All,
    Some,
    Nothing,
    /// The connection has failed.
    Failed,
}

/// Writes what waits, the close frame last.
async fn write_out(node: &Node, session: &Session, info: &DisconnectInfo) -> Written {
    let report = |broken| node.report(ErrorStage::Message, broken, Some(session.clone()));
    let mut written = pin!(poll_fn(|cx| session.poll_write_rest(cx, report)));
    let progress = || session.outbox().progress().written;
    let begun = progress();
    // A client that has left is not owed much patience.
    let limit = match info.initiator {
        Initiator::Client => Some(GOODBYE),
        _ => node.config.write_timeout,
    };
    // Without a limit it may be as slow as it likes, and still must take something now and then:
    // nobody else would ever end this.
    loop {
        let before = progress();
        match patient(limit.unwrap_or(STANDSTILL), written.as_mut()).await {
            Some(Ok(())) => return Written::All,
            Some(Err(_)) => return Written::Failed,
            None if limit.is_none() && progress() != before => {}
            None => break,
        }
    }
    // A slow reader may have made room without the socket being called writable.
    session.outbox().insist();
    match written.now_or_never() {
        Some(Ok(())) => Written::All,
        Some(Err(_)) => Written::Failed,
        None if progress() == begun => Written::Nothing,
        None => Written::Some,
    }
}

/// After our close frame: the peer's, unless it came before or can't be found behind what is no
/// frame; then the end of our direction, and of the peer's. In this order: a peer that sees the
/// connection end before it has answered calls that unclean. Returns whether it has said anything.
async fn say_goodbye(session: &Session, reader: &mut FrameReader, peer_is_done: bool) -> bool {
    let before = reader.received();
    let (held, outbox) = (session.held(), session.outbox());
    let whole = async {
        let at_end = peer_is_done || (!reader.is_done() && answer(reader, held).await);
        let shut = poll_fn(|cx| outbox.poll_shutdown(cx));
        if shut.await.is_ok() && !at_end {
            let ended = poll_fn(|cx| reader.poll_end(cx, held));
            let _in_time = patient(SILENCE, ended).await;
        }
    };
    let _in_time = patient(GOODBYE, whole).await;
    peer_is_done || reader.received() != before
}

/// Waits for the peer's close frame, for as long as it sends anything. Returns whether it has ended
/// the connection, or is given up.
async fn answer(reader: &mut FrameReader, held: &Share) -> bool {
    loop {
        let received = reader.received();
        let answered = poll_fn(|cx| reader.poll_close(cx, held));
        match patient(SILENCE, answered).await {
            Some(at_end) => return at_end,
            None if reader.received() == received => return true,
            None => {}
        }
    }
}

pub(super) async fn run_disconnect_hooks(node: &Node, session: &Session, info: &DisconnectInfo) {
    for hook in &node.hooks.disconnect {
        let called = async { hook(node.host(), (session.clone(), info.clone())).await };
        let error = match call_hook(node, called).await {
            Ok(()) => continue,
            Err(Failed::Refused(error)) => error,
            Err(Failed::Broken(broken)) => broken.into(),
        };
        node.report(ErrorStage::Hook, error, Some(session.clone()));
    }
}
