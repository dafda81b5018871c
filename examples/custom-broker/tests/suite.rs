//! Held to the suite that every broker passes, on a real Redis, and to its restart.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use bytes::Bytes;
use custom_broker::PubSub;
use futures::StreamExt;
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerEvent, NodeInfo, Topic},
};
use realtime_testkit::{servers::Redis, wait::within};

realtime_testkit::broker_suite!(
    pub_sub_passes_the_suite,
    Redis::start().await.unwrap(),
    |server: &Redis| {
        static CLUSTER: AtomicU32 = AtomicU32::new(0);
        let cluster = CLUSTER.fetch_add(1, Relaxed);
        let url = format!("{}?namespace=suite-{cluster}", server.url());
        move || PubSub::new(&url).unwrap()
    }
);

#[tokio::test]
async fn a_restart_of_redis_is_noticed_and_survived() {
    let mut redis = Redis::start().await.unwrap();
    let join = async || {
        let broker = PubSub::new(&redis.url()).unwrap();
        let mut events = broker.events();
        let node = NodeInfo::new(NodeId::random(), Incarnation::random());
        let inbox = broker.subscribe(node, &[Topic::All]).await.unwrap();
        assert_eq!(events.next().await, Some(BrokerEvent::Up));
        (broker, events, inbox)
    };
    let ((a, mut events, _inbox), (_b, _, mut inbox)) = (join().await, join().await);
    redis.kill().unwrap();
    assert!(a.publish(&Topic::All, Bytes::new()).await.is_err());
    let down = within("the fall", events.next()).await;
    assert!(matches!(down, Some(BrokerEvent::Down { .. })), "{down:?}");
    redis.restart().await.unwrap();
    assert_eq!(
        within("the return", events.next()).await,
        Some(BrokerEvent::Up)
    );
    let again = async {
        loop {
            let _routed = a.publish(&Topic::All, Bytes::from_static(b"again")).await;
            let heard = tokio::time::timeout(std::time::Duration::from_millis(100), inbox.next());
            if let Ok(Some(message)) = heard.await {
                return message.data;
            }
        }
    };
    assert_eq!(within("a message", again).await, "again");
}
