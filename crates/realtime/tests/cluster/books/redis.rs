//! The books over Redis pub/sub, which keeps nothing for who isn't there: held by the same checker.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use realtime::{
    Builder,
    broker::{
        AnyBroker, Broker, BrokerError, BrokerEvents, BrokerLimits, Join, Published, Subscription,
        Topic, TopicName,
    },
    connect,
};
use realtime_testkit::{servers::Redis, wait::until};

use super::{
    Load, NODES, Run,
    faulty::{are_well, messages_flow, seconds},
    nothing_is_missing, wide,
};
use crate::nodes::Node;

/// Counts what came back, since nobody listened. It is sent again once presence was asked, under
/// another number, and the node that was away counts the first one as missed.
struct Counting {
    broker: AnyBroker,
    returned: Arc<Mutex<HashMap<Topic, u64>>>,
}

impl Counting {
    fn new(broker: AnyBroker) -> Self {
        let returned = Arc::default();
        Self { broker, returned }
    }
}

impl Broker for Counting {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        self.broker.subscribe(join).await
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.broker.join(topic).await
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.broker.leave(topic).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        let published = self.broker.publish(topic, data).await?;
        if published == Published::NoRoute {
            *self
                .returned
                .lock()
                .unwrap()
                .entry(topic.clone())
                .or_default() += 1;
        }
        Ok(published)
    }

    fn limits(&self) -> BrokerLimits {
        self.broker.limits()
    }

    fn events(&self) -> BrokerEvents {
        self.broker.events()
    }

    async fn close(&self) {
        self.broker.close().await;
    }
}

/// Redis as broker and as presence store: a whole cluster.
pub(crate) async fn over_redis_alone_every_session_gets_every_message_once_and_in_order() {
    let redis = Redis::start().await.unwrap();
    let mut run = Run::default();
    for _ in 0..NODES {
        run.add(Node::start(&redis.url(), &redis.url(), wide).await);
    }
    nothing_is_missing(run).await;
}

/// Those who receive are cut off, Redis is killed and comes back, and it is stopped for a while:
/// once among the other tests, and for as long as is wanted by `just soak`.
/// Presence is on another one: its outages are tested elsewhere.
pub(crate) async fn over_redis_with_faults_what_is_missing_was_reported() {
    let (mut redis, presence) = futures::try_join!(Redis::start(), Redis::start()).unwrap();
    let (mut run, mut returned) = (Run::default(), Vec::new());
    for _ in 0..NODES {
        let broker = Counting::new(connect::broker(&redis.url()).unwrap());
        returned.push(Arc::clone(&broker.returned));
        let counted = |builder: Builder| wide(builder.broker(broker));
        run.add(Node::start("local:", &presence.url(), counted).await);
    }
    run.join().await;
    run.come_and_go();
    let seconds = seconds();
    let load = Load {
        count: u64::MAX,
        pause: Some(Duration::from_millis(seconds.map_or(2, |_| 10))),
        enough: Arc::new(AtomicBool::new(false)),
    };
    let senders = run.send(&load);
    let start = Instant::now();
    for fault in (0..4).cycle() {
        messages_flow(&run).await;
        let outages = |node: &Node| node.gateway.stats().broker_outages;
        let before: Vec<_> = run.nodes.iter().map(outages).collect();
        match fault {
            0 | 1 => drop(
                redis
                    .command(&["CLIENT", "KILL", "TYPE", "pubsub"])
                    .await
                    .unwrap(),
            ),
            2 => redis.kill().unwrap(),
            _ => redis.stop().unwrap(),
        }
        until("everybody has noticed", async || {
            let mut now = run.nodes.iter().zip(&before);
            now.all(|(node, before)| outages(node) > *before)
        })
        .await;
        match fault {
            0 | 1 => {}
            2 => redis.restart().await.unwrap(),
            _ => redis.resume().unwrap(),
        }
        are_well(&run).await;
        let over = seconds.map_or(fault == 3, |s| start.elapsed().as_secs() >= s);
        if over {
            break;
        }
    }
    messages_flow(&run).await;
    load.enough.store(true, SeqCst);
    let sent = run.until_sent(senders).await;
    let got = run.end().await;
    let mut audits = Vec::new();
    until("the books balance", async || {
        let audit = |node: usize| {
            let to = Topic::Node(run.nodes[node].gateway.node_id().clone());
            let came_back = std::array::from_fn(|source: usize| {
                let returned = returned[source].lock().unwrap();
                returned.get(&to).copied().unwrap_or(0)
            });
            run.audit_with(node, &sent, &got, came_back)
        };
        audits = (0..NODES).map(audit).collect();
        audits.iter().all(Result::is_ok)
    })
    .await;
    let errors: usize = sent.iter().map(|sent| sent.failed.len()).sum();
    assert!(errors > 0, "an outage is noticed by who sends");
    println!("{errors} sends failed; messages lost and reported at each node: {audits:?}");
    run.stop().await;
}
