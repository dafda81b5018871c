//! The suite for [`Revocations`].
//!
//! Each test gets a function that makes another handle on one store, which no other test uses.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use futures::{FutureExt, future::join_all};
use realtime_core::{
    Identity, IdentityKey,
    revocation::{
        MAX_NAMES, PAGE, Revocation, RevocationError, RevocationErrorKind, RevocationScope,
        Revocations,
    },
};

use crate::wait::within;

/// Declares the tests of the suite. See [`conformance`](crate::conformance).
#[macro_export]
macro_rules! revocations_suite {
    ($handles:expr) => {
        $crate::revocations_suite! { @tests each, revocations, $handles, }
    };
    // At the same time.
    ($name:ident, $server:expr, $handles:expr) => {
        $crate::revocations_suite! { @tests together, revocations, $name, $server, $handles, }
    };
    (@tests $($how:tt)*) => {
        $crate::__suite! { $($how)*
            nobody_is_revoked_at_first
            once_it_has_returned_every_node_says_so
            every_scope_concerns_its_own_and_no_others
            what_was_issued_later_is_believed
            what_nobody_knows_the_age_of_is_revoked
            times_are_kept_to_the_nanosecond
            a_token_is_revoked_whenever_it_was_issued
            of_two_the_later_time_holds
            of_two_the_later_end_holds
            an_end_in_the_past_is_no_error_and_shortens_nothing
            the_same_twice_is_harmless
            revocations_at_the_same_time_all_hold
            names_are_kept_apart_whatever_they_hold
            long_names_are_kept_and_longer_ones_refused
            times_before_1970_and_far_away_are_kept
            all_that_was_revoked_is_told
            what_is_revoked_again_is_told_again
            a_position_leads_on_from_where_it_was
            more_than_a_page_comes_in_pages
            a_position_of_the_future_has_nothing
            calls_that_are_dropped_leave_the_store_whole
        }
    };
}

fn now() -> SystemTime {
    SystemTime::now()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Later than the end of any test.
fn long() -> SystemTime {
    now() + seconds(600)
}

fn ada() -> IdentityKey {
    IdentityKey::new("ada").with_tenant("acme")
}

fn identity(key: &IdentityKey) -> Identity {
    Identity::new(key.id()).with_tenant(key.tenant())
}

#[allow(clippy::panic, reason = "a test fails by a panic")]
fn ok<T>(result: Result<T, RevocationError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store was expected to answer; got {error:?}"),
    }
}

async fn revoke<R: Revocations>(store: &R, revocation: &Revocation) {
    ok(within("a revocation", store.revoke(revocation, long())).await);
}

async fn is_revoked<R: Revocations>(store: &R, identity: &Identity) -> bool {
    ok(within("an answer", store.is_revoked(identity)).await)
}

/// All that is told after a position, page by page, and the position behind it.
async fn all_since<R: Revocations>(store: &R, mut after: u64) -> (Vec<Revocation>, u64) {
    let mut all = Vec::new();
    loop {
        let page = ok(within("a page", store.since(after)).await);
        assert!(page.revocations.len() <= PAGE);
        let (is_last, goes_on) = (!page.more, page.next > after);
        all.extend(page.revocations);
        assert!(is_last || goes_on, "there is more, and no way to it");
        after = page.next;
        if is_last {
            return (all, after);
        }
    }
}

/// Nobody is revoked in a new store, and it has nothing to tell.
pub async fn nobody_is_revoked_at_first<R: Revocations>(mut handle: impl FnMut() -> R) {
    let store = handle();
    for identity in [
        Identity::anonymous(),
        identity(&ada()).with_token_id("7"),
        Identity::new("").with_token_id("").with_issued_at(now()),
    ] {
        assert!(!is_revoked(&store, &identity).await);
    }
    let told = ok(store.since(0).await);
    assert!(told.revocations.is_empty() && !told.more);
}

/// Once it has returned, every node says so.
pub async fn once_it_has_returned_every_node_says_so<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    let (here, there) = (handle(), handle());
    for n in 0..20 {
        let key = IdentityKey::new(n.to_string());
        assert!(!is_revoked(&there, &identity(&key)).await);
        revoke(&here, &Revocation::identity(key.clone(), now())).await;
        assert!(is_revoked(&there, &identity(&key)).await);
        assert!(is_revoked(&here, &identity(&key)).await);
    }
    // On one that is started later, too.
    let later = handle();
    for n in 0..20 {
        let key = IdentityKey::new(n.to_string());
        assert!(is_revoked(&later, &identity(&key)).await);
    }
}

