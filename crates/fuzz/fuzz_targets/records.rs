//! Records of sessions, as they lie in a presence store where anybody may have written: garbage is
//! refused, and what is read is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use realtime::presence::SessionInfo;

fuzz_target!(|bytes: &[u8]| {
    let Ok(info) = serde_json::from_slice::<SessionInfo>(bytes) else {
        return;
    };
    let written = serde_json::to_string(&info).expect("what was read can be written");
    let again: SessionInfo = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(again, info);
    // The store's key is made of the identity, and the two must not drift apart.
    assert_eq!(info.key().identity, info.identity);
    let id = info.session_id.to_string();
    assert_eq!(id.parse().ok(), Some(info.session_id));
    let node = info.node_id.to_string();
    assert!((1..=64).contains(&node.len()) && node.is_ascii());
});
