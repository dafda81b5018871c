//! What is removed.

use realtime_core::presence::Presence;

use super::{LONG, ann, ids, ok, register, session, unregister};

/// A removed session is not found any more.
pub async fn a_removed_session_is_not_found<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there, info) = (handle(), handle(), session(&ann()));
    register(&here, std::slice::from_ref(&info), LONG).await;
    unregister(&there, &[info.key()]).await;
    assert_eq!(ids(&here, &ann()).await, []);
    assert!(!ok(here.is_online(&ann()).await));
}

/// Removing what is not there is fine.
pub async fn removing_what_is_not_there_is_fine<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, info) = (handle(), session(&ann()));
    unregister(&presence, &[info.key()]).await;
    register(&presence, std::slice::from_ref(&info), LONG).await;
    unregister(&presence, &[info.key(), info.key()]).await;
    unregister(&presence, &[info.key()]).await;
}

/// Other sessions of the identity stay.
pub async fn other_sessions_of_the_identity_stay<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, goes, stays) = (handle(), session(&ann()), session(&ann()));
    register(&presence, &[goes.clone(), stays.clone()], LONG).await;
    unregister(&presence, &[goes.key()]).await;
    assert_eq!(ids(&presence, &ann()).await, [stays.session_id]);
    assert!(ok(presence.is_online(&ann()).await));
}
