//! The two connections of a link live and die by themselves, on a real RabbitMQ.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use realtime_broker_amqp::{AmqpBroker, AmqpConfig};
use realtime_core::{
    Incarnation, NodeId,
    broker::{
        Broker, BrokerErrorKind, BrokerEvent, BrokerEvents, Join, NodeInfo, Published,
        Subscription, Topic, TopicName,
    },
};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::RabbitMq,
    wait::{until, within},
};

struct Member {
    broker: AmqpBroker,
    id: NodeId,
    inbox: Subscription,
    events: BrokerEvents,
}

impl Member {
    async fn join(url: &str) -> Self {
        let config = AmqpConfig::builder(url).namespace("halves");
        let broker = AmqpBroker::new(config.build().unwrap());
        let events = broker.events();
        let id = NodeId::random();
        let node = NodeInfo::new(id.clone(), Incarnation::random());
        let inbox = broker.subscribe(Join::new(node)).await.unwrap();
        Self {
            broker,
            id,
            inbox,
            events,
        }
    }

    async fn say(&self, to: &Topic, data: String) -> Result<Published, BrokerErrorKind> {
        let said = within("the outcome", self.broker.publish(to, data.into())).await;
        said.map_err(|error| error.kind())
    }

    async fn hear(&mut self) -> Bytes {
        within("a message", self.inbox.next()).await.unwrap().data
    }

    async fn until(&mut self, what: &str, is_it: impl Fn(&BrokerEvent) -> bool) {
        let heard = async {
            loop {
                let event = self.events.next().await.unwrap();
                assert!(!matches!(event, BrokerEvent::Gap { .. }), "{event:?}");
                if is_it(&event) {
                    return;
                }
            }
        };
        within(what, heard).await;
    }
}

/// What the client library says first has the connection's name in it.
const PUBLISHES: &str = " publish";

async fn queue_of(server: &RabbitMq, id: &NodeId) -> Vec<String> {
    let mut queues = server.queues().await.unwrap();
    queues.retain(|queue| queue.contains(id.as_str()));
    queues
}

#[tokio::test]
async fn one_that_publishes_and_is_answered_late_costs_no_queue() {
    let server = RabbitMq::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let through = through(&server, &proxy);
    let mut slow = Member::join(&through).await;
    let mut other = Member::join(&server.url()).await;
    let queue = queue_of(&server, &slow.id).await;

    proxy.set_where(PUBLISHES, Fault::Delay(Duration::from_secs(8)));
    let said = slow.say(&Topic::All, "late".to_owned()).await;
    assert_eq!(said, Err(BrokerErrorKind::Unknown), "not confirmed");
    let down = |event: &BrokerEvent| matches!(event, BrokerEvent::Down { .. });
    slow.until("the link to be down", down).await;
    let unsent = slow.say(&Topic::All, "unsent".to_owned()).await;
    assert_eq!(unsent, Err(BrokerErrorKind::Unavailable));
    // What others say arrives, and so does what is joined now.
    let room: TopicName = "room".parse().unwrap();
    slow.broker.join(&room).await.unwrap();
    let topics = [Topic::All, Topic::Node(slow.id.clone()), Topic::Named(room)];
    for n in 0..300 {
        let said = other.say(&topics[n % 3], n.to_string()).await;
        assert_eq!(said, Ok(Published::Routed));
    }
    let mut heard = Vec::new();
    while heard.len() < 300 {
        heard.push(String::from_utf8(slow.hear().await.to_vec()).unwrap());
    }
    heard.sort_by_key(|n| n.parse::<usize>().unwrap());
    let all: Vec<_> = (0..300).map(|n| n.to_string()).collect();
    assert_eq!(heard, all);

    proxy.set(Fault::None);
    let up = |event: &BrokerEvent| *event == BrokerEvent::Up;
    slow.until("the link to be up", up).await;
    assert_eq!(queue_of(&server, &slow.id).await, queue, "the same one");
    let said = slow.say(&Topic::All, "now".to_owned()).await;
    assert_eq!(said, Ok(Published::Routed));
    // What was late may have come, too.
    within("what is said now", async {
        while other.hear().await != "now" {}
    })
    .await;
    assert!(slow.inbox.next().now_or_never().is_none());
}

#[tokio::test]
async fn what_is_on_its_way_is_confirmed_though_the_queue_is_lost() {
    let server = RabbitMq::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let through = through(&server, &proxy);
    let mut a = Member::join(&through).await;
    let mut b = Member::join(&server.url()).await;
    let queue = queue_of(&server, &a.id).await;
    proxy.set_where(PUBLISHES, Fault::StallAnswers);
    // Begun before, since RabbitMQ's tool takes its time, and a confirmation has 5 s.
    let mut deleted = server.delete_queue(&queue[0]).boxed();
    assert!(deleted.as_mut().now_or_never().is_none());
    let data = Bytes::from_static(b"said");
    let mut said = a.broker.publish(&Topic::All, data).boxed();
    // Its confirmation is held back.
    tokio::select! {
        outcome = &mut said => unreachable!("{outcome:?}"),
        heard = b.hear() => assert_eq!(heard, "said"),
    }
    let events = &mut a.events;
    let passes = async {
        let is_down = |event| matches!(event, Some(BrokerEvent::Down { .. }));
        while !is_down(events.next().await) {}
        proxy.set(Fault::None);
    };
    let (outcome, (), deleted) = within("the outcome", async {
        futures::join!(said, passes, deleted)
    })
    .await;
    deleted.unwrap();
    assert_eq!(outcome.unwrap(), Published::Routed);
    let up = |event: &BrokerEvent| *event == BrokerEvent::Up;
    a.until("the link to be up", up).await;
    until("the new queue is there", async || {
        let anew = queue_of(&server, &a.id).await;
        anew.len() == 1 && anew != queue
    })
    .await;
}

/// The URL of a server by way of a proxy.
fn through(server: &RabbitMq, proxy: &Proxy) -> String {
    let (port, by_way) = (server.port().to_string(), proxy.port().to_string());
    server.url().replace(&port, &by_way)
}
