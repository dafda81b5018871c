//! The suite for [`Roster`].
//!
//! Each test gets a function that makes another handle on one presence store, which no other test
//! uses and which has a roster. Each handle stands for a node.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use futures::future::join_all;
use realtime_core::{
    IdentityKey, Incarnation, NodeId,
    broker::NodeInfo,
    presence::{
        AnyRoster, CLAIM, Change, ChangeKind, Departed, Entered, Group, Member, MemberPage,
        Presence, PresenceError, PresenceErrorKind, Prolonged, Roster, SPEAK_AGAIN,
    },
};

use ChangeKind::{Joined, Left};

use crate::wait::within;

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

/// Who enters is found at once, by every node.
pub async fn who_enters_is_found_at_once_by_every_node<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    let changes = here.enter(&[member("ann")]).await;
    assert_eq!(said(&changes), [("ann", Joined)]);
    for node in [&here, &there] {
        assert_eq!(node.names().await, ["ann"]);
    }
}

/// The first to say so of an identity gets the change; who says it again, on this node or another,
/// gets none.
pub async fn the_first_to_say_so_gets_the_change<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    let both = [member("ann"), member("bob")];
    assert_eq!(said(&here.enter(&both[..1]).await), [("ann", Joined)]);
    assert_eq!(here.enter(&both[..1]).await, []);
    assert_eq!(said(&there.enter(&both).await), [("bob", Joined)]);
    assert_eq!(there.enter(&both).await, []);
    assert_eq!(here.enter(&both).await, []);
    assert_eq!(here.names().await, ["ann", "bob"]);
}

/// Of many who say so at the same time, one gets the change.
pub async fn of_many_at_the_same_time_one_gets_the_change<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let nodes: Vec<_> = (0..8).map(|_| Node::new(handle())).collect();
    let members = crowd(0..300);
    let entries = nodes.iter().map(|node| node.enter(&members));
    let changes: Vec<_> = join_all(entries).await.into_iter().flatten().collect();
    assert_eq!(changes.len(), members.len());
    let told: HashSet<_> = changes.iter().map(|change| &change.member).collect();
    assert_eq!(told, members.iter().collect());
}

/// Who comes back within the grace was never gone: there is no change.
pub async fn who_comes_back_within_the_grace_was_never_gone<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    let grace = Duration::from_secs(3);
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| [member(name)]);
    let came = here.settle(&[&ann[..], &bob, &eve].concat()).await;
    here.leave(&ann, grace).await;
    here.leave(&eve, grace).await;
    assert_eq!(there.changes(ALL).await, []);
    // To the same node, and to another one.
    assert_eq!(here.enter(&ann).await, []);
    assert_eq!(there.enter(&eve).await, []);
    here.leave(&bob, grace).await;
    let told = here.until_told(&[("bob", Left)]).await;
    assert_eq!(said(&told), [("bob", Left)]);
    let page = here.page(&lobby(), None, 10).await;
    let version = |name: &str| versions(&came).get(&member(name)).copied();
    for present in &page.members {
        assert_eq!(Some(present.version), version(present.identity.id()));
    }
    assert_eq!(page.count, 2);
}

/// Groups are kept apart: rooms from tenants of the same name, and whatever names hold.
pub async fn groups_are_kept_apart_whatever_names_hold<P: Presence>(mut handle: impl FnMut() -> P) {
    let node = Node::new(handle());
    let names = [
        "a", "b", "a:b", "a|b", "r:a", "t:a", "1:a", "{a}", "{a", "}", "*", "a~", "here:a", "on:a",
        "groups", "version", "ä\u{1}", "\n", " ",
    ];
    let room = |name: &str| name.parse().ok().map(Group::Room);
    let rooms = names.iter().filter_map(|name| room(name));
    let tenants = names.iter().chain(&["", "\0"]);
    let tenants = tenants.map(|name| Group::Tenant((*name).into()));
    let groups: Vec<_> = rooms.chain(tenants).collect();
    let members: Vec<_> = (0..)
        .zip(&groups)
        .map(|(n, group)| Member::new(group.clone(), identity(&format!("{n}"))))
        .collect();
    assert_eq!(node.enter(&members).await.len(), members.len());
    for member in &members {
        let found = node.members(&member.group).await;
        let expected = std::slice::from_ref(&member.identity);
        assert_eq!(found, expected, "{}", member.group);
    }
    let counts: Vec<_> = groups.iter().map(|group| (group.clone(), 1)).collect();
    assert_eq!(node.renew(&counts, LONG).await, []);
}

