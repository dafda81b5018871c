//! What the server asks a client, and the answers to it.
//!
//! The requests that are open are kept among the session's extensions: a session whose client was
//! never asked has no memory for them. An answer is taken where it is read, and not in the order of
//! the client's messages: the handler of one of those may be the one that waits for it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use realtime_core::{
    ClientError, Exchange, IntoPayload, Message, MessageId, MessageParts, Text, codec::Notice,
    patient_until,
};
use tokio::{sync::oneshot, time::Instant};

use super::{Session, check_route, unread::Unread};
use crate::{RequestError, RequestErrorKind, SendErrorKind, budget::Budget, sync::Mutex};

/// What a client has answered.
type Said = Result<Message, ClientError>;

/// The requests of one session that are open.
#[derive(Debug, Default)]
struct Requests(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// The number of the last.
    last: u64,
    open: HashMap<u64, Waiting>,
    /// How many were given up and are not answered yet. So many answers may come late, and no more:
    /// which ones isn't kept.
    given_up: u64,
}

/// Who waits for an answer.
#[derive(Debug)]
struct Waiting {
    answer: oneshot::Sender<Answered>,
    /// Many wait together, and read it when they come to it: what it takes is booked here.
    unread: Option<Arc<Budget>>,
}

/// An answer that waits for its reader.
#[derive(Debug)]
enum Answered {
    Said(Said, Option<Unread>),
    /// It was too long, or there was no memory for it.
    NotKept,
}

/// What a message is that its client says more of than it may, or that is an answer.
pub(crate) enum Sorted {
    /// A message, without what only the server may say of it.
    Message(Message),
    /// The answer to what was asked, and taken to where it is waited for.
    Answer,
    /// An answer that somebody has waited for, but no longer does: no fault of a client that is slow.
    Late,
    /// An answer to what was never asked, or is answered already.
    Unmatched,
}

/// As the session keeps them.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Requests>);

/// A request that has been sent, until this is dropped.
#[derive(Debug)]
pub(crate) struct Asking {
    session: Session,
    requests: Arc<Requests>,
    number: u64,
    route: Text,
    answer: oneshot::Receiver<Answered>,
    /// It is on its way to the client.
    is_sent: bool,
}

impl Session {
    /// How many requests to one client may be open at the same time.
    pub const MAX_REQUESTS: usize = 64;

