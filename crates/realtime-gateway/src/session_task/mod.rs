//! A session from its first moment to its last: the one task that it has.
//!
//! ```text
//!   hub ─► presence ─► on_connect ─► open … first cause of an end
//!     ─► what waits is written ─► close frame ─► presence out ─► hub out ─► on_disconnect
//! ```

mod conduct;
mod connect;
mod crowd;
mod disconnect;
mod frame_reader;
mod handling;
mod heartbeat;
mod last_words;
mod newcomer;
mod open;
mod read_ahead;

use std::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use realtime_core::{CloseCode, DisconnectInfo};
use realtime_websocket::Limits;
use tokio::time::timeout;

use self::{
    conduct::Conduct,
    connect::connect,
    disconnect::{disconnect, run_disconnect_hooks},
    handling::Handling,
    open::Open,
};
pub(crate) use frame_reader::{FrameReader, ReadEnd};
pub(crate) use last_words::close_in;
pub(crate) use newcomer::{Early, Newcomer};

use crate::{
    ErrorStage, Session,
    admission::Slot,
    compression::{Agreed, Incoming},
    dialects::DialectId,
    hub::Membership,
    limits::Held,
    node::Node,
    quiet::drop_quietly,
    session::EndCause,
    tasks::Mark,
    transport::Connection,
};

/// How long presence may take for a session that is cut off.
const CUT_OFF: Duration = Duration::from_secs(1);

/// Runs a session in a task that the node owns. Its place among those that are open is held until
/// its connection is gone.
pub(crate) fn spawn(
    node: &Arc<Node>,
    (slot, held): (Slot, Option<Box<Held>>),
    newcomer: Newcomer,
    (dialect, agreed): (DialectId, Agreed),
    remote_addr: Option<SocketAddr>,
) {
    let Newcomer {
        connection,
        identity,
        early,
        origin,
    } = newcomer;
    let Connection {
        reader,
        writer,
        read,
    } = connection;
    let limits = Limits::default().with_message(node.config.read_limit);
    let reader = FrameReader::new(reader, &read, Incoming::new(limits, agreed));
    let (shard, log) = node.hub.next_shard(dialect);
    let session = Session::new(Arc::clone(&node.env), log, identity, remote_addr, writer);
    let handling = Handling::new(node.new_stack());
    let conduct = Conduct::new(node, &session, held);
    crowd::number(node, &session);
    session.set_origin(origin);
    let mut open = Box::new(Open::new(
        session.clone(),
        reader,
        handling,
        Arc::clone(node),
        conduct,
    ));
    open.greet(early);
    // It is one of the few things that the task itself holds: with a little more, its memory is
    // half as much again.
    let mut life = Life {
        membership: Membership::new(Arc::clone(&node.hub), session, shard),
        ended: false,
        slot,
    };
    // The phases that don't last are boxed, and what they find out is kept in the session: it is
    // idle for most of its life, and its task then takes no more memory than it needs. For the same
    // reason this is a block: a function would keep what it is given twice.
    let live = |mut mark: Mark| async move {
        mark.around(Box::pin(begin(&mut life, &mut open))).await;
        poll_fn(|cx| mark.within(|| open.poll_guarded(cx))).await;
        mark.around(Box::pin(end(&mut life, open))).await;
    };
    node.tasks.spawn(live);
}

/// What a session's task holds. Its end is the session's, also when the runtime drops the task.
struct Life {
    membership: Membership,
    /// It has ended as it should.
    ended: bool,
    slot: Slot,
}

impl Life {
    fn session(&self) -> &Session {
        self.membership.session()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.session().end(EndCause::Shutdown);
        self.session().release();
        if !self.ended {
            self.session().env().stats.aborted.add(1);
        }
    }
}

