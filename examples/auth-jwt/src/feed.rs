//! What there is to see once somebody is connected: a counter, and what people say.

use std::time::Duration;

use realtime::{Gateway, Json, Router, Session, error::DeliverError};
use serde_json::json;
use tokio::time::MissedTickBehavior;

pub(crate) fn router() -> Router {
    Router::new().route("say", say)
}

/// Who has said it is what their token says, and nothing that a page could write.
async fn say(
    gateway: Gateway,
    session: Session,
    Json(text): Json<String>,
) -> Result<(), DeliverError> {
    let who = session.identity_key().id();
    let said = json!({ "from": who, "text": text });
    gateway.broadcast("said", Json(said)).await?;
    Ok(())
}

/// Counts, for everybody on every node, so that a page sees whether it has missed anything.
pub(crate) async fn tick(gateway: Gateway, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for count in 1_u64.. {
        ticks.tick().await;
        let tick = json!({ "node": gateway.node_id(), "count": count });
        if let Err(error) = gateway.broadcast("tick", Json(tick)).await {
            tracing::debug!(%error, "a tick did not reach everybody");
        }
    }
}
