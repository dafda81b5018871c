//! What many nodes cost: a fan-out across two, and presence, on a private RabbitMQ and Redis.

use std::{
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use clap::Args;
use realtime::{
    BoxError, IdentityKey, SessionId,
    broker::NodeInfo,
    connect,
    node::{Incarnation, NodeId},
    presence::{Presence, SessionInfo, SessionKey},
};
use realtime_testkit::servers::{RabbitMq, Redis};

use crate::{load::across, process::Process, work::Shape};

/// The options of `cluster`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Sessions on the node that delivers.
    #[arg(long, default_value_t = 1_000)]
    sessions: usize,
    /// Bytes of each message.
    #[arg(long, default_value_t = 128)]
    payload: usize,
    /// For how long each is measured, in seconds.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

/// A node in a process of its own. It is killed when this is dropped.
struct Node(Child, SocketAddr);

impl Node {
    fn start(urls: [&str; 2]) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", "127.0.0.1:0", "--workers", "1"])
            .args(["--broker", urls[0], "--presence", urls[1]])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line.trim().trim_start_matches("listening on http://");
        let address = address.parse().map_err(io::Error::other);
        let mut node = Self(child, SocketAddr::from(([127, 0, 0, 1], 0)));
        node.1 = address?;
        Ok(node)
    }

    fn place(&self) -> (SocketAddr, Process) {
        (self.1, Process::of(self.0.id()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _already_waited = self.0.wait();
    }
}

/// Measures, and prints two tables.
pub(crate) async fn measure(options: Options) -> Result<(), BoxError> {
    let length = Duration::try_from_secs_f64(options.seconds)?;
    let (rabbitmq, redis) = futures::try_join!(RabbitMq::start(), Redis::start())?;
    let urls = [rabbitmq.url(), redis.url()];
    let start = || Node::start([&urls[0], &urls[1]]);
    let (first, second) = (start()?, start()?);

    println!(
        "| fan-out | in flight | deliveries/s | sender's CPU per broadcast | receiver's CPU per delivery | p50 | p99 |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for window in [1, 16] {
        for (name, from) in [("on one node", &second), ("across RabbitMQ", &first)] {
            let shape = Shape {
                sessions: options.sessions,
                payload: options.payload,
                window,
            };
            let nodes = [from.place(), second.place()];
            let run = tokio::task::spawn_blocking(move || across(nodes, shape, length));
            let run = run.await??;
            let micros = |cpu: Duration, by: u64| cpu.as_secs_f64() * 1e6 / by as f64;
            println!(
                "| {name} | {window} | {:.0} | {:.1} µs | {:.2} µs | {:.0} µs | {:.0} µs |",
                run.deliveries as f64 / run.took.as_secs_f64(),
                micros(run.cpu[0], run.broadcasts),
                micros(run.cpu[1], run.deliveries),
                run.latency.p50,
                run.latency.p99,
            );
        }
    }
    println!();
    presence(&urls[1], length).await
}

/// Calls that name one session each, and batches of 500.
async fn presence(url: &str, length: Duration) -> Result<(), BoxError> {
    const AT_ONCE: usize = 64;
    const BATCH: usize = 500;
    let store = connect::presence(url)?;
    let (own, node) = (
        Process::own(),
        NodeInfo::new(NodeId::random(), Incarnation::random()),
    );
    let session = |n: usize| {
        let identity = IdentityKey::new(format!("u{n}")).with_tenant("bench");
        SessionInfo::new(SessionId::random(), &identity, node.clone())
    };
    let ttl = Some(Duration::from_secs(90));
    let infos: Vec<_> = (0..AT_ONCE * BATCH).map(session).collect();
    let keys: Vec<_> = infos.iter().map(SessionInfo::key).collect();
    println!("| presence | sessions/s | our CPU for each |");
    println!("| --- | --- | --- |");
    for what in [
        "register",
        "is_online",
        "sessions",
        "nodes",
        "renew",
        "renew, 500 at once",
        "unregister",
    ] {
        let (cpu, start) = (own.cpu()?, Instant::now());
        let mut done = 0;
        while start.elapsed() < length {
            let one = |n: usize| {
                let (info, key) = (&infos[n], &keys[n]);
                let (store, infos) = (&store, &infos);
                async move { call(store, what, info, key, infos, ttl).await }
            };
            let from = done % (infos.len() - AT_ONCE);
            let calls = (from..from + AT_ONCE).map(one);
            let counts = futures::future::try_join_all(calls).await?;
            done += counts.iter().sum::<usize>();
        }
        let (took, cpu) = (start.elapsed(), own.cpu()? - cpu);
        println!(
            "| {what} | {:.0} | {:.1} µs |",
            done as f64 / took.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / done as f64
        );
    }
    store.close().await;
    Ok(())
}

async fn call(
    store: &impl Presence,
    what: &str,
    info: &SessionInfo,
    key: &SessionKey,
    infos: &[SessionInfo],
    ttl: Option<Duration>,
) -> Result<usize, BoxError> {
    match what {
        "register" => drop(store.register(std::slice::from_ref(info), ttl).await?),
        "is_online" => drop(store.is_online(&key.identity).await?),
        "sessions" => drop(store.sessions(&key.identity).await?),
        "renew" => drop(store.renew(std::slice::from_ref(key), ttl).await?),
        "nodes" => drop(store.nodes(&key.identity).await?),
        "unregister" => drop(store.unregister(std::slice::from_ref(key)).await?),
        _ => {
            let batch: Vec<_> = infos.iter().take(500).map(SessionInfo::key).collect();
            drop(store.renew(&batch, ttl).await?);
            return Ok(batch.len());
        }
    }
    Ok(1)
}
