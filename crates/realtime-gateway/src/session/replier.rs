//! Requests that are answered later than their handlers return.
//!
//! What is open is kept among the session's extensions: a session of which no handler has taken a
//! [`Replier`] has no memory for it. Nothing foreign runs where one is dropped: the session's task
//! answers for it.

mod asked;
mod unanswered;
mod underway;

use std::{fmt, sync::Arc};

use realtime_core::{
    ClientError, IntoPayload, Message, MessageId,
    codec::{CodecError, CodecErrorKind, Notice},
};

use self::{
    asked::{Asked, Kept, Repliers, Stage},
    underway::Taken,
};
use super::Session;
use crate::{
    SendError, SendErrorKind,
    guarded::{Whose, caught},
    sync::Mutex,
};

pub(crate) use unanswered::{Unanswered, too_late, unanswered};
pub(crate) use underway::Underway;

/// Answers a request, now or later, from whatever task: the first argument of a handler that
/// doesn't answer by what it returns.
///
/// A session handles one message at a time, so a handler that waits holds up those behind it. One
/// that takes a `Replier` returns at once, and its answer comes when it is ready:
///
/// ```
/// use std::time::Duration;
///
/// use realtime::{Json, Router, extract::Replier};
///
/// async fn report(replier: Replier, Json(year): Json<u32>) {
///     tokio::spawn(async move {
///         let lines = tokio::select! {
///             lines = compute(year) => lines,
///             // Nobody waits for it any more.
///             () = replier.closed() => return,
///         };
///         if let Err(error) = replier.reply(Json(lines)) {
///             println!("not answered: {error}");
///         }
///     });
/// }
/// # async fn compute(year: u32) -> u32 {
/// #     tokio::time::sleep(Duration::from_secs(60)).await;
/// #     year + 1
/// # }
///
/// let router = Router::new().route("report", report).route("echo", async |data: Json<u32>| data);
/// # use realtime::{Identity, Message};
/// # use realtime_testkit::memory::connect;
/// # let gateway = realtime::builder().router(router).build()?;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn check(gateway: realtime::Gateway) -> Result<(), Box<dyn std::error::Error>> {
/// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
/// # ann.set_deadline(Duration::from_secs(90));
/// # ann.send_message(&Message::new("report", Json(2026))?.with_id(1)).await?;
/// # assert_eq!(ann.request("echo", Json(7)).await?.decode::<u32>()?, 7);
/// # assert_eq!(ann.receive_on("report").await?.decode::<u32>()?, 2027);
/// # Ok(())
/// # }
/// # check(gateway)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # One answer
/// Its handler returns `()` or `Result<(), E>`, and `()` is no answer. An error is one, where there
/// is none yet, and from then on [`reply`](Self::reply) fails; so does a panic, and a layer that
/// gives the handler up, such as [`TimeoutLayer`](crate::middleware::TimeoutLayer). **A `Replier`
/// that is dropped is an answer, too:** the error `unanswered`, which the error hooks hear of, unless
/// the session is closing. For a message without an id there is nothing to answer
/// ([`is_wanted`](Self::is_wanted)).
///
/// # Order
/// Answers arrive in the order in which they are given, which need not be that of the requests. What
/// one task sends to the session before it answers comes before the answer, and what it sends
/// afterwards behind it.
///
/// # Layers
/// They see an empty [`Reply::none`](realtime_core::extract::Reply::none) as soon as the handler
/// returns, so what they measure and bound is the handler, and not the task that answers. The answer
/// has the id and the route with which the message has come to the handler.
///
/// # Limits
/// At most [`Config::max_repliers_per_session`](crate::Config::max_repliers_per_session) of a session
/// are open at once: past that, requests on such routes are refused with `too_many_requests`, and
/// their handlers not called. A message without an id takes no place. From when its handler has returned
/// one has [`Config::replier_timeout`](crate::Config::replier_timeout) to answer, 5 minutes by default:
/// then the client is answered with `timeout`, and `reply` fails. What still works on it should give up
/// ([`is_wanted`](Self::is_wanted)), since its place is taken until it is dropped. A client that has left, and
/// whose messages are still handled, is waited for as long as for its handlers: 3 s.
pub struct Replier {
    session: Session,
    /// `None` where nobody waits for an answer.
    open: Option<Open>,
}

/// A request that waits for its answer.
struct Open {
    number: u64,
    asked: Arc<Asked>,
    repliers: Arc<Repliers>,
    /// To be woken when it is done.
    session: Session,
    /// Its place is free again, though its answer isn't on its way yet.
    is_answering: bool,
}

impl Replier {
    /// One for a message that is about to be handled.
    pub(crate) fn open(
        session: &Session,
        message: &Message,
    ) -> Result<(Self, Underway), ClientError> {
        let session = session.clone();
        let Some(id) = message.message_id() else {
            let open = None;
            return Ok((Self { session, open }, Underway(None)));
        };
        let Kept(repliers) = session.extensions().get_or_default::<Kept>();
        let asked = Arc::new(Asked {
            id: id.clone(),
            route: message.route_text().clone(),
            stage: Mutex::new(Stage::Handling),
        });
        let number = {
            let mut table = repliers.0.lock();
            table.current = None;
            if table.open >= session.env().max_repliers {
                let text = "too many of your requests wait for their answers";
                return Err(ClientError::new("too_many_requests", text).temporary());
            }
            table.open += 1;
            table.current = Some(Arc::clone(&asked));
            table.last += 1;
            table.last
        };
        let underway = Underway(Some(Taken {
            number,
            asked: Arc::clone(&asked),
            repliers: Arc::clone(&repliers),
            session: session.clone(),
        }));
        let open = Some(Open {
            number,
            asked,
            repliers,
            session: session.clone(),
            is_answering: false,
        });
        Ok((Self { session, open }, underway))
    }

