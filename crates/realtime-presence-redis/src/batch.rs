//! Calls that are made of many commands, each of which may fail by itself.

use std::time::Duration;

use fred::types::Value;
use futures::{StreamExt, stream};
use realtime_core::presence::{Failure, PresenceError, PresenceErrorKind};

/// How many commands of one batch are under way.
const CALLS_AT_ONCE: usize = 128;

/// Longer leases are cut to this many ms, some 35,000 years.
const LONGEST_LEASE: u64 = 1 << 50;

/// Makes all calls of a batch, whatever becomes of some of them: what is on another server, or under
/// another key, doesn't have to suffer for it.
pub(crate) async fn each<T>(calls: Vec<impl Future<Output = T>>) -> Vec<T> {
    stream::iter(calls)
        .buffer_unordered(CALLS_AT_ONCE)
        .collect()
        .await
}

/// What was done, and what failed for which keys, which have places in the question. Where nothing
/// was done, and not because of what lies under the keys, it is the call that failed.
pub(crate) fn sort_out<T, K>(
    answers: Vec<(Vec<usize>, Result<T, PresenceError>)>,
    key: impl Fn(usize) -> Option<K>,
) -> Result<(Vec<T>, Vec<Failure<K>>), PresenceError> {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    let mut for_all = None;
    let is_of_the_key = |error: &PresenceError| error.kind() == PresenceErrorKind::Corrupt;
    for (places, answer) in answers {
        match answer {
            Ok(answer) => done.push(answer),
            Err(error) => {
                let keys = places.iter().filter_map(|place| key(*place));
                failed.extend(keys.map(|key| Failure::new(key, error.clone())));
                if !is_of_the_key(&error) {
                    for_all.get_or_insert(error);
                }
            }
        }
    }
    let is_closed = |error: &PresenceError| error.kind() == PresenceErrorKind::Closed;
    match for_all {
        Some(error) if is_closed(&error) => Err(error),
        Some(error) if done.is_empty() && !failed.iter().any(|f| is_of_the_key(&f.error)) => {
            Err(error)
        }
        _ => Ok((done, failed)),
    }
}

/// A lease in whole ms, at least one; -1 for none.
pub(crate) fn lease(ttl: Option<Duration>) -> Value {
    let Some(ttl) = ttl else {
        return Value::Integer(-1);
    };
    let ms = ttl.as_nanos().div_ceil(1_000_000).max(1);
    let ms = u64::try_from(ms)
        .unwrap_or(LONGEST_LEASE)
        .min(LONGEST_LEASE);
    Value::Integer(ms.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_whole_and_bounded() {
        assert_eq!(lease(None), Value::Integer(-1));
        assert_eq!(lease(Some(Duration::ZERO)), Value::Integer(1));
        assert_eq!(lease(Some(Duration::from_micros(1_001))), Value::Integer(2));
        assert_eq!(lease(Some(Duration::MAX)), Value::Integer(1 << 50));
    }
}
