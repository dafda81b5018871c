//! Backends that go down and up.

use std::time::Duration;

use realtime_testkit::proxy::Proxy;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{cluster::Cluster, plan::Plan, wire::Held};

/// How long it may take until an outage or its end is noticed.
const DEADLINE: Duration = Duration::from_secs(60);

/// How the server is, from time to time.
pub struct Watched(pub watch::Receiver<Held>);

impl Watched {
    async fn until(&mut self, what: &str, holds: impl FnMut(&Held) -> bool) {
        let waited = timeout(DEADLINE, self.0.wait_for(holds)).await;
        let seen = waited.unwrap_or_else(|_| panic!("waited in vain until {what}"));
        drop(seen.expect("a server"));
    }

    fn outages(&self) -> Vec<u64> {
        let stats = &self.0.borrow().stats;
        stats.iter().map(|node| node.outages).collect()
    }
}

/// One outage after the other, for as long as is planned. Returns how many there were.
pub async fn strike(plan: Plan, cluster: &mut Cluster, proxy: &Proxy, mut held: Watched) -> u64 {
    let until = Instant::now() + plan.duration;
    let mut struck = 0;
    for outage in plan.outages.iter().cycle() {
        tokio::time::sleep(plan.unit).await;
        let before = held.outages();
        outage.begin(cluster, proxy).await;
        if outage.lasts() {
            held.until("it is noticed", |held| !held.well).await;
        }
        outage.end(cluster, proxy).await;
        let concerned = if outage.concerns_one() {
            1
        } else {
            before.len()
        };
        held.until("all have noticed", |held| {
            let mut nodes = held.stats.iter().zip(&before).take(concerned);
            nodes.all(|(node, before)| node.outages > *before)
        })
        .await;
        held.until("all is well", |held| held.well).await;
        struck += 1;
        if Instant::now() >= until {
            break;
        }
    }
    struck
}