/// A revocation concerns those of its scope, and no others.
pub async fn every_scope_concerns_its_own_and_no_others<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    let store = handle();
    let token = |id: &str, token: &str| Identity::new(id).with_token_id(token);
    revoke(&store, &Revocation::token("7")).await;
    assert!(is_revoked(&store, &token("ada", "7")).await);
    assert!(is_revoked(&store, &token("ann", "7").with_tenant("acme")).await);
    assert!(!is_revoked(&store, &token("ada", "8")).await);
    assert!(!is_revoked(&store, &Identity::new("7")).await);

    revoke(&store, &Revocation::identity(ada(), now())).await;
    assert!(is_revoked(&store, &identity(&ada())).await);
    assert!(is_revoked(&store, &identity(&ada()).with_token_id("9")).await);
    assert!(!is_revoked(&store, &Identity::new("ada")).await);
    assert!(!is_revoked(&store, &Identity::new("ann").with_tenant("acme")).await);

    revoke(&store, &Revocation::tenant("acme", now())).await;
    assert!(is_revoked(&store, &Identity::new("ann").with_tenant("acme")).await);
    assert!(!is_revoked(&store, &Identity::new("ann").with_tenant("acme2")).await);
    assert!(!is_revoked(&store, &Identity::new("acme")).await);

    // The empty tenant is one like others.
    revoke(&store, &Revocation::tenant("", now())).await;
    assert!(is_revoked(&store, &Identity::new("acme")).await);
    assert!(!is_revoked(&store, &Identity::new("ann").with_tenant("acme2")).await);

    revoke(&store, &Revocation::everybody(now())).await;
    assert!(is_revoked(&store, &Identity::new("ann").with_tenant("acme2")).await);
}

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

/// A token is revoked by its id, whenever it was issued.
pub async fn a_token_is_revoked_whenever_it_was_issued<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    let store = handle();
    revoke(&store, &Revocation::token("7")).await;
    for issued in [now() - seconds(1_000), now() + seconds(1_000)] {
        let shown = identity(&ada()).with_token_id("7").with_issued_at(issued);
        assert!(is_revoked(&store, &shown).await);
    }
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

/// The same revocation twice is harmless.
pub async fn the_same_twice_is_harmless<R: Revocations>(mut handle: impl FnMut() -> R) {
    let (here, there) = (handle(), handle());
    let (revocation, until) = (Revocation::identity(ada(), now()), long());
    for store in [&here, &there, &here] {
        ok(store.revoke(&revocation, until).await);
        assert!(is_revoked(store, &identity(&ada())).await);
    }
    let (told, _) = all_since(&there, 0).await;
    assert!(told.iter().all(|told| *told == revocation) && !told.is_empty());
}

/// Revocations at the same time all hold; of those of one scope the latest time does.
pub async fn revocations_at_the_same_time_all_hold<R: Revocations>(mut handle: impl FnMut() -> R) {
    let (tasks, each) = (4, 25);
    let at = now();
    let handles: Vec<R> = (0..tasks).map(|_| handle()).collect();
    let work = handles.into_iter().enumerate().map(|(task, store)| {
        tokio::spawn(async move {
            for n in 0..each {
                revoke(&store, &Revocation::token(format!("{task}:{n}"))).await;
                let later = seconds((task * each + n) as u64);
                revoke(&store, &Revocation::identity(ada(), at + later)).await;
            }
        })
    });
    let done = join_all(work).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    let store = handle();
    for (task, n) in (0..tasks).flat_map(|task| (0..each).map(move |n| (task, n))) {
        let token = Identity::new("ann").with_token_id(format!("{task}:{n}"));
        assert!(is_revoked(&store, &token).await);
    }
    let latest = at + seconds((tasks * each - 1) as u64);
    let issued = |at| identity(&ada()).with_issued_at(at);
    assert!(is_revoked(&store, &issued(latest - seconds(1))).await);
    assert!(!is_revoked(&store, &issued(latest)).await);
    let (told, _) = all_since(&store, 0).await;
    let scopes: HashSet<_> = told.iter().map(|told| told.scope.clone()).collect();
    assert_eq!(scopes.len(), tasks * each + 1);
    assert!(told.contains(&Revocation::identity(ada(), latest)));
}

