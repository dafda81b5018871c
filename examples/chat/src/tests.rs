//! What people do in the room, without a browser, a port or a wait.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use realtime::{
    Gateway, Json,
    broker::{AnyBroker, LocalBroker},
    presence::{AnyPresence, MemoryPresence},
};
use realtime_testkit::{
    client::Request,
    memory::{Connect, TestClient, TestError},
};
use serde_json::{Value, json};

use crate::people::Person;

/// Nodes of one chat.
fn nodes<const N: usize>() -> [Gateway; N] {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    std::array::from_fn(|_| {
        let broker = AnyBroker::new(broker.clone());
        crate::build(broker, AnyPresence::new(presence.clone())).unwrap()
    })
}

/// Somebody whose id is their name in lower case. Their own arrival is the first thing that they
/// receive.
async fn join(node: &Gateway, name: &str) -> TestClient {
    let person = name.to_lowercase();
    let request = Request::new(format!("/ws?person={person}&name={name}"));
    let mut client = Connect::new().request(request).to(node).await.unwrap();
    assert_eq!(comes(&mut client, "joined").await.name, name);
    client
}

async fn comes(client: &mut TestClient, route: &str) -> Person {
    client.receive_on(route).await.unwrap().decode().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_line_reaches_everybody_and_its_sender_is_the_servers_word() {
    let [node] = nodes();
    let (mut ann, mut bob) = (join(&node, "Ann").await, join(&node, "Bob").await);
    assert_eq!(comes(&mut ann, "joined").await.person, "bob");
    let line = json!({ "text": "hello", "ref": "1", "from": "eve", "name": "Eve" });
    let answer = ann.request("say", Json(&line)).await.unwrap();
    assert_eq!(answer.decode::<Value>().unwrap(), json!({}));
    for client in [&mut ann, &mut bob] {
        let line: Value = client.receive().await.unwrap().decode().unwrap();
        let shown = ["from", "name", "text", "ref"].map(|field| line[field].clone());
        assert_eq!(shown, ["ann", "Ann", "hello", "1"]);
        client.expect_nothing().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_no_line_is_refused_and_nobody_receives_it() {
    let [node] = nodes();
    let mut ann = join(&node, "Ann").await;
    let lines = [
        (json!({ "text": " " }), "bad_request"),
        (json!({ "text": "x".repeat(2001) }), "bad_request"),
        (json!({ "text": "x", "ref": "1".repeat(65) }), "bad_request"),
        (json!({ "txt": "x" }), "bad_data"),
    ];
    for (line, code) in lines {
        let error = ann.request("say", Json(&line)).await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{line}");
    }
    ann.expect_nothing().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_without_a_name() {
    let [node] = nodes();
    for query in ["", "?person=ann", "?person=ann&name=%20"] {
        let request = Request::new(format!("/ws{query}"));
        let refused = Connect::new().request(request).to(&node).await;
        assert_eq!(refused.unwrap_err().status(), Some(401), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn people_on_two_nodes_see_each_other_come_answer_and_leave() -> Result<(), TestError> {
    let [here, there] = nodes();
    for node in [&here, &there] {
        node.start().await.unwrap();
    }
    let mut ann = join(&here, "Ann").await;
    let mut bob = join(&there, "Bob").await;
    assert_eq!(comes(&mut ann, "joined").await.person, "bob");
    ann.send("here", Json(&json!({ "to": "bob" }))).await?;
    assert_eq!(comes(&mut bob, "here").await.name, "Ann");
    let asked = json!({ "people": ["ann", "bob", "cid"] });
    let online: Value = ann.request("online", Json(&asked)).await?.decode()?;
    assert_eq!(online, json!({ "people": ["ann", "bob"] }));

    // They have left with the last of their connections, and not before.
    let second = join(&there, "Bob").await;
    assert_eq!(comes(&mut ann, "joined").await.person, "bob");
    drop(second);
    ann.expect_nothing_for(Duration::from_secs(60)).await?;
    bob.close(realtime::CloseCode::NORMAL, "").await?;
    assert_eq!(comes(&mut ann, "left").await.person, "bob");
    Ok(())
}
