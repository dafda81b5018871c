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
            Err(_) if gateway.node().is_draining() => Ok(()),
            started => started.map_err(io::Error::other),
        }
    });
    try_join_all(starts).await.map(drop)
}

/// Waits for the signal, or for the end of one of the gateways that begins elsewhere, and drains them
/// all.
pub(super) async fn drained(gateways: &[Gateway], signal: impl Future<Output = ()>) {
    let mut signal = pin!(signal);
    let begun = gateways
        .iter()
        .map(|gateway| Box::pin(gateway.node().draining.cancelled()));
    tokio::select! {
        biased;
        () = &mut signal => {}
        _ = select_all(begun) => tokio::select! {
            biased;
            () = end_together(gateways) => return,
            // It may be earlier.
            () = &mut signal => {}
        },
    }
    for gateway in gateways {
        gateway.begin_drain(window(gateway));
    }
    end_together(gateways).await;
}

/// Drains all of them. Where somebody has no time for it with one of them, it is the end of all.
async fn end_together(gateways: &[Gateway]) {
    let drained = join_all(gateways.iter().map(|gateway| async move {
        if !gateway.node().is_draining() {
            gateway.begin_drain(window(gateway));
        }
        gateway.join_shutdown().await
    }));
    let hurried = gateways.iter().map(|gateway| Box::pin(gateway.hurried()));
    tokio::select! {
        biased;
        _ = drained => {}
        _ = select_all(hurried) => shut_down(gateways).await,
    }
}

/// Ends all of them at once. Where another caller has begun that, its deadline holds.
pub(super) async fn shut_down(gateways: &[Gateway]) {
    let ends = gateways.iter().map(async |gateway| {
        if gateway.node().is_ending() {
            gateway.join_shutdown().await
        } else {
            gateway.shutdown().await
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
