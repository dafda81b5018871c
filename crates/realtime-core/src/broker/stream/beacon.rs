//! The body of a beacon: what a node says of itself beside its number.
//!
//! Fields of a type (`u8`), a length (`u16`) and a value; those of an unknown type are skipped, and a
//! field that would say nothing new is left out.
//!
//! | type | value |
//! | ---: | --- |
//! | 1 | how often it says so: milliseconds (`u32`) |
//! | 2 | the versions of the wire that it reads: the lowest and the highest (`u8` each) |
//! | 3 | what it can do (`u64`, one bit each): none is defined yet, so it isn't said |
//!
//! All nodes hear each beacon, so what beacons cost a cluster grows with the square of its nodes. That
//! is what their interval grows with, so what an idle cluster of 34 to 155 nodes says is about the same
//! in bytes. In a larger one the interval is the longest, and what is said grows again.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{BEACON_INTERVAL, stamp::VERSION};

const INTERVAL: u8 = 1;
const VERSIONS: u8 = 2;

/// The longest interval between beacons that is believed.
const LONGEST: Duration = Duration::from_secs(60);
/// How many beacons are heard in a second, by all nodes together.
const HEARD: u64 = 400;
/// How many are said at most, while there is news of numbers.
const NEWS: u64 = 10;

/// How often a node in such company says so.
pub(super) fn interval(others: usize) -> Duration {
    let nodes = nodes(others);
    let apart = nodes.saturating_mul(nodes).saturating_mul(1_000) / HEARD;
    Duration::from_millis(apart).clamp(BEACON_INTERVAL, LONGEST)
}

/// How soon a node in such company says which number it has reached for all, where that is news.
pub(super) fn news(others: usize) -> Duration {
    let apart = nodes(others).saturating_mul(1_000) / NEWS;
    Duration::from_millis(apart).clamp(BEACON_INTERVAL, interval(others))
}

fn nodes(others: usize) -> u64 {
    (others as u64).saturating_add(1)
}

pub(super) fn put(interval: Duration) -> Bytes {
    let mut out = BytesMut::with_capacity(12);
    out.put_u8(INTERVAL);
    out.put_u16(4);
    out.put_u32(interval.as_millis() as u32);
    out.put_u8(VERSIONS);
    out.put_u16(2);
    out.put_slice(&[VERSION, VERSION]);
    out.freeze()
}

/// How often the node says so, as far as it tells.
pub(super) fn take(mut body: Bytes) -> Duration {
    while let (Ok(field), Ok(length)) = (body.try_get_u8(), body.try_get_u16()) {
        let length = usize::from(length).min(body.len());
        let mut value = body.split_to(length);
        if field == INTERVAL
            && let Ok(interval) = value.try_get_u32()
        {
            return Duration::from_millis(interval.into()).clamp(BEACON_INTERVAL, LONGEST);
        }
    }
    BEACON_INTERVAL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_nodes_there_are_the_less_each_of_them_says() {
        let of = |nodes: usize| (interval(nodes - 1), news(nodes - 1));
        let seconds = |interval, news| (Duration::from_secs(interval), Duration::from_secs(news));
        assert_eq!(of(1), seconds(3, 3));
        assert_eq!(of(34), seconds(3, 3));
        assert_eq!(of(40), seconds(4, 4));
        assert_eq!(of(100), seconds(25, 10));
        assert_eq!(of(400), seconds(60, 40));
        assert_eq!(of(usize::MAX), (LONGEST, LONGEST));
        assert_eq!(take(put(interval(99))), interval(99));
    }

    #[test]
    fn fields_that_are_not_known_are_skipped() {
        let known = put(interval(99));
        let unknown: &[u8] = &[200, 0, 3, 1, 2, 3];
        let both = Bytes::from([unknown, &known].concat());
        assert_eq!(take(both), interval(99));
        assert_eq!(take(Bytes::from_static(&[1, 0])), BEACON_INTERVAL);
        assert_eq!(
            take(Bytes::from_static(&[200, 255, 255, 1])),
            BEACON_INTERVAL
        );
    }
}
