//! RabbitMQ or Redis is away, and what a gateway makes of it.

use std::time::{Duration, Instant};

use realtime::{
    Json,
    broker::{Broker, BrokerError, BrokerErrorKind, Join, NodeInfo, Topic, amqp::AmqpBroker},
    config::PresenceDown,
    connect,
    error::{DeliverErrorKind, StartErrorKind},
    node::{Incarnation, NodeId},
    report::{Link, Remote},
};
use realtime_testkit::{
    client::ClientError,
    proxy::Fault,
    wait::{DEADLINE, until},
};

use crate::{
    cluster::Cluster,
    nodes::{Node, key},
};

pub(crate) async fn one_node_id_is_for_one_node() {
    let cluster = Cluster::start().await;
    let id: NodeId = "the-one".parse().unwrap();
    let first = cluster
        .node_with(|builder| builder.node_id(id.clone()))
        .await;
    let second = realtime::builder()
        .node_id(id.clone())
        .broker(connect::broker(&cluster.rabbitmq.url()).unwrap())
        .build()
        .unwrap();
    let error = second.start().await.unwrap_err();
    assert_eq!(error.kind(), StartErrorKind::Broker);
    let source = std::error::Error::source(&error).and_then(|e| e.downcast_ref::<BrokerError>());
    assert_eq!(
        source.map(BrokerError::kind),
        Some(BrokerErrorKind::DuplicateNode)
    );
    first.stop().await;
    // When the first has left, the id is free, and the start can be tried again.
    second.start().await.unwrap();
    second.shutdown().await;
}

pub(crate) async fn a_message_of_a_later_version_is_refused_and_counted() {
    let cluster = Cluster::start().await;
    let (a, b) = (cluster.node().await, cluster.node().await);
    let mut ann = b.join("ann").await;
    // A member of the same cluster that speaks a later envelope.
    let later = AmqpBroker::from_url(cluster.rabbitmq.url()).unwrap();
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let _inbox = later.subscribe(Join::new(node)).await.unwrap();
    let _routed = later
        .publish(&Topic::All, vec![200, 0, 1, 2].into())
        .await
        .unwrap();
    for node in [&a, &b] {
        until("it is counted", async || {
            node.gateway.stats().invalid_broker_messages == 1
        })
        .await;
    }
    assert!(b.has_reported("version 200"));
    // It may have been for any of them.
    let gap = ann.recv_json().await.unwrap();
    assert_eq!(
        (&gap["route"], &gap["data"]["missed"]),
        (&"gap".into(), &1.into())
    );
    a.gateway.broadcast("goes", Json("on")).await.unwrap();
    assert_eq!(ann.recv_json().await.unwrap()["data"], "on");
}

/// For how long others may be on their way back.
const RECONNECTING: Duration = Duration::from_secs(5);

pub(crate) async fn rabbitmq_goes_and_comes_back() {
    let mut cluster = Cluster::start().await;
    let (a, b) = (cluster.node().await, cluster.node().await);
    let (mut ann, mut bob) = (a.join("ann").await, b.join("bob").await);
    assert!(a.gateway.health().is_good() && b.gateway.health().is_good());

    cluster.rabbitmq.kill().unwrap();
    a.until_reported("the broker is down", DEADLINE).await;
    b.until_reported("the broker is down", DEADLINE).await;
    assert!(matches!(a.gateway.health().broker, Link::Down { .. }));
    // Those of this node are served, and the caller knows that the others are not.
    let start = Instant::now();
    let error = a.gateway.broadcast("n", Json(1)).await.unwrap_err();
    assert_eq!(error.kind(), DeliverErrorKind::Broker);
    assert_eq!(error.delivered().local, 1);
    assert!(start.elapsed() < Duration::from_secs(1), "nobody waits");
    assert_eq!(ann.recv_json().await.unwrap()["data"], 1);
    let error = a
        .gateway
        .send_to_identity(&key("bob"), "n", ())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), DeliverErrorKind::Broker);

    // Before its link, by whose age that is judged.
    let up = Instant::now();
    cluster.rabbitmq.restart().await.unwrap();
    a.until_reported("up again", DEADLINE).await;
    // Whoever is back first doesn't take the other for gone, which has so long to come back.
    until("the targeted message arrives", async || {
        let sent = a.gateway.send_to_identity(&key("bob"), "n", Json(2)).await;
        match sent.map_err(|error| error.kind()) {
            Ok(delivery) => delivery.remote == Remote::Nodes(1),
            Err(DeliverErrorKind::Broker) => false,
            Err(DeliverErrorKind::NotOnline) if up.elapsed() >= RECONNECTING => false,
            Err(kind) => panic!("expected it to be known that {kind:?} is for now"),
        }
    })
    .await;
    assert!(
        a.gateway.is_online(&key("bob")).await.unwrap(),
        "never taken out"
    );
    while bob.recv_json().await.unwrap()["data"] != 2 {}
    b.until_reported("up again", DEADLINE).await;
    assert!(a.gateway.health().is_good() && b.gateway.health().is_good());
    assert_eq!(a.gateway.stats().broker_outages, 1);
    a.stop().await;
    b.stop().await;
}

