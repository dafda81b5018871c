//! What stands on the command line, and the client that it means.

#[cfg(feature = "rustls")]
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use realtime_client::{Client, ClientBuilder, TokenIn};

use crate::failure::Failure;

/// A client of a realtime gateway: JSON lines in and out.
#[derive(Parser)]
#[command(name = "realtime", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Sends the envelopes of the standard input, a line each, and prints what comes.
    ///
    /// It ends with the connection, or, after the end of the input, when all requests in it (those
    /// with an "id") are answered. Ctrl-C and SIGTERM end it, too.
    Connect(ConnectArgs),
    /// Asks once, and prints the data of the answer.
    Request(RequestArgs),
    /// Joins rooms, comes back after a loss, and prints what comes, until Ctrl-C or SIGTERM. Without
    /// rooms, prints what is for everybody.
    Listen(ListenArgs),
    /// Asks over many connections, each again and again, and prints how that went, also where Ctrl-C
    /// or SIGTERM ends it before its time.
    Bench(BenchArgs),
}

#[derive(Parser)]
pub(crate) struct ConnectArgs {
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Parser)]
pub(crate) struct RequestArgs {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Where the question goes.
    pub(crate) route: String,
    /// The data of the question: one JSON value. "-" is the standard input.
    pub(crate) data: Option<String>,
}

#[derive(Parser)]
pub(crate) struct ListenArgs {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Rooms to join; "@me" is one's own inbox.
    pub(crate) rooms: Vec<String>,
}

#[derive(Parser)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) server: Server,
    /// How many connections.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(crate) connections: u32,
    /// For how many seconds they ask, once all are open.
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// What is asked. `ping` is answered by every gateway.
    #[arg(long, default_value = "ping")]
    pub(crate) route: String,
    /// The data of each question: one JSON value.
    #[arg(long)]
    pub(crate) data: Option<String>,
}

#[derive(Parser)]
pub(crate) struct Server {
    /// Where the gateway is: ws://host/path or wss://host/path.
    pub(crate) url: String,
    /// The token. Other users of this machine may see it; better name a variable.
    #[arg(long, conflicts_with = "token_env")]
    token: Option<String>,
    /// The environment variable that has the token.
    #[arg(long, value_name = "VARIABLE")]
    token_env: Option<String>,
    /// Where the token is shown.
    #[arg(long, value_enum, default_value_t = Place::Header)]
    token_in: Place,
    /// A header of the upgrade request. May be given several times.
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// A file with certificates (PEM) to trust beside the system's own.
    #[cfg(feature = "rustls")]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How many seconds connecting, and each answer, may take.
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    timeout: f64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Place {
    Header,
    Message,
    Subprotocol,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: Option<f64> = text.parse().ok();
    let fits = |seconds: &f64| (0.001..=31_536_000.0).contains(seconds);
    seconds
        .filter(fits)
        .ok_or_else(|| "expected seconds: from 0.001 to a year".to_owned())
}

impl Server {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout)
    }

    pub(crate) fn client(&self) -> Result<ClientBuilder, Failure> {
        let timeout = self.timeout();
        let mut client = Client::builder(&self.url)
            .timeout(timeout)
            .connect_timeout(timeout);
        for header in &self.headers {
            let Some((name, value)) = header.split_once('=') else {
                return Err("--header: expected NAME=VALUE".to_owned().into());
            };
            client = client.header(name, value);
        }
        #[cfg(feature = "rustls")]
        if let Some(file) = &self.ca {
            let pem = std::fs::read_to_string(file);
            client = client.root_certificates(pem.map_err(|e| format!("--ca: {e}"))?);
        }
        let token = match &self.token_env {
            None => self.token.clone(),
            Some(name) => {
                let value = std::env::var(name);
                Some(value.map_err(|_| format!("--token-env: there is no variable {name}"))?)
            }
        };
        if let Some(token) = token {
            client = client.token(move |_| {
                let token = token.clone();
                async move { Ok(Some(token)) }
            });
        }
        Ok(client.token_in(match self.token_in {
            Place::Header => TokenIn::Header,
            Place::Message => TokenIn::Message,
            Place::Subprotocol => TokenIn::Subprotocol,
        }))
    }

    /// A client that has a connection, and ends where there can be none.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        let client = self.client()?.max_attempts(1).connect()?;
        client.online().await?;
        Ok(client)
    }
}
