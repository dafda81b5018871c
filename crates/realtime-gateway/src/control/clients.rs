//! The clients of this node's sessions are asked.

use futures::{
    Stream, StreamExt,
    future::{BoxFuture, FutureExt, ready},
    stream::FuturesUnordered,
};
use realtime_core::{
    Message,
    broker::envelope::{Except, Target},
};
use tokio::time::Instant;

use super::TURN;
use crate::{
    RequestError, RequestErrorKind, Session,
    guarded::{Whose, caught},
    node::Node,
};

/// What has come of asking a session's client.
pub(crate) type Heard = (Session, Result<Message, RequestError>);

/// Asks all at once. What comes of it is yielded for each session that was meant, in the order in
/// which it comes, and not later than at the given time.
pub(crate) async fn ask(
    node: &Node,
    to: &Target,
    except: &[Except],
    message: &Message,
    by: Instant,
) -> impl Stream<Item = Heard> + Send + Unpin + use<> {
    let sessions = node.hub.select(to, except).await;
    let asked: FuturesUnordered<BoxFuture<'static, Heard>> = FuturesUnordered::new();
    for (at, session) in sessions.into_iter().enumerate() {
        if at > 0 && at.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
        let unread = Some(node.surveys.unread());
        let asking =
            caught(Whose::Codec, || session.ask(message, unread)).unwrap_or_else(|panic| {
                let context = "the request could not be encoded";
                Err(RequestError::new(RequestErrorKind::Encode, context).with_source(panic))
            });
        asked.push(match asking {
            Ok(asking) => async move { (session, asking.answered(by).await) }.boxed(),
            Err(error) => ready((session, Err(error))).boxed(),
        });
    }
    asked.fuse()
}
