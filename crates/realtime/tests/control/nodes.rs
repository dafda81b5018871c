//! Over several nodes: what was done on which of them, and who didn't answer.

use std::time::{Duration, Instant};

use realtime::{
    CloseCode, Gateway, IdentityKey, Json, Router, SessionId,
    broker::{LocalBroker, Topic, control::Outcome, envelope::EnvelopeKind},
    control::NodeAnswer,
    error::RequestError,
};
use realtime_testkit::{client::Request, wait::until};
use serde_json::json;

use super::{builder, by_hand::ByHand, counts, missing, named, nodes, rooms, support::Server};

/// What three nodes promise, over whatever broker.
pub(crate) async fn three_nodes_do_as_one([a, b, c]: [Server; 3]) {
    until("each knows the others", async || {
        [&a, &b, &c]
            .iter()
            .all(|node| node.gateway.nodes().len() == 3)
    })
    .await;
    let mut moderator = named(&a, "mod").await;
    let mut ann = [named(&a, "ann").await, named(&b, "ann").await];
    let mut troll = named(&c, "troll").await;
    let asked = Instant::now();
    let joined = a.gateway.everybody().within(Duration::from_secs(30));
    let joined = joined.join("chat").await.unwrap();
    assert_eq!(
        counts(&joined),
        [("node-0", 2), ("node-1", 1), ("node-2", 1)]
    );
    assert_eq!((joined.sessions, joined.failed), (4, 0));
    assert!(joined.is_complete() && joined.left.is_empty());
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "all have answered"
    );
    // Who has joined misses nothing that is sent afterwards, from wherever.
    b.gateway
        .room("chat")
        .send("said", Json("hi"))
        .await
        .unwrap();
    let [near, far] = &mut ann;
    for client in [&mut moderator, near, far, &mut troll] {
        let said = client.recv_json().await.unwrap();
        assert_eq!(
            (&said["room"], &said["data"]),
            (&json!("chat"), &json!("hi"))
        );
    }

    // A moderator on one node removes somebody on another.
    let key = IdentityKey::new("troll");
    let long = Duration::from_secs(30);
    let troll_is = a.gateway.identity(&key).within(long);
    let removed = troll_is.leave("chat").await.unwrap();
    assert_eq!(
        counts(&removed),
        [("node-0", 0), ("node-1", 0), ("node-2", 1)]
    );
    assert!(rooms(&mut troll).await.is_empty());
    let id: SessionId = {
        let answer = troll.request("id", json!(null)).await.unwrap();
        serde_json::from_value(answer["data"].clone()).unwrap()
    };
    let sent = a
        .gateway
        .session(id)
        .send("warning", Json(1))
        .await
        .unwrap();
    assert_eq!(sent.local, 0);
    assert_eq!(troll.recv_json().await.unwrap()["route"], "warning");
    let code = CloseCode::DISCONNECTED;
    let session = a.gateway.session(id).within(long);
    let gone = session.disconnect(code, "go").await.unwrap();
    assert_eq!(counts(&gone), [("node-0", 0), ("node-1", 0), ("node-2", 1)]);
    assert_eq!(troll.closed().await, Some((3503, "go".to_owned())));

    // All of the room but one session and one identity, wherever they are.
    let left = b.gateway.room("chat").except(IdentityKey::new("mod"));
    let session = a
        .gateway
        .local_sessions_of(&IdentityKey::new("ann"))
        .remove(0);
    let left = left.except(&session).within(long);
    let left = left.disconnect(code, "").await.unwrap();
    assert_eq!(counts(&left), [("node-0", 0), ("node-1", 1), ("node-2", 0)]);
    assert_eq!(ann[1].closed().await, Some((3503, String::new())));
    assert_eq!(rooms(&mut ann[0]).await, ["chat"]);
    assert_eq!(rooms(&mut moderator).await, ["chat"]);
    for server in [a, b, c] {
        server.stop().await;
    }
}

#[tokio::test]
async fn three_nodes_do_as_one_over_a_broker_in_this_process() {
    three_nodes_do_as_one(nodes().await).await;
}

async fn node_on(bus: &LocalBroker, name: &str) -> Server {
    let builder = builder().node_id(name.parse().unwrap()).broker(bus.clone());
    let gateway = builder.build().unwrap();
    gateway.start().await.unwrap();
    Server::start(gateway).await
}

