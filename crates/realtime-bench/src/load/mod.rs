//! The load generator: one thread, one epoll, and as little work for each message as it can do.

#[cfg(feature = "full")]
mod across;
mod calls;
mod connection;
mod dialect;
mod held;
mod meter;
mod owed;
mod rooms;
mod scan;
mod storm;
mod swarm;
mod wire;
mod works;

use std::{io, net::SocketAddr, time::Duration};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::work::Work;

#[cfg(feature = "full")]
pub(crate) use across::across;
use dialect::Ask;
pub(crate) use dialect::Dialect;
pub(crate) use held::Held;
use wire::Wiring;

/// The options of `load`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The server's address.
    #[arg(long)]
    to: SocketAddr,
    /// The server's process on this machine, whose CPU time and memory are read.
    #[arg(long)]
    pid: u32,
    /// What the server speaks.
    #[arg(long, value_enum, default_value = "json")]
    dialect: Dialect,
    /// The server speaks TLS. Any certificate is believed.
    #[cfg(feature = "tls")]
    #[arg(long)]
    tls: bool,
    /// What to do: `fan-out:1000x128` is 1,000 sessions and 128 bytes; with `w16` behind it, 16
    /// messages in flight. Also `room:…`, `echo:…`, `request:…`, `latency:…`, `stalled:…`, `connect:10000`
    /// and `storm:4000`; with our server `rooms:10000x10x128` (rooms, members of each, bytes),
    /// `moving:…` and `held:100000`, too.
    #[arg(long)]
    work: Work,
    /// For how long, in seconds; for `held` how long it waits once all have left.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Broadcasts per second, for `latency`; members that go from one room to another per second, for
    /// `moving`.
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// Count the server's system calls with strace, which makes every time meaningless.
    #[arg(long)]
    calls: bool,
}

impl Options {
    fn wiring(&self) -> Wiring {
        #[cfg(feature = "tls")]
        if self.tls {
            return Wiring::Tls(crate::tls::client());
        }
        Wiring::Plain
    }

    fn length(&self) -> io::Result<Duration> {
        Duration::try_from_secs_f64(self.seconds)
            .map_err(|e| io::Error::other(format!("expected a number of seconds: {e}")))
    }

    fn interval(&self) -> io::Result<Duration> {
        Duration::try_from_secs_f64(1.0 / self.rate)
            .map_err(|e| io::Error::other(format!("expected a positive rate: {e}")))
    }
}

/// What a run has measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Messages that arrived, or connections that were opened.
    pub(crate) count: u64,
    pub(crate) seconds: f64,
    /// The server's CPU time, in seconds.
    pub(crate) server_cpu: f64,
    /// The part of it that is user time.
    pub(crate) server_user: f64,
    /// The part of its core that the generator was at work for.
    pub(crate) own_share: f64,
    pub(crate) latency: Option<Latency>,
    /// The server's bytes per connection: idle, and after each has had 100 messages.
    pub(crate) memory: Option<[f64; 2]>,
    /// How much the server has grown because of a reader that stopped, in bytes, and the latency
    /// of the others before.
    pub(crate) stalled: Option<(f64, Latency)>,
    /// The server did not keep up with the rate.
    pub(crate) saturated: bool,
    pub(crate) system_calls: Option<u64>,
    /// How often a member went from one room to another.
    pub(crate) moves: u64,
    /// What rooms take of the server's memory.
    pub(crate) held: Option<Held>,
}

impl Outcome {
    /// The server's CPU time for each of what was counted, in seconds.
    pub(crate) fn cpu_each(&self) -> Option<f64> {
        (self.count > 0).then(|| self.server_cpu / self.count as f64)
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.count as f64 / self.seconds
    }
}

/// Times from a message's sending to its arrival, or of handshakes, in microseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// Does the work and prints what it measured as one line of JSON.
pub(crate) fn load(options: &Options) -> io::Result<()> {
    let outcome = match options.work {
        Work::FanOut(shape) => works::fan_out(options, shape, Ask::Broadcast),
        Work::Room(shape) => works::fan_out(options, shape, Ask::Room),
        Work::Rooms(rooms) => rooms::rooms(options, rooms),
        Work::Moving(rooms) => rooms::moving(options, rooms),
        Work::Held(rooms) => held::held(options, rooms),
        Work::Echo(shape) => works::echo(options, shape, Ask::Echo),
        Work::Request(shape) => works::echo(options, shape, Ask::Request),
        Work::Latency(shape) => works::latency(options, shape),
        Work::Stalled(shape) => works::stalled(options, shape),
        Work::Connect(sessions) => works::connect(options, sessions),
        Work::Storm(sessions) => storm::storm(options, sessions),
    }?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
