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
    /// How many seconds to wait, for `held`, once all have left: who was in a room with presence is
    /// remembered for 5 s.
    #[arg(long, default_value_t = 7.0)]
    wait: f64,
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
                beside(options, &bench, [&unattended, &ours], *work, *shape)?;
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
    /// The line of the floor that does the same.
    floor: usize,
    outcomes: Vec<Outcome>,
}

/// The lines of a floor; that of our server is behind each. The first two are what the others are
/// set against: a broadcast to as many as a window of messages is for, and one to all sessions.
const AS_MANY: usize = 0;
const ALL: usize = 2;
const ROOMS: usize = 4;

fn beside(
    options: &Options,
    bench: &Bench,
    [ours, attended]: [&Built; 2],
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
    let row = |what: &str, server, work, floor| Row {
        what: what.to_owned(),
        server,
        work,
        floor,
        outcomes: Vec::new(),
    };
    let (floor, to_many, to_all) = (&bench.floor, Work::FanOut(as_many), Work::FanOut(all));
    let mut rows = [
        row("floor, broadcast to as many", floor, to_many, AS_MANY),
        row("broadcast to as many", ours, to_many, AS_MANY),
        row("floor, broadcast to all", floor, to_all, ALL),
        row("broadcast to all", ours, to_all, ALL),
        row("floor, the rooms", floor, work, ROOMS),
        row("**the rooms**", ours, work, ROOMS),
        row("with presence", attended, work, ROOMS),
        row("one room of as many", ours, Work::Room(as_many), AS_MANY),
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
        "| | work | CPU µs each | user | system | × floor | × broadcast to as many | user | system | × broadcast to all | user | system | per second | moves/s | p50 µs | p99 µs | generator busy |"
    );
    println!("| --- | --- |{}", " ---: |".repeat(15));
    for row in &rows {
        println!("| {} | `{}` | {} |", row.what, row.work, row.cells(&rows));
    }
    println!();
    Ok(())
}

impl Row<'_> {
    fn cells(&self, rows: &[Row<'_>]) -> String {
        let runs = &self.outcomes;
        let micros = parts(runs).map(|seconds| format!("{:.2}", seconds * 1e6));
        let [over_floor, ..] = ratios(runs, &rows[self.floor].outcomes);
        // A floor is set against a floor's broadcast, and our server against its own.
        let own = usize::from(self.server.peer.is_ours());
        let [as_many, all] = [AS_MANY, ALL].map(|at| ratios(runs, &rows[at + own].outcomes));
        let ratios = [&[over_floor], &as_many[..], &all].concat();
        let ratios = ratios.iter().map(|ratio| format!("{ratio:.2}"));
        let figures: [fn(&Outcome) -> Option<f64>; 5] = [
            |run| Some(run.per_second()),
            |run| Some(run.moves as f64 / run.seconds),
            |run| Some(run.latency?.p50),
            |run| Some(run.latency?.p99),
            |run| Some(run.own_share * 100.0),
        ];
        let figures = figures.iter().map(|of| {
            let figure = median(runs.iter().filter_map(of).collect());
            format!("{:.0}", figure.unwrap_or_default())
        });
        let cells: Vec<_> = micros.into_iter().chain(ratios).chain(figures).collect();
        cells.join(" | ") + " %"
    }
}

/// How much more CPU time each message took than one of others: the median of the rounds, and of
/// user time and system time in all of them.
fn ratios(runs: &[Outcome], others: &[Outcome]) -> [f64; 3] {
    let pairs = runs.iter().zip(others);
    let pairs = pairs.filter_map(|(run, other)| Some(run.cpu_each()? / other.cpu_each()?));
    let both = median(pairs.collect()).unwrap_or_default();
    let ([_, user, system], [_, of_user, of_system]) = (parts(runs), parts(others));
    [both, user / of_user, system / of_system]
}

/// The server's CPU time for each message that arrived, in seconds, and what of it is user time and
/// system time. The kernel samples which of them it is, so that takes all runs together.
fn parts(runs: &[Outcome]) -> [f64; 3] {
    let each = median(runs.iter().filter_map(Outcome::cpu_each).collect()).unwrap_or_default();
    let sum = |of: fn(&Outcome) -> f64| runs.iter().map(of).sum::<f64>();
    let user = each * sum(|run| run.server_user) / sum(|run| run.server_cpu);
    [each, user, each - user]
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
            let wait = ("--seconds", options.wait.to_string());
            let outcome = bench.one(server, work, &[wait]);
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