/// Identities of different tenants are different members of a room.
pub async fn identities_of_different_tenants_are_different_members<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let node = Node::new(handle());
    let pairs = [
        ("a|b", "c"),
        ("a", "b|c"),
        ("a:b", "c"),
        ("a", "b:c"),
        ("", "a"),
        ("a", ""),
        ("", ""),
        ("1:a", "b"),
        ("1", "a:b"),
        ("ä\0", "\n"),
    ];
    let of = |(tenant, id): &(&str, &str)| IdentityKey::new(*id).with_tenant(*tenant);
    let identities: Vec<_> = pairs.iter().map(of).collect();
    let member = |identity: &IdentityKey| Member::new(lobby(), identity.clone());
    let members: Vec<_> = identities.iter().map(member).collect();
    assert_eq!(node.settle(&members).await.len(), pairs.len());
    assert_eq!(node.members(&lobby()).await, identities);
    node.leave(&members[..1], NO_GRACE).await;
    let mut left = Vec::new();
    let start = Instant::now();
    while left.is_empty() {
        assert!(start.elapsed() < DEADLINE, "a leave was awaited");
        left = node.changes(ALL).await;
    }
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].member, members[0]);
    assert_eq!(node.members(&lobby()).await, identities[1..]);
}

/// An empty list is fine, and so is one that names a member twice.
pub async fn empty_lists_and_repetitions_are_fine<P: Presence>(mut handle: impl FnMut() -> P) {
    let node = Node::new(handle());
    assert_eq!(node.enter(&[]).await, []);
    node.leave(&[], NO_GRACE).await;
    assert_eq!(node.renew(&[], LONG).await, []);
    node.confirm(&[]).await;
    assert_eq!(node.changes(ALL).await, []);
    let thrice = [member("ann"), member("bob"), member("ann"), member("ann")];
    let changes = node.enter(&thrice).await;
    assert_eq!(said(&changes), [("ann", Joined), ("bob", Joined)]);
    assert_eq!(node.names().await, ["ann", "bob"]);
    assert_eq!(node.renew(&[(lobby(), 2), (lobby(), 2)], LONG).await, []);
    let twice = [changes[0].clone(), changes[1].clone(), changes[0].clone()];
    node.confirm(&twice).await;
    node.leave(&thrice, NO_GRACE).await;
    let told = node.until_told(&[("ann", Left), ("bob", Left)]).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(node.changes(0).await, []);
    assert_eq!(node.page(&lobby(), None, 0).await, MemberPage::default());
}

/// What is said without a lease lasts until the node says otherwise.
pub async fn what_is_said_without_a_lease_stays<P: Presence>(mut handle: impl FnMut() -> P) {
    let (stays, ends) = (Node::new(handle()), Node::new(handle()));
    let for_ever = stays.enter_for(&[member("ann")], None).await;
    stays.confirm(&for_ever).await;
    let leased = ends.enter_for(&[member("bob")], Some(SHORT)).await;
    ends.confirm(&leased).await;
    let told = stays.until_told(&[("bob", Left)]).await;
    assert_eq!(said(&told), [("bob", Left)]);
    assert_eq!(stays.names().await, ["ann"]);
    assert_eq!(stays.renew(&[(lobby(), 1)], None).await, []);
    // It is a lease again once the node says so.
    assert_eq!(stays.renew(&[(lobby(), 1)], Some(SHORT)).await, []);
    let told = ends.until_told(&[("ann", Left)]).await;
    assert_eq!(said(&told).last(), Some(&("ann", Left)));
}

/// Who has left everywhere is found until the grace is over; then they are gone, and `changes` tells
/// of it.
pub async fn who_has_left_everywhere_is_found_until_the_grace_is_over<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    here.settle(&[member("ann")]).await;
    let start = Instant::now();
    here.leave(&[member("ann")], SHORT).await;
    assert_eq!(there.names().await, ["ann"]);
    let told = async {
        let told = there.until_told(&[("ann", Left)]).await;
        (told, start.elapsed())
    };
    // One that says so again gets no longer grace by that.
    let again = async {
        loop {
            tokio::time::sleep(SHORT / 10).await;
            here.leave(&[member("ann")], SHORT).await;
        }
    };
    let (told, took) = tokio::select! {
        told = told => told,
        () = again => return,
    };
    assert!(took >= SHORT - ROUNDING, "it took {took:?}");
    assert_eq!(said(&told), [("ann", Left)]);
    for node in [&here, &there] {
        assert_eq!(node.page(&lobby(), None, 10).await, MemberPage::default());
    }
}

