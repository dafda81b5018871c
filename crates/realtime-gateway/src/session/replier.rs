//! Requests that are answered later than their handlers return.
//!
//! What is open is kept among the session's extensions: a session of which no handler has taken a
//! [`Replier`] has no memory for it. Nothing foreign runs where one is dropped: the session's task
//! answers for it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use realtime_core::{
    BoxError, ClientError, IntoPayload, Message, MessageId, Text,
    codec::{CodecError, CodecErrorKind, Notice},
};

use super::{Env, Session};
use crate::{
    HandlerError, HandlerErrorKind, SendError, SendErrorKind,
    clock::Millis,
    guarded::{Whose, caught},
    sync::Mutex,
};

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

/// What was asked. Without its session, by which it may be kept.
struct Asked {
    id: MessageId,
    route: Text,
    stage: Mutex<Stage>,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its handler runs.
    Handling,
    /// The same, and it has let go of its replier without an answer.
    LetGo,
    /// Its handler has returned.
    Deferred,
    /// The replier has answered it, or was dropped.
    Answered,
    /// The handler has failed, or was given up, or the replier has taken too long: that is the answer.
    Failed,
}

/// Those of one session.
#[derive(Default)]
struct Repliers(Mutex<Table>);

#[derive(Default)]
struct Table {
    open: usize,
    /// Of these no more, and their answers are just being made.
    answering: usize,
    /// What the last handler has taken, until it has returned without an error.
    current: Option<Arc<Asked>>,
    /// Dropped without an answer, and not answered for yet.
    dropped: Vec<MessageId>,
    last: u64,
    /// Those whose handlers have returned, by their numbers, and until when they may answer.
    waiting: BTreeMap<u64, (Millis, Arc<Asked>)>,
}

/// Requests that the session's task answers for.
#[derive(Default)]
pub(crate) struct Unanswered {
    /// Their repliers were dropped.
    pub(crate) dropped: Vec<MessageId>,
    /// Their repliers have had their time.
    pub(crate) late: Vec<MessageId>,
    /// When to look again.
    pub(crate) next: Option<Millis>,
}

/// As the session keeps them.
#[derive(Clone, Default)]
struct Kept(Arc<Repliers>);

/// The handler that has taken a replier, until it returns.
pub(crate) struct Underway(Option<Taken>);

/// What it has taken.
struct Taken {
    number: u64,
    asked: Arc<Asked>,
    repliers: Arc<Repliers>,
    session: Session,
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

impl Table {
    /// Whether there is something to wait for before the session ends.
    fn is_busy(&self) -> bool {
        self.open + self.answering > 0 || !self.dropped.is_empty()
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

impl Asked {
    /// Its replier is gone. Returns whether nobody else answers.
    fn let_go(&self) -> bool {
        let mut stage = self.stage.lock();
        match *stage {
            Stage::Handling => {
                *stage = Stage::LetGo;
                false
            }
            Stage::Deferred => {
                *stage = Stage::Answered;
                true
            }
            Stage::LetGo | Stage::Answered | Stage::Failed => false,
        }
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

impl Underway {
    /// The handler has returned this.
    pub(crate) fn ended(self, result: Result<(), BoxError>) -> Result<(), BoxError> {
        let Some(taken) = &self.0 else {
            return result;
        };
        let mut stage = taken.asked.stage.lock();
        match (*stage, &result) {
            (Stage::Handling, Ok(())) => *stage = Stage::Deferred,
            (Stage::LetGo, Ok(())) => {
                *stage = Stage::Failed;
                return Err(unanswered().into());
            }
            (Stage::Handling | Stage::LetGo, Err(_)) => *stage = Stage::Failed,
            _ => {}
        }
        let is_deferred = *stage == Stage::Deferred;
        drop(stage);
        if result.is_ok() {
            // What fails later isn't this handler.
            taken.repliers.0.lock().current = None;
        }
        if is_deferred {
            taken.wait();
        }
        result
    }
}

impl Taken {
    /// From now on the answer has its time.
    fn wait(&self) {
        let Env {
            clock,
            replier_timeout,
            ..
        } = self.session.env();
        let Some(timeout) = *replier_timeout else {
            return;
        };
        let until = clock.after(timeout);
        {
            let mut table = self.repliers.0.lock();
            // One that was answered meanwhile isn't to be waited for.
            if *self.asked.stage.lock() != Stage::Deferred {
                return;
            }
            let waiting = (until, Arc::clone(&self.asked));
            table.waiting.insert(self.number, waiting);
        }
        if self.session.wake_at().no_later_than(until) {
            self.session.wake();
        }
    }
}

impl Drop for Underway {
    /// A handler that was given up is answered for by who has done that.
    fn drop(&mut self) {
        if let Some(taken) = &self.0 {
            let mut stage = taken.asked.stage.lock();
            if matches!(*stage, Stage::Handling | Stage::LetGo) {
                *stage = Stage::Failed;
            }
        }
    }
}

impl Session {
    fn repliers(&self) -> Option<Arc<Repliers>> {
        let kept = self.extensions().get::<Kept>();
        kept.map(|Kept(repliers)| repliers)
    }

    /// Whether the request whose handler has just failed was answered by its replier.
    #[cold]
    pub(crate) fn has_answered(&self, id: &MessageId) -> bool {
        let current = self.repliers().and_then(|repliers| {
            let current = repliers.0.lock().current.take();
            current.filter(|asked| asked.id == *id)
        });
        current.is_some_and(|asked| *asked.stage.lock() == Stage::Answered)
    }

    /// Whether requests wait for answers that come later.
    #[cold]
    pub(crate) fn has_open_repliers(&self) -> bool {
        self.repliers()
            .is_some_and(|repliers| repliers.0.lock().is_busy())
    }

    /// The requests whose repliers were dropped, or have had their time, for them to be answered.
    pub(crate) fn take_unanswered(&self) -> Unanswered {
        let Some(repliers) = self.repliers() else {
            return Unanswered::default();
        };
        let now = self.env().clock.now();
        let mut table = repliers.0.lock();
        let mut unanswered = Unanswered {
            dropped: std::mem::take(&mut table.dropped),
            ..Unanswered::default()
        };
        // Each has as much time, so they are late in the order in which their handlers returned, which
        // is that of their numbers.
        while let Some(first) = table.waiting.first_entry() {
            if first.get().0 > now {
                unanswered.next = Some(first.get().0);
                break;
            }
            let (_, asked) = first.remove();
            let mut stage = asked.stage.lock();
            if *stage == Stage::Deferred {
                *stage = Stage::Failed;
                unanswered.late.push(asked.id.clone());
            }
        }
        unanswered
    }
}

/// What became of a request whose replier was dropped.
pub(crate) fn unanswered() -> HandlerError {
    let context = "expected an answer by the `Replier` that the handler has taken; it was dropped: \
                   use `reply` or `refuse` on every way, also where the task that has it fails";
    HandlerError::new(HandlerErrorKind::Unanswered, context)
}

/// What became of a request whose replier has taken too long.
pub(crate) fn too_late() -> HandlerError {
    let context = "expected an answer by the `Replier` that the handler has taken, within \
                   `replier_timeout`; there was none: give up what takes longer, and drop it";
    HandlerError::new(HandlerErrorKind::TimedOut, context)
}

impl fmt::Debug for Replier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replier")
            .field("session", &self.session.id())
            .field("is_wanted", &self.is_wanted())
            .finish_non_exhaustive()
    }
}
