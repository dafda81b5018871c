//! The private servers themselves: started, asked, stopped, killed, started again.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use realtime_testkit::{
    servers::{
        Nats,
        redis::{Redis, RedisCluster},
    },
    wait::until,
};
use tokio::{io::AsyncReadExt, net::TcpStream};

#[tokio::test]
async fn a_redis_is_started_asked_killed_and_started_again() {
    let mut redis = Redis::start().await.unwrap();
    assert_eq!(redis.command(&["SET", "a", "1"]).await.unwrap(), "OK");
    assert_eq!(redis.command(&["GET", "a"]).await.unwrap(), "1");
    let refused = redis.command(&["INCR", "a", "b"]).await.unwrap_err();
    assert!(refused.to_string().contains("wrong number"), "{refused}");
    redis.kill().unwrap();
    assert!(redis.command(&["PING"]).await.is_err());
    assert!(redis.stop().is_err(), "it has ended");
    redis.restart().await.unwrap();
    assert_eq!(redis.command(&["GET", "a"]).await.unwrap(), "");
}

#[tokio::test]
async fn a_stopped_redis_answers_when_it_goes_on() {
    let mut redis = Redis::start().await.unwrap();
    redis.stop().unwrap();
    let ping = redis.command(&["PING"]);
    let waited = tokio::time::timeout(Duration::from_millis(200), ping).await;
    assert!(waited.is_err(), "it answered: {waited:?}");
    redis.resume().unwrap();
    assert_eq!(redis.command(&["PING"]).await.unwrap(), "PONG");
}

#[tokio::test]
async fn users_and_memory_are_limited() {
    let options = Redis::options().maxmemory("1mb");
    let options = options.user("rt", "pw", "~rt:* +@all -@dangerous");
    let redis = options.start().await.unwrap();
    assert!(redis.url().starts_with("redis://rt:pw@127.0.0.1:"));
    let users = redis.command(&["ACL", "LIST"]).await.unwrap();
    assert!(users.contains("user rt on") && users.contains("user default off"));
    let limit = redis.command(&["CONFIG", "GET", "maxmemory"]).await;
    assert!(limit.unwrap().contains("1048576"));
}

#[tokio::test]
async fn a_cluster_shares_the_slots_among_three_masters() {
    let mut cluster = RedisCluster::start().await.unwrap();
    assert_eq!(cluster.url().matches("127.0.0.1").count(), 3);
    assert_eq!(cluster.nodes().len(), 3);
    for node in cluster.nodes() {
        let info = node.command(&["CLUSTER", "INFO"]).await.unwrap();
        assert!(info.contains("cluster_slots_ok:16384"), "{info}");
    }
}

/// What a NATS server says first.
async fn greeting(nats: &Nats) -> std::io::Result<[u8; 5]> {
    let mut connection = TcpStream::connect(("127.0.0.1", nats.port())).await?;
    let mut greeting = [0; 5];
    connection.read_exact(&mut greeting).await?;
    Ok(greeting)
}

#[tokio::test]
async fn a_nats_is_started_stopped_killed_and_started_again() {
    let mut nats = Nats::start().await.unwrap();
    assert_eq!(greeting(&nats).await.unwrap(), *b"INFO ");
    nats.stop().unwrap();
    // Each of its threads stops when the signal gets there.
    until("it answers no more", async || {
        let waited = tokio::time::timeout(Duration::from_millis(200), greeting(&nats)).await;
        waited.is_err()
    })
    .await;
    nats.resume().unwrap();
    assert_eq!(greeting(&nats).await.unwrap(), *b"INFO ");
    nats.kill().unwrap();
    assert!(greeting(&nats).await.is_err());
    assert!(nats.stop().is_err(), "it has ended");
    nats.restart().await.unwrap();
    assert_eq!(greeting(&nats).await.unwrap(), *b"INFO ");
}
