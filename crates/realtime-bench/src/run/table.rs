//! The report as Markdown.

use std::fmt::Write;

use super::{
    Options,
    columns::{columns, ratio},
    results::{Results, Samples},
};
use crate::work::Work;

/// The report after so many rounds.
pub(super) fn render(options: &Options, rounds: u32, results: &Results) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write(&mut out, options, rounds, results);
    out
}

fn write(out: &mut String, options: &Options, rounds: u32, results: &Results) -> std::fmt::Result {
    let seconds = options.seconds;
    writeln!(
        out,
        "# Beside the floor\n\nMedians of {rounds} rounds of {seconds} s, each run between two \
         of its floor. CPU time for each message or connect as a multiple of the floor's; for \
         latency and storms the 99th percentile. What each column means: crates/realtime-bench/README.md.\n"
    )?;
    summary(out, options, results)?;
    for work in &options.only {
        details(out, *work, results)?;
    }
    Ok(())
}

/// The figure that stands for a work in the summary and in the picture.
pub(super) fn headline(work: Work, samples: &Samples) -> Option<f64> {
    match work {
        _ if samples.saturated() => None,
        Work::Latency(_) | Work::Storm(_) => samples.median(|sample| sample.p99_ratio),
        Work::Stalled(_) => samples.median(|sample| {
            let (_, before) = sample.outcome.stalled?;
            Some(sample.outcome.latency?.p99 / before.p99)
        }),
        _ => samples.median(|sample| sample.cpu_ratio),
    }
}

fn summary(out: &mut String, options: &Options, results: &Results) -> std::fmt::Result {
    let works: Vec<_> = options.only.iter().map(ToString::to_string).collect();
    writeln!(out, "| × floor | {} |", works.join(" | "))?;
    writeln!(out, "| --- |{}", " ---: |".repeat(works.len()))?;
    for built in results.built() {
        write!(out, "| {} |", bold(built.peer.name, built.peer.is_ours()))?;
        for work in &options.only {
            let samples = results.one(&built.peer, *work);
            let cell = match samples {
                Some(samples) if samples.saturated() => "too slow".to_owned(),
                Some(samples) => headline(*work, samples).map_or("failed".to_owned(), ratio),
                None => String::new(),
            };
            write!(out, " {} |", bold(&cell, built.peer.is_ours()))?;
        }
        writeln!(out)?;
    }
    for (peer, what) in &results.missing {
        let cells = " |".repeat(works.len());
        let what = what.lines().next().unwrap_or_default();
        writeln!(out, "| {peer}: missing, it needs {what} |{cells}")?;
    }
    writeln!(out)
}

fn details(out: &mut String, work: Work, results: &Results) -> std::fmt::Result {
    let columns = columns(work);
    let titles: Vec<_> = columns.iter().map(|column| column.title).collect();
    writeln!(out, "## {} (`{work}`)\n", work.title())?;
    writeln!(out, "| server | {} |", titles.join(" | "))?;
    writeln!(out, "| --- |{}", " ---: |".repeat(titles.len()))?;
    let name = if work.is_burst() {
        "batching floor"
    } else {
        "floor"
    };
    write!(out, "| {name} |")?;
    for column in &columns {
        let value = column.of_floor(work, results);
        write!(out, " {value} |")?;
    }
    writeln!(out)?;
    for (peer, samples) in results.of(work) {
        write!(out, "| {} |", bold(peer.name, peer.is_ours()))?;
        for column in &columns {
            write!(out, " {} |", column.of(samples))?;
        }
        writeln!(out)?;
    }
    writeln!(out)?;
    for (peer, _) in results.of(work) {
        if let Some(plain) = peer.plain()
            && let Some([least, middle, most]) = results.beside(peer, &plain, work)
        {
            writeln!(
                out,
                "{peer} takes {middle:.3} times the CPU time of {plain} ({least:.3} to {most:.3} in \
                 the same round).\n"
            )?;
        }
    }
    for (peer, samples) in results.of(work) {
        if let Some(error) = &samples.failed {
            let error = error.lines().last().unwrap_or_default();
            writeln!(out, "{peer} failed: {error}\n")?;
        }
        if samples.saturated() {
            writeln!(out, "{peer} did not keep up with the rate.\n")?;
        }
    }
    Ok(())
}

fn bold(text: &str, yes: bool) -> String {
    if yes && !text.is_empty() {
        format!("**{text}**")
    } else {
        text.to_owned()
    }
}
