//! A master that a sentinel knows.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use std::{fs, path::Path, process::Command};

use realtime_core::presence::Presence;
use realtime_testkit::{
    servers::{Process, free_port, redis::Redis},
    wait::{DEADLINE, until},
};
use support::{next_down, next_up, presence, works};

async fn sentinel(dir: &Path, master: &Redis) -> (Process, u16) {
    let port = free_port().unwrap();
    let config = dir.join("sentinel.conf");
    let lines = format!(
        "bind 127.0.0.1\nport {port}\ndir \"{}\"\nsentinel monitor main 127.0.0.1 {} 1\n",
        dir.display(),
        master.port()
    );
    fs::write(&config, lines).unwrap();
    let mut command = Command::new("redis-server");
    command.arg(config).arg("--sentinel");
    let mut process = Process::spawn(&mut command, dir.join("sentinel.log")).unwrap();
    let ready = async |log: &Path| fs::read_to_string(log).unwrap().contains("+monitor");
    process.ready(DEADLINE, ready).await.unwrap();
    (process, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_is_found_through_a_sentinel_and_again_after_an_outage() {
    let mut redis = Redis::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (_sentinel, port) = sentinel(dir.path(), &redis).await;
    let url = format!("redis-sentinel://127.0.0.1:{port}?sentinelServiceName=main");
    let presence = presence(url);
    let mut events = presence.events();
    works(&presence).await;
    redis.kill().unwrap();
    next_down(&mut events).await;
    redis.restart().await.unwrap();
    next_up(&mut events).await;
    works(&presence).await;
    until("somebody is online", async || {
        presence.is_online(&support::ann()).await.unwrap()
    })
    .await;
}