    /// Whether somebody waits for the answer: not for a message without an id, nor once the session
    /// is closing, the handler has failed, or the time for an answer is over.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        let waits = |open: &Open| {
            let stage = *open.asked.stage.lock();
            matches!(stage, Stage::Handling | Stage::Deferred)
        };
        self.open.as_ref().is_some_and(waits) && !self.session.is_closed()
    }

    /// The session whose client has asked.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Waits until the session is closing, and the answer is most likely for nobody.
    ///
    /// # Cancel safety
    /// Safe: dropping it loses nothing.
    pub async fn closed(&self) {
        self.session.closed().await;
    }

    /// Answers with this data; `()` is an answer without. For a message without an id it does
    /// nothing, and nothing is serialised.
    ///
    /// It never waits, and is outside the backpressure policy, as all replies are: while many of
    /// them wait, no further message of the session is handled.
    ///
    /// # Errors
    /// Kind [`SessionClosed`](SendErrorKind::SessionClosed) once the session has ended,
    /// [`Answered`](SendErrorKind::Answered) where the handler has failed or was given up, or this comes
    /// too late, so that the client has its answer already, and [`Encode`](SendErrorKind::Encode) when the data can't
    /// be encoded: the client is answered with `internal` then.
    pub fn reply(mut self, data: impl IntoPayload) -> Result<(), SendError> {
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        // While it is open, since this is foreign code: should it panic, the drop is the answer.
        let data = data.into_payload();
        open.claim()?;
        let asked = &open.asked;
        let (id, route) = (asked.id.clone(), asked.route.clone());
        let sent = data.and_then(|data| {
            let message = Message::plain(Some(id), route, data);
            caught(Whose::Codec, || self.session.encode(&message)).unwrap_or_else(|broken| {
                let context = "the answer could not be encoded";
                Err(CodecError::new(CodecErrorKind::Encode, context).with_source(broken))
            })
        });
        match sent {
            Ok(frame) => self.session.push_late(frame),
            Err(error) => {
                self.session.env().stats.failed.add(1);
                let text = "the server could not handle the message";
                self.answer_error(&asked.id, &ClientError::new("internal", text))?;
                Err(error.into())
            }
        }
    }

    /// Answers with an error. For a message without an id it does nothing.
    ///
    /// # Errors
    /// Those of [`reply`](Self::reply); where its [data](ClientError::with_data) can't be encoded,
    /// the client is answered with the error without.
    pub fn refuse(mut self, error: ClientError) -> Result<(), SendError> {
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        open.claim()?;
        self.session.env().stats.failed.add(1);
        self.answer_error(&open.asked.id, &error)
    }

    fn answer_error(&self, id: &MessageId, error: &ClientError) -> Result<(), SendError> {
        let id = Some(id);
        let notice = Notice::Error { id, error };
        let (frame, wrong) = match self.session.notice_from_outside(&notice) {
            Ok(frame) => (frame, None),
            Err(wrong) => {
                let error = &error.clone().without_data();
                let bare = Notice::Error { id, error };
                (self.session.notice_from_outside(&bare)?, Some(wrong))
            }
        };
        if let Some(frame) = frame {
            self.session.push_late(frame)?;
        }
        wrong.map_or(Ok(()), |wrong| Err(wrong.into()))
    }
}

impl Open {
    /// Takes the request for its one answer. Its place is free before the client can know.
    fn claim(&mut self) -> Result<(), SendError> {
        let mut stage = self.asked.stage.lock();
        if matches!(*stage, Stage::Answered | Stage::Failed) {
            let context = "the request has its answer already: its handler has failed or was given up, \
                           or this comes later than `replier_timeout` allows";
            return Err(SendError::new(SendErrorKind::Answered, context));
        }
        *stage = Stage::Answered;
        drop(stage);
        let mut table = self.repliers.0.lock();
        table.waiting.remove(&self.number);
        table.open = table.open.saturating_sub(1);
        table.answering += 1;
        self.is_answering = true;
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Who has left waits for nothing, and has made nobody forgetful.
        let nobody_answers = self.asked.let_go() && !self.session.is_closed();
        {
            let mut table = self.repliers.0.lock();
            table.waiting.remove(&self.number);
            match self.is_answering {
                true => table.answering = table.answering.saturating_sub(1),
                false => table.open = table.open.saturating_sub(1),
            }
            if nobody_answers {
                table.dropped.push(self.asked.id.clone());
            }
        }
        if nobody_answers {
            self.session.look_at_the_clock();
        } else {
            // It may have waited for this to end.
            self.session.wake();
        }
    }
}

impl fmt::Debug for Replier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replier")
            .field("session", &self.session.id())
            .field("is_wanted", &self.is_wanted())
            .finish_non_exhaustive()
    }
}
