//! What an operator does to sessions, on whatever node they are.

use realtime_codec_json::Json;
use realtime_core::{ClientError, CloseCode, IdentityKey, SessionId, log_targets};
use realtime_gateway::{NodeAnswer, Receipt, Session, extract::State};
use serde::{Deserialize, Serialize};

use super::{Host, look::Who};

/// The longest reason, in bytes: that of a close frame.
const REASON: usize = 123;

#[derive(Debug, Deserialize)]
pub(super) struct Disconnect {
    /// One session;
    session_id: Option<SessionId>,
    /// or all of an identity.
    identity: Option<Who>,
    #[serde(default)]
    reason: String,
}

/// What became of it, on each node.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    sessions: u64,
    is_complete: bool,
    elapsed_ms: u64,
    nodes: Vec<OnNode>,
    /// Nodes that did not answer in time.
    missing: Vec<String>,
    /// Other nodes could not be asked.
    not_asked: bool,
}

#[derive(Debug, Serialize)]
struct OnNode {
    node_id: String,
    answer: &'static str,
    sessions: u64,
}

pub(super) async fn disconnect(
    by: Session,
    State(host): State<Host>,
    Json(asked): Json<Disconnect>,
) -> Result<Json<Done>, ClientError> {
    let Disconnect {
        session_id,
        identity,
        mut reason,
    } = asked;
    if reason.is_empty() {
        reason.push_str("closed by an operator");
    }
    if reason.len() > REASON {
        return Err(ClientError::new(
            "too_long",
            "A reason has at most 123 bytes.",
        ));
    }
    let (audience, session, whom) = match (session_id, identity) {
        (Some(id), None) => (host.gateway.session(id), Some(id.to_string()), None),
        (None, Some(who)) => {
            let key = who.key();
            (host.gateway.identity(&key), None, Some(key))
        }
        _ => {
            let wrong = "expected either a session_id or an identity";
            return Err(ClientError::new("bad_request", wrong));
        }
    };
    // Before it is done: should this never return, it is written who began.
    let by = by.identity_key();
    let (by_tenant, by) = (by.tenant(), by.id());
    // Apart, since joined they may read as somebody else's.
    let (tenant, id) = (
        whom.as_ref().map(IdentityKey::tenant),
        whom.as_ref().map(IdentityKey::id),
    );
    tracing::info!(
        target: log_targets::ADMIN, ?by_tenant, ?by, session, tenant = tenant.map(debug),
        id = id.map(debug), ?reason, "an operator disconnects somebody",
    );
    let receipt = audience.disconnect(CloseCode::DISCONNECTED, reason).await;
    let receipt = receipt.map_err(|error| {
        tracing::warn!(
            target: log_targets::ADMIN, ?by_tenant, ?by, session, tenant = tenant.map(debug),
            id = id.map(debug), %error, "nobody was disconnected",
        );
        ClientError::new(
            "not_done",
            "The gateway could not begin with it: try again.",
        )
        .temporary()
    })?;
    let is_complete = receipt.is_complete();
    tracing::info!(
        target: log_targets::ADMIN, ?by_tenant, ?by, session, tenant = tenant.map(debug),
        id = id.map(debug), sessions = receipt.sessions, is_complete, "an operator has disconnected somebody",
    );
    Ok(Json(Done::of(&receipt)))
}

impl Done {
    fn of(receipt: &Receipt) -> Self {
        let nodes = receipt.nodes.iter().map(|node| OnNode {
            node_id: node.node.id.to_string(),
            answer: match node.answer {
                NodeAnswer::Done => "done",
                NodeAnswer::Busy => "busy",
                _ => "not_understood",
            },
            sessions: node.sessions,
        });
        Self {
            sessions: receipt.sessions,
            is_complete: receipt.is_complete(),
            elapsed_ms: receipt.elapsed.as_millis() as u64,
            nodes: nodes.collect(),
            missing: receipt
                .missing
                .iter()
                .map(|node| node.id.to_string())
                .collect(),
            not_asked: receipt.not_asked.is_some(),
        }
    }
}
