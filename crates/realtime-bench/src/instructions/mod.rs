//! Instructions for each operation, counted by valgrind: they don't depend on what else the
//! machine does.

mod baseline;
mod tools;

use std::{collections::BTreeMap, process::Command};

use clap::Args;
use realtime::BoxError;

use crate::operations;
use baseline::Baseline;
use tools::Tools;

/// The bytes of data in a message.
const SIZE: usize = 128;

/// The options of `repeat`.
#[derive(Debug, Args)]
pub(crate) struct Repeat {
    /// The operation.
    name: String,
    /// How often.
    times: u32,
}

/// The options of `instructions`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Fails where an operation takes over 3 % more than stands in `instructions.json`.
    #[arg(long)]
    check: bool,
    /// Writes that file.
    #[arg(long, conflicts_with = "check")]
    write: bool,
}

/// Does an operation many times.
pub(crate) fn repeat(options: &Repeat) -> Result<(), BoxError> {
    let names = operations::NAMES.join(", ");
    let mut operation = operations::prepare(&options.name, SIZE)
        .ok_or_else(|| format!("expected one of {names}; got {:?}", options.name))?;
    for _ in 0..options.times {
        operation.once();
    }
    Ok(())
}

/// Prints a table of all operations, and does what the options say.
pub(crate) fn count(options: &Options) -> Result<(), BoxError> {
    // Before minutes are spent on it.
    let kept = match options.check {
        true => Some(Baseline::read()?),
        false => None,
    };
    if options.check || options.write {
        without_features()?;
    }
    let tools = Tools::here()?;
    println!("Counted with {tools}.\n");
    println!("| operation, {SIZE} B | instructions |\n| --- | ---: |");
    let mut counted = BTreeMap::new();
    for name in operations::NAMES {
        // What the program does before and after is in both counts.
        // Sixteen may come together, and of what is rare there must be enough.
        let times = if name.ends_with('%') { 20_000 } else { 1_600 };
        let [once, more] = [times, 2 * times].map(|times| counted_by_valgrind(name, times));
        let each = (more? - once?) / times;
        println!("| {name} | {each} |");
        counted.insert((*name).to_owned(), each);
    }
    if options.write {
        return Baseline::new(tools, counted).write();
    }
    let Some(kept) = kept else { return Ok(()) };
    let found = kept.compare(&counted);
    println!();
    for less in &found.less {
        println!("{less}");
    }
    if found.wrong.is_empty() {
        return Ok(());
    }
    let mut wrong = found.wrong.join("; ");
    if let Some(other) = kept.other_tools(&tools) {
        wrong = format!("{wrong}. {other}");
    }
    Err(wrong.into())
}

/// What a gateway costs in which nothing is switched on is what the file is about.
fn without_features() -> Result<(), BoxError> {
    let features = [
        ("admin", cfg!(feature = "admin")),
        ("deflate", cfg!(feature = "deflate")),
        ("metrics", cfg!(feature = "metrics")),
        ("traces", cfg!(feature = "traces")),
    ];
    let on: Vec<_> = features.iter().filter(|(_, is_on)| *is_on).collect();
    match on.first() {
        None => Ok(()),
        Some((name, _)) => {
            Err(format!("expected a build without features; got one with `{name}`").into())
        }
    }
}

fn counted_by_valgrind(name: &str, times: u64) -> Result<u64, BoxError> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["repeat", name, &times.to_string()])
        .output()
        .map_err(|e| format!("expected valgrind: {e}"))?;
    let summary = String::from_utf8_lossy(&output.stderr);
    collected(&summary).ok_or_else(|| format!("valgrind has counted nothing: {summary}").into())
}

/// `==123== Collected : 456`
fn collected(summary: &str) -> Option<u64> {
    let line = summary.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_count_is_found() {
        let summary = "==7== Events    : Ir\n==7== Collected : 123456\n==7== \n";
        assert_eq!(super::collected(summary), Some(123_456));
        assert_eq!(super::collected("==7== no"), None);
    }
}
