//! A room over links that break all the time.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
    time::Duration,
};

use clap::Args;
use realtime::BoxError;
use realtime_testkit::servers::Redis;
use tokio::{task::spawn_blocking, time::sleep};

use super::{crowd::Crowd, cutter::Cutter, publisher::Publisher, report::Report};
use crate::node::Node;

/// After how many seconds a connection is cut.
const LIFE: Range<f64> = 1.0..5.0;
/// How long all may take to have everything, once nothing is sent any more.
const TO_END: Duration = Duration::from_secs(30);
/// For how long what comes too often is waited for when all have everything.
const TO_DOUBLE: Duration = Duration::from_secs(2);

/// The options of `flapping`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Clients in the room.
    #[arg(long, default_value_t = 1_000)]
    clients: usize,
    /// For how long messages are sent, in seconds.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Messages a second.
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// Nodes, among which clients move with each connection. More than one share a private Redis as
    /// broker, presence store and history.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: u8,
}

/// Measures, and prints a table and JSON.
///
/// # Errors
/// When a client has missed a message, got one twice or in another order, or could not recover.
pub(crate) async fn measure(options: Options) -> Result<(), BoxError> {
    let count = messages(&options)?;
    let redis = match options.nodes {
        1 => None,
        _ => Some(Redis::start().await?),
    };
    let url = redis.as_ref().map(Redis::url);
    let (nodes, history) = (options.nodes, count);
    let nodes = spawn_blocking(move || start(nodes, history, url.as_deref())).await??;
    let addresses: Vec<_> = nodes.iter().map(Node::address).collect();
    let cutter = Cutter::start(addresses.clone(), LIFE).await?;
    let crowd = Crowd::join(cutter.address(), options.clients, false).await?;
    let mut publisher = Publisher::connect(&addresses, 0).await?;
    publisher.publish_at(options.rate, count).await?;
    let all_have_it = crowd.has(publisher.sent(), TO_END).await;
    sleep(TO_DOUBLE).await;
    let members = crowd.stop().await?;
    let late = (!all_have_it).then_some("expected all clients to have the last message in time");
    Report::of(&members, nodes.len(), publisher.sent()).tell(late)
}

/// How many messages are sent.
fn messages(options: &Options) -> Result<u64, BoxError> {
    /// What a room keeps at the most, so that nobody who was away for long misses the first.
    const MOST: f64 = 100_000.0;
    let count = (options.seconds * options.rate).round();
    if !(1.0..=MOST).contains(&count) || !(0.001..=MOST).contains(&options.rate) {
        let error =
            format!("expected 1 to {MOST} messages, `--seconds` times `--rate`; got {count}");
        return Err(error.into());
    }
    Ok(count as u64)
}

fn start(count: u8, history: u64, redis: Option<&str>) -> io::Result<Vec<Node>> {
    let history = history.to_string();
    let mut options = vec!["--history", &*history, "--max-connections", "off"];
    if let Some(url) = redis {
        options.extend(["--broker", url, "--presence", url]);
    }
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (0..count).map(|_| Node::start(listen, &options)).collect()
}
