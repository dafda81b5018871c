//! A member of the cluster, and what is expected of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use realtime_broker_amqp::{AmqpBroker, AmqpConfig};
use realtime_core::{
    Incarnation, NodeId,
    broker::{
        Broker, BrokerErrorKind, BrokerEvent, BrokerEvents, Join, NodeInfo, Published,
        Subscription, Topic,
    },
};
use realtime_testkit::{
    proxy::Proxy,
    servers::RabbitMq,
    wait::{until, within},
};
use tokio::time::timeout;

/// How soon a fault must be noticed.
pub(crate) const NOTICED: Duration = Duration::from_secs(10);
/// How soon the link must be back once RabbitMQ is.
pub(crate) const BACK: Duration = Duration::from_secs(3);
/// What a busy test machine may add to either.
pub(crate) const SLACK: Duration = Duration::from_secs(3);

pub(crate) fn rounds(default: usize) -> usize {
    let rounds = std::env::var("FAULT_ROUNDS").ok();
    rounds.and_then(|r| r.parse().ok()).unwrap_or(default)
}

pub(crate) struct Member {
    pub(crate) broker: AmqpBroker,
    pub(crate) id: NodeId,
    pub(crate) inbox: Subscription,
    pub(crate) events: BrokerEvents,
}

/// What happens to the link of a broker, without the comings and goings of others.
pub(crate) fn of_the_link(broker: &AmqpBroker) -> BrokerEvents {
    let is_node = |event: &BrokerEvent| {
        matches!(
            event,
            BrokerEvent::NodeUp { .. } | BrokerEvent::NodeDown { .. }
        )
    };
    let events = broker.events();
    BrokerEvents::new(events.filter(move |event| std::future::ready(!is_node(event))))
}

impl Member {
    pub(crate) async fn join(url: &str) -> Self {
        let config = AmqpConfig::builder(url).namespace("faults");
        let broker = AmqpBroker::new(config.build().unwrap());
        let mut events = of_the_link(&broker);
        let id = NodeId::random();
        let node = NodeInfo::new(id.clone(), Incarnation::random());
        let inbox = broker.subscribe(Join::new(node)).await.unwrap();
        assert_eq!(events.next().await, Some(BrokerEvent::Up));
        Self {
            broker,
            id,
            inbox,
            events,
        }
    }

    /// Waits for an event, and returns what came before it.
    pub(crate) async fn until_event(
        &mut self,
        what: &str,
        within: Duration,
        is_it: impl Fn(&BrokerEvent) -> bool,
    ) -> Vec<BrokerEvent> {
        let mut before = Vec::new();
        let waited = timeout(within, async {
            loop {
                let event = self.events.next().await.expect("the events go on");
                if is_it(&event) {
                    return;
                }
                before.push(event);
            }
        });
        let heard = waited.await;
        assert!(
            heard.is_ok(),
            "waited {within:?} for {what}; got {before:?}"
        );
        before
    }

    pub(crate) async fn until_down(&mut self) {
        let down = |event: &BrokerEvent| matches!(event, BrokerEvent::Down { .. });
        self.until_event("the link to be down", NOTICED + SLACK, down)
            .await;
    }

    pub(crate) async fn until_up(&mut self) -> Vec<BrokerEvent> {
        let up = |event: &BrokerEvent| *event == BrokerEvent::Up;
        self.until_event("the link to be up", BACK + SLACK, up)
            .await
    }

    pub(crate) async fn say(&self, data: &str) -> Result<Published, BrokerErrorKind> {
        let data = Bytes::copy_from_slice(data.as_bytes());
        // Never hangs: 2 s for its turn, 2 s to be written, 5 s to be confirmed.
        let said = timeout(
            Duration::from_secs(10),
            self.broker.publish(&Topic::All, data),
        );
        said.await
            .expect("a publication ends")
            .map_err(|e| e.kind())
    }

    pub(crate) async fn hear(&mut self) -> Bytes {
        within("a message", self.inbox.next()).await.unwrap().data
    }
}

/// Both talk to each other.
pub(crate) async fn talk(a: &mut Member, b: &mut Member) {
    assert_eq!(a.say("from a").await, Ok(Published::Routed));
    assert_eq!(b.hear().await, "from a");
    assert_eq!(b.say("from b").await, Ok(Published::Routed));
    assert_eq!(a.hear().await, "from b");
    let to_b = Topic::Node(b.id.clone());
    let said = a.broker.publish(&to_b, Bytes::from_static(b"to b")).await;
    assert_eq!(said.unwrap(), Published::Routed);
    assert_eq!(b.hear().await, "to b");
}

/// While the link is down, nobody waits.
pub(crate) async fn fails_at_once(member: &Member) {
    let start = Instant::now();
    let said = member.say("lost").await;
    assert_eq!(said, Err(BrokerErrorKind::Unavailable));
    assert!(start.elapsed() < Duration::from_secs(1), "it fails at once");
}

/// Threads and descriptors of this process.
pub(crate) fn held() -> (usize, usize) {
    let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

/// What the client library makes once, when the first of its connections ends: a runtime.
pub(crate) const ONCE: (usize, usize) = (1, 4);

/// A fault leaves no thread and no descriptor behind.
pub(crate) async fn no_more_than(before: (usize, usize)) {
    until("threads and descriptors are what they were", async || {
        let now = held();
        now.0 <= before.0 + ONCE.0 && now.1 <= before.1 + ONCE.1
    })
    .await;
}

/// The URL of a server by way of a proxy.
pub(crate) fn through(server: &RabbitMq, proxy: &Proxy) -> String {
    let (port, by_way) = (server.port().to_string(), proxy.port().to_string());
    server.url().replace(&port, &by_way)
}
