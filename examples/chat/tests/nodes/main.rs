//! One chat on two nodes: over a real RabbitMQ and a real Redis, over Redis alone, and as it is
//! deployed, behind nginx.
#![cfg(feature = "full")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod chat;
mod deployed;

use chat::{Chat, PASSWORD, join_lobby, next, sees};
use realtime_testkit::{
    servers::{RabbitMq, Redis},
    wait::until,
};
use serde_json::json;

#[tokio::test]
async fn two_nodes_are_one_chat() {
    let (rabbitmq, redis) = futures::try_join!(RabbitMq::start(), Redis::start()).unwrap();
    are_one_chat(&rabbitmq.url(), &redis.url()).await;
}

#[tokio::test]
async fn two_nodes_are_one_chat_over_redis_alone() {
    let redis = Redis::start().await.unwrap();
    are_one_chat(&redis.url(), &redis.url()).await;
}

async fn are_one_chat(broker: &str, presence: &str) {
    let (here, there) = (Chat::start(broker, presence), Chat::start(broker, presence));
    let (ann_token, ann_id) = here.login("Ann", Some(PASSWORD)).await;
    let (bob_token, bob_id) = here.login("Bob", None).await;
    let mut ann = here.come(&ann_token).await;
    // The token of the other node is as good.
    let mut bob = there.come(&bob_token).await;
    join_lobby(&mut ann).await;
    let told = next(&mut ann, "people").await;
    assert_eq!(told["joined"][0]["id"], ann_id);
    join_lobby(&mut bob).await;
    let told = next(&mut ann, "people").await;
    assert_eq!(told["joined"][0]["id"], bob_id);
    for client in [&mut ann, &mut bob] {
        sees(client, &[&ann_id, &bob_id]).await;
    }

    let said = json!({ "room": "lobby", "text": "hello", "ref": "1" });
    ann.send("say", said).await.unwrap();
    let line = next(&mut bob, "line").await;
    assert_eq!(
        (&line["name"], &line["text"]),
        (&json!("Ann"), &json!("hello"))
    );
    bob.close(1000, "").await.unwrap();
    let told = next(&mut ann, "people").await;
    assert_eq!(told["left"][0]["id"], bob_id);
    sees(&mut ann, &[&ann_id]).await;

    // What was said meanwhile is there for who comes back, on any node; so is what was before.
    let said = json!({ "room": "lobby", "text": "are you there?", "ref": "2" });
    ann.request("say", said).await.unwrap();
    let mut bob = here.come(&bob_token).await;
    assert_eq!(join_lobby(&mut bob).await["position"]["offset"], 2);
    let lines = bob.request("lines", json!({ "room": "lobby" })).await;
    let lines = lines.unwrap()["data"]["lines"].clone();
    assert_eq!(
        [&lines[0]["text"], &lines[1]["text"]],
        ["hello", "are you there?"]
    );

    // A moderator removes him, who is on the other node, and no node lets him in again.
    drop(bob);
    let mut bob = there.come(&bob_token).await;
    join_lobby(&mut bob).await;
    let remove = json!({ "room": "lobby", "id": bob_id });
    let refused = bob.request("remove", remove.clone()).await.unwrap();
    assert_eq!(refused["data"]["code"], "forbidden");
    let removed = ann.request("remove", remove).await.unwrap();
    assert_eq!(removed["route"], "remove", "{removed}");
    let (code, why) = bob.closed().await.unwrap();
    assert_eq!(code, 4500);
    assert!(why.contains("removed you from Lobby"), "{why}");
    for node in [&here, &there] {
        let mut bob = node.come(&bob_token).await;
        assert_eq!(join_lobby(&mut bob).await["code"], "removed");
    }
    sees(&mut ann, &[&ann_id]).await;
}

#[tokio::test]
async fn a_moderator_learns_that_a_node_has_not_answered_and_tries_again() {
    let redis = Redis::start().await.unwrap();
    let start = || Chat::start(&redis.url(), &redis.url());
    let (here, there) = (start(), start());
    let (ann_token, _) = here.login("Ann", Some(PASSWORD)).await;
    let (bob_token, bob_id) = here.login("Bob", None).await;
    let (mut ann, mut bob) = (here.come(&ann_token).await, there.come(&bob_token).await);
    join_lobby(&mut ann).await;
    join_lobby(&mut bob).await;

    there.signal("-STOP");
    let remove = json!({ "room": "lobby", "id": bob_id });
    let answer = ann.request("remove", remove.clone()).await.unwrap();
    assert_eq!(answer["data"]["code"], "unavailable", "{answer}");
    assert_eq!(answer["data"]["temporary"], true);
    // He may be there still, but he comes in nowhere else.
    let mut second = here.come(&bob_token).await;
    assert_eq!(join_lobby(&mut second).await["code"], "removed");

    there.signal("-CONT");
    until("the node has answered", async || {
        let answer = ann.request("remove", remove.clone()).await.unwrap();
        answer["route"] == "remove"
    })
    .await;
    assert_eq!(bob.closed().await.unwrap().0, 4500);
}
