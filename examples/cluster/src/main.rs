//! Three nodes over Redis on one machine: what is said on one is heard on all, and when one is killed
//! its clients come back on another, and have missed nothing.
//!
//! `cargo run -p cluster` (`--listen ADDR`), and open what it prints in several tabs. The program
//! starts itself as each of the nodes, and a `redis-server` of their own; all of them end with it. A
//! real node is [`node`]: what is in the other modules is Kubernetes' or systemd's, and the load
//! balancer's, where it runs for real.

mod balancer;
mod child;
mod node;
mod page;
mod redis;
mod supervisor;

use std::{env, error::Error, process::ExitCode};

use realtime::{bind, shutdown_signal};

use balancer::Nodes;
use child::Child;
use supervisor::Supervisor;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let mut arguments = env::args().skip(1);
    let (what, which) = (arguments.next(), arguments.next());
    let which = which.unwrap_or_default();
    let ended = match what.as_deref() {
        None => all("127.0.0.1:8085").await,
        Some("--listen") => all(&which).await,
        // What this program starts of itself.
        Some("node") => node::run(&which).await,
        Some("redis") => redis::run().await,
        Some(other) => Err(format!("expected --listen ADDR, or nothing; got {other:?}").into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The whole cluster, until a signal ends it.
async fn all(address: &str) -> Result<(), Box<dyn Error>> {
    let shutdown = shutdown_signal();
    let listener = bind(address).await?;
    let (mut redis, url) = Child::start(&["redis"], &[]).await?;
    let nodes = Nodes::default();
    let mut supervisor = Supervisor::start(["a", "b", "c"], &url, nodes.clone()).await?;
    println!("listening on http://{}", listener.local_addr()?);
    println!(
        "Open it in three tabs: each is on another node. Kill one, and see where its tab goes."
    );

    // To the very end: what nodes say when they end goes this way.
    let balancing = tokio::spawn(balancer::balance(listener, nodes));
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        status = redis.ended() => Err(format!("Redis has ended by itself: {status}").into()),
    };
    supervisor.end().await;
    redis.end().await;
    balancing.abort();
    ended
}
