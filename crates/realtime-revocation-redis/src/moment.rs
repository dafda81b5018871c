//! Times as texts that are in order where the times are.

use std::time::{Duration, SystemTime};

const SECONDS: usize = 20;
const DIGITS: usize = 29;

/// Seconds since long before 1970, and nanoseconds: 29 digits.
pub(crate) fn write(time: SystemTime) -> String {
    let (seconds, nanos) = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (
            BEGINNING.saturating_add(after.as_secs()),
            after.subsec_nanos(),
        ),
        Err(before) => {
            let before = before.duration();
            let seconds = BEGINNING.saturating_sub(before.as_secs());
            match before.subsec_nanos() {
                0 => (seconds, 0),
                nanos => (seconds.saturating_sub(1), NANOS - nanos),
            }
        }
    };
    format!("{seconds:020}{nanos:09}")
}

/// The time of such a text, where it is one.
pub(crate) fn read(text: &str) -> Option<SystemTime> {
    if text.len() != DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (seconds, nanos) = text.split_at_checked(SECONDS)?;
    let (seconds, nanos) = (seconds.parse::<u64>().ok()?, nanos.parse().ok()?);
    let whole = match seconds.checked_sub(BEGINNING) {
        Some(after) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(after)),
        None => SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(BEGINNING - seconds)),
    };
    whole?.checked_add(Duration::from_nanos(nanos))
}

/// 1970, in seconds since the first time that can be written.
const BEGINNING: u64 = 1 << 63;
const NANOS: u32 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time() -> impl Strategy<Value = SystemTime> {
        let far = 0..1_u64 << 62;
        let seconds = prop_oneof![0..3_u64, far];
        (any::<bool>(), seconds, 0..NANOS).prop_map(|(before, seconds, nanos)| {
            let by = Duration::new(seconds, nanos);
            match before {
                true => SystemTime::UNIX_EPOCH - by,
                false => SystemTime::UNIX_EPOCH + by,
            }
        })
    }

    proptest! {
        #[test]
        fn it_comes_back_and_is_in_order(one in time(), other in time()) {
            let (a, b) = (write(one), write(other));
            prop_assert_eq!((a.len(), read(&a)), (DIGITS, Some(one)));
            prop_assert_eq!(a.cmp(&b), one.cmp(&other));
        }

        #[test]
        fn garbage_is_no_time(text in ".{0,40}") {
            prop_assert!(read(&text).is_none_or(|time| write(time) == text));
        }
    }

    #[test]
    fn the_ends_of_time_are_no_panic() {
        assert_eq!(
            write(SystemTime::UNIX_EPOCH),
            "09223372036854775808000000000"
        );
        for text in ["0".repeat(DIGITS), "9".repeat(DIGITS)] {
            let _read = read(&text);
        }
        assert_eq!(read("0922337203685477580800000000"), None);
        assert_eq!(read("+9223372036854775808000000000"), None);
    }
}