    /// Asks the client, and waits for its answer for so long at the most. The answer has the route
    /// that was asked on, where the client names no other.
    ///
    /// A handler may ask its own client, also while messages of it wait: the answer passes them, as
    /// long as they take no more than a megabyte. The form of requests and answers is the codec's:
    /// [the protocol] has that of JSON. An answer that comes too late is dropped and counted
    /// ([`Stats::answers_unmatched`](crate::Stats::answers_unmatched)). That none came in time
    /// doesn't mean that the client did nothing. Once the time is over, it waits 20 ms more for one
    /// that has come and isn't read yet, since the process may have stood still.
    ///
    /// What a client answers is its own: data that doesn't decode is its fault, and no fault of the
    /// client whose message is being handled. In an `on_connect` hook nothing is read of the client
    /// yet, so it can't answer: ask it afterwards.
    ///
    /// [the protocol]: https://github.com/forerunner-space/realtime-rs/blob/main/docs/protocol.md
    ///
    /// # Cancel safety
    /// Dropped before it returns, the client may have been asked, and its answer is for nobody.
    ///
    /// # Errors
    /// Kind [`Refused`](RequestErrorKind::Refused) when the client doesn't do what it is asked:
    /// [`refusal`](RequestError::refusal) is what it says;
    /// [`TimedOut`](RequestErrorKind::TimedOut); [`SessionClosed`](RequestErrorKind::SessionClosed)
    /// once the session is closing; [`TooMany`](RequestErrorKind::TooMany) past
    /// [`MAX_REQUESTS`](Self::MAX_REQUESTS); [`Backpressure`](RequestErrorKind::Backpressure) as for
    /// [`send`](Self::send); [`Encode`](RequestErrorKind::Encode), also as for `send`, and
    /// [`Unsupported`](RequestErrorKind::Unsupported) where the codec has no form for requests.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use realtime::{Json, error::RequestErrorKind};
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// # let client = async {
    /// #     let asked = ann.receive_on("confirm").await?;
    /// #     ann.reply(&asked, Json(true)).await
    /// # };
    /// # let server = async {
    /// let question = Json("Delete 12 files?");
    /// match session.request("confirm", question, Duration::from_secs(30)).await {
    ///     Ok(answer) => assert!(answer.decode::<bool>()?),
    ///     Err(error) if error.kind() == RequestErrorKind::TimedOut => println!("no answer: kept"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # };
    /// # let (asked, answered) = tokio::join!(server, client);
    /// # asked?;
    /// # answered?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn request(
        &self,
        route: impl Into<Text>,
        data: impl IntoPayload,
        within: Duration,
    ) -> Result<Message, RequestError> {
        self.request_message(&Message::new(route, data)?, within)
            .await
    }

    /// Asks the client with a message that is already built. Its id is not sent: a request of the
    /// server has another.
    ///
    /// # Errors
    /// Those of [`request`](Self::request).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use realtime::{Json, Message};
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// let question = Message::new("confirm", Json("Sure?"))?.with_metadata("lang", "en");
    /// let answer = session.request_message(&question, Duration::from_secs(1)).await;
    /// assert!(answer.is_err(), "she has said nothing");
    /// # assert_eq!(ann.receive().await?.metadata().ok_or("none")?["lang"], "en");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn request_message(
        &self,
        message: &Message,
        within: Duration,
    ) -> Result<Message, RequestError> {
        check_route(message)?;
        let asked = Instant::now();
        let asking = self.ask(message, None)?;
        match asked.checked_add(within) {
            Some(by) => asking.answered(by).await,
            None => asking.answered_some_day().await,
        }
    }

    /// Sends a request. An answer that not everybody who waits for one reads at once is bounded, and
    /// booked as long as it is unread.
    pub(crate) fn ask(
        &self,
        message: &Message,
        unread: Option<&Arc<Budget>>,
    ) -> Result<Asking, RequestError> {
        if self.is_closed() {
            return Err(closed());
        }
        let Kept(requests) = self.extensions().get_or_default::<Kept>();
        let mut asking = requests
            .begin(self, message.route_text(), unread)
            .ok_or_else(|| {
                let context = format!(
                    "expected at most {} open requests to one client; there are as many: wait for \
                 answers, or for less long",
                    Self::MAX_REQUESTS
                );
                RequestError::new(RequestErrorKind::TooMany, context)
            })?;
        let id = MessageId::from(asking.number.to_string());
        let frame = match message.message_id() {
            None => self.notice_of(&id, message),
            Some(_) => {
                let mut parts = message.clone().into_parts();
                parts.id = None;
                self.notice_of(&id, &Message::from_parts(parts))
            }
        }?;
        // One of many isn't compressed: each has an id of its own, so it would be done for each.
        let frame = match unread {
            None => self
                .env()
                .dialects
                .sent(self.outbox().dialect(), frame, message),
            Some(_) => frame,
        };
        self.deliver(frame).map_err(|error| match error.kind() {
            SendErrorKind::SessionClosed => closed(),
            _ => {
                let context = "the session's queue is full, so the client wasn't asked";
                RequestError::new(RequestErrorKind::Backpressure, context).with_source(error)
            }
        })?;
        asking.is_sent = true;
        // It may read no more, since enough waits: it does, as long as somebody waits for an answer.
        self.wake();
        Ok(asking)
    }

    fn notice_of(&self, id: &MessageId, message: &Message) -> Result<bytes::Bytes, RequestError> {
        let told = &mut None;
        let message = self.env().tracer.told(message, told);
        let notice = self.encoder().notice(&Notice::Request { id, message })?;
        notice.ok_or_else(|| {
            let context = "the codec has no form for requests of the server";
            RequestError::new(RequestErrorKind::Unsupported, context)
        })
    }

    /// Whether somebody waits for an answer of the client's.
    pub(crate) fn awaits_answer(&self) -> bool {
        let kept = self.extensions().get::<Kept>();
        kept.is_some_and(|Kept(requests)| !requests.0.lock().open.is_empty())
    }

    /// Takes an answer to where it is waited for. Whether it counts as one is for the caller to say.
    #[cold]
    pub(crate) fn sort_out(&self, mut message: Message) -> Sorted {
        let (id, refusal) = match message.exchange() {
            Some(Exchange::Reply(id)) => (id, None),
            Some(Exchange::Refusal(id, error)) => (id, Some(error.clone())),
            Some(_) => return Sorted::Message(message.without_exchange().without_room()),
            None => return Sorted::Message(message.without_room()),
        };
        let number = id.parse::<u64>().ok();
        let number = number.filter(|number| number.to_string() == id.as_str());
        let kept = number.and_then(|_| self.extensions().get::<Kept>());
        let found = kept.zip(number).map_or(Found::Nothing, |(kept, number)| {
            kept.0.0.lock().answered(number)
        });
        let waits = match found {
            Found::Open(waits) => waits,
            Found::GivenUp => {
                self.env().stats.answers_unmatched.add(1);
                return Sorted::Late;
            }
            Found::Nothing => {
                self.env().stats.answers_unmatched.add(1);
                return Sorted::Unmatched;
            }
        };
        message = message.without_exchange().without_room();
        let said = refusal.map_or(Ok(message), Err);
        let answered = match &waits.unread {
            None => Answered::Said(said, None),
            Some(budget) => match Unread::book(budget, &said) {
                Some(booked) => Answered::Said(said, Some(booked)),
                None => {
                    self.env().stats.answers_dropped.add(1);
                    Answered::NotKept
                }
            },
        };
        if waits.answer.send(answered).is_err() {
            self.env().stats.answers_unmatched.add(1);
        }
        Sorted::Answer
    }
}

