//! A chat with rooms in one page: names that nobody can forge, rooms that remember what was said
//! and show who is there, and moderators who remove somebody from whatever node.
//!
//! `chat [--listen ADDR]` runs it; `chat --asyncapi` prints what the page may rely on, and
//! `chat --alive` asks one that runs here whether it is alive. All else is in the environment: the
//! README has the variables. See there, too, what removing somebody does, and what it can't.

mod alive;
mod contract;
mod lines;
mod login;
mod moderators;
mod page;
mod people;
mod removal;
mod rooms;
mod settings;
#[cfg(test)]
mod tests;
mod token;

use std::{env, error::Error};

use login::Visitors;
use moderators::Moderators;
use realtime::{
    Builder, Gateway, Livez, Readyz, Router, bind,
    broker::AnyBroker,
    connect,
    history::{AnyHistory, InvalidRetention},
    middleware::{LoggerLayer, RecoveryLayer},
    presence::AnyPresence,
    serve, shutdown_signal,
};
use settings::Settings;
use token::Key;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // What isn't Unicode is none of them.
    let asked = |what: &str| env::args_os().any(|argument| argument == what);
    if asked("--asyncapi") {
        println!("{:#}", contract::contract().asyncapi()?);
        return Ok(());
    }
    let settings = Settings::read()?;
    if asked("--alive") {
        return Ok(alive::ask(&settings.listen)?);
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let key = match &settings.key {
        Some(secret) => Key::new(secret.as_bytes())?,
        None => {
            if settings.is_of_many() {
                tracing::warn!("no CHAT_KEY: other nodes don't know the visitors of this one");
            }
            Key::random()?
        }
    };
    let moderators = Moderators::new(key.clone(), settings.moderator)?;
    let backends = Backends {
        broker: connect::broker(&settings.broker)?,
        history: connect::history(&settings.history)?,
        presence: connect::presence(&settings.presence)?,
    };
    let builder = realtime::builder()
        .drain_notice(settings.drain_notice)
        .trusted_proxies(&settings.trusted_proxies);
    let gateway = build(builder, key.clone(), backends)?;

    let app = page::router()
        .merge(login::router(key, moderators))
        .route_service("/livez", Livez)
        .route_service("/readyz", Readyz::of(&gateway))
        .route_service("/ws", gateway.clone());
    let listener = bind(&settings.listen).await?;
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
fn build(builder: Builder, key: Key, backends: Backends) -> Result<Gateway, Box<dyn Error>> {
    let gateway = builder
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
