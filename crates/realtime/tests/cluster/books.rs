//! The books balance: what was sent is what arrived, message by message.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime::{Gateway, Json};
use realtime_testkit::{client::Client, wait::DEADLINE};
use realtime_websocket::Event;
use tokio::task::JoinHandle;

use crate::nodes::{Cluster, Node, key};

const NODES: usize = 3;
const STABLE: usize = 240;
const PASSING: usize = 60;
/// What each node sends; every tenth is a broadcast.
const SENT: u64 = 7_000;

/// What one node has sent, by the number of each message.
#[derive(Debug, Default)]
struct Sent {
    /// Whom each message was for: one session, or all.
    to: BTreeMap<u64, Option<usize>>,
    /// Those whose sender was told that not everybody may get it.
    failed: BTreeSet<u64>,
}

/// What a session got: the numbers of each node's messages, in the order of their arrival.
type Got = [Vec<u64>; NODES];

/// Checks what a session that was there all the time got. Returns how many messages are missing
/// though their sender was told of no failure.
fn check(session: usize, sent: &[Sent; NODES], got: &Got) -> Result<u64, String> {
    let mut missing = 0;
    for (node, (sent, got)) in sent.iter().zip(got).enumerate() {
        if let Some(pair) = got.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(format!(
                "session {session}: after {} of node {node} came {}",
                pair[0], pair[1]
            ));
        }
        let for_it = |to: &Option<usize>| to.is_none_or(|to| to == session);
        let got: BTreeSet<_> = got.iter().copied().collect();
        let expected = sent.to.iter().filter(|(_, to)| for_it(to)).map(|(n, _)| *n);
        let expected: BTreeSet<u64> = expected.collect();
        if let Some(stray) = got.difference(&expected).next() {
            return Err(format!(
                "session {session}: {stray} of node {node} is not for it"
            ));
        }
        let lost = expected
            .difference(&got)
            .filter(|n| !sent.failed.contains(n));
        missing += lost.count() as u64;
    }
    Ok(missing)
}

pub(crate) async fn a_message_dropped_or_doubled_is_found() {
    let sent = || {
        let mut sent = <[Sent; NODES]>::default();
        sent[0].to = (1..=4).map(|n| (n, None)).collect();
        sent[1].to = [(1, Some(7)), (2, Some(8)), (3, Some(7))].into();
        sent
    };
    let got = |first: &[u64], second: &[u64]| -> Got { [first.into(), second.into(), vec![]] };
    assert_eq!(check(7, &sent(), &got(&[1, 2, 3, 4], &[1, 3])), Ok(0));
    assert_eq!(
        check(7, &sent(), &got(&[1, 2, 4], &[1, 3])),
        Ok(1),
        "dropped"
    );
    assert!(
        check(7, &sent(), &got(&[1, 2, 2, 3, 4], &[1, 3])).is_err(),
        "doubled"
    );
    assert!(
        check(7, &sent(), &got(&[1, 3, 2, 4], &[1, 3])).is_err(),
        "out of order"
    );
    assert!(
        check(7, &sent(), &got(&[1, 2, 3, 4], &[1, 2, 3])).is_err(),
        "not for it"
    );
    let mut told = sent();
    told[0].failed.insert(3);
    assert_eq!(
        check(7, &told, &got(&[1, 2, 4], &[1, 3])),
        Ok(0),
        "the sender knows"
    );
}

