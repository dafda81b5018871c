//! The clients of an audience are asked, on all nodes.

use std::time::{Duration, Instant};

use futures::StreamExt;
use realtime::{
    Json,
    broker::{
        LocalBroker, Topic,
        control::{Command, Operation, Outcome},
        envelope::{EnvelopeKind, Target},
    },
    control::{Answer, Answers},
    report::Stats,
};
use realtime_testkit::{client::Client, wait::until};
use serde_json::{Value, json};

use super::{builder, by_hand::ByHand, counts, missing, named, nodes, support::Server};

/// Answers each request by its name, until the connection ends.
fn answering(mut client: Client, name: &'static str) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok(message) = client.recv_json().await {
            if let Some(id) = message.get("request") {
                let answer = json!({"reply": id, "data": [name, message["data"]]});
                client.send_text(&answer.to_string()).await.unwrap();
            }
        }
    })
}

async fn all(answers: &mut Answers) -> Vec<Answer> {
    answers.by_ref().collect().await
}

fn said(answers: &[Answer]) -> Vec<(String, Value)> {
    let said = answers.iter().map(|answer| {
        let result = answer.result.as_ref();
        let data = match result {
            Ok(message) => message.decode().unwrap(),
            Err(refusal) => json!({"refused": refusal.code()}),
        };
        (format!("{}@{}", answer.identity.id(), answer.node.id), data)
    });
    let mut said: Vec<_> = said.collect();
    said.sort_by(|a, b| a.0.cmp(&b.0));
    said
}

/// What three nodes promise, over whatever broker.
pub(crate) async fn all_clients_answer([a, b, c]: [Server; 3]) {
    until("each knows the others", async || {
        [&a, &b, &c]
            .iter()
            .all(|node| node.gateway.nodes().len() == 3)
    })
    .await;
    for (server, name) in [(&a, "ann"), (&b, "bob"), (&c, "cid")] {
        answering(named(server, name).await, name);
    }
    let mut rude = named(&b, "rude").await;
    let rude = tokio::spawn(async move {
        let id = rude.recv_json().await.unwrap()["request"].clone();
        let refusal = json!({"reply": id, "error": {"code": "busy", "message": "later"}});
        rude.send_text(&refusal.to_string()).await.unwrap();
        rude
    });
    let _left_out = named(&c, "mute").await;
    let left_out = realtime::IdentityKey::new("mute");
    let everybody = a.gateway.everybody().except(&left_out);
    let begun = Instant::now();
    let mut answers = everybody
        .within(Duration::from_secs(40))
        .request("ready?", Json(7))
        .unwrap();
    let heard = all(&mut answers).await;
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "all have answered"
    );
    let expected = [
        ("ann@node-0", json!(["ann", 7])),
        ("bob@node-1", json!(["bob", 7])),
        ("cid@node-2", json!(["cid", 7])),
        ("rude@node-1", json!({"refused": "busy"})),
    ];
    assert_eq!(
        said(&heard),
        expected.map(|(who, data)| (who.to_owned(), data))
    );
    assert!(heard.iter().all(
        |answer| answer.result.as_ref().is_ok_and(|m| m.route() == "ready?")
            || answer.identity.id() == "rude"
    ));
    let receipt = answers.receipt().unwrap();
    assert_eq!(
        counts(receipt),
        [("node-0", 1), ("node-1", 2), ("node-2", 1)]
    );
    assert_eq!((receipt.failed, receipt.is_complete()), (0, true));
    let _rude = rude.await.unwrap();

    // She says nothing this time; the others do, and nobody waits for longer.
    let silent = named(&c, "silent").await;
    let everybody = a.gateway.everybody().except(&left_out);
    let within = Duration::from_secs(10);
    let (begun, rude) = (Instant::now(), realtime::IdentityKey::new("rude"));
    let mut answers = everybody
        .except(&rude)
        .within(within)
        .request("ready?", Json(8))
        .unwrap();
    assert_eq!(all(&mut answers).await.len(), 3);
    assert!(begun.elapsed() < within + Duration::from_secs(10));
    let receipt = answers.receipt().unwrap();
    assert_eq!(
        counts(receipt),
        [("node-0", 1), ("node-1", 1), ("node-2", 2)]
    );
    assert_eq!((receipt.failed, receipt.is_complete()), (1, true));
    assert!(answers.next().await.is_none(), "it stays over");
    drop(silent);
    for server in [a, b, c] {
        server.stop().await;
    }
}

#[tokio::test]
async fn all_clients_answer_over_a_broker_in_this_process() {
    all_clients_answer(nodes().await).await;
}

