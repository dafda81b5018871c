//! `shutdown`.

use std::time::Duration;

use realtime::{
    Gateway, IdentityKey, Router,
    broker::{Broker, Join, LocalBroker, NodeInfo},
    node::Incarnation,
    presence::{MemoryPresence, Presence},
    report::ShutdownReport,
};
use realtime_testkit::{
    client::{Client, Request},
    wait::within,
};
use serde_json::json;

use crate::{
    drops::{dropped_after, tasks, until_tasks},
    slow::{SlowBroker, SlowPresence},
    support::Server,
};

/// Enough for a shutdown to take a second turn.
const MANY: usize = 130;

struct Cluster {
    bus: LocalBroker,
    presence: MemoryPresence,
}

impl Cluster {
    fn new() -> Self {
        let (bus, presence) = (LocalBroker::new(), MemoryPresence::new());
        Self { bus, presence }
    }

    async fn gateway(&self) -> Gateway {
        let hang = async || std::future::pending::<()>().await;
        let gateway = crate::support::builder()
            .router(Router::new().route("hang", hang))
            .broker(SlowBroker(self.bus.clone()))
            .presence(SlowPresence(self.presence.clone()))
            .node_id("here".parse().unwrap())
            .build()
            .unwrap();
        gateway.start().await.unwrap();
        gateway
    }

    /// Nothing of the gateway is left, on the bus, in presence or in itself.
    async fn is_left_by(&self, gateway: &Gateway) {
        let probe = self.bus.clone();
        let info = NodeInfo::new("here".parse().unwrap(), Incarnation::random());
        let _its_name_is_free = probe.subscribe(Join::new(info)).await.unwrap();
        let anonymous = IdentityKey::new("anonymous");
        assert!(!self.presence.is_online(&anonymous).await.unwrap());
        assert!(gateway.local_sessions_of(&anonymous).is_empty());
        let stats = gateway.stats();
        assert_eq!((stats.open, stats.queued_bytes), (0, 0));
        assert_eq!(stats.opened, stats.closed + stats.aborted);
    }
}

#[tokio::test]
async fn dropped_anywhere_a_shutdown_is_finished_by_the_next_with_the_whole_report() {
    let before = tasks();
    let mut points = 0;
    let mut completed = false;
    while !completed {
        let cluster = Cluster::new();
        let server = Server::under_axum(cluster.gateway().await).await;
        let gateway = &server.gateway;
        let mut clients = Vec::new();
        for _ in 0..MANY {
            clients.push(server.connect().await);
        }
        server.until_open(MANY as u64).await;
        let whole = |report: ShutdownReport| {
            assert_eq!((report.sessions, report.aborted), (MANY, 0));
        };
        match dropped_after(points, gateway.shutdown()).await {
            Some(report) => {
                whole(report);
                completed = true;
            }
            None if points == 0 => drop(server.connect().await),
            None => {
                let refused = Request::new("/ws").refused(server.addr).await;
                assert_eq!(refused.status, 503, "it is closed to new sessions");
            }
        }
        if points > 0 {
            whole(within("the shutdown", gateway.shutdown()).await);
            whole(gateway.shutdown().await);
        } else {
            server.until_open(MANY as u64).await;
            gateway.shutdown().await;
        }
        for client in &mut clients {
            assert_eq!(client.closed().await.map(|(code, _)| code), Some(1001));
        }
        cluster.is_left_by(gateway).await;
        server.stop().await;
        drop(clients);
        until_tasks(before).await;
        points += 1;
    }
    // A task of its own does the work: whoever waits has only two points at which to go.
    assert!(points >= 2, "{points}");
}

/// A gateway with a session whose handler hangs.
async fn hanging(cluster: &Cluster) -> (Server, Client) {
    let server = Server::under_axum(cluster.gateway().await).await;
    let mut client = server.connect().await;
    client.send("hang", json!(null)).await.unwrap();
    let running = async || server.gateway.stats().received == 1;
    realtime_testkit::wait::until("the handler runs", running).await;
    (server, client)
}

#[tokio::test]
async fn what_was_cut_off_before_the_drop_is_in_the_report() {
    let before = tasks();
    let mut points = 1;
    loop {
        let cluster = Cluster::new();
        let (server, client) = hanging(&cluster).await;
        let limit = Duration::from_millis(20);
        let first = dropped_after(points, server.gateway.shutdown_within(limit)).await;
        let report = within("the shutdown", server.gateway.shutdown_within(limit)).await;
        assert_eq!((report.sessions, report.aborted), (1, 1));
        assert!(first.is_none_or(|first| first == report));
        cluster.is_left_by(&server.gateway).await;
        drop(client);
        server.stop().await;
        until_tasks(before).await;
        if first.is_some() {
            break;
        }
        points += 1;
    }
    assert!(points >= 2, "{points}");
}

#[tokio::test]
async fn one_who_waits_for_a_shutdown_finishes_it_when_the_first_is_dropped() {
    let cluster = Cluster::new();
    let server = Server::under_axum(cluster.gateway().await).await;
    let mut client = server.connect().await;
    server.until_open(1).await;
    let mut first = Box::pin(server.gateway.shutdown());
    assert!(futures::poll!(&mut first).is_pending());
    let gateway = server.gateway.clone();
    let second = tokio::spawn(async move { gateway.shutdown().await });
    tokio::task::yield_now().await;
    drop(first);
    let report = within("the second", second).await.unwrap();
    assert_eq!((report.sessions, report.aborted), (1, 0));
    assert_eq!(client.closed().await.map(|(code, _)| code), Some(1001));
    cluster.is_left_by(&server.gateway).await;
    server.stop().await;
}
