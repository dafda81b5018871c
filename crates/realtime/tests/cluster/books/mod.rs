//! The books balance: what was sent is what arrived, message by message.

mod check;
mod faulty;
mod lossy;
mod redis;

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
    wait::DEADLINE,
};
use realtime_websocket::Event;
use tokio::task::JoinHandle;

use crate::{
    cluster::Cluster,
    nodes::{Node, key},
};
pub(crate) use check::the_checker_finds_what_is_wrong;
use check::{Got, NODES, Sent, audit, home};
pub(crate) use faulty::{seconds, with_faults_what_is_missing_was_reported};
pub(crate) use lossy::one_message_dropped_and_one_doubled_are_found;
pub(crate) use redis::{
    over_redis_alone_every_session_gets_every_message_once_and_in_order,
    over_redis_with_faults_what_is_missing_was_reported,
};

const STABLE: usize = 240;
const PASSING: usize = 60;
/// What each node sends where nothing happens; every tenth is a broadcast.
const SENT: u64 = 2_500;
/// For how long no session gets anything once everything has come.
const SETTLED: Duration = Duration::from_secs(1);

/// Room for a node's share of all messages.
fn wide(builder: Builder) -> Builder {
    builder.queue_messages(100_000).queue_bytes(64 << 20)
}

/// How much a node sends.
#[derive(Debug, Clone, Default)]
struct Load {
    /// How many messages.
    count: u64,
    /// After each; without, it sends as fast as it is allowed to.
    pause: Option<Duration>,
    /// Set where it is to end before that.
    enough: Arc<AtomicBool>,
}

/// Sends from one node.
fn send(node: usize, gateway: Gateway, load: Load) -> JoinHandle<Sent> {
    tokio::spawn(async move {
        let mut sent = Sent::default();
        for n in 1..=load.count {
            if load.enough.load(SeqCst) {
                break;
            }
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
            let failed = result.is_err();
            if let Err(error) = result {
                // Where a test fails, that is shown.
                println!("{n} of node {node}: {error:?}");
                sent.failed.insert(n);
            }
            if let Some(pause) = load.pause {
                // Little is sent that can't be judged, since its sender was told.
                let pause = if failed { 20 * pause } else { pause };
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

    /// The stable sessions join.
    async fn join(&mut self) {
        for n in 0..STABLE {
            let client = self.nodes[home(n)].join(&format!("s{n}")).await;
            self.stable.push(keep_books(client));
        }
    }

    /// Others begin to come and go.
    fn come_and_go(&mut self) {
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

    /// Every node sends that much.
    fn send(&self, load: &Load) -> Vec<JoinHandle<Sent>> {
        let gateways = self.nodes.iter().map(|node| node.gateway.clone());
        let senders = gateways.enumerate();
        senders.map(|(n, g)| send(n, g, load.clone())).collect()
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
        self.audit_with(node, sent, got, [0; NODES])
    }

    /// Checks them where messages of each node came back to it and were sent again.
    fn audit_with(
        &self,
        node: usize,
        sent: &[Sent; NODES],
        got: &[Got],
        came_back: [u64; NODES],
    ) -> Result<u64, String> {
        let reported = self.reported(node);
        let stats = self.nodes[node].gateway.stats();
        let all = reported.iter().sum::<u64>();
        if (stats.missed_from_nodes, stats.dropped) != (all, 0) {
            return Err(format!(
                "node {node}: {all} reported, {} counted, {} dropped",
                stats.missed_from_nodes, stats.dropped
            ));
        }
        audit(node, sent, got, reported, came_back)
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
    nothing_is_missing(run).await;
}

/// Everybody sends, nothing happens, and the books balance without a loss.
async fn nothing_is_missing(mut run: Run) {
    run.join().await;
    run.come_and_go();
    let sent = run.send(&Load {
        count: SENT,
        ..Load::default()
    });
    let sent = run.until_sent(sent).await;
    for Sent { failed, .. } in &sent {
        assert!(failed.is_empty(), "not sent, as told above: {failed:?}");
    }
    let got = run.end().await;
    for node in 0..NODES {
        assert_eq!(run.reported(node), [0; NODES]);
        assert_eq!(run.audit(node, &sent, &got), Ok(0));
    }
    run.stop().await;
}
