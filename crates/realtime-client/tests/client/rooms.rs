//! Rooms: in them, again after each connection, with all that was missed, or with the word that it
//! can't be had.

use futures::StreamExt;
use realtime::{Builder, Json, Router, history::Retention, room::RoomRule};
use realtime_client::{Membership, RequestError, RoomEvent};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    wait::{until, within},
};
use serde_json::json;

use super::{
    SECOND, quick,
    scripted::{Peer, Scripted},
    server::Server,
};

fn builder() -> Builder {
    let kept = Retention::new(5, 600 * SECOND).unwrap();
    let kept = RoomRule::open()
        .history(kept)
        .publish("said")
        .announce("who");
    let router = Router::new()
        .room("kept:{name}", kept)
        .room("plain:{name}", RoomRule::open());
    realtime::builder().router(router)
}

async fn next(room: &mut Membership) -> RoomEvent {
    within("an event of the room", room.next())
        .await
        .expect("an event")
}

/// The next message on the route `n`, or what else it is.
async fn number(room: &mut Membership) -> u64 {
    loop {
        match next(room).await {
            RoomEvent::Message(message) if message.route() == "n" => {
                return message.decode().unwrap();
            }
            RoomEvent::Message(_) => {}
            other => panic!("expected a message; got {other:?}"),
        }
    }
}

