//! A node that was cut off from the others can't know what was sent to its rooms: who may have lost
//! something is told.

use std::{sync::Mutex, time::Duration};

use axum::body::Bytes;
use futures::StreamExt;
use realtime::{
    Json, Router,
    broker::{
        Broker, BrokerError, BrokerEvent, BrokerEvents, BrokerLimits, Join, LocalBroker, Published,
        Subscription, Topic, TopicName,
    },
    history::{MemoryHistory, Retention},
    room::RoomRule,
};
use realtime_testkit::client::Client;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::support::Server;

/// A broker whose link goes down and up as the test says.
struct Shaky {
    inner: LocalBroker,
    happens: Mutex<Option<UnboundedReceiver<BrokerEvent>>>,
}

impl Broker for Shaky {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        self.inner.subscribe(join).await
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.inner.join(topic).await
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.inner.leave(topic).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        self.inner.publish(topic, data).await
    }

    fn limits(&self) -> BrokerLimits {
        self.inner.limits()
    }

    fn events(&self) -> BrokerEvents {
        let mut happens = self.happens.lock().unwrap().take().unwrap();
        let next = futures::stream::poll_fn(move |cx| happens.poll_recv(cx));
        BrokerEvents::new(next.chain(futures::stream::pending()))
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

async fn joined(server: &Server, rooms: &[&str]) -> Client {
    let mut client = server.connect().await;
    for room in rooms {
        let answer = client.request("join", json!({"room": room})).await.unwrap();
        assert_eq!(answer["route"], "join", "{answer}");
    }
    client
}

/// The next message is this one.
async fn gets(client: &mut Client, route: &str) {
    assert_eq!(client.recv_json().await.unwrap()["route"], route);
}

#[tokio::test]
async fn who_is_in_a_room_without_a_history_is_told_once_the_node_is_back() {
    let (make, happens) = unbounded_channel();
    let broker = Shaky {
        inner: LocalBroker::new(),
        happens: Mutex::new(Some(happens)),
    };
    let retention = Retention::new(10, Duration::from_secs(60)).unwrap();
    let router = Router::new()
        .room("kept", RoomRule::open().history(retention))
        .room("plain:{n}", RoomRule::open());
    let builder = crate::support::builder().router(router).broker(broker);
    let gateway = builder.history(MemoryHistory::new()).build().unwrap();
    gateway.start().await.unwrap();
    let server = Server::start(gateway).await;
    // On several topics, and told once.
    let mut ann = joined(&server, &["plain:1", "kept", "plain:2"]).await;
    let mut bob = joined(&server, &["kept"]).await;
    let mut eve = joined(&server, &[]).await;
    for nothing_is_lost in [
        BrokerEvent::Up,
        BrokerEvent::Blocked,
        BrokerEvent::Unblocked,
    ] {
        make.send(nothing_is_lost).unwrap();
    }
    server.gateway.everybody().send("n", Json(0)).await.unwrap();
    for client in [&mut ann, &mut bob, &mut eve] {
        gets(client, "n").await;
    }
    for n in 0..3 {
        make.send(BrokerEvent::down(format!("outage {n}"))).unwrap();
    }
    make.send(BrokerEvent::Up).unwrap();
    let gap = ann.recv_json().await.unwrap();
    assert_eq!(
        (&gap["route"], &gap["data"]["missed"]),
        (&json!("gap"), &json!(1))
    );
    server.gateway.everybody().send("n", Json(1)).await.unwrap();
    for client in [&mut ann, &mut bob, &mut eve] {
        gets(client, "n").await;
    }
    server.stop().await;
}
