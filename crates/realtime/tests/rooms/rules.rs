//! Clients ask to be in a room, and the rule of the room decides.

use std::time::Duration;

use realtime::{
    ClientError, Json, Router, Session,
    error::BuildErrorKind,
    extract::{RoomParam, RoomParams},
    history::Retention,
    room::{RoomName, RoomRule},
};
use realtime_testkit::client::{Client, Request};
use serde_json::{Value, json};

use super::support::Server;

async fn ask(client: &mut Client, route: &str, data: Value) -> Value {
    let question = json!({"id": 1, "route": route, "data": data});
    client.send_text(&question.to_string()).await.unwrap();
    client.recv_json().await.unwrap()
}

/// The same where others, too, may say something meanwhile.
async fn answer(client: &mut Client, route: &str, data: Value) -> Value {
    let mut answer = ask(client, route, data).await;
    while answer["id"].is_null() {
        answer = client.recv_json().await.unwrap();
    }
    answer
}

fn router() -> Router {
    let order = async |session: Session, RoomParam(order): RoomParam<u64>| {
        if session.identity() == realtime::Identity::anonymous() && order > 100 {
            return Err(ClientError::new(
                "forbidden",
                "this order is somebody else's",
            ));
        }
        Ok(())
    };
    let team = async |RoomParams((team, room)): RoomParams<(String, u8)>, name: RoomName| {
        assert_eq!(name.as_str(), format!("team/{team}/{room}"));
    };
    Router::new()
        .room("order:{id}", RoomRule::allow(order))
        .room("team/{team}/{room}", RoomRule::allow(team))
        .room("chat:{id}", RoomRule::open().publish("said"))
        .room("staff", RoomRule::new())
        .route("count", async |session: Session| {
            Json(session.rooms().len())
        })
}

#[tokio::test]
async fn a_client_joins_where_the_rule_says_so() {
    let server = Server::start(crate::support::builder().router(router()).build().unwrap()).await;
    let mut ann = server.connect().await;
    let rows = [
        (json!({"room": "order:42"}), None),
        (json!({"room": "order:42"}), None),
        (json!({"room": "order:101"}), Some("forbidden")),
        (json!({"room": "order:x"}), Some("unknown_room")),
        (json!({"room": "order:"}), Some("unknown_room")),
        (json!({"room": "team/red/7"}), None),
        (json!({"room": "team/red/256"}), Some("unknown_room")),
        (json!({"room": "staff"}), Some("unknown_room")),
        (json!({"room": "other"}), Some("unknown_room")),
        (json!({"room": ""}), Some("bad_data")),
        (json!({"room": "x".repeat(257)}), Some("bad_data")),
        (json!({"room": 7}), Some("bad_data")),
        (json!({}), Some("bad_data")),
    ];
    for (data, error) in rows {
        let answer = ask(&mut ann, "join", data.clone()).await;
        match error {
            None => assert_eq!(
                answer,
                json!({"id": 1, "route": "join", "data": {}}),
                "{data}"
            ),
            Some(code) => {
                let got = (&answer["route"], &answer["data"]["code"]);
                assert_eq!(got, (&json!("error"), &json!(code)), "{data}");
            }
        }
    }
    assert_eq!(ask(&mut ann, "count", Value::Null).await["data"], 2);
    server
        .gateway
        .room("order:42")
        .send("status", Json("sent"))
        .await
        .unwrap();
    let message = ann.recv_json().await.unwrap();
    assert_eq!(
        message,
        json!({"route": "status", "room": "order:42", "data": "sent"})
    );
    let left = ask(&mut ann, "leave", json!({"room": "order:42"})).await;
    assert_eq!(left, json!({"id": 1, "route": "leave"}));
    assert_eq!(ask(&mut ann, "count", Value::Null).await["data"], 1);
    // Without an id nothing is answered, and it joins all the same.
    ann.send("join", json!({"room": "order:1"})).await.unwrap();
    assert_eq!(ask(&mut ann, "count", Value::Null).await["data"], 2);
    server.stop().await;
}