/// Names are kept apart whatever they hold, and those of one scope from those of another.
pub async fn names_are_kept_apart_whatever_they_hold<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    const PARTS: [&str; 14] = [
        "",
        "a",
        ":",
        "a:",
        ":a",
        "{",
        "}",
        "{}",
        "}{",
        "{a}",
        "\0",
        "a\0",
        "é\u{1F600}",
        " \r\n",
    ];
    let store = handle();
    let key = |tenant: &str, id: &str| IdentityKey::new(id).with_tenant(tenant);
    let all = || PARTS.into_iter().flat_map(|t| PARTS.map(|id| key(t, id)));
    // Every other one.
    let is_chosen = |n: usize| n.is_multiple_of(2);
    let mut revoked = Vec::new();
    for (n, key) in all().enumerate() {
        if is_chosen(n) {
            revoked.push(Revocation::identity(key, now()));
        }
    }
    for (n, name) in PARTS.into_iter().enumerate() {
        if is_chosen(n) {
            revoked.push(Revocation::token(name));
        } else {
            revoked.push(Revocation::token(format!("1:{name}")));
        }
    }
    join_all(revoked.iter().map(|revocation| revoke(&store, revocation))).await;
    for (n, key) in all().enumerate() {
        let found = is_revoked(&store, &identity(&key)).await;
        assert_eq!(found, is_chosen(n), "{key:?}");
    }
    for (n, name) in PARTS.into_iter().enumerate() {
        let shown = Identity::new("nobody").with_tenant("none");
        let found = is_revoked(&store, &shown.with_token_id(name)).await;
        assert_eq!(found, is_chosen(n), "{name:?}");
    }
    let (told, _) = all_since(&store, 0).await;
    assert_eq!(told.len(), revoked.len());
    assert!(revoked.iter().all(|revocation| told.contains(revocation)));
}

/// Names of [`MAX_NAMES`] bytes are kept, and what is longer is refused, with kind `TooLarge`.
pub async fn long_names_are_kept_and_longer_ones_refused<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    let store = handle();
    for length in [1_000, 1_024, 1_025, MAX_NAMES] {
        let long = "é".repeat(length / 2) + &"x".repeat(length % 2);
        revoke(&store, &Revocation::token(&*long)).await;
        let shown = identity(&ada()).with_token_id(&*long);
        assert!(is_revoked(&store, &shown).await, "{length}");
        let another = long.replacen('é', "e\u{1}", 1);
        let shown = identity(&ada()).with_token_id(another);
        assert!(!is_revoked(&store, &shown).await, "{length}");
    }
    let half = "a".repeat(IdentityKey::MAX_BYTES / 2);
    let key = IdentityKey::new(&half).with_tenant(&half);
    assert!(!key.is_too_long());
    revoke(&store, &Revocation::identity(key.clone(), now())).await;
    assert!(is_revoked(&store, &identity(&key)).await);
    let (told, _) = all_since(&store, 0).await;
    assert_eq!(told.len(), 5);

    let longer = "x".repeat(MAX_NAMES + 1);
    for revocation in [
        Revocation::token(&*longer),
        Revocation::tenant(&*longer, now()),
        Revocation::identity(IdentityKey::new(&longer[1..]).with_tenant("x"), now()),
    ] {
        let refused = store.revoke(&revocation, long()).await;
        let kind = refused.as_ref().map_err(RevocationError::kind);
        assert_eq!(kind, Err(RevocationErrorKind::TooLarge), "{refused:?}");
    }
    // What can't be revoked isn't.
    let shown = Identity::new(&longer).with_tenant(&longer);
    assert!(!is_revoked(&store, &shown.with_token_id(&*longer)).await);
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

