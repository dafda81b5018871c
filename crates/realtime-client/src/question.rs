//! What the server asks, and the answer to it.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{Stream, StreamExt};
use realtime_core::{ClientError, Exchange, IntoPayload, Message, MessageId};
use tokio::sync::{mpsc::WeakSender, oneshot};

use crate::{
    RequestError,
    command::Command,
    inbox::{Got, Inbox, Weighed},
};

/// A request of the server. One that is dropped without an answer is refused with the code
/// `internal`.
#[must_use = "the server waits for an answer"]
pub struct Question {
    message: Message,
    id: MessageId,
    link: u64,
    commands: WeakSender<Command>,
    is_answered: bool,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

impl Weighed for Question {
    fn weight(&self) -> usize {
        self.message.weight()
    }
}

impl Question {
    pub(crate) const fn new(
        message: Message,
        id: MessageId,
        link: u64,
        commands: WeakSender<Command>,
    ) -> Self {
        Self {
            message,
            id,
            link,
            commands,
            is_answered: false,
        }
    }

    /// What is asked.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Answers it.
    ///
    /// # Errors
    /// [`Lost`](RequestError::Lost) when the connection on which it came is gone,
    /// [`Encode`](RequestError::Encode) when the answer has no form.
    pub async fn reply(self, data: impl IntoPayload) -> Result<(), RequestError> {
        let answer = Message::new("", data).map_err(RequestError::Encode)?;
        let exchange = Exchange::Reply(self.id.clone());
        self.answer(answer.with_exchange(exchange)).await
    }

    /// Says why it isn't done.
    ///
    /// # Errors
    /// As [`reply`](Self::reply).
    pub async fn refuse(self, error: ClientError) -> Result<(), RequestError> {
        let answer = refusal(self.id.clone(), error);
        self.answer(answer).await
    }

    /// Answers it with a message, which may have metadata. One whose [`Exchange`] is a refusal says why
    /// it isn't done; the id in it is of no interest, since the answer is to this question alone.
    ///
    /// # Errors
    /// As [`reply`](Self::reply).
    pub async fn reply_message(self, message: Message) -> Result<(), RequestError> {
        let exchange = match message.exchange() {
            Some(Exchange::Refusal(_, error)) => Exchange::Refusal(self.id.clone(), error.clone()),
            _ => Exchange::Reply(self.id.clone()),
        };
        self.answer(message.with_exchange(exchange)).await
    }

    /// Gives the question up without an answer: the server waits for its time.
    pub fn ignore(mut self) {
        self.is_answered = true;
    }

    async fn answer(mut self, message: Message) -> Result<(), RequestError> {
        let commands = self.commands.upgrade().ok_or(RequestError::Ended)?;
        let (sent, result) = oneshot::channel();
        let place = commands.reserve().await.map_err(|_| RequestError::Ended)?;
        self.is_answered = true;
        place.send(Command::Reply {
            message,
            link: self.link,
            sent: Some(sent),
        });
        result.await.unwrap_or(Err(RequestError::Ended))
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let error = ClientError::new("internal", "the client gives no answer");
        let message = refusal(self.id.clone(), error);
        if let Some(commands) = self.commands.upgrade() {
            // Where there is no room now, the server waits for its time.
            let _told_or_not = commands.try_send(Command::Reply {
                message,
                link: self.link,
                sent: None,
            });
        }
    }
}

pub(crate) fn refusal(id: MessageId, error: ClientError) -> Message {
    Message::default().with_exchange(Exchange::Refusal(id, error))
}

/// The requests of the server: from [`Client::on_request`](crate::Client::on_request). It ends with
/// the client.
#[must_use = "a stream does nothing unless it is read"]
pub struct Questions(pub(crate) Inbox<Question>);

impl fmt::Debug for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Questions")
    }
}

impl Stream for Questions {
    type Item = Question;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Question>> {
        loop {
            match ready!(self.0.poll_next_unpin(cx)) {
                Some(Got::Item(question)) => return Poll::Ready(Some(question)),
                // None is: those for which there is no room are refused.
                Some(Got::Missed(_)) => {}
                None => return Poll::Ready(None),
            }
        }
    }
}
