//! The nodes that hold sessions of an identity, and how many.

use std::collections::HashMap;

use realtime_core::{
    IdentityKey, Incarnation,
    broker::NodeInfo,
    presence::{Presence, SessionInfo},
};

use super::{
    LONG, SHORT, ann, ids, node, nodes, ok, register, renew, session, session_on, unregister,
};
use crate::wait::until;

/// Every node that holds a session is named at once, by every handle, with the number of sessions.
pub async fn every_node_that_holds_a_session_is_named_with_its_count<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (here, there) = (handle(), handle());
    let (a, b) = (node(), node());
    let other = session_on(&node(), &IdentityKey::new("bob").with_tenant("acme"));
    let mut infos: Vec<_> = (0..3).map(|_| session_on(&a, &ann())).collect();
    infos.extend((0..250).map(|_| session_on(&b, &ann())));
    infos.push(other.clone());
    register(&here, &infos, LONG).await;
    let expected = HashMap::from([(a.clone(), 3), (b.clone(), 250)]);
    assert_eq!(nodes(&there, &ann()).await, expected);
    let keys: Vec<_> = infos.iter().map(SessionInfo::key).collect();
    assert_eq!(renew(&here, &keys, LONG).await, []);
    assert_eq!(
        nodes(&there, &ann()).await,
        expected,
        "renewing counts nobody"
    );
    unregister(&here, &keys[..2]).await;
    unregister(&here, &keys[..2]).await;
    assert_eq!(
        nodes(&there, &ann()).await,
        HashMap::from([(a, 1), (b, 250)])
    );
    let of_bob = HashMap::from([(other.node(), 1)]);
    assert_eq!(nodes(&there, &other.identity).await, of_bob);
}

/// A node whose last session there was removed is not named any more.
pub async fn a_node_whose_last_session_has_left_is_not_named<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, goes, stays) = (handle(), session(&ann()), session(&ann()));
    register(&presence, &[goes.clone(), stays.clone()], LONG).await;
    unregister(&presence, &[goes.key()]).await;
    let left = HashMap::from([(stays.node(), 1)]);
    assert_eq!(nodes(&presence, &ann()).await, left);
    unregister(&presence, &[stays.key(), stays.key()]).await;
    assert!(nodes(&presence, &ann()).await.is_empty());
}

/// A node whose leases for the identity have all ended is not named any more, while others are.
pub async fn a_node_whose_leases_have_ended_is_not_named<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, dead, live) = (handle(), node(), session(&ann()));
    // More than a store may want to clean up after at once.
    let infos: Vec<_> = (0..1_200).map(|_| session_on(&dead, &ann())).collect();
    register(&presence, &infos, SHORT).await;
    register(&presence, std::slice::from_ref(&live), LONG).await;
    assert!(nodes(&presence, &ann()).await.contains_key(&dead));
    let left = HashMap::from([(live.node(), 1)]);
    until("the dead node's leases have ended", async || {
        ids(&presence, &ann()).await == [live.session_id]
    })
    .await;
    assert_eq!(nodes(&presence, &ann()).await, left);
}

/// A node is named as long as the lease of one of its sessions lasts, also where others have ended
/// or were cut short.
pub async fn a_node_is_named_as_long_as_one_lease_lasts<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, node) = (handle(), node());
    let [short, long] = [(); 2].map(|()| session_on(&node, &ann()));
    register(&presence, std::slice::from_ref(&long), LONG).await;
    register(&presence, std::slice::from_ref(&short), SHORT).await;
    until("the short lease has ended", async || {
        ids(&presence, &ann()).await == [long.session_id]
    })
    .await;
    let one = HashMap::from([(node, 1)]);
    assert_eq!(nodes(&presence, &ann()).await, one);
    // Cut short, the lease takes the node along.
    assert_eq!(renew(&presence, &[long.key()], SHORT).await, []);
    assert_eq!(nodes(&presence, &ann()).await, one);
    until("the lease that was cut short has ended", async || {
        ids(&presence, &ann()).await.is_empty()
    })
    .await;
    assert!(nodes(&presence, &ann()).await.is_empty());
}

/// A node that was started again under its old name is named for each of its lives.
pub async fn each_life_of_a_node_is_named<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, before) = (handle(), node());
    let after = NodeInfo::new(before.id.clone(), Incarnation::random());
    let [ghost, live] = [&before, &after].map(|node| session_on(node, &ann()));
    register(&presence, &[ghost.clone(), live.clone()], LONG).await;
    let both = HashMap::from([(before, 1), (after.clone(), 1)]);
    assert_eq!(nodes(&presence, &ann()).await, both);
    let found = ok(presence.sessions(&ann()).await);
    let found = found.iter().find(|info| info.session_id == live.session_id);
    assert_eq!(found.map(SessionInfo::node), Some(after.clone()));
    unregister(&presence, &[ghost.key()]).await;
    assert_eq!(nodes(&presence, &ann()).await, HashMap::from([(after, 1)]));
}

/// A session that is registered again counts once, and one that an earlier call names twice, too.
pub async fn registering_again_counts_once<P: Presence>(mut handle: impl FnMut() -> P) {
    let (presence, info) = (handle(), session(&ann()));
    for _ in 0..2 {
        register(&presence, &[info.clone(), info.clone()], LONG).await;
        let once = HashMap::from([(info.node(), 1)]);
        assert_eq!(nodes(&presence, &ann()).await, once);
    }
    unregister(&presence, &[info.key()]).await;
    assert!(nodes(&presence, &ann()).await.is_empty());
}
