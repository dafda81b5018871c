//! An upgraded connection that is no session: one whose client has yet to show who it is, and one
//! that was refused and is told so by a close frame.
//!
//! ```text
//!   101 ─► line ─┬─► first message ─► authenticator ─► answer ─► session
//!                └─────────┴────────────────┴─► farewell
//! ```

mod farewell;
mod first_message;
mod line;

use std::{
    future::{Future, poll_fn},
    task::Poll,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use realtime_core::{
    BoxError, CloseCode, Identity, Message, MessageId, Text,
    auth::{AuthError, Token},
    codec::Frame,
    patient,
};
use realtime_websocket::Event;

pub(crate) use self::farewell::{Farewell, refuse};
use self::{farewell::say, first_message::FirstMessage, line::Line};
use crate::{
    ErrorStage,
    admission::Refusal,
    compression::Agreed,
    dialects::{DialectId, Encoder},
    guarded::{Whose, caught},
    handling::authenticate::{ROUTE, answer},
    identities::holds,
    node::Node,
    quiet::drop_quietly,
    session_task::{Early, Newcomer, ReadEnd},
    transport::Connection,
};

/// How long a peer may take nothing of what is left for it, where there is no write timeout.
const STANDSTILL: Duration = Duration::from_secs(10);
const IN_TIME: Farewell = Farewell::new(CloseCode::NOT_AUTHENTICATED, "not authenticated in time");

/// A connection that was upgraded, what its client speaks, and how that is compressed.
pub(crate) struct Arrived {
    pub(crate) connection: Connection,
    pub(crate) dialect: DialectId,
    pub(crate) agreed: Agreed,
}

/// Why a connection doesn't become a session.
#[derive(Debug)]
enum Outcome {
    /// Its peer is gone, or takes nothing.
    Lost,
    /// Its peer has closed it, or has broken the protocol, or is turned away.
    Closed(Farewell),
}

impl Outcome {
    fn refused(node: &Node, refusal: Refusal) -> Self {
        node.metrics().refused(refusal.name());
        Farewell::of(refusal, node).map_or(Self::Lost, Self::Closed)
    }

    /// That of its close frame.
    const fn code(&self) -> Option<u16> {
        match self {
            Self::Lost => None,
            Self::Closed(farewell) => farewell.code(),
        }
    }
}

impl From<ReadEnd> for Outcome {
    fn from(end: ReadEnd) -> Self {
        match end {
            ReadEnd::Violation(violation) => Self::Closed(first_message::violated(violation)),
            ReadEnd::Eof | ReadEnd::Io(_) => Self::Lost,
        }
    }
}

/// Closes a connection that was told 101, and says why.
pub(crate) async fn turn_away(node: &Node, arrived: Arrived, refusal: Refusal) {
    let Some(farewell) = Farewell::of(refusal, node) else {
        return;
    };
    node.stats().refused.add(1);
    node.metrics().refused(refusal.name());
    tracing::debug!(target: crate::log_targets::ADMISSION, ?refusal, "refused");
    let encoder = node.env.dialects.of(arrived.dialect);
    let said = say(
        node,
        Line::new(arrived.connection, arrived.agreed),
        &farewell,
        encoder,
    );
    node.abort.run_until_cancelled(said).await;
}

/// Waits for the first message of a client, for so long, which must show a token, and asks whose
/// that is. Returns the connection, with what has come behind that message, and who it is; `None`
/// where it was closed instead.
pub(crate) async fn enter<A>(
    node: &Node,
    arrived: Arrived,
    limit: Duration,
    ask: impl FnOnce(Result<Token, AuthError>) -> A,
) -> Option<Newcomer>
where
    A: Future<Output = Result<Identity, Refusal>>,
{
    let mut line = Line::new(arrived.connection, arrived.agreed);
    let encoder = node.env.dialects.of(arrived.dialect);
    let entered = tokio::select! {
        biased;
        () = node.abort.cancelled() => Err(Outcome::Lost),
        () = node.draining.cancelled() => Err(Outcome::refused(node, Refusal::Draining)),
        entered = entering((node, encoder), &mut line, limit, ask) => entered,
    };
    let outcome = match entered {
        Ok((identity, early)) => match line.into_connection() {
            Some(connection) => {
                let newcomer = Newcomer::new(connection, identity);
                return Some(newcomer.having_said(early));
            }
            None => Outcome::Lost,
        },
        Err(Outcome::Closed(farewell)) => {
            let said = say(node, line, &farewell, encoder);
            node.abort.run_until_cancelled(said).await;
            Outcome::Closed(farewell)
        }
        Err(Outcome::Lost) => Outcome::Lost,
    };
    node.stats().first_messages_refused.add(1);
    // Not the reason, which may be the peer's.
    let code = outcome.code();
    tracing::debug!(target: crate::log_targets::ADMISSION, code, "no session");
    None
}

async fn entering<A>(
    (node, encoder): (&Node, &Encoder),
    line: &mut Line,
    limit: Duration,
    ask: impl FnOnce(Result<Token, AuthError>) -> A,
) -> Result<(Identity, Early), Outcome>
where
    A: Future<Output = Result<Identity, Refusal>>,
{
    let first = patient(limit, poll_fn(|cx| line.poll_event(cx))).await;
    let frame = match first.ok_or(Outcome::Closed(IN_TIME))?? {
        Event::Text(text) => Frame::Text(text.into()),
        Event::Binary(bytes) => Frame::Binary(bytes),
        Event::Close(close) => return Err(Outcome::Closed(Farewell::in_return(close))),
        Event::Ping(_) | Event::Pong(_) => return Err(Outcome::Lost),
    };
    let bytes = frame.as_bytes().len();
    let FirstMessage {
        request,
        token,
        rest,
    } = first_message::read(node, encoder, frame)?;
    let identity = while_there(line, ask(token)).await?;
    let identity = identity.map_err(|refusal| Outcome::refused(node, refusal))?;
    let mut early = Early {
        has_shown: true,
        bytes,
        request: None,
        rest,
    };
    if let Encoder::Dialect(_) = encoder {
        // It says that together with what opens the session.
        early.request = request;
    } else if let Some(id) = request {
        let answer = answered(encoder, id, &identity).map_err(|error| {
            node.report(ErrorStage::Message, error, None);
            Outcome::refused(node, Refusal::AuthBroken)
        })?;
        line.say(answer);
    }
    // What is half written must be written by the one who has begun it.
    let written = poll_fn(|cx| line.poll_write(cx));
    // Never for so long that what was revoked meanwhile is forgotten to have been heard of.
    let limit = node
        .config
        .write_timeout
        .unwrap_or(STANDSTILL)
        .min(STANDSTILL);
    match patient(limit, written).await {
        Some(Ok(())) => Ok((identity, early)),
        _ => Err(Outcome::Lost),
    }
}

/// Does something for a client, for as long as it waits for that.
async fn while_there<T>(line: &mut Line, done: impl Future<Output = T>) -> Result<T, Outcome> {
    let mut done = Quietly(Some(Box::pin(done)));
    poll_fn(|cx| {
        if let Some(done) = &mut done.0
            && let Poll::Ready(done) = done.poll_unpin(cx)
        {
            return Poll::Ready(Ok(done));
        }
        line.poll_gone(cx).map(|end| Err(end.into()))
    })
    .await
}

/// The answer to the first message.
fn answered(encoder: &Encoder, id: MessageId, identity: &Identity) -> Result<Bytes, BoxError> {
    let data = answer(holds(identity))?;
    let message = Message::plain(Some(id), Text::from_static(ROUTE), data);
    let mut out = BytesMut::new();
    let encoded = caught(Whose::Codec, || encoder.frame_in(&mut out, &message));
    Ok(encoded??)
}

/// What is somebody else's, and may panic when it is dropped before its end.
struct Quietly<T>(Option<T>);

impl<T> Drop for Quietly<T> {
    fn drop(&mut self) {
        drop_quietly(self.0.take());
    }
}
