//! The clients of an audience are asked, wherever they are.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use realtime_core::{
    BoxError, ClientError, IdentityKey, IntoPayload, Message, MessageId, SessionId, Text,
    broker::{
        BrokerError, NodeInfo,
        control::{ClientAnswer, Operation},
        envelope::{Except, Target},
    },
    codec::{CodecError, FrameKind, Notice},
};
use tokio::time::Instant;

use super::{
    Gateway,
    audience::Audience,
    control::{Told, receipt},
};
use crate::{
    ControlError, ControlErrorKind, NodeReceipt, Receipt,
    cluster::Asked,
    control::{self, Heard},
    guarded::{Whose, caught},
    session::{LONGEST_ANSWER, check_route},
};

/// What a client has answered to [`Audience::request`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Answer {
    /// The session that was asked.
    pub session: SessionId,
    /// Whose it is.
    pub identity: IdentityKey,
    /// The node that it is on.
    pub node: NodeInfo,
    /// What the client has answered; or why it doesn't do what it was asked, in its own words.
    pub result: Result<Message, ClientError>,
}

/// The answers of clients, from all nodes, in the order in which they come: from
/// [`Audience::request`].
///
/// It ends when all have answered, or their time is over; then there is a
/// [`receipt`](Self::receipt). What clients say waits for its reader, but not without a bound: an
/// answer has at most [`MAX_ANSWER`](Self::MAX_ANSWER) bytes; of clients of other nodes there are at
/// most 4,096 answers, or 8 MiB; and all that is unread on a node has 64 MiB. What is beyond that is
/// dropped, has [`failed`](Receipt::failed) and is
/// [counted](crate::Stats::answers_dropped). Dropped, it forgets them all.
#[must_use = "nobody is asked before it is polled"]
pub struct Answers {
    gateway: Gateway,
    /// Nobody is asked yet.
    question: Option<Question>,
    begun: Instant,
    own: BoxStream<'static, Heard>,
    /// How many clients of this node were asked, and how many have not answered; at last as its
    /// receipt.
    sessions: u64,
    failed: u64,
    own_is_over: bool,
    survey: Option<Arc<Asked>>,
    others: Option<BoxFuture<'static, Option<BrokerError>>>,
    not_asked: Option<BrokerError>,
    overflowed: u64,
    receipt: Option<Receipt>,
}

/// What is to be asked, and whom.
struct Question {
    to: Target,
    except: Vec<Except>,
    message: Message,
    /// As other nodes get it.
    encoded: Option<(Operation, FrameKind)>,
    within: Duration,
}

