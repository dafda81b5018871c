//! Many rooms beside broadcasts of as many deliveries, by the same server in the same round.

use std::{fs, path::PathBuf};

use clap::Args;

use super::{Bench, Built, results::median};
use crate::{
    load::Outcome,
    peers::{self, OURS},
    work::{Rooms, Shape, Work},
};

/// The options of `rooms`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many rounds; the report has their medians.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each run measures, in seconds.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// What to measure: `rooms:10000x10x128` are 10,000 rooms of 10 and messages of 128 bytes, with
    /// `w16` behind it 16 at once; `moving:…` the same while members move; `held:100000` the memory of
    /// as many rooms.
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = of_rooms,
        default_value = "rooms:10000x10x128,rooms:10000x10x128w16,rooms:100x100x128,moving:100x100x128,\
                         held:100000"
    )]
    only: Vec<Work>,
    /// How many members go from one room to another in a second, for `moving`.
    #[arg(long, default_value_t = 1_000.0)]
    moves: f64,
    /// Where the floor is built.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

fn of_rooms(text: &str) -> Result<Work, String> {
    let work: Work = text.parse()?;
    match work.is_ours_alone() {
        true => Ok(work),
        false => Err(format!(
            "expected rooms:RxMxPwW, moving:RxMxPwW or held:R; got {text:?}"
        )),
    }
}

/// Measures, and prints a table for each work.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let folder = &options.out;
    fs::create_dir_all(folder)
        .map_err(|e| format!("{} can't be written: {e}", folder.display()))?;
    let bench = Bench::prepare(folder, options.seconds)?;
    let server = |more: Option<&str>| -> Result<Built, String> {
        let mut command = peers::build(&OURS, folder)?;
        command.extend(more.map(ToOwned::to_owned));
        Ok(Built {
            peer: OURS,
            command,
        })
    };
    let (ours, unattended) = (server(None)?, server(Some("--no-room-presence"))?);
    for work in &options.only {
        match work {
            Work::Rooms(shape) | Work::Moving(shape) => {
                beside(options, &bench, &ours, *work, *shape)?;
            }
            _ => held(options, &bench, [&ours, &unattended], *work)?,
        }
    }
    Ok(())
}

/// One line of a table.
struct Row<'b> {
    what: String,
    server: &'b Built,
    work: Work,
    outcomes: Vec<Outcome>,
}

/// Where what everything is set against stands in the table: a broadcast to as many as a window
/// of messages is for, and one to all sessions.
const AS_MANY: usize = 1;
const ALL: usize = 2;

fn beside(
    options: &Options,
    bench: &Bench,
    ours: &Built,
    work: Work,
    shape: Rooms,
) -> Result<(), String> {
    let sessions = shape.sessions();
    let as_many = Shape {
        sessions: sessions.min(shape.members * shape.window),
        payload: shape.payload,
        window: 1,
    };
    let all = Shape {
        sessions,
        ..as_many
    };
    let row = |what: &str, server, work| Row {
        what: what.to_owned(),
        server,
        work,
        outcomes: Vec::new(),
    };
    let mut rows = [
        row("floor, to as many", &bench.floor, Work::FanOut(as_many)),
        row("broadcast to as many", ours, Work::FanOut(as_many)),
        row("broadcast to all", ours, Work::FanOut(all)),
        row("floor, to all", &bench.floor, Work::FanOut(all)),
        row("one room of as many", ours, Work::Room(as_many)),
        row("one room of all", ours, Work::Room(all)),
        row(&work.title(), ours, work),
    ];
    let more = [
        ("--seconds", bench.seconds.clone()),
        ("--rate", options.moves.to_string()),
    ];
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}: {work}", options.rounds);
        for row in &mut rows {
            let outcome = bench.one(row.server, row.work, &more);
            let outcome = outcome.map_err(|e| format!("{}, {}: {e}", row.what, row.work))?;
            row.outcomes.push(outcome);
        }
    }
    let (rounds, seconds) = (options.rounds, options.seconds);
    println!("## {} (`{work}`)\n", work.title());
    println!("{sessions} sessions; medians of {rounds} rounds of {seconds} s.\n");
    println!(
        "| | work | CPU µs each | user | system | × broadcast to as many | user | system | × broadcast to all | user | system | per second | moves/s | p50 µs | p99 µs | generator busy |"
    );
    println!("| --- | --- |{}", " ---: |".repeat(14));
    let (as_many, all) = (&rows[AS_MANY].outcomes, &rows[ALL].outcomes);
    for row in &rows {
        let figures = |of: &dyn Fn(&Outcome) -> Option<f64>| {
            median(row.outcomes.iter().filter_map(of).collect()).unwrap_or_default()
        };
        let micros =
            PARTS.map(|part| format!("{:.2}", figures(&|run| Some(each(run, part) * 1e6))));
        let ratios = [as_many, all].map(|others| {
            PARTS.map(|part| {
                let pairs = row.outcomes.iter().zip(others);
                let ratios = pairs.map(|(run, other)| each(run, part) / each(other, part));
                format!("{:.2}", median(ratios.collect()).unwrap_or_default())
            })
        });
        println!(
            "| {} | `{}` | {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} % |",
            row.what,
            row.work,
            micros.join(" | "),
            ratios.concat().join(" | "),
            figures(&|run| Some(run.per_second())),
            figures(&|run| Some(run.moves as f64 / run.seconds)),
            figures(&|run| Some(run.latency?.p50)),
            figures(&|run| Some(run.latency?.p99)),
            figures(&|run| Some(run.own_share * 100.0)),
        );
    }
    println!();
    Ok(())
}

/// A part of the server's CPU time.
#[derive(Debug, Clone, Copy)]
enum Part {
    Both,
    User,
    System,
}

const PARTS: [Part; 3] = [Part::Both, Part::User, Part::System];

/// The server's CPU time for each message that arrived, in seconds.
fn each(run: &Outcome, part: Part) -> f64 {
    let time = match part {
        Part::Both => run.server_cpu,
        Part::User => run.server_user,
        Part::System => run.server_cpu - run.server_user,
    };
    time / run.count as f64
}

fn held(options: &Options, bench: &Bench, servers: [&Built; 2], work: Work) -> Result<(), String> {
    println!(
        "## {} (`{work}`)\n\nMedians of {} rounds.\n",
        work.title(),
        options.rounds
    );
    println!(
        "| who is there | bytes for a room | for a member | CPU µs for a join | MiB of all | once all have left | all again | left again |"
    );
    println!("| --- |{}", " ---: |".repeat(7));
    for (what, server) in ["kept", "not kept"].into_iter().zip(servers) {
        let mut outcomes = Vec::new();
        for round in 1..=options.rounds {
            eprintln!("round {round} of {}: {work}, {what}", options.rounds);
            let outcome = bench.one(server, work, &[]);
            outcomes.push(outcome.map_err(|e| format!("{work}: {e}"))?);
        }
        let figure = |of: &dyn Fn(&Outcome) -> Option<f64>| {
            median(outcomes.iter().filter_map(of).collect()).unwrap_or_default()
        };
        let mib = |bytes: f64| bytes / f64::from(1 << 20);
        println!(
            "| {what} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            figure(&|run| Some(run.held?.room)),
            figure(&|run| Some(run.held?.membership)),
            figure(&|run| Some(run.cpu_each()? * 1e6)),
            figure(&|run| Some(mib(run.held?.full))),
            figure(&|run| Some(mib(run.held?.left))),
            figure(&|run| Some(mib(run.held?.full_again))),
            figure(&|run| Some(mib(run.held?.left_again))),
        );
    }
    println!();
    Ok(())
}
