//! The suite for [`Revocations`].
//!
//! Each test gets a function that makes another handle on one store, which no other test uses.

mod calls;
mod names;
mod scopes;
mod since;
mod times;

use std::time::{Duration, SystemTime};

use realtime_core::{
    Identity, IdentityKey,
    revocation::{PAGE, Revocation, RevocationError, Revocations},
};

use crate::wait::within;

pub use self::{calls::*, names::*, scopes::*, since::*, times::*};

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
