//! What clients of this node answer to another one, on its way back.

use std::time::Duration;

use futures::{Stream, StreamExt};
use realtime_core::{
    Message, Text,
    broker::control::{ClientAnswer, Outcome},
    codec::{Frame, FrameKind},
};
use tokio::time::Instant;

use super::{
    clients::Heard,
    remote::{Asker, answer},
};
use crate::{
    RequestError, Session,
    guarded::{Whose, caught},
    node::Node,
};

/// How many answers of clients travel together, how many bytes of them, and how long the first waits
/// for others.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 64 * 1024;
const GATHERED: Duration = Duration::from_millis(20);

/// Passes on what clients answer, in batches, in the codec of who has asked.
pub(super) async fn gather(
    (node, codec): (&Node, &str),
    to: &Asker,
    mut heard: impl Stream<Item = Heard> + Unpin,
) -> Outcome {
    let (mut sessions, mut failed) = (0, 0);
    let mut batch = Batch::default();
    loop {
        let next = match batch.due {
            None => heard.next().await,
            Some(due) => match tokio::time::timeout_at(due, heard.next()).await {
                Ok(next) => next,
                Err(_due) => {
                    failed += batch.send(node, to).await;
                    continue;
                }
            },
        };
        let Some((session, result)) = next else {
            failed += batch.send(node, to).await;
            return Outcome::done(sessions, failed);
        };
        sessions += 1;
        match answer_of((node, codec), &session, result) {
            Some(answer) => {
                // A long one is no fault of those before it.
                if !batch.has_room_for(&answer) {
                    failed += batch.send(node, to).await;
                }
                batch.add(answer);
            }
            None => failed += 1,
        }
        if batch.is_full() {
            failed += batch.send(node, to).await;
        }
    }
}

/// What a client has said, as it travels.
fn answer_of(
    (node, codec): (&Node, &str),
    session: &Session,
    result: Result<Message, RequestError>,
) -> Option<ClientAnswer> {
    let result = match result {
        Ok(message) => {
            let dialects = &node.env.dialects;
            let encoded = caught(Whose::Codec, || dialects.encode_for_nodes(codec, &message));
            let (body, kind) = encoded.ok()?.ok()?;
            Ok(match kind {
                FrameKind::Text => Frame::Text(Text::try_from(body).ok()?),
                FrameKind::Binary => Frame::Binary(body),
            })
        }
        Err(error) => Err(error.refusal()?.clone()),
    };
    let identity = session.identity_key().clone();
    Some(ClientAnswer::new(session.id(), identity, result))
}

/// Answers that travel together.
#[derive(Debug, Default)]
struct Batch {
    answers: Vec<ClientAnswer>,
    bytes: usize,
    due: Option<Instant>,
}

impl Batch {
    fn add(&mut self, answer: ClientAnswer) {
        self.bytes += answer.size();
        self.answers.push(answer);
        self.due.get_or_insert_with(|| Instant::now() + GATHERED);
    }

    fn has_room_for(&self, answer: &ClientAnswer) -> bool {
        self.bytes + answer.size() <= BATCH_BYTES
    }

    fn is_full(&self) -> bool {
        self.answers.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    /// Returns how many answers didn't go out.
    async fn send(&mut self, node: &Node, to: &Asker) -> u64 {
        let Self { answers, .. } = std::mem::take(self);
        let count = answers.len() as u64;
        if count == 0 || answer(node, to, &Outcome::Answers(answers)).await {
            return 0;
        }
        count
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use realtime_core::{IdentityKey, SessionId};

    use super::*;

    #[test]
    fn a_long_answer_travels_without_those_before_it() {
        let answer = |bytes| {
            let said = Frame::Text("x".repeat(bytes).into());
            ClientAnswer::new(SessionId::random(), IdentityKey::new("ann"), Ok(said))
        };
        let mut batch = Batch::default();
        batch.add(answer(BATCH_BYTES / 2));
        assert!(batch.has_room_for(&answer(100)) && !batch.is_full());
        assert!(!batch.has_room_for(&answer(BATCH_BYTES / 2)));
        batch.add(answer(BATCH_BYTES));
        assert!(batch.is_full());
    }
}
