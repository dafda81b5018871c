//! The spans: their names, kinds and fields, as `docs/traces.md` lists them.

use std::net::SocketAddr;

use http::{Method, Uri, Version, request::Parts};
use realtime_core::{
    DisconnectInfo, NodeId, SessionId,
    broker::{
        control::Operation,
        envelope::{Envelope, Target},
    },
    log_targets::TRACE,
};
use tracing::{Span, field::Empty};

use super::traced::cut;

/// What the messages between nodes and with clients belong to, as the conventions ask for it.
const SYSTEM: &str = "realtime";

/// Within the host's span, where there is one.
pub(super) fn upgrade(node: &NodeId, request: &Parts, client: Option<SocketAddr>) -> Span {
    let known = known(&request.method);
    let original = known.is_none().then(|| cut(request.method.as_str()));
    // All at once: what panics while a span is dropped for a panic of its own ends the process.
    tracing::info_span!(
        target: TRACE, "upgrade",
        otel.kind = "server",
        http.request.method = known.unwrap_or("_OTHER"),
        http.request.method_original = original,
        url.path = cut(request.uri.path()),
        url.scheme = scheme(&request.uri),
        network.protocol.version = version(request.version),
        client.address = client.map(|client| tracing::field::display(client.ip())),
        http.response.status_code = Empty,
        realtime.refusal = Empty,
        realtime.node.id = node.as_str(),
        error.type = Empty,
        otel.status_code = Empty,
    )
}

/// A client may send any word.
fn known(method: &Method) -> Option<&'static str> {
    Some(match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => return None,
    })
}

/// Only HTTP/2 says it.
fn scheme(uri: &Uri) -> Option<&'static str> {
    match uri.scheme_str()? {
        "http" => Some("http"),
        "https" => Some("https"),
        _ => None,
    }
}

const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

pub(super) fn opening(node: &NodeId, session: SessionId) -> Span {
    tracing::info_span!(
        target: TRACE, parent: None, "session open",
        otel.kind = "internal",
        realtime.session.id = %session,
        realtime.node.id = node.as_str(),
        error.type = Empty,
        otel.status_code = Empty,
    )
}

pub(super) fn closing(node: &NodeId, session: SessionId, info: &DisconnectInfo) -> Span {
    tracing::info_span!(
        target: TRACE, parent: None, "session close",
        otel.kind = "internal",
        realtime.session.id = %session,
        realtime.node.id = node.as_str(),
        realtime.close.initiator = %info.initiator,
        realtime.close.code = info.code.map(|code| u64::from(code.as_u16())),
        error.type = Empty,
        otel.status_code = Empty,
    )
}

/// A client's request is answered; what has no id isn't, and is a message that is processed.
pub(super) fn message(
    node: &NodeId,
    session: SessionId,
    pattern: Option<&str>,
    is_request: bool,
) -> Span {
    let pattern = pattern.unwrap_or("unknown");
    let kind = if is_request { "server" } else { "consumer" };
    tracing::info_span!(
        target: TRACE, parent: None, "message",
        otel.name = pattern,
        otel.kind = kind,
        rpc.system.name = SYSTEM,
        rpc.method = pattern,
        realtime.session.id = %session,
        realtime.node.id = node.as_str(),
        error.type = Empty,
        otel.status_code = Empty,
    )
}

/// For whom a message is. Neither a room's name nor an identity's is said: clients may choose them.
const fn destination(target: &Target) -> &'static str {
    match target {
        Target::All => "everybody",
        Target::Identity(_) => "identity",
        Target::Rooms(_) => "room",
        Target::Session(_) => "session",
        Target::Tenant(_) => "tenant",
        _ => "others",
    }
}

/// Within what sends it.
pub(super) fn publish(node: &NodeId, envelope: &Envelope) -> Span {
    let destination = destination(envelope.target());
    tracing::info_span!(
        target: TRACE, "publish",
        otel.name = format_args!("publish {destination}"),
        otel.kind = "producer",
        messaging.system = SYSTEM,
        messaging.operation.name = "publish",
        messaging.operation.type = "send",
        messaging.destination.name = destination,
        messaging.message.body.size = envelope.body().len(),
        realtime.node.id = node.as_str(),
        error.type = Empty,
        otel.status_code = Empty,
    )
}

pub(super) fn relay(node: &NodeId, envelope: &Envelope, source: &NodeId) -> Span {
    let destination = destination(envelope.target());
    tracing::info_span!(
        target: TRACE, parent: None, "relay",
        otel.name = format_args!("relay {destination}"),
        otel.kind = "consumer",
        messaging.system = SYSTEM,
        messaging.operation.name = "relay",
        messaging.operation.type = "process",
        messaging.destination.name = destination,
        messaging.message.body.size = envelope.body().len(),
        realtime.node.id = node.as_str(),
        realtime.source.node.id = source.as_str(),
        error.type = Empty,
        otel.status_code = Empty,
    )
}

/// What this version has no name for.
const OTHER: &str = "other";

const fn name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Disconnect { .. } => "disconnect",
        Operation::Join(_) => "join",
        Operation::Leave(_) => "leave",
        Operation::Request(_) => "request",
        Operation::Revoke(_) => "revoke",
        Operation::Update(_) => "update",
        _ => OTHER,
    }
}

/// Within what asks. All nodes are asked by one message, and each answers.
pub(super) fn ask(node: &NodeId, operation: &Operation) -> Span {
    let operation = name(operation);
    tracing::info_span!(
        target: TRACE, "control",
        otel.name = format_args!("control {operation}"),
        otel.kind = "producer",
        messaging.system = SYSTEM,
        messaging.operation.name = operation,
        messaging.operation.type = "send",
        messaging.destination.name = "control",
        realtime.node.id = node.as_str(),
        error.type = Empty,
        otel.status_code = Empty,
    )
}

pub(super) fn asked(node: &NodeId, operation: Option<&Operation>, source: &NodeId) -> Span {
    let operation = operation.map_or(OTHER, name);
    tracing::info_span!(
        target: TRACE, parent: None, "controlled",
        otel.name = format_args!("controlled {operation}"),
        otel.kind = "consumer",
        messaging.system = SYSTEM,
        messaging.operation.name = operation,
        messaging.operation.type = "process",
        messaging.destination.name = "control",
        realtime.node.id = node.as_str(),
        realtime.source.node.id = source.as_str(),
        error.type = Empty,
        otel.status_code = Empty,
    )
}
