//! Errors that belong to no single seam: the boxed error and what a client may learn.

use std::{
    borrow::Cow,
    error::Error,
    fmt, iter,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use serde::de::DeserializeOwned;

use crate::{
    IntoPayload, Message, Payload, Text,
    codec::{CodecError, CodecErrorKind},
};

/// How many errors of a chain are looked at: one that names itself as its cause has no end.
const LINKS: usize = 64;

/// Any error that may cross threads.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// An error whose text is meant for the client.
///
/// The text of any other error stays on the server: a client that asked with an id is answered
/// with a general `internal` error. Return a `ClientError`, or have one in the source chain of
/// your own error, to say more.
///
/// ```
/// use realtime::ClientError;
///
/// let full = ClientError::new("room_full", "the room has no place left").temporary();
/// assert_eq!(full.code(), "room_full");
/// assert!(full.is_temporary());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientError {
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    temporary: bool,
    /// What few errors have.
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rare {
    retry_after: Option<Duration>,
    data: Option<Data>,
}

/// What the application adds.
#[derive(Debug, Clone)]
enum Data {
    Made(Payload),
    /// It couldn't be serialised.
    Failed(CodecError),
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Made(one), Self::Made(other)) => one == other,
            (Self::Failed(one), Self::Failed(other)) => {
                (one.kind(), one.to_string()) == (other.kind(), other.to_string())
            }
            _ => false,
        }
    }
}

impl Eq for Data {}

impl ClientError {
    /// How many bytes of data an error may have.
    pub const MAX_DATA: usize = 16 * 1024;

    /// An error with a code for programs and a message for people. Both are sent to the client.
    #[must_use]
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            temporary: false,
            rare: None,
        }
    }

    /// Says that the same request may succeed later.
    #[must_use]
    pub fn temporary(mut self) -> Self {
        self.temporary = true;
        self
    }

    /// Says that the same request may succeed after so long. It is [temporary](Self::temporary),
    /// too.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use realtime::ClientError;
    ///
    /// let busy = ClientError::new("busy", "too many questions").with_retry_after(Duration::from_secs(2));
    /// assert!(busy.is_temporary() && busy.retry_after() == Some(Duration::from_secs(2)));
    /// ```
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.temporary = true;
        self.rare.get_or_insert_default().retry_after = Some(wait);
        self
    }

    /// Adds data of the application's own, for a program at the client: which field is wrong, say.
    ///
    /// It has at most [`MAX_DATA`](Self::MAX_DATA) bytes. Data that is longer, or can't be
    /// serialised, keeps nobody from the error: the client gets it without, and the error hooks hear
    /// why.
    ///
    /// ```
    /// use realtime::{ClientError, Json, Router};
    ///
    /// async fn sign_up(Json(name): Json<String>) -> Result<(), ClientError> {
    ///     let wrong = serde_json::json!({"field": "name", "longest": 20});
    ///     match name.len() {
    ///         ..=20 => Ok(()),
    ///         _ => Err(ClientError::new("invalid", "the name is too long").with_data(Json(wrong))),
    ///     }
    /// }
    /// # let _router = Router::<()>::new().route("sign_up", sign_up);
    /// ```
    #[must_use]
    pub fn with_data(mut self, data: impl IntoPayload) -> Self {
        self.rare.get_or_insert_default().data = Some(match data.into_payload() {
            Ok(data) => Data::Made(data),
            Err(error) => Data::Failed(error),
        });
        self
    }

    /// The same error without data.
    #[must_use]
    pub fn without_data(mut self) -> Self {
        self.rare = self.rare.and_then(|mut rare| {
            rare.data = None;
            rare.retry_after.is_some().then_some(rare)
        });
        self
    }

    /// The code that a program at the client can match.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The message for a person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// After how long the same request may succeed, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.rare.as_ref()?.retry_after
    }

    /// The data of the application's own, where there is some.
    #[must_use]
    pub fn data(&self) -> Option<&Payload> {
        match self.rare.as_ref()?.data.as_ref()? {
            Data::Made(data) => Some(data),
            Data::Failed(_) => None,
        }
    }

    /// Reads the data as JSON; where there is none, as `null`.
    ///
    /// # Errors
    /// Kind [`Decode`](crate::codec::CodecErrorKind::Decode) when it doesn't fit.
    ///
    /// ```
    /// use realtime::{ClientError, Json};
    ///
    /// let error = ClientError::new("taken", "somebody has this name").with_data(Json("ann2"));
    /// assert_eq!(error.decode_data::<String>()?, "ann2");
    /// # Ok::<(), realtime::codec::CodecError>(())
    /// ```
    pub fn decode_data<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        let data = self.data().cloned().unwrap_or_default();
        Message::plain(None, Text::new(), data).decode()
    }

    /// The data as it is to be sent, for codecs.
    ///
    /// # Errors
    /// Kind [`Encode`](crate::codec::CodecErrorKind::Encode) when it could not be serialised, or is
    /// longer than [`MAX_DATA`](Self::MAX_DATA).
    pub fn data_to_send(&self) -> Result<Option<&Payload>, CodecError> {
        let data = self.rare.as_ref().and_then(|rare| rare.data.as_ref());
        match data {
            None => Ok(None),
            Some(Data::Failed(error)) => Err(error.clone()),
            Some(Data::Made(data)) if data.len() > Self::MAX_DATA => {
                let context = format!(
                    "expected at most {} bytes of data in an error for a client; got {}",
                    Self::MAX_DATA,
                    data.len()
                );
                Err(CodecError::new(CodecErrorKind::Encode, context))
            }
            Some(Data::Made(data)) => Ok((!data.is_empty()).then_some(data)),
        }
    }

    /// Whether it was given data, of whatever sort.
    ///
    /// Shared by the crates of this workspace; not part of the public API.
    #[doc(hidden)]
    #[must_use]
    pub fn __has_data(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.data.is_some())
    }

    /// Finds the first `ClientError` in an error's source chain, the error itself included.
    #[must_use]
    pub fn find_in<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Self> {
        Self::__causes(error).find_map(|link| link.downcast_ref())
    }

    /// An error and its causes, the outermost first. `source` is foreign code: where it panics,
    /// the chain ends, and one without an end is cut.
    ///
    /// Shared by the crates of this workspace; not part of the public API.
    #[doc(hidden)]
    pub fn __causes<'e>(
        error: &'e (dyn Error + 'static),
    ) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
        let cause = |link: &&'e (dyn Error + 'static)| {
            let link = *link;
            catch_unwind(AssertUnwindSafe(|| link.source())).unwrap_or_else(|panic| {
                // What it carries may panic as well when it is dropped.
                if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
                    std::mem::forget(another);
                }
                None
            })
        };
        iter::successors(Some(error), cause).take(LINKS)
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl Error for ClientError {}

