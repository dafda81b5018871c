//! What message middleware sees.

use realtime_core::Message;

use crate::Session;

/// A message on its way to its handler: the request of all message layers.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inbound {
    /// The session that sent it.
    pub session: Session,
    /// The message.
    pub message: Message,
}

impl Inbound {
    /// A message of a session.
    #[must_use]
    pub fn new(session: Session, message: Message) -> Self {
        Self { session, message }
    }
}
