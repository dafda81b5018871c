//! The gateways of a server, from the start to the end of their drain.

use std::{io, pin::pin, time::Duration};

use futures::future::{join_all, select_all, try_join_all};

use crate::{Gateway, StartErrorKind};

/// So many clients a second who come back are no storm to any node.
const NO_STORM: f64 = 100.0;

/// Starts each gateway that has a broker and is not started.
pub(super) async fn start(gateways: &[Gateway]) -> io::Result<()> {
    let starts = gateways.iter().map(async |gateway| {
        if !gateway.node().joins {
            return Ok(());
        }
        match gateway.start().await {
            Err(error) if error.kind() == StartErrorKind::AlreadyStarted => Ok(()),
            // A shutdown came before it, and will end the server.
            Err(_) if gateway.node().is_leaving() => Ok(()),
            started => started.map_err(io::Error::other),
        }
    });
    try_join_all(starts).await.map(drop)
}

/// Waits for the signal, or for the shutdown of one of the gateways that begins elsewhere, and
/// drains them all.
pub(super) async fn drained(gateways: &[Gateway], signal: impl Future<Output = ()>) {
    let mut signal = pin!(signal);
    let begun = gateways
        .iter()
        .map(|gateway| Box::pin(gateway.node().leaving.cancelled()));
    tokio::select! {
        biased;
        () = &mut signal => {}
        _ = select_all(begun) => tokio::select! {
            biased;
            () = finish(gateways) => return,
            // It may set an earlier deadline.
            () = &mut signal => {}
        },
    }
    join_all(
        gateways
            .iter()
            .map(|gateway| gateway.drain(window(gateway))),
    )
    .await;
}

/// Drains all of them, or shuts them down where one of them was. Where another caller has begun
/// that, its time holds.
pub(super) async fn finish(gateways: &[Gateway]) {
    let at_once = gateways.iter().any(|gateway| gateway.node().is_draining());
    let ends = gateways.iter().map(async |gateway| {
        if gateway.node().is_leaving() {
            gateway.join_shutdown().await
        } else if at_once {
            gateway.shutdown().await
        } else {
            gateway.drain(window(gateway)).await
        }
    });
    join_all(ends).await;
}

/// How long its sessions are closed one after the other: few of them need no time.
fn window(gateway: &Gateway) -> Duration {
    let node = gateway.node();
    let few = Duration::from_secs_f64(node.hub.len() as f64 / NO_STORM);
    node.config.drain_over.unwrap_or_default().min(few)
}
