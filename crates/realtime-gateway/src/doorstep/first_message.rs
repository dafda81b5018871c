//! What the first message of a client must be, and what is said to one that has sent another.

use realtime_core::{
    CloseCode, Exchange, Message, MessageId,
    auth::{AuthError, Token},
    codec::Frame,
};
use realtime_websocket::Violation;

use super::{Farewell, Outcome};
use crate::{
    ErrorStage,
    admission::Refusal,
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

/// What it shows, and its id where an answer is wanted.
pub(super) struct First {
    pub(super) id: Option<MessageId>,
    /// The error is for a text of a form that no token has.
    pub(super) token: Result<Token, AuthError>,
}

pub(super) fn read(node: &Node, frame: Frame) -> Result<First, Outcome> {
    let message = match caught(Whose::Codec, || node.env.encoder.decode(frame)) {
        Ok(Ok(message)) => message,
        Ok(Err(error)) => {
            // Somebody else's source may be in it.
            drop_quietly(error);
            return Err(Outcome::Closed(EXPECTED));
        }
        Err(broken) => {
            node.report(ErrorStage::Message, broken, None);
            return Err(Refusal::AuthBroken.into());
        }
    };
    if message.route() != ROUTE || is_answer(&message) {
        return Err(Outcome::Closed(EXPECTED));
    }
    let token = shown(&message).map_err(|_| Outcome::Closed(EXPECTED))?;
    Ok(First {
        id: message.message_id().cloned(),
        token: Token::parse(token.as_bytes()),
    })
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