/// Who is held by another node stays, and there is no change.
pub async fn who_is_held_by_another_node_stays<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    let both = [member("ann"), member("bob")];
    here.settle(&both).await;
    assert_eq!(there.enter(&both[..1]).await, []);
    here.leave(&both, NO_GRACE).await;
    let told = here.until_told(&[("bob", Left)]).await;
    assert_eq!(said(&told), [("bob", Left)]);
    here.confirm(&told).await;
    assert_eq!(here.names().await, ["ann"]);
    there.leave(&both[..1], NO_GRACE).await;
    let told = here.until_told(&[("ann", Left)]).await;
    assert_eq!(said(&told), [("ann", Left)]);
}

/// Leaving where one isn't is fine.
pub async fn leaving_where_one_is_not_is_fine<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    let both = [member("ann"), member("bob")];
    here.leave(&both, NO_GRACE).await;
    here.settle(&both).await;
    there.leave(&both[..1], NO_GRACE).await;
    here.leave(&both[1..], NO_GRACE).await;
    here.leave(&both[1..], NO_GRACE).await;
    let told = here.until_told(&[("bob", Left)]).await;
    assert_eq!(said(&told), [("bob", Left)]);
    here.confirm(&told).await;
    here.leave(&both[1..], NO_GRACE).await;
    assert_eq!(here.changes(ALL).await, []);
    assert_eq!(here.names().await, ["ann"]);
    assert_eq!(here.renew(&[(lobby(), 1)], LONG).await, []);
}

/// The members that the node holds stay until the new lease ends.
pub async fn members_stay_until_the_new_lease_ends<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    let ann = member("ann");
    let elsewhere = Member::new(room("hall"), identity("ann"));
    let changes = [ann.clone(), elsewhere.clone()];
    let changes = here.enter_for(&changes, Some(SHORT)).await;
    here.confirm(&changes).await;
    assert_eq!(here.renew(&[(lobby(), 1)], LONG).await, []);
    let start = Instant::now();
    let told = loop {
        let told = there.changes(ALL).await;
        if !told.is_empty() {
            break told;
        }
        assert!(start.elapsed() < DEADLINE, "the lease was to end");
    };
    assert_eq!((told.len(), &told[0].member), (1, &elsewhere));
    there.confirm(&told).await;
    assert_eq!(there.names().await, ["ann"]);
    // It is as long as was said last, also where that is shorter.
    let start = Instant::now();
    assert_eq!(here.renew(&[(lobby(), 1)], Some(SHORT)).await, []);
    assert_eq!(there.names().await, ["ann"]);
    let told = there.until_told(&[("ann", Left)]).await;
    assert!(start.elapsed() >= SHORT - ROUNDING);
    assert_eq!(said(&told), [("ann", Left)]);
}

/// A group of which the store knows nothing from this node is unknown.
pub async fn a_group_of_which_nothing_is_known_is_unknown<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    here.settle(&[member("ann")]).await;
    let both = [(lobby(), 1), (room("hall"), 1)];
    assert_eq!(here.renew(&both, LONG).await, [room("hall")]);
    let unknown: HashSet<_> = there.renew(&both, LONG).await.into_iter().collect();
    assert_eq!(unknown, HashSet::from([lobby(), room("hall")]));
    // A node that was started again is another one.
    let mut again = Node::new(handle());
    again.info = NodeInfo::new(here.info.id.clone(), Incarnation::random());
    assert_eq!(again.renew(&both[..1], LONG).await, [lobby()]);
    // It isn't added by that.
    assert_eq!(here.page(&room("hall"), None, 10).await.count, 0);
    assert_eq!(here.renew(&both[..1], LONG).await, []);
    // One whose last member has left is unknown, too.
    assert_eq!(there.enter(&[member("ann")]).await, []);
    there.leave(&[member("ann")], NO_GRACE).await;
    assert_eq!(there.renew(&both[..1], LONG).await, [lobby()]);
}

