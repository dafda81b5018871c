//! Whom a connection belongs to when it becomes a session, and what its client has said before.

use realtime_core::{Identity, MessageId, dialect::Action};

use crate::{traces::Origin, transport::Connection};

/// A connection that is about to become a session.
pub(crate) struct Newcomer {
    pub(super) connection: Connection,
    pub(super) identity: Identity,
    pub(super) early: Early,
    pub(super) origin: Origin,
}

/// What its client has said on the doorstep.
#[derive(Debug, Default)]
pub(crate) struct Early {
    /// It has shown who it is, in a frame of so many bytes.
    pub(crate) has_shown: bool,
    pub(crate) bytes: usize,
    /// The id of the message in which it has shown who it is, where that has yet to be answered.
    pub(crate) request: Option<MessageId>,
    /// What else the same frame asks for.
    pub(crate) rest: Vec<Action>,
}

impl Newcomer {
    pub(crate) fn new(connection: Connection, identity: Identity) -> Self {
        Self {
            connection,
            identity,
            early: Early::default(),
            origin: Origin::default(),
        }
    }

    /// Its request was traced.
    pub(crate) fn asked_by(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    pub(crate) fn having_said(mut self, early: Early) -> Self {
        self.early = early;
        self
    }
}
