//! What the page asks without changing anything.

use realtime_codec_json::Json;
use realtime_core::{ClientError, IdentityKey, presence::SessionInfo};
use realtime_gateway::{
    Inspection, RoomPage, RoomQuery, Session, SessionPage, SessionQuery, extract::State,
};
use serde::{Deserialize, Serialize};

use super::Host;

/// How many sessions of one identity are shown.
const SHOWN: usize = 200;

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
    id: String,
    may_tap: bool,
}

/// The sessions of an identity, on all nodes.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    sessions: Vec<SessionInfo>,
    /// How many there are, of which no more than some are shown.
    total: usize,
}

pub(super) async fn me(session: Session, State(host): State<Host>) -> Json<Me> {
    Json(Me {
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
    Json(host.gateway.inspect_rooms(&query))
}

/// Presence knows those of other nodes, too.
pub(super) async fn find(
    State(host): State<Host>,
    Json(who): Json<Who>,
) -> Result<Json<Found>, ClientError> {
    let sessions = host.gateway.sessions_of(&who.key()).await;
    let mut sessions = sessions.map_err(|_| presence_is_away())?;
    let total = sessions.len();
    sessions.sort_by_key(|session| session.connected_at);
    sessions.truncate(SHOWN);
    Ok(Json(Found { sessions, total }))
}

pub(super) fn presence_is_away() -> ClientError {
    ClientError::new("unavailable", "Presence can't be asked at the moment.").temporary()
}