impl Audience<'_> {
    /// Asks the clients of all sessions of the audience, on all nodes, as
    /// [`Session::request`](crate::Session::request) does: a stream of their answers, each as it
    /// comes. Nobody is asked before it is first polled.
    ///
    /// It ends when all have answered, and at the latest after its time: 3 s, or what
    /// [`within`](Self::within) says, from the first poll on. So that what they say comes back in
    /// time, clients have a tenth of that less: at least 100 ms, but no more than half of it, and at
    /// most 500 ms. Sessions whose clients have given no answer, or one of more than
    /// [`MAX_ANSWER`](Answers::MAX_ANSWER) bytes, are [`failed`](Receipt::failed) in the receipt.
    ///
    /// # Errors
    /// Kind [`InvalidTarget`](ControlErrorKind::InvalidTarget),
    /// [`Closed`](ControlErrorKind::Closed) and [`TooMany`](ControlErrorKind::TooMany) as for
    /// [`disconnect`](Self::disconnect); [`Encode`](ControlErrorKind::Encode), as for
    /// [`Gateway::broadcast`].
    ///
    /// ```
    /// use realtime::{Identity, Json};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # ann.session(&gateway).ok_or("no session")?.join("game:7").await?;
    /// # let client = async {
    /// #     let asked = ann.receive_on("ready?").await?;
    /// #     ann.reply(&asked, Json(true)).await
    /// # };
    /// # let server = async {
    /// let mut answers = gateway.room("game:7").request("ready?", Json(()))?;
    /// while let Some(answer) = answers.next().await {
    ///     match answer.result {
    ///         Ok(message) => println!("{:?}: {}", answer.identity, message.decode::<bool>()?),
    ///         Err(refusal) => println!("{:?} doesn't say: {refusal}", answer.identity),
    ///     }
    /// }
    /// let receipt = answers.receipt().ok_or("it has not ended")?;
    /// println!("{} of {} didn't answer", receipt.failed, receipt.sessions);
    /// # assert_eq!((receipt.failed, receipt.sessions), (0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # };
    /// # let (asked, answered) = tokio::join!(server, client);
    /// # asked?;
    /// # answered?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn request(
        self,
        route: impl Into<Text>,
        data: impl IntoPayload,
    ) -> Result<Answers, ControlError> {
        let message = Message::new(route, data).map_err(not_encoded)?;
        self.request_message(message)
    }

    /// Asks with a message that is already built. Its id is not sent.
    ///
    /// # Errors
    /// Those of [`request`](Self::request).
    pub fn request_message(self, message: Message) -> Result<Answers, ControlError> {
        check_route(&message).map_err(not_encoded)?;
        let within = self.within;
        let Told {
            gateway,
            to,
            except,
        } = self.told()?;
        let mut parts = message.without_room().without_exchange().into_parts();
        parts.id = None;
        let message = Message::from_parts(parts);
        let dialects = &gateway.node().env.dialects;
        let notice = Notice::Request {
            id: &MessageId::from("0"),
            message: &message,
        };
        let has_form = || {
            for dialect in dialects.ids() {
                if dialects.of(dialect).notice(&notice)?.is_some() {
                    return Ok::<_, CodecError>(true);
                }
            }
            Ok(false)
        };
        let has_form = caught(Whose::Codec, has_form).map_err(not_encoded)?;
        if !has_form.map_err(not_encoded)? {
            let context = "the codec has no form for requests of the server";
            return Err(ControlError::new(ControlErrorKind::Encode, context));
        }
        let survey = gateway.survey(&to)?.map(Arc::new);
        let encoded = match &survey {
            Some(_) => {
                let encoded = caught(Whose::Codec, || {
                    dialects.encode_for_nodes(dialects.codec().name(), &message)
                });
                let encoded = encoded.map_err(not_encoded)?;
                let (body, kind) = encoded.map_err(not_encoded)?;
                Some((Operation::Request(body), kind))
            }
            None => None,
        };
        let question = Question {
            to,
            except,
            message,
            encoded,
            within,
        };
        Ok(Answers {
            gateway,
            question: Some(question),
            begun: Instant::now(),
            own: stream::empty().boxed(),
            sessions: 0,
            failed: 0,
            own_is_over: false,
            survey,
            others: None,
            not_asked: None,
            overflowed: 0,
            receipt: None,
        })
    }
}

impl Answers {
    /// How many bytes an answer may have: its data, its route and its metadata. A client whose answer
    /// is longer has [`failed`](Receipt::failed).
    pub const MAX_ANSWER: usize = LONGEST_ANSWER;

    /// The next answer; `None` when there are no more.
    ///
    /// # Cancel safety
    /// Safe: dropping it loses no answer.
    pub async fn next(&mut self) -> Option<Answer> {
        StreamExt::next(self).await
    }

