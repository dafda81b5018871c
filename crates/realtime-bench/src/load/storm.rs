//! A reconnect storm: everybody connects at the same instant.

use std::io;

use super::{Options, Outcome, meter::Latencies, meter::Meter, swarm::Swarm};
use crate::process::Process;

/// Connects so many clients in one go. The latency is that of a handshake: from the `connect` of a
/// client to the end of the response to its upgrade.
pub(super) fn storm(options: &Options, sessions: usize) -> io::Result<Outcome> {
    let server = Process::of(options.pid);
    let mut swarm = Swarm::new(options.to, options.dialect, 0)?.over(options.wiring());
    let meter = Meter::start(&server)?;
    let mut handshakes = Latencies::new()?;
    for handshake in swarm.storm(sessions)? {
        handshakes.record(handshake, 1);
    }
    let mut outcome = meter.stop(sessions as u64)?;
    outcome.latency = Some(handshakes.summary());
    Ok(outcome)
}
