//! The broker is away while messages go on; the store of histories is not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use realtime_testkit::servers::{RabbitMq, Redis};

use super::{Load, NODES, Run, sum};
use crate::{books::seconds, cluster::Cluster};

/// How long nodes are without a broker, besides what it takes to start.
const AWAY: Duration = Duration::from_secs(2);

/// What can be done to a broker.
trait Server {
    /// Those who are connected lose their connections.
    async fn cut(&mut self);
    async fn kill(&mut self);
    async fn restart(&mut self);
}

impl Server for Redis {
    async fn cut(&mut self) {
        let kill = ["CLIENT", "KILL", "TYPE", "pubsub"];
        self.command(&kill).await.unwrap();
    }

    async fn kill(&mut self) {
        Self::kill(self).unwrap();
    }

    async fn restart(&mut self) {
        Self::restart(self).await.unwrap();
    }
}

impl Server for RabbitMq {
    async fn cut(&mut self) {
        self.close_connections().await.unwrap();
    }

    async fn kill(&mut self) {
        Self::kill(self).unwrap();
    }

    async fn restart(&mut self) {
        Self::restart(self).await.unwrap();
    }
}

pub(crate) async fn rooms_while_redis_as_broker_goes_down_and_up() {
    let (broker, store) = futures::try_join!(Redis::start(), Redis::start()).unwrap();
    let urls = (broker.url(), store.url());
    goes_down_and_up(broker, &urls.0, &urls.1).await;
}

pub(crate) async fn rooms_while_rabbitmq_goes_down_and_up() {
    let Cluster { rabbitmq, redis } = Cluster::start().await;
    let urls = (rabbitmq.url(), redis.url());
    goes_down_and_up(rabbitmq, &urls.0, &urls.1).await;
}

/// Once each, or for as long as is wanted by `just soak`.
async fn goes_down_and_up(mut server: impl Server, broker: &str, store: &str) {
    let seconds = seconds();
    let mut run = Run::new(Load {
        pause: Duration::from_millis(seconds.map_or(10, |_| 100)),
        enough: Arc::default(),
    });
    for _ in 0..NODES {
        run.add_over(broker, store, |builder| builder).await;
    }
    run.join().await;
    run.publish();
    let start = Instant::now();
    loop {
        run.messages_flow().await;
        let before = run.outages();
        server.cut().await;
        run.have_noticed(&before).await;
        run.are_well().await;
        run.messages_flow().await;
        let before = run.outages();
        server.kill().await;
        run.have_noticed(&before).await;
        tokio::time::sleep(AWAY).await;
        server.restart().await;
        run.are_well().await;
        if seconds.is_none_or(|seconds| start.elapsed().as_secs() >= seconds) {
            break;
        }
    }
    run.messages_flow().await;
    let books = run.end().await;
    let totals = books.audit();
    let failed = books.sent.iter().flatten().map(|sent| sent.failed.len());
    let repeated = books.sent.iter().flatten().map(|sent| sent.repeated.len());
    let (failed, repeated): (usize, usize) = (failed.sum(), repeated.sum());
    assert!(
        failed > 0 && repeated > 0,
        "an outage is noticed by who sends"
    );
    // The history was never away.
    for (what, count) in [
        ("lost", sum(&totals, true, |counts| counts.lost)),
        ("missing", sum(&totals, true, |counts| counts.missing)),
    ] {
        assert_eq!(count, 0, "{what}");
    }
    println!(
        "{failed} sends failed, {repeated} were repeated; with a history {} deliveries, {} \
         recoveries and {} gaps; without one {} deliveries, {} missing and {} gaps",
        sum(&totals, true, |counts| counts.taken),
        sum(&totals, true, |counts| counts.recovered),
        sum(&totals, true, |counts| counts.gaps),
        sum(&totals, false, |counts| counts.taken),
        sum(&totals, false, |counts| counts.missing),
        sum(&totals, false, |counts| counts.gaps),
    );
    run.stop().await;
}
