//! Who sends numbered messages to all rooms.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime::{Gateway, Json};
use realtime_testkit::client::{Client, Request};
use serde_json::json;
use tokio::task::JoinHandle;

use super::{
    book::{ROOMS, Sent, is_kept},
    member::Shared,
};

/// Before what has failed is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// How much is sent.
#[derive(Debug, Clone)]
pub(super) struct Load {
    /// After one message to each room.
    pub(super) pause: Duration,
    /// Set when it is to end.
    pub(super) enough: Arc<AtomicBool>,
}

pub(super) type SentAll = [Sent; ROOMS.len()];

fn key(publisher: usize, room: usize, n: u64) -> String {
    format!("{publisher} {room} {n}")
}

/// Sends from a node. What a history didn't take is sent again, under its key.
pub(super) fn from_node(
    publisher: usize,
    gateway: Gateway,
    shared: Arc<Shared>,
    load: Load,
) -> JoinHandle<SentAll> {
    let send = async move |room: usize, n: u64| {
        let mut to = gateway.room(ROOMS[room]);
        if is_kept(room) {
            to = to.idempotency_key(key(publisher, room, n).parse().unwrap());
        }
        to.send("n", Json((publisher, n))).await.is_ok()
    };
    tokio::spawn(async move {
        let mut sent = SentAll::default();
        for n in 1.. {
            if load.enough.load(SeqCst) {
                break;
            }
            for (room, sent) in sent.iter_mut().enumerate() {
                shared.progress.begins(room, (publisher, n));
                sent.count = n;
                let mut has_sent = send(room, n).await;
                if !has_sent && !is_kept(room) {
                    sent.failed.insert(n);
                    has_sent = true;
                }
                while !has_sent {
                    sent.repeated.insert(n);
                    tokio::time::sleep(AGAIN).await;
                    has_sent = send(room, n).await;
                }
            }
            tokio::time::sleep(load.pause).await;
        }
        sent
    })
}

/// A client that publishes, and goes to the next node when its connection ends.
pub(super) fn from_client(
    publisher: usize,
    shared: Arc<Shared>,
    load: Load,
) -> JoinHandle<SentAll> {
    tokio::spawn(async move {
        let mut sent = SentAll::default();
        let mut client = None;
        for n in 1.. {
            if load.enough.load(SeqCst) {
                break;
            }
            for (room, sent) in sent.iter_mut().enumerate() {
                shared.progress.begins(room, (publisher, n));
                sent.count = n;
                let mut data = json!({"room": ROOMS[room], "data": (publisher, n)});
                if is_kept(room) {
                    data["key"] = json!(key(publisher, room, n));
                }
                loop {
                    let mut open = match client.take() {
                        Some(open) => open,
                        None => come_back(publisher, &shared).await,
                    };
                    match open.request("publish", data.clone()).await {
                        Ok(answer) if answer["route"] != "error" => {
                            client = Some(open);
                            break;
                        }
                        Ok(answer) => {
                            assert_eq!(answer["data"]["temporary"], true, "{answer}");
                            client = Some(open);
                        }
                        Err(_) => {}
                    }
                    if !is_kept(room) {
                        sent.failed.insert(n);
                        break;
                    }
                    sent.repeated.insert(n);
                    tokio::time::sleep(AGAIN).await;
                }
            }
            tokio::time::sleep(load.pause).await;
        }
        sent
    })
}

/// Publishing is for members.
async fn come_back(publisher: usize, shared: &Shared) -> Client {
    loop {
        let node = {
            let nodes = shared.nodes.lock().unwrap();
            nodes[publisher % nodes.len()]
        };
        if let Ok(client) = enter(publisher, node).await {
            return client;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn enter(
    publisher: usize,
    node: std::net::SocketAddr,
) -> Result<Client, realtime_testkit::client::ClientError> {
    let request = Request::new(format!("/ws?publisher-{publisher}"));
    let mut client = request.connect(node).await?;
    for room in ROOMS {
        let answer = client.request("join", json!({"room": room})).await?;
        if answer["route"] == "error" {
            return Err(std::io::Error::other(answer.to_string()).into());
        }
    }
    Ok(client)
}
