//! Revoked by tenant and by identity, each with what was issued before a time, on two nodes over
//! Redis and on one that comes later.

use std::time::SystemTime;

use realtime::{IdentityKey, revocation::Revocation};
use realtime_testkit::{servers::Redis, wait::until};

use crate::jwts::{Access, SECOND, Stores, is_refused, join, who};

pub(crate) async fn a_tenant_is_out_on_two_nodes_but_for_what_was_issued_since() {
    let redis = Redis::start().await.unwrap();
    let stores = Stores::all(&redis);
    let node = || stores.node(|builder| builder);
    let (a, b) = (node().await, node().await);
    for node in [&a, &b] {
        until("both are known", async || node.gateway.nodes().len() == 2).await;
    }
    let fresh = |user, tenant| Access::of(user, user).tenant(tenant);
    let old = |user, tenant| fresh(user, tenant).issued(60 * SECOND);
    let before = SystemTime::now() - 30 * SECOND;
    let mut out = [
        join(&a, &old("ann", "t")).await,
        join(&b, &old("bob", "t")).await,
    ];
    let mut stay = [
        join(&a, &fresh("ann", "t")).await,
        join(&b, &fresh("eve", "t")).await,
        join(&a, &old("dan", "u")).await,
    ];
    let mut cid = join(&a, &old("cid", "u")).await;

    let receipt = b.gateway.revoke(Revocation::tenant("t", before)).await;
    let receipt = receipt.unwrap();
    assert!(
        receipt.sessions == 2 && receipt.is_complete(),
        "{receipt:?}"
    );
    for client in &mut out {
        assert_eq!(client.closed().await.unwrap().0, 3500);
    }
    who(&mut cid).await;
    // Of another tenant, one of them alone.
    let of_cid = Revocation::identity(IdentityKey::new("cid").with_tenant("u"), before);
    let receipt = b.gateway.revoke(of_cid).await.unwrap();
    assert!(
        receipt.sessions == 1 && receipt.is_complete(),
        "{receipt:?}"
    );
    assert_eq!(cid.closed().await.unwrap().0, 3500);
    for client in &mut stay {
        who(client).await;
    }

    let later = node().await;
    for node in [&a, &b, &later] {
        for (user, tenant) in [("ann", "t"), ("bob", "t"), ("fay", "t"), ("cid", "u")] {
            is_refused(node, &old(user, tenant), 401).await;
            join(node, &fresh(user, tenant)).await;
        }
        join(node, &old("dan", "u")).await;
    }
    for node in [a, b, later] {
        node.stop().await;
    }
}