/// From here on it is in the hub. Where it can't be connected, it is closing.
async fn begin(life: &mut Life, open: &mut Open) {
    let (node, session) = (Arc::clone(&open.node), life.session().clone());
    tracing::debug!(target: crate::log_targets::SESSION, session = %session.id(), "connected");
    node.stats().opened.add(1);
    node.say_if_alone();
    life.membership.join();
    // Between the question to the store and its place among those whom a revocation closes.
    if node.heard.applies_to(session.connected_as()) {
        session.end(EndCause::Revoked);
    }
    if node.is_ending() {
        session.end(EndCause::Shutdown);
    }
    let traced = node.tracer().opening(session.id(), || session.origin());
    let connecting = traced.around(unless_aborted(&node, connect(&node, open)));
    let connecting = AssertUnwindSafe(connecting);
    match connecting.catch_unwind().await {
        Ok(connected) => {
            open.connected = connected.unwrap_or(false);
            if open.connected && node.config.tenant_presence {
                life.membership.is_online();
            }
        }
        // Not a hook's: those are caught one by one. A codec's, or our own.
        Err(panic) => {
            session.end(EndCause::TaskPanicked(panic));
        }
    }
    if !open.connected {
        traced.failed(|| (false, "not_connected"));
    }
}

async fn end(life: &mut Life, open: Box<Open>) {
    let node = Arc::clone(&open.node);
    let ended = AssertUnwindSafe(close(&node, life, open))
        .catch_unwind()
        .await;
    match ended {
        Ok(true) => life.ended = true,
        Ok(false) => cut_off(&node, life).await,
        Err(panic) => {
            drop_quietly(panic);
            // What it was kept from.
            cut_off(&node, life).await;
        }
    }
}

/// Returns whether it came to its end before the shutdown deadline.
async fn close(node: &Node, life: &mut Life, mut open: Box<Open>) -> bool {
    let session = life.session().clone();
    // It has ended; if not, this is its end.
    session.end(EndCause::Shutdown);
    let info = session
        .close_info()
        .unwrap_or_else(|| EndCause::Shutdown.into_info());
    // Counted also where nobody waits for the rest.
    open.release();
    let closed = async {
        disconnect(node, &mut open, &info, life).await;
        let connected = open.connected;
        drop_quietly(open);
        session.release();
        if connected {
            run_disconnect_hooks(node, &session, &info).await;
        }
    };
    let traced = node
        .tracer()
        .closing(session.id(), &info, || session.origin());
    if !info.expected {
        traced.failed(|| (is_ours(&info), "unexpected"));
    }
    if unless_aborted(node, traced.around(closed)).await.is_none() {
        return false;
    }
    node.stats().closed.add(1);
    tracing::debug!(
        target: crate::log_targets::SESSION, session = %session.id(),
        initiator = %info.initiator, code = ?info.code, "disconnected",
    );
    if !info.expected {
        let is_ours = is_ours(&info);
        let ended = Disconnected(info);
        if is_ours {
            node.report(ErrorStage::Disconnect, ended, Some(session));
        } else {
            node.report_client(ErrorStage::Disconnect, ended, &session);
        }
    }
    true
}

/// Whether the server is to blame for an unexpected end: not for lost, slow and broken clients. A
/// handler's panic, which has no error here, was reported with its message.
fn is_ours(info: &DisconnectInfo) -> bool {
    let code = info.code;
    let failed = [CloseCode::INTERNAL_ERROR, CloseCode::TRY_AGAIN_LATER];
    info.error.is_some() && code.is_some_and(|code| failed.contains(&code))
}

/// Runs something until its end, or until the shutdown deadline.
///
/// An open session needs no such watch: the shutdown has ended it before.
async fn unless_aborted<T>(node: &Node, running: impl Future<Output = T>) -> Option<T> {
    node.abort.run_until_cancelled(running).await
}

/// The shutdown deadline has passed while the session was still closing.
async fn cut_off(node: &Node, life: &mut Life) {
    life.session().release();
    life.membership.leave();
    let out = node.registry.unregister(life.session());
    if timeout(CUT_OFF, out).await.is_err()
        && let Some(left_out) = node.reports.cut_off_lines.turn()
    {
        tracing::warn!(
            target: crate::log_targets::PRESENCE,
            session = %life.session().id(), left_out, "presence did not answer; the lease will end",
        );
    }
}

/// A session that ended in an unexpected way, as the error hook receives it.
#[derive(Debug)]
struct Disconnected(DisconnectInfo);

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the session was {}", self.0)
    }
}

impl Error for Disconnected {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let error = self.0.error.as_deref()?;
        Some(&**error)
    }
}
