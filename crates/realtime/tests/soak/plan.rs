//! How long it runs, and with how many.

use std::time::Duration;

use realtime::Backpressure;

use crate::cluster::Outage;

/// How many seconds it runs. Without it, only a few.
const SECONDS: &str = "REALTIME_SOAK_SECONDS";

/// What a socket of a server holds of what isn't read.
pub const ROOM: u32 = 16 * 1024;

/// How many nodes there are.
pub const NODES: usize = 3;

/// One node for each.
pub const POLICIES: [Backpressure; NODES] = [
    Backpressure::Close,
    Backpressure::DropNewest,
    Backpressure::DropOldest,
];

#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub duration: Duration,
    /// How many sessions there are at once.
    pub sessions: usize,
    /// What the lives of sessions and the timeouts of the server are measured in.
    pub unit: Duration,
    /// What happens to the backends, again and again.
    pub outages: &'static [Outage],
    /// Whether everything happens often enough to see whether anything grows.
    pub has_slope: bool,
}

impl Plan {
    pub fn from_env() -> Self {
        let Ok(seconds) = std::env::var(SECONDS) else {
            return Self {
                duration: Duration::from_secs(3),
                sessions: 400,
                unit: Duration::from_millis(200),
                outages: &[Outage::Closed],
                has_slope: false,
            };
        };
        let seconds: u64 = seconds.parse().expect("a number of seconds");
        Self {
            duration: Duration::from_secs(seconds),
            sessions: 2_000,
            unit: Duration::from_secs(1),
            outages: Outage::ALL,
            has_slope: seconds >= 240,
        }
    }
}
