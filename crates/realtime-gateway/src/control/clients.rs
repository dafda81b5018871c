//! The clients of this node's sessions are asked.

use std::time::Duration;

use futures::{
    Stream, StreamExt,
    future::{BoxFuture, FutureExt, ready},
    stream::FuturesUnordered,
};
use realtime_core::{
    Message,
    broker::envelope::{Except, Target},
};

use super::TURN;
use crate::{RequestError, Session, node::Node};

/// What has come of asking a session's client.
pub(crate) type Heard = (Session, Result<Message, RequestError>);

/// Asks all at once. What comes of it is yielded for each session that was meant, in the order in
/// which it comes, and not longer than for the given time.
pub(crate) async fn ask(
    node: &Node,
    to: &Target,
    except: &[Except],
    message: &Message,
    within: Duration,
) -> impl Stream<Item = Heard> + Send + Unpin + use<> {
    let sessions = node.hub.select(to, except).await;
    let asked: FuturesUnordered<BoxFuture<'static, Heard>> = FuturesUnordered::new();
    for (at, session) in sessions.into_iter().enumerate() {
        if at > 0 && at.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
        asked.push(match session.ask(message) {
            Ok(asking) => async move { (session, asking.answered(within).await) }.boxed(),
            Err(error) => ready((session, Err(error))).boxed(),
        });
    }
    asked.fuse()
}
