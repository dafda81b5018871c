//! Many rooms: entered some at a time, and in nobody's way.

use std::collections::VecDeque;

use realtime_client::Membership;
use realtime_testkit::wait::within;
use serde_json::{Value, json};

use super::{
    quick,
    scripted::{Peer, Scripted},
};

const ROOMS: usize = 50;
/// How many the client enters at once.
const AT_ONCE: usize = 32;

async fn let_in(peer: &mut Peer, asked: &Value) {
    peer.send(json!({"id": asked["id"], "route": asked["route"]}))
        .await;
}

async fn asked(peer: &mut Peer, route: &str) -> Value {
    let asked = peer.message().await;
    assert_eq!(asked["route"], route, "{asked}");
    asked
}

/// The client enters so many rooms, and no more until these are answered; what its user asks goes
/// past them.
async fn enter_all(client: &realtime_client::Client, peer: &mut Peer) {
    let mut open = VecDeque::new();
    for _ in 0..AT_ONCE {
        open.push_back(asked(peer, "join").await);
    }
    let answering = async {
        let asked = asked(peer, "price").await;
        peer.send(json!({"id": asked["id"], "data": 2})).await;
    };
    let (price, ()) = tokio::join!(client.ask::<u8>("price", "tea"), answering);
    assert_eq!(price.unwrap(), 2);
    let mut left = ROOMS - AT_ONCE;
    while let Some(next) = open.pop_front() {
        let_in(peer, &next).await;
        if left > 0 {
            left -= 1;
            open.push_back(asked(peer, "join").await);
        }
    }
}

#[tokio::test]
async fn rooms_are_entered_some_at_a_time_and_take_no_place_of_requests() {
    let server = Scripted::start().await;
    let client = quick(server.port()).max_requests(2).connect().unwrap();
    let mut peer = server.accept().await;
    peer.send(json!({"route": "welcome"})).await;
    within("a connection", client.online()).await.unwrap();
    let joining = (0..ROOMS).map(|n| {
        let room = client.room(format!("r{n}"));
        tokio::spawn(async move { room.join().await.unwrap() })
    });
    let joining: Vec<_> = joining.collect();
    enter_all(&client, &mut peer).await;
    let mut rooms: Vec<Membership> = Vec::new();
    for joining in joining {
        rooms.push(within("a room", joining).await.unwrap());
    }
    // Again after a reconnect.
    drop(peer);
    let mut peer = server.accept().await;
    peer.send(json!({"route": "welcome"})).await;
    enter_all(&client, &mut peer).await;
    // One that is left while others wait is left, and takes no place either.
    let room = rooms.pop().unwrap();
    let leaving = async {
        let asked = asked(&mut peer, "leave").await;
        let_in(&mut peer, &asked).await;
    };
    let (left, ()) = tokio::join!(room.leave(), leaving);
    left.unwrap();
}

#[tokio::test]
async fn a_room_is_left_however_much_is_asked() {
    let server = Scripted::start().await;
    let client = quick(server.port()).max_requests(1).connect().unwrap();
    let mut peer = server.accept().await;
    peer.send(json!({"route": "welcome"})).await;
    let entering = async {
        let asked = asked(&mut peer, "join").await;
        let_in(&mut peer, &asked).await;
    };
    let (room, ()) = tokio::join!(client.room("a").join(), entering);
    let mut question = Box::pin(client.request("price", ()));
    assert!(futures::poll!(&mut question).is_pending());
    asked(&mut peer, "price").await;
    let leaving = async {
        let asked = asked(&mut peer, "leave").await;
        let_in(&mut peer, &asked).await;
    };
    let (left, ()) = tokio::join!(room.unwrap().leave(), leaving);
    left.unwrap();
}
