//! On one node: who is meant, and what becomes of them.

use std::time::Duration;

use realtime::{
    CloseCode, Config, IdentityKey, Json, SessionId, error::ControlErrorKind, room::RoomRule,
};
use realtime_testkit::wait::until;
use serde_json::json;

use super::{
    builder, counts, named, rooms, router,
    support::{Server, compressing},
};

async fn node() -> Server {
    let builder = builder().node_id("alone".parse().unwrap());
    Server::start(builder.build().unwrap()).await
}

#[tokio::test]
async fn those_who_are_meant_are_closed_and_nobody_else() {
    let server = node().await;
    let gateway = &server.gateway;
    let mut phone = named(&server, "t/ann").await;
    let mut laptop = named(&server, "t/ann").await;
    let mut bob = named(&server, "t/bob").await;
    let mut cid = named(&server, "u/cid").await;
    let ann = IdentityKey::new("ann").with_tenant("t");
    let sent = gateway.identity(&ann).send("bye", Json(1)).await;
    assert_eq!(sent.unwrap().local, 2);
    let code = CloseCode::DISCONNECTED;
    let receipt = gateway.identity(&ann).disconnect(code, "banned").await;
    let receipt = receipt.unwrap();
    assert_eq!((receipt.sessions, receipt.failed), (2, 0));
    assert_eq!(counts(&receipt), [("alone", 2)]);
    assert!(receipt.is_complete());
    // What was sent before comes first.
    for client in [&mut phone, &mut laptop] {
        assert_eq!(client.recv_json().await.unwrap()["route"], "bye");
        let expected = (3503, "banned".to_owned());
        assert_eq!(client.closed().await, Some(expected));
    }
    // To say it again is harmless.
    let again = gateway.identity(&ann).disconnect(code, "banned").await;
    assert_eq!(again.unwrap().sessions, 0);

    let all = gateway
        .tenant("t")
        .except(IdentityKey::new("bob").with_tenant("t"));
    assert_eq!(all.disconnect(code, "").await.unwrap().sessions, 0);
    assert!(rooms(&mut bob).await.is_empty());
    let receipt = gateway.tenant("t").disconnect(code, "x".repeat(500)).await;
    assert_eq!(receipt.unwrap().sessions, 1);
    assert_eq!(bob.closed().await.unwrap().1.len(), 123);
    let id: SessionId = {
        let answer = cid.request("id", json!(null)).await.unwrap();
        serde_json::from_value(answer["data"].clone()).unwrap()
    };
    let receipt = gateway.session(id).except(id).disconnect(code, "").await;
    assert_eq!(receipt.unwrap().sessions, 0);
    let sent = gateway.session(id).send("hi", Json(1)).await.unwrap();
    assert_eq!(sent.local, 1);
    assert_eq!(cid.recv_json().await.unwrap()["route"], "hi");
    let receipt = gateway.session(id).disconnect(code, "you").await;
    assert_eq!(receipt.unwrap().sessions, 1);
    assert_eq!(cid.closed().await.unwrap().1, "you");
    until("all have left", async || gateway.stats().open == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn rooms_are_joined_and_left_as_sessions_do_it() {
    let mut config = Config::default();
    config.max_rooms_per_session = 2;
    let server = Server::start(compressing(builder().config(config)).build().unwrap()).await;
    let gateway = &server.gateway;
    let (mut ann, mut bob) = (named(&server, "ann").await, named(&server, "bob").await);
    let joined = gateway.everybody().join("a").await.unwrap();
    assert_eq!((joined.sessions, joined.failed), (2, 0));
    let sent = gateway.room("a").send("n", Json(1)).await.unwrap();
    assert_eq!(sent.local, 2);
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.recv_json().await.unwrap()["room"], "a");
    }
    let key = IdentityKey::new("ann");
    gateway.identity(&key).join("b").await.unwrap();
    // She is in two rooms, as many as she may be in.
    let joined = gateway.rooms(["a", "b"]).join("c").await.unwrap();
    assert_eq!((joined.sessions, joined.failed), (2, 1));
    assert!(joined.is_complete());
    let again = gateway.room("a").join("a").await.unwrap();
    assert_eq!((again.sessions, again.failed), (2, 0));
    assert_eq!(rooms(&mut ann).await, ["a", "b"]);
    let left = gateway.rooms(["a", "b"]).except(&key).leave("a").await;
    assert_eq!(left.unwrap().sessions, 1);
    assert_eq!(rooms(&mut ann).await, ["a", "b"]);
    assert_eq!(rooms(&mut bob).await, ["c"]);
    assert_eq!(gateway.everybody().leave("a").await.unwrap().sessions, 2);
    assert_eq!(rooms(&mut ann).await, ["b"]);
    server.stop().await;
}

#[tokio::test]
async fn who_is_removed_from_a_room_that_it_may_ask_for_is_told() {
    let router = router().room("open:{n}", RoomRule::open());
    let server = Server::start(builder().router(router).build().unwrap()).await;
    let gateway = &server.gateway;
    let (mut ann, mut bob) = (named(&server, "ann").await, named(&server, "bob").await);
    let joined = ann
        .request("join", json!({"room": "open:1"}))
        .await
        .unwrap();
    assert!(joined.get("error").is_none(), "{joined}");
    gateway.everybody().join("hers").await.unwrap();
    assert_eq!(rooms(&mut ann).await, ["hers", "open:1"]);
    for room in ["hers", "open:1"] {
        gateway.everybody().leave(room).await.unwrap();
    }
    // The first room is the server's own affair, and only she was in the second.
    let told = json!({"route": "removed", "data": {"room": "open:1"}});
    assert_eq!(ann.recv_json().await.unwrap(), told);
    gateway.everybody().send("end", ()).await.unwrap();
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.recv_json().await.unwrap()["route"], "end");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_nothing_is_done() {
    let server = node().await;
    let gateway = &server.gateway;
    let mut ann = named(&server, "ann").await;
    let code = CloseCode::DISCONNECTED;
    let kind = |result: Result<_, realtime::error::ControlError>| result.unwrap_err().kind();
    let nowhere = gateway.room("").disconnect(code, "").await;
    assert_eq!(kind(nowhere), ControlErrorKind::InvalidTarget);
    let keyed = gateway.everybody().idempotency_key("a".parse().unwrap());
    let keyed = keyed.disconnect(code, "").await;
    assert_eq!(kind(keyed), ControlErrorKind::InvalidTarget);
    let unnamed = gateway.everybody().join("").await;
    assert_eq!(kind(unnamed), ControlErrorKind::InvalidRoom);
    let unnamed = gateway.everybody().leave("x".repeat(257)).await;
    assert_eq!(kind(unnamed), ControlErrorKind::InvalidRoom);
    assert!(rooms(&mut ann).await.is_empty());
    // Without time this node may not be done either, and is missing then.
    let at_once = gateway.everybody().within(Duration::ZERO);
    let receipt = at_once.leave("a").await.unwrap();
    assert_eq!(receipt.nodes.len() + receipt.missing.len(), 1);
    let gateway = gateway.clone();
    server.stop().await;
    let closed = gateway.everybody().disconnect(code, "").await;
    assert_eq!(kind(closed), ControlErrorKind::Closed);
}
