//! The suite for what a [`Roster`] does where a single group fails.
//!
//! Not every store can be brought to that. For one that can, each test gets a function that makes
//! another handle on one presence store, which no other test uses, and an async function that does a
//! [`Damage`] to what lies in the store.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use realtime_core::{
    IdentityKey, Incarnation, NodeId,
    broker::NodeInfo,
    presence::{
        AnyRoster, Change, ChangeKind, Failure, Group, Member, Presence, PresenceError,
        PresenceErrorKind, Roster,
    },
};

/// Declares the tests of the suite. The expression makes, for each test anew, a function that makes
/// handles on one store, and an async closure that does a
/// [`Damage`](crate::conformance::roster_faults::Damage) to it; it may `await`.
///
/// ```no_run
/// use realtime::presence::MemoryPresence;
/// use realtime_testkit::conformance::roster_faults::Damage;
///
/// realtime_testkit::roster_faults_suite!({
///     let store = MemoryPresence::new(); // your store, on a server that the test can spoil
///     let handle = move || store.clone();
///     let damage = async |damage: Damage| match damage {
///         Damage::Group(_group) => {} // put something else where its members belong
///         _ => {}
///     };
///     (handle, damage)
/// });
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! roster_faults_suite {
    ($make:expr) => {
        $crate::__suite! { each, roster_faults, $make,
            a_member_that_cannot_be_entered_is_named_and_the_others_are_entered
            a_member_that_cannot_leave_is_named_and_the_others_leave
            a_group_that_cannot_be_renewed_is_named_and_the_others_are_renewed
            changes_of_other_groups_are_handed_out
            questions_about_a_damaged_group_fail
        }
    };
}

/// What a test has done to the store, behind its back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// Something else lies where the members of this group belong, so that every call about it fails
    /// until that is taken away.
    Group(Group),
}

const LONG: Option<Duration> = Some(Duration::from_secs(300));
const NO_GRACE: Duration = Duration::from_millis(1);
const DEADLINE: Duration = Duration::from_secs(30);
const GROUPS: usize = 100;

fn group(n: usize) -> Group {
    Group::Tenant(format!("{n}").into())
}

/// Three in each group; those of a group are next to each other.
fn members() -> Vec<Member> {
    let of = |n: usize| {
        let who = ["ann", "bob", "eve"].into_iter();
        who.map(move |who| Member::new(group(n), IdentityKey::new(who)))
    };
    (0..GROUPS).flat_map(of).collect()
}

/// The members of the damaged group.
const DAMAGED: std::ops::Range<usize> = 21..24;

fn damaged() -> Damage {
    Damage::Group(group(7))
}

fn roster<P: Presence>(presence: &P) -> AnyRoster {
    #[allow(clippy::expect_used, reason = "a test fails by a panic")]
    presence.roster().expect("a store that has a roster")
}

fn node() -> NodeInfo {
    NodeInfo::new(NodeId::random(), Incarnation::random())
}

#[allow(clippy::panic, reason = "a test fails by a panic")]
fn ok<T>(result: Result<T, PresenceError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store was expected to answer; got {error:?}"),
    }
}

/// These have failed, and no others, each because of what lies there.
fn only<K: std::fmt::Debug + PartialEq>(failed: &[Failure<K>], expected: &[K]) {
    let keys = failed.iter().map(|failure| &failure.key);
    assert!(keys.eq(expected), "{failed:?}");
    for failure in failed {
        let error = &failure.error;
        assert_eq!(error.kind(), PresenceErrorKind::Corrupt, "{failure:?}");
        assert!(!error.is_transient());
    }
}

async fn enter(roster: &AnyRoster, node: &NodeInfo, members: &[Member]) {
    let entered = ok(roster.enter(node, members, LONG).await);
    assert!(entered.failed.is_empty(), "{:?}", entered.failed.first());
    ok(roster.confirm(&entered.changes).await);
}

/// Waits until so many changes are handed out.
async fn told(roster: &AnyRoster, count: usize) -> Vec<Change> {
    let (mut told, start) = (Vec::new(), Instant::now());
    while told.len() < count {
        let missing = count - told.len();
        assert!(start.elapsed() < DEADLINE, "{missing} changes are missing");
        told.extend(ok(roster.changes(50).await));
    }
    told
}

