//! The handle of a client.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{Stream, StreamExt};
use realtime_core::{
    IntoPayload, Message, Payload, RoomName, Text,
    codec::{CodecError, CodecErrorKind},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    runtime,
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};

use crate::{
    ClientBuilder, End, Questions, RequestError, Room, State,
    command::{Command, Limit},
    inbox::{Got, Inbox},
    room::publishing,
    settings::Settings,
    shared::Shared,
    task,
};

/// How much handles may say before the task has heard it. What they say waits for room.
const COMMANDS: usize = 64;

/// A connection to a gateway that comes back. Clones are handles of the same one.
///
/// One task has the connection. It ends with [`close`](Self::close), or when the last handle is
/// dropped; a [`Room`] and a [`Membership`](crate::Membership) are handles, too, and streams are not.
#[derive(Clone)]
pub struct Client(Arc<Handle>);

struct Handle {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<State>,
    shared: Arc<Shared>,
    settings: Arc<Settings>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.closing.notify_one();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("state", &*self.0.state.borrow())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// The settings of a client of the gateway at this URL: `ws:`, `wss:`, `http:` or `https:`.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url.into())
    }

    pub(crate) fn start(settings: Arc<Settings>, runtime: &runtime::Handle) -> Self {
        let (commands, heard) = mpsc::channel(COMMANDS);
        let shared = Arc::new(Shared::new());
        let weak = commands.downgrade();
        let (tell, state) = watch::channel(State::Connecting);
        let task = task::run(
            Arc::clone(&settings),
            Arc::clone(&shared),
            heard,
            weak,
            tell,
        );
        // It ends itself, when all senders of commands are gone.
        drop(runtime.spawn(task));
        Self(Arc::new(Handle {
            commands,
            state,
            shared,
            settings,
        }))
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// How it is with the connection, now and with each change.
    ///
    /// ```no_run
    /// # async fn f(client: realtime_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use realtime_client::State;
    ///
    /// let mut state = client.state();
    /// while state.changed().await.is_ok() {
    ///     if let State::Waiting { why, .. } = &*state.borrow_and_update() {
    ///         eprintln!("away: {why}");
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.0.state.clone()
    }

    /// Waits until there is a connection. Cancel-safe.
    ///
    /// # Errors
    /// Why there will be none.
    pub async fn online(&self) -> Result<(), End> {
        let mut state = self.state();
        let settled = |state: &State| matches!(state, State::Online | State::Ended(_));
        match state.wait_for(settled).await.map(|state| state.clone()) {
            Ok(State::Ended(end)) => Err(end),
            Ok(_) => Ok(()),
            Err(_) => Err(End::unopened("the task of the client has died")),
        }
    }

    /// Waits until there is no connection and won't be, and says why. Cancel-safe.
    pub async fn ended(&self) -> End {
        let mut state = self.state();
        let ended = |state: &State| matches!(state, State::Ended(_));
        match state.wait_for(ended).await.map(|state| state.clone()) {
            Ok(State::Ended(end)) => end,
            _ => End::unopened("the task of the client has died"),
        }
    }

    /// Asks the server, and waits for its answer for the client's timeout. Without a connection, it
    /// waits for one in that time.
    ///
    /// Dropping the future gives up waiting: what was sent may be done all the same.
    ///
    /// ```no_run
    /// # async fn f(client: realtime_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use realtime_client::{Json, RequestError};
    ///
    /// match client.request("price", Json("tea")).await {
    ///     Ok(answer) => println!("{}", answer.decode::<f64>()?),
    ///     Err(RequestError::Refused(refusal)) => println!("no: {}", refusal.code()),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Refused`](RequestError::Refused) when the server answers with an error,
    /// [`Lost`](RequestError::Lost) and [`TimedOut`](RequestError::TimedOut) when there is no answer,
    /// [`Full`](RequestError::Full) when as many wait as may, and [`Ended`](RequestError::Ended),
    /// [`Encode`](RequestError::Encode).
    pub async fn request(
        &self,
        route: impl Into<Text>,
        data: impl IntoPayload,
    ) -> Result<Message, RequestError> {
        let message = Message::new(route, data).map_err(RequestError::Encode)?;
        self.request_message(message, self.0.settings.timeout).await
    }

    /// The same with a message, which may have metadata, and a timeout of its own. An id of the message
    /// is replaced.
    ///
    /// # Errors
    /// Those of [`request`](Self::request).
    pub async fn request_message(
        &self,
        message: Message,
        timeout: Duration,
    ) -> Result<Message, RequestError> {
        not_an_answer(&message)?;
        let limit = Limit::new(timeout);
        let (answer, answered) = oneshot::channel();
        self.command_until(
            Command::Ask {
                message,
                limit: limit.clone(),
                answer,
            },
            limit.deadline,
        )
        .await?;
        limit.wait(answered).await
    }

    /// The same with values: the question as JSON, and the answer out of it.
    ///
    /// ```no_run
    /// # async fn f(client: realtime_client::Client) -> Result<(), realtime_client::RequestError> {
    /// let price: f64 = client.ask("price", "tea").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`request`](Self::request), and [`Decode`](RequestError::Decode) when the answer
    /// doesn't fit.
    pub async fn ask<A: DeserializeOwned>(
        &self,
        route: impl Into<Text>,
        question: &(impl Serialize + Sync + ?Sized),
    ) -> Result<A, RequestError> {
        let data = Payload::json(question).map_err(RequestError::Encode)?;
        let answer = self.request(route, data).await?;
        answer.decode().map_err(RequestError::Decode)
    }

    /// Sends without an answer. It returns when the message is with the connection, which may take
    /// until there is one. Where the future is dropped before, the message may be sent or not.
    ///
    /// # Errors
    /// Those of [`request`](Self::request) but `Refused`: what the server says to it comes as a message
    /// on the route `error`.
    pub async fn send(
        &self,
        route: impl Into<Text>,
        data: impl IntoPayload,
    ) -> Result<(), RequestError> {
        self.send_message(Message::new(route, data).map_err(RequestError::Encode)?)
            .await
    }

    /// The same with a message, which may have metadata, and an id, which is sent as it is: the answer
    /// to it comes as a message. The client's own requests have whole numbers from 1 on as ids.
    ///
    /// # Errors
    /// Those of [`send`](Self::send). [`Encode`](RequestError::Encode), too, for an answer to the server
    /// (a message with an [`Exchange`](crate::Exchange)): the number of a question belongs to its
    /// connection, and after a reconnect names another one, so [`Question`](crate::Question) alone
    /// answers.
    pub async fn send_message(&self, message: Message) -> Result<(), RequestError> {
        not_an_answer(&message)?;
        let limit = Limit::new(self.0.settings.timeout);
        let (sent, result) = oneshot::channel();
        self.command_until(
            Command::Post {
                message,
                limit: limit.clone(),
                sent,
            },
            limit.deadline,
        )
        .await?;
        limit.wait(result).await
    }

    /// All messages from now on that aren't answers: those of rooms as well, and the server's own
    /// (`error`, `gap`, `expiring`, `removed`). Each call makes a stream of its own.
    ///
    /// ```no_run
    /// # async fn f(client: realtime_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures::StreamExt;
    /// use realtime_client::Incoming;
    ///
    /// let mut messages = client.messages();
    /// while let Some(incoming) = messages.next().await {
    ///     match incoming {
    ///         Incoming::Message(message) => println!("{}", message.route()),
    ///         Incoming::Dropped(count) => eprintln!("{count} came too fast"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn messages(&self) -> Messages {
        Messages(self.0.shared.read(self.0.settings.inbox))
    }

    /// The server's own requests, from now on. There is one such stream: a second call ends the first.
    /// Where nobody reads it, they are refused with `unknown_route`; where too many wait in it, with
    /// `busy`.
    ///
    /// ```no_run
    /// # async fn f(client: realtime_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures::StreamExt;
    /// use realtime_client::{ClientError, Json};
    ///
    /// let mut questions = client.on_request();
    /// while let Some(question) = questions.next().await {
    ///     match question.message().route() {
    ///         "version" => question.reply(Json("1.2")).await?,
    ///         _ => question.refuse(ClientError::new("unknown_route", "no idea")).await?,
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn on_request(&self) -> Questions {
        Questions(self.0.shared.read_questions(self.0.settings.inbox))
    }

    /// A room, by its name; `@me` is the client's own inbox.
    pub fn room(&self, name: impl Into<Text>) -> Room {
        Room::new(self.clone(), name.into())
    }

    /// Tries at once where it waits for the next attempt.
    pub fn retry(&self) {
        // Where there is no room, the task is busy, and so not waiting.
        let _heard_or_not = self.0.commands.try_send(Command::Retry);
    }

    /// Ends the connection with a close frame, and what waits for it, and waits for that: two seconds at
    /// most. Dropping the future doesn't stop it once it has begun.
    pub async fn close(&self) {
        self.0.shared.closing.notify_one();
        let mut state = self.state();
        while state.changed().await.is_ok() {}
    }

    pub(crate) async fn publish(
        &self,
        room: &RoomName,
        data: impl IntoPayload,
        key: Option<String>,
    ) -> Result<(), RequestError> {
        let data = data
            .into_payload()
            .and_then(|data| publishing(room, &data, key.as_deref()));
        self.request("publish", data.map_err(RequestError::Encode)?)
            .await
            .map(drop)
    }

    pub(crate) async fn command(&self, command: Command) -> Result<(), RequestError> {
        self.0
            .commands
            .send(command)
            .await
            .map_err(|_| RequestError::Ended)
    }

    pub(crate) async fn command_until(
        &self,
        command: Command,
        until: Instant,
    ) -> Result<(), RequestError> {
        match timeout_at(until, self.command(command)).await {
            Ok(result) => result,
            Err(_) => Err(RequestError::TimedOut { sent: false }),
        }
    }
}

