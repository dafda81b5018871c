//! The command line `realtime`: a client of a gateway for terminals and scripts. JSON lines go in and
//! come out; what is for people goes to the standard error.

mod args;
mod asked;
mod bench;
mod connect;
mod failure;
mod listen;
mod output;
mod request;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(run(args));
            // A name that is still looked up is not waited for.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads has enough: `realtime listen … | head`.
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("realtime: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), failure::Failure> {
    match args.command {
        Command::Connect(args) => connect::run(args).await,
        Command::Request(args) => request::run(args).await,
        Command::Listen(args) => listen::run(args).await,
        Command::Bench(args) => bench::run(args).await,
    }
}
