//! The gateways of a server, from the start to the end of their drain.

use std::{io, pin::pin};

use futures::future::{join_all, select_all, try_join_all};

use crate::{Gateway, StartErrorKind};

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

/// Waits for the signal, or for the shutdown of one of the gateways that begins elsewhere, and
/// drains them all.
pub(super) async fn drained(gateways: &[Gateway], signal: impl Future<Output = ()>) {
    let mut signal = pin!(signal);
    let begun = gateways
        .iter()
        .map(|gateway| Box::pin(gateway.node().drain.cancelled()));
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
    join_all(gateways.iter().map(Gateway::shutdown)).await;
}

/// Drains all of them. Where another caller has begun that, its deadline holds.
pub(super) async fn finish(gateways: &[Gateway]) {
    let ends = gateways.iter().map(async |gateway| {
        if gateway.node().is_draining() {
            gateway.join_shutdown().await
        } else {
            gateway.shutdown().await
        }
    });
    join_all(ends).await;
}
