//! Who is online, and in which room: on a board that changes as people come, go and move.
//!
//! `presence-board [--listen ADDR]`, and open what it prints in several windows and tabs. With the
//! feature `redis`, `BROKER_URL` and `PRESENCE_URL` make several nodes of it.

mod board;
mod page;
mod people;
#[cfg(test)]
mod tests;

use std::{env, error::Error};

use people::ByName;
use realtime::{
    Gateway, bind, broker::AnyBroker, connect, error::BuildError, presence::AnyPresence, serve,
    shutdown_signal,
};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let broker = connect::broker(&url("BROKER_URL"))?;
    let presence = connect::presence(&url("PRESENCE_URL"))?;
    let gateway = build(broker, presence)?;

    let app = page::router().route_service("/ws", gateway.clone());
    let listener = bind(listen_address()).await?;
    let shutdown = shutdown_signal();
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, app, gateway)
        .with_graceful_shutdown(shutdown)
        .await?;
    Ok(())
}

/// The whole gateway but its socket.
fn build(broker: AnyBroker, presence: AnyPresence) -> Result<Gateway, BuildError> {
    realtime::builder()
        .authenticator(ByName)
        // A page sees nothing of a 401: so it is told by a close frame.
        .accept_then_close(true)
        .broker(broker)
        .presence(presence)
        // Beside who is in which room it is kept who is online.
        .tenant_presence(true)
        .on_presence(board::tell)
        .router(board::router())
        .build()
}

fn url(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| "local:".to_owned())
}

fn listen_address() -> String {
    let mut arguments = env::args().skip_while(|argument| argument != "--listen");
    let given = arguments.nth(1);
    given.unwrap_or_else(|| "127.0.0.1:8084".to_owned())
}
