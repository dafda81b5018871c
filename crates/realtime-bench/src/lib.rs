//! Measures `realtime` beside its peers: a server, a load generator, and a report that sets
//! everybody against a bare epoll loop in C. See the crate's README for how to run it and what
//! its figures mean.

#[cfg(feature = "full")]
mod cluster;
#[cfg(feature = "full")]
mod drain;
mod instructions;
mod load;
#[cfg(feature = "full")]
mod node;
pub mod operations;
mod or_off;
mod peers;
pub mod pipe;
mod process;
#[cfg(feature = "full")]
mod rooms;
mod run;
mod serve;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "traces")]
mod traced;
mod work;

use clap::{Parser, Subcommand};
use realtime::BoxError;

/// The command line.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Our server, with the routes `echo`, `broadcast` and `send`.
    Serve(serve::Options),
    /// Puts a load on one server and prints what it measured as JSON.
    Load(load::Options),
    /// Measures everybody in turn and writes the report.
    #[command(args_override_self = true)]
    Run(run::Options),
    /// What many rooms cost, beside broadcasts of as many deliveries.
    Rooms(run::rooms::Options),
    /// What it costs that an operator looks at a node full of sessions.
    #[cfg(feature = "admin")]
    Watched(run::watched::Options),
    /// What many nodes cost, on a private RabbitMQ and Redis.
    #[cfg(feature = "full")]
    Cluster(cluster::Options),
    /// A room over links that break all the time: does everybody get every message once, in order?
    #[cfg(feature = "full")]
    Flapping(rooms::flapping::Options),
    /// A node is killed, and all its clients come back at once: when has the last one recovered?
    #[cfg(feature = "full")]
    Avalanche(rooms::avalanche::Options),
    /// A node ends: how many clients come back a second, with a drain and without?
    #[cfg(feature = "full")]
    Drain(drain::Options),
    /// A peer that is written in Rust.
    Peer(peers::rust::Options),
    /// Counts instructions for each operation, with valgrind.
    Instructions(instructions::Options),
    /// Does one operation many times, for `instructions`.
    Repeat(instructions::Repeat),
}

/// Does what the command line says.
///
/// # Errors
/// When it can't be done: the text says what was expected.
pub fn execute(command: Command) -> Result<(), BoxError> {
    #[cfg(feature = "metrics")]
    let _exporter = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder()?;
    match command.task {
        Task::Serve(options) => runtime(options.workers)?.block_on(serve::serve(options)),
        Task::Load(options) => Ok(load::load(&options)?),
        Task::Run(options) => Ok(run::run(&options)?),
        Task::Rooms(options) => Ok(run::rooms::run(&options)?),
        #[cfg(feature = "admin")]
        Task::Watched(options) => Ok(run::watched::run(&options)?),
        #[cfg(feature = "full")]
        Task::Cluster(options) => runtime(None)?.block_on(cluster::measure(options)),
        #[cfg(feature = "full")]
        Task::Flapping(options) => runtime(None)?.block_on(rooms::flapping::measure(options)),
        #[cfg(feature = "full")]
        Task::Avalanche(options) => runtime(None)?.block_on(rooms::avalanche::measure(options)),
        #[cfg(feature = "full")]
        Task::Drain(options) => drain::measure(&options),
        Task::Peer(options) => runtime(None)?.block_on(peers::rust::serve(options)),
        Task::Instructions(options) => instructions::count(&options),
        Task::Repeat(options) => instructions::repeat(&options),
    }
}

fn runtime(workers: Option<usize>) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        builder.worker_threads(workers.max(1));
    }
    builder.enable_all().build()
}