#[tokio::test]
async fn what_was_expected_is_said_to_those_whose_data_does_not_fit() {
    let retention = Retention::new(8, Duration::from_secs(60)).unwrap();
    let rule = RoomRule::open().history(retention).publish("said");
    let router = Router::new().room("a", rule.announce("who"));
    let server = Server::start(crate::support::builder().router(router).build().unwrap()).await;
    let mut ann = server.connect().await;
    for (route, data, words) in [
        (
            "join",
            json!("s3cret"),
            "an object with \"room\", a string; got a string",
        ),
        (
            "join",
            Value::Null,
            "an object with \"room\", a string; got null",
        ),
        (
            "join",
            json!({"room": 7}),
            "\"room\" to be a string; got a number",
        ),
        (
            "leave",
            json!({"room": null}),
            "\"room\" to be a string; got null",
        ),
        (
            "leave",
            json!([7]),
            "an object with \"room\", a string; got an array",
        ),
        (
            "recover",
            json!({"room": "s3cret", "epoch": "e", "offset": "12"}),
            "\"offset\" to be a whole number from 0 on; got a string",
        ),
        (
            "recover",
            json!({"room": "s3cret", "offset": 12}),
            "\"epoch\" to be a string; there is none",
        ),
        (
            "members",
            json!({"room": "a", "limit": -1}),
            "\"limit\" to be a whole number from 0 on, or none; got another number",
        ),
        (
            "members",
            json!({"room": "a", "after": true}),
            "\"after\" to be a whole number from 0 on, or none; got true or false",
        ),
        (
            "publish",
            json!({"room": "a", "key": 7, "data": "s3cret"}),
            "\"key\" to be a string, or none; got a number",
        ),
    ] {
        let said = answer(&mut ann, route, data).await;
        let error = &said["data"];
        assert_eq!(error["code"], "bad_data", "{route}: {said}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words), "{route}: {message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
    // Some write each number with a point.
    let epoch =
        answer(&mut ann, "join", json!({"room": "a"})).await["data"]["position"]["epoch"].clone();
    for (route, data) in [
        (
            "recover",
            json!({"room": "a", "epoch": epoch, "offset": 0.0}),
        ),
        ("members", json!({"room": "a", "after": 0.0, "limit": 9.0})),
    ] {
        let said = answer(&mut ann, route, data).await;
        assert_eq!(said["route"], route, "{said}");
    }
    server.stop().await;
}

#[tokio::test]
async fn members_publish_where_they_may() {
    let server = Server::start(crate::support::builder().router(router()).build().unwrap()).await;
    let (mut ann, mut bob) = (server.connect().await, server.connect().await);
    ask(&mut ann, "join", json!({"room": "chat:1"})).await;
    ask(&mut ann, "join", json!({"room": "order:1"})).await;
    let hello = json!({"room": "chat:1", "data": {"text": "hello"}});
    let refused = ask(&mut bob, "publish", hello.clone()).await;
    assert_eq!(refused["data"]["code"], "not_a_member");
    let refused = ask(&mut ann, "publish", json!({"room": "order:1", "data": 1})).await;
    assert_eq!(refused["data"]["code"], "unknown_room");
    ask(&mut bob, "join", json!({"room": "chat:1"})).await;
    bob.send("publish", hello).await.unwrap();
    let said = json!({"route": "said", "room": "chat:1", "data": {"text": "hello"}});
    assert_eq!(ann.recv_json().await.unwrap(), said);
    assert_eq!(bob.recv_json().await.unwrap(), said);
    server.stop().await;
}

#[test]
fn what_cant_work_is_refused_when_the_gateway_is_built() {
    let builds = |router: Router| {
        let built = crate::support::builder().router(router).build();
        built.map_err(|error| (error.kind(), error.to_string()))
    };
    let taken = Router::new()
        .room("a", RoomRule::open())
        .route("join", async || ());
    let (kind, text) = builds(taken).unwrap_err();
    assert_eq!(kind, BuildErrorKind::DuplicateRoute);
    assert!(text.contains("join"), "{text}");
    let twice = Router::new()
        .room("a:{x}", RoomRule::open())
        .room("a:{x}", RoomRule::new());
    assert_eq!(builds(twice).unwrap_err().0, BuildErrorKind::DuplicateRoute);
    // The second would never be asked, and the rooms would be open to all.
    let check = async || Err::<(), _>(ClientError::new("closed", "not now"));
    for (first, second, words) in [
        (
            "a:{id}",
            "a:{other}",
            "expected one rule for the rooms \"a:{id}\"",
        ),
        ("{any}", "staff", "\"staff\" before the one for \"{any}\""),
        ("a:{x}", "a:{x}/{y}", "\"a:{x}/{y}\" before"),
    ] {
        let rules = |first, second| {
            Router::new()
                .room(first, RoomRule::open())
                .merge(Router::new().room(second, RoomRule::allow(check)))
        };
        let (kind, text) = builds(rules(first, second)).unwrap_err();
        assert_eq!(kind, BuildErrorKind::DuplicateRoute);
        assert!(text.contains(words), "{text}");
        if !words.contains("one rule") {
            assert!(builds(rules(second, first)).is_ok(), "{second}");
        }
    }
    let nobody_is_asked = [
        Router::new().room("a", RoomRule::new().asked_once()),
        Router::new().inbox(RoomRule::new().asked_once()),
    ];
    for router in nobody_is_asked {
        let (kind, text) = builds(router).unwrap_err();
        assert_eq!(kind, BuildErrorKind::InvalidOption);
        assert!(text.contains("asked_once"), "{text}");
    }
    let open = Router::new().room("a:{x", RoomRule::open());
    assert!(builds(open).unwrap_err().1.contains("isn't closed"));
    let reserved = Router::new().room("a", RoomRule::open().publish("error"));
    assert!(builds(reserved).unwrap_err().1.contains("error"));
    // Where no client asks, the routes are the application's.
    let own = Router::new()
        .room("a", RoomRule::new())
        .route("join", async || ())
        .route("publish", async || ());
    assert!(builds(own).is_ok());
}

#[tokio::test]
async fn a_rule_has_the_routers_state_and_goes_along_with_merge() {
    #[derive(Clone)]
    struct Open(bool);
    let may = async |realtime::State(Open(open)): realtime::State<Open>| match open {
        true => Ok(()),
        false => Err(ClientError::new("closed", "not now")),
    };
    let of = |open| {
        let pattern = if open { "open:{x}" } else { "closed:{x}" };
        let router = Router::new().room(pattern, RoomRule::allow(may));
        router.with_state(Open(open))
    };
    let router: Router = of(true).merge(of(false));
    let server = Server::start(crate::support::builder().router(router).build().unwrap()).await;
    let mut ann = Request::new("/ws").connect(server.addr).await.unwrap();
    let answer = ask(&mut ann, "join", json!({"room": "open:1"})).await;
    assert_eq!(answer["route"], "join");
    let answer = ask(&mut ann, "join", json!({"room": "closed:1"})).await;
    assert_eq!(answer["data"]["code"], "closed");
    server.stop().await;
}
