//! The suite for [`Roster`].
//!
//! Each test gets a function that makes another handle on one presence store, which no other test
//! uses and which has a roster. Each handle stands for a node.

mod changes;
mod enter;
mod leases;
mod leave;
mod members;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use realtime_core::{
    IdentityKey, Incarnation, NodeId,
    broker::NodeInfo,
    presence::{
        AnyRoster, Change, ChangeKind, Departed, Entered, Group, Member, MemberPage, Presence,
        PresenceError, Prolonged, Roster,
    },
};

use crate::wait::within;

pub use self::{changes::*, enter::*, leases::*, leave::*, members::*};

/// Declares the tests of the suite. See [`conformance`](crate::conformance).
#[macro_export]
macro_rules! roster_suite {
    ($handles:expr) => {
        $crate::roster_suite! { @tests each, roster, $handles, }
    };
    ($name:ident, $server:expr, $handles:expr) => {
        $crate::roster_suite! { @tests together, roster, $name, $server, $handles, }
    };
    (@tests $($how:tt)*) => {
        $crate::__suite! { $($how)*
            who_enters_is_found_at_once_by_every_node
            the_first_to_say_so_gets_the_change
            of_many_at_the_same_time_one_gets_the_change
            who_comes_back_within_the_grace_was_never_gone
            groups_are_kept_apart_whatever_names_hold
            identities_of_different_tenants_are_different_members
            empty_lists_and_repetitions_are_fine
            what_is_said_without_a_lease_stays
            who_has_left_everywhere_is_found_until_the_grace_is_over
            who_is_held_by_another_node_stays
            leaving_where_one_is_not_is_fine
            members_stay_until_the_new_lease_ends
            a_group_of_which_nothing_is_known_is_unknown
            who_is_not_spoken_of_again_has_left
            what_a_node_says_ends_with_its_lease
            a_change_is_handed_out_to_one_caller_at_a_time
            what_is_not_confirmed_is_handed_out_again
            what_is_confirmed_is_not_handed_out_again
            what_was_overtaken_is_not_handed_out
            each_change_of_a_member_has_a_higher_version
            however_many_changes_there_are_they_come
            confirming_twice_or_what_was_overtaken_is_fine
            paging_leads_to_every_member_that_stays_once
            the_count_is_that_of_the_whole_group
            an_unknown_group_has_no_members
            members_come_in_their_order_with_their_versions
            long_lists_over_many_groups_are_fine
            closing_leaves_members
            calls_after_close_fail
        }
    };
}

/// Longer than any test.
const LONG: Option<Duration> = Some(Duration::from_secs(300));
/// Short enough to be waited for, long enough to be seen.
const SHORT: Duration = Duration::from_millis(1_500);
/// None to speak of.
const NO_GRACE: Duration = Duration::from_millis(1);
/// More than any test has at once.
const ALL: usize = 10_000;
/// What a store's clock and a test's may be apart in a short while.
const ROUNDING: Duration = Duration::from_millis(20);
/// For how long is waited for changes: longer than the longest time of the contract.
const DEADLINE: Duration = Duration::from_secs(30);

fn room(name: &str) -> Group {
    #[allow(clippy::expect_used, reason = "a test fails by a panic")]
    Group::Room(name.parse().expect("the name of a room"))
}

fn lobby() -> Group {
    room("lobby")
}

fn identity(name: &str) -> IdentityKey {
    IdentityKey::new(name).with_tenant("acme")
}

/// This one, in the lobby.
fn member(name: &str) -> Member {
    Member::new(lobby(), identity(name))
}

fn crowd(range: std::ops::Range<usize>) -> Vec<Member> {
    range.map(|n| member(&n.to_string())).collect()
}

/// A handle, its roster, and the node that uses it.
struct Node<P> {
    presence: P,
    roster: AnyRoster,
    info: NodeInfo,
}

impl<P: Presence> Node<P> {
    #[allow(clippy::expect_used, reason = "a test fails by a panic")]
    fn new(presence: P) -> Self {
        Self {
            roster: presence.roster().expect("a store that has a roster"),
            presence,
            info: NodeInfo::new(NodeId::random(), Incarnation::random()),
        }
    }

