//! What many nodes cost: a fan-out over each broker, and presence, on private servers.

use std::{
    net::{Ipv4Addr, SocketAddr},
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

use crate::{load::across, node::Node, process::Process, work::Shape};

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

/// How many nodes each broker joins.
const NODES: [usize; 3] = [1, 2, 4];

/// Measures, and prints two tables.
pub(crate) async fn measure(options: Options) -> Result<(), BoxError> {
    let length = Duration::try_from_secs_f64(options.seconds)?;
    let (rabbitmq, redis, store) =
        futures::try_join!(RabbitMq::start(), Redis::start(), Redis::start())?;
    println!(
        "| fan-out over | nodes | in flight | broadcasts/s | deliveries/s | sender's CPU per broadcast | server's CPU per broadcast | receiver's CPU per delivery | p50 | p99 |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let brokers = [
        ("RabbitMQ", rabbitmq.url(), rabbitmq.pid()),
        ("Redis", redis.url(), redis.pid()),
    ];
    for (name, broker, server) in &brokers {
        let mut nodes = Vec::new();
        for count in NODES {
            while nodes.len() < count {
                let (listen, store) = (SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), store.url());
                let backends = ["--broker", broker, "--presence", &store];
                let options = [&["--workers", "1"], &backends[..]].concat();
                nodes.push(Node::start(listen, &options)?);
            }
            fan_out(name, &nodes, Process::of(*server), &options, length).await?;
        }
    }
    println!();
    presence(&store.url(), length).await
}

/// From the first node to the sessions of the last one; those between have none.
async fn fan_out(
    name: &str,
    nodes: &[Node],
    server: Process,
    options: &Options,
    length: Duration,
) -> Result<(), BoxError> {
    let [Some(first), Some(last)] = [nodes.first(), nodes.last()] else {
        return Ok(());
    };
    for window in [1, 16] {
        let shape = Shape {
            sessions: options.sessions,
            payload: options.payload,
            window,
        };
        let place = |node: &Node| (node.address(), node.process());
        let (places, server) = ([place(first), place(last)], server.clone());
        let run = tokio::task::spawn_blocking(move || across(places, server, shape, length));
        let run = run.await??;
        let micros = |cpu: Duration, by: u64| cpu.as_secs_f64() * 1e6 / by as f64;
        println!(
            "| {name} | {} | {window} | {:.0} | {:.0} | {:.0} µs | {:.0} µs | {:.2} µs | {:.0} µs | {:.0} µs |",
            nodes.len(),
            run.broadcasts as f64 / run.took.as_secs_f64(),
            run.deliveries as f64 / run.took.as_secs_f64(),
            micros(run.cpu[0], run.broadcasts),
            micros(run.cpu[2], run.broadcasts),
            micros(run.cpu[1], run.deliveries),
            run.latency.p50,
            run.latency.p99,
        );
    }
    Ok(())
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
