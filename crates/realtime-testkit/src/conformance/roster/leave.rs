//! Who leaves.

use std::time::Instant;

use realtime_core::presence::{ChangeKind::Left, MemberPage, Presence};

use super::{ALL, LONG, NO_GRACE, Node, ROUNDING, SHORT, lobby, member, said};

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
