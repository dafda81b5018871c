//! A Redis Cluster whose servers know nothing, go for good, or go together.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

#[path = "support/people.rs"]
#[allow(dead_code, reason = "shared with the tests of slots")]
mod people;

use std::{
    collections::HashSet,
    pin::pin,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, future::join_all};
use people::{connections, home, lives, people};
use realtime_core::{
    IdentityKey,
    presence::{Presence, PresenceEvent, PresenceEvents, SessionInfo},
};
use realtime_testkit::{
    servers::{
        free_port,
        redis::{Redis, RedisCluster},
    },
    wait::{until, within},
};
use support::{LONG, SETTLED, next_down, patient, presence, register, renew, session, until_up};

/// Servers that serve what they have, also when others are gone.
async fn cluster() -> RedisCluster {
    let options = Redis::options().line("cluster-require-full-coverage no");
    RedisCluster::with(options).await.unwrap()
}

/// A server that was started to be in a cluster, and is in none.
async fn fresh() -> Redis {
    let options = Redis::options().line("cluster-enabled yes");
    let port = free_port().unwrap();
    let options = options.line(format!("cluster-port {port}"));
    options.start().await.unwrap()
}

/// Those who live on these nodes, and the others.
async fn parted(
    cluster: &mut RedisCluster,
    nodes: &[usize],
) -> (HashSet<IdentityKey>, HashSet<IdentityKey>) {
    let (mut there, mut others) = (HashSet::new(), HashSet::new());
    for who in people() {
        let (_, at) = home(cluster, &who).await;
        match nodes.contains(&at) {
            true => there.insert(who),
            false => others.insert(who),
        };
    }
    (there, others)
}

fn sessions() -> Vec<SessionInfo> {
    people().iter().map(session).collect()
}

/// Waits for an event that says that the store is down, and names these and no others.
async fn until_down(events: &mut PresenceEvents, named: &[u16], unnamed: &[u16]) {
    let at = |port: &u16| format!("127.0.0.1:{port}: ");
    let down = async {
        loop {
            let event = events.next().await;
            let Some(PresenceEvent::Down { cause, .. }) = event else {
                panic!("expected Down; got {event:?}");
            };
            let is_named = |port: &u16| cause.contains(&at(port));
            if named.iter().all(is_named) && !unnamed.iter().any(is_named) {
                return;
            }
        }
    };
    let waited = tokio::time::timeout(SETTLED, down).await;
    assert!(waited.is_ok(), "nobody said that {named:?} alone are down");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_in_no_cluster_is_passed_over() {
    let (fresh, mut cluster) = (fresh().await, cluster().await);
    let (nowhere, there) = (fresh.port(), cluster.nodes()[0].port());
    let first = format!("redis-cluster://127.0.0.1:{nowhere}?node=127.0.0.1:{there}");
    let presence = patient(first);
    for who in people() {
        lives(&presence, &who).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_in_no_cluster_says_so_until_it_is() {
    let fresh = fresh().await;
    let presence = presence(format!("redis-cluster://127.0.0.1:{}", fresh.port()));
    let mut events = presence.events();
    let error = presence.is_online(&support::ann()).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let cause = next_down(&mut events).await;
    let says = format!("127.0.0.1:{} knows no slots", fresh.port());
    assert!(cause.contains(&says), "{cause}");
    let all = ["CLUSTER", "ADDSLOTSRANGE", "0", "16383"];
    fresh.command(&all).await.unwrap();
    until_up(&mut events).await;
    lives(&presence, &support::ann()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn masters_that_have_forgotten_everything_take_no_others_along() {
    let mut cluster = cluster().await;
    let (_, others) = parted(&mut cluster, &[0, 1]).await;
    // Each asks in an order of its own.
    let presences: Vec<_> = (0..4).map(|_| patient(cluster.url())).collect();
    for presence in &presences {
        register(presence, &sessions(), LONG).await;
    }
    let before = connections(&mut cluster.nodes()[2..]).await;
    for node in &cluster.nodes()[..2] {
        until("it has forgotten everything", async || {
            // One with keys can't forget, and the checks set some.
            let _flushed = node.command(&["FLUSHALL"]).await;
            node.command(&["CLUSTER", "RESET"]).await.is_ok()
        })
        .await;
    }
    // It is asked again who has which slot within five seconds.
    let forgotten = Instant::now();
    while forgotten.elapsed() < Duration::from_secs(7) {
        let asked: Vec<_> = others.iter().cloned().collect();
        let answers = presences.iter().map(|presence| presence.online(&asked));
        for answer in join_all(answers).await {
            assert_eq!(answer.unwrap().online, others);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let after = connections(&mut cluster.nodes()[2..]).await;
    assert!(before.is_subset(&after), "a connection has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_takes_a_masters_place_is_found_and_the_others_are_renewed_meanwhile() {
    let mut cluster = cluster().await;
    cluster.add_replica(1).await.unwrap();
    let (lost, _) = parted(&mut cluster, &[1]).await;
    let presence = patient(cluster.url());
    let mut events = presence.events();
    let sessions = sessions();
    let keys: Vec<_> = sessions.iter().map(SessionInfo::key).collect();
    register(&presence, &sessions, LONG).await;
    let gone = cluster.nodes()[1].port();
    cluster.nodes()[1].kill().unwrap();
    until_down(&mut events, &[gone], &[]).await;
    let mut up = pin!(until_up(&mut events));
    while up.as_mut().now_or_never().is_none() {
        let renewed = presence.renew(&keys, LONG).await.unwrap();
        let failed = renewed.failed.iter().map(|failure| &failure.key);
        for key in failed.chain(&renewed.unknown) {
            assert!(lost.contains(&key.identity), "{key:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let replica = &cluster.nodes()[3];
    let info = replica.command(&["INFO", "replication"]).await.unwrap();
    assert!(info.contains("role:master"), "{info}");
    // What the master had not passed on is registered again.
    let unknown = renew(&presence, &keys, LONG).await;
    let again = sessions.iter().filter(|info| unknown.contains(&info.key()));
    let again: Vec<_> = again.cloned().collect();
    register(&presence, &again, LONG).await;
    let online = presence.online(&people()).await.unwrap();
    assert_eq!(online.online.len(), people().len());
    assert_eq!(renew(&presence, &keys, LONG).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_master_that_goes_or_comes_back_is_told() {
    let mut cluster = cluster().await;
    let presence = patient(cluster.url());
    let mut events = presence.events();
    register(&presence, &sessions(), LONG).await;
    let ports: Vec<_> = cluster.nodes().iter().map(Redis::port).collect();
    cluster.nodes()[1].kill().unwrap();
    until_down(&mut events, &[ports[1]], &[ports[2]]).await;
    cluster.nodes()[2].kill().unwrap();
    until_down(&mut events, &[ports[1], ports[2]], &[]).await;
    cluster.nodes()[2].restart().await.unwrap();
    until_down(&mut events, &[ports[1]], &[ports[0], ports[2]]).await;
    cluster.nodes()[1].restart().await.unwrap();
    until_up(&mut events).await;
    within("what is lost", register(&presence, &sessions(), LONG)).await;
}
