//! An operator looks at what one identity's sessions on this node send and get.

use std::{sync::Arc, time::Duration};

use realtime_codec_json::Json;
use realtime_core::{ClientError, IdentityKey, log_targets};
use realtime_gateway::{Session, Tap, TapEnd, TapLimits, extract::State};
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

use super::{Host, look::Who};

/// How long, where the page says nothing.
const USUAL: u64 = 60;

#[derive(Debug, Deserialize)]
pub(super) struct Look {
    #[serde(flatten)]
    who: Who,
    seconds: Option<u64>,
    messages: Option<u32>,
}

/// A look has begun.
#[derive(Debug, Serialize)]
pub(super) struct Begun {
    /// How many sessions of the identity are looked at now.
    here: usize,
    /// How many are on other nodes, and aren't; `None` where presence doesn't know.
    elsewhere: Option<usize>,
}

/// A look has ended.
#[derive(Debug, Serialize)]
struct Ended {
    why: TapEnd,
    messages: u64,
}

/// What an operator's page looks at: one identity at a time. It ends when this is dropped.
#[derive(Debug, Clone)]
struct Looking(#[expect(dead_code, reason = "it is there to be dropped")] Arc<Aborts>);

#[derive(Debug)]
struct Aborts(AbortHandle);

impl Drop for Aborts {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) async fn tap(
    page: Session,
    State(host): State<Host>,
    Json(asked): Json<Look>,
) -> Result<Json<Begun>, ClientError> {
    if !host.taps {
        let wrong = "Nobody may look at messages here.";
        return Err(ClientError::new("forbidden", wrong));
    }
    let key = asked.who.key();
    // The one before ends first: there are few places.
    drop(page.extensions().remove::<Looking>());
    let mut limits = TapLimits::default();
    limits.time = Duration::from_secs(asked.seconds.unwrap_or(USUAL));
    limits.messages = asked.messages.unwrap_or(limits.messages);
    let tap = host.gateway.tap(&key, limits).map_err(|_| {
        let wrong = "So many looks at messages are under way that there can't be another one now.";
        ClientError::new("too_many", wrong).temporary()
    })?;
    let (by, tenant, id) = (page.identity_key().id(), key.tenant(), key.id());
    tracing::info!(
        target: log_targets::ADMIN, ?by, ?tenant, ?id, time = ?limits.time,
        "an operator looks at somebody's messages",
    );
    let here = host.gateway.local_sessions_of(&key).len();
    let all = host.gateway.sessions_of(&key).await;
    let node = host.gateway.node_id();
    let elsewhere = |session: &&realtime_core::presence::SessionInfo| session.node_id != *node;
    let elsewhere = all.ok().map(|all| all.iter().filter(elsewhere).count());
    let looking = tokio::spawn(show(page.clone(), key, tap));
    let looking = Looking(Arc::new(Aborts(looking.abort_handle())));
    page.extensions().insert(looking);
    Ok(Json(Begun { here, elsewhere }))
}

pub(super) async fn untap(page: Session) {
    drop(page.extensions().remove::<Looking>());
}

/// A look that goes on. The log has its end, however it ends.
struct Looks {
    by: Session,
    at: IdentityKey,
    messages: u64,
}

impl Drop for Looks {
    fn drop(&mut self) {
        let (by, messages) = (self.by.identity_key().id(), self.messages);
        let (tenant, id) = (self.at.tenant(), self.at.id());
        tracing::info!(
            target: log_targets::ADMIN, ?by, ?tenant, ?id, messages,
            "an operator no longer looks at somebody's messages",
        );
    }
}

/// It ends with the look, and with the page.
async fn show(page: Session, at: IdentityKey, mut tap: Tap) {
    let by = page.clone();
    let mut looks = Looks {
        by,
        at,
        messages: 0,
    };
    let shown = async {
        while let Some(message) = tap.next().await {
            looks.messages += 1;
            if page.send_wait("tapped", Json(&message)).await.is_err() {
                return;
            }
        }
        let (why, messages) = (tap.end().unwrap_or(TapEnd::Closed), looks.messages);
        // A page that is gone needs no end.
        let _gone = page
            .send_wait("tap_ended", Json(&Ended { why, messages }))
            .await;
    };
    tokio::select! {
        () = shown => {}
        () = page.closed() => {}
    }
}