async fn send(server: &Server, room: &str, numbers: std::ops::Range<u64>) {
    for n in numbers {
        server.gateway.room(room).send("n", Json(n)).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_missed_comes_after_a_reconnect_or_is_said_to_be_lost() {
    let server = Server::start(builder()).await;
    let proxy = Proxy::start(server.port()).await;
    let client = quick(proxy.port()).connect().unwrap();
    let mut kept = client.room("kept:a").join().await.unwrap();
    let mut plain = client.room("plain:a").join().await.unwrap();
    send(&server, "kept:a", 0..2).await;
    assert_eq!((number(&mut kept).await, number(&mut kept).await), (0, 1));

    let away = async |numbers| {
        proxy.set(Fault::Refuse);
        proxy.reset();
        until("the session is gone", async || {
            server.gateway.stats().open == 0
        })
        .await;
        send(&server, "kept:a", numbers).await;
        proxy.set(Fault::None);
    };
    away(2..5).await;
    for n in 2..5 {
        assert_eq!(number(&mut kept).await, n);
    }
    let missed = loop {
        match next(&mut kept).await {
            RoomEvent::Recovered { missed, .. } => break missed,
            RoomEvent::Message(message) => assert_eq!(message.route(), "who"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(missed, 3);
    assert!(matches!(next(&mut plain).await, RoomEvent::Lost));
    // More than is kept.
    away(5..20).await;
    loop {
        match next(&mut kept).await {
            RoomEvent::Lost => break,
            RoomEvent::Message(message) => assert_eq!(message.route(), "who"),
            other => panic!("{other:?}"),
        }
    }
    send(&server, "kept:a", 20..21).await;
    assert_eq!(number(&mut kept).await, 20);
    assert_eq!(kept.position().unwrap().offset, 21);
}

#[tokio::test]
async fn a_position_that_was_kept_is_gone_on_from() {
    let server = Server::start(builder()).await;
    let client = quick(server.port()).connect().unwrap();
    let room = client.room("kept:a").join().await.unwrap();
    let position = room.position().cloned();
    assert!(position.is_some());
    client.close().await;
    send(&server, "kept:a", 0..3).await;
    let client = quick(server.port()).connect().unwrap();
    let mut room = client
        .room("kept:a")
        .from(position.clone())
        .join()
        .await
        .unwrap();
    assert_eq!(room.position(), position.as_ref(), "nothing was read yet");
    for n in 0..3 {
        assert_eq!(number(&mut room).await, n);
    }
    assert!(matches!(
        next(&mut room).await,
        RoomEvent::Recovered { missed: 3, .. }
    ));
}

#[tokio::test]
async fn members_publish_and_see_each_other_and_leave() {
    let server = Server::start(builder()).await;
    let client = quick(server.port()).connect().unwrap();
    let mut room = client.room("kept:a").join().await.unwrap();
    let other = client.room("kept:a").join().await.unwrap();
    for _ in 0..2 {
        room.publish_once("key-1", Json("hello")).await.unwrap();
    }
    room.publish(Json("again")).await.unwrap();
    let mut said = Vec::new();
    while said.len() < 2 {
        if let RoomEvent::Message(message) = next(&mut room).await
            && message.route() == "said"
        {
            said.push(message.decode::<String>().unwrap());
        }
    }
    assert_eq!(said, ["hello", "again"], "the same key is taken once");
    let members = room.members(0, 100).await.unwrap();
    assert_eq!((members.count, members.members.len()), (1, 1));

    let in_room = || server.gateway.local_sessions().pop().unwrap().rooms().len();
    room.leave().await.unwrap();
    assert_eq!(in_room(), 1, "another part of the program is in it");
    drop(other);
    until("it is left", async || in_room() == 0).await;
    // And may be joined again.
    let room = client.room("kept:a").join().await.unwrap();
    assert_eq!(in_room(), 1);
    room.leave().await.unwrap();
    assert_eq!(in_room(), 0);
}

#[tokio::test]
async fn who_may_not_join_hears_it_and_a_wish_may_be_given_up() {
    let server = Server::start(builder()).await;
    let client = quick(server.port()).connect().unwrap();
    let error = client.room("other").join().await.unwrap_err();
    assert_eq!(error.refusal().unwrap().code(), "unknown_room");
    let error = client.room("").join().await.unwrap_err();
    assert!(matches!(error, RequestError::Encode(_)), "{error:?}");
    // A wish that is given up is none.
    let mut joining = Box::pin(client.room("plain:b").join());
    assert!(futures::poll!(&mut joining).is_pending());
    drop(joining);
    let rooms = || server.gateway.local_sessions().pop().unwrap().rooms().len();
    until("it is in no room", async || rooms() == 0).await;
}

async fn joined(server: &Scripted, client: &realtime_client::Client) -> (Peer, Membership) {
    let mut peer = server.accept().await;
    let answering = async {
        let asked = peer.message().await;
        assert_eq!(
            (&asked["route"], &asked["data"]),
            (&json!("join"), &json!({"room": "a"}))
        );
        let position = json!({"position": {"epoch": "e", "offset": 3}});
        peer.send(json!({"id": asked["id"], "route": "join", "data": position}))
            .await;
    };
    let (room, ()) = tokio::join!(client.room("a").join(), answering);
    (peer, room.unwrap())
}

fn message(offset: u64) -> serde_json::Value {
    json!({"route": "n", "room": "a", "offset": offset, "data": offset})
}

#[tokio::test]
async fn a_hole_and_a_gap_are_recovered_on_the_same_connection() {
    let server = Scripted::start().await;
    let client = quick(server.port()).connect().unwrap();
    let (mut peer, mut room) = joined(&server, &client).await;
    let answer = async |peer: &mut Peer, offset: u64, missed: &[u64], at: u64| {
        let asked = peer.message().await;
        let wish = json!({"room": "a", "epoch": "e", "offset": offset});
        assert_eq!(
            (&asked["route"], &asked["data"]),
            (&json!("recover"), &wish)
        );
        let missed: Vec<_> = missed.iter().map(|offset| message(*offset)).collect();
        let position = json!({"epoch": "e", "offset": at});
        let data = json!({"recovered": true, "position": position, "missed": missed});
        peer.send(json!({"id": asked["id"], "route": "recover", "data": data}))
            .await;
    };
    // 5 is missing, and 4 comes twice.
    for offset in [4, 4, 6] {
        peer.send(message(offset)).await;
    }
    answer(&mut peer, 4, &[4, 5, 6], 6).await;
    for n in 4..7 {
        assert_eq!(number(&mut room).await, n);
    }
    assert!(matches!(
        next(&mut room).await,
        RoomEvent::Recovered { missed: 2, .. }
    ));
    // The server says that something was dropped.
    let gap = |offset: u64| json!({"missed": 1, "rooms": {"a": {"epoch": "e", "offset": offset}}});
    peer.send(json!({"route": "gap", "data": gap(6)})).await;
    peer.send(json!({"route": "gap", "data": gap(8)})).await;
    answer(&mut peer, 6, &[7, 8], 8).await;
    assert_eq!((number(&mut room).await, number(&mut room).await), (7, 8));
    assert!(matches!(
        next(&mut room).await,
        RoomEvent::Recovered { missed: 2, .. }
    ));
    peer.send(json!({"route": "removed", "data": {"room": "a"}}))
        .await;
    assert!(matches!(next(&mut room).await, RoomEvent::Removed));
    assert!(room.next().await.is_none());
}

#[tokio::test]
async fn a_refusal_for_now_is_tried_again() {
    let server = Scripted::start().await;
    let client = quick(server.port()).connect().unwrap();
    let mut peer = server.accept().await;
    let joining = client.room("a").join();
    let answering = async {
        let asked = peer.message().await;
        let error = json!({"code": "unavailable", "message": "", "temporary": true});
        peer.send(json!({"id": asked["id"], "route": "error", "data": error}))
            .await;
        let asked = peer.message().await;
        peer.send(json!({"id": asked["id"], "route": "join"})).await;
    };
    let (room, ()) = tokio::join!(joining, answering);
    assert_eq!(room.unwrap().position(), None);
}

async fn asked_to_recover(peer: &mut Peer, offset: u64) -> serde_json::Value {
    let asked = peer.message().await;
    let wish = json!({"room": "a", "epoch": "e", "offset": offset});
    assert_eq!(
        (&asked["route"], &asked["data"]),
        (&json!("recover"), &wish)
    );
    asked["id"].clone()
}

/// A server sends behind its answer what had come before it meanwhile.
#[tokio::test]
async fn what_comes_before_the_answer_to_a_recovery_comes_once() {
    let server = Scripted::start().await;
    let client = quick(server.port()).connect().unwrap();
    let (mut peer, mut room) = joined(&server, &client).await;
    let gap = json!({"missed": 1, "rooms": {"a": {"epoch": "e", "offset": 5}}});
    peer.send(json!({"route": "gap", "data": gap})).await;
    let id = asked_to_recover(&mut peer, 3).await;
    peer.send(message(4)).await;
    assert_eq!(number(&mut room).await, 4);
    let position = json!({"epoch": "e", "offset": 3});
    let data = json!({"recovered": true, "position": position, "missed": []});
    peer.send(json!({"id": id, "route": "recover", "data": data}))
        .await;
    let recovered = next(&mut room).await;
    assert!(matches!(recovered, RoomEvent::Recovered { missed: 0, .. }));
    for offset in [4, 5, 6] {
        peer.send(message(offset)).await;
    }
    assert_eq!((number(&mut room).await, number(&mut room).await), (5, 6));
}

/// A busy room is no reason to ask more often than the server bears.
#[tokio::test]
async fn a_recovery_that_is_refused_has_its_time_whatever_comes() {
    let server = Scripted::start().await;
    let client = quick(server.port()).connect().unwrap();
    let (mut peer, _room) = joined(&server, &client).await;
    peer.send(message(5)).await;
    let id = asked_to_recover(&mut peer, 3).await;
    let error =
        json!({"code": "unavailable", "message": "", "temporary": true, "retry_after": 0.5});
    peer.send(json!({"id": id, "route": "error", "data": error}))
        .await;
    let refused = std::time::Instant::now();
    for offset in 6..20 {
        peer.send(message(offset)).await;
    }
    asked_to_recover(&mut peer, 3).await;
    assert!(refused.elapsed() >= SECOND / 2, "{:?}", refused.elapsed());
}