/// A member that can't be entered is named, with the reason; the others are entered.
pub async fn a_member_that_cannot_be_entered_is_named_and_the_others_are_entered<P: Presence>(
    (mut handle, damage): (impl FnMut() -> P, impl AsyncFn(Damage)),
) {
    let (presence, node, members) = (handle(), node(), members());
    let roster = roster(&presence);
    damage(damaged()).await;
    let entered = ok(roster.enter(&node, &members, LONG).await);
    only(&entered.failed, &members[DAMAGED]);
    let came: HashSet<_> = entered.changes.iter().map(|c| &c.member).collect();
    let others = members.iter().filter(|m| m.group != group(7));
    assert_eq!(came, others.collect());
    assert_eq!(ok(roster.members(&group(8), None, 10).await).count, 3);
    // Alone it is a failure of the member, too, and not of the call.
    let alone = ok(roster.enter(&node, &members[21..22], LONG).await);
    only(&alone.failed, &members[21..22]);
}

/// A member for whom leaving fails is named, with the reason; the others leave.
pub async fn a_member_that_cannot_leave_is_named_and_the_others_leave<P: Presence>(
    (mut handle, damage): (impl FnMut() -> P, impl AsyncFn(Damage)),
) {
    let (presence, node, members) = (handle(), node(), members());
    let roster = roster(&presence);
    enter(&roster, &node, &members).await;
    damage(damaged()).await;
    let left = ok(roster.leave(&node, &members, NO_GRACE).await);
    only(&left.failed, &members[DAMAGED]);
    let told = told(&roster, members.len() - DAMAGED.len()).await;
    assert!(told.iter().all(|change| change.kind == ChangeKind::Left));
    assert!(told.iter().all(|change| change.member.group != group(7)));
}

/// A group that can't be renewed is named, with the reason; the others are renewed.
pub async fn a_group_that_cannot_be_renewed_is_named_and_the_others_are_renewed<P: Presence>(
    (mut handle, damage): (impl FnMut() -> P, impl AsyncFn(Damage)),
) {
    let (presence, node, members) = (handle(), node(), members());
    let roster = roster(&presence);
    enter(&roster, &node, &members).await;
    damage(damaged()).await;
    let counts: Vec<_> = (0..GROUPS).map(|n| (group(n), 3)).collect();
    let renewed = ok(roster.renew(&node, &counts, Some(NO_GRACE)).await);
    only(&renewed.failed, &[group(7)]);
    assert_eq!(renewed.unknown, []);
    // To so short a time that it is seen.
    let told = told(&roster, members.len() - DAMAGED.len()).await;
    assert!(told.iter().all(|change| change.member.group != group(7)));
}

/// Changes of the other groups are handed out, and confirmed, also where some of a damaged one were
/// to be.
pub async fn changes_of_other_groups_are_handed_out<P: Presence>(
    (mut handle, damage): (impl FnMut() -> P, impl AsyncFn(Damage)),
) {
    let (presence, node, members) = (handle(), node(), members());
    let roster = roster(&presence);
    let entered = ok(roster.enter(&node, &members, LONG).await);
    assert!(
        ok(roster.leave(&node, &members, NO_GRACE).await)
            .failed
            .is_empty()
    );
    damage(damaged()).await;
    let others = told(&roster, members.len() - DAMAGED.len()).await;
    let distinct: HashSet<_> = others.iter().map(|change| &change.member).collect();
    assert_eq!(distinct.len(), others.len());
    let is_damaged = |change: &&Change| change.member.group == group(7);
    assert_eq!(others.iter().find(is_damaged), None);
    ok(roster.confirm(&others).await);
    // Of those who came it isn't known, where they are in the damaged one.
    let _confirmed = roster.confirm(&entered.changes).await;
    let again = ok(roster.changes(50).await);
    assert_eq!(again, []);
}

/// Questions about a group fail where something else lies in the place of its members, with kind
/// `Corrupt`: it is neither empty nor not.
pub async fn questions_about_a_damaged_group_fail<P: Presence>(
    (mut handle, damage): (impl FnMut() -> P, impl AsyncFn(Damage)),
) {
    let presence = handle();
    let roster = roster(&presence);
    damage(damaged()).await;
    let error = roster.members(&group(7), None, 10).await.err();
    let kind = error.map(|error| error.kind());
    assert_eq!(kind, Some(PresenceErrorKind::Corrupt));
    assert_eq!(ok(roster.members(&group(8), None, 10).await).count, 0);
}
