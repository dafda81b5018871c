//! The books while RabbitMQ and Redis go down and up: three outages among the other tests, and for
//! as long as is wanted by `just soak`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use realtime_testkit::{proxy::Proxy, wait::until};

use super::{Load, NODES, Run, wide};
use crate::{
    cluster::{Cluster, Outage},
    nodes::Node,
};

/// How many seconds it runs. Without it, each of the first outages comes once.
const SECONDS: &str = "REALTIME_SOAK_SECONDS";

/// Among the other tests.
const FEW: &[Outage] = &[Outage::Reset, Outage::Closed, Outage::Killed];

/// Threads, descriptors and tasks of this process, in which all nodes and clients are.
fn held() -> [usize; 3] {
    let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    [count("/proc/self/task"), count("/proc/self/fd"), tasks]
}

/// What the client libraries make once and keep: a runtime, and threads that wait for more to do.
const ONCE: [usize; 3] = [4, 6, 0];

pub(super) async fn are_well(run: &Run) {
    until("the links are back", async || {
        run.nodes.iter().all(|node| node.gateway.health().is_good())
    })
    .await;
}

async fn are_ill(run: &Run, which: usize) {
    until("the outage is noticed", async || {
        let mut some = run.nodes.iter().take(which);
        some.all(|node| !node.gateway.health().is_good())
    })
    .await;
}

/// An outage, from its beginning until everybody has noticed its end.
async fn suffer(outage: Outage, cluster: &mut Cluster, proxy: &Proxy, run: &Run) {
    let outages = |node: &Node| {
        let stats = node.gateway.stats();
        stats.broker_outages + stats.presence_outages
    };
    let before: Vec<_> = run.nodes.iter().map(outages).collect();
    let concerned = if outage.concerns_one() { 1 } else { NODES };
    outage.begin(cluster, proxy).await;
    if outage.lasts() {
        are_ill(run, concerned).await;
    }
    outage.end(cluster, proxy).await;
    until("everybody has noticed", async || {
        let mut now = run.nodes.iter().zip(&before).take(concerned);
        now.all(|(node, before)| outages(node) > *before)
    })
    .await;
    are_well(run).await;
}

/// Waits until every node's sessions get messages.
pub(super) async fn messages_flow(run: &Run) {
    let sent = |node: &Node| node.gateway.stats().sent;
    let before: Vec<_> = run.nodes.iter().map(sent).collect();
    until("messages flow", async || {
        let mut now = run.nodes.iter().zip(&before);
        now.all(|(node, before)| sent(node) > before + 1_000)
    })
    .await;
}

/// For how many seconds faults are wanted, if they are.
pub(crate) fn seconds() -> Option<u64> {
    let seconds = std::env::var(SECONDS).ok();
    seconds.map(|s| s.parse().expect("a number of seconds"))
}

pub(crate) async fn with_faults_what_is_missing_was_reported() {
    let seconds = seconds();
    let mut cluster = Cluster::start().await;
    let (proxy, through) = cluster.behind_a_proxy().await;
    let mut run = Run::default();
    run.add(Node::start(&through, &cluster.redis.url(), wide).await);
    for _ in 1..NODES {
        run.add(cluster.node_with(wide).await);
    }
    run.join().await;
    let before = held();
    run.come_and_go();
    let load = Load {
        count: u64::MAX,
        pause: Some(Duration::from_millis(seconds.map_or(2, |_| 10))),
        enough: Arc::new(AtomicBool::new(false)),
    };
    let senders = run.send(&load);
    let start = Instant::now();
    let mut outages = 0;
    for outage in seconds.map_or(FEW, |_| Outage::ALL).iter().cycle() {
        messages_flow(&run).await;
        suffer(*outage, &mut cluster, &proxy, &run).await;
        outages += 1;
        let over = seconds.map_or(outages == FEW.len(), |s| start.elapsed().as_secs() >= s);
        if seconds.is_some() {
            let elapsed = start.elapsed().as_secs();
            println!(
                "{elapsed:>4} s: {outage:?}; threads, descriptors, tasks: {:?}",
                held()
            );
        }
        if over {
            break;
        }
    }
    messages_flow(&run).await;
    load.enough.store(true, SeqCst);
    let sent = run.until_sent(senders).await;
    are_well(&run).await;
    until("nothing is left behind", async || {
        let (now, may) = (held(), before.into_iter().zip(ONCE));
        now.into_iter()
            .zip(may)
            .all(|(now, (then, once))| now <= then + once)
    })
    .await;
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
    let messages: usize = sent.iter().map(|sent| sent.to.len()).sum();
    let errors: usize = sent.iter().map(|sent| sent.failed.len()).sum();
    let delivered: usize = got.iter().flatten().map(Vec::len).sum();
    assert!(errors > 0, "an outage is noticed by who sends");
    println!(
        "{outages} outages in {:?}: {messages} messages sent, {delivered} deliveries; {errors} sends \
         failed; messages lost and reported at each node: {audits:?}",
        start.elapsed()
    );
    run.stop().await;
}
