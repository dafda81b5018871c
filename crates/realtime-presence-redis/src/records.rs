//! What stands in Redis of a session and of a node.

use std::time::{Duration, SystemTime};

use fred::{
    error::{Error, ErrorKind},
    types::Value,
};
use realtime_core::{
    IdentityKey, Incarnation, SessionId,
    broker::NodeInfo,
    presence::{NodeSessions, SessionInfo},
};

/// The store's clock as a time.
fn time(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
}

/// A start of a node, as a name and an incarnation with a colon between, and its count.
pub(crate) fn decode_node(found: &[Value]) -> Option<NodeSessions> {
    let [node, count] = found else {
        return None;
    };
    let node = node.as_bytes_str()?;
    let (id, incarnation) = node.rsplit_once(':')?;
    let incarnation = u64::from_str_radix(incarnation, 16).ok()?;
    let node = NodeInfo::new(id.parse().ok()?, Incarnation::from_u64(incarnation));
    count.as_u64().map(|count| NodeSessions::new(node, count))
}

/// The lease is kept beside the record, since it changes.
pub(crate) fn encode(info: &SessionInfo) -> Result<Value, Error> {
    let mut record = info.clone();
    record.expires_at = None;
    let record = serde_json::to_string(&record)
        .map_err(|e| Error::new(ErrorKind::InvalidArgument, e.to_string()))?;
    Ok(record.into())
}

pub(crate) fn decode(identity: &IdentityKey, found: &[Value]) -> Option<SessionInfo> {
    let [session, ends, record] = found else {
        return None;
    };
    let mut info: SessionInfo = serde_json::from_slice(record.as_bytes()?).ok()?;
    let session: SessionId = session.as_bytes_str()?.parse().ok()?;
    if info.session_id != session || info.identity != *identity {
        return None;
    }
    // The casts saturate: what isn't a sensible time comes from elsewhere.
    let ends = ends.as_f64()?;
    info.expires_at = ends.is_finite().then(|| time(ends as u64));
    Some(info)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            any::<f64>().prop_map(Value::Double),
            any::<bool>().prop_map(Value::Boolean),
            ".{0,40}".prop_map(Value::from),
            any::<Vec<u8>>().prop_map(|bytes| Value::Bytes(bytes.into())),
            Just(Value::Array(vec![Value::Null])),
        ]
    }

    fn session() -> (IdentityKey, SessionInfo) {
        let identity = IdentityKey::new("ann").with_tenant("acme");
        let node = NodeInfo::new("node".parse().unwrap(), Incarnation::random());
        let info = SessionInfo::new(SessionId::random(), &identity, node);
        (identity, info)
    }

    proptest! {
        #[test]
        fn garbage_is_no_session(found in prop::collection::vec(value(), 0..5)) {
            prop_assert_eq!(decode(&session().0, &found), None);
            prop_assert_eq!(decode_node(&found), None);
        }

        #[test]
        fn garbage_in_one_place_is_never_somebody_elses_session(
            value in value(), place in 0..3usize,
        ) {
            let (identity, info) = session();
            let mut found = [
                info.session_id.to_string().into(),
                Value::Double(1e12),
                encode(&info).unwrap(),
            ];
            found[place] = value;
            if let Some(read) = decode(&identity, &found) {
                prop_assert_eq!(place, 1, "only the lease may differ");
                prop_assert_eq!(read.key(), info.key());
                // The caller may want to pass it on.
                prop_assert!(serde_json::to_string(&read).is_ok(), "{:?}", read.expires_at);
            }
        }
    }
}
