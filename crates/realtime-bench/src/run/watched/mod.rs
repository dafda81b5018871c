//! What it costs that an operator looks at a node full of sessions under traffic: the same load while
//! nobody looks, with the page open, and with somebody on it who searches for what isn't there.

mod operator;

use std::{path::Path, time::Duration};

use clap::Args;

use super::{
    results::median,
    server::{self, Server},
};
use crate::{
    load::Outcome,
    peers::{self, OURS},
    work::Work,
};
use operator::{Answer, Operator};

/// The options of `watched`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many rounds; the report has their medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each run measures, in seconds. The page asks every two.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Broadcasts per second, for `latency`.
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// The traffic; see `load --help`.
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = with_sessions,
        default_value = "latency:10000x128,rooms:10000x10x128"
    )]
    only: Vec<Work>,
}

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    Nobody,
    Page,
    Search,
}

impl Looks {
    const ALL: [Self; 3] = [Self::Nobody, Self::Page, Self::Search];

    const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Page => "a page",
            Self::Search => "a page that searches",
        }
    }

    /// What sessions and rooms are searched for, where somebody looks.
    const fn containing(self) -> Option<&'static str> {
        match self {
            Self::Nobody => None,
            Self::Page => Some(""),
            Self::Search => Some("what nobody is called"),
        }
    }
}

/// How many sessions are open meanwhile; `None` of a work whose sessions come and go.
fn sessions(work: Work) -> Option<usize> {
    match work {
        Work::FanOut(shape)
        | Work::Room(shape)
        | Work::Echo(shape)
        | Work::Request(shape)
        | Work::Latency(shape) => Some(shape.sessions),
        Work::Rooms(rooms) => Some(rooms.sessions()),
        _ => None,
    }
}

fn with_sessions(text: &str) -> Result<Work, String> {
    let work: Work = text.parse()?;
    match sessions(work) {
        Some(_) => Ok(work),
        None => Err(format!(
            "expected a work whose sessions stay, such as latency:NxP or rooms:RxMxP; got {text:?}"
        )),
    }
}

/// What a node and its page have done while one looks.
struct Row {
    looks: Looks,
    outcomes: Vec<Outcome>,
    answers: Vec<Answer>,
}

/// Measures, and prints two tables for each work.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    // Ours is this program, so nothing is built.
    let mut command = peers::build(&OURS, Path::new(""))?;
    command.push("--admin".to_owned());
    for work in &options.only {
        let mut rows = Looks::ALL.map(|looks| Row {
            looks,
            outcomes: Vec::new(),
            answers: Vec::new(),
        });
        for round in 1..=options.rounds {
            eprintln!("round {round} of {}: {work}", options.rounds);
            for row in &mut rows {
                measure(options, &command, *work, row)?;
            }
        }
        report(options, *work, &rows);
    }
    Ok(())
}

fn measure(options: &Options, command: &[String], work: Work, row: &mut Row) -> Result<(), String> {
    let (servers, generator) = server::apart();
    let server = Server::start(command, &servers)?;
    let open = sessions(work).unwrap_or_default();
    let operator = row.looks.containing();
    let operator = operator.map(|containing| Operator::start(server.address(), open, containing));
    let operator = operator.transpose()?;
    let more = [
        ("--seconds", options.seconds.to_string()),
        ("--rate", options.rate.to_string()),
    ];
    row.outcomes
        .push(server.load(&generator, &OURS, work, &more)?);
    if let Some(operator) = operator {
        row.answers.extend(operator.stop()?);
    }
    Ok(())
}

fn report(options: &Options, work: Work, rows: &[Row]) {
    let Options {
        rounds, seconds, ..
    } = options;
    println!("\n## {work}\n");
    println!(
        "{} sessions; medians of {rounds} rounds of {seconds} s.\n",
        sessions(work).unwrap_or_default()
    );
    println!("| who looks | node's CPU time | of it for a delivery | p50 | p99 | deliveries/s |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for row in rows {
        let of = |figure: fn(&Outcome) -> Option<f64>| {
            median(row.outcomes.iter().filter_map(figure).collect()).unwrap_or(f64::NAN)
        };
        println!(
            "| {} | {:.1} % of a core | {:.2} µs | {:.1} ms | {:.1} ms | {:.0} |",
            row.looks.name(),
            of(|outcome| Some(outcome.server_cpu / outcome.seconds * 100.0)),
            of(|outcome| Some(outcome.cpu_each()? * 1e6)),
            of(|outcome| Some(outcome.latency?.p50 / 1e3)),
            of(|outcome| Some(outcome.latency?.p99 / 1e3)),
            of(|outcome| Some(outcome.per_second())),
        );
    }
    println!("\n| the page's answer | bytes | median | slowest |\n| --- | ---: | ---: | ---: |");
    for row in rows {
        for route in operator::ROUTES {
            let answers = row.answers.iter().filter(|answer| answer.route == *route);
            let answers: Vec<_> = answers.collect();
            let Some(largest) = answers.iter().map(|answer| answer.bytes).max() else {
                continue;
            };
            let times = answers.iter().filter_map(|answer| answer.took);
            let times: Vec<f64> = times.map(milliseconds).collect();
            let slowest = times.iter().copied().reduce(f64::max);
            let said = |time: Option<f64>| {
                time.map_or_else(|| "told".to_owned(), |time| format!("{time:.1} ms"))
            };
            println!(
                "| `{route}` for {} | {largest} | {} | {} |",
                row.looks.name(),
                said(median(times)),
                said(slowest),
            );
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_works_whose_sessions_stay_can_be_looked_at() {
        for (text, count) in [("latency:20x128", 20), ("rooms:100x10x128", 100)] {
            assert_eq!(sessions(with_sessions(text).unwrap()), Some(count));
        }
        for text in ["storm:10", "held:10", "connect:10", "stalled:10x128", "x"] {
            assert!(with_sessions(text).is_err(), "{text}");
        }
    }
}
