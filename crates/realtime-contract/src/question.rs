//! The declaration of a request of the server.

use std::{fmt, marker::PhantomData, time::Duration};

use realtime_core::{Message, codec::CodecError};
use realtime_gateway::{RequestError, RequestErrorKind, Session};
use serde::{Serialize, de::DeserializeOwned};

use crate::request::Written;

/// A route on which the server asks its clients: what it asks, and what they answer. `()` says that
/// there is no data.
///
/// ```
/// use std::time::Duration;
///
/// use realtime::{Session, contract::{AskError, Question}};
///
/// const CONFIRM: Question<String, bool> = Question::new("confirm");
///
/// async fn may_delete(session: &Session, files: u32) -> Result<bool, AskError> {
///     CONFIRM.ask(session, &format!("Delete {files} files?"), Duration::from_secs(30)).await
/// }
/// # use realtime::{Identity, Json};
/// # use realtime_testkit::memory::connect;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let gateway = realtime::builder().build()?;
/// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
/// # let session = ann.session(&gateway).ok_or("")?;
/// # let client = async {
/// #     let asked = ann.receive_on("confirm").await?;
/// #     ann.reply(&asked, Json(true)).await
/// # };
/// # let (answer, told) = tokio::join!(may_delete(&session, 12), client);
/// # told?;
/// # assert!(answer?);
/// # Ok(())
/// # }
/// ```
pub struct Question<Q, A = ()> {
    route: &'static str,
    summary: &'static str,
    types: PhantomData<fn(Q) -> A>,
}

/// There is no answer of the declared type.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The client has answered something else. It counts as not answered, whoever's request has
    /// asked: the error is of the kind [`Answer`](RequestErrorKind::Answer), and its source says what
    /// doesn't fit.
    #[error("the client's answer is not of the declared type")]
    Answer(#[source] RequestError),
    /// The client was not asked, or has not answered.
    #[error("the client was not asked, or has not answered")]
    Request(#[from] RequestError),
}

impl<Q, A> Question<Q, A> {
    /// Declares it. What a route may be is checked when the document is made.
    #[must_use]
    pub const fn new(route: &'static str) -> Self {
        let (summary, types) = ("", PhantomData);
        Self {
            route,
            summary,
            types,
        }
    }

    /// One sentence for the document.
    #[must_use]
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// The route.
    #[must_use]
    pub const fn route(&self) -> &'static str {
        self.route
    }

    pub(crate) const fn summary_text(&self) -> &'static str {
        self.summary
    }
}

impl<Q: Serialize + 'static, A: DeserializeOwned> Question<Q, A> {
    /// Asks the client of a session of this node, and waits for its answer for so long, as
    /// [`Session::request`] does.
    ///
    /// # Cancel safety
    /// That of [`Session::request`].
    ///
    /// # Errors
    /// Those of [`Session::request`], and an answer that is of another type.
    pub async fn ask(
        &self,
        session: &Session,
        question: &Q,
        within: Duration,
    ) -> Result<A, AskError> {
        let answer = session.request(self.route, Written(question), within).await;
        self.decode(&answer?)
    }

    /// The question, for [`Audience::request_message`](realtime_gateway::Audience::request_message):
    /// it asks many.
    ///
    /// # Errors
    /// When the data can't be serialised.
    pub fn message(&self, question: &Q) -> Result<Message, CodecError> {
        Message::new(self.route, Written(question))
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`AskError::Answer`] when it is of another type.
    pub fn decode(&self, answer: &Message) -> Result<A, AskError> {
        // Never the codec's error alone: the gateway takes that for one of the client that it
        // answers.
        let unfit = |error: CodecError| {
            let context = "the client's answer is not of the declared type";
            RequestError::new(RequestErrorKind::Answer, context).with_source(error)
        };
        answer.decode().map_err(unfit).map_err(AskError::Answer)
    }
}

impl<Q, A> Clone for Question<Q, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q, A> Copy for Question<Q, A> {}

impl<Q, A> fmt::Debug for Question<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Question").field(&self.route).finish()
    }
}