pub(crate) async fn a_node_that_lost_its_own_link_is_not_pruned() {
    let cluster = Cluster::start().await;
    let (proxy, through) = cluster.behind_a_proxy().await;
    let (a, b) = (
        cluster.node().await,
        Node::start(&through, &cluster.redis.url(), |b| b).await,
    );
    let mut bob = b.join("bob").await;
    let to_bob = async |n: u64| {
        let sent = a.gateway.send_to_identity(&key("bob"), "n", Json(n)).await;
        sent.map_err(|error| error.kind())
    };
    proxy.set(Fault::Refuse);
    proxy.reset();
    b.until_reported("the broker is down", DEADLINE).await;
    // While the own link is young, others may be on their way back; then they are not.
    until("the sender knows that bob can't be reached", async || {
        to_bob(0).await == Err(DeliverErrorKind::NotOnline)
    })
    .await;
    for _ in 0..20 {
        assert_eq!(to_bob(0).await, Err(DeliverErrorKind::NotOnline));
        assert!(a.gateway.is_online(&key("bob")).await.unwrap());
    }
    proxy.set(Fault::None);
    b.until_reported("up again", DEADLINE).await;
    until("bob is reached", async || {
        assert!(a.gateway.is_online(&key("bob")).await.unwrap());
        to_bob(1).await.is_ok()
    })
    .await;
    while bob.recv_json().await.unwrap()["data"] != 1 {}
    a.stop().await;
    b.stop().await;
}

pub(crate) async fn redis_comes_back_empty() {
    let mut cluster = Cluster::start().await;
    let (a, b) = (cluster.node().await, cluster.node().await);
    let mut clients = Vec::new();
    for n in 0..50 {
        clients.push(a.join(&format!("n{n}")).await);
    }
    until("presence is up", async || {
        a.gateway.health().presence == Link::Up
    })
    .await;
    cluster.redis.restart().await.unwrap();
    let start = Instant::now();
    for n in 0..50 {
        let name = key(&format!("n{n}"));
        until("everybody is online again", async || {
            b.gateway.is_online(&name).await.unwrap_or(false)
        })
        .await;
    }
    let took = start.elapsed();
    assert!(
        took < Duration::from_secs(7),
        "5 s, and what a busy machine adds; took {took:?}"
    );
    b.gateway
        .send_to_identity(&key("n7"), "n", Json(7))
        .await
        .unwrap();
    while clients[7].recv_json().await.unwrap()["data"] != 7 {}
    a.stop().await;
    b.stop().await;
}

/// Redis is up, and says no to what registers and renews.
async fn refuse_scripts(cluster: &Cluster, refused: bool) {
    let rule = if refused { "-@scripting" } else { "+@all" };
    let rule = ["ACL", "SETUSER", "default", rule];
    cluster.redis.command(&rule).await.unwrap();
}

async fn is_soon_online(node: &Node, name: &str) {
    let start = Instant::now();
    until("it is online", async || {
        node.gateway.is_online(&key(name)).await.unwrap()
    })
    .await;
    let took = start.elapsed();
    assert!(
        took < Duration::from_secs(7),
        "5 s, and what a busy machine adds; took {took:?}"
    );
}

pub(crate) async fn a_session_that_could_not_be_registered_is_soon() {
    let cluster = Cluster::start().await;
    // No lease, so that nothing is renewed from time to time.
    let a = cluster.node_with(|b| b.presence_ttl(None)).await;
    refuse_scripts(&cluster, true).await;
    let ann = a.connect("ann").await;
    a.until_reported("Presence: ", DEADLINE).await;
    assert_eq!(a.gateway.health().presence, Link::Up, "nothing comes back");
    assert!(!a.gateway.is_online(&key("ann")).await.unwrap());
    refuse_scripts(&cluster, false).await;
    is_soon_online(&a, "ann").await;
    drop(ann);
    a.stop().await;
}

