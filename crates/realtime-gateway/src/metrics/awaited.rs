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
    /// The answer to a ping is waited for from now on, unless that to one before still is: it may take
    /// longer than it is to the next ping. Returns the ping to be sent, where it is the one with a number
    /// in it: nobody has that in a pong who wasn't asked. A dialect's own ping is answered by a message of
    /// the dialect's, and by no pong.
    pub(crate) fn begin(&mut self, ping: Bytes, limit: Option<Duration>) -> Bytes {
        let in_time = |(since, _)| is_in_time(since, limit);
        if ping.first() != Some(&PING) || self.since.is_some_and(in_time) {
            return ping;
        }
        let number = fastrand::u32(..);
        self.since = Some((Instant::now(), number));
        frame::ping(&number.to_be_bytes())
    }

    /// The ping has yet to leave: until then nobody is slow to answer it.
    pub(crate) fn waits_to_leave(&mut self) {
        if let Some((since, _)) = &mut self.since {
            *since = Instant::now();
        }
    }

    /// A pong has come. One with something else in it is no answer; and one that comes later than this
    /// is of a peer that tells what it likes.
    pub(crate) fn came(&mut self, payload: &[u8], limit: Option<Duration>) -> Option<Duration> {
        let answers = |(_, number): &(Instant, u32)| payload == number.to_be_bytes();
        let (since, _) = self.since.take_if(|since| answers(since))?;
        is_in_time(since, limit).then(|| since.elapsed())
    }
}

#[cfg(any(feature = "admin", feature = "metrics"))]
fn is_in_time(since: Instant, limit: Option<Duration>) -> bool {
    limit.is_none_or(|limit| since.elapsed() <= limit)
}

#[cfg(not(any(feature = "admin", feature = "metrics")))]
impl Awaited {
    /// The ping itself.
    #[inline(always)]
    pub(crate) const fn begin(&mut self, ping: Bytes, _: Option<Duration>) -> Bytes {
        ping
    }

    #[inline(always)]
    pub(crate) const fn waits_to_leave(&mut self) {}

    #[inline(always)]
    pub(crate) const fn came(&mut self, _: &[u8], _: Option<Duration>) -> Option<Duration> {
        None
    }
}

#[cfg(all(test, any(feature = "admin", feature = "metrics"), not(realtime_loom)))]
mod tests {
    use super::*;

    const HOUR: Option<Duration> = Some(Duration::from_secs(3_600));
    const OVER: Option<Duration> = Some(Duration::ZERO);

    /// What stands in the next ping.
    fn asked(awaited: &mut Awaited, limit: Option<Duration>) -> Bytes {
        std::thread::sleep(Duration::from_millis(1));
        awaited.begin(frame::ping(&[]), limit).slice(2..)
    }

    #[test]
    fn a_pong_counts_from_the_ping_that_it_answers_and_not_too_late() {
        let mut awaited = Awaited::default();
        let first = asked(&mut awaited, HOUR);
        assert_eq!(first.len(), 4);
        assert_eq!(awaited.came(b"", None), None, "nobody has asked for it");
        assert!(awaited.came(&first, HOUR).is_some());
        assert_eq!(awaited.came(&first, None), None, "it was answered");
        let late = asked(&mut awaited, HOUR);
        assert_eq!(awaited.came(&late, OVER), None);
        assert!(awaited.since.is_none());
        // A dialect's own, in a text message.
        let own = Bytes::from_static(&[0x81, 0]);
        assert_eq!(awaited.begin(own.clone(), HOUR), own);
        assert_eq!(awaited.came(b"", None), None);
    }

    #[test]
    fn the_time_begins_when_the_ping_has_left() {
        let mut awaited = Awaited::default();
        let asked = asked(&mut awaited, HOUR);
        let before = awaited.since.unwrap().0;
        std::thread::sleep(Duration::from_millis(5));
        awaited.waits_to_leave();
        assert!(awaited.since.unwrap().0 >= before + Duration::from_millis(5));
        assert!(awaited.came(&asked, HOUR).is_some());
        // Nothing is waited for.
        awaited.waits_to_leave();
        assert!(awaited.since.is_none());
    }

    #[test]
    fn a_pong_that_comes_after_the_next_ping_counts_from_its_own() {
        let mut awaited = Awaited::default();
        let first = asked(&mut awaited, HOUR);
        let since = awaited.since.unwrap().0;
        // The next one has no number: an answer to it says nothing of the first.
        assert!(asked(&mut awaited, HOUR).is_empty());
        assert_eq!(awaited.came(b"", HOUR), None);
        let took = awaited.came(&first, HOUR).unwrap();
        assert!(took <= since.elapsed() && took >= Duration::from_millis(1));
        // One that is over its time is given up for the next.
        let given_up = asked(&mut awaited, HOUR);
        let next = asked(&mut awaited, OVER);
        assert_eq!(next.len(), 4);
        assert_eq!(awaited.came(&given_up, HOUR), None);
        assert!(awaited.came(&next, HOUR).is_some());
    }
}
