//! Over Redis: nodes that are cut off, and a broker that is away.

use std::time::{Duration, Instant};

use realtime::{CloseCode, connect, node::NodeId};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::Redis,
    wait::until,
};

use super::{
    answers::all_clients_answer, builder, counts, missing, named, nodes::three_nodes_do_as_one,
    rooms, support::Server,
};

async fn node(url: &str, name: &str) -> Server {
    let id: NodeId = name.parse().unwrap();
    let broker = connect::broker(url).unwrap();
    let gateway = builder().node_id(id).broker(broker).build().unwrap();
    gateway.start().await.unwrap();
    Server::start(gateway).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_do_as_one_over_redis() {
    let redis = Redis::start().await.unwrap();
    let servers = [
        node(&redis.url(), "node-0").await,
        node(&redis.url(), "node-1").await,
        node(&redis.url(), "node-2").await,
    ];
    three_nodes_do_as_one(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_clients_answer_over_redis() {
    let redis = Redis::start().await.unwrap();
    let servers = [
        node(&redis.url(), "node-0").await,
        node(&redis.url(), "node-1").await,
        node(&redis.url(), "node-2").await,
    ];
    all_clients_answer(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_vanishes_without_a_word_is_missing_until_that_is_known() {
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::start(redis.port()).await;
    let there = format!("redis://127.0.0.1:{}", proxy.port());
    let a = node(&redis.url(), "a").await;
    let b = node(&redis.url(), "b").await;
    let c = node(&there, "c").await;
    until("each is known", async || a.gateway.nodes().len() == 3).await;
    let _ann = named(&b, "ann").await;
    let mut bob = named(&c, "bob").await;
    // Nothing of it comes any more, and no goodbye.
    proxy.set(Fault::Blackhole);
    let (begun, within) = (Instant::now(), Duration::from_secs(4));
    let all = a.gateway.everybody().within(within);
    let receipt = all.join("a").await.unwrap();
    assert!(begun.elapsed() < within + Duration::from_secs(10));
    assert_eq!(counts(&receipt), [("a", 0), ("b", 1)]);
    assert_eq!(missing(&receipt), ["c"]);
    assert!(receipt.not_asked.is_none() && !receipt.is_complete());
    // Once the broker has found that out, nobody waits for it.
    tokio::time::timeout(Duration::from_secs(40), async {
        while a.gateway.nodes().len() > 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the node is found to be gone");
    let begun = Instant::now();
    let all = a.gateway.everybody().within(Duration::from_secs(50));
    let receipt = all.join("a").await.unwrap();
    assert!(receipt.is_complete() && begun.elapsed() < Duration::from_secs(20));
    // It was merely cut off, and is asked again.
    proxy.set(Fault::None);
    proxy.reset();
    tokio::time::timeout(Duration::from_secs(40), async {
        while a.gateway.nodes().len() < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the node is back");
    // It may still have had no subscription when it was heard again; to ask twice is harmless.
    until("all have done it", async || {
        let all = a.gateway.everybody().within(within);
        let receipt = all.join("b").await.unwrap();
        counts(&receipt) == [("a", 0), ("b", 1), ("c", 1)]
    })
    .await;
    assert!(rooms(&mut bob).await.contains(&"b".to_owned()));
    for server in [a, b, c] {
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_broker_is_away_this_node_does_its_part_and_says_who_could_not_be_asked() {
    let mut redis = Redis::start().await.unwrap();
    let a = node(&redis.url(), "a").await;
    let b = node(&redis.url(), "b").await;
    until("each is known", async || a.gateway.nodes().len() == 2).await;
    let mut ann = named(&a, "ann").await;
    redis.kill().unwrap();
    until("the outage is known", async || {
        !a.gateway.health().is_good()
    })
    .await;
    let begun = Instant::now();
    let code = CloseCode::DISCONNECTED;
    let all = a.gateway.everybody().within(Duration::from_secs(50));
    let receipt = all.disconnect(code, "").await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "it fails at once"
    );
    assert_eq!(counts(&receipt), [("a", 1)]);
    assert_eq!(missing(&receipt), ["b"]);
    assert!(receipt.not_asked.is_some() && !receipt.is_complete());
    assert_eq!(ann.closed().await.unwrap().0, 3503);
    redis.restart().await.unwrap();
    until("it is back", async || {
        a.gateway.health().is_good() && b.gateway.health().is_good()
    })
    .await;
    let all = a.gateway.everybody().within(Duration::from_secs(30));
    let receipt = all.disconnect(code, "").await.unwrap();
    assert!(receipt.is_complete(), "{receipt:?}");
    assert_eq!(receipt.nodes.len(), 2);
    for server in [a, b] {
        server.stop().await;
    }
}
