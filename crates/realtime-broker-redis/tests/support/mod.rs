//! What the tests of faults share: members, and books of what each of them was sent.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream::SelectAll};
use realtime_broker_redis::{RedisBroker, RedisBrokerConfig};
use realtime_core::{
    Incarnation, NodeId,
    broker::{
        Broker, BrokerErrorKind, BrokerEvent, BrokerEvents, Join, NodeInfo, Published,
        Subscription, Topic,
    },
};
use realtime_testkit::servers::Redis;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

/// How soon a fault must be noticed.
const NOTICED: Duration = Duration::from_secs(10);
/// How soon the link must be back once Redis is.
const BACK: Duration = Duration::from_secs(3);
/// What a busy test machine may add to either.
const SLACK: Duration = Duration::from_secs(3);
/// For how long nothing may come before the books balance.
const BALANCED: Duration = Duration::from_secs(60);

pub(crate) struct Member {
    pub(crate) broker: RedisBroker,
    pub(crate) id: NodeId,
    pub(crate) inbox: Subscription,
    pub(crate) events: BrokerEvents,
    /// Those whom it knew as it joined.
    known: HashSet<NodeId>,
}

pub(crate) fn config(url: &str) -> RedisBrokerConfig {
    let builder = RedisBrokerConfig::builder(url).namespace("faults");
    builder.build().unwrap()
}

pub(crate) fn node(id: &NodeId) -> NodeInfo {
    NodeInfo::new(id.clone(), Incarnation::random())
}

impl Member {
    pub(crate) async fn join(url: &str) -> Self {
        Self::join_with(config(url)).await
    }

    pub(crate) async fn join_with(config: RedisBrokerConfig) -> Self {
        let broker = RedisBroker::new(config);
        let mut events = broker.events();
        let id = NodeId::random();
        let inbox = broker.subscribe(Join::new(node(&id))).await.unwrap();
        // Others may be heard before that.
        let mut known = HashSet::new();
        loop {
            match events.next().await {
                Some(BrokerEvent::Up) => break,
                Some(BrokerEvent::NodeUp { node, .. }) => drop(known.insert(node.id)),
                other => panic!("expected Up; got {other:?}"),
            }
        }
        Self {
            broker,
            id,
            inbox,
            events,
            known,
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

    /// Waits until it knows another member.
    pub(crate) async fn until_it_knows(&mut self, other: &Self) {
        let id = &other.id;
        if self.known.contains(id) {
            return;
        }
        let known = |event: &BrokerEvent| matches!(event, BrokerEvent::NodeUp { node, .. } if node.id == *id);
        self.until_event("the other node", SLACK, known).await;
    }

    pub(crate) async fn say_on(
        &self,
        topic: &Topic,
        data: &str,
    ) -> Result<Published, BrokerErrorKind> {
        let data = Bytes::copy_from_slice(data.as_bytes());
        // Never hangs: 2 s for its turn, 5 s to be answered.
        let said = timeout(Duration::from_secs(10), self.broker.publish(topic, data));
        said.await
            .expect("a publication ends")
            .map_err(|e| e.kind())
    }

    pub(crate) async fn say(&self, data: &str) -> Result<Published, BrokerErrorKind> {
        self.say_on(&Topic::All, data).await
    }

    /// Waits until this message arrives, whatever comes before it.
    pub(crate) async fn hears(&mut self, data: &str) {
        let heard = timeout(SLACK, async {
            while self
                .inbox
                .next()
                .await
                .expect("the subscription goes on")
                .data
                != data
            {}
        });
        assert!(heard.await.is_ok(), "waited {SLACK:?} in vain for {data:?}");
    }

    /// What one says, the other hears, for all and for itself, both ways.
    pub(crate) async fn talk(&mut self, other: &mut Self) {
        let (mine, theirs) = (Topic::Node(self.id.clone()), Topic::Node(other.id.clone()));
        assert_eq!(self.say("to all").await, Ok(Published::Routed));
        assert_eq!(self.say_on(&theirs, "to you").await, Ok(Published::Routed));
        other.hears("to all").await;
        other.hears("to you").await;
        assert_eq!(other.say("also to all").await, Ok(Published::Routed));
        assert_eq!(
            other.say_on(&mine, "also to you").await,
            Ok(Published::Routed)
        );
        self.hears("also to all").await;
        self.hears("also to you").await;
    }

    /// Keeps books of everything that is received from now on.
    pub(crate) fn books(self) -> Books {
        Books {
            broker: self.broker,
            inbox: self.inbox,
            events: futures::stream::select_all([self.events]),
            received: 0,
            missed: 0,
            last: HashMap::new(),
            outages: 0,
        }
    }
}

/// What a member has received, and what it was told that it has missed.
pub(crate) struct Books {
    pub(crate) broker: RedisBroker,
    inbox: Subscription,
    events: SelectAll<BrokerEvents>,
    pub(crate) received: u64,
    pub(crate) missed: u64,
    last: HashMap<(NodeId, Topic), u64>,
    pub(crate) outages: usize,
}

impl Books {
    /// Takes what comes next, in order and once.
    pub(crate) async fn take(&mut self) {
        tokio::select! {
            biased;
            Some(event) = self.events.next() => match event {
                BrokerEvent::Gap { missed, .. } => self.missed += missed,
                BrokerEvent::Down { .. } => self.outages += 1,
                BrokerEvent::InvalidMessage { cause, .. } => panic!("{cause}"),
                _ => {}
            },
            Some(message) = self.inbox.next() => {
                let key = (message.source, message.topic);
                let last = self.last.entry(key).or_default();
                assert!(message.seq > *last, "out of order, or twice");
                *last = message.seq;
                self.received += 1;
            }
        }
    }

    /// Waits until everything that was sent is either received or counted, and no more.
    pub(crate) async fn balance(&mut self, sent: u64) {
        while self.received + self.missed < sent {
            let took = timeout(BALANCED, self.take()).await;
            assert!(
                took.is_ok(),
                "sent {sent}; received {}, missed {}",
                self.received,
                self.missed
            );
        }
        // What comes too often comes soon.
        while timeout(Duration::from_millis(300), self.take())
            .await
            .is_ok()
        {}
        assert_eq!(self.received + self.missed, sent, "missed {}", self.missed);
    }
}

/// The connections of members.
pub(crate) async fn connections(redis: &Redis, role: &str) -> usize {
    let list = redis.command(&["CLIENT", "LIST"]).await.unwrap();
    list.lines()
        .filter(|line| line.contains("name=realtime:") && line.contains(role))
        .count()
}

/// Kills the connection of one member that has this role.
pub(crate) async fn kill(redis: &Redis, id: &NodeId, role: &str) {
    let name = format!("name=realtime:faults:{id}:{role} ");
    let list = redis.command(&["CLIENT", "LIST"]).await.unwrap();
    let line = list.lines().find(|line| line.contains(&name)).unwrap();
    let client = line.split(' ').next().unwrap().trim_start_matches("id=");
    redis
        .command(&["CLIENT", "KILL", "ID", client])
        .await
        .unwrap();
}

/// Connections go to the server that is named as they come.
pub(crate) async fn switch(to: watch::Receiver<u16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let port = *to.borrow();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    port
}