/// A group of which the store knows another number of members of this node is unknown, too; those of
/// whom the node doesn't speak again within `SPEAK_AGAIN` have then left.
pub async fn who_is_not_spoken_of_again_has_left<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    here.settle(&[member("ann"), member("bob"), member("zoe")])
        .await;
    assert_eq!(there.enter(&[member("zoe")]).await, []);
    let hall = Member::new(room("hall"), identity("ann"));
    here.settle(std::slice::from_ref(&hall)).await;
    let start = Instant::now();
    // It says one less than there are, and of the other group one more.
    let counts = [(lobby(), 2), (room("hall"), 2)];
    let unknown: HashSet<_> = here.renew(&counts, LONG).await.into_iter().collect();
    assert_eq!(unknown, HashSet::from([lobby(), room("hall")]));
    assert_eq!(there.names().await, ["ann", "bob", "zoe"]);
    // They were never gone.
    assert_eq!(here.enter(&[member("ann"), hall.clone()]).await, []);
    let only = [(lobby(), 1), (room("hall"), 1)];
    assert_eq!(here.renew(&only, LONG).await, []);
    let told = there.until_told(&[("bob", Left)]).await;
    assert!(start.elapsed() >= SPEAK_AGAIN - ROUNDING);
    assert_eq!(said(&told), [("bob", Left)]);
    assert_eq!(there.names().await, ["ann", "zoe"]);
    assert_eq!(here.renew(&only, LONG).await, []);
}

/// What a node says of a group ends with its lease: who was held by no other node is gone at once,
/// and `changes` tells of it.
pub async fn what_a_node_says_ends_with_its_lease<P: Presence>(mut handle: impl FnMut() -> P) {
    let (dies, lives) = (Node::new(handle()), Node::new(handle()));
    let both = [member("ann"), member("bob")];
    let start = Instant::now();
    let changes = dies.enter_for(&both, Some(SHORT)).await;
    dies.confirm(&changes).await;
    assert_eq!(lives.enter(&both[1..]).await, []);
    assert_eq!(lives.names().await, ["ann", "bob"]);
    let told = lives.until_told(&[("ann", Left)]).await;
    assert!(start.elapsed() >= SHORT - ROUNDING);
    assert_eq!(said(&told), [("ann", Left)]);
    assert_eq!(lives.names().await, ["bob"]);
    // What it says of it afterwards is said anew.
    assert_eq!(dies.renew(&[(lobby(), 2)], LONG).await, [lobby()]);
    assert_eq!(said(&dies.enter(&both).await), [("ann", Joined)]);
    assert_eq!(dies.renew(&[(lobby(), 2)], LONG).await, []);
}

/// A change is handed out to one caller at a time.
pub async fn a_change_is_handed_out_to_one_caller_at_a_time<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let nodes: Vec<_> = (0..4).map(|_| Node::new(handle())).collect();
    let members = crowd(0..300);
    nodes[0].settle(&members).await;
    nodes[0].leave(&members, NO_GRACE).await;
    let told = std::sync::Mutex::new(Vec::new());
    let count = || told.lock().map_or(0, |told| told.len());
    let ask = async |node: &Node<P>| {
        let start = Instant::now();
        while count() < members.len() {
            assert!(start.elapsed() < DEADLINE, "{} were told", count());
            let changes = node.changes(20).await;
            node.confirm(&changes).await;
            if let Ok(mut told) = told.lock() {
                told.extend(changes);
            }
        }
    };
    join_all(nodes.iter().map(ask)).await;
    let told = told.into_inner().unwrap_or_default();
    let distinct: HashSet<_> = told.iter().map(|change| &change.member).collect();
    assert_eq!((distinct.len(), told.len()), (300, 300));
    assert!(told.iter().all(|change| change.kind == Left));
}

/// One that isn't confirmed is handed out again after `CLAIM`, with the same version.
pub async fn what_is_not_confirmed_is_handed_out_again<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    here.settle(&[member("bob")]).await;
    let start = Instant::now();
    let mut first = here.enter(&[member("ann")]).await;
    here.leave(&[member("bob")], NO_GRACE).await;
    first.extend(here.until_told(&[("bob", Left)]).await);
    assert_eq!(said(&first), [("ann", Joined), ("bob", Left)]);
    let again = there.until_told(&[("ann", Joined), ("bob", Left)]).await;
    assert!(start.elapsed() >= CLAIM - ROUNDING);
    assert_eq!(said(&again), [("ann", Joined), ("bob", Left)]);
    assert_eq!(versions(&again), versions(&first));
}

