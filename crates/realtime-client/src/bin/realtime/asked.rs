//! What the server has asked, by number: a line answers one of them.

use std::collections::{HashMap, VecDeque};

use realtime_client::{Client, Exchange, Message, MessageId, Question, RequestError};

/// So many questions of the server may wait for their answers. Who asks more has no answer to the
/// oldest.
const QUESTIONS: usize = 1024;

/// What the server has asked, and isn't answered yet.
#[derive(Default)]
pub(crate) struct Asked {
    questions: HashMap<MessageId, Question>,
    order: VecDeque<MessageId>,
}

impl Asked {
    pub(crate) fn add(&mut self, question: Question) {
        let Some(Exchange::Request(id)) = question.message().exchange() else {
            return;
        };
        let id = id.clone();
        if self.order.len() >= QUESTIONS
            && let Some(oldest) = self.order.pop_front()
            && let Some(oldest) = self.questions.remove(&oldest)
        {
            oldest.ignore();
        }
        self.order.push_back(id.clone());
        if let Some(before) = self.questions.insert(id, question) {
            before.ignore();
        }
    }

    /// Sends a line: an answer to the question that it names, or a message.
    pub(crate) async fn send(
        &mut self,
        client: &Client,
        message: Message,
    ) -> Result<(), RequestError> {
        let id = match message.exchange() {
            None => return client.send_message(message).await,
            Some(Exchange::Reply(id) | Exchange::Refusal(id, _)) => id,
            // The server alone asks: it is sent as if that weren't there.
            Some(_) => return client.send_message(message.without_exchange()).await,
        };
        match self.questions.remove(id) {
            Some(question) => {
                self.order.retain(|asked| asked != id);
                question.reply_message(message).await
            }
            None => {
                eprintln!("realtime: a line answers nothing that was asked, and was not sent");
                Ok(())
            }
        }
    }
}

/// Who doesn't answer says nothing.
impl Drop for Asked {
    fn drop(&mut self) {
        self.questions
            .drain()
            .for_each(|(_, question)| question.ignore());
    }
}
