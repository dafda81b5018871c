//! Instructions for each operation, counted by valgrind: they don't depend on what else the
//! machine does.

use std::process::Command;

use clap::Args;
use realtime::BoxError;

use crate::operations;

/// The bytes of data in a message.
const SIZE: usize = 128;

/// The options of `repeat`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The operation.
    name: String,
    /// How often.
    times: u32,
}

/// Does an operation many times.
pub(crate) fn repeat(options: &Options) -> Result<(), BoxError> {
    let names = operations::NAMES.join(", ");
    let mut operation = operations::prepare(&options.name, SIZE)
        .ok_or_else(|| format!("expected one of {names}; got {:?}", options.name))?;
    for _ in 0..options.times {
        operation.once();
    }
    Ok(())
}

/// Prints a table of all operations.
pub(crate) fn count() -> Result<(), BoxError> {
    println!("| operation, {SIZE} B | instructions |\n| --- | ---: |");
    for name in operations::NAMES {
        // What the program does before and after is in both counts.
        // Of what is rare there must be enough.
        let times = if name.ends_with('%') { 20_000 } else { 1000 };
        let [once, more] = [times, 2 * times].map(|times| counted(name, times));
        println!("| {name} | {} |", (more? - once?) / times);
    }
    Ok(())
}

fn counted(name: &str, times: u64) -> Result<u64, BoxError> {
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