/// Sends from one node, as fast as it is allowed to.
fn send(node: usize, gateway: Gateway, pause: Option<Duration>) -> JoinHandle<Sent> {
    tokio::spawn(async move {
        let mut sent = Sent::default();
        for n in 1..=SENT {
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

/// Sessions that come and go, until told otherwise.
fn come_and_go(nodes: &[Node], stop: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let passing = (0..PASSING).map(|n| {
        let (addr, stop) = (nodes[n % nodes.len()].addr, Arc::clone(stop));
        tokio::spawn(async move {
            while !stop.load(SeqCst) {
                let request = realtime_testkit::client::Request::new(format!("/ws?p{n}"));
                let mut client = request.connect(addr).await.unwrap();
                for _ in 0..fastrand::usize(1..20) {
                    let received = client.recv();
                    let waited = tokio::time::timeout(Duration::from_millis(50), received).await;
                    assert!(!matches!(waited, Ok(Err(_))), "nobody is cut off");
                }
            }
        })
    });
    passing.collect()
}

async fn stable_sessions(nodes: &[Node]) -> Vec<JoinHandle<Got>> {
    let mut sessions = Vec::new();
    for n in 0..STABLE {
        let client = nodes[n % nodes.len()].join(&format!("s{n}")).await;
        sessions.push(keep_books(client));
    }
    sessions
}

/// What arrives after the last message: everything before it has arrived, too.
async fn end(nodes: &[Node], sessions: Vec<JoinHandle<Got>>) -> Vec<Got> {
    for node in nodes {
        for session in node.gateway.local_sessions() {
            session.send_wait("end", ()).await.unwrap();
        }
    }
    let mut all = Vec::new();
    for session in sessions {
        let got = tokio::time::timeout(3 * DEADLINE, session).await;
        all.push(got.expect("a session hears the end").unwrap());
    }
    all
}

/// Waits until no message has come to any node for a second.
async fn settle(nodes: &[Node]) {
    let sent = || {
        nodes
            .iter()
            .map(|node| node.gateway.stats().sent)
            .sum::<u64>()
    };
    let mut last = u64::MAX;
    while last != sent() {
        last = sent();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

pub(crate) async fn every_session_gets_every_message_once_and_in_order() {
    let cluster = Cluster::start().await;
    let queue = |builder: realtime::Builder| builder.queue_messages(100_000).queue_bytes(64 << 20);
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(cluster.node_with(queue).await);
    }
    let sessions = stable_sessions(&nodes).await;
    let stop = Arc::new(AtomicBool::new(false));
    let passing = come_and_go(&nodes, &stop);
    let senders: Vec<_> = (0..NODES)
        .map(|n| send(n, nodes[n].gateway.clone(), None))
        .collect();
    let mut sent = <[Sent; NODES]>::default();
    for (sent, sender) in sent.iter_mut().zip(senders) {
        *sent = sender.await.unwrap();
        assert!(sent.failed.is_empty(), "nothing failed");
    }
    stop.store(true, SeqCst);
    for passing in passing {
        passing.await.unwrap();
    }
    settle(&nodes).await;
    for (n, got) in end(&nodes, sessions).await.iter().enumerate() {
        assert_eq!(check(n, &sent, got), Ok(0));
    }
    for node in nodes {
        let stats = node.gateway.stats();
        assert_eq!((stats.missed_from_nodes, stats.dropped), (0, 0));
        node.stop().await;
    }
}

pub(crate) async fn with_faults_what_is_missing_was_reported() {
    let mut cluster = Cluster::start().await;
    let (proxy, through) = cluster.behind_a_proxy().await;
    let queue = |builder: realtime::Builder| builder.queue_messages(100_000).queue_bytes(64 << 20);
    let mut nodes = vec![Node::start(&through, &cluster.redis.url(), queue).await];
    for _ in 1..NODES {
        nodes.push(cluster.node_with(queue).await);
    }
    let sessions = stable_sessions(&nodes).await;
    let pause = Some(Duration::from_millis(2));
    let senders: Vec<_> = (0..NODES)
        .map(|n| send(n, nodes[n].gateway.clone(), pause))
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    proxy.reset();
    nodes[0].until_heard("up again", DEADLINE).await;
    cluster.rabbitmq.close_connections().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.rabbitmq.kill().unwrap();
    cluster.rabbitmq.restart().await.unwrap();
    let mut sent = <[Sent; NODES]>::default();
    for (sent, sender) in sent.iter_mut().zip(senders) {
        *sent = sender.await.unwrap();
    }
    // A lost tail is told by the next beacon, 3 s later.
    tokio::time::sleep(Duration::from_secs(4)).await;
    settle(&nodes).await;
    let mut failed = 0;
    for (n, got) in end(&nodes, sessions).await.iter().enumerate() {
        let missing = check(n, &sent, got).unwrap();
        let reported = nodes[n % NODES].gateway.stats().missed_from_nodes;
        assert!(
            missing <= reported,
            "{missing} are missing, {reported} reported"
        );
        failed += missing;
    }
    let errors: usize = sent.iter().map(|sent| sent.failed.len()).sum();
    assert!(errors > 0, "an outage is noticed by who sends");
    println!("{errors} sends failed; {failed} deliveries were lost and reported");
    for node in nodes {
        assert!(node.gateway.stats().broker_outages > 0 && node.heard("up again"));
        assert!(node.gateway.health().is_good());
        node.stop().await;
    }
}
