//! What people do in the rooms, without a browser, a port or a wait.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use realtime::{
    CloseCode, Gateway, Json,
    broker::{AnyBroker, LocalBroker},
    history::{AnyHistory, MemoryHistory},
    presence::{AnyPresence, MemoryPresence},
};
use realtime_testkit::{
    client::Request,
    memory::{Connect, TestClient, TestError},
};
use serde_json::{Value, json};

use crate::{Backends, people::Person, token::Key};

mod removal;

const KEY: [u8; 32] = [7; 32];

/// Nodes of one chat.
fn nodes<const N: usize>() -> [Gateway; N] {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let history = MemoryHistory::new();
    std::array::from_fn(|_| {
        let backends = Backends {
            broker: AnyBroker::new(broker.clone()),
            history: AnyHistory::new(history.clone()),
            presence: AnyPresence::new(presence.clone()),
        };
        crate::build(realtime::builder(), Key::new(&KEY).unwrap(), backends).unwrap()
    })
}

fn with_token(token: &str) -> Connect {
    let offered = format!("realtime.json, token.{token}");
    Connect::new().request(Request::new("/ws").header("Sec-WebSocket-Protocol", &offered))
}

/// Somebody who is called by this name, in lower case among persons.
fn called(name: &str) -> Person {
    Person {
        person: name.to_lowercase(),
        name: name.to_owned(),
        moderator: false,
    }
}

async fn come(node: &Gateway, name: &str) -> TestClient {
    come_as(node, called(name)).await
}

async fn come_as(node: &Gateway, person: Person) -> TestClient {
    let token = Key::new(&KEY).unwrap().sign(person);
    with_token(&token).to(node).await.unwrap()
}

/// Who came and who has gone, as the next message of a room says.
async fn told(client: &mut TestClient) -> [Vec<String>; 2] {
    let told = client.receive_on("people").await.unwrap();
    assert_eq!(told.room().unwrap().as_str(), "room:lobby");
    let told: Value = told.decode().unwrap();
    ["joined", "left"].map(|what| ids(&told[what]))
}

fn ids(members: &Value) -> Vec<String> {
    let members = members.as_array().into_iter().flatten();
    let ids = members.map(|member| member["id"].as_str().unwrap().to_owned());
    ids.collect()
}

async fn members(client: &mut TestClient) -> Vec<String> {
    let lobby = json!({ "room": "room:lobby" });
    ids(&asks(client, "members", lobby).await.unwrap()["members"])
}

async fn asks(client: &mut TestClient, route: &str, data: Value) -> Result<Value, TestError> {
    let answer = client.request(route, Json(&data)).await?;
    match answer.data().as_bytes() {
        b"" => Ok(Value::Null),
        _ => Ok(answer.decode()?),
    }
}

/// Joins a room, and says where it is then.
async fn enter(client: &mut TestClient, room: &str) -> Value {
    let typing = json!({ "room": format!("typing:{room}") });
    asks(client, "join", typing).await.unwrap();
    let room = json!({ "room": format!("room:{room}") });
    asks(client, "join", room).await.unwrap()["position"].clone()
}

fn line(text: &str) -> Value {
    json!({ "room": "lobby", "text": text, "ref": text })
}

