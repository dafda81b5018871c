//! The end of a member.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerErrorKind, Join, NodeInfo, Published, Topic},
};

use super::{failed, join, ok};
use crate::wait::{until, within};

/// Closing is idempotent, and fine before `subscribe`.
pub async fn closing_is_idempotent<B: Broker>(mut member: impl FnMut() -> B) {
    let (idle, one) = (member(), join(member()).await);
    for _ in 0..2 {
        within("closing", idle.close()).await;
        within("closing", one.broker.close()).await;
    }
}

/// Subscriptions end after `close`, and the node has left the cluster.
pub async fn subscriptions_end_after_close<B: Broker>(mut member: impl FnMut() -> B) {
    let (one, mut other) = (join(member()).await, join(member()).await);
    other.broker.close().await;
    within("the end of the subscription", async {
        while other.inbox.next().await.is_some() {}
    })
    .await;
    if one.broker.limits().knows_absence {
        let gone = other.own();
        until("the node has no route", async || {
            let published = one.broker.publish(&gone, Bytes::new()).await;
            ok("it is accepted", published) == Published::NoRoute
        })
        .await;
    }
}

/// Publishing and subscribing after `close` fail with kind `Closed`, at once.
pub async fn everything_fails_after_close<B: Broker>(mut member: impl FnMut() -> B) {
    let (idle, one) = (member(), join(member()).await);
    for broker in [&idle, &one.broker] {
        broker.close().await;
        let published = broker.publish(&Topic::All, Bytes::new());
        let published = tokio::time::timeout(Duration::from_secs(2), published).await;
        let published = ok("publishing fails at once", published);
        assert_eq!(failed(published), Some(BrokerErrorKind::Closed));
        let node = NodeInfo::new(NodeId::random(), Incarnation::random());
        let joined = broker.subscribe(Join::new(node)).await;
        assert_eq!(failed(joined), Some(BrokerErrorKind::Closed));
    }
}
