//! Leases: what a node says anew, and what ends with it.

use std::{collections::HashSet, time::Instant};

use realtime_core::{
    Incarnation,
    broker::NodeInfo,
    presence::{
        ChangeKind::{Joined, Left},
        Member, Presence, SPEAK_AGAIN,
    },
};

use super::{
    ALL, DEADLINE, LONG, NO_GRACE, Node, ROUNDING, SHORT, identity, lobby, member, room, said,
};

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
