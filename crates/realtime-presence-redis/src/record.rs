//! A session as Redis keeps it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use realtime_core::presence::SessionInfo;

/// The end of a lease, from milliseconds since 1970.
pub(crate) fn time(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

/// The record without its lease, which lies elsewhere and changes.
pub(crate) fn write(info: &SessionInfo) -> Result<String, serde_json::Error> {
    let mut info = info.clone();
    info.expires_at = None;
    serde_json::to_string(&info)
}

/// What another program has written in our place is no session, and neither is the record of a
/// later version that this one can't read.
pub(crate) fn read(record: &str, lease: &str) -> Option<SessionInfo> {
    let mut info: SessionInfo = serde_json::from_str(record).ok()?;
    info.expires_at = match lease {
        "inf" => None,
        ms => Some(time(ms.parse().ok()?)),
    };
    Some(info)
}

#[cfg(test)]
mod tests {
    use realtime_core::{IdentityKey, NodeId, SessionId};

    use super::*;

    #[test]
    fn what_is_written_is_read_and_garbage_is_not() {
        let identity = IdentityKey::new("t", "x");
        let mut info = SessionInfo::new(SessionId::random(), &identity, NodeId::random());
        info.connected_at = time(1_700_000_000_123);
        let record = write(&info).unwrap();
        assert_eq!(read(&record, "inf").unwrap(), info);
        let leased = read(&record, "1700000090123").unwrap();
        assert_eq!(leased.expires_at, Some(time(1_700_000_090_123)));
        for (record, lease) in [("", "1"), ("{}", "1"), (&record[1..], "1"), (&record, "x")] {
            assert!(read(record, lease).is_none());
        }
    }
}
