//! A chat room in one page: names, who is online, and nothing that is kept.
//!
//! `chat [--listen ADDR]`; `BROKER_URL` and `PRESENCE_URL` choose the backends, `local:` by
//! default.

mod page;
mod people;
mod room;

use std::{env, error::Error};

use people::Visitors;
use realtime::{
    bind, connect,
    middleware::{LoggerLayer, RecoveryLayer},
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

    let gateway = realtime::builder()
        .authenticator(Visitors)
        .broker(connect::broker(&url("BROKER_URL"))?)
        .presence(connect::presence(&url("PRESENCE_URL"))?)
        .router(room::router())
        .layer(RecoveryLayer::new())
        .layer(LoggerLayer::new())
        .on_connect(room::welcome)
        .on_disconnect(room::farewell)
        .build()?;

    let app = page::router().route_service("/ws", gateway.clone());
    let listener = bind(listen_address()).await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, app, gateway)
        .with_graceful_shutdown(shutdown_signal())
        .await?;
    Ok(())
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
