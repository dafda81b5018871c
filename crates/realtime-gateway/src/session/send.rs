//! What is sent to the client: under the policy, with patience, or as an answer.

use std::cell::Cell;

use bytes::Bytes;
use realtime_core::{
    IntoPayload, Message, Text,
    codec::{CodecError, Notice},
};

use super::{Inner, Session};
use crate::{
    SendError, SendErrorKind,
    outbound::{Batch, Refused},
};

/// How many sends that may wait a task makes before it lets others have a turn.
const SENDS_PER_TURN: u8 = 128;

impl Session {
    /// Sends data to the client on a route.
    ///
    /// It writes at once, or queues what the socket doesn't accept, and never waits. From one of
    /// the session's own handlers it leaves as soon as the handler awaits something that isn't
    /// ready or returns, together with everything else it sends.
    ///
    /// A loop of sends that awaits nothing holds its thread, as any such loop does: use
    /// [`send_wait`](Self::send_wait), which lets others have a turn, or
    /// `tokio::task::yield_now`.
    ///
    /// # Errors
    /// Kind [`Backpressure`](SendErrorKind::Backpressure) when the queue is full and the policy
    /// didn't accept the message, [`SessionClosed`](SendErrorKind::SessionClosed) once the session
    /// is closing, [`Encode`](SendErrorKind::Encode) when the data can't be encoded.
    ///
    /// ```
    /// use realtime::{Json, error::SendErrorKind};
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// match session.send("score", Json((2, 1))) {
    ///     Ok(()) => {}
    ///     Err(error) if error.kind() == SendErrorKind::SessionClosed => println!("it has left"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// assert_eq!(ann.receive_on("score").await?.decode::<(u32, u32)>()?, (2, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn send(&self, route: impl Into<Text>, data: impl IntoPayload) -> Result<(), SendError> {
        self.send_message(&Message::new(route, data)?)
    }

    /// Sends a message that is already built.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    ///
    /// ```
    /// use realtime::{Json, Message};
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// let message = Message::new("score", Json((2, 1)))?.with_metadata("lang", "en");
    /// session.send_message(&message)?;
    /// let received = ann.receive().await?;
    /// assert_eq!(received.metadata().ok_or("no metadata")?["lang"], "en");
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_message(&self, message: &Message) -> Result<(), SendError> {
        self.deliver(self.encode(message)?)
    }

    /// Makes a frame for this session alone.
    fn encode(&self, message: &Message) -> Result<Bytes, CodecError> {
        let Inner { outbox, env, .. } = &*self.0;
        outbox.make(|out| env.encoder.frame_in(out, message))
    }

    /// Sends data, and waits for room in the queue where there is none. For producers that want
    /// to go as fast as the client reads. Those who wait are served in the order in which they
    /// came.
    ///
    /// # Cancel safety
    /// Safe: dropped while it waits, nothing is sent.
    ///
    /// # Errors
    /// Kinds [`SessionClosed`](SendErrorKind::SessionClosed) and
    /// [`Encode`](SendErrorKind::Encode).
    ///
    /// ```
    /// use realtime::{Json, Router, Session, error::SendError};
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// /// A large file, in pieces, as fast as the client reads them.
    /// async fn download(session: Session) -> Result<(), SendError> {
    ///     for piece in 0..1_000 {
    ///         session.send_wait("piece", Json(piece)).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let router = Router::new().route("download", download);
    /// let gateway = realtime::builder().queue_messages(16).router(router).build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # ann.send("download", ()).await?;
    /// # for piece in 0..1_000 {
    /// #     assert_eq!(ann.receive_on("piece").await?.decode::<u32>()?, piece);
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_wait(
        &self,
        route: impl Into<Text>,
        data: impl IntoPayload,
    ) -> Result<(), SendError> {
        let frame = self.encode(&Message::new(route, data)?)?;
        self.deliver_wait(frame).await
    }

    /// Sends a message that is already built, and waits for room.
    ///
    /// # Errors
    /// Those of [`send_wait`](Self::send_wait).
    ///
    /// ```
    /// use realtime::{Json, Message};
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// let message = Message::new("piece", Json(1))?;
    /// session.send_message_wait(&message).await?;
    /// assert_eq!(ann.receive_on("piece").await?.decode::<u32>()?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_message_wait(&self, message: &Message) -> Result<(), SendError> {
        let frame = self.encode(message)?;
        self.deliver_wait(frame).await
    }

    /// Hands over a frame that is ready to be written, and waits for room.
    async fn deliver_wait(&self, mut frame: Bytes) -> Result<(), SendError> {
        // Who sends in a loop to a client that reads fast lets others have a turn.
        if is_nth_send() {
            tokio::task::yield_now().await;
        }
        if self.is_closed() {
            return Err(closed());
        }
        let (accepted, offered) = self.0.outbox.push_if_room(&mut frame);
        self.count(accepted);
        match offered {
            Ok(()) => Ok(()),
            // Boxed, since there nearly always is room: a handler that sends stays small.
            Err(Refused::Full) => Box::pin(self.deliver_with_room(frame)).await,
            Err(_) => Err(closed()),
        }
    }

    async fn deliver_with_room(&self, frame: Bytes) -> Result<(), SendError> {
        let count = |accepted| self.count(accepted);
        // The end of the session wakes those who wait here.
        let pushed = self.0.outbox.push_wait(frame, count).await;
        pushed.map_err(|_| closed())
    }

    /// Hands over a frame that is ready to be written.
    pub(crate) fn deliver(&self, frame: Bytes) -> Result<(), SendError> {
        if self.is_closed() {
            return Err(closed());
        }
        let (accepted, offered) = self.0.outbox.push(frame);
        self.count(accepted);
        match offered {
            Ok(()) => Ok(()),
            Err(Refused::Closed) => Err(closed()),
            Err(Refused::Dropped) => {
                let context = "the session's queue is full, so the message was dropped; send less, or use \
                               `send_wait`";
                Err(SendError::new(SendErrorKind::Backpressure, context))
            }
            Err(Refused::Full) => {
                let context = "the session's queue is full, so the session is being closed; send less, or \
                               use `send_wait`";
                Err(SendError::new(SendErrorKind::Backpressure, context))
            }
        }
    }

    /// Writes what a round of its shard's dispatcher brings, and returns how many messages that
    /// are.
    pub(crate) fn catch_up(&self, batch: &Batch) -> u64 {
        let accepted = self.0.outbox.catch_up(batch);
        self.count_lost(accepted);
        accepted.sent
    }

    /// Answers the client, outside the policy. It leaves when the session's task next writes.
    /// Returns whether so many replies wait that no more should be made for now.
    pub(crate) fn reply(&self, message: &Message) -> Result<bool, CodecError> {
        let frame = self.encode(message)?;
        Ok(self.push_reply(frame))
    }

    /// The same for what the gateway itself has to say.
    pub(crate) fn reply_notice(&self, notice: &Notice<'_>) -> Result<bool, CodecError> {
        let frame = self.0.env.encoder.notice(notice)?;
        Ok(frame.is_some_and(|frame| self.push_reply(frame)))
    }

    fn push_reply(&self, frame: Bytes) -> bool {
        let (accepted, full) = self.0.outbox.push_reply(frame);
        self.count(accepted);
        full
    }
}

/// Whether it is time for others: once in so many sends that may wait, on this thread. Tokio's own
/// budget would do, too, and costs ten times as much.
fn is_nth_send() -> bool {
    thread_local! {
        static SENDS: Cell<u8> = const { Cell::new(0) };
    }
    let sends = SENDS.get().wrapping_add(1);
    SENDS.set(sends);
    sends.is_multiple_of(SENDS_PER_TURN)
}

fn closed() -> SendError {
    SendError::new(
        SendErrorKind::SessionClosed,
        "the session is closing or closed",
    )
}
