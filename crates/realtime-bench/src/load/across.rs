//! A fan-out from one node to the sessions of another.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    Latency,
    dialect::{Ask, Dialect},
    meter::Latencies,
    swarm::Swarm,
};
use crate::{process::Process, work::Shape};

/// What a run has measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Across {
    pub(crate) deliveries: u64,
    pub(crate) broadcasts: u64,
    pub(crate) took: Duration,
    /// The CPU time of the node that sends, of the one that delivers, and of the broker's server.
    pub(crate) cpu: [Duration; 3],
    pub(crate) latency: Latency,
}

/// One session of the first node sends a window of broadcasts; when all sessions of the second
/// have them, the next.
pub(crate) fn across(
    nodes: [(SocketAddr, Process); 2],
    server: Process,
    shape: Shape,
    length: Duration,
) -> io::Result<Across> {
    let [(from, sender), (to, receiver)] = nodes;
    let (frame, expected) = Dialect::Json.message(Ask::Broadcast, shape.payload);
    let burst = frame.repeat(shape.window);
    let mut readers = Swarm::new(to, Dialect::Json, expected)?;
    readers.open(shape.sessions)?;
    let mut writer = Swarm::new(from, Dialect::Json, expected)?;
    writer.open(1)?;
    let mut latencies = Latencies::new()?;
    let window = shape.window as u64;
    let mut round = |latencies: &mut Latencies| -> io::Result<()> {
        let start = Instant::now();
        writer.clients[0].send(&burst)?;
        let mut missing = shape.sessions as u64 * window;
        while missing > 0 {
            readers.turn(None, |_, _, count| {
                missing = missing
                    .checked_sub(count)
                    .ok_or_else(|| io::Error::other("a broadcast came twice"))?;
                latencies.record(start.elapsed(), count);
                Ok(())
            })?;
        }
        let mut own = window;
        while own > 0 {
            writer.turn(None, |_, _, count| {
                own -= count.min(own);
                Ok(())
            })?;
        }
        Ok(())
    };
    for _ in 0..20 {
        round(&mut latencies)?;
    }
    latencies.clear();
    let cpu = || io::Result::Ok([sender.cpu()?, receiver.cpu()?, server.cpu()?]);
    let (before, start) = (cpu()?, Instant::now());
    let mut rounds = 0;
    while start.elapsed() < length {
        round(&mut latencies)?;
        rounds += 1;
    }
    let after = cpu()?;
    let cpu = std::array::from_fn(|n| after[n] - before[n]);
    Ok(Across {
        deliveries: rounds * window * shape.sessions as u64,
        broadcasts: rounds * window,
        took: start.elapsed(),
        cpu,
        latency: latencies.summary(),
    })
}
