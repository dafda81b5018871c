//! When to ping, and when a peer counts as gone. Pure: what is known of the peer is an argument.
//!
//! Any byte from the peer is life. The time for an answer begins when the ping has left, and
//! begins again whenever a socket that was full accepts more, since then the peer has read
//! something: a ping behind a large message reaches the peer late, and the answer can't come
//! before. That a socket accepts something says nothing by itself: the kernel does so for a while
//! after the peer is gone.

use std::time::Duration;

use crate::clock::{Clock, Millis, NEVER};

/// Behind so many bytes the peer is allowed one more millisecond for its answer: what the kernels
/// on both sides hold is out of our sight, and a slow peer reads it first.
const BYTES_PER_MILLISECOND: u64 = 16;
/// No more than this is out of sight.
const OUT_OF_SIGHT: u64 = 8 * 1024 * 1024;

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    Nothing,
    Ping,
    Dead,
}

/// The times of a heartbeat. They are the same for all sessions, so none of them keeps them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) interval: Option<Duration>,
    pub(super) pong_timeout: Option<Duration>,
}

/// The longest time from one ping to the next, which is never exactly the interval.
pub(super) fn longest(interval: Duration) -> Duration {
    interval.saturating_add(interval / 10)
}

/// What is known of the peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// The bytes that came from it so far.
    pub(super) received: u64,
    /// The bytes that its socket has accepted so far.
    pub(super) written: u64,
    /// How often its socket was full and then accepted more.
    pub(super) relieved: u32,
    /// A ping has yet to leave.
    pub(super) ping_waits: bool,
    /// Nothing is read at present: the peer may have answered without our knowing.
    pub(super) unread: bool,
}

/// Pings within a tenth of the interval, so that sessions that connected together don't ping
/// together, and gives the peer `pong_timeout` to send anything at all.
#[derive(Debug)]
pub(super) struct Heartbeat {
    next_ping: Millis,
    /// When the peer counts as gone, once a ping is under way.
    dead_at: Millis,
    received: u64,
    /// What its socket had accepted when a byte last came from it.
    written_when_received: u64,
    relieved: u32,
}

impl Heartbeat {
    pub(super) fn new(times: Times, clock: &Clock) -> Self {
        let first = |interval: Duration| clock.after(interval.mul_f64(0.5 + fastrand::f64() / 2.0));
        Self {
            next_ping: times.interval.map_or(NEVER, first),
            dead_at: NEVER,
            received: 0,
            written_when_received: 0,
            relieved: 0,
        }
    }

    /// Whether bytes have come that it doesn't know of.
    pub(super) fn is_news(&self, received: u64) -> bool {
        self.received != received
    }

    /// Bytes have come, before more than this was written.
    pub(super) fn hear(&mut self, received: u64, written: u64) {
        (self.received, self.written_when_received) = (received, written);
        self.dead_at = NEVER;
    }