/// What an answer is for.
enum Found {
    Open(Waiting),
    GivenUp,
    Nothing,
}

impl Table {
    fn answered(&mut self, number: u64) -> Found {
        if let Some(waits) = self.open.remove(&number) {
            return Found::Open(waits);
        }
        if number > self.last || self.given_up == 0 {
            return Found::Nothing;
        }
        self.given_up -= 1;
        Found::GivenUp
    }

    fn gives_up(&mut self, number: u64, is_sent: bool) -> Option<Waiting> {
        let waits = self.open.remove(&number);
        self.given_up += u64::from(is_sent && waits.is_some());
        waits
    }
}

impl Requests {
    fn begin(
        self: &Arc<Self>,
        session: &Session,
        route: &Text,
        unread: Option<&Arc<Budget>>,
    ) -> Option<Asking> {
        let (waits, answer) = oneshot::channel();
        let waits = Waiting {
            answer: waits,
            unread: unread.cloned(),
        };
        let mut table = self.0.lock();
        if table.open.len() >= Session::MAX_REQUESTS {
            return None;
        }
        table.last += 1;
        let number = table.last;
        table.open.insert(number, waits);
        drop(table);
        Some(Asking {
            session: session.clone(),
            requests: Arc::clone(self),
            number,
            route: route.clone(),
            answer,
            is_sent: false,
        })
    }
}

impl Asking {
    /// Waits for the answer, until then, and then once more for what has come and is not read yet.
    pub(crate) async fn answered(self, by: Instant) -> Result<Message, RequestError> {
        let answer = patient_until(by.into(), self.answered_some_day()).await;
        answer.unwrap_or_else(|| {
            let context = "expected an answer of the client in time; got none";
            Err(RequestError::new(RequestErrorKind::TimedOut, context))
        })
    }

    /// Waits for the answer, or for the end of the session.
    async fn answered_some_day(mut self) -> Result<Message, RequestError> {
        let answer = &mut self.answer;
        let said = tokio::select! {
            biased;
            said = &mut *answer => said.ok(),
            // What came before the end was read before it.
            () = self.session.closed() => answer.try_recv().ok(),
        };
        match said {
            Some(Answered::Said(Ok(message), _read)) => Ok(on_its_route(message, &self.route)),
            Some(Answered::Said(Err(refusal), _read)) => {
                let context = "the client doesn't do what it was asked; the source is what it says";
                Err(RequestError::new(RequestErrorKind::Refused, context).with_source(refusal))
            }
            Some(Answered::NotKept) => {
                let context = "the client's answer was too long, or too much is unread already";
                Err(RequestError::new(RequestErrorKind::TooMany, context))
            }
            None => Err(closed()),
        }
    }
}

/// A client needn't repeat the route.
fn on_its_route(message: Message, route: &Text) -> Message {
    if !message.route().is_empty() {
        return message;
    }
    let mut parts: MessageParts = message.into_parts();
    parts.route = route.clone();
    Message::from_parts(parts)
}

impl Drop for Asking {
    fn drop(&mut self) {
        let waits = self.requests.0.lock().gives_up(self.number, self.is_sent);
        drop(waits);
    }
}

fn closed() -> RequestError {
    let context = "the session is closing or closed, so its client isn't asked";
    RequestError::new(RequestErrorKind::SessionClosed, context)
}
