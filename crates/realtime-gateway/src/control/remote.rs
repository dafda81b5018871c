//! What other nodes ask for, and what they answer.
//!
//! Who receives for all sessions never waits for it: each command has a task of its own. What a node
//! asks for is done in the order in which it has asked, but for requests to clients, and what waits
//! for nobody doesn't wait for what does. There is not more of it at once than there are places; past
//! that a node says that it is busy, so that nobody takes it for dead.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use realtime_core::{
    Message, NodeId,
    broker::{
        Broker, NodeInfo, Topic,
        control::{Command, Operation, Outcome},
        envelope::{Envelope, EnvelopeKind, Target},
    },
    codec::FrameKind,
    patient_until,
};
use tokio::time::{Instant, timeout_at};

use super::{Deed, ask, gather::gather, perform};
use crate::{
    ErrorStage,
    cluster::{Place, Received},
    escape::Chain,
    guarded::{Whose, caught},
    identities::revocation,
    node::Node,
};

/// The longest that anybody waits for a command.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// How much of that is kept for the answers of clients to come back to the node that has asked.
const RETURN: Duration = Duration::from_millis(500);
const SHORTEST_RETURN: Duration = Duration::from_millis(100);
/// What a trace says of what this version doesn't know.
const NOT_UNDERSTOOD: &str = "not_understood";
/// How many refusals are under way at the same time.
const REFUSING: usize = 64;

/// Begins with what another node asks for.
pub(crate) fn receive(node: &Arc<Node>, from: NodeInfo, envelope: Envelope) {
    let received = Instant::now();
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
            let traced = node.tracer().asked(&envelope, &to.id, None);
            traced.failed(|| (false, NOT_UNDERSTOOD));
            return refuse(node, to, Outcome::NotUnderstood);
        }
    };
    let traced = node
        .tracer()
        .asked(&envelope, &to.id, Some(&command.operation));
    // Whether there is a place for it, and time, or not.
    if let Operation::Revoke(revocation) = &command.operation {
        revocation::hear(node, std::slice::from_ref(revocation));
    }
    let Some(place) = node.load.accept(&command.operation) else {
        traced.failed(|| (true, "busy"));
        return refuse(node, to, Outcome::Busy);
    };
    let within = command.within.min(LONGEST);
    let by = received + within;
    let deed = match command.operation {
        Operation::Request(body) => {
            let clients_by = by - time_to_return(within);
            let (this, asks) = (Arc::clone(node), traced.clone());
            let work = async move {
                let asked = request(&this, &to, &envelope, body, clients_by);
                // Nobody hears of what is done later.
                if let Some(outcome) = patient_until(by.into(), asked).await {
                    if outcome == Outcome::NotUnderstood {
                        asks.failed(|| (false, NOT_UNDERSTOOD));
                    }
                    let _sent = answer(&this, &to, &outcome).await;
                }
                drop(place);
            };
            return spawn(node, traced.around(work));
        }
        Operation::Disconnect { code, reason } => Deed::Disconnect(code, reason.to_string()),
        Operation::Join(room) => Deed::Join(room),
        Operation::Leave(room) => Deed::Leave(room),
        Operation::Revoke(revocation) => Deed::Revoke(revocation),
        Operation::Update(update) => Deed::Update(update),
        _ => {
            traced.failed(|| (false, NOT_UNDERSTOOD));
            return refuse(node, to, Outcome::NotUnderstood);
        }
    };
    // Whom it closes may depend on who has joined or left before; but a ban of somebody doesn't, and
    // waits for no room.
    let is_ban = matches!(deed, Deed::Disconnect(..) | Deed::Revoke(_));
    let is_in_order = !is_ban || matches!(envelope.target(), Target::Rooms(_));
    let line = is_in_order.then(|| node.order.stand_behind(&to.id));
    let this = Arc::clone(node);
    let work = async move {
        if let Some(outcome) = in_its_turn(&this, &envelope, &deed, line, by).await {
            let _sent = answer(&this, &to, &outcome).await;
        }
        drop(place);
    };
    spawn(node, traced.around(work));
}

/// Who has asked, and under which number the answer is expected.
#[derive(Debug)]
pub(super) struct Asker {
    id: NodeId,
    correlation: Option<u64>,
}

