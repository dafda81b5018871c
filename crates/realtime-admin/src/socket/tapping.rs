//! An operator looks at what one identity's sessions on this node send and get.

use std::{sync::Arc, time::Duration};

use realtime_codec_json::Json;
use realtime_core::{ClientError, IdentityKey, log_targets};
use realtime_gateway::{Session, Tap, TapEnd, TapLimits, extract::State};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{
    Host,
    look::Who,
    whereabouts::{Elsewhere, elsewhere},
};

/// How long, where the page says nothing.
const USUAL: u64 = 60;
/// How long a page that doesn't read may take for what was seen last.
const LAST_WORDS: Duration = Duration::from_secs(5);

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
    /// How many sessions of the identity are on this node.
    here: usize,
    /// How many of them are looked at.
    watched: usize,
    /// How many are on which other nodes, and aren't; `None` where presence doesn't know.
    elsewhere: Option<Vec<Elsewhere>>,
    /// For how long it goes on.
    seconds: u64,
}

/// A look has ended.
#[derive(Debug, Serialize)]
struct Ended {
    why: TapEnd,
    messages: u64,
}

/// What an operator's page looks at: one identity at a time. It ends when this is dropped.
#[derive(Debug, Clone)]
struct Looking(Arc<Mutex<Task>>);

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Ends what a page looks at. When it returns, the place is free.
async fn end(page: &Session) {
    if let Some(Looking(task)) = page.extensions().remove() {
        let mut task = task.lock().await;
        task.0.abort();
        // It was ended, which is what there is to say of it.
        let _ended = (&mut task.0).await;
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
    end(&page).await;
    let mut limits = TapLimits::default();
    limits.time = Duration::from_secs(asked.seconds.unwrap_or(USUAL));
    limits.messages = asked.messages.unwrap_or(limits.messages);
    let limits = limits.clamped();
    let until = Instant::now() + limits.time + LAST_WORDS;
    let tap = host.gateway.tap(&key, limits).map_err(|_| {
        let wrong = "So many looks at messages are under way that there can't be another one now.";
        ClientError::new("too_many", wrong).temporary()
    })?;
    let looks = Looks::begin(page.clone(), key.clone(), limits);
    let here = tap.sessions() + tap.left_out();
    let watched = tap.sessions();
    let elsewhere = elsewhere(&host, &key).await.ok();
    let looking = tokio::spawn(show(looks, tap, until));
    let looking = Looking(Arc::new(Mutex::new(Task(looking))));
    page.extensions().insert(looking);
    Ok(Json(Begun {
        here,
        watched,
        elsewhere,
        seconds: limits.time.as_secs(),
    }))
}

pub(super) async fn untap(page: Session) {
    end(&page).await;
}

/// A look that goes on. The log has its beginning, and its end, however it ends.
struct Looks {
    page: Session,
    at: IdentityKey,
    messages: u64,
}

impl Looks {
    fn begin(page: Session, at: IdentityKey, limits: TapLimits) -> Self {
        let by = page.identity_key();
        let (by_tenant, by, tenant, id) = (by.tenant(), by.id(), at.tenant(), at.id());
        tracing::info!(
            target: log_targets::ADMIN, ?by_tenant, ?by, ?tenant, ?id, time = ?limits.time,
            messages = limits.messages, "an operator looks at somebody's messages",
        );
        Self {
            page,
            at,
            messages: 0,
        }
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        let (by, messages) = (self.page.identity_key(), self.messages);
        let (by_tenant, by) = (by.tenant(), by.id());
        let (tenant, id) = (self.at.tenant(), self.at.id());
        tracing::info!(
            target: log_targets::ADMIN, ?by_tenant, ?by, ?tenant, ?id, messages,
            "an operator no longer looks at somebody's messages",
        );
    }
}

/// It ends with the look, with the page, and at its time also where the page doesn't read.
async fn show(mut looks: Looks, mut tap: Tap, until: Instant) {
    let page = looks.page.clone();
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
        () = sleep_until(until) => {}
    }
}
