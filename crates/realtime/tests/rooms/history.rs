//! Who comes back gets what it has missed, in order and each once, or learns that it can't be had.

use std::time::Duration;

use realtime::{
    Backpressure, Builder, Gateway, Json, Router,
    broker::LocalBroker,
    error::BuildErrorKind,
    history::{History, MemoryHistory, Retention},
    node::NodeId,
    presence::MemoryPresence,
    room::{RoomName, RoomRule},
};
use realtime_testkit::client::Client;
use serde_json::{Value, json};

use super::support::Server;

pub(super) fn builder(messages: usize) -> Builder {
    let retention = Retention::new(messages, Duration::from_secs(600)).unwrap();
    let rule = RoomRule::open().history(retention).publish("said");
    let router = Router::new().room("{room}", rule);
    crate::support::builder().router(router)
}

async fn ask(client: &mut Client, route: &str, data: Value) -> Value {
    let question = json!({"id": 1, "route": route, "data": data});
    client.send_text(&question.to_string()).await.unwrap();
    // That a link was cut is told to whoever is there by then, in whatever room.
    let answer = loop {
        let message = client.recv_json().await.unwrap();
        if message["route"] != "gap" {
            break message;
        }
    };
    assert_eq!(
        (&answer["id"], &answer["route"]),
        (&json!(1), &json!(route)),
        "{answer}"
    );
    answer["data"].clone()
}

/// A client that remembers where it is.
pub(super) struct Reader {
    pub(super) client: Client,
    pub(super) position: Value,
    pub(super) got: Vec<(u64, Value)>,
}

impl Reader {
    pub(super) async fn join(server: &Server) -> Self {
        let mut client = server.connect().await;
        let answer = ask(&mut client, "join", json!({"room": "a"})).await;
        Self {
            client,
            position: answer["position"].clone(),
            got: Vec::new(),
        }
    }

    fn take(&mut self, message: &Value) {
        assert_eq!(message["room"], "a", "{message}");
        let offset = message["offset"].as_u64().unwrap();
        assert_eq!(
            offset,
            self.position["offset"].as_u64().unwrap() + 1,
            "{message}"
        );
        self.position["offset"] = json!(offset);
        self.got.push((offset, message["data"].clone()));
    }

    pub(super) async fn next(&mut self) {
        let message = self.message().await;
        self.take(&message);
    }

    /// The next message of the room. That something was lost on its way is told as well, and is read
    /// from the history.
    async fn message(&mut self) -> Value {
        loop {
            let message = self.client.recv_json().await.unwrap();
            if message["route"] != "gap" {
                return message;
            }
        }
    }

    /// Comes back on this node. Returns whether it has recovered.
    pub(super) async fn come_back(&mut self, server: &Server) -> bool {
        self.client = server.connect().await;
        self.recover().await
    }

    pub(super) async fn recover(&mut self) -> bool {
        let (epoch, offset) = (&self.position["epoch"], &self.position["offset"]);
        let data = json!({"room": "a", "epoch": epoch, "offset": offset});
        let answer = ask(&mut self.client, "recover", data).await;
        let recovered = answer["recovered"].as_bool().unwrap();
        let missed = answer["missed"].as_array().unwrap().clone();
        if recovered {
            missed.iter().for_each(|message| self.take(message));
        }
        assert!(recovered || missed.is_empty());
        if recovered {
            assert_eq!(answer["position"], self.position);
        }
        self.position = answer["position"].clone();
        recovered
    }
}

pub(super) async fn send(gateway: &Gateway, data: u64) {
    gateway.room("a").send("n", Json(data)).await.unwrap();
}

#[tokio::test]
async fn who_comes_back_gets_what_it_has_missed_and_then_what_follows() {
    let server = Server::start(builder(100).build().unwrap()).await;
    let gateway = &server.gateway;
    send(gateway, 0).await;
    let mut ann = Reader::join(&server).await;
    assert_eq!(
        ann.position["offset"], 1,
        "what was sent before doesn't come"
    );
    send(gateway, 1).await;
    ann.next().await;
    ann.client.close(1000, "").await.unwrap();
    for n in 2..10 {
        send(gateway, n).await;
    }
    assert!(ann.come_back(&server).await);
    send(gateway, 10).await;
    ann.next().await;
    let data: Vec<u64> = ann
        .got
        .iter()
        .map(|(_, data)| data.as_u64().unwrap())
        .collect();
    assert_eq!(data, (1..=10).collect::<Vec<_>>());
    // Nothing is missing.
    assert!(ann.come_back(&server).await);
    assert!(ann.recover().await, "without coming back");
    send(gateway, 11).await;
    ann.next().await;
    server.stop().await;
}

