//! The errors of the gateway, one for each operation.

use realtime_core::{__operation_error as operation_error, ClientError, codec::CodecError};

use crate::Delivery;

operation_error! {
    /// A gateway that can't be built as it was described.
    BuildError, BuildErrorKind
}

/// The sorts of [`BuildError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BuildErrorKind {
    /// Two handlers for one route or prefix.
    DuplicateRoute,
    /// A setting that makes no sense; the message names it.
    InvalidOption,
}

operation_error! {
    /// A gateway that could not be started.
    StartError, StartErrorKind
}

/// The sorts of [`StartError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartErrorKind {
    /// The gateway was started before.
    AlreadyStarted,
    /// The broker could not be joined; the source says why.
    Broker,
    /// The gateway is shutting down or shut down.
    Closed,
    /// Presence is misconfigured; the source says how.
    Presence,
}

operation_error! {
    /// A message that was not accepted for a session.
    SendError, SendErrorKind
}

/// The sorts of [`SendError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// The request has its answer already: its handler has failed, or was given up.
    Answered,
    /// The session's queue is full and its policy didn't accept the message.
    Backpressure,
    /// The message could not be encoded.
    Encode,
    /// The session is closing or closed.
    SessionClosed,
}

impl From<CodecError> for SendError {
    fn from(error: CodecError) -> Self {
        Self::new(SendErrorKind::Encode, "the message could not be encoded").with_source(error)
    }
}

operation_error! {
    /// A client that was not asked, or has not answered.
    RequestError, RequestErrorKind
}

/// The sorts of [`RequestError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestErrorKind {
    /// The client's answer is not of the type that was expected; the source says why.
    Answer,
    /// The session's queue is full and its policy didn't accept the request.
    Backpressure,
    /// The request could not be encoded.
    Encode,
    /// The client has answered that it doesn't do it.
    Refused,
    /// The session is closing or closed.
    SessionClosed,
    /// No answer came in time.
    TimedOut,
    /// As many requests to this client are open as may be.
    TooMany,
    /// The codec has no form for requests of the server.
    Unsupported,
}

impl RequestError {
    /// What the client says of why it doesn't do what it was asked, where it has
    /// [`Refused`](RequestErrorKind::Refused). The words are the client's: not to be trusted.
    #[must_use]
    pub fn refusal(&self) -> Option<&ClientError> {
        let source = self
            .source
            .as_deref()
            .filter(|_| self.kind == RequestErrorKind::Refused)?;
        source.downcast_ref()
    }
}

impl From<CodecError> for RequestError {
    fn from(error: CodecError) -> Self {
        let context = "the request could not be encoded";
        Self::new(RequestErrorKind::Encode, context).with_source(error)
    }
}

operation_error! {
    /// A room that a session could not join.
    JoinError, JoinErrorKind
}

/// The sorts of [`JoinError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JoinErrorKind {
    /// What other nodes send to the room could not be subscribed to. It may be tried again.
    Broker,
    /// The answer to the client could not be encoded.
    Encode,
    /// The history of the room could not be asked. It may be tried again.
    History,
    /// The room has no valid name.
    InvalidRoom,
    /// The node has as many rooms as it may have.
    NodeFull,
    /// The session is closing or closed.
    SessionClosed,
    /// The session is in as many rooms as it may be.
    TooManyRooms,
}

impl JoinErrorKind {
    /// Its name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Encode => "encode",
            Self::History => "history",
            Self::InvalidRoom => "invalid_room",
            Self::NodeFull => "node_full",
            Self::SessionClosed => "session_closed",
            Self::TooManyRooms => "too_many_rooms",
        }
    }
}

operation_error! {
    /// Something that sessions could not be told to do. Nothing was done.
    ControlError, ControlErrorKind
}

/// The sorts of [`ControlError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ControlErrorKind {
    /// The gateway is shutting down or shut down.
    Closed,
    /// The message that clients are to be asked with could not be encoded, or the codec has no form
    /// for a request.
    Encode,
    /// The room that is to be joined or left has no valid name.
    InvalidRoom,
    /// Which sessions are meant is not said rightly: a room without a valid name, too many rooms at
    /// once, or too many exceptions.
    InvalidTarget,
    /// There are other nodes, and no store of revocations that they share.
    NoStore,
    /// What was revoked could not be remembered.
    NotRemembered,
    /// As many others wait for other nodes as may at once.
    TooMany,
}

operation_error! {
    /// A message whose handling failed.
    HandlerError, HandlerErrorKind
}

/// The sorts of [`HandlerError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandlerErrorKind {
    /// The handler or a layer returned an error; it is the source.
    Failed,
    /// The handler panicked.
    Panicked,
    /// An argument of the handler could not be extracted; the reason is the source.
    Rejected,
    /// The handler ran longer than its timeout.
    TimedOut,
    /// The handler has taken a [`Replier`](crate::extract::Replier), which was dropped without an
    /// answer.
    Unanswered,
    /// No handler is registered for the route.
    UnknownRoute,
}

/// A broadcast or a targeted message that was not delivered in full.
#[derive(Debug, thiserror::Error)]
#[error("{context}")]
pub struct DeliverError {
    kind: DeliverErrorKind,
    context: std::borrow::Cow<'static, str>,
    delivered: Delivery,
    source: Option<realtime_core::BoxError>,
}

/// The sorts of [`DeliverError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeliverErrorKind {
    /// The broker didn't accept the message for other nodes.
    Broker,
    /// The gateway is shutting down or shut down.
    Closed,
    /// The message could not be encoded.
    Encode,
    /// The history didn't take the message, so it was sent to nobody, as far as is known. With an
    /// idempotency key it may be sent again.
    History,
    /// Whom it is for is not addressed rightly: a room without a valid name, too many rooms at once,
    /// or too many exceptions.
    InvalidTarget,
    /// The identity has no session that can be reached.
    NotOnline,
    /// Presence could not be asked who is online.
    Presence,
}

impl DeliverError {
    pub(crate) fn new(
        kind: DeliverErrorKind,
        context: impl Into<std::borrow::Cow<'static, str>>,
        delivered: Delivery,
    ) -> Self {
        Self {
            kind,
            context: context.into(),
            delivered,
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<realtime_core::BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What sort of failure this is.
    #[must_use]
    pub fn kind(&self) -> DeliverErrorKind {
        self.kind
    }

    /// What had been delivered before it failed.
    #[must_use]
    pub fn delivered(&self) -> Delivery {
        self.delivered
    }
}

impl From<CodecError> for DeliverError {
    fn from(error: CodecError) -> Self {
        let context = "the message could not be encoded";
        Self::new(DeliverErrorKind::Encode, context, Delivery::none()).with_source(error)
    }
}
