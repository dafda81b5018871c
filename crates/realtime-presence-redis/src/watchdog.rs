//! Is Redis there? The client library finds out only when nothing is asked, so this asks.

use std::{sync::Arc, time::Duration};

use fred::{clients::Client, interfaces::ClientLike, types::config::Server};
use futures::{
    FutureExt, StreamExt,
    stream::{self, FuturesUnordered},
};
use realtime_core::{Events, presence::PresenceEvent};
use tokio::{
    sync::broadcast,
    time::{MissedTickBehavior, timeout},
};

use crate::pool::Pool;

/// How often each connection is tried, and how long it may take to answer.
const INTERVAL: Duration = Duration::from_secs(1);
/// After how many failures in a row the store counts as down.
const DOWN: u32 = 2;
/// After how many a connection is made anew.
const STUCK: u32 = 3;

/// Watches until it is dropped, and tells of what it sees.
pub(crate) async fn watch(
    pool: Arc<Pool>,
    connected: Vec<broadcast::Receiver<Server>>,
    events: Arc<Events<PresenceEvent>>,
) {
    let mut reconnects = stream::select_all(connected.into_iter().map(|made| {
        let made = stream::unfold(made, |mut made| async {
            // Whether one was missed or not, there was one.
            match made.recv().await {
                Err(broadcast::error::RecvError::Closed) => None,
                _ => Some(((), made)),
            }
        });
        // The first is no reconnection.
        made.skip(1).boxed()
    }));
    let mut failures = vec![0; pool.clients.len()];
    let mut seen = Seen::Nothing;
    let mut looks = tokio::time::interval(INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let again = tokio::select! {
            _ = looks.tick() => false,
            Some(()) = reconnects.next() => true,
        };
        while again && reconnects.next().now_or_never().flatten().is_some() {}
        let asked: FuturesUnordered<_> = pool.clients.iter().enumerate().map(ask).collect();
        let answers: Vec<_> = asked.collect().await;
        for (at, error) in &answers {
            failures[*at] = if error.is_none() {
                0
            } else {
                failures[*at] + 1
            };
            if failures[*at] % STUCK == STUCK - 1 {
                let anew = pool.clients[*at].force_reconnection();
                let _bounded = timeout(INTERVAL, anew).await;
            }
        }
        let worst = failures.iter().copied().max().unwrap_or(0);
        let cause = answers.into_iter().find_map(|(_, error)| error);
        seen = match (seen, worst) {
            // It went and came between two looks, and may have lost everything.
            (Seen::Up, 0) if again => {
                let cause = "the connection to Redis was lost for a moment".to_owned();
                events.send(PresenceEvent::Down { cause });
                events.send(PresenceEvent::Up);
                Seen::Up
            }
            (Seen::Nothing | Seen::Down, 0) => {
                tracing::info!(target: "realtime::presence", "Redis is up");
                events.send(PresenceEvent::Up);
                Seen::Up
            }
            (Seen::Nothing | Seen::Up, failures) if failures >= DOWN => {
                let cause = cause.unwrap_or_else(|| "it does not answer".to_owned());
                tracing::warn!(target: "realtime::presence", cause, "Redis is down");
                events.send(PresenceEvent::Down { cause });
                Seen::Down
            }
            (seen, _) => seen,
        };
    }
}

enum Seen {
    Nothing,
    Up,
    Down,
}

async fn ask((at, client): (usize, &Client)) -> (usize, Option<String>) {
    let answer = timeout(INTERVAL, client.ping::<()>(None)).await;
    let error = match answer {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {INTERVAL:?}")),
    };
    (at, error)
}