#[tokio::test]
async fn what_cant_be_had_any_more_is_said_and_the_client_goes_on_from_there() {
    let history = MemoryHistory::new();
    let server = Server::start(builder(5).history(history.clone()).build().unwrap()).await;
    let gateway = &server.gateway;
    let mut ann = Reader::join(&server).await;
    for n in 0..6 {
        send(gateway, n).await;
    }
    assert!(!ann.come_back(&server).await, "one too many");
    send(gateway, 6).await;
    ann.next().await;

    history
        .remove(&RoomName::try_from("a").unwrap())
        .await
        .unwrap();
    assert!(!ann.come_back(&server).await, "another life of the history");
    send(gateway, 7).await;
    let message = loop {
        let message = ann.client.recv_json().await.unwrap();
        if message["route"] == "n" {
            break message;
        }
        assert_eq!(message["route"], "gap", "the room has begun anew");
    };
    assert_eq!(
        (&message["data"], &message["offset"]),
        (&json!(7), &json!(1))
    );

    let odd = json!({"room": "a", "epoch": "never", "offset": 0});
    assert_eq!(
        ask(&mut ann.client, "recover", odd).await["recovered"],
        false
    );
    for wrong in [
        json!({"room": "a", "epoch": "no epoch", "offset": 0}),
        json!({"room": "a", "epoch": "x", "offset": -1}),
        json!({"room": "a"}),
    ] {
        let question = json!({"id": 1, "route": "recover", "data": wrong});
        ann.client.send_text(&question.to_string()).await.unwrap();
        let answer = ann.client.recv_json().await.unwrap();
        assert_eq!(answer["data"]["code"], "bad_data", "{wrong}");
    }
    server.stop().await;
}

