//! A master that a sentinel knows.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use std::process::Command;

use realtime_core::{
    IdentityKey,
    presence::{Presence, SessionInfo},
};
use realtime_testkit::{
    servers::{Redis, Sentinel},
    wait::until,
};
use support::{LONG, next_down, patient, presence, register, renew, session, until_up, works};

#[tokio::test(flavor = "multi_thread")]
async fn the_master_is_found_through_a_sentinel_and_again_after_an_outage() {
    let mut redis = Redis::start().await.unwrap();
    let sentinel = Sentinel::start(&redis).await.unwrap();
    let presence = presence(sentinel.url());
    let mut events = presence.events();
    works(&presence).await;
    redis.kill().unwrap();
    next_down(&mut events).await;
    redis.restart().await.unwrap();
    until_up(&mut events).await;
    works(&presence).await;
    until("somebody is online", async || {
        presence.is_online(&support::ann()).await.unwrap()
    })
    .await;
}

/// A replica, and a sentinel that knows it.
async fn with_a_replica(master: &Redis) -> (Redis, Sentinel) {
    let replica = Redis::options().line(format!("replicaof 127.0.0.1 {}", master.port()));
    let replica = replica.start().await.unwrap();
    until("the replica follows", async || {
        let info = replica.command(&["INFO", "replication"]).await.unwrap();
        info.contains("master_link_status:up")
    })
    .await;
    let sentinel = Sentinel::start(master).await.unwrap();
    until("the sentinel knows the replica", async || {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &sentinel.port().to_string()]);
        cli.args(["SENTINEL", "replicas", "main"]);
        let answer = cli.output().unwrap().stdout;
        String::from_utf8(answer).unwrap().contains("slave")
    })
    .await;
    (replica, sentinel)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_gone_for_good_is_left_for_the_one_that_takes_its_place() {
    let mut master = Redis::start().await.unwrap();
    let (replica, sentinel) = with_a_replica(&master).await;
    let behind = patient(sentinel.url());
    let mut events = behind.events();
    let people: Vec<_> = (0..20).map(|n| IdentityKey::new(format!("p{n}"))).collect();
    let sessions: Vec<_> = people.iter().map(session).collect();
    let keys: Vec<_> = sessions.iter().map(SessionInfo::key).collect();
    register(&behind, &sessions, LONG).await;
    master.kill().unwrap();
    let cause = next_down(&mut events).await;
    assert!(cause.starts_with("the master main: "), "{cause}");
    until_up(&mut events).await;
    // As a gateway does: what the master had not passed on is registered again.
    let unknown = renew(&behind, &keys, LONG).await;
    let again = sessions.iter().filter(|info| unknown.contains(&info.key()));
    let again: Vec<_> = again.cloned().collect();
    register(&behind, &again, LONG).await;
    assert_eq!(renew(&behind, &keys, LONG).await, []);
    // They are where they should be.
    let info = replica.command(&["INFO", "replication"]).await.unwrap();
    assert!(info.contains("role:master"), "{info}");
    let online = presence(replica.url()).online(&people).await.unwrap();
    assert_eq!(online.online.len(), people.len());
}
