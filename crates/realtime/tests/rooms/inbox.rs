//! Inboxes: what is sent to an identity is kept for it, and for nobody else.

use std::time::Duration;

use realtime::{
    Builder, Gateway, IdentityKey, Json, Router,
    error::{BuildErrorKind, DeliverErrorKind, JoinErrorKind},
    history::{MemoryHistory, Retention},
    room::{RoomName, RoomRule},
};
use realtime_testkit::client::Client;
use serde_json::{Value, json};

use super::{ByName, ask, named, support::Server};

fn builder(history: &MemoryHistory) -> Builder {
    let retention = Retention::new(100, Duration::from_secs(600)).unwrap();
    let router = Router::new()
        .inbox(RoomRule::open().history(retention))
        .room("{any}", RoomRule::open());
    let builder = crate::support::builder()
        .authenticator(ByName)
        .router(router);
    builder.history(history.clone())
}

async fn send(gateway: &Gateway, to: &IdentityKey, data: u64) {
    gateway.inbox(to).send("n", Json(data)).await.unwrap();
}

async fn recover(client: &mut Client, position: &Value) -> Value {
    let data = json!({"room": "@me", "epoch": position["epoch"], "offset": position["offset"]});
    ask(client, "recover", data).await
}

#[tokio::test]
async fn a_phone_that_was_away_gets_what_was_sent_to_it() {
    let server = Server::start(builder(&MemoryHistory::new()).build().unwrap()).await;
    let ann = IdentityKey::new("ann").with_tenant("acme");
    let mut phone = named(&server, "acme/ann").await;
    let joined = ask(&mut phone, "join", json!({"room": "@me"})).await;
    send(&server.gateway, &ann, 1).await;
    let live = phone.recv_json().await.unwrap();
    assert_eq!(
        (&live["room"], &live["data"], &live["offset"]),
        (&json!("@me"), &json!(1), &json!(1))
    );
    phone.close(1000, "").await.unwrap();
    // That nobody is online is no error.
    for n in 2..=4 {
        send(&server.gateway, &ann, n).await;
    }
    let mut position = joined["position"].clone();
    position["offset"] = json!(1);
    let mut phone = named(&server, "acme/ann").await;
    let answer = recover(&mut phone, &position).await;
    assert_eq!(answer["recovered"], true);
    let missed = answer["missed"].as_array().unwrap();
    let missed: Vec<_> = missed.iter().map(|m| (&m["room"], &m["data"])).collect();
    let me = json!("@me");
    assert_eq!(
        missed,
        [(&me, &json!(2)), (&me, &json!(3)), (&me, &json!(4))]
    );
    send(&server.gateway, &ann, 5).await;
    assert_eq!(phone.recv_json().await.unwrap()["data"], 5);
    // Handlers read it as any room's history.
    let kept = server.gateway.inbox(&ann).history(None, 2).await.unwrap();
    assert_eq!(kept.messages[1].decode::<u64>().unwrap(), 5);
    assert_eq!(
        ask(&mut phone, "leave", json!({"room": "@me"})).await,
        Value::Null
    );
    let sent = server.gateway.inbox(&ann).send("n", Json(6)).await.unwrap();
    assert_eq!(sent.local, 0);
    server.stop().await;
}

#[tokio::test]
async fn an_inbox_is_open_to_nobody_else() {
    let server = Server::start(builder(&MemoryHistory::new()).build().unwrap()).await;
    let ann = IdentityKey::new("ann").with_tenant("acme");
    let mut of_ann = named(&server, "acme/ann").await;
    ask(&mut of_ann, "join", json!({"room": "@me"})).await;
    // Another id, another tenant, no tenant: with a rule that fits every name beside it.
    for other in ["acme/bob", "other/ann", "ann"] {
        let mut eve = named(&server, other).await;
        let name = RoomName::inbox(&ann);
        for route in ["join", "recover", "leave"] {
            let data = json!({"room": name.as_str(), "epoch": "e", "offset": 0});
            let question = json!({"id": 1, "route": route, "data": data});
            eve.send_text(&question.to_string()).await.unwrap();
            let answer = eve.recv_json().await.unwrap();
            assert_eq!(answer["data"]["code"], "bad_data", "{answer}");
        }
        ask(&mut eve, "join", json!({"room": "@me"})).await;
        let sent = server.gateway.inbox(&ann).send("n", Json(1)).await.unwrap();
        assert_eq!(sent.local, 1);
        let position = ask(&mut eve, "join", json!({"room": "@me"})).await["position"].clone();
        assert_eq!(position["offset"], 0, "hers is empty");
    }
    server.stop().await;
}

#[tokio::test]
async fn without_an_inbox_there_is_none() {
    let router = Router::new().room("{any}", RoomRule::open());
    let gateway = crate::support::builder()
        .authenticator(ByName)
        .router(router);
    let server = Server::start(gateway.build().unwrap()).await;
    let ann = IdentityKey::new("ann");
    let sent = server.gateway.inbox(&ann).send("n", Json(1)).await;
    let error = sent.unwrap_err();
    assert_eq!(error.kind(), DeliverErrorKind::InvalidTarget);
    assert!(error.to_string().contains("Router::inbox"), "{error}");
    let mut client = named(&server, "ann").await;
    let refused = ask(&mut client, "join", json!({"room": "@me"})).await;
    assert_eq!(refused["code"], "unknown_room");
    server.stop().await;
}

/// However a handler comes by its name.
#[tokio::test]
async fn a_handler_lets_nobody_into_somebody_elses() {
    let server = Server::start(builder(&MemoryHistory::new()).build().unwrap()).await;
    let (ann, bob) = (IdentityKey::new("ann"), IdentityKey::new("bob"));
    let client = named(&server, "ann").await;
    server.until_open(1).await;
    let session = server.gateway.local_sessions_of(&ann).remove(0);
    let inbox = RoomName::inbox(&bob);
    for name in [inbox.as_str(), "@me"] {
        let error = session.join(name).await.unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::InvalidRoom);
        let sent = server.gateway.room(name).send("n", Json(1)).await;
        assert_eq!(sent.unwrap_err().kind(), DeliverErrorKind::InvalidTarget);
    }
    let error = session.join(inbox).await.unwrap_err();
    assert_eq!(error.kind(), JoinErrorKind::InvalidRoom);
    session.join(RoomName::inbox(&ann)).await.unwrap();
    let sent = server.gateway.inbox(&ann).send("n", Json(1)).await;
    assert_eq!(sent.unwrap().local, 1);
    drop(client);
    server.stop().await;
}

#[test]
fn there_is_one_rule_for_inboxes_and_no_pattern() {
    let two = Router::new()
        .inbox(RoomRule::open())
        .inbox(RoomRule::open());
    let error = crate::support::builder().router(two).build().unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::DuplicateRoute);
    let pattern = Router::new().room("@me:{id}", RoomRule::open());
    let error = crate::support::builder()
        .router(pattern)
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::InvalidOption);
    assert!(error.to_string().contains("Router::inbox"), "{error}");
}
