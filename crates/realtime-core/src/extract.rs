//! What handlers take and return: for the gateway, and for codec crates that add their own.

use std::convert::Infallible;

use bytes::Bytes;

use crate::{
    BoxError, Message, Payload, PayloadKind,
    codec::{CodecError, CodecErrorKind},
};

/// A value that a handler or a hook takes as an argument.
///
/// It is made from a context: the gateway has one for messages and one for each sort of hook. An
/// extractor that needs a message is implemented for every context that [has one](HasMessage), so
/// it doesn't fit a hook, and the compiler says so.
///
/// ```
/// use realtime::{
///     extract::{FromContext, HasMessage},
///     message::Text,
/// };
///
/// /// The route by which the message came.
/// struct Route(Text);
///
/// impl<Cx: HasMessage> FromContext<Cx> for Route {
///     type Rejection = std::convert::Infallible;
///
///     fn from_context(cx: &Cx) -> Result<Self, Self::Rejection> {
///         Ok(Self(cx.message().route_text().clone()))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be extracted here",
    label = "not an extractor for `{Cx}`",
    note = "extractors that need a message, such as `Message`, `Json<T>` and `RouteTail`, do not \
            fit a hook; `State<T>` must match the router's state, and `Json<T>` needs \
            `T: serde::de::DeserializeOwned`",
    note = "`axum::Json` and `axum::extract::State` are for HTTP: use `realtime::Json` and \
            `realtime::State`"
)]
pub trait FromContext<Cx>: Sized {
    /// What is reported when the value can't be made. Put a
    /// [`ClientError`](crate::ClientError) in its source chain for what the client may know.
    type Rejection: Into<BoxError>;

    /// Makes the value.
    ///
    /// # Errors
    /// When the context doesn't hold what the value needs.
    fn from_context(cx: &Cx) -> Result<Self, Self::Rejection>;
}

/// A context that holds a message.
pub trait HasMessage {
    /// The message that is being handled.
    fn message(&self) -> &Message;
}

impl<Cx: HasMessage> FromContext<Cx> for Message {
    type Rejection = Infallible;

    fn from_context(cx: &Cx) -> Result<Self, Infallible> {
        Ok(cx.message().clone())
    }
}

/// The data of the message, raw.
impl<Cx: HasMessage> FromContext<Cx> for Payload {
    type Rejection = Infallible;

    fn from_context(cx: &Cx) -> Result<Self, Infallible> {
        Ok(cx.message().data().clone())
    }
}

/// The data of a message that has [binary](Payload::binary) data.
impl<Cx: HasMessage> FromContext<Cx> for Bytes {
    type Rejection = CodecError;

    fn from_context(cx: &Cx) -> Result<Self, CodecError> {
        let data = cx.message().data();
        match data.kind() {
            PayloadKind::Binary => Ok(data.clone().into_bytes()),
            _ => {
                let context = "expected binary data; the message has none, or JSON";
                Err(CodecError::new(CodecErrorKind::Decode, context))
            }
        }
    }
}

/// `None` where the value can't be made.
impl<Cx, T: FromContext<Cx>> FromContext<Cx> for Option<T> {
    type Rejection = Infallible;

    fn from_context(cx: &Cx) -> Result<Self, Infallible> {
        Ok(T::from_context(cx).ok())
    }
}

/// The rejection itself where the value can't be made, for a handler that answers it in its own
/// way.
impl<Cx, T: FromContext<Cx>> FromContext<Cx> for Result<T, T::Rejection> {
    type Rejection = Infallible;

    fn from_context(cx: &Cx) -> Result<Self, Infallible> {
        Ok(T::from_context(cx))
    }
}

/// What a handler answers: data that goes back under the request's id and route, which may be
/// empty, or nothing at all. A message without an id is never answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Reply(Option<Payload>);

/// An answer without data.
impl Default for Reply {
    fn default() -> Self {
        Self::empty()
    }
}

impl Reply {
    /// An answer without data: the client learns that its request was handled.
    pub const fn empty() -> Self {
        Self::data(Payload::empty())
    }

    /// No answer by the gateway: for a handler that sees to it in another way, such as
    /// `Session::send_message` with the request's id. A client that waits for one goes on to wait. A
    /// handler that answers later takes a `Replier`, which can't forget it.
    pub const fn none() -> Self {
        Self(None)
    }

    /// An answer with this data.
    pub const fn data(payload: Payload) -> Self {
        Self(Some(payload))
    }

    /// The answer's data, where there is an answer.
    #[must_use]
    pub fn payload(&self) -> Option<&Payload> {
        self.0.as_ref()
    }

    /// Gives up the answer's data.
    #[must_use]
    pub fn into_payload(self) -> Option<Payload> {
        self.0
    }
}

/// What a handler may return: `()`, a reply, or a `Result` of either.
///
/// Every request is answered, with an empty answer where there is no data: for `()`, and for
/// `None`. Only [`Reply::none`] isn't an answer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something a handler can return",
    label = "expected `()`, `Json<T>`, `Bytes`, `Payload`, `Reply`, `Option` of these, or a `Result` of them",
    note = "wrap a value that implements `serde::Serialize` as `realtime::Json(value)`, which is \
            not `axum::Json`; the error of a `Result` must be `Into<BoxError>`"
)]
pub trait IntoReply {
    /// Turns the value into a reply.
    ///
    /// # Errors
    /// The handler's own error, or a reply that can't be serialised.
    fn into_reply(self) -> Result<Reply, BoxError>;
}

impl IntoReply for () {
    fn into_reply(self) -> Result<Reply, BoxError> {
        Ok(Reply::empty())
    }
}

impl IntoReply for Reply {
    fn into_reply(self) -> Result<Reply, BoxError> {
        Ok(self)
    }
}

impl IntoReply for Payload {
    fn into_reply(self) -> Result<Reply, BoxError> {
        Ok(Reply::data(self))
    }
}

/// Binary data.
impl IntoReply for Bytes {
    fn into_reply(self) -> Result<Reply, BoxError> {
        Ok(Reply::data(self.into()))
    }
}

/// Binary data.
impl IntoReply for Vec<u8> {
    fn into_reply(self) -> Result<Reply, BoxError> {
        Ok(Reply::data(self.into()))
    }
}

/// `None` is an answer without data.
impl<R: IntoReply> IntoReply for Option<R> {
    fn into_reply(self) -> Result<Reply, BoxError> {
        self.map_or(Ok(Reply::empty()), R::into_reply)
    }
}

impl<R: IntoReply, E: Into<BoxError>> IntoReply for Result<R, E> {
    fn into_reply(self) -> Result<Reply, BoxError> {
        self.map_err(E::into)?.into_reply()
    }
}