    /// How many were asked, on which nodes, and who is missing: once it has ended.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_ref()
    }

    /// How many answers of clients of other nodes were dropped, since they were read too slowly.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        let survey = self.survey.as_ref();
        survey.map_or(self.overflowed, |asked| asked.overflowed())
    }

    /// Asks. Its time begins here.
    fn begin(&mut self, question: Question) {
        let Question {
            to,
            except,
            message,
            encoded,
            within,
        } = question;
        self.begun = Instant::now();
        let by = self.begun + within;
        if let Some((asked, (operation, kind))) = self.survey.clone().zip(encoded) {
            let gateway = self.gateway.clone();
            let what = (to.clone(), except.clone(), operation, kind);
            self.others = Some(async move { gateway.ask(&asked, what, by).await }.boxed());
        }
        let here = Arc::clone(self.gateway.node());
        let clients_by = by - control::time_to_return(within);
        let own = async move { control::ask(&here, &to, &except, &message, clients_by).await };
        self.own = own.flatten_stream().boxed();
    }

    /// An answer that has come from another node.
    fn next_of_others(&self) -> Option<Answer> {
        loop {
            let (node, answer) = self.survey.as_ref()?.answer()?;
            let ClientAnswer {
                session,
                identity,
                result,
                ..
            } = answer;
            let shared = self.gateway.node();
            let result = match result {
                Err(refusal) => Err(refusal),
                Ok(frame) => {
                    match caught(Whose::Codec, || shared.env.dialects.codec().decode(frame)) {
                        Ok(Ok(message)) => Ok(message),
                        Ok(Err(_)) | Err(_) => {
                            shared.stats().invalid_broker_messages.add(1);
                            if let Some(asked) = &self.survey {
                                asked.is_unreadable(&node);
                            }
                            continue;
                        }
                    }
                }
            };
            return Some(Answer {
                session,
                identity,
                node,
                result,
            });
        }
    }

    /// What one of this node's clients has answered.
    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        while !self.own_is_over {
            let Some((session, result)) = ready!(self.own.poll_next_unpin(cx)) else {
                self.own_is_over = true;
                break;
            };
            self.sessions += 1;
            let result = match result {
                Ok(message) => Ok(message),
                Err(error) => match error.refusal() {
                    Some(refusal) => Err(refusal.clone()),
                    None => {
                        self.failed += 1;
                        continue;
                    }
                },
            };
            return Poll::Ready(Some(Answer {
                session: session.id(),
                identity: session.identity_key().clone(),
                node: self.gateway.node().info.clone(),
                result,
            }));
        }
        Poll::Ready(None)
    }
}

impl Stream for Answers {
    type Item = Answer;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let this = &mut *self;
        if this.receipt.is_some() {
            return Poll::Ready(None);
        }
        this.gateway.background().ensure();
        if let Some(question) = this.question.take() {
            this.begin(question);
        }
        let own = this.poll_own(cx);
        if let Poll::Ready(Some(answer)) = own {
            return Poll::Ready(Some(answer));
        }
        // First, so that what comes from now on wakes this task.
        let are_others_over = match &mut this.others {
            None => true,
            Some(others) => match others.poll_unpin(cx) {
                Poll::Pending => false,
                Poll::Ready(not_asked) => {
                    (this.others, this.not_asked) = (None, not_asked);
                    true
                }
            },
        };
        if let Some(answer) = this.next_of_others() {
            return Poll::Ready(Some(answer));
        }
        if own.is_pending() || !are_others_over {
            return Poll::Pending;
        }
        let done = NodeReceipt::done(this.gateway.node().info.clone(), this.sessions, this.failed);
        // What comes from now on is for nobody.
        let survey = this.survey.take();
        this.overflowed = survey.as_ref().map_or(0, |asked| asked.overflowed());
        let found = survey.map(|asked| asked.found()).unwrap_or_default();
        let not_asked = this.not_asked.take();
        this.receipt = Some(receipt(Ok(done), found, not_asked, this.begun));
        Poll::Ready(None)
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers")
            .field("receipt", &self.receipt)
            .finish_non_exhaustive()
    }
}

fn not_encoded(error: impl Into<BoxError>) -> ControlError {
    let context = "what clients are to be asked could not be encoded";
    ControlError::new(ControlErrorKind::Encode, context).with_source(error)
}
