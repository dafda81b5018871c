//! Backends that go down and up.

use std::time::Duration;

use realtime_testkit::proxy::Proxy;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    cluster::Cluster,
    plan::{NODES, Plan},
    wire::Held,
};

/// How long it may take until an outage or its end is noticed.
const DEADLINE: Duration = Duration::from_secs(60);

/// How the server is, from time to time.
pub struct Watched(pub watch::Receiver<Held>);

impl Watched {
    async fn until(&mut self, what: &str, holds: impl FnMut(&Held) -> bool) {
        let waited = timeout(DEADLINE, self.0.wait_for(holds)).await.is_ok();
        assert!(waited, "in vain until {what}: {:?}", self.0.borrow());
    }

    fn outages(&self) -> Vec<u64> {
        let stats = &self.0.borrow().stats;
        stats.iter().map(|node| node.outages).collect()
    }
}

/// One outage after the other, for as long as is planned. Returns how many there were.
pub async fn strike(plan: Plan, cluster: &mut Cluster, proxy: &Proxy, mut held: Watched) -> u64 {
    let start = Instant::now();
    let mut struck = 0;
    for outage in plan.outages.iter().cycle() {
        tokio::time::sleep(plan.unit).await;
        let before = held.outages();
        let begun = start.elapsed();
        outage.begin(cluster, proxy).await;
        let concerned = if outage.concerns_one() { 1 } else { NODES };
        if outage.lasts() {
            let all_ill = |held: &Held| held.stats[..concerned].iter().all(|node| !node.well);
            held.until("all notice it", all_ill).await;
        }
        outage.end(cluster, proxy).await;
        held.until("all have noticed", |held| {
            let mut nodes = held.stats.iter().zip(&before).take(concerned);
            nodes.all(|(node, before)| node.outages > *before)
        })
        .await;
        held.until("all is well", Held::is_well).await;
        struck += 1;
        println!(
            "{:>4} s: {outage:?} until {:?}",
            begun.as_secs(),
            start.elapsed()
        );
        if start.elapsed() >= plan.duration {
            break;
        }
    }
    struck
}
