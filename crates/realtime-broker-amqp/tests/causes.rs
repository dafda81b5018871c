//! A link that can't be made, at the start or anew, and what is told of it.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use futures::StreamExt;
use realtime_broker_amqp::AmqpBroker;
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerErrorKind, BrokerEvent, BrokerEvents, Join, NodeInfo},
};
use realtime_testkit::{servers::RabbitMq, wait::within};

/// The cause of the next outage, or of its going on.
async fn cause(events: &mut BrokerEvents) -> String {
    loop {
        match within("a cause", events.next()).await {
            Some(BrokerEvent::Down { cause, .. }) => return cause,
            other => assert!(other.is_some(), "the events go on"),
        }
    }
}

#[tokio::test]
async fn later_causes_say_why_there_is_still_no_link() {
    let server = RabbitMq::start().await.unwrap();
    let ctl = async |words: &[&str]| server.ctl(words).await.map(drop).unwrap();
    ctl(&["add_user", "node", "s3cret"]).await;
    ctl(&["set_permissions", "node", ".*", ".*", ".*"]).await;
    let url = server.url().replace("guest:guest", "node:s3cret");
    let broker = AmqpBroker::from_url(url).unwrap();
    let mut events = broker.events();
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let _inbox = broker.subscribe(Join::new(node)).await.unwrap();
    ctl(&["change_password", "node", "another"]).await;
    server.close_connections().await.unwrap();
    let first = cause(&mut events).await;
    assert!(!first.contains("ACCESS_REFUSED"), "{first}");
    // The other connection may have ended with other words.
    let mut then = cause(&mut events).await;
    while !then.contains("ACCESS_REFUSED") {
        then = cause(&mut events).await;
    }
    assert!(!then.contains("s3cret"), "{then}");
    ctl(&["change_password", "node", "s3cret"]).await;
    // Told once, however often it was tried.
    let next = within("the link", events.next()).await;
    assert_eq!(next, Some(BrokerEvent::Up));
}

#[tokio::test]
async fn who_may_too_little_learns_which_permission_is_missing() {
    let server = RabbitMq::start().await.unwrap();
    server.ctl(&["add_user", "node", "s3cret"]).await.unwrap();
    let url = server.url().replace("guest:guest", "node:s3cret");
    let all = ".*";
    let (exchange, queues) = ("^rt\\.realtime$", "^rt\\.realtime\\.");
    for ([configure, write, read], missing) in [
        (["", all, all], ["`configure`", "exchange"]),
        ([exchange, all, all], ["`configure`", "queue"]),
        ([all, "", all], ["`write`", "queue"]),
        ([all, queues, all], ["`write`", "exchange"]),
        ([all, all, ""], ["`read`", "queue"]),
        ([all, all, queues], ["`read`", "exchange"]),
    ] {
        let set = ["set_permissions", "node", configure, write, read];
        server.ctl(&set).await.unwrap();
        let broker = AmqpBroker::from_url(&url).unwrap();
        let node = NodeInfo::new(NodeId::random(), Incarnation::random());
        let refused = within("an answer", broker.subscribe(Join::new(node))).await;
        let refused = refused.expect_err("it may too little");
        assert_eq!(refused.kind(), BrokerErrorKind::Config, "{refused:?}");
        for word in missing {
            assert!(refused.to_string().contains(word), "{set:?}: {refused}");
        }
        assert!(!format!("{refused:?}").contains("s3cret"), "{refused:?}");
    }
    server
        .ctl(&["set_permissions", "node", all, all, all])
        .await
        .unwrap();
    let broker = AmqpBroker::from_url(&url).unwrap();
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    assert!(broker.subscribe(Join::new(node)).await.is_ok());
}
