//! Sessions in memory by a clock of their own: the gateway is the real one, and a client is what it
//! does after its close frame.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use realtime::{BoxError, CloseCode, Identity};
use realtime_testkit::memory::{TestClient, connect};
use serde::Deserialize;
use tokio::{runtime, time::Instant};

use super::{Returns, Way};

/// What the clients of this project wait at random before their first try.
const BACKOFF: Duration = Duration::from_millis(500);
/// A session's end may be far away.
const DEADLINE: Duration = Duration::from_secs(86_400);

pub(super) fn returns(clients: usize, way: Way) -> Result<Returns, BoxError> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?
        .block_on(simulate(clients, way))
}

async fn simulate(count: usize, way: Way) -> Result<Returns, BoxError> {
    let gateway = realtime::builder()
        .max_connections(None)
        .heartbeat(None)
        .build()?;
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = connect(&gateway, Identity::new("ann")).await?;
        client.set_deadline(DEADLINE);
        clients.push(client);
    }
    let begun = Instant::now();
    let ended = async {
        match way {
            Way::AtOnce => {
                for session in gateway.local_sessions() {
                    session.close(CloseCode::GOING_AWAY, "the server is shutting down");
                }
            }
            Way::Shutdown => drop(gateway.shutdown().await),
            Way::Drain(over) => drop(gateway.drain(over).await),
        }
    };
    let back = clients.into_iter().map(|client| back(client, begun));
    let back = back.collect::<FuturesUnordered<_>>().collect::<Vec<_>>();
    let ((), moments) = tokio::join!(ended, back);
    let moments: Result<Vec<_>, _> = moments.into_iter().collect();
    Ok(Returns::new(moments?))
}

/// When a client comes back.
async fn back(mut client: TestClient, begun: Instant) -> Result<Duration, BoxError> {
    #[derive(Deserialize)]
    struct Said {
        retry_after: f64,
    }
    let end = client.closed().await?;
    let said = serde_json::from_str::<Said>(&end.reason).ok();
    let slot = said.map_or(0.0, |said| said.retry_after);
    let wait = BACKOFF.mul_f64(fastrand::f64());
    Ok(begun.elapsed() + Duration::try_from_secs_f64(slot)?.max(wait))
}
