//! The answer to a ping, and how long it takes.

use std::time::Duration;
#[cfg(any(feature = "admin", feature = "metrics"))]
use std::time::Instant;

/// How a ping begins: a whole message, of opcode 9.
#[cfg(any(feature = "admin", feature = "metrics"))]
const PING: u8 = 0x89;

/// Since when something is waited for, while it is. Where nobody is told how long it takes, it has no
/// size.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    #[cfg(any(feature = "admin", feature = "metrics"))]
    since: Option<Instant>,
}

#[cfg(any(feature = "admin", feature = "metrics"))]
impl Awaited {
    /// The answer to this frame is waited for from now on, and no longer that to the one before. A
    /// dialect's own ping is answered by a message of the dialect's, and by no pong.
    pub(crate) fn begin(&mut self, ping: &[u8]) {
        let is_websocket_ping = ping.first() == Some(&PING);
        self.since = is_websocket_ping.then(Instant::now);
    }

    /// A pong has come. One that comes later than this is none of the ping that is waited for, or
    /// of a peer that tells what it likes.
    pub(crate) fn came(&mut self, limit: Option<Duration>) -> Option<Duration> {
        let took = self.since.take()?.elapsed();
        limit.is_none_or(|limit| took <= limit).then_some(took)
    }
}

#[cfg(not(any(feature = "admin", feature = "metrics")))]
impl Awaited {
    #[inline(always)]
    pub(crate) const fn begin(&mut self, _: &[u8]) {}

    #[inline(always)]
    pub(crate) const fn came(&mut self, _: Option<Duration>) -> Option<Duration> {
        None
    }
}

#[cfg(all(test, any(feature = "admin", feature = "metrics"), not(realtime_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_pong_counts_from_the_last_ping_and_not_too_late() {
        let mut awaited = Awaited::default();
        awaited.begin(&[0x89, 0]);
        let first = awaited.since;
        std::thread::sleep(Duration::from_millis(1));
        awaited.begin(&[0x89, 0]);
        assert!(awaited.since > first);
        // A dialect's own, in a text message.
        awaited.begin(&[0x81, 0]);
        assert_eq!(awaited.came(None), None);
        awaited.begin(&[0x89, 0]);
        assert_eq!(awaited.came(Some(Duration::ZERO)), None);
        assert!(awaited.since.is_none());
        awaited.begin(&[0x89, 0]);
        assert!(awaited.came(Some(Duration::MAX)).is_some());
    }
}
