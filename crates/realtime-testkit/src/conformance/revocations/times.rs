//! Since when something is revoked, and until when.

use std::time::{Duration, SystemTime};

use realtime_core::{
    IdentityKey,
    revocation::{Revocation, Revocations},
};

use super::{ada, all_since, identity, is_revoked, now, ok, revoke, seconds};

/// What was issued at that time or later is believed.
pub async fn what_was_issued_later_is_believed<R: Revocations>(mut handle: impl FnMut() -> R) {
    let store = handle();
    let at = now();
    for revocation in [
        Revocation::identity(ada(), at),
        Revocation::tenant(ada().tenant(), at),
        Revocation::everybody(at),
    ] {
        revoke(&store, &revocation).await;
        let issued = |at| identity(&ada()).with_issued_at(at);
        assert!(is_revoked(&store, &issued(at - seconds(1))).await);
        assert!(!is_revoked(&store, &issued(at)).await);
        assert!(!is_revoked(&store, &issued(at + seconds(1))).await);
    }
}

/// What nobody knows the age of is taken for older.
pub async fn what_nobody_knows_the_age_of_is_revoked<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    let store = handle();
    // Before anything was issued.
    revoke(&store, &Revocation::identity(ada(), SystemTime::UNIX_EPOCH)).await;
    assert!(is_revoked(&store, &identity(&ada())).await);
    let issued = identity(&ada()).with_issued_at(now());
    assert!(!is_revoked(&store, &issued).await);
}

/// Times are kept to the nanosecond: an answer is that of [`Revocation::applies_to`].
pub async fn times_are_kept_to_the_nanosecond<R: Revocations>(mut handle: impl FnMut() -> R) {
    let store = handle();
    let at = SystemTime::UNIX_EPOCH + Duration::new(1_796_000_000, 123_456_789);
    revoke(&store, &Revocation::everybody(at)).await;
    let issued = |at| identity(&ada()).with_issued_at(at);
    assert!(is_revoked(&store, &issued(at - Duration::from_nanos(1))).await);
    assert!(!is_revoked(&store, &issued(at)).await);
    let (told, _) = all_since(&store, 0).await;
    assert_eq!(told, [Revocation::everybody(at)]);
}

/// Of two for the same scope the later `issued_before` holds, whichever came first.
pub async fn of_two_the_later_time_holds<R: Revocations>(mut handle: impl FnMut() -> R) {
    let (here, there) = (handle(), handle());
    let (early, late) = (now() - seconds(60), now());
    let between = early + seconds(30);
    for (id, [first, second]) in [("up", [early, late]), ("down", [late, early])] {
        let key = IdentityKey::new(id);
        revoke(&here, &Revocation::identity(key.clone(), first)).await;
        revoke(&there, &Revocation::identity(key.clone(), second)).await;
        let issued = |at| identity(&key).with_issued_at(at);
        assert!(is_revoked(&here, &issued(between)).await, "{id}");
        assert!(!is_revoked(&here, &issued(late)).await, "{id}");
        let (told, _) = all_since(&here, 0).await;
        let latest = Revocation::identity(key, late);
        assert!(told.contains(&latest), "{id}: {told:?}");
    }
}

/// Of two for the same scope the later `until` holds, whichever came first.
pub async fn of_two_the_later_end_holds<R: Revocations>(mut handle: impl FnMut() -> R) {
    let store = handle();
    let brief = Duration::from_millis(100);
    for (id, ends) in [
        ("up", [brief, seconds(600)]),
        ("down", [seconds(600), brief]),
    ] {
        let revocation = Revocation::token(id);
        for end in ends {
            ok(store.revoke(&revocation, now() + end).await);
        }
    }
    // A thing that must not happen can only be waited for.
    tokio::time::sleep(brief * 3).await;
    for id in ["up", "down"] {
        assert!(
            is_revoked(&store, &identity(&ada()).with_token_id(id)).await,
            "{id}"
        );
    }
}

/// An `until` that has passed is no error, and shortens nothing.
pub async fn an_end_in_the_past_is_no_error_and_shortens_nothing<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    let store = handle();
    let past = [
        now() - seconds(60),
        SystemTime::UNIX_EPOCH,
        SystemTime::UNIX_EPOCH - seconds(60),
    ];
    for until in past {
        ok(store.revoke(&Revocation::token("over"), until).await);
    }
    revoke(&store, &Revocation::token("7")).await;
    for until in past {
        ok(store.revoke(&Revocation::token("7"), until).await);
        assert!(is_revoked(&store, &identity(&ada()).with_token_id("7")).await);
    }
}

/// Times before 1970 and far in the future are kept, and so is what never ends.
pub async fn times_before_1970_and_far_away_are_kept<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    let store = handle();
    let epoch = SystemTime::UNIX_EPOCH;
    let old = epoch - Duration::new(86_400 * 365 * 100, 1);
    let far = epoch + Duration::new(1 << 40, 1);
    for (id, at) in [("old", old), ("far", far)] {
        let key = IdentityKey::new(id);
        ok(store
            .revoke(&Revocation::identity(key.clone(), at), far)
            .await);
        let issued = |at| identity(&key).with_issued_at(at);
        assert!(
            is_revoked(&store, &issued(at - Duration::from_nanos(1))).await,
            "{id}"
        );
        assert!(!is_revoked(&store, &issued(at)).await, "{id}");
        // By itself each time is compared as a time, not as a text.
        assert_eq!(is_revoked(&store, &issued(epoch)).await, id == "far");
    }
    let (told, _) = all_since(&store, 0).await;
    for (id, at) in [("old", old), ("far", far)] {
        assert!(told.contains(&Revocation::identity(IdentityKey::new(id), at)));
    }
}
