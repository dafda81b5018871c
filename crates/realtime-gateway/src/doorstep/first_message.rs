//! What the first message of a client must be, and what is said to one that has sent another.

use realtime_core::{
    CloseCode, Exchange, Message, MessageId,
    auth::{AuthError, Token},
    codec::{CodecError, Frame},
    dialect::{Action, Actions, Client},
};
use realtime_websocket::Violation;

use super::{Farewell, Outcome};
use crate::{
    ErrorStage,
    admission::Refusal,
    dialects::Encoder,
    guarded::{Whose, caught},
    handling::authenticate::{ROUTE, shown},
    node::Node,
    quiet::drop_quietly,
};

/// How many bytes it may have: a token has half as many at the most.
pub(super) const LONGEST: usize = 16 * 1024;

const EXPECTED: Farewell = Farewell::new(
    CloseCode::NOT_AUTHENTICATED,
    "expected a first message that shows a token",
);

/// What it must have.
pub(super) struct FirstMessage {
    /// Its id, where an answer is wanted.
    pub(super) request: Option<MessageId>,
    /// The error is for a text of a form that no token has.
    pub(super) token: Result<Token, AuthError>,
    /// What else the same frame asks for.
    pub(super) rest: Vec<Action>,
}

pub(super) fn read(node: &Node, encoder: &Encoder, frame: Frame) -> Result<FirstMessage, Outcome> {
    let (message, rest) = match caught(Whose::Codec, || decode(encoder, frame)) {
        Ok(Ok(Some(messages))) => messages,
        Ok(Ok(None)) => return Err(Outcome::Closed(EXPECTED)),
        Ok(Err(error)) => {
            // Somebody else's source may be in it.
            drop_quietly(error);
            return Err(Outcome::Closed(EXPECTED));
        }
        Err(broken) => {
            node.report(ErrorStage::Message, broken, None);
            return Err(Outcome::refused(node, Refusal::AuthBroken));
        }
    };
    if message.route() != ROUTE || is_answer(&message) {
        return Err(Outcome::Closed(EXPECTED));
    }
    let token = shown(&message).map_err(|_| Outcome::Closed(EXPECTED))?;
    Ok(FirstMessage {
        request: message.message_id().cloned(),
        token: Token::parse(token.as_bytes()),
        rest,
    })
}

/// The first message of a frame, and what else the frame asks for, which is done once there is a
/// session.
fn decode(encoder: &Encoder, frame: Frame) -> Result<Option<(Message, Vec<Action>)>, CodecError> {
    let dialect = match encoder {
        Encoder::Codec(codec) => return Ok(Some((codec.decode(frame)?, Vec::new()))),
        Encoder::Dialect(dialect) => dialect,
    };
    let mut actions = Actions::new();
    let read = dialect.read(frame, &Client::default(), &mut actions);
    let (mut first, mut rest) = (None, Vec::with_capacity(actions.len()));
    for action in actions {
        match action {
            Action::Handle(message) if first.is_none() => first = Some(message),
            Action::Malformed(error) if first.is_none() => return Err(error),
            other => rest.push(other),
        }
    }
    if let Err(error) = read {
        match first {
            Some(_) => rest.push(Action::Malformed(error)),
            None => return Err(error),
        }
    }
    Ok(first.map(|first| (first, rest)))
}

/// Nobody has asked it.
fn is_answer(message: &Message) -> bool {
    let exchange = message.exchange();
    matches!(exchange, Some(Exchange::Reply(_) | Exchange::Refusal(..)))
}

/// What is said to one that has broken the protocol instead.
pub(super) fn violated(violation: Violation) -> Farewell {
    match violation {
        // Whatever it was going to be, it is no token.
        Violation::TooBig { .. } | Violation::Fragments { .. } => EXPECTED,
        violation => Farewell::with(violation.close_code(), violation.to_string()),
    }
}
