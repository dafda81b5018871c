//! The route on which clients that see no WebSocket pings ask whether the server is there.

use std::sync::Arc;

use futures::FutureExt;
use realtime_core::extract::Reply;

use super::router::Erased;

pub(super) const ROUTE: &str = "ping";

/// Answers, with nothing to say.
pub(super) fn handler() -> Erased<()> {
    Arc::new(|_| async { Ok(Reply::empty()) }.boxed())
}
