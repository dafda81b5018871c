//! Limits of identities on three nodes over Redis: while one of them is killed, and while presence is
//! away.

use std::time::{Duration, Instant};

use realtime::{
    Json, Router,
    config::{ConnectionPolicy, Limits, Rate},
    report::Link,
};
use realtime_testkit::{
    client::{Client, Request},
    servers::Redis,
    wait::until,
};
use serde_json::{Value, json};

use crate::{
    killed::{LEASE, Victim},
    nodes::{Node, key},
};

/// As many sessions an identity may have.
const MOST: usize = 2;

async fn node(broker: &Redis, presence: &Redis, set: impl FnOnce(&mut Limits)) -> Node {
    let mut limits = Limits::default();
    limits.max_connections_per_identity = Some(MOST);
    set(&mut limits);
    let echo = async |Json(data): Json<Value>| Json(data);
    let router = Router::new().route("echo", echo);
    Node::start(&broker.url(), &presence.url(), |builder| {
        let builder = builder.router(router).presence_ttl(Some(LEASE));
        builder.limits(limits)
    })
    .await
}

fn closes(limits: &mut Limits) {
    limits.connection_policy = ConnectionPolicy::CloseOldest;
}

fn refuses(_: &mut Limits) {}

async fn is_there(client: &mut Client) {
    let answer = client.request("echo", json!(7)).await.unwrap();
    assert_eq!(answer["data"], 7);
}

async fn is_replaced(client: &mut Client) {
    assert_eq!(client.closed().await.unwrap().0, 3506);
}

fn bob() -> Request {
    Request::new("/ws?bob")
}

async fn is_refused(node: &Node) {
    assert_eq!(bob().refused(node.addr).await.status, 429);
}

/// Everybody knows everybody, and as many sessions of his are known.
async fn until_known(nodes: &[&Node], sessions: usize, all: usize) {
    for node in nodes {
        until("all are known", async || {
            let of_bob = node.gateway.sessions_of(&key("bob")).await;
            let known = of_bob.map_or(0, |sessions| sessions.len());
            known == sessions && node.gateway.nodes().len() == all
        })
        .await;
    }
}

async fn stop(nodes: impl IntoIterator<Item = Node>) {
    for node in nodes {
        node.stop().await;
    }
}

pub(crate) async fn the_newest_is_refused_and_comes_in_for_one_of_a_killed_node() {
    let redis = Redis::start().await.unwrap();
    let (a, b) = (
        node(&redis, &redis, refuses).await,
        node(&redis, &redis, refuses).await,
    );
    let (victim, addr) = Victim::plain(&redis.url(), &redis.url());
    let _on_victim = bob().connect(addr).await.unwrap();
    let mut on_a = a.connect("bob").await;
    until_known(&[&a, &b], MOST, 3).await;
    is_refused(&a).await;
    is_refused(&b).await;
    drop(b.connect("ann").await);
    drop(victim);
    let begun = Instant::now();
    let mut on_b = None;
    until("his place is free", async || {
        on_b = bob().connect(b.addr).await.ok();
        on_b.is_some()
    })
    .await;
    // And not with what the broker finds out, which takes longer.
    let took = begun.elapsed();
    assert!(took < LEASE + Duration::from_secs(10), "{took:?}");
    is_there(&mut on_b.unwrap()).await;
    is_there(&mut on_a).await;
    stop([a, b]).await;
}

pub(crate) async fn the_oldest_is_closed_wherever_it_is_and_those_of_a_killed_node_count_by_their_age()
 {
    let redis = Redis::start().await.unwrap();
    let (a, b) = (
        node(&redis, &redis, closes).await,
        node(&redis, &redis, closes).await,
    );
    let (victim, addr) = Victim::plain(&redis.url(), &redis.url());
    let mut first = bob().connect(addr).await.unwrap();
    until_known(&[&a, &b], 1, 3).await;
    let mut second = bob().connect(addr).await.unwrap();
    until_known(&[&a, &b], 2, 3).await;
    let mut on_a = a.connect("bob").await;
    is_there(&mut on_a).await;
    is_replaced(&mut first).await;
    until_known(&[&a, &b], 2, 3).await;

    // Of the two that presence knows one is there no more, and it is the older one.
    drop(victim);
    let begun = Instant::now();
    let mut on_b = b.connect("bob").await;
    is_there(&mut on_b).await;
    assert!(begun.elapsed() < LEASE, "nobody waits for who is gone");
    is_there(&mut on_a).await;
    let mut again = a.connect("bob").await;
    is_there(&mut again).await;
    is_replaced(&mut on_a).await;
    is_there(&mut on_b).await;
    assert!(second.closed().await.is_none(), "it was cut off");
    stop([a, b]).await;
}

pub(crate) async fn while_presence_is_away_each_node_counts_its_own_and_afterwards_all_are_counted()
{
    let broker = Redis::start().await.unwrap();
    let mut presence = Redis::start().await.unwrap();
    let nodes = [
        node(&broker, &presence, closes).await,
        node(&broker, &presence, closes).await,
        node(&broker, &presence, closes).await,
    ];
    presence.kill().unwrap();
    for node in &nodes {
        until("the outage is known", async || {
            matches!(node.gateway.health().presence, Link::Down { .. })
        })
        .await;
    }
    let mut clients = Vec::new();
    for node in &nodes {
        for _ in 0..=MOST {
            let begun = Instant::now();
            clients.push(node.connect("bob").await);
            is_there(clients.last_mut().unwrap()).await;
            assert!(begun.elapsed() < Duration::from_secs(2), "it waits");
        }
    }
    // The oldest of each node.
    for n in 0..nodes.len() {
        is_replaced(&mut clients[n * MOST]).await;
        clients.remove(n * MOST);
    }
    for client in &mut clients {
        is_there(client).await;
    }
    // It comes back empty, and learns of them.
    presence.restart().await.unwrap();
    until_known(&nodes.each_ref(), nodes.len() * MOST, nodes.len()).await;
    let mut newest = nodes[0].connect("bob").await;
    is_there(&mut newest).await;
    let mut left = Vec::new();
    for (n, client) in clients.iter_mut().enumerate() {
        match n + 1 < nodes.len() * MOST {
            true => is_replaced(client).await,
            false => left.push(client),
        }
    }
    is_there(left[0]).await;
    until_known(&nodes.each_ref(), MOST, nodes.len()).await;
    stop(nodes).await;
}

/// What its sessions send counts on each node by itself.
pub(crate) async fn messages_of_an_identity_count_on_each_node() {
    const BURST: u32 = 10;
    let redis = Redis::start().await.unwrap();
    let limited = |limits: &mut Limits| {
        limits.max_connections_per_identity = None;
        limits.messages_per_identity = Some(Rate::per_second(1).with_burst(BURST));
    };
    let begun = Instant::now();
    let nodes = [
        node(&redis, &redis, limited).await,
        node(&redis, &redis, limited).await,
        node(&redis, &redis, limited).await,
    ];
    for node in &nodes {
        let mut both = [node.connect("bob").await, node.connect("bob").await];
        let mut accepted = 0;
        for n in 0..2 * BURST as usize {
            let answer = both[n % 2].request("echo", json!(n)).await.unwrap();
            accepted += u64::from(answer["route"] == "echo");
        }
        let more = begun.elapsed().as_secs() + 1;
        let (least, most) = (u64::from(BURST), u64::from(BURST) + more);
        assert!((least..=most).contains(&accepted), "{accepted}");
        assert_eq!(node.gateway.stats().limits_kept, 1);
    }
    stop(nodes).await;
}
