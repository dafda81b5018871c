//! The body of a beacon: what a node says of itself beside its number.
//!
//! Fields of a type (`u8`), a length (`u16`) and a value; those of an unknown type are skipped.
//!
//! | type | value |
//! | ---: | --- |
//! | 1 | how often it says so: milliseconds (`u32`) |
//! | 2 | the versions of the wire that it reads: the lowest and the highest (`u8` each) |
//! | 3 | what it can do (`u64`, one bit each; none is defined yet) |

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{BEACON_INTERVAL, stamp::VERSION};

const INTERVAL: u8 = 1;
const VERSIONS: u8 = 2;
const CAPABILITIES: u8 = 3;

/// The longest interval between beacons that is believed.
const LONGEST: Duration = Duration::from_secs(60);

/// How often a node in such company says so: all together no more than thirty do.
pub(super) fn interval(others: usize) -> Duration {
    let of_all = Duration::from_millis(100).saturating_mul(others.saturating_add(1) as u32);
    of_all.clamp(BEACON_INTERVAL, LONGEST)
}

pub(super) fn put(interval: Duration) -> Bytes {
    let mut out = BytesMut::with_capacity(23);
    out.put_u8(INTERVAL);
    out.put_u16(4);
    out.put_u32(interval.as_millis() as u32);
    out.put_u8(VERSIONS);
    out.put_u16(2);
    out.put_slice(&[VERSION, VERSION]);
    out.put_u8(CAPABILITIES);
    out.put_u16(8);
    out.put_u64(0);
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
    fn all_nodes_together_say_no_more_than_thirty() {
        assert_eq!(interval(0), BEACON_INTERVAL);
        assert_eq!(interval(29), BEACON_INTERVAL);
        assert_eq!(interval(99), Duration::from_secs(10));
        assert_eq!(interval(usize::MAX), LONGEST);
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