    /// What is due.
    pub(super) fn poll(&mut self, times: Times, clock: &Clock, peer: Peer) -> Beat {
        if self.is_news(peer.received) {
            self.hear(peer.received, peer.written);
        }
        let unseen = (peer.written - self.written_when_received).min(OUT_OF_SIGHT);
        let allowance = Duration::from_millis(unseen / BYTES_PER_MILLISECOND);
        let patience = |timeout: Duration| clock.after(timeout.saturating_add(allowance));
        let moves = peer.ping_waits || peer.unread || self.relieved != peer.relieved;
        self.relieved = peer.relieved;
        if moves && self.dead_at != NEVER {
            self.dead_at = times.pong_timeout.map_or(NEVER, patience);
        }
        let now = clock.now();
        if self.dead_at <= now {
            return Beat::Dead;
        }
        match times.interval {
            Some(interval) if self.next_ping <= now => {
                let next = interval.mul_f64(0.9 + fastrand::f64() / 5.0);
                self.next_ping = clock.after(next);
                if self.dead_at == NEVER {
                    self.dead_at = times.pong_timeout.map_or(NEVER, patience);
                }
                Beat::Ping
            }
            _ => Beat::Nothing,
        }
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Millis {
        self.next_ping.min(self.dead_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(10);
    const TIMES: Times = Times {
        interval: Some(Duration::from_secs(10)),
        pong_timeout: Some(Duration::from_secs(3)),
    };
    const PEER: Peer = Peer {
        received: 0,
        written: 0,
        relieved: 0,
        ping_waits: false,
        unread: false,
    };

    /// Lets time pass until something is due.
    fn until_due(beat: &mut Heartbeat, clock: &Clock, peer: Peer) -> (Beat, Millis) {
        let start = clock.now();
        loop {
            match beat.poll(TIMES, clock, peer) {
                Beat::Nothing => clock.advance(TICK),
                due => return (due, clock.now() - start),
            }
        }
    }

    #[test]
    fn pings_are_spread_and_a_silent_peer_dies() {
        for _ in 0..50 {
            let clock = Clock::new(TICK);
            let mut beat = Heartbeat::new(TIMES, &clock);
            let (due, after) = until_due(&mut beat, &clock, PEER);
            assert_eq!(due, Beat::Ping);
            assert!((5_000..=10_020).contains(&after), "{after}");
            let (due, after) = until_due(&mut beat, &clock, PEER);
            assert_eq!(due, Beat::Dead);
            assert!((3_000..=3_030).contains(&after), "{after}");
        }
    }

    #[test]
    fn any_byte_is_life() {
        let clock = Clock::new(TICK);
        let mut beat = Heartbeat::new(TIMES, &clock);
        until_due(&mut beat, &clock, PEER);
        for _ in 0..299 {
            clock.advance(TICK);
        }
        let peer = Peer {
            received: 1,
            ..PEER
        };
        assert_eq!(beat.poll(TIMES, &clock, peer), Beat::Nothing);
        let (due, _) = until_due(&mut beat, &clock, peer);
        assert_eq!(due, Beat::Ping, "and not dead before it");
    }

    #[test]
    fn time_begins_when_the_ping_has_left_and_again_while_the_peer_reads() {
        let clock = Clock::new(TICK);
        let mut beat = Heartbeat::new(TIMES, &clock);
        until_due(&mut beat, &clock, PEER);
        let mut peer = Peer {
            ping_waits: true,
            ..PEER
        };
        for _ in 0..400 {
            assert_eq!(beat.poll(TIMES, &clock, peer), Beat::Nothing);
            clock.advance(TICK);
        }
        peer = Peer {
            written: 640,
            relieved: 1,
            ..PEER
        };
        assert_eq!(beat.poll(TIMES, &clock, peer), Beat::Nothing);
        // Whatever else the kernel accepts is no sign of life.
        peer.written += 64;
        let (due, after) = until_due(&mut beat, &clock, peer);
        assert_eq!(due, Beat::Dead);
        assert!((3_040..=3_070).contains(&after), "{after}");
    }

    #[test]
    fn what_was_written_after_the_last_byte_has_to_be_read_first() {
        let clock = Clock::new(TICK);
        let mut beat = Heartbeat::new(TIMES, &clock);
        beat.hear(1, 0);
        let peer = Peer {
            received: 1,
            written: 64_000,
            ..PEER
        };
        let (due, _) = until_due(&mut beat, &clock, peer);
        assert_eq!(due, Beat::Ping);
        let (due, after) = until_due(&mut beat, &clock, peer);
        assert_eq!(due, Beat::Dead);
        assert!((7_000..=7_030).contains(&after), "{after}");
    }

    #[test]
    fn a_peer_that_is_not_read_is_not_judged() {
        let clock = Clock::new(TICK);
        let mut beat = Heartbeat::new(TIMES, &clock);
        until_due(&mut beat, &clock, PEER);
        let unread = Peer {
            unread: true,
            ..PEER
        };
        for _ in 0..400 {
            assert_eq!(beat.poll(TIMES, &clock, unread), Beat::Nothing);
            clock.advance(TICK);
        }
    }

    #[test]
    fn without_an_interval_nothing_is_due() {
        let clock = Clock::new(TICK);
        let times = Times {
            interval: None,
            ..TIMES
        };
        let mut beat = Heartbeat::new(times, &clock);
        for _ in 0..2_000 {
            clock.advance(TICK);
        }
        assert_eq!(beat.poll(times, &clock, PEER), Beat::Nothing);
        assert_eq!(beat.deadline(), NEVER);
    }
}
