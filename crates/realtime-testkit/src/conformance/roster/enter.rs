//! Who enters.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use futures::future::join_all;
use realtime_core::{
    IdentityKey,
    presence::{
        ChangeKind::{Joined, Left},
        Group, Member, MemberPage, Presence,
    },
};

use super::{
    ALL, DEADLINE, LONG, NO_GRACE, Node, SHORT, crowd, identity, lobby, member, said, versions,
};

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
