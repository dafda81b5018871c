//! What a session of another node is told without anybody waiting for it.

use std::time::Duration;

use realtime_core::{
    CloseCode,
    broker::{
        Broker, Topic,
        control::{Command, Operation},
        envelope::{Envelope, EnvelopeKind, Target},
    },
    codec::FrameKind,
    presence::SessionInfo,
};

use crate::{ErrorStage, node::Node};

/// How long it may take to get there.
const WITHIN: Duration = Duration::from_secs(10);

/// Closes a session of another node, if that can be reached.
pub(crate) async fn disconnect_there(
    node: &Node,
    session: &SessionInfo,
    code: CloseCode,
    reason: &'static str,
) {
    if !node.reaches_others() {
        return;
    }
    let reason = reason.into();
    let operation = Operation::Disconnect { code, reason };
    let traced = node.tracer().ask(&operation);
    let command = Command::new(operation, WITHIN).encode();
    let codec = node.env.dialects.codec().name();
    // Without a number nobody answers.
    let envelope = Envelope::new(
        Target::Session(session.session_id),
        codec,
        FrameKind::Binary,
        command,
    )
    .with_kind(EnvelopeKind::Control);
    let topic = Topic::Node(session.node_id.clone());
    let envelope = traced.sign(envelope).encode();
    if let Err(error) = traced.around(node.broker.publish(&topic, envelope)).await {
        traced.unpublished(error.kind());
        node.report(ErrorStage::Broker, error, None);
    }
}