    /// Returns the changes.
    async fn enter(&self, members: &[Member]) -> Vec<Change> {
        self.enter_for(members, LONG).await
    }

    async fn enter_for(&self, members: &[Member], ttl: Option<Duration>) -> Vec<Change> {
        let entered = self.roster.enter(&self.info, members, ttl);
        let Entered {
            changes, failed, ..
        } = ok(within("an entry", entered).await);
        assert!(failed.is_empty(), "{:?}", failed.first());
        for change in &changes {
            assert_eq!(change.kind, ChangeKind::Joined);
            assert!(members.contains(&change.member), "{change:?}");
        }
        changes
    }

    /// Enters those who are not there, and confirms that.
    async fn settle(&self, members: &[Member]) -> Vec<Change> {
        let changes = self.enter(members).await;
        assert_eq!(changes.len(), members.len());
        self.confirm(&changes).await;
        changes
    }

    async fn leave(&self, members: &[Member], grace: Duration) {
        let left = self.roster.leave(&self.info, members, grace);
        let Departed { failed, .. } = ok(within("a leave", left).await);
        assert!(failed.is_empty(), "{:?}", failed.first());
    }

    /// Returns the groups that are unknown.
    async fn renew(&self, groups: &[(Group, u64)], ttl: Option<Duration>) -> Vec<Group> {
        let renewed = self.roster.renew(&self.info, groups, ttl);
        let Prolonged {
            unknown, failed, ..
        } = ok(within("a renewal", renewed).await);
        assert!(failed.is_empty(), "{:?}", failed.first());
        unknown
    }

    async fn changes(&self, limit: usize) -> Vec<Change> {
        let changes = ok(within("changes", self.roster.changes(limit)).await);
        assert!(changes.len() <= limit, "{} of {limit}", changes.len());
        changes
    }

    async fn confirm(&self, changes: &[Change]) {
        ok(within("a confirmation", self.roster.confirm(changes)).await);
    }

    async fn page(&self, group: &Group, after: Option<u64>, limit: usize) -> MemberPage {
        ok(within("members", self.roster.members(group, after, limit)).await)
    }

    /// The members of the group, of whom there are few.
    async fn members(&self, group: &Group) -> Vec<IdentityKey> {
        let page = self.page(group, None, 500).await;
        assert_eq!((page.count, page.after), (page.members.len() as u64, None));
        page.members.into_iter().map(|m| m.identity).collect()
    }

    async fn names(&self) -> Vec<String> {
        let members = self.members(&lobby()).await;
        members.iter().map(|key| key.id().to_owned()).collect()
    }

    /// Asks for changes until all of these have been handed out, and returns what was, in its order.
    async fn until_told(&self, awaited: &[(&str, ChangeKind)]) -> Vec<Change> {
        let mut told = Vec::new();
        let start = Instant::now();
        loop {
            told.extend(self.changes(ALL).await);
            let is_told = |(name, kind): &(&str, ChangeKind)| {
                let is_this = |c: &Change| c.member == member(name) && c.kind == *kind;
                told.iter().any(is_this)
            };
            if awaited.iter().all(is_told) {
                return told;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "{awaited:?} were awaited; got {told:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[allow(clippy::panic, reason = "a test fails by a panic")]
fn ok<T>(result: Result<T, PresenceError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store was expected to answer; got {error:?}"),
    }
}

/// Who came or went, in the order of the versions.
fn said(changes: &[Change]) -> Vec<(&str, ChangeKind)> {
    let mut changes: Vec<_> = changes.iter().collect();
    changes.sort_by_key(|change| change.version);
    let changes = changes.into_iter();
    changes
        .map(|change| (change.member.identity.id(), change.kind))
        .collect()
}

fn versions(changes: &[Change]) -> HashMap<Member, u64> {
    let of = |change: &Change| (change.member.clone(), change.version);
    changes.iter().map(of).collect()
}
