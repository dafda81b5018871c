//! The books balance: what was sent is what arrived, message by message.

mod check;
mod lossy;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime::{Builder, Gateway, Json};
use realtime_testkit::{
    client::{Client, Request},
    wait::{DEADLINE, until},
};
use realtime_websocket::Event;
use tokio::task::JoinHandle;

use crate::nodes::{Cluster, Node, key};
pub(crate) use check::the_checker_finds_what_is_wrong;
use check::{Got, NODES, Sent, audit, home};
pub(crate) use lossy::one_message_dropped_and_one_doubled_are_found;

const STABLE: usize = 240;
const PASSING: usize = 60;
/// What each node sends; every tenth is a broadcast.
const SENT: u64 = 7_000;
/// For how long no session gets anything once everything has come.
const SETTLED: Duration = Duration::from_secs(1);

/// Room for a node's share of all messages.
fn wide(builder: Builder) -> Builder {
    builder.queue_messages(100_000).queue_bytes(64 << 20)
}

/// Sends from one node, as fast as it is allowed to.
fn send(node: usize, gateway: Gateway, count: u64, pause: Option<Duration>) -> JoinHandle<Sent> {
    tokio::spawn(async move {
        let mut sent = Sent::default();
        for n in 1..=count {
            let data = Json([node as u64, n]);
            let result = if n % 10 == 0 {
                sent.to.insert(n, None);
                gateway.broadcast("n", data).await
            } else {
                let to = fastrand::usize(..STABLE);
                sent.to.insert(n, Some(to));
                gateway
                    .send_to_identity(&key(&format!("s{to}")), "n", data)
                    .await
            };
            if result.is_err() {
                sent.failed.insert(n);
            }
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
        sent
    })
}

/// Writes down what a session gets, until the route `end` comes.
fn keep_books(mut client: Client) -> JoinHandle<Got> {
    tokio::spawn(async move {
        let mut got = Got::default();
        loop {
            let Event::Text(text) = client.recv().await.unwrap() else {
                continue;
            };
            // Quicker than JSON: {"route":"n","data":[node,n]}
            let text = std::str::from_utf8(&text).unwrap();
            if text.contains("\"end\"") {
                return got;
            }
            if let Some((_, numbers)) = text.split_once('[') {
                let (node, n) = numbers.trim_end_matches("]}").split_once(',').unwrap();
                got[node.parse::<usize>().unwrap()].push(n.parse().unwrap());
            }
        }
    })
}

/// The nodes, the sessions that stay, and those that come and go.
#[derive(Default)]
struct Run {
    nodes: Vec<Node>,
    stable: Vec<JoinHandle<Got>>,
    passing: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Run {
    fn add(&mut self, node: Node) {
        self.nodes.push(node);
    }

    /// The stable sessions join, and the others begin to come and go.
    async fn join(&mut self) {
        for n in 0..STABLE {
            let client = self.nodes[home(n)].join(&format!("s{n}")).await;
            self.stable.push(keep_books(client));
        }
        for n in 0..PASSING {
            let (addr, stop) = (self.nodes[home(n)].addr, Arc::clone(&self.stop));
            self.passing.push(tokio::spawn(async move {
                while !stop.load(SeqCst) {
                    let request = Request::new(format!("/ws?p{n}"));
                    let mut client = request.connect(addr).await.unwrap();
                    for _ in 0..fastrand::usize(1..20) {
                        let received = client.recv();
                        let waited =
                            tokio::time::timeout(Duration::from_millis(50), received).await;
                        assert!(!matches!(waited, Ok(Err(_))), "nobody is cut off");
                    }
                }
            }));
        }
    }

    /// Every node sends this many messages.
    fn send(&self, count: u64, pause: Option<Duration>) -> Vec<JoinHandle<Sent>> {
        let gateways = self.nodes.iter().map(|node| node.gateway.clone());
        let senders = gateways.enumerate();
        senders.map(|(n, g)| send(n, g, count, pause)).collect()
    }

    /// Waits for the senders, and ends those that come and go.
    async fn until_sent(&mut self, senders: Vec<JoinHandle<Sent>>) -> [Sent; NODES] {
        let mut sent = <[Sent; NODES]>::default();
        for (sent, sender) in sent.iter_mut().zip(senders) {
            *sent = sender.await.unwrap();
        }
        self.stop.store(true, SeqCst);
        for passing in self.passing.drain(..) {
            passing.await.unwrap();
        }
        sent
    }

    /// Ends the sessions once nothing comes any more.
    async fn end(&mut self) -> Vec<Got> {
        let sent = || self.nodes.iter().map(|n| n.gateway.stats().sent).sum();
        let mut last = u64::MAX;
        while last != sent() {
            last = sent();
            tokio::time::sleep(SETTLED).await;
        }
        for node in &self.nodes {
            for session in node.gateway.local_sessions() {
                session.send_wait("end", ()).await.unwrap();
            }
        }
        let mut all = Vec::new();
        for session in self.stable.drain(..) {
            let got = tokio::time::timeout(3 * DEADLINE, session).await;
            all.push(got.expect("a session hears the end").unwrap());
        }
        all
    }

    /// How many messages of each node this one has reported as lost.
    fn reported(&self, node: usize) -> [u64; NODES] {
        let mut reported = [0; NODES];
        for error in &*self.nodes[node].errors.lock().unwrap() {
            let Some((count, source)) = error
                .strip_prefix("Broker: ")
                .and_then(|rest| rest.strip_suffix(" did not arrive"))
                .and_then(|rest| rest.split_once(" messages of node "))
            else {
                continue;
            };
            let mut names = self.nodes.iter().map(|n| n.gateway.node_id().to_string());
            let source = names.position(|name| name == source).unwrap();
            reported[source] += count.parse::<u64>().unwrap();
        }
        reported
    }

    /// Checks the books of a node.
    fn audit(&self, node: usize, sent: &[Sent; NODES], got: &[Got]) -> Result<u64, String> {
        let reported = self.reported(node);
        let stats = self.nodes[node].gateway.stats();
        let all = reported.iter().sum::<u64>();
        if (stats.missed_from_nodes, stats.dropped) != (all, 0) {
            return Err(format!(
                "node {node}: {all} reported, {} counted, {} dropped",
                stats.missed_from_nodes, stats.dropped
            ));
        }
        audit(node, sent, got, reported)
    }

    async fn stop(self) {
        for node in self.nodes {
            node.stop().await;
        }
    }
}

pub(crate) async fn every_session_gets_every_message_once_and_in_order() {
    let cluster = Cluster::start().await;
    let mut run = Run::default();
    for _ in 0..NODES {
        run.add(cluster.node_with(wide).await);
    }
    run.join().await;
    let sent = run.send(SENT, None);
    let sent = run.until_sent(sent).await;
    assert!(sent.iter().all(|sent| sent.failed.is_empty()));
    let got = run.end().await;
    for node in 0..NODES {
        assert_eq!(run.reported(node), [0; NODES]);
        assert_eq!(run.audit(node, &sent, &got), Ok(0));
    }
    run.stop().await;
}

pub(crate) async fn with_faults_what_is_missing_was_reported() {
    let mut cluster = Cluster::start().await;
    let (proxy, through) = cluster.behind_a_proxy().await;
    let mut run = Run::default();
    run.add(Node::start(&through, &cluster.redis.url(), wide).await);
    for _ in 1..NODES {
        run.add(cluster.node_with(wide).await);
    }
    run.join().await;
    let senders = run.send(SENT, Some(Duration::from_millis(2)));
    let sent = |gateway: &Gateway| gateway.stats().sent;
    let before = sent(&run.nodes[0].gateway);
    until("messages flow", async || {
        sent(&run.nodes[0].gateway) > before + 1_000
    })
    .await;
    proxy.reset();
    run.nodes[0].until_heard("up again", DEADLINE).await;
    cluster.rabbitmq.close_connections().await.unwrap();
    let closed = |n: &Node| n.gateway.stats().broker_outages > 0 && n.gateway.health().is_good();
    until("the links are back", async || run.nodes.iter().all(closed)).await;
    cluster.rabbitmq.kill().unwrap();
    cluster.rabbitmq.restart().await.unwrap();
    let sent = run.until_sent(senders).await;
    until("the links are back", async || run.nodes.iter().all(closed)).await;
    let got = run.end().await;
    // A lost tail is told by the next beacon.
    let mut audits = Vec::new();
    until("the books balance", async || {
        audits = (0..NODES)
            .map(|node| run.audit(node, &sent, &got))
            .collect();
        println!("{audits:?}");
        audits.iter().all(Result::is_ok)
    })
    .await;
    let errors: usize = sent.iter().map(|sent| sent.failed.len()).sum();
    assert!(errors > 0, "an outage is noticed by who sends");
    println!("{errors} sends failed; messages lost and reported at each node: {audits:?}");
    for node in &run.nodes {
        assert!(node.heard("up again") && node.gateway.health().is_good());
    }
    run.stop().await;
}
