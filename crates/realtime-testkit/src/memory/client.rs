//! The client itself: what a test sends, receives and asserts on.

use std::{collections::VecDeque, fmt, net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use realtime_core::{
    ClientError, CloseCode, Exchange, IntoPayload, Message, MessageId, Text,
    codec::{Codec, Frame, FrameKind, routes},
};
use realtime_gateway::{Gateway, Session};
use realtime_websocket::{Kind, frame};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{io::DuplexStream, time::timeout};

use super::{
    TestError,
    link::{INBOX, Link},
};
use crate::client::{KEY, Request};

/// How long nothing must come for [`TestClient::expect_nothing`].
const SILENCE: Duration = Duration::from_millis(100);
/// How much of a message, and how many of them, an error shows.
const SHOWN: usize = 8;
const SHOWN_CHARS: usize = 200;

/// A client that is connected to a gateway over memory. Made by [`connect`](super::connect) and
/// [`Connect`](super::Connect).
///
/// It reads all the time and answers pings, whatever the test waits for; messages wait for the
/// test in the order in which they came. No wait is longer than its deadline, 10 s if it wasn't set:
/// what doesn't come by then is an error that says what was expected and what came.
///
/// Dropped, it is gone without a close frame, like a client whose network fails.
///
/// # Cancel safety
/// What receives loses nothing when it is dropped before it returns. What sends may have sent a
/// part of a frame: don't use the client afterwards.
pub struct TestClient {
    link: Link,
    codec: Arc<dyn Codec>,
    address: SocketAddr,
    deadline: Duration,
    /// What came while something else was waited for.
    kept: VecDeque<Message>,
    requests: u64,
    pings: u64,
}

impl TestClient {
    pub(super) async fn open(
        request: &Request,
        pipe: DuplexStream,
        codec: Arc<dyn Codec>,
        address: SocketAddr,
        deadline: Duration,
    ) -> Result<Self, TestError> {
        let opened = timeout(deadline, request.open(pipe)).await;
        let opened = opened.map_err(|_| TestError::TimedOut {
            expected: format!("an answer to the upgrade request within {deadline:?}"),
            got: "none".to_owned(),
        })?;
        let mut client = Self {
            link: Link::new(opened?, Arc::clone(&codec)),
            codec,
            address,
            deadline,
            kept: VecDeque::new(),
            requests: 0,
            pings: 0,
        };
        match client.ping().await {
            Err(TestError::TimedOut { .. }) => Err(TestError::TimedOut {
                expected: format!(
                    "the session to begin within {deadline:?}, which it does once its on_connect \
                     hooks have run"
                ),
                got: client.unread(),
            }),
            Ok(()) | Err(TestError::Ended { .. }) => Ok(client),
            Err(error) => Err(error),
        }
    }

    /// Sets how long the client waits for anything. It outlasts the gateway's own times, under
    /// tokio's paused clock at no cost.
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    /// The address that the gateway sees.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The gateway's side of this connection, while it is open there. It is found by the
    /// client's [`address`](Self::address), which a header of a trusted proxy may hide.
    #[must_use]
    pub fn session(&self, gateway: &Gateway) -> Option<Session> {
        let mut sessions = gateway.local_sessions().into_iter();
        sessions.find(|session| session.remote_addr() == Some(self.address))
    }

    /// Sends data on a route, without an id: no answer is asked for.
    ///
    /// # Errors
    /// When it can't be encoded, the connection has ended, or the gateway doesn't read.
    pub async fn send(
        &mut self,
        route: impl Into<Text>,
        data: impl IntoPayload,
    ) -> Result<(), TestError> {
        self.send_message(&Message::new(route, data)?).await
    }

    /// Sends a message that is already built.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn send_message(&mut self, message: &Message) -> Result<(), TestError> {
        let mut out = BytesMut::new();
        let kind = self.codec.encode(message, &mut out)?;
        self.write(kind, &out).await
    }

    /// Sends a frame as it is, for what is no proper message.
    ///
    /// # Errors
    /// When the connection has ended, or the gateway doesn't read.
    pub async fn send_frame(&mut self, frame: Frame) -> Result<(), TestError> {
        self.write(frame.kind(), frame.as_bytes()).await
    }

    async fn write(&mut self, kind: FrameKind, payload: &[u8]) -> Result<(), TestError> {
        let kind = match kind {
            FrameKind::Binary => Kind::Binary,
            FrameKind::Text => Kind::Text,
        };
        let frame = frame::client_frame(true, kind, payload, KEY);
        let written = timeout(self.deadline, self.link.write(&frame)).await;
        self.written("to send a message", written).await
    }

    async fn written(
        &mut self,
        expected: &str,
        written: Result<std::io::Result<()>, tokio::time::error::Elapsed>,
    ) -> Result<(), TestError> {
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.has_ended(expected).await),
            Err(_) => Err(TestError::TimedOut {
                expected: format!("{expected} within {:?}", self.deadline),
                got: "a gateway that doesn't read".to_owned(),
            }),
        }
    }

    /// Sends data on a route with an id, and waits for the answer with that id. What else comes
    /// meanwhile is kept for [`receive`](Self::receive).
    ///
    /// # Errors
    /// [`TestError::Answered`] when the answer is an error, whose code is
    /// [`TestError::code`]; when no answer comes; and those of [`send`](Self::send).
    pub async fn request(
        &mut self,
        route: impl Into<Text>,
        data: impl IntoPayload,
    ) -> Result<Message, TestError> {
        self.requests += 1;
        let id = format!("test-{}", self.requests);
        let message = Message::new(route, data)?.with_id(id.clone());
        self.send_message(&message).await?;
        let route = message.route();
        let expected = format!("the answer to the request on {route:?}");
        let answer = self.find(&expected, |message| message.id() == Some(&id));
        let answer = answer.await?;
        if answer.route() == routes::ERROR && route != routes::ERROR {
            return Err(TestError::Answered {
                route: route.to_owned(),
                error: client_error(&answer)?,
            });
        }
        Ok(answer)
    }

    /// Answers a request of the gateway's, which was [received](Self::receive).
    ///
    /// # Errors
    /// When the message is no request of the gateway's, and those of [`send`](Self::send).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use realtime::{Identity, Json};
    /// use realtime_testkit::memory::connect;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gateway = realtime::builder().build()?;
    /// let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// let session = ann.session(&gateway).ok_or("no session")?;
    /// let asked = tokio::spawn(async move {
    ///     session.request("how old?", Json(()), Duration::from_secs(5)).await
    /// });
    /// let question = ann.receive_on("how old?").await?;
    /// ann.reply(&question, Json(7)).await?;
    /// assert_eq!(asked.await??.decode::<u32>()?, 7);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn reply(&mut self, to: &Message, data: impl IntoPayload) -> Result<(), TestError> {
        let id = asked_in(to)?;
        let message = Message::plain(None, Text::new(), data.into_payload()?);
        let message = message.with_exchange(Exchange::Reply(id));
        self.send_message(&message).await
    }

    /// Says why the client doesn't do what a request of the gateway's wants.
    ///
    /// # Errors
    /// Those of [`reply`](Self::reply).
    pub async fn refuse(&mut self, to: &Message, error: ClientError) -> Result<(), TestError> {
        let refusal = Exchange::Refusal(asked_in(to)?, error);
        self.send_message(&Message::default().with_exchange(refusal))
            .await
    }

    /// The next message.
    ///
    /// # Errors
    /// When none comes in time, or the connection ends first.
    pub async fn receive(&mut self) -> Result<Message, TestError> {
        self.find("a message", |_| true).await
    }

    /// The next message on this route. What else comes meanwhile is kept for
    /// [`receive`](Self::receive).
    ///
    /// # Errors
    /// Those of [`receive`](Self::receive).
    pub async fn receive_on(&mut self, route: &str) -> Result<Message, TestError> {
        let expected = format!("a message on {route:?}");
        self.find(&expected, |message| message.route() == route)
            .await
    }

    /// Takes the first message that fits, and keeps those that don't.
    async fn find(
        &mut self,
        expected: &str,
        fits: impl Fn(&Message) -> bool,
    ) -> Result<Message, TestError> {
        if let Some(at) = self.kept.iter().position(&fits)
            && let Some(message) = self.kept.remove(at)
        {
            return Ok(message);
        }
        let (inbox, kept) = (&mut self.link.inbox, &mut self.kept);
        let found = timeout(self.deadline, async {
            while let Some(arrived) = inbox.recv().await {
                match arrived {
                    Ok(message) if !fits(&message) => kept.push_back(message),
                    fits => return Some(fits),
                }
            }
            None
        });
        match found.await {
            Ok(Some(found)) => Ok(found?),
            Ok(None) => Err(self.has_ended(expected).await),
            Err(_) => Err(TestError::TimedOut {
                expected: format!("{expected} within {:?}", self.deadline),
                got: self.unread(),
            }),
        }
    }

    /// Holds that no message waits and none comes for 100 ms, which by tokio's paused clock begin
    /// to pass when nobody has anything left to do.
    ///
    /// # Errors
    /// When one comes, or the connection ends.
    pub async fn expect_nothing(&mut self) -> Result<(), TestError> {
        self.expect_nothing_for(SILENCE).await
    }

    /// Holds that no message waits and none comes for so long.
    ///
    /// # Errors
    /// When one comes, or the connection ends.
    pub async fn expect_nothing_for(&mut self, time: Duration) -> Result<(), TestError> {
        let expected = format!("no message for {time:?}");
        if self.kept.is_empty() {
            match timeout(time, self.link.inbox.recv()).await {
                Err(_) => return Ok(()),
                Ok(None) => return Err(self.has_ended(&expected).await),
                Ok(Some(message)) => self.kept.push_back(message?),
            }
        }
        Err(TestError::Unexpected {
            expected,
            got: self.unread(),
        })
    }

    /// Pings, and waits for the pong: the session is open and reads. What was sent before may
    /// still wait for its handler; the answer to a request says more.
    ///
    /// # Errors
    /// When no pong comes, or the connection ends first.
    pub async fn ping(&mut self) -> Result<(), TestError> {
        self.pings += 1;
        let payload = self.pings.to_be_bytes();
        let pong = timeout(self.deadline, self.link.ping(&payload)).await;
        self.written("the answer to a ping", pong).await
    }

    /// Sets whether pings are answered. Default: yes.
    pub fn answer_pings(&mut self, answers: bool) {
        self.link.answer_pings(answers);
    }

    /// Stops reading, so that the pipe fills, and pings are not answered. What has come by then
    /// can still be received.
    pub fn stop_reading(&mut self) {
        self.link.set_reading(false);
    }

    /// Reads again after [`stop_reading`](Self::stop_reading).
    pub fn resume_reading(&mut self) {
        self.link.set_reading(true);
    }

    /// Sends a close frame. [`closed`](Self::closed) waits for the answer to it.
    ///
    /// # Errors
    /// When the connection has ended, or the gateway doesn't read.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), TestError> {
        let written = timeout(self.deadline, self.link.close(code, reason)).await;
        self.written("to send a close frame", written).await
    }

    /// Waits until the connection has ended, and says how. Messages that came before can still be
    /// received.
    ///
    /// # Errors
    /// When it stays open, or the gateway breaks the protocol.
    pub async fn closed(&mut self) -> Result<End, TestError> {
        match timeout(self.deadline, self.link.ended()).await {
            Ok(ended) => Ok(ended?),
            Err(_) => Err(TestError::TimedOut {
                expected: format!("the end of the connection within {:?}", self.deadline),
                got: self.unread(),
            }),
        }
    }

    /// The error for what the end of the connection was in the way of.
    async fn has_ended(&mut self, expected: &str) -> TestError {
        match self.closed().await {
            Ok(end) => TestError::Ended {
                expected: expected.to_owned(),
                end,
            },
            Err(error) => error,
        }
    }

    /// What waits for the test, in words.
    fn unread(&mut self) -> String {
        while self.kept.len() <= INBOX
            && let Ok(Ok(message)) = self.link.inbox.try_recv()
        {
            self.kept.push_back(message);
        }
        if self.kept.is_empty() {
            return "none".to_owned();
        }
        let mut text = format!("{} unread: ", self.kept.len());
        for (at, message) in self.kept.iter().take(SHOWN).enumerate() {
            let data = String::from_utf8_lossy(message.data().as_bytes()).into_owned();
            let data: String = data.chars().take(SHOWN_CHARS).collect();
            let comma = if at == 0 { "" } else { ", " };
            text.push_str(&format!("{comma}{:?} {data}", message.route()));
        }
        if self.kept.len() > SHOWN {
            text.push_str(", …");
        }
        text
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient")
            .field("address", &self.address)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

/// The id of the gateway's request that a message is.
fn asked_in(message: &Message) -> Result<MessageId, TestError> {
    match message.exchange() {
        Some(Exchange::Request(id)) => Ok(id.clone()),
        _ => Err(TestError::Unexpected {
            expected: "a request of the gateway's to answer".to_owned(),
            got: format!("a message on {:?}", message.route()),
        }),
    }
}

/// How a connection ended, as the client saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// The code of the close frame; `None` where there was none, in either sense.
    pub code: Option<CloseCode>,
    /// The reason in it; may be empty.
    pub reason: String,
    /// Whether a close frame came, or the connection was just cut.
    pub close_frame: bool,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "a close frame with {code} {:?}", self.reason),
            None if self.close_frame => f.write_str("a close frame without a code"),
            None => f.write_str("no close frame"),
        }
    }
}

/// The data of an error, as the gateway sends it.
#[derive(Deserialize)]
struct ErrorData {
    code: String,
    message: String,
    #[serde(default)]
    temporary: bool,
    retry_after: Option<f64>,
    data: Option<Box<RawValue>>,
}

fn client_error(answer: &Message) -> Result<ClientError, TestError> {
    let ErrorData {
        code,
        message,
        temporary,
        retry_after,
        data,
    } = answer.decode()?;
    let mut error = ClientError::new(code, message);
    if temporary {
        error = error.temporary();
    }
    if let Some(wait) = retry_after.and_then(|s| Duration::try_from_secs_f64(s).ok()) {
        error = error.with_retry_after(wait);
    }
    if let Some(data) = data {
        error = error.with_data(data);
    }
    Ok(error)
}