#[tokio::test(start_paused = true)]
async fn a_line_reaches_its_room_alone_and_its_sender_is_the_servers_word() {
    let [node] = nodes();
    let (mut ann, mut bob) = (come(&node, "Ann").await, come(&node, "Bob").await);
    let mut cid = come(&node, "Cid").await;
    for client in [&mut ann, &mut bob] {
        enter(client, "lobby").await;
    }
    enter(&mut cid, "music").await;
    let mut said = line("hello");
    said["from"] = "eve".into();
    said["name"] = "Eve".into();
    let answer = asks(&mut ann, "say", said.clone()).await.unwrap();
    assert_eq!(answer, Value::Null);
    // The page didn't hear the answer, and sends it again.
    asks(&mut ann, "say", said).await.unwrap();
    for client in [&mut ann, &mut bob] {
        let line = client.receive_on("line").await.unwrap();
        assert_eq!(line.room().unwrap().as_str(), "room:lobby");
        let line: Value = line.decode().unwrap();
        let shown = ["from", "name", "text", "ref"].map(|field| line[field].clone());
        assert_eq!(shown, ["ann", "Ann", "hello", "hello"]);
    }
    ann.send("typing", Json(&json!({ "room": "lobby" })))
        .await
        .unwrap();
    let writes: Value = bob.receive_on("typing").await.unwrap().decode().unwrap();
    assert_eq!(writes, json!({ "person": "ann", "name": "Ann" }));
    // They were told who has come into their room, and nothing else is left.
    for (client, came) in [(&mut ann, 2), (&mut bob, 1), (&mut cid, 1)] {
        for _ in 0..came {
            client.receive_on("people").await.unwrap();
        }
        client.expect_nothing().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_gets_what_was_missed_and_who_reloads_gets_the_lines() {
    let [node] = nodes();
    let (mut ann, mut bob) = (come(&node, "Ann").await, come(&node, "Bob").await);
    enter(&mut ann, "lobby").await;
    let mut place = enter(&mut bob, "lobby").await;
    place["room"] = "room:lobby".into();
    drop(bob);
    for n in 0..60 {
        asks(&mut ann, "say", line(&n.to_string())).await.unwrap();
    }
    let mut bob = come(&node, "Bob").await;
    let back = asks(&mut bob, "recover", place).await.unwrap();
    assert_eq!(back["recovered"], true);
    assert_eq!(back["missed"].as_array().unwrap().len(), 60);

    let newest = asks(&mut bob, "lines", json!({ "room": "lobby" }))
        .await
        .unwrap();
    let lines = newest["lines"].as_array().unwrap();
    assert_eq!((lines.len(), &lines[49]["text"]), (50, &json!("59")));
    let before = json!({ "room": "lobby", "before": newest["before"] });
    let rest = asks(&mut bob, "lines", before).await.unwrap();
    let lines = rest["lines"].as_array().unwrap();
    assert_eq!((lines.len(), &lines[0]["offset"]), (10, &json!(1)));
    assert_eq!(rest["before"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_line_or_not_for_somebody_is_refused_and_nobody_receives_it() {
    let [node] = nodes();
    let mut ann = come(&node, "Ann").await;
    enter(&mut ann, "lobby").await;
    assert_eq!(told(&mut ann).await[0], ["ann Ann"]);
    let with = |field: &str, value: Value| {
        let mut line = line("x");
        line[field] = value;
        line
    };
    for (route, data, code) in [
        ("say", with("text", " ".into()), "empty"),
        ("say", with("text", "x".repeat(2001).into()), "too_long"),
        ("say", with("ref", "1".repeat(65).into()), "bad_ref"),
        ("say", with("ref", "".into()), "bad_ref"),
        ("say", with("text", Value::Null), "bad_data"),
        ("say", with("room", "music".into()), "not_a_member"),
        ("lines", json!({ "room": "music" }), "not_a_member"),
        ("typing", json!({ "room": "music" }), "not_a_member"),
        ("join", json!({ "room": "room:cellar" }), "unknown_room"),
        ("join", json!({ "room": "cellar" }), "unknown_room"),
    ] {
        let error = ann.request(route, Json(&data)).await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{route} {data}");
    }
    ann.expect_nothing().await.unwrap();
}

#[test]
fn what_is_declared_is_handled_and_the_other_way_round() {
    let (contract, router) = (crate::contract::contract(), crate::router().unwrap());
    assert_eq!(contract.unhandled(&router), [""; 0]);
    // Nobody is ever in these, and no page hears of them.
    let noted = ["the rooms \"removed:{room}:{person}\""];
    assert_eq!(contract.undeclared(&router), noted);
}

#[tokio::test(start_paused = true)]
async fn who_shows_a_fresh_token_stays_and_who_does_not_is_closed() {
    let [node] = nodes();
    let key = Key::new(&KEY).unwrap();
    let end = crate::token::now() + 100;
    let come = async |name| {
        with_token(&key.sign_until(called(name), end))
            .to(&node)
            .await
    };
    let (mut ann, mut bob) = (come("Ann").await.unwrap(), come("Bob").await.unwrap());
    for client in [&mut ann, &mut bob] {
        client.set_deadline(Duration::from_secs(200));
        client.receive_on("expiring").await.unwrap();
    }
    let fresh = json!({ "token": key.sign(called("Ann")) });
    let holds = asks(&mut ann, "authenticate", fresh).await.unwrap();
    assert!(holds["seconds"].as_u64().unwrap() > 6 * 86_400, "{holds}");
    assert_eq!(bob.closed().await.unwrap().code, Some(CloseCode::EXPIRED));
    enter(&mut ann, "lobby").await;
    // A token is one person's, whatever the name.
    let other = json!({ "token": key.sign(Person { person: "eve".to_owned(), ..called("Ann") }) });
    ann.send("authenticate", Json(&other)).await.unwrap();
    assert_eq!(
        ann.closed().await.unwrap().code,
        Some(CloseCode::UNAUTHORIZED)
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_without_a_token_of_ours() {
    let [node] = nodes();
    let refused = Connect::new().to(&node).await;
    assert_eq!(refused.unwrap_err().status(), Some(401));
    let theirs = Key::new(&[8; 32]).unwrap().sign(called("Ann"));
    for token in ["", "e30.e30", &theirs] {
        let refused = with_token(token).to(&node).await;
        assert_eq!(refused.unwrap_err().status(), Some(401), "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn people_on_two_nodes_see_each_other_come_and_leave() -> Result<(), TestError> {
    let [here, there] = nodes();
    for node in [&here, &there] {
        node.start().await.unwrap();
    }
    let mut ann = come(&here, "Ann").await;
    enter(&mut ann, "lobby").await;
    assert_eq!(told(&mut ann).await, [vec!["ann Ann".to_owned()], vec![]]);
    let mut bob = come(&there, "Bob").await;
    enter(&mut bob, "lobby").await;
    assert_eq!(told(&mut ann).await, [vec!["bob Bob".to_owned()], vec![]]);
    for client in [&mut ann, &mut bob] {
        assert_eq!(members(client).await, ["ann Ann", "bob Bob"]);
    }
    asks(&mut ann, "say", line("hello")).await?;
    let said: Value = bob.receive_on("line").await?.decode()?;
    assert_eq!(said["text"], "hello");
    ann.receive_on("line").await?;

    // They have left with the last of their connections, and not before; a reload is not told of.
    let mut second = come(&here, "Bob").await;
    enter(&mut second, "lobby").await;
    drop(second);
    ann.expect_nothing_for(Duration::from_secs(60)).await?;
    bob.close(realtime::CloseCode::NORMAL, "").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut bob = come(&here, "Bob").await;
    enter(&mut bob, "lobby").await;
    ann.expect_nothing_for(Duration::from_secs(60)).await?;
    bob.close(realtime::CloseCode::NORMAL, "").await?;
    assert_eq!(told(&mut ann).await, [vec![], vec!["bob Bob".to_owned()]]);
    assert_eq!(members(&mut ann).await, ["ann Ann"]);
    Ok(())
}
