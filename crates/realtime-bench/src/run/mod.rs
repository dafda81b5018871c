//! The measurement: everybody in turn, each between two runs of its floor, several rounds.

mod columns;
mod picture;
mod results;
pub(crate) mod rooms;
mod server;
mod table;
#[cfg(feature = "admin")]
pub(crate) mod watched;

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
    load::Outcome,
    peers::{self, BATCHING_FLOOR, FLOOR, Peer},
    work::Work,
};

use results::{Results, Sample};
use server::Server;

/// The options of `run`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many rounds; the report has their medians.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each run measures, in seconds.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// What to measure; see `load --help`.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "fan-out:1000x128,fan-out:5000x1024,fan-out:1000x128w16,echo:100x128,\
                         echo:100x128w16,request:100x128w16,latency:1000x128,stalled:1000x1024,connect:10000,\
                         storm:4000"
    )]
    only: Vec<Work>,
    /// Whom to measure; all by default.
    #[arg(long, value_delimiter = ',', value_parser = Peer::named)]
    peers: Vec<Peer>,
    /// Count system calls, too, in a run of its own under strace.
    #[arg(long)]
    calls: bool,
    /// Where report.md and report.svg go.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

/// A server that is built.
struct Built {
    peer: Peer,
    command: Vec<String>,
}

/// Measures and reports.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let folder = &options.out;
    let unwritable = |e| format!("{} can't be written: {e}", folder.display());
    fs::create_dir_all(folder).map_err(unwritable)?;
    if let Some(work) = options.only.iter().find(|work| work.is_ours_alone()) {
        return Err(format!(
            "expected a work that the floor can do, too; {work} is one of `realtime-bench rooms`"
        ));
    }
    let bench = Bench::prepare(&options.out, options.seconds)?;
    let mut results = Results::default();
    for peer in &options.peers() {
        match peers::build(peer, folder) {
            Ok(command) => results.add_peer(Built {
                peer: *peer,
                command,
            }),
            Err(missing) => results.add_missing(*peer, missing),
        }
    }
    let mut failures = Vec::new();
    for round in 1..=options.rounds {
        for work in &options.only {
            eprintln!("round {round} of {}: {work}", options.rounds);
            let calls = round == 1 && options.calls;
            if let Err(failure) = bench.measure(*work, calls, &mut results) {
                eprintln!("{failure}");
                failures.push(failure);
            }
        }
        // After each round, so that a run that is cut short leaves what it has.
        let report = table::render(options, round, &results);
        fs::write(folder.join("report.md"), &report).map_err(unwritable)?;
        let picture = picture::draw(&options.only, &results);
        fs::write(folder.join("report.svg"), picture).map_err(unwritable)?;
        if round == options.rounds {
            println!("{report}");
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "a floor could not be measured: {}",
            failures.join("; ")
        ))
    }
}

impl Options {
    fn peers(&self) -> Vec<Peer> {
        if self.peers.is_empty() {
            peers::ALL.to_vec()
        } else {
            self.peers.clone()
        }
    }
}

/// What all runs share.
struct Bench {
    floor: Built,
    batching_floor: Built,
    /// The cores of servers, and that of the generator.
    cores: (Vec<usize>, Vec<usize>),
    seconds: String,
}

impl Bench {
    fn prepare(out: &Path, seconds: f64) -> Result<Self, String> {
        let floor = |peer| {
            let command = peers::build(&peer, out)
                .map_err(|missing| format!("the floor can't be built without {missing}"))?;
            Ok::<_, String>(Built { peer, command })
        };
        Ok(Self {
            floor: floor(FLOOR)?,
            batching_floor: floor(BATCHING_FLOOR)?,
            cores: server::apart(),
            seconds: seconds.to_string(),
        })
    }

    /// One round of one work.
    fn measure(&self, work: Work, calls: bool, results: &mut Results) -> Result<(), String> {
        let floor = if work.is_burst() {
            &self.batching_floor
        } else {
            &self.floor
        };
        let run_floor = |work: Work, more: &[(&str, String)]| {
            self.one(floor, work, more)
                .map_err(|e| format!("{}, {work}: {e}", floor.peer))
        };
        let mut more = vec![("--seconds", self.seconds.clone())];
        if let Work::Latency(shape) = work {
            let saturated = run_floor(Work::FanOut(shape), &more)?;
            let rate = saturated.per_second() / shape.sessions as f64 / 2.0;
            more.push(("--rate", rate.to_string()));
        }
        let mut before = run_floor(work, &more)?;
        results.add_floor(work, &before);
        for index in 0..results.built().len() {
            let server = &results.built()[index];
            let outcome = self.one(server, work, &more);
            let counted = calls
                .then(|| self.count_calls(server, work, &more))
                .flatten();
            let after = run_floor(work, &more)?;
            results.add_floor(work, &after);
            let sample = outcome.map(|outcome| Sample::new(outcome, counted, [&before, &after]));
            if let Err(error) = &sample {
                eprintln!("{}, {work}: {error}", results.built()[index].peer);
            }
            results.add(index, work, sample);
            before = after;
        }
        Ok(())
    }

    /// A run under strace, where its figure is of interest.
    fn count_calls(&self, built: &Built, work: Work, more: &[(&str, String)]) -> Option<Outcome> {
        if !matches!(
            work,
            Work::FanOut(_) | Work::Room(_) | Work::Echo(_) | Work::Request(_)
        ) {
            return None;
        }
        let more = [more, &[("--calls", String::new())]].concat();
        self.one(built, work, &more)
            .inspect_err(|e| eprintln!("{}, {work}, system calls: {e}", built.peer))
            .ok()
    }

    fn one(&self, built: &Built, work: Work, more: &[(&str, String)]) -> Result<Outcome, String> {
        let (servers, generator) = &self.cores;
        let both = [&servers[..], generator].concat();
        let cores = if built.peer.cores == 1 {
            servers
        } else {
            &both
        };
        let server = Server::start(&built.command, cores)?;
        server.load(generator, &built.peer, work, more)
    }
}
