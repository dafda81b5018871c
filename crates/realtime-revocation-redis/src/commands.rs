//! What is asked of Redis: commands of one key each.

use std::time::{Duration, SystemTime};

use fred::types::Value;
use realtime_core::revocation::PAGE;
use realtime_redis::pool::Command;

use crate::{
    answer::Known,
    moment,
    scripts::{REVOKE, SINCE, TELL},
};

/// Longer times are cut to this many ms, some 35,000 years.
const LONGEST: i64 = 1 << 50;

/// Beyond this numbers are not exact in a script; the log doesn't get there.
const LAST_NUMBER: u64 = 1 << 53;

/// Remembers a revocation for so long from now on, or for longer where it is already.
pub(crate) fn revoke(key: &str, issued_before: SystemTime, keep: Duration) -> Command<'_> {
    let issued_before = moment::write(issued_before);
    Command::run(&REVOKE, vec![key], vec![issued_before.into(), millis(keep)])
}

/// Puts into the log what is known of the revocation with this name, in place of what was.
pub(crate) fn tell<'c>(
    log: &'c str,
    name: &str,
    before: Option<&Known>,
    known: &Known,
) -> Command<'c> {
    let before = before.map(|before| before.line(name)).unwrap_or_default();
    let ends = known.ends().to_string();
    let words = vec![before.into(), known.line(name).into(), ends.into()];
    Command::run(&TELL, vec![log], words)
}

/// A page of the log and one line more.
pub(crate) fn since(log: &str, after: u64) -> Command<'_> {
    let after = after.min(LAST_NUMBER).to_string();
    let most = i64::try_from(PAGE + 1).unwrap_or(i64::MAX);
    Command::run(&SINCE, vec![log], vec![after.into(), most.into()])
}

/// What is known of a revocation.
pub(crate) fn look(key: &str) -> Command<'_> {
    Command::plain("GET", key)
}

/// Whole milliseconds, rounded up.
fn millis(duration: Duration) -> Value {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    i64::try_from(millis).unwrap_or(LONGEST).min(LONGEST).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_and_rounded_up() {
        assert_eq!(millis(Duration::from_micros(1_001)), Value::Integer(2));
        assert_eq!(millis(Duration::from_millis(1)), Value::Integer(1));
        assert_eq!(millis(Duration::MAX), Value::Integer(LONGEST));
    }
}