/// One that is confirmed is not handed out any more.
pub async fn what_is_confirmed_is_not_handed_out_again<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    here.settle(&[member("ann"), member("bob")]).await;
    here.leave(&[member("bob")], NO_GRACE).await;
    let told = here.until_told(&[("bob", Left)]).await;
    there.confirm(&told).await;
    // The one that isn't shows that it is time.
    here.enter(&[member("eve")]).await;
    let told = there.until_told(&[("eve", Joined)]).await;
    assert_eq!(said(&told), [("eve", Joined)]);
}

/// One that another change of the member has overtaken isn't handed out any more.
pub async fn what_was_overtaken_is_not_handed_out<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    let both = [member("ann"), member("bob")];
    assert_eq!(here.enter(&both).await.len(), 2);
    here.leave(&both, NO_GRACE).await;
    let told = here.until_told(&[("ann", Left), ("bob", Left)]).await;
    assert_eq!(told.len(), 2, "{told:?}");
    // One of them comes back.
    let back = here.enter(&both[..1]).await;
    assert_eq!(said(&back), [("ann", Joined)]);
    let again = there.until_told(&[("ann", Joined), ("bob", Left)]).await;
    assert_eq!(again.len(), 2, "{again:?}");
    let mut expected = versions(&told);
    expected.extend(versions(&back));
    assert_eq!(versions(&again), expected);
}

/// Each change of a member has a higher version than the one before.
pub async fn each_change_of_a_member_has_a_higher_version<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    let mut changes = Vec::new();
    for n in 0..10 {
        let node = if n % 2 == 0 { &here } else { &there };
        let came = node.enter(&[member("ann")]).await;
        node.confirm(&came).await;
        node.leave(&[member("ann")], NO_GRACE).await;
        let left = there.until_told(&[("ann", Left)]).await;
        there.confirm(&left).await;
        changes.extend(came.into_iter().chain(left));
    }
    let kinds: Vec<_> = changes.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [Joined, Left].repeat(10));
    let versions = changes.iter().map(|change| change.version);
    assert!(versions.is_sorted_by(|a, b| a < b), "{changes:?}");
}

/// However many changes there are, they come with the calls that follow.
pub async fn however_many_changes_there_are_they_come<P: Presence>(mut handle: impl FnMut() -> P) {
    let (dies, lives) = (Node::new(handle()), Node::new(handle()));
    let mut members = crowd(0..2_000);
    // In one large group and many small ones.
    let small = |n: usize| Member::new(room(&format!("{}", n % 100)), identity(&n.to_string()));
    members.extend((0..500).map(small));
    let changes = dies.enter_for(&members, Some(SHORT)).await;
    dies.confirm(&changes).await;
    let (mut left, start) = (HashSet::new(), Instant::now());
    while left.len() < members.len() {
        assert!(start.elapsed() < DEADLINE, "{} have left", left.len());
        let changes = lives.changes(150).await;
        lives.confirm(&changes).await;
        for change in changes {
            assert_eq!(change.kind, Left);
            assert!(left.insert(change.member), "each is told once");
        }
    }
    assert_eq!(lives.changes(150).await, []);
    assert_eq!(lives.names().await, [""; 0]);
}

/// To confirm one twice, or one that was overtaken, is fine.
pub async fn confirming_twice_or_what_was_overtaken_is_fine<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    let first = here.enter(&[member("ann")]).await;
    here.leave(&[member("ann")], NO_GRACE).await;
    let left = here.until_told(&[("ann", Left)]).await;
    let back = here.enter(&[member("ann")]).await;
    for _ in 0..2 {
        here.confirm(&first).await;
        there.confirm(&left).await;
    }
    // What overtook them is still nobody's.
    let again = there.until_told(&[("ann", Joined)]).await;
    assert_eq!(again, back);
    for _ in 0..2 {
        here.confirm(&again).await;
    }
    assert_eq!(here.names().await, ["ann"]);
}

/// Paging on leads to every member that stays, each once, and ends.
pub async fn paging_leads_to_every_member_that_stays_once<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    let members = crowd(0..1_000);
    here.settle(&members).await;
    let (mut found, mut after) = (Vec::new(), None);
    for n in 0..1_000 {
        let page = there.page(&lobby(), after, 70).await;
        assert!(page.members.len() <= 70);
        found.extend(page.members);
        // Some come and some go meanwhile.
        if let Some(goes) = members.get(n * 10..n * 10 + 1) {
            here.leave(goes, NO_GRACE).await;
            here.changes(ALL).await;
            here.enter(&[member(&format!("new {n}"))]).await;
        }
        after = page.after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(after, None, "it ends");
    let distinct: HashSet<_> = found.iter().map(|present| &present.identity).collect();
    assert_eq!(distinct.len(), found.len());
    let stay = (0..1_000).filter(|n| n % 10 != 0);
    assert!(
        stay.clone()
            .all(|n| distinct.contains(&identity(&n.to_string())))
    );
}

