//! Who is in a room, how they come in and go, and who gets what is sent.

use realtime::{CloseCode, IdentityKey, Json, error::DeliverErrorKind, room::RoomName};
use realtime_testkit::{client::Client, wait::until};
use serde_json::{Value, json};

use super::{ask, builder, expect_nothing, in_rooms, named, next, support::Server};

#[tokio::test]
async fn members_get_what_is_sent_and_nobody_else() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut ann = in_rooms(&server, "ann", &["a", "ä b\"\\"]).await;
    let mut bob = in_rooms(&server, "bob", &["a"]).await;
    let mut cid = named(&server, "cid").await;
    let gateway = &server.gateway;
    let delivery = gateway.room("a").send("n", Json(1)).await.unwrap();
    assert_eq!(delivery.local, 2);
    let other = RoomName::try_from("ä b\"\\").unwrap();
    let delivery = gateway.room(other).send("n", Json(2)).await.unwrap();
    assert_eq!(delivery.local, 1);
    let nobody = gateway.room("nobody").send("n", Json(3)).await.unwrap();
    assert_eq!(nobody.local, 0);
    assert_eq!(next(&mut ann).await, (Some("a".to_owned()), json!(1)));
    assert_eq!(next(&mut ann).await, (Some("ä b\"\\".to_owned()), json!(2)));
    assert_eq!(next(&mut bob).await.1, json!(1));
    for client in [&mut ann, &mut bob, &mut cid] {
        expect_nothing(client).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn only_what_is_sent_while_it_is_a_member_comes() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut ann = named(&server, "ann").await;
    server.until_open(1).await;
    let session = server.gateway.local_sessions().remove(0);
    let send = async |n: u32| {
        let sent = server.gateway.room("a").send("n", Json(n)).await;
        sent.unwrap().local
    };
    assert_eq!(send(1).await, 0);
    session.join("a").await.unwrap();
    session.join("a").await.unwrap();
    assert_eq!(send(2).await, 1, "once, though it joined twice");
    assert!(session.leave("a"));
    assert!(!session.leave("a"));
    assert_eq!(send(3).await, 0);
    session.join("a").await.unwrap();
    assert_eq!(send(4).await, 1);
    assert_eq!(next(&mut ann).await.1, json!(2));
    assert_eq!(next(&mut ann).await.1, json!(4));
    expect_nothing(&mut ann).await;
    server.stop().await;
}

#[tokio::test]
async fn a_session_leaves_its_rooms_when_it_ends() {
    let narrow = || builder().max_rooms_per_session(2).max_rooms(2);
    let server = Server::start(narrow().build().unwrap()).await;
    let mut ann = in_rooms(&server, "ann", &["a", "b"]).await;
    let mut bob = in_rooms(&server, "bob", &["a"]).await;
    assert_eq!(ask(&mut bob, "enter", json!("c")).await, "full");
    let session = server
        .gateway
        .local_sessions_of(&IdentityKey::new("ann"))
        .remove(0);
    session.close(CloseCode::DISCONNECTED, "done");
    assert_eq!(session.rooms(), [], "from the close on");
    assert!(session.join("a").await.is_err());
    let delivery = server.gateway.room("a").send("n", Json(1)).await.unwrap();
    assert_eq!(delivery.local, 1, "the other one");
    assert_eq!(next(&mut bob).await.1, json!(1));
    assert_eq!(
        ann.closed().await.unwrap().0,
        CloseCode::DISCONNECTED.as_u16()
    );
    until("the room is gone", async || {
        ask(&mut bob, "enter", json!("c")).await == "joined"
    })
    .await;
    server.stop().await;
}

/// All data that has come before the end.
async fn got(client: &mut Client) -> Vec<u64> {
    let mut got = Vec::new();
    loop {
        let message: Value = client.recv_json().await.unwrap();
        if message["route"] == "end" {
            return got;
        }
        got.push(message["data"].as_u64().unwrap());
    }
}

#[tokio::test]
async fn some_can_be_left_out_and_several_rooms_are_one_audience() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut both = in_rooms(&server, "t/ann", &["a", "b"]).await;
    let mut same = in_rooms(&server, "t/ann", &["b"]).await;
    let mut other = in_rooms(&server, "u/bob", &["a"]).await;
    let gateway = &server.gateway;
    let ann = IdentityKey::new("ann").with_tenant("t");
    let bob = IdentityKey::new("bob").with_tenant("u");
    let of_bob = gateway.local_sessions_of(&bob).remove(0);

    let audiences = [
        (gateway.rooms(["a", "b"]), 3),
        (gateway.rooms(["b", "a", "a"]).except(&ann), 1),
        (gateway.room("a").except(&of_bob), 1),
        (
            gateway
                .rooms(["a", "b"])
                .except(&of_bob)
                .except(of_bob.id()),
            2,
        ),
        (gateway.tenant("t"), 2),
        (gateway.tenant("u").except(&ann), 1),
        (gateway.tenant("t").except(&ann), 0),
        (gateway.identity(&ann), 2),
        (gateway.everybody(), 3),
        (gateway.everybody().except(&bob), 2),
    ];
    for (n, (audience, members)) in audiences.into_iter().enumerate() {
        let shown = format!("{audience:?}");
        let delivery = audience.send("n", Json(n)).await.unwrap();
        assert_eq!(delivery.local, members, "{shown}");
    }
    gateway.broadcast("end", Json(())).await.unwrap();
    assert_eq!(got(&mut both).await, [0, 2, 3, 4, 7, 8, 9]);
    assert_eq!(got(&mut same).await, [0, 3, 4, 7, 8, 9]);
    assert_eq!(got(&mut other).await, [0, 1, 5, 8]);
    server.stop().await;
}

#[tokio::test]
async fn what_is_addressed_wrongly_is_an_error_that_says_how() {
    let server = Server::start(builder().max_rooms_per_session(2).build().unwrap()).await;
    let mut ann = in_rooms(&server, "ann", &["a", "b"]).await;
    for (room, answer) in [
        ("c".to_owned(), "too many"),
        ("a".to_owned(), "joined"),
        (String::new(), "invalid"),
        ("x".repeat(257), "invalid"),
    ] {
        assert_eq!(ask(&mut ann, "enter", json!(room)).await, answer, "{room}");
    }
    assert_eq!(ask(&mut ann, "rooms", Value::Null).await, json!(["a", "b"]));
    let gateway = &server.gateway;
    let many = (0..65).map(|n| format!("room {n}"));
    let mut excepted = gateway.room("a");
    for n in 0..33 {
        excepted = excepted.except(IdentityKey::new(n.to_string()));
    }
    let none: [&str; 0] = [];
    for (audience, words) in [
        (gateway.room(""), "1 to 256 bytes; got 0"),
        (gateway.room("x".repeat(257)), "got 257"),
        (gateway.rooms(none), "got none"),
        (gateway.rooms(many), "at most 64 rooms"),
        (excepted, "at most 32"),
    ] {
        let error = audience.send("n", Json(1)).await.unwrap_err();
        assert_eq!(error.kind(), DeliverErrorKind::InvalidTarget);
        assert!(error.to_string().contains(words), "{error}");
    }
    server.stop().await;
}
