//! What other nodes ask for, and what they answer.
//!
//! Who receives for all sessions never waits for it: each command has a task of its own. There are
//! not many at once; past that a node says that it is busy, so that nobody takes it for dead.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use realtime_core::{
    Message, NodeId, Text,
    broker::{
        Broker, NodeInfo, Topic,
        control::{ClientAnswer, Command, Operation, Outcome},
        envelope::{Envelope, EnvelopeKind, Target},
    },
    codec::{Frame, FrameKind},
};
use tokio::time::Instant;

use super::{Deed, Heard, ask, perform};
use crate::{
    ErrorStage, RequestError, Session,
    cluster::Received,
    encoder::Encoded,
    escape::Chain,
    guarded::{Whose, caught},
    node::Node,
};

/// The longest that anybody waits for a command.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// How much of that is kept for the answers of clients to come back to the node that has asked.
const RETURN: Duration = Duration::from_millis(500);
/// How many answers of clients travel together, how many bytes of them, and how long the first waits
/// for others.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 64 * 1024;
const GATHERED: Duration = Duration::from_millis(20);

/// Begins with what another node asks for.
pub(crate) fn receive(node: &Arc<Node>, from: NodeInfo, envelope: Envelope) {
    let to = Asker {
        id: from.id,
        correlation: envelope.correlation(),
    };
    let command = match Command::decode(envelope.body().clone()) {
        Ok(command) => command,
        Err(error) => {
            tracing::debug!(
                target: crate::log_targets::RELAY, node = %to.id, error = %Chain(&error),
                "another node asks for what this one doesn't know",
            );
            return refuse(node, to, Outcome::NotUnderstood);
        }
    };
    let Some(place) = node.load.accept() else {
        return refuse(node, to, Outcome::Busy);
    };
    let this = Arc::clone(node);
    let within = command.within.min(LONGEST);
    spawn(node, async move {
        // Nobody hears of what is done later.
        let done = tokio::time::timeout(within, serve(&this, &to, &envelope, command)).await;
        if let Ok(outcome) = done {
            let _sent = answer(&this, &to, &outcome).await;
        }
        drop(place);
    });
}

/// Who has asked, and under which number the answer is expected.
#[derive(Debug)]
struct Asker {
    id: NodeId,
    correlation: Option<u64>,
}

async fn serve(node: &Arc<Node>, to: &Asker, envelope: &Envelope, command: Command) -> Outcome {
    let Some(turn) = node.load.turn().await else {
        return Outcome::Busy;
    };
    let deed = match command.operation {
        Operation::Request(body) => {
            let within = time_of_clients(command.within);
            let Some(message) = readable(node, envelope, body) else {
                node.stats().controls_refused.add(1);
                return Outcome::NotUnderstood;
            };
            let heard = ask(node, envelope.target(), envelope.except(), &message, within).await;
            // Clients take their time, and others have something to do meanwhile.
            drop(turn);
            return gather(node, to, heard).await;
        }
        Operation::Disconnect { code, reason } => Deed::Disconnect(code, reason.to_string()),
        Operation::Join(room) => Deed::Join(room),
        Operation::Leave(room) => Deed::Leave(room),
        _ => {
            node.stats().controls_refused.add(1);
            return Outcome::NotUnderstood;
        }
    };
    let done = perform(node, envelope.target(), envelope.except(), &deed).await;
    Outcome::done(done.sessions, done.failed)
}

/// What clients are asked, in this node's own codec.
fn readable(node: &Node, envelope: &Envelope, body: Bytes) -> Option<Message> {
    let encoder = &node.env.encoder;
    if envelope.codec() != encoder.name() {
        return None;
    }
    let frame = match envelope.frame_kind() {
        FrameKind::Text => Frame::Text(Text::try_from(body).ok()?),
        FrameKind::Binary => Frame::Binary(body),
    };
    caught(Whose::Codec, || encoder.decode(frame)).ok()?.ok()
}

/// For how long clients are waited for by who is waited for so long: what they say has to come back
/// in time.
pub(crate) fn time_of_clients(within: Duration) -> Duration {
    within - (within / 10).min(RETURN)
}

/// Passes on what clients answer, in batches.
async fn gather(node: &Node, to: &Asker, mut heard: impl Stream<Item = Heard> + Unpin) -> Outcome {
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
        match answer_of(node, &session, result) {
            Some(answer) => batch.add(answer),
            None => failed += 1,
        }
        if batch.is_full() {
            failed += batch.send(node, to).await;
        }
    }
}

/// What a client has said, as it travels.
fn answer_of(
    node: &Node,
    session: &Session,
    result: Result<Message, RequestError>,
) -> Option<ClientAnswer> {
    let result = match result {
        Ok(message) => {
            let encoded = caught(Whose::Codec, || node.env.encoder.encode(&message));
            let Encoded { body, kind, .. } = encoded.ok()?.ok()?;
            Ok(match kind {
                FrameKind::Text => Frame::Text(Text::try_from(body).ok()?),
                FrameKind::Binary => Frame::Binary(body),
            })
        }
        Err(error) => Err(error.refusal()?.clone()),
    };
    let identity = session.identity().key().clone();
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

/// Says that nothing was done.
fn refuse(node: &Arc<Node>, to: Asker, outcome: Outcome) {
    node.stats().controls_refused.add(1);
    if let Some(place) = node.load.refuse() {
        let this = Arc::clone(node);
        spawn(node, async move {
            let _sent = answer(&this, &to, &outcome).await;
            drop(place);
        });
    }
}

fn spawn(node: &Arc<Node>, work: impl Future<Output = ()> + Send + 'static) {
    let stop = node.stop.clone();
    node.background.spawn(async move {
        let _stopped = stop.run_until_cancelled(work).await;
    });
}

/// Returns whether it went out.
async fn answer(node: &Node, to: &Asker, outcome: &Outcome) -> bool {
    let Some(correlation) = to.correlation else {
        return true;
    };
    let codec = node.env.encoder.name();
    let envelope = Envelope::new(Target::All, codec, FrameKind::Binary, outcome.encode());
    let envelope = envelope
        .with_kind(EnvelopeKind::Receipt)
        .with_correlation(correlation);
    let topic = Topic::Node(to.id.clone());
    // Who doesn't get it knows that it is missing.
    let published = node.broker.publish(&topic, envelope.encode()).await;
    if let Err(error) = &published {
        tracing::debug!(
            target: crate::log_targets::RELAY, node = %to.id, error = %Chain(error),
            "another node did not get the answer to what it asked for",
        );
    }
    published.is_ok()
}

/// Another node has answered.
pub(crate) fn take_receipt(node: &Node, from: NodeInfo, envelope: &Envelope) {
    let outcome = match Outcome::decode(envelope.body().clone()) {
        Ok(outcome) => outcome,
        Err(error) => {
            node.stats().invalid_broker_messages.add(1);
            return node.report(ErrorStage::Broker, error, None);
        }
    };
    let number = envelope.correlation().unwrap_or(0);
    match node.surveys.receive(number, from, outcome) {
        Received::Taken => {}
        Received::Overflowed(answers) => node.stats().answers_dropped.add(answers),
        Received::Unmatched => node.stats().receipts_unmatched.add(1),
    }
}
