//! What passes between two moments: time, the server's CPU time, and our own.

use std::{
    io,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{Latency, Outcome};
use crate::process::Process;

/// Begins when it is made.
pub(super) struct Meter {
    server: Process,
    start: Instant,
    server_cpu: Duration,
    server_ticks: [Duration; 2],
    own_cpu: Duration,
}

impl Meter {
    pub(super) fn start(server: &Process) -> io::Result<Self> {
        Ok(Self {
            server: server.clone(),
            server_cpu: server.cpu()?,
            server_ticks: server.ticks()?,
            own_cpu: Process::own().cpu()?,
            start: Instant::now(),
        })
    }

    /// The part of its core that the generator has used until now.
    pub(super) fn share_so_far(&self) -> io::Result<f64> {
        let used = Process::own().cpu()?.saturating_sub(self.own_cpu);
        Ok(used.as_secs_f64() / self.start.elapsed().as_secs_f64())
    }

    /// What has passed since the start, for so many messages.
    pub(super) fn stop(self, count: u64) -> io::Result<Outcome> {
        let seconds = self.start.elapsed().as_secs_f64();
        let since = |now: Duration, then| now.saturating_sub(then).as_secs_f64();
        let (now, then) = (self.server.ticks()?, self.server_ticks);
        let [user, system] = [0, 1].map(|part| since(now[part], then[part]));
        let server_cpu = since(self.server.cpu()?, self.server_cpu);
        Ok(Outcome {
            count,
            seconds,
            server_cpu,
            server_user: server_cpu * user / (user + system).max(f64::MIN_POSITIVE),
            own_share: self.share_so_far()?,
            ..Outcome::default()
        })
    }
}

/// Latencies, in nanoseconds.
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(super) fn new() -> io::Result<Self> {
        const MINUTE: u64 = 60_000_000_000;
        Histogram::new_with_bounds(100, MINUTE, 3)
            .map(Self)
            .map_err(io::Error::other)
    }

    pub(super) fn record(&mut self, time: Duration, count: u64) {
        self.0.saturating_record_n(time.as_nanos() as u64, count);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn summary(&self) -> Latency {
        let micros = |nanos: u64| nanos as f64 / 1000.0;
        Latency {
            p50: micros(self.0.value_at_quantile(0.5)),
            p99: micros(self.0.value_at_quantile(0.99)),
            max: micros(self.0.max()),
        }
    }
}
