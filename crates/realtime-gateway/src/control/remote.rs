//! What other nodes ask for, and what they answer.
//!
//! Who receives for all sessions never waits for it: each command has a task of its own. There are
//! not many at once; past that a node says that it is busy, so that nobody takes it for dead.

use std::{sync::Arc, time::Duration};

use realtime_core::{
    NodeId,
    broker::{
        Broker, NodeInfo, Topic,
        control::{Command, Operation, Outcome},
        envelope::{Envelope, EnvelopeKind, Target},
    },
    codec::FrameKind,
};

use super::{Deed, perform};
use crate::{ErrorStage, cluster::Received, escape::Chain, node::Node};

/// The longest that anybody waits for a command.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

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
            answer(&this, &to, &outcome).await;
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

async fn serve(node: &Arc<Node>, _to: &Asker, envelope: &Envelope, command: Command) -> Outcome {
    let Some(_turn) = node.load.turn().await else {
        return Outcome::Busy;
    };
    let deed = match command.operation {
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

/// Says that nothing was done.
fn refuse(node: &Arc<Node>, to: Asker, outcome: Outcome) {
    node.stats().controls_refused.add(1);
    if let Some(place) = node.load.refuse() {
        let this = Arc::clone(node);
        spawn(node, async move {
            answer(&this, &to, &outcome).await;
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

async fn answer(node: &Node, to: &Asker, outcome: &Outcome) {
    let Some(correlation) = to.correlation else {
        return;
    };
    let codec = node.env.encoder.name();
    let envelope = Envelope::new(Target::All, codec, FrameKind::Binary, outcome.encode());
    let envelope = envelope
        .with_kind(EnvelopeKind::Receipt)
        .with_correlation(correlation);
    let topic = Topic::Node(to.id.clone());
    // Who doesn't get it knows that it is missing.
    if let Err(error) = node.broker.publish(&topic, envelope.encode()).await {
        tracing::debug!(
            target: crate::log_targets::RELAY, node = %to.id, error = %Chain(&error),
            "another node did not get the answer to what it asked for",
        );
    }
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
