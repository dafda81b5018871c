//! What is told of the store, and the end of a handle.

use futures::StreamExt;
use realtime_core::presence::{Presence, PresenceErrorKind};

use super::{LONG, ann, ids, register, session};
use crate::wait::within;

/// Every caller gets a stream of its own, and one that isn't read delays no other.
pub async fn every_caller_gets_a_stream_of_events_of_its_own<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (closed, open) = (handle(), handle());
    let (unread, mut ends) = (open.events(), closed.events());
    closed.close().await;
    within("the end of one stream", async {
        while ends.next().await.is_some() {}
    })
    .await;
    register(&open, &[session(&ann())], LONG).await;
    drop(unread);
}

/// The stream ends after `close`, also one that is asked for afterwards.
pub async fn streams_of_events_end_after_close<P: Presence>(mut handle: impl FnMut() -> P) {
    let presence = handle();
    let before = presence.events();
    presence.close().await;
    for mut events in [before, presence.events()] {
        within("the end of the events", async {
            while events.next().await.is_some() {}
        })
        .await;
    }
}

/// Closing is idempotent, and sessions stay until their leases end.
pub async fn closing_is_idempotent_and_leaves_sessions<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there, info) = (handle(), handle(), session(&ann()));
    register(&here, std::slice::from_ref(&info), LONG).await;
    for _ in 0..2 {
        within("closing", here.close()).await;
    }
    assert_eq!(ids(&there, &ann()).await, [info.session_id]);
}

/// Calls after `close` fail with kind `Closed`.
pub async fn calls_after_close_fail<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, info) = (handle(), session(&ann()));
    presence.close().await;
    let failures = [
        presence
            .register(std::slice::from_ref(&info), LONG)
            .await
            .err(),
        presence.unregister(&[info.key()]).await.err(),
        presence.renew(&[info.key()], LONG).await.err(),
        presence.sessions(&ann()).await.err(),
        presence.nodes(&ann()).await.err(),
        presence.online(&[ann()]).await.err(),
        presence.is_online(&ann()).await.err(),
    ];
    for failure in failures {
        assert_eq!(failure.map(|e| e.kind()), Some(PresenceErrorKind::Closed));
    }
}
