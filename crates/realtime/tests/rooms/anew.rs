//! A history begins anew while messages go on: every member is told before the first of them.

use std::time::Duration;

use futures::future::join_all;
use realtime::{
    Gateway, Identity, Json,
    broker::LocalBroker,
    history::{History, MemoryHistory, Retention},
    presence::MemoryPresence,
    room::RoomName,
};
use realtime_testkit::memory::{TestClient, connect};
use serde_json::{Value, json};

use super::history::builder;

/// So many that it takes a moment to tell all.
const MEMBERS: usize = 400;
const ROUNDS: u64 = 12;

struct Shared {
    broker: LocalBroker,
    presence: MemoryPresence,
    history: MemoryHistory,
}

impl Shared {
    async fn node(&self, id: &str) -> Gateway {
        let builder = builder(100_000)
            .queue_messages(100_000)
            .node_id(id.parse().unwrap());
        let builder = builder.broker(self.broker.clone());
        let builder = builder.presence(self.presence.clone());
        let gateway = builder.history(self.history.clone()).build().unwrap();
        gateway.start().await.unwrap();
        gateway
    }
}

async fn member(gateway: &Gateway) -> TestClient {
    let client = connect(gateway, Identity::anonymous()).await.unwrap();
    client.session(gateway).unwrap().join("a").await.unwrap();
    client
}

/// Takes what comes up to the last message of this round. Returns whether a gap came first.
async fn is_told_first(client: &mut TestClient, round: u64) -> bool {
    let mut told = false;
    loop {
        let message = client.receive().await.unwrap();
        match message.route() {
            "gap" => told = true,
            _ if !told => return false,
            _ if message.decode::<(u64, bool)>().unwrap() == (round, true) => return true,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_told_before_a_message_of_the_new_life_of_a_history_comes() {
    let shared = Shared {
        broker: LocalBroker::new(),
        presence: MemoryPresence::new(),
        history: MemoryHistory::new(),
    };
    let (here, there) = (shared.node("here").await, shared.node("there").await);
    let mut members = join_all((0..MEMBERS).map(|_| member(&here))).await;
    let room = RoomName::try_from("a").unwrap();
    let retention = Retention::new(100_000, Duration::from_secs(600)).unwrap();
    for round in 0..ROUNDS {
        shared.history.remove(&room).await.unwrap();
        let begun = shared.history.position(&room, retention).await.unwrap();
        let send = async |is_last: bool| {
            let sent = there.room("a").send("n", Json((round, is_last))).await;
            sent.unwrap();
        };
        // It knows of the new life before the node does.
        let back = {
            let here = here.clone();
            let (epoch, offset) = (begun.epoch.to_string(), begun.offset);
            let data = json!({"room": "a", "epoch": epoch, "offset": offset});
            tokio::spawn(async move {
                let mut client = connect(&here, Identity::anonymous()).await.unwrap();
                let answer = client.request("recover", Json(data)).await.unwrap();
                let answer: Value = answer.decode().unwrap();
                assert_eq!(answer["recovered"], true, "{answer}");
            })
        };
        while !back.is_finished() {
            send(false).await;
            tokio::task::yield_now().await;
        }
        back.await.unwrap();
        send(true).await;
        let told = members
            .iter_mut()
            .map(|member| is_told_first(member, round));
        let untold = join_all(told).await.iter().filter(|told| !**told).count();
        assert_eq!(untold, 0, "in round {round}");
    }
    here.shutdown().await;
    there.shutdown().await;
}
