//! The route on which clients that see no WebSocket pings ask whether the server is there. Where it
//! is the gateway's own, it is answered while a handler runs, too: a slow one is no dead connection.

use std::sync::Arc;

use futures::FutureExt;
use realtime_core::extract::Reply;

use super::router::Erased;

pub(crate) const ROUTE: &str = "ping";

/// It has nothing to say.
pub(crate) const fn answer() -> Reply {
    Reply::empty()
}

pub(super) fn handler() -> Erased<()> {
    Arc::new(|_| async { Ok(answer()) }.boxed())
}
