//! When to ping, and when a peer counts as dead. Pure: the clock is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    Nothing,
    Ping,
    Dead,
}

/// The times of a heartbeat. They are the same for all sessions, so none of them keeps them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) interval: Option<Duration>,
    pub(crate) pong_timeout: Option<Duration>,
}

/// Pings within a tenth of the interval, so that sessions that connected together don't ping
/// together, and gives the peer `pong_timeout` to send any complete frame.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    next_ping: Option<Instant>,
    dead_at: Option<Instant>,
}

impl Heartbeat {
    pub(crate) fn new(times: Times, now: Instant) -> Self {
        let first = |interval: Duration| now + interval.mul_f64(0.5 + fastrand::f64() / 2.0);
        Self {
            next_ping: times.interval.map(first),
            dead_at: None,
        }
    }

    /// A complete frame came: the peer lives.
    pub(crate) fn alive(&mut self) {
        self.dead_at = None;
    }

    /// Nothing is read at present, because a handler is slow: the peer may have answered without
    /// our knowing. It gets its time again when reading goes on.
    pub(crate) fn not_reading(&mut self, times: Times, now: Instant) {
        if let (Some(dead_at), Some(timeout)) = (&mut self.dead_at, times.pong_timeout) {
            *dead_at = now + timeout;
        }
    }

    /// What is due.
    pub(crate) fn poll(&mut self, times: Times, now: Instant) -> Beat {
        if self.dead_at.is_some_and(|at| at <= now) {
            return Beat::Dead;
        }
        match (self.next_ping, times.interval) {
            (Some(at), Some(interval)) if at <= now => {
                self.next_ping = Some(now + interval.mul_f64(0.9 + fastrand::f64() / 5.0));
                if self.dead_at.is_none() {
                    self.dead_at = times.pong_timeout.map(|t| now + t);
                }
                Beat::Ping
            }
            _ => Beat::Nothing,
        }
    }

    /// When to look again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.next_ping, self.dead_at].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);
    const TIMES: Times = Times {
        interval: Some(Duration::from_secs(10)),
        pong_timeout: Some(Duration::from_secs(3)),
    };

    #[test]
    fn pings_are_spread_and_a_silent_peer_dies() {
        let start = Instant::now();
        for _ in 0..100 {
            let mut beat = Heartbeat::new(TIMES, start);
            let first = beat.deadline().unwrap();
            assert!((start + 5 * S..=start + 10 * S).contains(&first));
            assert_eq!(beat.poll(TIMES, first - S / 10), Beat::Nothing);
            assert_eq!(beat.poll(TIMES, first), Beat::Ping);
            assert_eq!(beat.poll(TIMES, first + 3 * S - S / 10), Beat::Nothing);
            assert_eq!(beat.poll(TIMES, first + 3 * S), Beat::Dead);
        }
    }

    #[test]
    fn a_frame_or_a_pause_in_reading_puts_it_off() {
        let start = Instant::now();
        let mut beat = Heartbeat::new(TIMES, start);
        let first = beat.deadline().unwrap();
        beat.poll(TIMES, first);
        beat.not_reading(TIMES, first + 2 * S);
        assert_eq!(beat.poll(TIMES, first + 4 * S), Beat::Nothing);
        assert_eq!(beat.poll(TIMES, first + 5 * S), Beat::Dead);
        beat.alive();
        assert_eq!(beat.poll(TIMES, first + 5 * S), Beat::Nothing);
        assert!(beat.deadline().unwrap() >= first + 9 * S);
    }

    #[test]
    fn without_an_interval_nothing_is_due() {
        let now = Instant::now();
        let times = Times {
            interval: None,
            ..TIMES
        };
        let mut beat = Heartbeat::new(times, now);
        assert_eq!(beat.poll(times, now + 1000 * S), Beat::Nothing);
        assert_eq!(beat.deadline(), None);
    }
}
