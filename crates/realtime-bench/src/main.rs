//! `realtime-bench`: see the crate's README.

use std::{error::Error, iter::successors, process::ExitCode};

use clap::Parser;

fn main() -> ExitCode {
    let Err(error) = realtime_bench::execute(realtime_bench::Command::parse()) else {
        return ExitCode::SUCCESS;
    };
    let first: &(dyn Error + 'static) = &*error;
    let chain: Vec<_> = successors(Some(first), |error: &&(dyn Error + 'static)| {
        (*error).source()
    })
    .map(ToString::to_string)
    .collect();
    eprintln!("error: {}", chain.join(": "));
    ExitCode::FAILURE
}