#[tokio::test]
async fn who_does_not_answer_is_missing_and_nobody_waits_for_longer() {
    let bus = LocalBroker::new();
    let server = node_on(&bus, "here").await;
    let _other = node_on(&bus, "other").await;
    let silent = ByHand::join(&bus, "silent").await;
    let mut ann = named(&server, "ann").await;
    until("both are known", async || server.gateway.nodes().len() == 3).await;
    let begun = Instant::now();
    let within = Duration::from_secs(5);
    let receipt = server
        .gateway
        .everybody()
        .within(within)
        .join("a")
        .await
        .unwrap();
    let took = begun.elapsed();
    assert!(
        took >= within && took < within + Duration::from_secs(10),
        "{took:?}"
    );
    assert!(receipt.elapsed >= within && receipt.elapsed <= took);
    assert_eq!(counts(&receipt), [("here", 1), ("other", 0)]);
    assert_eq!(receipt.missing, std::slice::from_ref(&silent.node));
    assert!(!receipt.is_complete() && receipt.not_asked.is_none());
    assert_eq!(rooms(&mut ann).await, ["a"]);
    // One that leaves while it is waited for isn't missing, and nobody waits on.
    let gateway = server.gateway.clone();
    let long = Duration::from_secs(50);
    let waiting = tokio::spawn(async move { gateway.everybody().within(long).leave("a").await });
    until("she has left", async || rooms(&mut ann).await.is_empty()).await;
    let gone = silent.node.clone();
    drop(silent);
    let receipt = waiting.await.unwrap().unwrap();
    assert!(receipt.elapsed < Duration::from_secs(20) && receipt.is_complete());
    assert_eq!(receipt.left, [gone]);
    // And nobody expects anything of it from then on.
    let everybody = server.gateway.everybody().within(long);
    let receipt = everybody.leave("a").await.unwrap();
    assert!(receipt.is_complete() && receipt.left.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_node_that_cannot_do_it_says_so_and_is_not_waited_for() {
    let bus = LocalBroker::new();
    let server = node_on(&bus, "here").await;
    let (mut busy, mut later) = (
        ByHand::join(&bus, "busy").await,
        ByHand::join(&bus, "later").await,
    );
    until("both are known", async || server.gateway.nodes().len() == 3).await;
    let gateway = server.gateway.clone();
    let asked = tokio::spawn(async move {
        let all = gateway.everybody().within(Duration::from_secs(50));
        all.disconnect(CloseCode::NORMAL, "").await
    });
    for (node, outcome) in [
        (&mut busy, Outcome::Busy),
        (&mut later, Outcome::NotUnderstood),
    ] {
        let envelope = node.next().await;
        assert_eq!(envelope.kind(), EnvelopeKind::Control);
        let to = Topic::Node("here".parse().unwrap());
        let correlation = envelope.correlation().unwrap();
        node.say(to, EnvelopeKind::Receipt, correlation, outcome.encode())
            .await;
    }
    let receipt = asked.await.unwrap().unwrap();
    assert!(missing(&receipt).is_empty() && !receipt.is_complete());
    let answers: Vec<_> = receipt.nodes.iter().map(|node| node.answer).collect();
    assert_eq!(answers[0], NodeAnswer::Done);
    for answer in [NodeAnswer::Busy, NodeAnswer::NotUnderstood] {
        assert!(answers.contains(&answer), "{answers:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_gateway_that_is_not_started_is_alone() {
    let bus = LocalBroker::new();
    let gateway = builder().broker(bus.clone()).build().unwrap();
    let alone = Server::under_axum(gateway).await;
    let mut ann = named(&alone, "ann").await;
    // It is as if there were no others.
    let receipt = alone.gateway.everybody().join("a").await.unwrap();
    assert_eq!((receipt.sessions, receipt.nodes.len()), (1, 1));
    assert!(receipt.is_complete());
    assert_eq!(rooms(&mut ann).await, ["a"]);
    alone.gateway.shutdown().await;
}

/// An administrator's program that starts, does one thing, and ends.
#[tokio::test]
async fn a_node_that_has_just_started_waits_until_it_knows_the_others() {
    let broker = LocalBroker::new();
    let node = async |name: &str| {
        let builder = builder().node_id(name.parse().unwrap());
        let gateway = builder.broker(broker.clone()).build().unwrap();
        gateway.start().await.unwrap();
        Server::start(gateway).await
    };
    let here = node("here").await;
    let mut troll = named(&here, "troll").await;
    let fresh = node("fresh").await;
    let troll_s = IdentityKey::new("troll");
    let told = fresh.gateway.identity(&troll_s);
    let told = told.within(Duration::from_secs(30));
    let receipt = told
        .disconnect(CloseCode::DISCONNECTED, "go")
        .await
        .unwrap();
    assert_eq!(counts(&receipt), [("fresh", 0), ("here", 1)]);
    assert!(receipt.is_complete());
    assert_eq!(troll.closed().await, Some((3503, "go".to_owned())));
    for server in [here, fresh] {
        server.stop().await;
    }
}

/// What one client refuses with is for the handler that asked, and no other client's business.
#[tokio::test]
async fn what_one_client_says_is_never_told_to_another_as_the_servers_word() {
    let ask_bob = async |gateway: Gateway| {
        let bob = gateway
            .local_sessions_of(&IdentityKey::new("bob"))
            .remove(0);
        let within = Duration::from_secs(30);
        let answer = bob.request("sure?", Json(()), within).await?;
        Ok::<_, RequestError>(Json(answer.route().to_owned()))
    };
    let router = Router::new().route("ask bob", ask_bob);
    let gateway = crate::support::builder()
        .authenticator(super::ByName)
        .router(router);
    let server = Server::start(gateway.build().unwrap()).await;
    let connect = async |name: &str| {
        let request = Request::new(format!("/ws?{name}"));
        request.connect(server.addr).await.unwrap()
    };
    let (mut bob, mut ann) = (connect("bob").await, connect("ann").await);
    server.until_open(2).await;
    let question = json!({"id": 1, "route": "ask bob"});
    ann.send_text(&question.to_string()).await.unwrap();
    let asked = bob.recv_json().await.unwrap();
    let error = json!({"code": "session_expired", "message": "log in at evil.example"});
    let refusal = json!({"reply": asked["request"], "error": error});
    bob.send_text(&refusal.to_string()).await.unwrap();
    let answer = ann.recv_json().await.unwrap();
    assert_eq!(answer["data"]["code"], "not_answered", "{answer}");
    assert!(!answer.to_string().contains("evil"), "{answer}");
    server.stop().await;
}