/// The count is that of the whole group.
pub async fn the_count_is_that_of_the_whole_group<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    here.settle(&crowd(0..200)).await;
    there.enter(&crowd(100..300)).await;
    for limit in [0, 1, 50, ALL] {
        assert_eq!(there.page(&lobby(), None, limit).await.count, 300);
    }
    assert_eq!(here.page(&lobby(), None, 300).await.after, None);
    let page = here.page(&lobby(), None, 299).await;
    let after = here.page(&lobby(), page.after, 299).await;
    assert_eq!((after.count, after.members.len()), (300, 1));
    assert_eq!(after.after, None);
}

/// An unknown group has no members.
pub async fn an_unknown_group_has_no_members<P: Presence>(mut handle: impl FnMut() -> P) {
    let node = Node::new(handle());
    for after in [None, Some(0), Some(1), Some(u64::MAX)] {
        let page = node.page(&lobby(), after, 10).await;
        assert_eq!(page, MemberPage::default());
    }
}

/// A member that is there has the version of the change by which they came, and stands in the order
/// in which they did.
pub async fn members_come_in_their_order_with_their_versions<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    let mut came = Vec::new();
    for n in 0..20 {
        let node = if n % 3 == 0 { &here } else { &there };
        came.extend(node.settle(&[member(&format!("{}", n * 7 % 20))]).await);
    }
    // One goes and comes back.
    let first = came.remove(0);
    here.leave(std::slice::from_ref(&first.member), NO_GRACE)
        .await;
    let told = here.until_told(&[(first.member.identity.id(), Left)]).await;
    here.confirm(&told).await;
    came.extend(there.settle(&[first.member]).await);
    let page = here.page(&lobby(), None, 100).await;
    let found = page
        .members
        .iter()
        .map(|present| (&present.identity, present.version));
    let expected = came
        .iter()
        .map(|change| (&change.member.identity, change.version));
    assert!(found.eq(expected), "{page:?} of {came:?}");
}

/// Thousands of members in one call, over many groups, are fine.
pub async fn long_lists_over_many_groups_are_fine<P: Presence>(mut handle: impl FnMut() -> P) {
    let node = Node::new(handle());
    let group = |n: usize| room(&format!("{}", n % 700));
    let members: Vec<_> = (0..2_100)
        .map(|n| Member::new(group(n), identity(&n.to_string())))
        .collect();
    let counts: Vec<_> = (0..700).map(|n| (group(n), 3)).collect();
    node.settle(&members).await;
    assert_eq!(node.renew(&counts, LONG).await, []);
    assert_eq!(node.members(&group(1)).await.len(), 3);
    node.leave(&members, LONG.unwrap_or_default()).await;
    assert_eq!(node.renew(&counts, LONG).await.len(), counts.len());
    assert_eq!(node.members(&group(1)).await.len(), 3);
    assert_eq!(node.enter(&members).await, []);
}

/// The roster is closed with its store, and members stay until the leases end.
pub async fn closing_leaves_members<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there) = (Node::new(handle()), Node::new(handle()));
    here.settle(&[member("ann")]).await;
    within("closing", here.presence.close()).await;
    assert_eq!(there.names().await, ["ann"]);
}

/// Calls after `close` fail with kind `Closed`.
pub async fn calls_after_close_fail<P: Presence>(mut handle: impl FnMut() -> P) {
    let node = Node::new(handle());
    let ann = [member("ann")];
    let changes = node.enter(&ann).await;
    node.presence.close().await;
    let (roster, info) = (&node.roster, &node.info);
    let failures = [
        roster.enter(info, &ann, LONG).await.err(),
        roster.leave(info, &ann, NO_GRACE).await.err(),
        roster.renew(info, &[(lobby(), 1)], LONG).await.err(),
        roster.changes(ALL).await.err(),
        roster.confirm(&changes).await.err(),
        roster.members(&lobby(), None, 10).await.err(),
    ];
    for failure in failures {
        assert_eq!(failure.map(|e| e.kind()), Some(PresenceErrorKind::Closed));
    }
}