/// Which of the server's questions an answer is to is known to the question alone.
fn not_an_answer(message: &Message) -> Result<(), RequestError> {
    match message.exchange() {
        None => Ok(()),
        Some(_) => {
            let context =
                "expected a message that is no answer to the server: answer by the `Question`";
            let error = CodecError::new(CodecErrorKind::Encode, context);
            Err(RequestError::Encode(error))
        }
    }
}

/// What comes from the server: from [`Client::messages`]. It ends with the client, and doesn't hold
/// it.
#[must_use = "a stream does nothing unless it is read"]
pub struct Messages(Inbox<Message>);

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Messages")
    }
}

/// What a stream of messages has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incoming {
    /// A message.
    Message(Message),
    /// So many messages were dropped here before the next one, since this stream wasn't read in time.
    Dropped(u64),
}

impl Incoming {
    /// The message, if it is one.
    #[must_use]
    pub fn into_message(self) -> Option<Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Dropped(_) => None,
        }
    }
}

impl Stream for Messages {
    type Item = Incoming;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        Poll::Ready(match ready!(self.0.poll_next_unpin(cx)) {
            Some(Got::Item(message)) => Some(Incoming::Message(message)),
            Some(Got::Missed(dropped)) => Some(Incoming::Dropped(dropped)),
            None => None,
        })
    }
}