/// Does it once what stands before it is done; `None` where nobody waits for it any more.
async fn in_its_turn(
    node: &Arc<Node>,
    envelope: &Envelope,
    deed: &Deed,
    line: Option<Place>,
    by: Instant,
) -> Option<Outcome> {
    let mut line = line;
    // Not given up at the end of its time: what stands behind it must not get past what stands before
    // it, which has an end, too.
    if let Some(line) = &mut line {
        line.first().await;
    }
    if Instant::now() >= by {
        return None;
    }
    let (to, except) = (envelope.target(), envelope.except());
    let done = async {
        let _turn = match deed {
            // Rules of rooms are asked again.
            Deed::Join(_) | Deed::Update(_) => node.load.turn_to_join().await,
            _ => node.load.turn().await,
        };
        perform(node, to, except, deed).await
    };
    let done = timeout_at(by, done).await.ok()?;
    Some(Outcome::done(done.sessions, done.failed))
}

/// Asks the clients of this node, and passes on what they say.
async fn request(
    node: &Node,
    to: &Asker,
    envelope: &Envelope,
    body: Bytes,
    clients_by: Instant,
) -> Outcome {
    let turn = node.load.turn().await;
    let Some(message) = readable(node, envelope, body) else {
        node.stats().controls_refused.add(1);
        return Outcome::NotUnderstood;
    };
    let (target, except) = (envelope.target(), envelope.except());
    let heard = ask(node, target, except, &message, clients_by).await;
    // Clients take their time, and others have something to do meanwhile.
    drop(turn);
    gather((node, envelope.codec()), to, heard).await
}

/// What clients are asked.
fn readable(node: &Node, envelope: &Envelope, body: Bytes) -> Option<Message> {
    let (dialects, kind) = (&node.env.dialects, envelope.frame_kind());
    let decoded = caught(Whose::Codec, || {
        dialects.decode(envelope.codec(), kind, body)
    });
    decoded.ok()?.ok()
}

/// How much earlier clients are no longer waited for by who is waited for so long: what they say has
/// to come back in time.
pub(crate) fn time_to_return(within: Duration) -> Duration {
    (within / 10).clamp(SHORTEST_RETURN, RETURN).min(within / 2)
}

/// Another node asks for what can't be read, but for its number.
pub(crate) fn not_understood(node: &Arc<Node>, from: NodeInfo, number: u64) {
    let to = Asker {
        id: from.id,
        correlation: Some(number),
    };
    refuse(node, to, Outcome::NotUnderstood);
}

/// Says that nothing was done, as soon as there is a turn.
fn refuse(node: &Arc<Node>, to: Asker, outcome: Outcome) {
    node.stats().controls_refused.add(1);
    let Some(correlation) = to.correlation else {
        return;
    };
    if !node.refusals.push((to.id, correlation, outcome)) {
        return;
    }
    let this = Arc::clone(node);
    spawn(node, async move {
        loop {
            let refusals = this.refusals.take(REFUSING);
            if refusals.is_empty() {
                return;
            }
            let said = refusals
                .into_iter()
                .map(async |(id, correlation, outcome)| {
                    let correlation = Some(correlation);
                    answer(&this, &Asker { id, correlation }, &outcome).await
                });
            let _sent = join_all(said).await;
        }
    });
}

fn spawn(node: &Arc<Node>, work: impl Future<Output = ()> + Send + 'static) {
    let stop = node.stop.clone();
    node.background.spawn(async move {
        let _stopped = stop.run_until_cancelled(work).await;
    });
}

/// Returns whether it went out.
pub(super) async fn answer(node: &Node, to: &Asker, outcome: &Outcome) -> bool {
    let Some(correlation) = to.correlation else {
        return true;
    };
    let codec = node.env.dialects.codec().name();
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
    node.metrics().relayed();
    let number = envelope.correlation().unwrap_or(0);
    match node.surveys.receive(number, from, outcome) {
        Received::Taken => {}
        Received::Overflowed(answers) => node.stats().answers_dropped.add(answers),
        Received::Unmatched => node.stats().receipts_unmatched.add(1),
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_clients_say_has_time_to_come_back() {
        let returns = |ms| time_to_return(Duration::from_millis(ms)).as_millis();
        assert_eq!([0, 50, 200, 500].map(returns), [0, 25, 100, 100]);
        assert_eq!([2_000, 5_000, 60_000].map(returns), [200, 500, 500]);
    }
}
