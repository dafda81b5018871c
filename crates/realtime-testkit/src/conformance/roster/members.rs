//! Members, paged; many of them; and a handle that is closed.

use std::collections::HashSet;

use realtime_core::presence::{
    ChangeKind::Left, Member, MemberPage, Presence, PresenceErrorKind, Roster,
};

use super::{ALL, LONG, NO_GRACE, Node, crowd, identity, lobby, member, room};
use crate::wait::within;

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