async fn node_on(bus: &LocalBroker, name: &str) -> Server {
    let builder = builder().node_id(name.parse().unwrap()).broker(bus.clone());
    let gateway = builder.build().unwrap();
    gateway.start().await.unwrap();
    Server::start(gateway).await
}

#[tokio::test]
async fn answers_come_as_they_are_made_and_a_node_that_says_nothing_is_missing() {
    let bus = LocalBroker::new();
    let server = node_on(&bus, "here").await;
    let _silent = ByHand::join(&bus, "silent").await;
    until("it is known", async || server.gateway.nodes().len() == 2).await;
    answering(named(&server, "ann").await, "ann");
    let within = Duration::from_secs(10);
    let everybody = server.gateway.everybody().within(within);
    let mut answers = everybody.request("ready?", Json(1)).unwrap();
    let begun = Instant::now();
    assert!(answers.next().await.is_some());
    assert!(begun.elapsed() < within && answers.receipt().is_none());
    assert!(answers.next().await.is_none());
    let took = begun.elapsed();
    assert!(
        took >= within && took < within + Duration::from_secs(10),
        "{took:?}"
    );
    let receipt = answers.receipt().unwrap();
    assert_eq!(missing(receipt), ["silent"]);
    assert_eq!((receipt.sessions, receipt.failed), (1, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_node_of_another_codec_says_so_and_garbage_is_counted() {
    let bus = LocalBroker::new();
    let server = node_on(&bus, "here").await;
    let mut other = ByHand::join(&bus, "other").await;
    until("it is known", async || server.gateway.nodes().len() == 2).await;
    let mut ann = named(&server, "ann").await;
    // It asks in a codec that this one doesn't speak.
    let request = Operation::Request("?".into());
    let request = Command::new(request, Duration::from_secs(9)).encode();
    other
        .say(Topic::All, EnvelopeKind::Control, 7, request)
        .await;
    let outcome = Outcome::decode(other.next().await.body().clone()).unwrap();
    assert_eq!(outcome, Outcome::NotUnderstood);
    // It is asked, and answers what can't be read.
    let mut answers = server
        .gateway
        .everybody()
        .request("ready?", Json(1))
        .unwrap();
    let (heard, ()) = tokio::join!(all(&mut answers), async {
        let asked = other.next().await;
        assert_eq!(asked.target(), &Target::All);
        assert_eq!(asked.codec(), "realtime.json");
        let (to, number) = (
            || Topic::Node("here".parse().unwrap()),
            asked.correlation().unwrap(),
        );
        let answer = realtime::broker::control::ClientAnswer::new(
            "00010203-0405-0607-0809-0a0b0c0d0e0f".parse().unwrap(),
            realtime::IdentityKey::new("bob"),
            Ok(realtime::codec::Frame::Text("not an envelope".into())),
        );
        let receipt = EnvelopeKind::Receipt;
        let garbage = Outcome::Answers(vec![answer]).encode();
        other.say(to(), receipt, number, garbage).await;
        other
            .say(to(), receipt, number, Outcome::done(1, 0).encode())
            .await;
        let id = ann.recv_json().await.unwrap()["request"].clone();
        let answer = json!({"reply": id}).to_string();
        ann.send_text(&answer).await.unwrap();
    });
    assert_eq!(said(&heard), [("ann@here".to_owned(), Value::Null)]);
    let Stats {
        invalid_broker_messages,
        ..
    } = server.gateway.stats();
    assert_eq!(invalid_broker_messages, 1);
    let receipt = answers.receipt().unwrap();
    assert_eq!((receipt.sessions, receipt.failed), (2, 1));
    assert!(receipt.is_complete());
    server.stop().await;
}

#[tokio::test]
async fn hundreds_of_clients_of_another_node_are_heard_in_batches() {
    let [here, there] = nodes().await;
    until("each knows the other", async || {
        here.gateway.nodes().len() == 2
    })
    .await;
    for _ in 0..300 {
        answering(named(&there, "one").await, "one");
    }
    let everybody = here.gateway.everybody().within(Duration::from_secs(30));
    let mut answers = everybody.request("ready?", Json(1)).unwrap();
    let heard = all(&mut answers).await;
    assert_eq!(heard.len(), 300);
    let mut sessions: Vec<_> = heard
        .iter()
        .map(|answer| answer.session.to_string())
        .collect();
    sessions.sort();
    sessions.dedup();
    assert_eq!((sessions.len(), answers.overflowed()), (300, 0));
    assert_eq!(answers.receipt().unwrap().sessions, 300);
    for server in [here, there] {
        server.stop().await;
    }
}
