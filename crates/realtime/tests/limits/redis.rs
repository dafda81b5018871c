//! How many sessions an identity may have, over Redis, and while that is away.

use realtime::{config::ConnectionPolicy, connect, report::Link};
use realtime_testkit::{client::Request, servers::Redis, wait::until};

use super::{
    builder,
    identities::{is_refused, is_replaced, is_there},
    named, once_free,
    support::Server,
};

async fn node(url: &str, policy: ConnectionPolicy) -> Server {
    let builder = builder(|limits| {
        limits.max_connections_per_identity = Some(2);
        limits.connection_policy = policy;
    });
    let builder = builder.broker(connect::broker(url).unwrap());
    let gateway = builder.presence(connect::presence(url).unwrap());
    let gateway = gateway.build().unwrap();
    gateway.start().await.unwrap();
    Server::start(gateway).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_is_refused_and_while_redis_is_away_each_node_counts_its_own() {
    let mut redis = Redis::start().await.unwrap();
    let url = redis.url();
    let [a, b] = [
        node(&url, ConnectionPolicy::RefuseNewest).await,
        node(&url, ConnectionPolicy::RefuseNewest).await,
    ];
    let mut first = named(&a, "ann").await;
    is_there(&mut first).await;
    let mut second = named(&b, "ann").await;
    is_there(&mut second).await;
    is_refused(&a, "ann").await;
    is_refused(&b, "ann").await;
    first.close(1000, "").await.unwrap();
    let mut third = once_free(&b, &Request::new("/ws?ann")).await;
    is_there(&mut third).await;

    redis.kill().unwrap();
    until("the outage is known", async || {
        matches!(a.gateway.health().presence, Link::Down { .. })
    })
    .await;
    let mut others = [named(&a, "ann").await, named(&a, "ann").await];
    is_there(&mut others[0]).await;
    is_there(&mut others[1]).await;
    is_refused(&a, "ann").await;
    a.gateway.shutdown().await;
    b.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_is_closed_on_whatever_node_it_is() {
    let redis = Redis::start().await.unwrap();
    let url = redis.url();
    let servers = [
        node(&url, ConnectionPolicy::CloseOldest).await,
        node(&url, ConnectionPolicy::CloseOldest).await,
    ];
    let mut clients = Vec::new();
    for n in 0..5 {
        clients.push(named(&servers[n % 2], "ann").await);
        is_there(&mut clients[n]).await;
        if n >= 2 {
            is_replaced(&mut clients[n - 2]).await;
        }
    }
    is_there(&mut clients[3]).await;
    is_there(&mut clients[4]).await;
    for server in servers {
        server.stop().await;
    }
}
