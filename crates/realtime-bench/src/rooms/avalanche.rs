//! A node is killed and started again, and all its clients come back at once.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use clap::Args;
use realtime::BoxError;
use realtime_testkit::servers::Redis;
use tokio::{sync::watch, task::spawn_blocking, time::sleep};

use super::{crowd::Crowd, publisher::Publisher, report::Report};
use crate::node::Node;

/// How many messages are sent while all are there, and how many while they are away.
const EACH_TIME: u64 = 5;
/// How many messages the room keeps: more than are sent in the time that all may take.
const HISTORY: &str = "10000";
/// How long a message may take to all, and a node's end to be seen by all.
const TO_ALL: Duration = Duration::from_secs(30);
/// How long all may take to be back.
const TO_RETURN: Duration = Duration::from_secs(120);
/// For how long what comes too often is waited for when all have everything.
const TO_DOUBLE: Duration = Duration::from_secs(2);

/// The options of `avalanche`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Clients in the room. Each takes a descriptor here and one at the node (`ulimit -n`).
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// Messages a second that are sent while they come back. Each goes to all that are back, so
    /// that many of them are a load of their own.
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
}

/// Measures, and prints a table and JSON.
///
/// # Errors
/// When a client has not come back, has missed a message, got one twice or in another order, or
/// could not recover.
pub(crate) async fn measure(options: Options) -> Result<(), BoxError> {
    let redis = Redis::start().await?;
    let node = start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), redis.url()).await?;
    let address = node.address();
    let crowd = Crowd::join(address, options.clients, true).await?;
    let mut publisher = Publisher::connect(&[address], 0).await?;
    for _ in 0..EACH_TIME {
        publisher.publish().await?;
    }
    if !crowd.has(publisher.sent(), TO_ALL).await {
        return Err("expected all clients to get what was sent before the node was killed".into());
    }

    crowd.close_gate();
    let killed = Instant::now();
    drop(node);
    if !crowd.is_out(TO_ALL).await {
        return Err("expected all clients to see that the node was killed".into());
    }
    let node = start(address, redis.url()).await?;
    let down = killed.elapsed();
    let mut publisher = Publisher::connect(&[address], publisher.sent()).await?;
    for _ in 0..EACH_TIME {
        publisher.publish().await?;
    }

    let (before, opened) = (publisher.sent(), Instant::now());
    crowd.open_gate();
    let (done, until) = watch::channel(false);
    let coming = async {
        let returned = crowd.has_returned(TO_RETURN).await;
        done.send_replace(true);
        (returned, opened.elapsed())
    };
    let ((returned, last), published) =
        tokio::join!(coming, publisher.publish_until(options.rate, until));
    published?;
    let meanwhile = publisher.sent() - before;
    // What is live again reaches all.
    publisher.publish().await?;
    let all_have_it = crowd.has(publisher.sent(), TO_ALL).await;
    sleep(TO_DOUBLE).await;
    let members = crowd.stop().await?;
    drop(node);
    println!(
        "the node was away for {:.1} s, {EACH_TIME} messages were sent before all came back, and \
         {meanwhile} until the last had recovered after {:.1} s ({} of them again, after an error)",
        down.as_secs_f64(),
        last.as_secs_f64(),
        publisher.repeated(),
    );
    println!();
    let late = match (returned, all_have_it) {
        (false, _) => Some("expected all clients to come back in time"),
        (_, false) => Some("expected all clients to have the last message in time"),
        _ => None,
    };
    Report::of(&members, 1, publisher.sent()).tell(late)
}

/// Presence and history are in Redis, so that both outlive the node.
async fn start(listen: SocketAddr, redis: String) -> Result<Node, BoxError> {
    let node = spawn_blocking(move || {
        let backends = ["--presence", &redis, "--history", HISTORY];
        Node::start(
            listen,
            &[&backends[..], &["--max-connections", "off"]].concat(),
        )
    });
    Ok(node.await??)
}
