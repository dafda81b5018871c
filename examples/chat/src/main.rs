//! A chat with rooms in one page: names that nobody can forge, rooms that remember what was said
//! and show who is there, and moderators who remove somebody from whatever node.
//!
//! `chat [--listen ADDR]`, or `chat --asyncapi`, which prints what the page may rely on. In the environment: `BROKER_URL`, `PRESENCE_URL` and `HISTORY_URL`
//! choose the backends, `local:` by default (histories are where presence is); `CHAT_KEY` signs the
//! tokens of visitors, and several nodes need the same; `CHAT_MODERATOR` is the password of
//! moderators, without which there are none. See the README for what removing somebody does, and
//! what it can't.

mod contract;
mod lines;
mod login;
mod moderators;
mod page;
mod people;
mod removal;
mod rooms;
#[cfg(test)]
mod tests;
mod token;

use std::{env, error::Error};

use login::Visitors;
use moderators::Moderators;
use realtime::{
    Gateway, Router, bind,
    broker::AnyBroker,
    connect,
    history::{AnyHistory, InvalidRetention},
    middleware::{LoggerLayer, RecoveryLayer},
    presence::AnyPresence,
    serve, shutdown_signal,
};
use token::Key;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if env::args().any(|argument| argument == "--asyncapi") {
        println!("{:#}", contract::contract().asyncapi()?);
        return Ok(());
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let key = match env::var("CHAT_KEY") {
        Ok(secret) => Key::new(secret.as_bytes())?,
        Err(_) => {
            if env::var("BROKER_URL").is_ok() {
                tracing::warn!("no CHAT_KEY: other nodes don't know the visitors of this one");
            }
            Key::random()?
        }
    };
    let moderators = Moderators::new(key.clone(), env::var("CHAT_MODERATOR").ok())?;
    let presence = url("PRESENCE_URL", "local:");
    let backends = Backends {
        broker: connect::broker(&url("BROKER_URL", "local:"))?,
        history: connect::history(&url("HISTORY_URL", &presence))?,
        presence: connect::presence(&presence)?,
    };
    let gateway = build(key.clone(), backends)?;

    let app = page::router()
        .merge(login::router(key, moderators))
        .route_service("/ws", gateway.clone());
    let listener = bind(listen_address()).await?;
    let shutdown = shutdown_signal();
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, app, gateway)
        .with_graceful_shutdown(shutdown)
        .await?;
    Ok(())
}

/// What the nodes share.
struct Backends {
    broker: AnyBroker,
    history: AnyHistory,
    presence: AnyPresence,
}

/// The whole chat but its socket and its page.
fn build(key: Key, backends: Backends) -> Result<Gateway, Box<dyn Error>> {
    let gateway = realtime::builder()
        .authenticator(Visitors::new(key))
        .broker(backends.broker)
        .history(backends.history)
        .presence(backends.presence)
        .router(router()?)
        // Outermost, so that it sees panics as the failures that the other one makes of them.
        .layer(LoggerLayer::new())
        .layer(RecoveryLayer::new())
        .build()?;
    Ok(gateway)
}

fn router() -> Result<Router, InvalidRetention> {
    let (rooms, removal) = (rooms::router()?, removal::router()?);
    Ok(rooms.merge(lines::router()).merge(removal))
}

fn url(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn listen_address() -> String {
    let mut arguments = env::args()
        .skip_while(|argument| argument != "--listen")
        .skip(1);
    arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:8080".to_owned())
}
