//! Three nodes as processes, one of which is killed, and their end.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::{collections::BTreeSet, process::Command, time::Duration};

use realtime_testkit::{
    client::Client,
    servers::Signal,
    wait::{until, within},
};
use serde_json::{Value, json};
use support::{Cluster, is_alive};

/// A node that has ended is back after 8 s.
const BACK: Duration = Duration::from_secs(40);

/// A page in the room, by one of the nodes.
struct Page {
    client: Client,
    node: String,
    /// Where it has come into the room, or the answer to that it would come back.
    entered: Value,
}

impl Page {
    async fn open(cluster: &Cluster) -> Self {
        Self::enter(cluster, "join", json!({ "room": "hall" })).await
    }

    /// Comes back from where it was.
    async fn come_back(cluster: &Cluster, place: &Value) -> Self {
        let [epoch, offset] = [&place["epoch"], &place["offset"]];
        let place = json!({ "room": "hall", "epoch": epoch, "offset": offset });
        Self::enter(cluster, "recover", place).await
    }

    async fn enter(cluster: &Cluster, route: &str, how: Value) -> Self {
        let mut client = Client::connect(cluster.address).await.unwrap();
        let greeting = client.recv_json().await.unwrap();
        assert_eq!(greeting["route"], "node");
        let entered = client.request(route, how).await.unwrap();
        Self {
            client,
            node: greeting["data"].as_str().unwrap().to_owned(),
            entered: entered["data"].clone(),
        }
    }

    async fn say(&mut self, key: &str, text: &str) -> Value {
        let line = json!({ "key": key, "text": text });
        self.client.request("say", line).await.unwrap()
    }

    /// The next line, and the node on which it was said.
    async fn line(&mut self) -> (String, String) {
        within("a line", async {
            loop {
                let message = self.client.recv_json().await.unwrap();
                if let Some(line) = line(&message) {
                    return line;
                }
            }
        })
        .await
    }
}

fn line(message: &Value) -> Option<(String, String)> {
    let text = |field: &str| message["data"][field].as_str().unwrap().to_owned();
    (message["route"] == "line").then(|| (text("node"), text("text")))
}

#[tokio::test]
async fn what_is_said_crosses_nodes_and_who_was_on_a_killed_one_has_missed_nothing() {
    let mut cluster = Cluster::start("killed").await;
    let mut ann = Page::open(&cluster).await;
    let mut bob = Page::open(&cluster).await;
    let mut cat = Page::open(&cluster).await;
    let nodes: BTreeSet<_> = [&ann, &bob, &cat].map(|page| page.node.clone()).into();
    assert_eq!(nodes, ["a", "b", "c"].map(str::to_owned).into());

    ann.say("1", "hello").await;
    let hello = (ann.node.clone(), "hello".to_owned());
    for page in [&mut bob, &mut cat] {
        assert_eq!(page.line().await, hello);
    }

    // It was where she came in. A node that dies says nothing.
    let place = &ann.entered["position"];
    ann.client.send("crash", Value::Null).await.unwrap();
    assert_eq!(ann.client.closed().await, None);
    bob.say("2", "where are you?").await;
    // Nobody knows whether it was heard: it is said again.
    bob.say("2", "where are you?").await;
    bob.say("3", "still there?").await;

    let mut back = Page::come_back(&cluster, place).await;
    assert_ne!(back.node, ann.node);
    assert_eq!(back.entered["recovered"], true);
    let missed = back.entered["missed"].as_array().unwrap();
    let by_bob = |text: &str| (bob.node.clone(), text.to_owned());
    let expected = [hello, by_bob("where are you?"), by_bob("still there?")];
    assert_eq!(missed.iter().filter_map(line).collect::<Vec<_>>(), expected);
    let first = place["offset"].as_u64().unwrap() + 1;
    for (message, offset) in missed.iter().zip(first..) {
        assert_eq!(message["offset"], offset, "one after the other");
    }
    cat.say("4", "there she is").await;
    assert_eq!(
        back.line().await,
        (cat.node.clone(), "there she is".to_owned())
    );

    // The one that was killed is another process, and takes who comes next.
    let started = format!("node {}: process ", ann.node);
    let again = async |log: &std::path::Path| {
        let said = std::fs::read_to_string(log).unwrap();
        said.matches(&started).count() == 2
    };
    cluster.process.ready(BACK, again).await.unwrap();
    let mut dan = Page::open(&cluster).await;
    assert_eq!(dan.node, ann.node);
    dan.say("5", "I am new").await;
    assert_eq!(back.line().await, (dan.node.clone(), "I am new".to_owned()));
}

#[tokio::test]
async fn what_is_no_line_is_refused() {
    let cluster = Cluster::start("refused").await;
    let mut page = Page::open(&cluster).await;
    let long = "x".repeat(501);
    for (key, text, code) in [
        ("1", " ", "bad_line"),
        ("1", &*long, "bad_line"),
        ("", "hello", "bad_key"),
    ] {
        assert_eq!(page.say(key, text).await["data"]["code"], code);
    }
}

#[tokio::test]
async fn a_signal_ends_all_of_it_in_good_order() {
    let mut cluster = Cluster::start("signal").await;
    let mut page = Page::open(&cluster).await;
    let descendants = cluster.descendants();
    // Three nodes, and what looks after Redis with Redis itself.
    assert_eq!(descendants.len(), 5);
    cluster.process.signal(Signal::Terminate).unwrap();
    assert_eq!(page.client.closed().await.unwrap().0, 1001);
    assert_eq!(cluster.process.ended().await.unwrap().code(), Some(0));
    let alive: Vec<_> = descendants
        .into_iter()
        .filter(|pid| is_alive(*pid))
        .collect();
    assert!(alive.is_empty(), "{alive:?} have not ended");
}

#[tokio::test]
async fn nothing_is_left_of_it_when_it_is_killed() {
    let mut cluster = Cluster::start("gone").await;
    let descendants = cluster.descendants();
    assert_eq!(descendants.len(), 5);
    cluster.process.signal(Signal::Kill).unwrap();
    until("all processes have ended", async || {
        !descendants.iter().any(|pid| is_alive(*pid))
    })
    .await;
}

#[test]
fn who_has_no_redis_is_told_what_to_install() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cluster"));
    command.args(["--listen", "127.0.0.1:0"]).env("PATH", "");
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("apt-get install redis-server"), "{said}");
}