/// Declares the error of one operation: a kind to match, a context that says what was expected
/// and what came, and the source. Every seam's error has this form, so that reading one teaches
/// the others. A clone shares the source: one failure may concern many.
///
/// Shared by the crates of this workspace; not part of the public API.
#[doc(hidden)]
#[macro_export]
macro_rules! __operation_error {
    ($(#[$doc:meta])* $name:ident, $kind:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            kind: $kind,
            context: std::borrow::Cow<'static, str>,
            source: Option<std::sync::Arc<dyn std::error::Error + Send + Sync + 'static>>,
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.context)
            }
        }

        impl std::error::Error for $name {
            /// What was attached itself, and not what it is shared by.
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                let source = self.source.as_deref()?;
                Some(source)
            }
        }

        impl $name {
            /// An error of this kind. The context says what was expected, what came and what to
            /// do; it holds no secret, since it is logged.
            #[must_use]
            pub fn new(kind: $kind, context: impl Into<std::borrow::Cow<'static, str>>) -> Self {
                Self { kind, context: context.into(), source: None }
            }

            /// Attaches the cause. `Display` doesn't repeat it: walk `source()` to print it.
            #[must_use]
            pub fn with_source(mut self, source: impl Into<$crate::BoxError>) -> Self {
                let source: $crate::BoxError = source.into();
                self.source = Some(source.into());
                self
            }

            /// What sort of failure this is.
            #[must_use]
            pub fn kind(&self) -> $kind {
                self.kind
            }
        }
    };
}
pub(crate) use __operation_error as operation_error;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] ClientError);

    #[test]
    fn a_client_error_is_found_behind_another_error() {
        let outer = Outer(ClientError::new("full", "no place left"));
        assert_eq!(
            ClientError::find_in(&outer).map(ClientError::code),
            Some("full")
        );
        assert!(ClientError::find_in(&fmt::Error).is_none());
    }

    #[test]
    fn data_is_bounded_where_it_is_sent_and_costs_nothing_where_there_is_none() {
        assert!(
            size_of::<ClientError>() <= 64,
            "{}",
            size_of::<ClientError>()
        );
        let error = ClientError::new("no", "no");
        let text = |length: usize| Payload::json(&"x".repeat(length - 2)).unwrap();
        let longest = error.clone().with_data(text(ClientError::MAX_DATA));
        assert!(longest.data_to_send().unwrap().is_some());
        let longer = error.clone().with_data(text(ClientError::MAX_DATA + 1));
        assert_eq!(
            longer.data_to_send().unwrap_err().kind(),
            CodecErrorKind::Encode
        );
        assert_eq!(longer.clone().without_data(), error);
        // An object whose key is no string.
        let failed = std::collections::BTreeMap::from([(vec![1], 1)]);
        struct Failing<T>(T);
        impl<T: serde::Serialize> IntoPayload for Failing<T> {
            fn into_payload(self) -> Result<Payload, CodecError> {
                Payload::json(&self.0)
            }
        }
        let failed = error.clone().with_data(Failing(failed));
        assert!(failed.data().is_none() && failed.__has_data());
        assert!(failed.data_to_send().is_err());
        assert_eq!(failed.clone(), failed);
        let empty = error.with_data(());
        assert!(empty.data_to_send().unwrap().is_none());
        let waits = longest.with_retry_after(Duration::from_secs(1));
        assert_eq!(
            waits.without_data().retry_after(),
            Some(Duration::from_secs(1))
        );
    }

    /// Is its own cause, or panics where it is asked for one.
    #[derive(Debug)]
    struct Odd {
        panics: bool,
    }

    impl fmt::Display for Odd {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("odd")
        }
    }

    impl Error for Odd {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            assert!(!self.panics, "on purpose");
            Some(self)
        }
    }

    #[test]
    fn a_clone_has_the_same_source_and_it_can_be_found() {
        use crate::presence::{PresenceError, PresenceErrorKind::Corrupt};
        let failed = PresenceError::new(Corrupt, "it failed");
        let failed = failed.with_source(ClientError::new("full", "no place left"));
        for error in [&failed.clone(), &failed] {
            assert_eq!((error.kind(), &*error.to_string()), (Corrupt, "it failed"));
            let found = ClientError::find_in(error).map(ClientError::code);
            assert_eq!(found, Some("full"));
        }
    }

    #[test]
    fn a_chain_ends_though_its_errors_are_odd() {
        for panics in [false, true] {
            let odd = Odd { panics };
            assert!(ClientError::find_in(&odd).is_none());
            assert_eq!(
                ClientError::__causes(&odd).count(),
                if panics { 1 } else { LINKS }
            );
        }
    }
}