#[tokio::test]
async fn who_knows_of_a_new_life_of_the_history_before_its_node_recovers_from_it() {
    let history = MemoryHistory::new();
    let server = Server::start(builder(5).history(history.clone()).build().unwrap()).await;
    let mut ann = Reader::join(&server).await;
    let room = RoomName::try_from("a").unwrap();
    history.remove(&room).await.unwrap();
    // Another node has begun it anew, and its client comes here.
    let retention = Retention::new(5, Duration::from_secs(600)).unwrap();
    let position = history.position(&room, retention).await.unwrap();
    let mut bob = server.connect().await;
    let (epoch, offset) = (position.epoch.as_str(), position.offset);
    let data = json!({"room": "a", "epoch": epoch, "offset": offset});
    assert_eq!(ask(&mut bob, "recover", data).await["recovered"], true);
    assert_eq!(ann.client.recv_json().await.unwrap()["route"], "gap");
    send(&server.gateway, 1).await;
    for client in [&mut ann.client, &mut bob] {
        let message = client.recv_json().await.unwrap();
        assert_eq!(
            (&message["data"], &message["offset"]),
            (&json!(1), &json!(1))
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_is_sent_twice_with_one_key_comes_once() {
    let server = Server::start(builder(100).build().unwrap()).await;
    let mut ann = Reader::join(&server).await;
    for n in [1, 1, 2] {
        let audience = server.gateway.room("a");
        let key = format!("key {n}").parse().unwrap();
        audience
            .idempotency_key(key)
            .send("n", Json(n))
            .await
            .unwrap();
    }
    let publish = json!({"room": "a", "data": 3, "key": "key 3"});
    ann.client.send("publish", publish.clone()).await.unwrap();
    ann.client.send("publish", publish).await.unwrap();
    for n in 1..=3 {
        ann.next().await;
        assert_eq!(ann.got[n - 1].1, json!(n));
    }
    assert!(ann.come_back(&server).await);
    assert_eq!(ann.got.len(), 3);
    server.stop().await;
}

#[tokio::test]
async fn who_was_left_out_is_so_when_it_comes_back() {
    let server = Server::start(builder(100).build().unwrap()).await;
    let mut ann = server.connect().await;
    let position = ask(&mut ann, "join", json!({"room": "a"})).await["position"].clone();
    let (gateway, anonymous) = (
        &server.gateway,
        realtime::Identity::anonymous().key().clone(),
    );
    gateway
        .room("a")
        .except(&anonymous)
        .send("n", Json(1))
        .await
        .unwrap();
    gateway.room("a").send("n", Json(2)).await.unwrap();
    assert_eq!(ann.recv_json().await.unwrap()["data"], 2);
    let data = json!({"room": "a", "epoch": position["epoch"], "offset": 0});
    let answer = ask(&mut ann, "recover", data).await;
    let missed: Vec<&Value> = answer["missed"].as_array().unwrap().iter().collect();
    assert_eq!(missed.len(), 1, "{answer}");
    assert_eq!(missed[0]["offset"], 2);
    server.stop().await;
}

/// Two nodes that share a history.
async fn nodes(messages: usize) -> [Server; 2] {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let history = MemoryHistory::new();
    let mut servers = Vec::new();
    for id in ["a", "b"] {
        let id: NodeId = id.parse().unwrap();
        let builder = builder(messages).node_id(id).broker(broker.clone());
        let builder = builder.history(history.clone());
        let gateway = builder.presence(presence.clone()).build().unwrap();
        gateway.start().await.unwrap();
        servers.push(Server::start(gateway).await);
    }
    servers.try_into().ok().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_comes_and_goes_while_two_nodes_send_misses_nothing() {
    let servers = nodes(100_000).await;
    nobody_misses_anything(&servers, 1_500, async |_| {}).await;
    for server in servers {
        server.stop().await;
    }
}

/// Both nodes send, one client comes and goes between them, and another stays. `disturb` is done
/// each time that the one has come back.
pub(super) async fn nobody_misses_anything(
    servers: &[Server; 2],
    messages: u64,
    disturb: impl AsyncFn(usize),
) {
    let mut reader = Reader::join(&servers[0]).await;
    let mut stays = Reader::join(&servers[1]).await;
    let senders = [0, 1].map(|node| {
        let gateway = servers[node].gateway.clone();
        tokio::spawn(async move {
            for n in 0..messages {
                send(&gateway, n * 2 + node as u64).await;
            }
        })
    });
    let all = 2 * messages as usize;
    let mut back = 0;
    while reader.got.len() < all {
        for _ in 0..fastrand::usize(..60) {
            if reader.got.len() < all {
                reader.next().await;
            }
        }
        assert!(reader.come_back(&servers[back % 2]).await);
        back += 1;
        disturb(back).await;
    }
    while stays.got.len() < all {
        stays.next().await;
    }
    assert_eq!(reader.got, stays.got);
    for node in [0, 1] {
        let of_node = reader.got.iter().map(|(_, data)| data.as_u64().unwrap());
        let of_node: Vec<u64> = of_node.filter(|n| n % 2 == node).collect();
        let expected: Vec<u64> = (0..messages).map(|n| n * 2 + node).collect();
        assert_eq!(of_node, expected, "in its order");
    }
    for sender in senders {
        sender.await.unwrap();
    }
}

#[test]
fn nodes_with_a_broker_need_a_history_that_they_share() {
    let error = builder(1).broker(LocalBroker::new()).build().unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::InvalidOption);
    assert!(error.to_string().contains("history"), "{error}");
}

/// Under a policy that drops, on the connection that has lost something.
#[tokio::test]
async fn who_was_too_slow_is_told_where_the_room_is_and_recovers() {
    const SENT: u64 = 400;
    let builder = builder(1_000).backpressure(Backpressure::DropOldest);
    let server = Server::start(builder.queue_messages(8).build().unwrap()).await;
    let mut ann = Reader::join(&server).await;
    let filler = "x".repeat(32 << 10);
    for n in 1..=SENT {
        let message = Json(json!([n, filler]));
        server.gateway.room("a").send("n", message).await.unwrap();
    }
    assert!(server.gateway.stats().dropped > 0);
    let (mut last, mut told) = (0, None);
    while last < SENT {
        let message = ann.client.recv_json().await.unwrap();
        if message["route"] == "gap" {
            told = Some(message["data"]["rooms"]["a"].clone());
            continue;
        }
        let offset = message["offset"].as_u64().unwrap();
        if told.is_none() {
            assert_eq!(offset, last + 1, "a hole that nobody has told of");
            ann.take(&message);
        }
        last = offset;
    }
    let told = told.unwrap();
    assert_eq!(told["epoch"], ann.position["epoch"]);
    assert!(
        told["offset"].as_u64() > ann.position["offset"].as_u64(),
        "{told}"
    );
    assert!(ann.recover().await);
    assert_eq!(ann.got.len() as u64, SENT);
    send(&server.gateway, 1).await;
    ann.next().await;
    server.stop().await;
}