pub(crate) async fn a_store_that_refuses_renewals_is_down_until_it_accepts_them() {
    let cluster = Cluster::start().await;
    let a = cluster.node().await;
    let ann = a.join("ann").await;
    until("presence is up", async || {
        a.gateway.health().presence == Link::Up
    })
    .await;
    refuse_scripts(&cluster, true).await;
    for command in [&["FLUSHALL"][..], &["CLIENT", "KILL", "TYPE", "normal"]] {
        cluster.redis.command(command).await.unwrap();
    }
    // It is back and empty, but refuses the work: it counts as down until it does it.
    a.until_reported("presence is down", DEADLINE).await;
    assert!(matches!(a.gateway.health().presence, Link::Down { .. }));
    refuse_scripts(&cluster, false).await;
    is_soon_online(&a, "ann").await;
    drop(ann);
    a.stop().await;
}

pub(crate) async fn redis_is_away() {
    let mut cluster = Cluster::start().await;
    let a = cluster.node().await;
    let local = cluster
        .node_with(|b| b.presence_down(PresenceDown::LocalOnly))
        .await;
    let all = cluster
        .node_with(|b| b.presence_down(PresenceDown::Broadcast))
        .await;
    let strict = cluster.node_with(|b| b.require_presence(true)).await;
    let mut ann = a.join("ann").await;
    let mut bob = local.join("bob").await;
    cluster.redis.kill().unwrap();
    a.until_reported("presence is down", DEADLINE).await;
    assert!(matches!(a.gateway.health().presence, Link::Down { .. }));

    // Sessions stay, and new ones are taken, unless presence is required.
    a.gateway.broadcast("n", Json(1)).await.unwrap();
    assert_eq!(ann.recv_json().await.unwrap()["data"], 1);
    let mut cid = a.connect("cid").await;
    let mut refused = strict.connect("dan").await;
    assert_eq!(refused.closed().await.map(|close| close.0), Some(1013));

    let start = Instant::now();
    let error = a
        .gateway
        .send_to_identity(&key("ann"), "n", ())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), DeliverErrorKind::Presence);
    assert!(a.gateway.is_online(&key("ann")).await.is_err());
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "nobody waits for long"
    );

    while bob.recv_json().await.unwrap()["data"] != 1 {}
    let sent = local
        .gateway
        .send_to_identity(&key("bob"), "n", Json(2))
        .await
        .unwrap();
    assert_eq!((sent.local, sent.remote), (1, Remote::Nodes(0)));
    assert_eq!(bob.recv_json().await.unwrap()["data"], 2);
    let error = local
        .gateway
        .send_to_identity(&key("ann"), "n", ())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), DeliverErrorKind::NotOnline);

    let sent = all
        .gateway
        .send_to_identity(&key("ann"), "n", Json(3))
        .await
        .unwrap();
    assert_eq!((sent.local, sent.remote), (0, Remote::Published));
    assert_eq!(ann.recv_json().await.unwrap()["data"], 3);

    cluster.redis.restart().await.unwrap();
    for name in ["ann", "bob", "cid"] {
        until("everybody is online again", async || {
            strict.gateway.is_online(&key(name)).await.unwrap_or(false)
        })
        .await;
    }
    a.gateway
        .send_to_identity(&key("cid"), "n", Json(4))
        .await
        .unwrap();
    while cid.recv_json().await.unwrap()["data"] != 4 {}
    assert!(matches!(
        ann.send("x", ().into()).await,
        Ok(()) | Err(ClientError::Io(_))
    ));
    for node in [a, local, all, strict] {
        node.stop().await;
    }
}

pub(crate) async fn a_memory_alarm_is_seen_as_blocked() {
    let cluster = Cluster::start().await;
    let (a, b) = (cluster.node().await, cluster.node().await);
    let mut bob = b.join("bob").await;
    cluster.rabbitmq.block(true).await.unwrap();
    // RabbitMQ tells only who publishes. The beacons do, if nobody else does.
    until("it is seen", async || {
        a.gateway.health().broker == Link::Blocked && b.gateway.health().broker == Link::Blocked
    })
    .await;
    assert!(!a.gateway.health().is_good());
    let start = Instant::now();
    let error = a.gateway.broadcast("n", Json(1)).await.unwrap_err();
    let source = std::error::Error::source(&error).and_then(|e| e.downcast_ref::<BrokerError>());
    let kind = source.map(BrokerError::kind);
    assert_eq!(kind, Some(BrokerErrorKind::Blocked));
    assert!(start.elapsed() < Duration::from_secs(3), "it fails at once");
    cluster.rabbitmq.block(false).await.unwrap();
    until("all is well", async || {
        a.gateway.health().is_good() && b.gateway.health().is_good()
    })
    .await;
    a.gateway.broadcast("n", Json(2)).await.unwrap();
    while bob.recv_json().await.unwrap()["data"] != 2 {}
    a.stop().await;
    b.stop().await;
}
