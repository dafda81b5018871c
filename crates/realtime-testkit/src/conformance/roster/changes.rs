//! Changes, handed out until they are confirmed.

use std::{collections::HashSet, time::Instant};

use futures::future::join_all;
use realtime_core::presence::{
    CLAIM,
    ChangeKind::{Joined, Left},
    Member, Presence,
};

use super::{
    DEADLINE, NO_GRACE, Node, ROUNDING, SHORT, crowd, identity, member, room, said, versions,
};

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
