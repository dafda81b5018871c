//! What wakes sessions whose time has come: to ping, or to give up on a peer.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{Session, config::Config, session::ASSEMBLY, shared::Shared};

/// After how many sessions it lets other tasks have a turn.
const TURN: usize = 1_024;
/// How late a session is woken at the most, as a share of the shortest time that counts.
const PRECISION: u32 = 16;
const FINEST: Duration = Duration::from_millis(2);
const COARSEST: Duration = Duration::from_secs(1);

/// The clock that sessions' alarms are set by.
#[derive(Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    /// A time in milliseconds, rounded up.
    pub(super) fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.0);
        u64::try_from(since.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    fn now(&self) -> u64 {
        let millis = self.0.elapsed().as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX)
    }
}

/// Looks at every session's alarm again and again, until the gateway ends.
pub(super) async fn run(shared: Arc<Shared>) {
    let stopped = shared.stop.cancelled();
    tokio::pin!(stopped);
    let mut ticks = interval(tick(&shared.config));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return,
            _now = ticks.tick() => {}
        }
        let now = shared.hub.clock.now();
        for shard in &shared.hub.shards {
            let mut seat = Some(0);
            while let Some(from) = seat {
                let is_due = |session: &Session| session.alarm().ring(now);
                seat = shard.members_from(from, TURN, is_due, &mut due);
                for session in due.drain(..) {
                    session.wake();
                }
                tokio::task::yield_now().await;
            }
        }
    }
}

/// How often to look.
fn tick(config: &Config) -> Duration {
    [config.heartbeat, config.pong_timeout, config.write_timeout]
        .into_iter()
        .flatten()
        .fold(ASSEMBLY, Duration::min)
        .div_f64(PRECISION.into())
        .clamp(FINEST, COARSEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_alarm_is_never_early() {
        let clock = Clock::new();
        let at = Instant::now() + Duration::from_micros(1_500);
        assert_eq!(clock.millis(at), 2);
        tokio::time::advance(Duration::from_micros(1_999)).await;
        assert_eq!(clock.now(), 1);
    }
}
