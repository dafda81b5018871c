//! The answer to a ping, and how long it takes.

use std::time::Duration;
#[cfg(any(feature = "admin", feature = "metrics"))]
use std::time::Instant;

use bytes::Bytes;
#[cfg(any(feature = "admin", feature = "metrics"))]
use realtime_websocket::frame;

/// How a ping begins: a whole message, of opcode 9.
#[cfg(any(feature = "admin", feature = "metrics"))]
const PING: u8 = 0x89;

/// What is waited for, while it is. Where nobody is told how long it takes, it has no size.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    /// Since when, and what the answer has in it.
    #[cfg(any(feature = "admin", feature = "metrics"))]
    since: Option<(Instant, u32)>,
}

#[cfg(any(feature = "admin", feature = "metrics"))]
impl Awaited {
    /// The answer to a ping is waited for from now on, and no longer that to the one before. Returns the
    /// ping to be sent, with a number in it: nobody has that in a pong who wasn't asked. A dialect's own
    /// ping is answered by a message of the dialect's, and by no pong.
    pub(crate) fn begin(&mut self, ping: Bytes) -> Bytes {
        let is_websocket_ping = ping.first() == Some(&PING);
        let number = is_websocket_ping.then(|| fastrand::u32(..));
        self.since = number.map(|number| (Instant::now(), number));
        number.map_or(ping, |number| frame::ping(&number.to_be_bytes()))
    }

    /// A pong has come. One with something else in it is no answer; and one that comes later than this
    /// is of a peer that tells what it likes.
    pub(crate) fn came(&mut self, payload: &[u8], limit: Option<Duration>) -> Option<Duration> {
        let answers = |(_, number): &(Instant, u32)| payload == number.to_be_bytes();
        let (since, _) = self.since.take_if(|since| answers(since))?;
        let took = since.elapsed();
        limit.is_none_or(|limit| took <= limit).then_some(took)
    }
}

#[cfg(not(any(feature = "admin", feature = "metrics")))]
impl Awaited {
    /// The ping itself.
    #[inline(always)]
    pub(crate) const fn begin(&mut self, ping: Bytes) -> Bytes {
        ping
    }

    #[inline(always)]
    pub(crate) const fn came(&mut self, _: &[u8], _: Option<Duration>) -> Option<Duration> {
        None
    }
}

#[cfg(all(test, any(feature = "admin", feature = "metrics"), not(realtime_loom)))]
mod tests {
    use super::*;

    /// What stands in the next ping.
    fn asked(awaited: &mut Awaited) -> Bytes {
        awaited.begin(frame::ping(&[])).slice(2..)
    }

    #[test]
    fn a_pong_counts_from_the_ping_that_it_answers_and_not_too_late() {
        let mut awaited = Awaited::default();
        let first = asked(&mut awaited);
        assert_eq!(first.len(), 4);
        let second = asked(&mut awaited);
        assert_eq!(awaited.came(&first, None), None, "no longer waited for");
        assert_eq!(awaited.came(b"", None), None, "nobody has asked for it");
        assert!(awaited.came(&second, Some(Duration::MAX)).is_some());
        assert_eq!(awaited.came(&second, None), None, "it was answered");
        let late = asked(&mut awaited);
        assert_eq!(awaited.came(&late, Some(Duration::ZERO)), None);
        assert!(awaited.since.is_none());
        // A dialect's own, in a text message.
        let own = Bytes::from_static(&[0x81, 0]);
        assert_eq!(awaited.begin(own.clone()), own);
        assert_eq!(awaited.came(b"", None), None);
    }
}