/// All that was revoked is told, whatever its scope.
pub async fn all_that_was_revoked_is_told<R: Revocations>(mut handle: impl FnMut() -> R) {
    let (here, there) = (handle(), handle());
    let revoked = [
        Revocation::everybody(now() - seconds(9)),
        Revocation::tenant("acme", now()),
        Revocation::identity(ada(), now() + seconds(9)),
        Revocation::token("7"),
    ];
    for revocation in &revoked {
        revoke(&here, revocation).await;
    }
    let (told, _) = all_since(&there, 0).await;
    assert_eq!(told.len(), revoked.len());
    for told in told {
        let scope_of = |revocation: &&Revocation| revocation.scope == told.scope;
        let revocation = revoked.iter().find(scope_of);
        assert!(revocation.is_some(), "{told:?} was never revoked");
        if !matches!(told.scope, RevocationScope::Token(_)) {
            assert_eq!(revocation, Some(&told));
        }
    }
}

/// What is revoked again, for more, is told again to those who are further.
pub async fn what_is_revoked_again_is_told_again<R: Revocations>(mut handle: impl FnMut() -> R) {
    let store = handle();
    let at = now();
    revoke(&store, &Revocation::identity(ada(), at)).await;
    let (_, after) = all_since(&store, 0).await;
    let more = Revocation::identity(ada(), at + seconds(1));
    revoke(&store, &more).await;
    let (told, _) = all_since(&store, after).await;
    assert_eq!(told, [more]);
}

/// A position leads on from where it was: nothing is told twice for nothing, and nothing left out.
pub async fn a_position_leads_on_from_where_it_was<R: Revocations>(mut handle: impl FnMut() -> R) {
    let (here, there) = (handle(), handle());
    let mut after = 0;
    for n in 0..20 {
        let revocation = Revocation::identity(IdentityKey::new(n.to_string()), now());
        revoke(&here, &revocation).await;
        let (told, next) = all_since(&there, after).await;
        assert_eq!(told, [revocation]);
        assert!(next > after);
        after = next;
        let (told, next) = all_since(&here, after).await;
        assert_eq!((told, next), (Vec::new(), after));
    }
    let (told, next) = all_since(&here, 0).await;
    assert_eq!((told.len(), next), (20, after));
}

/// More than [`PAGE`] comes in pages, each at least once.
pub async fn more_than_a_page_comes_in_pages<R: Revocations>(mut handle: impl FnMut() -> R) {
    let store = handle();
    let count = 2 * PAGE + 1;
    let names: Vec<_> = (0..count)
        .map(|n| Revocation::token(n.to_string()))
        .collect();
    for some in names.chunks(250) {
        join_all(some.iter().map(|revocation| revoke(&store, revocation))).await;
    }
    let first = ok(store.since(0).await);
    assert_eq!((first.revocations.len(), first.more), (PAGE, true));
    let (told, _) = all_since(&store, 0).await;
    let scopes: HashSet<_> = told.into_iter().map(|told| told.scope).collect();
    assert_eq!(scopes.len(), count);
    // A last page that is full says that it is the last.
    let second = ok(store.since(first.next).await);
    assert_eq!((second.revocations.len(), second.more), (PAGE, true));
    let third = ok(store.since(second.next).await);
    assert_eq!((third.revocations.len(), third.more), (1, false));
}

/// After a position that nobody has reached there is nothing, and that isn't an error.
pub async fn a_position_of_the_future_has_nothing<R: Revocations>(mut handle: impl FnMut() -> R) {
    let store = handle();
    revoke(&store, &Revocation::identity(ada(), now())).await;
    let told = ok(store.since(u64::MAX).await);
    assert!(told.revocations.is_empty() && !told.more);
    let told = ok(store.since(u64::MAX - 1).await);
    assert!(told.revocations.is_empty() && !told.more);
}

/// A call that is dropped has happened or not; the store is whole, and to call again is harmless.
pub async fn calls_that_are_dropped_leave_the_store_whole<R: Revocations>(
    mut handle: impl FnMut() -> R,
) {
    let store = handle();
    for n in 0..50 {
        let revocation = Revocation::identity(IdentityKey::new(n.to_string()), now());
        let until = long();
        for _ in 0..n % 5 {
            // Begun, and given up.
            let _begun = Box::pin(store.revoke(&revocation, until)).now_or_never();
            let _begun = Box::pin(store.since(0)).now_or_never();
        }
        ok(store.revoke(&revocation, until).await);
        assert!(is_revoked(&store, &identity(&IdentityKey::new(n.to_string()))).await);
    }
    let (told, _) = all_since(&store, 0).await;
    let scopes: HashSet<_> = told.into_iter().map(|told| told.scope).collect();
    assert_eq!(scopes.len(), 50);
}
