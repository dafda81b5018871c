//! A chat room in one page: names, who is online, and nothing that is kept.
//!
//! `chat [--listen ADDR]`; `BROKER_URL` and `PRESENCE_URL` choose the backends, `local:` by
//! default.

mod page;
mod people;
mod room;
#[cfg(test)]
mod tests;

use std::{env, error::Error};

use people::Visitors;
use realtime::{
    Gateway, bind,
    broker::AnyBroker,
    connect,
    error::BuildError,
    middleware::{LoggerLayer, RecoveryLayer},
    presence::AnyPresence,
    serve, shutdown_signal,
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

/// The whole chat but its socket and its page.
fn build(broker: AnyBroker, presence: AnyPresence) -> Result<Gateway, BuildError> {
    realtime::builder()
        .authenticator(Visitors)
        .broker(broker)
        .presence(presence)
        .router(room::router())
        // Outermost, so that it sees panics as the failures that the other one makes of them.
        .layer(LoggerLayer::new())
        .layer(RecoveryLayer::new())
        .on_connect(room::welcome)
        .on_disconnect(room::farewell)
        .build()
}

fn url(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| "local:".to_owned())
}

fn listen_address() -> String {
    let mut arguments = env::args()
        .skip_while(|argument| argument != "--listen")
        .skip(1);
    arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:8080".to_owned())
}
