//! How many clients come back a second when a node ends: without a plan, with a moment for each of
//! them, and drained. With real connections, and simulated for more of them than one machine has.

mod picture;
mod real;
mod returns;
mod simulated;

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;
use realtime::BoxError;

use returns::Returns;

/// How a node ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Its sessions are closed at once, and nobody is told when to come back.
    AtOnce,
    /// `Gateway::shutdown`: at once, and each client is told a moment.
    Shutdown,
    /// `Gateway::drain` over this time.
    Drain(Duration),
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::AtOnce => "closed at once".to_owned(),
            Self::Shutdown => "shutdown: a moment for each".to_owned(),
            Self::Drain(over) => format!("drained over {:.0} s", over.as_secs_f64()),
        }
    }
}

/// The options of `drain`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Real clients. Each takes two descriptors (`ulimit -n`): so many fit into 20,000.
    #[arg(long, default_value_t = 9_900)]
    clients: usize,
    /// Simulated ones: sessions in memory, by a clock of their own.
    #[arg(long, default_value_t = 50_000)]
    simulated: usize,
    /// Over how many seconds the real ones are drained, and the simulated ones in proportion.
    #[arg(long, default_value_t = 10.0)]
    over: f64,
    /// Where the picture goes.
    #[arg(long)]
    picture: Option<PathBuf>,
}

/// How it went with so many clients.
struct Panel {
    title: String,
    lines: Vec<(String, Returns)>,
}

/// Measures, prints a table, and draws.
///
/// # Errors
/// When a client doesn't come back, or the picture can't be written.
pub(crate) fn measure(options: &Options) -> Result<(), BoxError> {
    let over = Duration::try_from_secs_f64(options.over)?;
    let longer = over.mul_f64(options.simulated as f64 / options.clients.max(1) as f64);
    let panels = [
        Panel {
            title: format!("{} connections over TCP", options.clients),
            lines: each(over, |way| real::returns(options.clients, way))?,
        },
        Panel {
            title: format!("{} connections, simulated", options.simulated),
            lines: each(longer, |way| simulated::returns(options.simulated, way))?,
        },
    ];
    for panel in &panels {
        println!("{}", panel.title);
        for (name, returns) in &panel.lines {
            println!(
                "  {name:<30} peak {:>8.0} a second, the last after {:.1} s",
                returns.peak(),
                returns.last().as_secs_f64()
            );
        }
    }
    if let Some(path) = &options.picture {
        fs::write(path, picture::draw(&panels))?;
    }
    Ok(())
}

fn each(
    over: Duration,
    measure: impl Fn(Way) -> Result<Returns, BoxError>,
) -> Result<Vec<(String, Returns)>, BoxError> {
    let ways = [Way::AtOnce, Way::Shutdown, Way::Drain(over)];
    ways.into_iter()
        .map(|way| Ok((way.name(), measure(way)?)))
        .collect()
}
