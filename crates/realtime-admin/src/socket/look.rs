//! What the page asks without changing anything.

use realtime_codec_json::Json;
use realtime_core::{ClientError, IdentityKey, presence::SessionInfo};
use realtime_gateway::{
    Inspection, RoomPage, RoomQuery, Session, SessionPage, SessionQuery, extract::State,
};
use serde::{Deserialize, Serialize};

use super::{
    Host,
    whereabouts::{OnNode, nodes_of},
};

/// How many sessions of one identity are shown.
const SHOWN: usize = 200;
/// Of an identity that has more, such as that of all who are anonymous, they are only counted: presence
/// tells of all or none.
const LISTED: u64 = 1_000;

/// An identity, as the page names it.
#[derive(Debug, Deserialize)]
pub(super) struct Who {
    #[serde(default)]
    tenant: String,
    id: String,
}

impl Who {
    pub(super) fn key(self) -> IdentityKey {
        IdentityKey::new(self.id).with_tenant(self.tenant)
    }
}

/// The one who looks, and what that one may do.
#[derive(Debug, Serialize)]
pub(super) struct Me {
    tenant: String,
    id: String,
    may_tap: bool,
}

/// The sessions of an identity, on all nodes.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    /// The oldest; none where there are too many.
    sessions: Vec<SessionInfo>,
    /// How many there are.
    total: u64,
    /// How many on which node.
    nodes: Vec<OnNode>,
}

pub(super) async fn me(session: Session, State(host): State<Host>) -> Json<Me> {
    Json(Me {
        tenant: session.identity_key().tenant().to_owned(),
        id: session.identity_key().id().to_owned(),
        may_tap: host.taps,
    })
}

pub(super) async fn node(State(host): State<Host>) -> Json<Inspection> {
    Json(host.gateway.inspect())
}

pub(super) async fn sessions(
    State(host): State<Host>,
    Json(query): Json<SessionQuery>,
) -> Json<SessionPage> {
    Json(host.gateway.inspect_sessions(&query).await)
}

pub(super) async fn rooms(
    State(host): State<Host>,
    Json(query): Json<RoomQuery>,
) -> Json<RoomPage> {
    Json(host.gateway.inspect_rooms(&query).await)
}

/// Presence knows those of other nodes, too.
pub(super) async fn find(
    State(host): State<Host>,
    Json(who): Json<Who>,
) -> Result<Json<Found>, ClientError> {
    let key = who.key();
    let nodes = nodes_of(&host, &key)
        .await
        .map_err(|_| presence_is_away())?;
    let total = nodes.iter().map(|on| on.sessions).sum();
    let mut sessions = Vec::new();
    if total <= LISTED {
        let all = host.gateway.sessions_of(&key).await;
        sessions = all.map_err(|_| presence_is_away())?;
        sessions.sort_by_key(|session| session.connected_at);
        sessions.truncate(SHOWN);
    }
    Ok(Json(Found {
        sessions,
        total,
        nodes,
    }))
}

fn presence_is_away() -> ClientError {
    ClientError::new("unavailable", "Presence can't be asked at the moment.").temporary()
}
