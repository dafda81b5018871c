//! Leases that are renewed.

use realtime_core::{
    IdentityKey,
    presence::{Presence, SessionKey},
};

use super::{LONG, SHORT, ann, ids, ok, register, renew, session};
use crate::wait::until;

/// A renewed session is found until its new lease ends.
pub async fn a_renewed_session_is_found_until_its_new_lease_ends<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, renewed, not) = (handle(), session(&ann()), session(&ann()));
    register(&presence, &[renewed.clone(), not.clone()], SHORT).await;
    let unknown = renew(&presence, &[renewed.key()], LONG).await;
    assert_eq!(unknown, []);
    until("the lease that wasn't renewed has ended", async || {
        ids(&presence, &ann()).await == [renewed.session_id]
    })
    .await;
    assert!(ok(presence.is_online(&ann()).await));
    assert_eq!(renew(&presence, &[renewed.key()], SHORT).await, []);
    until("the shortened lease has ended, too", async || {
        !ok(presence.is_online(&ann()).await)
    })
    .await;
}

/// What the store doesn't know is returned and not added.
pub async fn what_the_store_does_not_know_is_returned_and_not_added<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, known, unknown) = (handle(), session(&ann()), session(&ann()));
    let stranger = session(&IdentityKey::new("stranger").with_tenant("acme"));
    register(&presence, std::slice::from_ref(&known), LONG).await;
    let keys = [unknown.key(), known.key(), stranger.key()];
    let mut returned = renew(&presence, &keys, LONG).await;
    let mut expected = vec![unknown.key(), stranger.key()];
    let by_id = |key: &SessionKey| key.session;
    returned.sort_by_key(by_id);
    expected.sort_by_key(by_id);
    assert_eq!(returned, expected);
    assert_eq!(ids(&presence, &ann()).await, [known.session_id]);
    assert!(!ok(presence.is_online(&stranger.identity).await));
}
